use crate::fixtures::{Harness, LEASE, START, failure, new_job, result};
use afterimage_jobs::{
    CancelOutcome, Ends, FailureKind, Fenced, JobState, Lease, MAX_ATTEMPTS, NewJob, Renewed, Timestamp, WorkerId,
};
use std::time::Duration;

async fn running(harness: &Harness) -> Lease {
    harness.submit_plain().await;
    harness.claim().await.lease(&harness.worker)
}

async fn state(harness: &Harness, lease: &Lease) -> JobState {
    harness.job(&lease.job).await.state
}

pub async fn success_is_recorded(harness: Harness) {
    let lease = running(&harness).await;
    harness.advance_seconds(3);
    assert_eq!(harness.store.succeed(&lease, result()).await.unwrap(), Fenced::Done);
    let job = harness.job(&lease.job).await;
    assert_eq!((job.state, job.result, job.failure), (JobState::Succeeded, Some(result()), None));
    assert_eq!(job.finished_at, Some(START.plus(Duration::from_secs(3))));
}

pub async fn failure_is_recorded(harness: Harness) {
    let lease = running(&harness).await;
    assert_eq!(harness.store.fail(&lease, failure(FailureKind::BadInput)).await.unwrap(), Fenced::Done);
    let job = harness.job(&lease.job).await;
    assert_eq!((job.state, job.failure), (JobState::Failed, Some(failure(FailureKind::BadInput))));
    assert!(!job.quarantined && job.result.is_none());
}

pub async fn a_paused_worker_is_refused(mut harness: Harness) {
    let paused = running(&harness).await;
    harness.advance_seconds(13);
    assert_eq!(harness.store.rescue().await.unwrap(), [paused.job.clone()]);
    // The same worker, and another one: only the latest claim counts.
    let again = harness.claim().await.lease(&harness.worker);
    assert_eq!((again.job.clone(), again.attempt), (paused.job.clone(), 2));
    assert_eq!(harness.store.renew(&paused, LEASE).await.unwrap(), Renewed::Lost);
    assert_eq!(harness.store.succeed(&paused, result()).await.unwrap(), Fenced::Lost);
    assert_eq!(harness.store.fail(&paused, failure(FailureKind::Engine)).await.unwrap(), Fenced::Lost);
    assert_eq!(harness.store.cancelled(&paused).await.unwrap(), Fenced::Lost);
    assert_eq!(harness.store.release(&paused).await.unwrap(), Fenced::Lost);
    assert_eq!(harness.store.crashed(&paused, "x").await.unwrap(), Fenced::Lost);
    assert_eq!(harness.store.retry(&paused, failure(FailureKind::Storage), LEASE).await.unwrap(), Fenced::Lost);
    assert_eq!(state(&harness, &paused).await, JobState::Running);
    assert_eq!(harness.store.succeed(&again, result()).await.unwrap(), Fenced::Done);
    harness.restart().await;
    assert_eq!(harness.store.succeed(&again, result()).await.unwrap(), Fenced::Lost);
}

pub async fn two_rescuers_count_once(harness: Harness) {
    let lease = running(&harness).await;
    harness.advance_seconds(13);
    let (one, two) = tokio::join!(harness.store.rescue(), harness.store.rescue());
    assert_eq!(one.unwrap().len() + two.unwrap().len(), 1);
    let job = harness.job(&lease.job).await;
    assert_eq!((job.state, job.unclean_ends), (JobState::Queued, 1));
}

pub async fn two_deaths_end_in_quarantine(mut harness: Harness) {
    let poison = harness.submit_plain().await.id;
    let behind = harness.submit(new_job(&harness.other_key)).await.id;
    let first = harness.claim().await;
    assert_eq!(first.id, poison);
    assert_eq!(harness.store.crashed(&first.lease(&harness.worker), "killed").await.unwrap(), Fenced::Done);
    assert_eq!(harness.claim().await.id, poison, "it comes again at its old place");
    assert_eq!(harness.restart().await, [poison.clone()]);
    let job = harness.job(&poison).await;
    assert_eq!((job.state, job.quarantined, job.unclean_ends), (JobState::Failed, true, 2));
    assert_eq!(job.failure.unwrap().kind, FailureKind::Crashed);
    assert_eq!(harness.claim().await.id, behind);
    harness.claim_nothing().await;
}

pub async fn an_orderly_release_costs_nothing(harness: Harness) {
    let id = harness.submit_plain().await.id;
    harness.submit_plain().await;
    for attempt in 1..=10 {
        let job = harness.claim().await;
        assert_eq!((&job.id, job.attempt, job.unclean_ends, job.retries), (&id, attempt, 0, 0));
        assert_eq!(harness.store.release(&job.lease(&harness.worker)).await.unwrap(), Fenced::Done);
    }
}

