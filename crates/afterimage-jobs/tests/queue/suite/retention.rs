use crate::fixtures::{Harness, START, new_job, result, with_webhook};
use afterimage_core::OutputFormat;
use afterimage_jobs::retention::{Retention, Swept, sweep, sweep_orphans};
use afterimage_jobs::{
    Blobs, Due, JobId, JobSpec, JobState, Lease, ListFilter, NewJob, NewUpload, Places, Renewed, Timestamp,
    UploadFacts, UploadId,
};
use bytes::Bytes;
use std::time::Duration;

const DAY: u64 = 24 * 3600;

async fn listed(harness: &Harness) -> u64 {
    harness.store.list(&harness.key, &ListFilter::default()).await.unwrap().total
}

/// Where the job stood that was deleted, if it was.
async fn delete(harness: &Harness, id: &JobId) -> Option<JobState> {
    // Named twice, it is removed once.
    let removed = harness.store.delete(&harness.key, &[id.clone(), id.clone()]).await.unwrap();
    assert!(removed.len() <= 1 && removed.iter().all(|removed| removed.job == *id), "{removed:?}");
    removed.first().map(|removed| removed.was)
}

async fn finish(harness: &Harness, new: NewJob) -> Lease {
    harness.submit(new).await;
    let lease = harness.claim().await.lease(&harness.worker);
    harness.store.succeed(&lease, result()).await.unwrap();
    lease
}

pub async fn deleting_removes_what_was_said(harness: Harness) {
    let id = finish(&harness, new_job(&harness.key)).await.job;
    assert_eq!(delete(&harness, &id).await, Some(JobState::Succeeded));
    assert_eq!(delete(&harness, &id).await, None);
    let job = harness.job(&id).await;
    assert_eq!((job.state, job.deleted, job.result), (JobState::Succeeded, true, None));
    assert_eq!((job.input, job.spec), (serde_json::Value::Null, JobSpec::emptied()));
    assert_eq!(listed(&harness).await, 0);
    assert_eq!(harness.store.spending(&harness.key, None).await.unwrap().jobs, 1);
}

pub async fn deleting_a_waiting_job_cancels_it(harness: Harness) {
    let id = harness.submit_plain().await.id;
    assert_eq!(delete(&harness, &id).await, Some(JobState::Queued));
    let job = harness.job(&id).await;
    assert_eq!((job.state, job.deleted), (JobState::Cancelled, true));
    harness.claim_nothing().await;
    assert_eq!(harness.store.unswept_jobs(10).await.unwrap(), [id]);
}

pub async fn deleting_a_running_job_stops_it(harness: Harness) {
    harness.submit_plain().await;
    let lease = harness.claim().await.lease(&harness.worker);
    assert_eq!(delete(&harness, &lease.job).await, Some(JobState::Running));
    assert_eq!(listed(&harness).await, 0);
    assert_ne!(harness.job(&lease.job).await.spec, JobSpec::emptied(), "the worker still needs it");
    assert!(harness.store.unswept_jobs(10).await.unwrap().is_empty());
    let renewed = harness.store.renew(&lease, Duration::from_secs(12)).await.unwrap();
    assert_eq!(renewed, Renewed::Held { cancel_requested: true });
    harness.store.succeed(&lease, result()).await.unwrap();
    let job = harness.job(&lease.job).await;
    assert_eq!((job.deleted, job.result, job.spec), (true, None, JobSpec::emptied()));
    assert_eq!(harness.store.unswept_jobs(10).await.unwrap(), [lease.job]);
}

pub async fn old_jobs_expire_and_are_forgotten(harness: Harness) {
    let old = finish(&harness, new_job(&harness.key)).await.job;
    let waiting = harness.submit_plain().await.id;
    harness.advance_seconds(8 * DAY);
    let blobs = Blobs::memory();
    let retention = Retention::default();
    let now = START.plus(Duration::from_secs(8 * DAY));
    let swept = sweep(&*harness.store, &blobs, &retention, now).await.unwrap();
    assert_eq!(swept, Swept { expired_jobs: 1, swept_jobs: 1, ..Swept::default() });
    assert!(harness.job(&old).await.deleted);
    assert_eq!(harness.job(&waiting).await.state, JobState::Queued);
    let later = now.plus(Duration::from_secs(30 * DAY));
    assert_eq!(sweep(&*harness.store, &blobs, &retention, later).await.unwrap().pruned_jobs, 1);
    assert_eq!(harness.store.job(&old).await.unwrap(), None);
    assert_eq!(sweep(&*harness.store, &blobs, &retention, later).await.unwrap(), Swept::default());
    assert_eq!(harness.claim().await.id, waiting);
}

