//! Jobs whose pictures lie elsewhere.

use crate::fixtures::{Harness, LEASE, failure, fetched, new_job, remote_job, result, stored_source, with_webhook};
use afterimage_core::{PictureFacts, Size};
use afterimage_jobs::{
    CancelOutcome, FailureKind, Fenced, FetchLease, Fetched, Job, JobId, JobState, MAX_ATTEMPTS, NewJob, Places, Rates,
};
use std::time::Duration;

async fn submit_remote(harness: &Harness) -> JobId {
    harness.submit(remote_job(&harness.key)).await.id
}

async fn ready(harness: &Harness, lease: &FetchLease) -> Fenced {
    harness.store.sources_ready(lease, fetched()).await.unwrap()
}

async fn webhooks(harness: &Harness) -> usize {
    harness.store.due_deliveries(100, &Places::new(1000), Duration::from_secs(60)).await.unwrap().len()
}

pub async fn a_job_that_awaits_pictures_is_not_claimed(harness: Harness) {
    let remote = submit_remote(&harness).await;
    harness.claim_nothing().await;
    let plain = harness.submit_plain().await.id;
    assert_eq!(harness.claim().await.id, plain);
    harness.claim_nothing().await;
    assert_eq!(harness.job(&remote).await.state, JobState::Queued);
    assert_eq!(harness.store.queue_depth().await.unwrap().queued, 1);
    assert_eq!(harness.store.position(&remote).await.unwrap(), Some(0));
    // While somebody fetches, nobody else does, and still no worker takes it.
    harness.claim_fetch().await;
    harness.fetch_nothing().await;
    harness.claim_nothing().await;
}

pub async fn it_is_when_they_are_there(harness: Harness) {
    let id = submit_remote(&harness).await;
    let (job, lease) = harness.store.claim_fetch(&[], LEASE).await.unwrap().unwrap();
    assert_eq!((&job.id, &lease.job, job.state), (&id, &id, JobState::Queued));
    assert_eq!(ready(&harness, &lease).await, Fenced::Done);
    let claimed = harness.claim().await;
    assert_eq!((&claimed.id, claimed.attempt), (&id, 1));
    assert_eq!(claimed.spec.sources, [stored_source()]);
    assert_eq!((claimed.input_bytes, claimed.cost_micros), (40, 3000));
    harness.fetch_nothing().await;
    assert_eq!(ready(&harness, &lease).await, Fenced::Lost);
    // Back in the queue, it still has its pictures.
    harness.store.release(&claimed.lease(&harness.worker)).await.unwrap();
    harness.fetch_nothing().await;
    assert_eq!(harness.claim().await.spec.sources, [stored_source()]);
}

pub async fn keys_can_be_passed_over(harness: Harness) {
    let mut mine = Vec::new();
    for _ in 0..30 {
        mine.push(submit_remote(&harness).await);
    }
    let other = harness.submit(remote_job(&harness.other_key)).await.id;
    let next = async |passed_over: &[afterimage_jobs::KeyId]| {
        harness.store.claim_fetch(passed_over, LEASE).await.unwrap().map(|(job, _)| job.id)
    };
    assert_eq!(next(std::slice::from_ref(&harness.other_key)).await.as_ref(), Some(&mine[0]));
    // Keys take turns.
    assert_eq!(next(&[]).await.as_ref(), Some(&other));
    assert_eq!(next(std::slice::from_ref(&harness.key)).await, None);
    assert_eq!(next(&[harness.key.clone(), harness.other_key.clone()]).await, None);
    assert_eq!(next(&[]).await.as_ref(), Some(&mine[1]));
}

pub async fn a_fetch_that_failed_ends_the_job(harness: Harness) {
    let id = harness.submit(with_webhook(remote_job(&harness.key))).await.id;
    let lease = harness.claim_fetch().await;
    let missing = failure(FailureKind::SourceUnavailable);
    assert_eq!(harness.store.sources_failed(&lease, missing.clone()).await.unwrap(), Fenced::Done);
    let job = harness.job(&id).await;
    assert_eq!((job.state, job.failure, job.attempt), (JobState::Failed, Some(missing.clone()), 0));
    assert_eq!(webhooks(&harness).await, 1);
    assert_eq!(harness.store.sources_failed(&lease, missing).await.unwrap(), Fenced::Lost);
    harness.fetch_nothing().await;
    harness.claim_nothing().await;
    assert_eq!(webhooks(&harness).await, 0);
}

pub async fn a_fetch_that_may_pass_is_retried_then_final(harness: Harness) {
    let id = submit_remote(&harness).await;
    for attempt in 1..=MAX_ATTEMPTS {
        let lease = harness.claim_fetch().await;
        let (broken, delay) = (failure(FailureKind::Storage), Duration::from_secs(5));
        assert_eq!(harness.store.retry_fetch(&lease, broken, delay).await.unwrap(), Fenced::Done);
        assert_eq!(harness.store.renew_fetch(&lease, LEASE).await.unwrap(), Fenced::Lost, "it was given back");
        harness.fetch_nothing().await;
        assert_eq!(harness.job(&id).await.retries, attempt);
        harness.advance_seconds(5);
    }
    let job = harness.job(&id).await;
    assert_eq!((job.state, job.failure.unwrap().kind), (JobState::Failed, FailureKind::Storage));
}