pub async fn storage_failures_are_retried_then_final(harness: Harness) {
    let id = harness.submit_plain().await.id;
    for attempt in 1..=MAX_ATTEMPTS {
        let job = harness.claim().await;
        assert_eq!((&job.id, job.retries), (&id, attempt - 1));
        let delay = Duration::from_secs(30);
        harness.store.retry(&job.lease(&harness.worker), failure(FailureKind::Storage), delay).await.unwrap();
        harness.claim_nothing().await;
        harness.advance_seconds(30);
    }
    harness.claim_nothing().await;
    let job = harness.job(&id).await;
    assert_eq!((job.state, job.failure), (JobState::Failed, Some(failure(FailureKind::Storage))));
}

pub async fn cancelling_a_waiting_job_ends_it(harness: Harness) {
    let id = harness.submit_plain().await.id;
    assert_eq!(harness.store.cancel(&harness.other_key, &id).await.unwrap(), CancelOutcome::NotFound);
    assert_eq!(harness.store.cancel(&harness.key, &id).await.unwrap(), CancelOutcome::Cancelled);
    assert_eq!(harness.store.cancel(&harness.key, &id).await.unwrap(), CancelOutcome::AlreadyFinished);
    assert_eq!(harness.job(&id).await.state, JobState::Cancelled);
    harness.claim_nothing().await;
}

pub async fn cancelling_a_running_job_asks_its_worker(harness: Harness) {
    let lease = running(&harness).await;
    assert_eq!(harness.store.cancel(&harness.key, &lease.job).await.unwrap(), CancelOutcome::Requested);
    assert_eq!(state(&harness, &lease).await, JobState::Running);
    assert_eq!(harness.store.renew(&lease, LEASE).await.unwrap(), Renewed::Held { cancel_requested: true });
    assert_eq!(harness.store.cancelled(&lease).await.unwrap(), Fenced::Done);
    assert_eq!(state(&harness, &lease).await, JobState::Cancelled);
}

pub async fn a_worker_cannot_cancel_what_nobody_asked_to_end(harness: Harness) {
    let lease = running(&harness).await;
    let before = harness.job(&lease.job).await;
    assert_eq!(harness.store.cancelled(&lease).await.unwrap(), Fenced::Lost);
    assert_eq!(harness.job(&lease.job).await, before);
    assert_eq!(harness.store.succeed(&lease, result()).await.unwrap(), Fenced::Done);
}

/// What another key does to a waiting, a running and an ended job: nothing.
pub async fn a_stranger_changes_nothing(harness: Harness) {
    let ended = running(&harness).await;
    harness.store.succeed(&ended, result()).await.unwrap();
    let runs = running(&harness).await;
    let waits = harness.submit_plain().await.id;
    let all = [ended.job, runs.job.clone(), waits];
    let mut before = Vec::new();
    for id in &all {
        before.push(harness.job(id).await);
    }
    for _ in 0..2 {
        assert_eq!(harness.store.delete(&harness.other_key, &all).await.unwrap(), []);
        for id in &all {
            assert_eq!(harness.store.cancel(&harness.other_key, id).await.unwrap(), CancelOutcome::NotFound);
        }
    }
    for (id, before) in all.iter().zip(before) {
        assert_eq!(harness.job(id).await, before);
    }
    assert_eq!(harness.store.renew(&runs, LEASE).await.unwrap(), Renewed::Held { cancel_requested: false });
}

/// Each end counts once, whoever ended the job and whatever becomes of it later.
pub async fn ends_are_counted_once(harness: Harness) {
    let [done, failed, stopped, crashed] =
        [running(&harness).await, running(&harness).await, running(&harness).await, running(&harness).await];
    let waiting = harness.submit_plain().await.id;
    let late = harness.submit(NewJob { start_within: Some(Duration::from_secs(5)), ..new_job(&harness.key) }).await.id;
    assert_eq!(harness.store.ends().await.unwrap(), Ends::default());
    harness.store.succeed(&done, result()).await.unwrap();
    harness.store.fail(&failed, failure(FailureKind::Engine)).await.unwrap();
    harness.store.cancel(&harness.key, &stopped.job).await.unwrap();
    harness.store.cancelled(&stopped).await.unwrap();
    // A retry is no end.
    harness.store.crashed(&crashed, "once").await.unwrap();
    harness.advance_seconds(5);
    harness.store.time_out_starts().await.unwrap();
    let ids = [done.job.clone(), failed.job, stopped.job, waiting, late, done.job];
    for _ in 0..3 {
        harness.store.delete(&harness.key, &ids).await.unwrap();
        harness.store.cancel(&harness.key, &ids[0]).await.unwrap();
    }
    assert_eq!(harness.store.ends().await.unwrap(), Ends { succeeded: 1, failed: 2, cancelled: 2 });
}

