use crate::fixtures::{Harness, new_job, with_webhook};
use afterimage_core::LoraChoice;
use afterimage_jobs::{Error, Idempotency, JobState, KeyId, NewJob, Priority, Submitted};
use std::time::Duration;

fn idempotent(mut job: NewJob, key: &str, fingerprint: &str) -> NewJob {
    job.idempotency = Some(Idempotency { key: key.to_owned(), fingerprint: fingerprint.to_owned() });
    job
}

pub async fn a_job_comes_back_as_it_was_sent(harness: Harness) {
    let mut new = with_webhook(new_job(&harness.key));
    let lora = |name: &str, scale| LoraChoice { name: name.parse().unwrap(), scale };
    new.spec.request.loras = vec![lora("film-grain", 0.1), lora("Ink.v2", -4.0)];
    new.priority = Priority::High;
    new.user = Some("someone".to_owned());
    new.start_within = Some(Duration::from_secs(9));
    new.kept_for = Some(Duration::from_secs(90));
    let Submitted::Created(submitted) = harness.store.submit(new.clone()).await.unwrap() else { panic!("not new") };
    let job = harness.job(&new.id).await;
    assert_eq!(job, submitted);
    assert_eq!((job.key, job.dialect, job.model), (new.key, new.dialect, new.model));
    assert_eq!((job.input, job.spec, job.webhook), (new.input, new.spec, new.webhook));
    assert_eq!((job.priority, job.user, job.cost_micros), (new.priority, new.user, new.cost_micros));
    assert_eq!(job.input_bytes, new.input_bytes);
    assert_eq!(job.start_by, Some(job.created_at.plus(Duration::from_secs(9))));
    assert_eq!((job.state, job.attempt, job.kept_for, job.deleted), (JobState::Queued, 0, new.kept_for, false));
}

pub async fn it_survives_a_restart(mut harness: Harness) {
    let jobs = [harness.submit_plain().await, harness.submit_plain().await];
    assert!(harness.restart().await.is_empty());
    for job in &jobs {
        assert_eq!(harness.job(&job.id).await, *job);
    }
    assert_eq!(harness.claim().await.id, jobs[0].id);
}

pub async fn the_same_id_finds_the_same_job(harness: Harness) {
    let new = new_job(&harness.key);
    let first = harness.submit(new.clone()).await;
    assert_eq!(harness.store.submit(new.clone()).await.unwrap(), Submitted::Existing(first));
    let stolen = NewJob { key: harness.other_key.clone(), ..new };
    assert!(matches!(harness.store.submit(stolen).await, Err(Error::IdempotencyConflict { .. })));
    assert_eq!(harness.store.queue_depth().await.unwrap().queued, 1);
}

pub async fn an_idempotency_key_finds_its_job(mut harness: Harness) {
    let first = harness.submit(idempotent(new_job(&harness.key), "k", "f")).await;
    let again = harness.store.submit(idempotent(new_job(&harness.key), "k", "f")).await.unwrap();
    assert_eq!(again, Submitted::Existing(first.clone()));
    harness.restart().await;
    harness.claim().await;
    let later = harness.submit(idempotent(new_job(&harness.key), "k", "f")).await;
    assert_eq!((later.id, later.state), (first.id.clone(), JobState::Running));
    // With the job goes its key.
    harness.store.cancel(&harness.key, &first.id).await.unwrap();
    harness.store.cancelled(&harness.job(&first.id).await.lease(&harness.worker)).await.unwrap();
    harness.store.delete(&harness.key, std::slice::from_ref(&first.id)).await.unwrap();
    let fresh = harness.submit(idempotent(new_job(&harness.key), "k", "other")).await;
    assert_ne!(fresh.id, first.id);
}

pub async fn another_body_is_a_conflict(harness: Harness) {
    let first = harness.submit(idempotent(new_job(&harness.key), "k", "f")).await;
    let error = harness.store.submit(idempotent(new_job(&harness.key), "k", "g")).await.unwrap_err();
    assert!(matches!(error, Error::IdempotencyConflict { job } if job == first.id));
}

pub async fn keys_do_not_share_idempotency_keys(harness: Harness) {
    let one = harness.submit(idempotent(new_job(&harness.key), "k", "f")).await;
    let two = harness.submit(idempotent(new_job(&harness.other_key), "k", "g")).await;
    assert_ne!(one.id, two.id);
}

pub async fn an_unknown_key_is_refused(harness: Harness) {
    let error = harness.store.submit(new_job(&KeyId::from("nobody"))).await.unwrap_err();
    assert!(matches!(error, Error::UnknownKey { key } if key.as_str() == "nobody"));
    harness.claim_nothing().await;
}

pub async fn a_revoked_key_is_refused(harness: Harness) {
    harness.store.revoke_key(&harness.key).await.unwrap();
    let error = harness.store.submit(new_job(&harness.key)).await.unwrap_err();
    assert!(matches!(error, Error::UnknownKey { key } if key == harness.key));
    harness.claim_nothing().await;
}

pub async fn a_repetition_can_be_looked_up(harness: Harness) {
    let first = harness.submit(idempotent(new_job(&harness.key), "k", "f")).await;
    let asked = |key: &str, fingerprint: &str| Idempotency { key: key.to_owned(), fingerprint: fingerprint.to_owned() };
    let store = &harness.store;
    assert_eq!(store.repeated(&harness.key, &asked("k", "f")).await.unwrap(), Some(first.clone()));
    assert_eq!(store.repeated(&harness.key, &asked("l", "f")).await.unwrap(), None);
    assert_eq!(store.repeated(&harness.other_key, &asked("k", "f")).await.unwrap(), None);
    let error = store.repeated(&harness.key, &asked("k", "g")).await.unwrap_err();
    assert!(matches!(error, Error::IdempotencyConflict { job } if job == first.id));
}

/// Characters that databases or their stores treat in some way of their own.
pub async fn any_text_comes_back(harness: Harness) {
    let text = "nul \u{0} private \u{f0000}0 \u{f0000}1 \u{f0000}\u{10ffff} \\u0000 'quoted' \u{f0000}";
    let mut new = new_job(&harness.key);
    new.spec.request.prompt = Some(text.to_owned());
    new.input = serde_json::json!({"prompt": text});
    new.user = Some(text.to_owned());
    let sent = harness.submit(new).await;
    let claimed = harness.claim().await;
    assert_eq!((&claimed.spec, &claimed.input, &claimed.user), (&sent.spec, &sent.input, &sent.user));
    let mut result = crate::fixtures::result();
    text.clone_into(&mut result.files[0].content_type);
    harness.store.succeed(&claimed.lease(&harness.worker), result.clone()).await.unwrap();
    assert_eq!(harness.job(&sent.id).await.result, Some(result));
    assert_eq!(harness.store.spending(&harness.key, Some(text)).await.unwrap().jobs, 1);
}
