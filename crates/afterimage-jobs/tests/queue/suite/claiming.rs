use crate::fixtures::{Harness, LEASE, failure, job_for, new_job, queue, result};
use afterimage_jobs::{FailureKind, JobId, JobState, NewJob, UNNAMED};
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
        claims.spawn(async move { store.claim(&worker, &UNNAMED, LEASE).await.unwrap().map(|job| job.id) });
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

pub async fn queues_of_models_are_apart(mut harness: Harness) {
    let [dev, srpo] = ["dev", "srpo"].map(queue);
    let of_srpo = harness.submit(job_for(&harness.key, "srpo")).await.id;
    let plain = harness.submit_plain().await.id;
    let [first, second] =
        [harness.submit(job_for(&harness.key, "dev")).await.id, harness.submit(job_for(&harness.key, "dev")).await.id];
    assert_eq!(harness.job(&first).await.spec.request.model, dev);
    let loads = async || {
        let loads = harness.store.loads().await.unwrap();
        loads.into_iter().map(|load| (load.queue, load.waiting, load.running)).collect::<Vec<_>>()
    };
    assert_eq!(loads().await, [(None, 1, 0), (dev.clone(), 2, 0), (srpo.clone(), 1, 0)]);
    assert_eq!(harness.claim_of(&[]).await, None);
    assert_eq!(harness.claim_of(&[queue("other")]).await, None);
    // In the order of the queues, and in each by turns.
    let both = [None, dev.clone()];
    assert_eq!(harness.claim_of(&both).await, Some(plain));
    assert_eq!(harness.claim_of(&both).await, Some(first.clone()));
    // What comes back waits in its own queue.
    assert_eq!(harness.restart().await.len(), 2);
    assert_eq!(harness.claim_of(&[dev.clone()]).await, Some(first));
    assert_eq!(harness.claim_of(&[dev.clone()]).await, Some(second));
    assert_eq!(harness.claim_of(&[dev]).await, None);
    assert_eq!(harness.claim_of(&[srpo]).await, Some(of_srpo));
}

pub async fn limits_per_key_hold_over_all_queues(harness: Harness) {
    let limited = harness.key_with_limit(1).await;
    harness.submit(job_for(&limited, "dev")).await;
    // More than the first stage of a claim looks at.
    for _ in 0..20 {
        harness.submit(job_for(&limited, "srpo")).await;
    }
    let other = harness.submit(job_for(&harness.key, "srpo")).await.id;
    assert!(harness.claim_of(&[queue("dev")]).await.is_some());
    assert_eq!(harness.claim_of(&[queue("srpo")]).await, Some(other));
    assert_eq!(harness.claim_of(&[queue("srpo")]).await, None);
}

pub async fn positions_are_those_in_the_jobs_queue(harness: Harness) {
    for _ in 0..3 {
        harness.submit(job_for(&harness.key, "dev")).await;
    }
    let [dev, srpo] = ["dev", "srpo"].map(|model| job_for(&harness.key, model));
    for (new, position) in [(dev, 3), (srpo, 0), (new_job(&harness.key), 0)] {
        let id = harness.submit(new).await.id;
        assert_eq!(harness.store.position(&id).await.unwrap(), Some(position));
    }
}