pub async fn a_cancelled_job_does_not_run_again(harness: Harness) {
    let [released, died, delayed] = [running(&harness).await, running(&harness).await, running(&harness).await];
    for lease in [&released, &died, &delayed] {
        harness.store.cancel(&harness.key, &lease.job).await.unwrap();
    }
    harness.store.release(&released).await.unwrap();
    harness.store.retry(&delayed, failure(FailureKind::Storage), LEASE).await.unwrap();
    harness.advance_seconds(13);
    harness.store.rescue().await.unwrap();
    for lease in [&released, &died, &delayed] {
        assert_eq!(state(&harness, lease).await, JobState::Cancelled);
    }
    harness.claim_nothing().await;
}

pub async fn completion_beats_a_request_to_cancel(harness: Harness) {
    let lease = running(&harness).await;
    harness.store.cancel(&harness.key, &lease.job).await.unwrap();
    assert_eq!(harness.store.succeed(&lease, result()).await.unwrap(), Fenced::Done);
    assert_eq!(state(&harness, &lease).await, JobState::Succeeded);
}

pub async fn another_worker_cannot_write(harness: Harness) {
    let lease = running(&harness).await;
    let forged = Lease { worker: WorkerId::random(), ..lease.clone() };
    assert_eq!(harness.store.succeed(&forged, result()).await.unwrap(), Fenced::Lost);
    assert_eq!(harness.store.renew(&forged, LEASE).await.unwrap(), Renewed::Lost);
    assert_eq!(state(&harness, &lease).await, JobState::Running);
}

pub async fn renewal_keeps_a_job(harness: Harness) {
    let lease = running(&harness).await;
    for _ in 0..10 {
        harness.advance_seconds(11);
        assert!(harness.store.rescue().await.unwrap().is_empty());
        let renewed = harness.store.renew(&lease, LEASE).await.unwrap();
        assert_eq!(renewed, Renewed::Held { cancel_requested: false });
    }
    // A lease that ran out unnoticed may still be renewed.
    harness.advance_seconds(60);
    assert_eq!(harness.store.renew(&lease, LEASE).await.unwrap(), Renewed::Held { cancel_requested: false });
    assert!(harness.store.rescue().await.unwrap().is_empty());
}

pub async fn terminal_states_never_change(harness: Harness) {
    let (succeeded, failed, cancelled) = (running(&harness).await, running(&harness).await, running(&harness).await);
    harness.store.succeed(&succeeded, result()).await.unwrap();
    harness.store.fail(&failed, failure(FailureKind::Engine)).await.unwrap();
    harness.store.cancel(&harness.key, &cancelled.job).await.unwrap();
    harness.store.cancelled(&cancelled).await.unwrap();
    for lease in [&succeeded, &failed, &cancelled] {
        let before = harness.job(&lease.job).await;
        harness.advance_seconds(60);
        assert_eq!(harness.store.cancel(&harness.key, &lease.job).await.unwrap(), CancelOutcome::AlreadyFinished);
        assert_eq!(harness.store.succeed(lease, result()).await.unwrap(), Fenced::Lost);
        assert_eq!(harness.store.fail(lease, failure(FailureKind::BadInput)).await.unwrap(), Fenced::Lost);
        assert_eq!(harness.store.release(lease).await.unwrap(), Fenced::Lost);
        assert!(harness.store.rescue().await.unwrap().is_empty());
        assert_eq!(harness.job(&lease.job).await, before);
    }
}

pub async fn restarts_rerun_running_jobs(mut harness: Harness) {
    let lease = running(&harness).await;
    let waiting = harness.submit_plain().await;
    assert_eq!(harness.restart().await, [lease.job.clone()]);
    let again = harness.claim().await;
    assert_eq!((again.id, again.attempt, again.unclean_ends), (lease.job, 2, 1));
    assert_eq!(harness.claim().await.id, waiting.id);
}

pub async fn a_clock_that_steps_back_is_harmless(harness: Harness) {
    let lease = running(&harness).await;
    harness.clock.set(Timestamp(START.0 - 300_000));
    assert!(harness.store.rescue().await.unwrap().is_empty());
    let renewed = harness.store.renew(&lease, LEASE).await.unwrap();
    assert_eq!(renewed, Renewed::Held { cancel_requested: false });
    harness.advance_seconds(13);
    assert_eq!(harness.store.rescue().await.unwrap(), [lease.job.clone()]);
    assert_eq!(harness.claim().await.id, lease.job);
}
