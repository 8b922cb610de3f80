//! Who is next: by turns, whatever the clock says.

use super::claiming::claim_ids;
use crate::fixtures::{Harness, fetched, job_for, new_job, queue, remote_job};
use afterimage_core::Size;
use afterimage_jobs::{JobId, KeyId, NewJob, Priority};

/// Priorities are worth this many usual jobs.
const HEAD_START: usize = 10;

fn of_priority(new: NewJob, priority: Priority) -> NewJob {
    NewJob { priority, ..new }
}

async fn burst(harness: &Harness, key: &KeyId, jobs: usize) -> Vec<JobId> {
    let mut burst = Vec::new();
    for _ in 0..jobs {
        burst.push(harness.submit(new_job(key)).await.id);
    }
    burst
}

async fn position(harness: &Harness, id: &JobId) -> u64 {
    harness.store.position(id).await.unwrap().unwrap()
}

pub async fn a_burst_does_not_starve_others(harness: Harness) {
    let jobs = burst(&harness, &harness.key, 50).await;
    let newcomers = burst(&harness, &harness.other_key, 2).await;
    let expected = [&jobs[0], &newcomers[0], &jobs[1], &newcomers[1], &jobs[2]];
    assert_eq!(claim_ids(&harness, 5).await.iter().collect::<Vec<_>>(), expected);
    // The burst does not starve either.
    burst(&harness, &harness.other_key, 50).await;
    let claimed = claim_ids(&harness, 40).await;
    assert_eq!(claimed.iter().filter(|id| jobs.contains(id)).count(), 20);
}

pub async fn an_overdue_burst_does_not_pass_newcomers(harness: Harness) {
    burst(&harness, &harness.key, 20).await;
    for hours in [0, 1, 24, 24 * 365] {
        harness.advance_seconds(3600 * hours);
        let newcomer = harness.submit(new_job(&harness.other_key)).await.id;
        assert_eq!(position(&harness, &newcomer).await, 1, "after {hours} hours");
        harness.store.cancel(&harness.other_key, &newcomer).await.unwrap();
    }
    // Nor when each job takes long.
    for _ in 0..5 {
        harness.claim().await;
        harness.advance_seconds(600);
        let newcomer = harness.submit(new_job(&harness.other_key)).await.id;
        assert!(position(&harness, &newcomer).await <= 1);
        harness.store.cancel(&harness.other_key, &newcomer).await.unwrap();
    }
}

pub async fn whoever_sends_one_after_the_other_takes_turns(harness: Harness) {
    let waiting = burst(&harness, &harness.other_key, 20).await;
    let mut claimed = Vec::new();
    // Always a single job in the queue, and a new one as soon as it is claimed.
    for _ in 0..20 {
        let mine = harness.submit_plain().await.id;
        loop {
            let next = harness.claim().await.id;
            let is_mine = next == mine;
            claimed.push(next);
            if is_mine {
                break;
            }
        }
    }
    let others = claimed.iter().filter(|id| waiting.contains(id)).count();
    assert!((18..=20).contains(&others), "{others} of 20 waiting jobs ran beside 20");
}

pub async fn dear_jobs_count_for_more(harness: Harness) {
    let mut dear = new_job(&harness.other_key);
    dear.spec.request.size = Some(Size::new(2048, 2048));
    let mut others = Vec::new();
    for _ in 0..10 {
        others.push(harness.submit(NewJob { id: JobId::random(), ..dear.clone() }).await.id);
    }
    burst(&harness, &harness.key, 40).await;
    // Four times the pixels: a quarter of the turns.
    let claimed = claim_ids(&harness, 25).await;
    assert_eq!(claimed.iter().filter(|id| others.contains(id)).count(), 5);
}

pub async fn cancelled_jobs_do_not_count(harness: Harness) {
    for id in burst(&harness, &harness.key, 30).await {
        harness.store.cancel(&harness.key, &id).await.unwrap();
    }
    burst(&harness, &harness.other_key, 30).await;
    let mine = harness.submit_plain().await.id;
    assert_eq!(position(&harness, &mine).await, 1);
}

