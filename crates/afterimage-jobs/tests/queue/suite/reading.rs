use crate::fixtures::{Harness, START, new_job, remote_job, result};
use afterimage_jobs::{JobId, JobState, ListFilter, NewJob, Page, Priority, QueueDepth, Spending};
use std::time::Duration;

fn ids(page: &Page) -> Vec<JobId> {
    page.jobs.iter().map(|job| job.id.clone()).collect()
}

fn page(page: u32, page_size: u32) -> ListFilter {
    ListFilter { page, page_size, ..ListFilter::default() }
}

pub async fn lists_are_newest_first_and_paged(harness: Harness) {
    let mut newest_first = Vec::new();
    for number in 0..7 {
        // Pairs share a time; then the order of submits decides.
        harness.advance_seconds(number % 2);
        newest_first.insert(0, harness.submit_plain().await.id);
    }
    let list = async |filter: ListFilter| harness.store.list(&harness.key, &filter).await.unwrap();
    let first = list(page(1, 3)).await;
    assert_eq!((ids(&first), first.total), (newest_first[..3].to_vec(), 7));
    assert_eq!(ids(&list(page(3, 3)).await), newest_first[6..]);
    assert_eq!(ids(&list(page(4, 3)).await), []);
    assert_eq!(ids(&list(page(0, 0)).await), newest_first[..1]);
    assert_eq!(ids(&list(page(u32::MAX, u32::MAX)).await), []);
    assert_eq!(ids(&list(page(1, u32::MAX)).await), newest_first);
}

pub async fn lists_can_be_filtered(harness: Harness) {
    let first = harness.submit_plain().await.id;
    harness.advance_seconds(10);
    let second = harness.submit(NewJob { model: "other".to_owned(), ..new_job(&harness.key) }).await.id;
    harness.advance_seconds(10);
    let third = harness.submit_plain().await.id;
    harness.claim().await;
    let list = async |filter: ListFilter| {
        let page = harness.store.list(&harness.key, &ListFilter { page_size: 10, ..filter }).await.unwrap();
        assert_eq!(page.total, page.jobs.len() as u64);
        ids(&page)
    };
    let all = ListFilter::default;
    assert_eq!(list(ListFilter { model: Some("other".to_owned()), ..all() }).await, [second.clone()]);
    assert_eq!(list(ListFilter { model: Some("' OR 1=1 --".to_owned()), ..all() }).await, []);
    let between = |from, to| (Some(START.plus(Duration::from_secs(from))), Some(START.plus(Duration::from_secs(to))));
    let (created_after, created_before) = between(10, 20);
    assert_eq!(list(ListFilter { created_after, created_before, ..all() }).await, [third.clone(), second.clone()]);
    let (created_after, created_before) = between(0, 9);
    assert_eq!(list(ListFilter { created_after, created_before, ..all() }).await, [first.clone()]);
    assert_eq!(list(ListFilter { states: vec![JobState::Running], ..all() }).await, [first.clone()]);
    assert_eq!(
        list(ListFilter { states: vec![JobState::Queued, JobState::Running], ..all() }).await,
        [third, second, first]
    );
    assert_eq!(list(ListFilter { states: vec![JobState::Failed], ..all() }).await, []);
}

pub async fn keys_see_only_their_own(harness: Harness) {
    let mine = harness.submit_plain().await.id;
    let theirs = harness.submit(new_job(&harness.other_key)).await.id;
    let list = harness.store.list(&harness.key, &page(1, 10)).await.unwrap();
    assert_eq!((ids(&list), list.total), (vec![mine], 1));
    assert_eq!(harness.store.delete(&harness.key, std::slice::from_ref(&theirs)).await.unwrap(), []);
    assert_eq!(harness.job(&theirs).await.state, JobState::Queued);
}

pub async fn positions_count_jobs_ahead(harness: Harness) {
    let mut jobs = Vec::new();
    for _ in 0..3 {
        jobs.push(harness.submit_plain().await.id);
    }
    let position = async |id: &JobId| harness.store.position(id).await.unwrap();
    assert_eq!(position(&jobs[0]).await, Some(0));
    assert_eq!(position(&jobs[2]).await, Some(2));
    harness.claim().await;
    assert_eq!(position(&jobs[0]).await, None);
    assert_eq!(position(&jobs[2]).await, Some(1));
    assert_eq!(position(&JobId::random()).await, None);
}

pub async fn depth_counts(harness: Harness) {
    for _ in 0..3 {
        harness.submit_plain().await;
    }
    let lease = harness.claim().await.lease(&harness.worker);
    assert_eq!(harness.store.queue_depth().await.unwrap(), QueueDepth { queued: 2, running: 1 });
    harness.store.succeed(&lease, result()).await.unwrap();
    assert_eq!(harness.store.queue_depth().await.unwrap(), QueueDepth { queued: 2, running: 0 });
}

pub async fn the_longest_wait_is_known(harness: Harness) {
    let longest = async || {
        let loads = harness.store.loads().await.unwrap();
        loads.into_iter().filter_map(|load| load.oldest_wait).max()
    };
    assert_eq!(longest().await, None);
    harness.submit(remote_job(&harness.key)).await;
    assert_eq!(longest().await, None, "it awaits its pictures, not a worker");
    harness.submit_plain().await;
    harness.advance_seconds(5);
    harness.submit(NewJob { priority: Priority::High, ..new_job(&harness.key) }).await;
    harness.advance_seconds(2);
    assert_eq!(longest().await, Some(Duration::from_secs(7)));
    harness.claim().await;
    harness.claim().await;
    assert_eq!(longest().await, None);
}

pub async fn spending_is_summed(harness: Harness) {
    for user in [None, Some("a"), Some("a"), Some("b")] {
        harness.submit(NewJob { user: user.map(str::to_owned), ..new_job(&harness.key) }).await;
    }
    for _ in 0..3 {
        let lease = harness.claim().await.lease(&harness.worker);
        harness.store.succeed(&lease, result()).await.unwrap();
    }
    let lease = harness.claim().await.lease(&harness.worker);
    harness.store.cancel(&harness.key, &lease.job).await.unwrap();
    harness.store.cancelled(&lease).await.unwrap();
    let spent = async |user| harness.store.spending(&harness.key, user).await.unwrap();
    assert_eq!(spent(None).await, Spending { jobs: 3, cost_micros: 36_000 });
    assert_eq!(spent(Some("a")).await, Spending { jobs: 2, cost_micros: 24_000 });
    assert_eq!(spent(Some("b")).await, Spending::default());
    assert_eq!(harness.store.spending(&harness.other_key, None).await.unwrap(), Spending::default());
}
