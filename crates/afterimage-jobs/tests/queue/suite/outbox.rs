use crate::fixtures::{Harness, failure, new_job, result, with_webhook};
use afterimage_jobs::{Delivery, FailureKind, Fenced, JobId, KeyId, NewJob, NextTry, Places};
use std::time::Duration;

const SENDING: Duration = Duration::from_secs(90);

async fn due(harness: &Harness) -> Vec<Delivery> {
    harness.store.due_deliveries(100, &Places::new(1000), SENDING).await.unwrap()
}

async fn ended_job(harness: &Harness) -> JobId {
    ended_job_of(harness, &harness.key).await
}

async fn ended_job_of(harness: &Harness, key: &KeyId) -> JobId {
    let id = harness.submit(with_webhook(new_job(key))).await.id;
    harness.store.cancel(key, &id).await.unwrap();
    id
}

pub async fn every_ending_writes_its_webhook_once(harness: Harness) {
    let mut jobs = Vec::new();
    for _ in 0..5 {
        jobs.push(harness.submit(with_webhook(new_job(&harness.key))).await.id);
    }
    let late = NewJob { start_within: Some(Duration::from_secs(5)), ..with_webhook(new_job(&harness.key)) };
    jobs.push(harness.submit(late).await.id);
    harness.submit_plain().await;
    assert!(due(&harness).await.is_empty());

    let leases = [harness.claim().await, harness.claim().await, harness.claim().await, harness.claim().await]
        .map(|job| job.lease(&harness.worker));
    harness.store.succeed(&leases[0], result()).await.unwrap();
    harness.store.fail(&leases[1], failure(FailureKind::Engine)).await.unwrap();
    harness.store.cancel(&harness.key, &leases[2].job).await.unwrap();
    harness.store.cancelled(&leases[2]).await.unwrap();
    harness.store.crashed(&leases[3], "once").await.unwrap();
    let again = harness.claim().await.lease(&harness.worker);
    harness.store.crashed(&again, "twice").await.unwrap();
    harness.store.delete(&harness.key, std::slice::from_ref(&jobs[4])).await.unwrap();
    harness.advance_seconds(5);
    harness.store.time_out_starts().await.unwrap();
    // Repetitions change nothing.
    harness.store.succeed(&leases[0], result()).await.unwrap();
    harness.store.cancel(&harness.key, &jobs[2]).await.unwrap();

    let deliveries = due(&harness).await;
    let told: Vec<JobId> = deliveries.iter().map(|delivery| delivery.job.clone()).collect();
    assert_eq!(told, jobs);
    assert!(deliveries.iter().all(|delivery| delivery.url == "https://example.com/hook" && delivery.attempt == 1));
    assert_eq!(harness.store.open_deliveries().await.unwrap(), 6);
}

pub async fn leases_keep_two_senders_apart(harness: Harness) {
    ended_job(&harness).await;
    let first = due(&harness).await.remove(0);
    assert!(due(&harness).await.is_empty());
    // The sender died: somebody else sends, and the first one's word no longer counts.
    harness.clock.advance(SENDING);
    let second = due(&harness).await.remove(0);
    assert_eq!((second.id, second.attempt), (first.id, 2));
    assert_eq!(harness.store.delivered(first.id, first.attempt).await.unwrap(), Fenced::Lost);
    assert_eq!(harness.store.delivered(second.id, second.attempt).await.unwrap(), Fenced::Done);
    assert_eq!(harness.store.delivered(second.id, second.attempt).await.unwrap(), Fenced::Lost);
    harness.clock.advance(SENDING * 2);
    assert!(due(&harness).await.is_empty());
}

pub async fn failures_are_tried_again_or_given_up(harness: Harness) {
    ended_job(&harness).await;
    let first = due(&harness).await.remove(0);
    let next = NextTry::After(Duration::from_secs(300));
    assert_eq!(harness.store.delivery_failed(first.id, 1, next, "refused").await.unwrap(), Fenced::Done);
    harness.advance_seconds(299);
    assert!(due(&harness).await.is_empty());
    harness.advance_seconds(1);
    let second = due(&harness).await.remove(0);
    assert_eq!(second.attempt, 2);
    assert_eq!(harness.store.delivery_failed(first.id, 2, NextTry::GiveUp, "410").await.unwrap(), Fenced::Done);
    harness.advance_seconds(3600);
    assert!(due(&harness).await.is_empty());
    assert_eq!(harness.store.open_deliveries().await.unwrap(), 0);
}

pub async fn deliveries_survive_a_restart(mut harness: Harness) {
    let id = ended_job(&harness).await;
    harness.restart().await;
    let delivery = due(&harness).await.remove(0);
    assert_eq!(delivery.job, id);
    // Its sender is gone, so nobody waits for its lease; a pause after a failure is kept.
    harness.restart().await;
    let again = due(&harness).await.remove(0);
    assert_eq!((again.id, again.attempt), (delivery.id, 2));
    let next = NextTry::After(SENDING);
    harness.store.delivery_failed(again.id, 2, next, "refused").await.unwrap();
    harness.restart().await;
    assert!(due(&harness).await.is_empty());
    harness.clock.advance(SENDING);
    assert_eq!(due(&harness).await.len(), 1);
}

pub async fn keys_take_turns(harness: Harness) {
    for _ in 0..20 {
        ended_job(&harness).await;
    }
    harness.advance_seconds(1);
    let late = ended_job_of(&harness, &harness.other_key).await;
    let take = async |limit, places: &Places| harness.store.due_deliveries(limit, places, SENDING).await.unwrap();
    let first = take(4, &Places::new(100)).await;
    assert_eq!(first.len(), 4);
    assert_eq!((&first[1].job, &first[1].key), (&late, &harness.other_key), "the second turn is the other key's");
    assert!(first.iter().filter(|delivery| delivery.key == harness.key).count() == 3);
    // A key that has its share in hand gets no more, however much of it is due.
    let mut places = Places::new(10);
    while places.take(&harness.key) {}
    assert_eq!(take(100, &places).await, []);
    let newcomer = ended_job_of(&harness, &harness.other_key).await;
    let due = take(100, &places).await;
    assert_eq!(due.iter().map(|delivery| &delivery.job).collect::<Vec<_>>(), [&newcomer]);
    assert_eq!(take(100, &Places::new(10)).await.len(), 5, "half of the places");
}

pub async fn a_postponed_webhook_comes_first_and_loses_no_try(harness: Harness) {
    let first = ended_job(&harness).await;
    let taken = due(&harness).await.remove(0);
    let next = NextTry::Postponed(Duration::from_secs(30));
    assert_eq!(harness.store.delivery_failed(taken.id, 1, next, "busy").await.unwrap(), Fenced::Done);
    for _ in 0..3 {
        ended_job(&harness).await;
    }
    assert_eq!(due(&harness).await.len(), 3, "it is not due yet");
    // Those are back, since nobody noted what came of them, and have been due for longer.
    harness.clock.advance(SENDING);
    let again = due(&harness).await;
    assert_eq!(again.len(), 4);
    assert_eq!((&again[0].job, again[0].attempt, again[0].failures), (&first, 2, 0));
    let next = NextTry::After(SENDING + Duration::from_secs(1));
    harness.store.delivery_failed(again[0].id, 2, next, "refused").await.unwrap();
    harness.clock.advance(SENDING * 2);
    let last = due(&harness).await;
    assert_eq!(
        (&last.last().unwrap().job, last.last().unwrap().failures),
        (&first, 1),
        "a try that failed waits its turn"
    );
}
