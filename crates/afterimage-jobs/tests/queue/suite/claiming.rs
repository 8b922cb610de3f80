use crate::fixtures::{Harness, LEASE, failure, new_job, result};
use afterimage_jobs::{FailureKind, JobId, JobState, NewJob};
use std::collections::HashSet;
use std::time::Duration;

pub async fn claim_ids(harness: &Harness, count: usize) -> Vec<JobId> {
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(harness.claim().await.id);
    }
    ids
}

pub async fn first_come_first_served(harness: Harness) {
    harness.claim_nothing().await;
    let jobs = [harness.submit_plain().await.id, harness.submit_plain().await.id, harness.submit_plain().await.id];
    assert_eq!(claim_ids(&harness, 3).await, jobs);
    harness.claim_nothing().await;
    let job = harness.job(&jobs[0]).await;
    assert_eq!((job.state, job.attempt, job.started_at), (JobState::Running, 1, Some(job.created_at)));
}

pub async fn limits_per_key_are_kept(harness: Harness) {
    let limited = harness.key_with_limit(2).await;
    let mut jobs = Vec::new();
    // More than the first stage of a claim looks at.
    for _ in 0..40 {
        jobs.push(harness.submit(new_job(&limited)).await.id);
    }
    let running = claim_ids(&harness, 2).await;
    assert_eq!(running, jobs[..2]);
    harness.claim_nothing().await;
    harness.advance_seconds(4000);
    let other = harness.submit_plain().await.id;
    assert_eq!(harness.claim().await.id, other);
    harness.claim_nothing().await;
    let lease = harness.job(&running[0]).await.lease(&harness.worker);
    harness.store.succeed(&lease, result()).await.unwrap();
    assert_eq!(harness.claim().await.id, jobs[2]);
    let nobody = harness.key_with_limit(0).await;
    harness.submit(new_job(&nobody)).await;
    harness.claim_nothing().await;
}

pub async fn claims_do_not_share_a_job(harness: Harness) {
    for _ in 0..40 {
        harness.submit_plain().await;
    }
    let mut claims = tokio::task::JoinSet::new();
    for _ in 0..60 {
        let (store, worker) = (harness.store.clone(), harness.worker.clone());
        claims.spawn(async move { store.claim(&worker, LEASE).await.unwrap().map(|job| job.id) });
    }
    let claimed: Vec<JobId> = claims.join_all().await.into_iter().flatten().collect();
    assert_eq!(claimed.len(), 40);
    assert_eq!(claimed.iter().collect::<HashSet<_>>().len(), 40);
}

pub async fn a_job_not_started_in_time_fails(harness: Harness) {
    let limit = Some(Duration::from_secs(10));
    let swept = harness.submit(NewJob { start_within: limit, ..new_job(&harness.key) }).await.id;
    harness.advance_seconds(9);
    assert!(harness.store.time_out_starts().await.unwrap().is_empty());
    harness.advance_seconds(1);
    assert_eq!(harness.store.time_out_starts().await.unwrap(), [swept.clone()]);
    let job = harness.job(&swept).await;
    assert_eq!((job.state, job.failure.unwrap().kind), (JobState::Failed, FailureKind::StartTimeout));
    // A claim does not hand out a late job either.
    let claimed = harness.submit(NewJob { start_within: limit, ..new_job(&harness.key) }).await.id;
    harness.advance_seconds(11);
    harness.claim_nothing().await;
    assert_eq!(harness.job(&claimed).await.state, JobState::Failed);
}

pub async fn a_started_job_has_no_start_limit(harness: Harness) {
    let limit = Some(Duration::from_secs(10));
    let id = harness.submit(NewJob { start_within: limit, ..new_job(&harness.key) }).await.id;
    let lease = harness.claim().await.lease(&harness.worker);
    harness.store.retry(&lease, failure(FailureKind::Storage), Duration::from_secs(60)).await.unwrap();
    harness.advance_seconds(61);
    assert!(harness.store.time_out_starts().await.unwrap().is_empty());
    assert_eq!(harness.claim().await.id, id);
}
