use crate::fixtures::{Harness, START, create_key, failure, new_job, result};
use afterimage_jobs::{Day, DayUse, FailureKind, JobId, JobResult, KeyId, NamedKey, UseCounts};
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);

/// Has a job of `key` succeed with so many pictures.
async fn succeed(harness: &Harness, key: &KeyId, pictures: usize) -> JobId {
    let id = harness.submit(new_job(key)).await.id;
    let lease = harness.claim().await.lease(&harness.worker);
    let files = vec![result().files.remove(0); pictures];
    harness.store.succeed(&lease, JobResult { files, ..result() }).await.unwrap();
    id
}

/// Has a job of `key` fail.
async fn fail(harness: &Harness, key: &KeyId) -> JobId {
    let id = harness.submit(new_job(key)).await.id;
    let lease = harness.claim().await.lease(&harness.worker);
    harness.store.fail(&lease, failure(FailureKind::Engine)).await.unwrap();
    id
}

fn named(id: &KeyId, name: &str) -> NamedKey {
    NamedKey { id: id.clone(), name: name.to_owned() }
}

const fn counts(jobs: u64, pictures: u64, failures: u64) -> UseCounts {
    UseCounts { jobs, pictures, failures, cost_micros: jobs.cast_signed() * 12_000 }
}

pub async fn what_keys_had_made_is_summed_by_day(mut harness: Harness) {
    let today = Day::of(START);
    assert_eq!(harness.store.daily_use(Day(0), 10).await.unwrap(), []);
    let key = harness.key.clone();
    let kept = succeed(&harness, &key, 2).await;
    succeed(&harness, &key, 1).await;
    fail(&harness, &key).await;
    // What was cancelled was not made, and did not fail.
    let cancelled = harness.submit_plain().await.id;
    harness.store.cancel(&key, &cancelled).await.unwrap();
    // One that is put back counts when it ends.
    harness.submit_plain().await;
    let lease = harness.claim().await.lease(&harness.worker);
    harness.store.release(&lease).await.unwrap();
    harness.clock.advance(DAY);
    let lease = harness.claim().await.lease(&harness.worker);
    harness.store.succeed(&lease, result()).await.unwrap();
    // The answer of a worker that lost its lease counts for nothing.
    harness.store.succeed(&lease, result()).await.unwrap();
    harness.restart().await;
    let used = |day, counts| DayUse { day, key: Some(named(&key, "one")), counts };
    let (first, second) = (used(today, counts(2, 3, 1)), used(Day(today.0 + 1), counts(1, 1, 0)));
    assert_eq!(harness.store.daily_use(today, 10).await.unwrap(), [first.clone(), second.clone()]);
    assert_eq!(harness.store.daily_use(Day(today.0 + 1), 10).await.unwrap(), [second.clone()]);
    assert_eq!(harness.store.daily_use(Day(today.0 + 2), 10).await.unwrap(), []);
    harness.store.delete(&key, &[kept]).await.unwrap();
    assert_eq!(harness.store.daily_use(today, 10).await.unwrap(), [first, second], "sums outlive what they are of");
}

pub async fn the_busiest_keys_are_told_apart(harness: Harness) {
    let today = Day::of(START);
    let third = create_key(&*harness.store, "three", None).await;
    for _ in 0..3 {
        fail(&harness, &third).await;
    }
    for _ in 0..2 {
        succeed(&harness, &harness.other_key, 1).await;
    }
    succeed(&harness, &harness.key, 1).await;
    harness.clock.advance(DAY);
    succeed(&harness, &harness.key, 4).await;
    succeed(&harness, &third, 1).await;
    let used = |day, key, counts| DayUse { day, key, counts };
    let tomorrow = Day(today.0 + 1);
    let expected = [
        used(today, None, counts(3, 3, 0)),
        used(today, Some(named(&third, "three")), counts(0, 0, 3)),
        used(tomorrow, None, counts(1, 4, 0)),
        used(tomorrow, Some(named(&third, "three")), counts(1, 1, 0)),
    ];
    assert_eq!(harness.store.daily_use(today, 1).await.unwrap(), expected);
    let all = harness.store.daily_use(today, 3).await.unwrap();
    assert!(all.len() == 5 && all.iter().all(|used| used.key.is_some()), "{all:?}");
    let none = harness.store.daily_use(tomorrow, 0).await.unwrap();
    assert_eq!(none, [used(tomorrow, None, counts(2, 5, 0))]);
}

pub async fn failures_are_told_the_last_first(mut harness: Harness) {
    assert_eq!(harness.store.recent_failures(10).await.unwrap(), []);
    let mut failed = Vec::new();
    for (number, key) in [harness.key.clone(), harness.other_key.clone(), harness.key.clone()].iter().enumerate() {
        harness.advance_seconds(u64::from(number > 1));
        failed.push(fail(&harness, key).await);
        succeed(&harness, key, 1).await;
    }
    let deleted = fail(&harness, &harness.key).await;
    harness.store.delete(&harness.key, &[deleted]).await.unwrap();
    harness.restart().await;
    let told = harness.store.recent_failures(10).await.unwrap();
    let ids: Vec<&JobId> = told.iter().map(|job| &job.id).collect();
    assert_eq!(ids, failed.iter().rev().collect::<Vec<_>>());
    let last = &told[0];
    assert_eq!(Some(last.key.clone()), Some(named(&harness.key, "one")));
    assert_eq!((last.kind, last.message.as_str()), (FailureKind::Engine, "it is broken"));
    assert_eq!((last.dialect.as_str(), last.model.as_str()), ("wavespeed", "wavespeed-ai/flux-redux-dev"));
    assert_eq!(last.finished_at, START.plus(Duration::from_secs(1)));
    assert_eq!(told[1].key.name, "two");
    assert_eq!(harness.store.recent_failures(1).await.unwrap(), [last.clone()]);
}