pub async fn a_late_fetcher_is_refused(harness: Harness) {
    let id = submit_remote(&harness).await;
    let late = harness.claim_fetch().await;
    harness.advance_seconds(10);
    assert_eq!(harness.store.renew_fetch(&late, LEASE).await.unwrap(), Fenced::Done);
    harness.advance_seconds(10);
    harness.fetch_nothing().await;
    harness.advance_seconds(3);
    let second = harness.claim_fetch().await;
    assert_ne!(late, second);
    assert_eq!(ready(&harness, &late).await, Fenced::Lost);
    assert_eq!(harness.store.renew_fetch(&late, LEASE).await.unwrap(), Fenced::Lost);
    assert_eq!(harness.store.release_fetch(&late).await.unwrap(), Fenced::Lost);
    let broken = failure(FailureKind::SourceUnavailable);
    assert_eq!(harness.store.sources_failed(&late, broken).await.unwrap(), Fenced::Lost);
    assert_eq!(ready(&harness, &second).await, Fenced::Done);
    let job = harness.job(&id).await;
    assert_eq!((job.state, job.unclean_ends, job.retries), (JobState::Queued, 0, 0), "it is not the job's fault");
}

pub async fn a_fetch_given_back_is_taken_again(harness: Harness) {
    submit_remote(&harness).await;
    let lease = harness.claim_fetch().await;
    assert_eq!(harness.store.release_fetch(&lease).await.unwrap(), Fenced::Done);
    let again = harness.claim_fetch().await;
    assert_eq!((lease.number, again.number), (1, 2));
    assert_eq!(ready(&harness, &again).await, Fenced::Done);
}

pub async fn waiting_for_pictures_can_be_cancelled_and_deleted(harness: Harness) {
    for fetching in [false, true] {
        let id = harness.submit(with_webhook(remote_job(&harness.key))).await.id;
        let lease = if fetching { Some(harness.claim_fetch().await) } else { None };
        assert_eq!(harness.store.cancel(&harness.key, &id).await.unwrap(), CancelOutcome::Cancelled);
        assert_eq!(harness.job(&id).await.state, JobState::Cancelled);
        assert_eq!(webhooks(&harness).await, 1);
        harness.fetch_nothing().await;

        let gone = submit_remote(&harness).await;
        let lost = if fetching { Some(harness.claim_fetch().await) } else { None };
        harness.store.delete(&harness.key, std::slice::from_ref(&gone)).await.unwrap();
        assert!(harness.job(&gone).await.deleted);
        harness.fetch_nothing().await;
        for lease in [lease, lost].into_iter().flatten() {
            assert_eq!(ready(&harness, &lease).await, Fenced::Lost);
            assert_eq!(harness.store.renew_fetch(&lease, LEASE).await.unwrap(), Fenced::Lost);
        }
    }
    harness.claim_nothing().await;
}

pub async fn waiting_for_pictures_counts_as_waiting_for_a_start(harness: Harness) {
    let limit = Some(Duration::from_secs(10));
    let late = harness.submit(NewJob { start_within: limit, ..remote_job(&harness.key) }).await.id;
    let lease = harness.claim_fetch().await;
    harness.advance_seconds(10);
    assert_eq!(harness.store.time_out_starts().await.unwrap(), [late.clone()]);
    assert_eq!(ready(&harness, &lease).await, Fenced::Lost);
    assert_eq!(harness.job(&late).await.failure.unwrap().kind, FailureKind::StartTimeout);
}

pub async fn restarts_fetch_again(mut harness: Harness) {
    let ids = [submit_remote(&harness).await, submit_remote(&harness).await];
    let lost = harness.claim_fetch().await;
    assert!(harness.restart().await.is_empty(), "nothing ran");
    let fetches = [harness.claim_fetch().await, harness.claim_fetch().await];
    assert_eq!(fetches.each_ref().map(|lease| &lease.job), ids.each_ref());
    assert_eq!(ready(&harness, &lost).await, Fenced::Lost);
    for lease in &fetches {
        assert_eq!(ready(&harness, lease).await, Fenced::Done);
    }
    harness.claim().await;
    harness.claim().await;
}

pub async fn the_price_is_that_of_what_was_made(harness: Harness) {
    let run = async |rates, fetched: Fetched| -> Job {
        let mut new = remote_job(&harness.key);
        (new.spec.rates, new.spec.request.steps) = (rates, 50);
        let id = harness.submit(new).await.id;
        let lease = harness.claim_fetch().await;
        harness.store.sources_ready(&lease, fetched).await.unwrap();
        let lease = harness.claim().await.lease(&harness.worker);
        let mut made = result();
        made.facts.pictures = vec![PictureFacts::new(Size::new(256, 512)); 2];
        harness.store.succeed(&lease, made).await.unwrap();
        harness.job(&id).await
    };
    let made = run(Some(Rates { dollars: 0.1 }), fetched()).await;
    assert_eq!(made.cost_micros, 2 * 25_000, "two of an eighth of the pixels in twice the steps");
    assert_eq!(harness.store.spending(&harness.key, None).await.unwrap().cost_micros, made.cost_micros);
    // A job from before rates were kept costs what it was promised to.
    let old = run(None, Fetched { cost_micros: None, ..fetched() }).await;
    assert_eq!(old.cost_micros, new_job(&harness.key).cost_micros);
}