pub async fn jobs_can_expire_earlier(harness: Harness) {
    let brief = |new: NewJob| NewJob { kept_for: Some(Duration::from_secs(60)), ..new };
    let alone = finish(&harness, brief(new_job(&harness.key))).await.job;
    let reported = finish(&harness, brief(with_webhook(new_job(&harness.key)))).await.job;
    let plain = finish(&harness, new_job(&harness.key)).await.job;
    let waiting = harness.submit(brief(new_job(&harness.key))).await.id;
    let due = |seconds| Due { now: START.plus(Duration::from_secs(seconds)), before: Timestamp(0) };
    // By the time that the caller believes, whatever the store's own clock says.
    harness.advance_seconds(1_000_000);
    assert!(harness.store.expire_jobs(due(60), 10).await.unwrap().is_empty(), "its time is not over yet");
    let over = due(61);
    assert!(harness.store.expire_jobs(over, 0).await.unwrap().is_empty());
    assert_eq!(harness.store.expire_jobs(over, 10).await.unwrap(), [alone.clone()]);
    assert!(harness.job(&alone).await.deleted);
    // The report needs what the job made.
    let delivery = harness.store.due_deliveries(1, &Places::new(8), Duration::from_secs(60)).await.unwrap().remove(0);
    harness.store.delivered(delivery.id, delivery.attempt).await.unwrap();
    assert_eq!(harness.store.expire_jobs(over, 10).await.unwrap(), [reported]);
    assert!(!harness.job(&plain).await.deleted && !harness.job(&waiting).await.deleted);
}

pub async fn jobs_with_open_webhooks_are_kept(harness: Harness) {
    let id = finish(&harness, with_webhook(new_job(&harness.key))).await.job;
    delete(&harness, &id).await;
    harness.store.mark_jobs_swept(std::slice::from_ref(&id)).await.unwrap();
    assert_eq!(harness.store.prune_jobs(Timestamp(i64::MAX), 10).await.unwrap(), 0);
    let delivery = harness.store.due_deliveries(1, &Places::new(8), Duration::from_secs(60)).await.unwrap().remove(0);
    harness.store.delivered(delivery.id, delivery.attempt).await.unwrap();
    assert_eq!(harness.store.prune_jobs(Timestamp(i64::MAX), 10).await.unwrap(), 1);
    assert_eq!(harness.store.job(&id).await.unwrap(), None);
}

pub async fn files_follow_their_rows(harness: Harness) {
    let blobs = Blobs::memory();
    let lease = finish(&harness, new_job(&harness.key)).await;
    let upload = UploadId::random();
    let paths = [
        Blobs::input_path(&lease.job, 0),
        Blobs::result_path(&lease, &"00".repeat(32), OutputFormat::Jpeg),
        Blobs::new_upload_path(&upload, "image/png"),
    ];
    for path in &paths {
        blobs.put(path, Bytes::from_static(b"x")).await.unwrap();
    }
    let facts =
        UploadFacts { blob: paths[2].clone(), content_type: "image/png".to_owned(), bytes: 1, width: 1, height: 1 };
    let new = NewUpload {
        id: upload.clone(),
        key: harness.key.clone(),
        filename: "../../x".to_owned(),
        declared_type: "text/html".to_owned(),
        facts: Some(facts),
        kept_for: None,
    };
    harness.store.create_upload(new).await.unwrap();
    let now = START.plus(Duration::from_secs(8 * DAY));
    let swept = sweep(&*harness.store, &blobs, &Retention::default(), now).await.unwrap();
    assert_eq!((swept.swept_jobs, swept.uploads), (1, 1));
    for path in &paths {
        assert_eq!(blobs.get(path).await.unwrap(), None, "{path}");
    }
    assert_eq!(harness.store.upload(&upload).await.unwrap(), None);
}