pub async fn priorities_are_worth_a_fixed_amount_of_work(harness: Harness) {
    let low = harness.submit(of_priority(new_job(&harness.key), Priority::Low)).await.id;
    let normal = harness.submit(new_job(&harness.other_key)).await.id;
    let high = harness.submit(of_priority(new_job(&harness.other_key), Priority::High)).await.id;
    assert_eq!(claim_ids(&harness, 2).await, [high, normal]);
    // Time does nothing for it, work that is done does.
    harness.advance_seconds(24 * 3600);
    let mut overtakers = 0;
    loop {
        harness.submit(of_priority(new_job(&harness.other_key), Priority::High)).await;
        if harness.claim().await.id == low {
            break;
        }
        overtakers += 1;
        assert!(overtakers < 100, "a low job starves");
    }
    assert!((2 * HEAD_START - 2..=2 * HEAD_START + 1).contains(&overtakers), "{overtakers} overtook it");
}

pub async fn a_high_job_passes_its_own_burst(harness: Harness) {
    burst(&harness, &harness.key, 30).await;
    let high = harness.submit(of_priority(new_job(&harness.key), Priority::High)).await.id;
    assert_eq!(harness.claim().await.id, high);
}

pub async fn the_queues_time_survives_a_restart(mut harness: Harness) {
    burst(&harness, &harness.key, 40).await;
    claim_ids(&harness, 20).await;
    let id = harness.restart().await.pop().unwrap();
    // What was running waits at its old place, before those who come now.
    assert_eq!(position(&harness, &id).await, 19);
    claim_ids(&harness, 20).await;
    let newcomers = burst(&harness, &harness.other_key, 5).await;
    assert!(position(&harness, &newcomers[0]).await <= 1);
    let claimed = claim_ids(&harness, 10).await;
    assert!(
        claimed.iter().filter(|id| newcomers.contains(id)).count() >= 4,
        "a newcomer is not sent back to the start"
    );
}

pub async fn pictures_that_come_late_do_not_pass_newcomers(harness: Harness) {
    let mut slow = Vec::new();
    for _ in 0..20 {
        harness.submit(remote_job(&harness.key)).await;
        slow.push(harness.claim_fetch().await);
    }
    // Others' work goes on meanwhile.
    burst(&harness, &harness.other_key, 100).await;
    claim_ids(&harness, 100).await;
    for lease in &slow {
        harness.store.sources_ready(lease, fetched()).await.unwrap();
    }
    let newcomer = harness.submit(new_job(&harness.key_with_limit(9).await)).await.id;
    assert!(position(&harness, &newcomer).await <= 1);
}

pub async fn a_queue_that_idles_does_not_push_on_the_time_of_another(harness: Harness) {
    for model in ["dev", "srpo"] {
        for _ in 0..20 {
            harness.submit(job_for(&harness.key, model)).await;
        }
    }
    // All of one burst, far into its own future.
    for _ in 0..20 {
        assert!(harness.claim_of(&[queue("srpo")]).await.is_some());
    }
    let newcomer = harness.submit(job_for(&harness.other_key, "dev")).await.id;
    assert_eq!(position(&harness, &newcomer).await, 1, "after the first of the other burst");
    // Nor does a key pay in one queue for what it has in another.
    let alone = harness.submit(new_job(&harness.key)).await.id;
    let other = harness.submit(new_job(&harness.other_key)).await.id;
    assert_eq!((position(&harness, &alone).await, position(&harness, &other).await), (0, 1));
    // Pictures are fetched by one order for all queues.
    let remote = |key: &KeyId, model: &str| {
        let mut new = remote_job(key);
        new.spec.request.model = queue(model);
        new
    };
    let mut awaited = Vec::new();
    for (key, model) in [(&harness.key, "dev"), (&harness.key, "srpo"), (&harness.other_key, "dev")] {
        awaited.push(harness.submit(remote(key, model)).await.id);
    }
    for number in [2, 0, 1] {
        let lease = harness.claim_fetch().await;
        assert_eq!(lease.job, awaited[number]);
        harness.store.sources_ready(&lease, fetched()).await.unwrap();
    }
    assert_eq!(harness.claim_of(&[queue("srpo")]).await, Some(awaited[1].clone()));
}