pub async fn orphans_are_found(harness: Harness) {
    let blobs = Blobs::memory();
    harness.submit_plain().await;
    let lease = harness.claim().await.lease(&harness.worker);
    let kept = Blobs::input_path(&lease.job, 0);
    let wanted = Blobs::result_path(&lease, "aa", OutputFormat::Jpeg);
    let stale = Blobs::result_path(&lease, "bb", OutputFormat::Jpeg);
    let unknown = [Blobs::input_path(&JobId::random(), 0), Blobs::new_upload_path(&UploadId::random(), "image/png")];
    for path in [&kept, &wanted, &stale].into_iter().chain(&unknown) {
        blobs.put(path, Bytes::from_static(b"x")).await.unwrap();
    }
    let orphans = async |now| sweep_orphans(&*harness.store, &blobs, &Retention::default(), now).await.unwrap();
    let stored_at = blobs.list("inputs").await.unwrap()[0].modified_at;
    assert_eq!(orphans(stored_at).await, 0, "they are too young");
    let later = stored_at.plus(Duration::from_secs(2 * DAY));
    assert_eq!(orphans(later).await, 2, "a running job may still need its files");
    let mut made = result();
    made.files[0].blob.clone_from(&wanted);
    harness.store.succeed(&lease, made).await.unwrap();
    assert_eq!(orphans(later).await, 1);
    assert!(blobs.get(&wanted).await.unwrap().is_some() && blobs.get(&kept).await.unwrap().is_some());
    assert!(blobs.get(&stale).await.unwrap().is_none());
}

pub async fn what_is_due_can_be_asked(harness: Harness) {
    let old = finish(&harness, new_job(&harness.key)).await.job;
    harness.advance_seconds(100);
    let young = finish(&harness, new_job(&harness.key)).await.job;
    let due = Due { now: START, before: START.plus(Duration::from_secs(50)) };
    assert_eq!(harness.store.due_jobs(due, 10).await.unwrap(), [old.clone()]);
    assert!(!harness.job(&old).await.deleted, "nothing is written");
    assert!(harness.store.due_jobs(due, 0).await.unwrap().is_empty());
    assert_eq!(harness.store.expire_jobs(due, 10).await.unwrap(), [old]);
    assert!(harness.store.due_jobs(due, 10).await.unwrap().is_empty());
    assert!(!harness.job(&young).await.deleted);
}

pub async fn parts_of_uploads_wait_two_hours_for_the_rest(harness: Harness) {
    let blobs = Blobs::memory();
    let (upload, path) = {
        let id = UploadId::random();
        let path = Blobs::part_path(&id, 1);
        (harness.store.create_upload(NewUpload { id, ..pending_upload(&harness) }).await.unwrap(), path)
    };
    blobs.put(&path, Bytes::from_static(b"x")).await.unwrap();
    let put_at = blobs.list("parts").await.unwrap()[0].modified_at;
    let orphans = async |hours| {
        let now = put_at.plus(Duration::from_hours(hours)).plus(Duration::from_secs(1));
        sweep_orphans(&*harness.store, &blobs, &Retention::default(), now).await.unwrap()
    };
    assert_eq!(orphans(1).await, 0);
    assert_eq!(orphans(2).await, 1, "nobody can complete it any more");
    assert_eq!(blobs.get(&path).await.unwrap(), None);
    // They go with their upload, too.
    blobs.put(&path, Bytes::from_static(b"x")).await.unwrap();
    blobs.delete_uploads(&[upload.id]).await.unwrap();
    assert_eq!(blobs.get(&path).await.unwrap(), None);
}

fn pending_upload(harness: &Harness) -> NewUpload {
    NewUpload {
        id: UploadId::random(),
        key: harness.key.clone(),
        filename: String::new(),
        declared_type: String::new(),
        facts: None,
        kept_for: None,
    }
}
