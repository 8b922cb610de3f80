use crate::fixtures::{Harness, LEASE, fetched, new_job, remote_job, result};
use afterimage_jobs::{
    Blobs, Due, JobResult, KeyId, NewUpload, ResultFile, StorageUse, Timestamp, UploadFacts, UploadId,
};

const ALWAYS: Timestamp = Timestamp(i64::MAX);

fn upload(key: &KeyId, bytes: Option<u64>) -> NewUpload {
    let id = UploadId::random();
    NewUpload {
        key: key.clone(),
        filename: String::new(),
        declared_type: String::new(),
        facts: bytes.map(|bytes| facts(&id, bytes)),
        kept_for: None,
        id,
    }
}

fn facts(id: &UploadId, bytes: u64) -> UploadFacts {
    UploadFacts {
        blob: Blobs::new_upload_path(id, "image/png"),
        content_type: "image/png".to_owned(),
        bytes,
        width: 1,
        height: 1,
    }
}

/// Two files of 100 and 23 bytes.
fn large_result() -> JobResult {
    let file = |bytes| ResultFile { bytes, ..result().files.remove(0) };
    JobResult { files: vec![file(100), file(23)], ..result() }
}

async fn bytes(harness: &Harness) -> u64 {
    harness.store.stored_bytes(&harness.key).await.unwrap()
}

pub async fn uploads_count_until_their_files_are_gone(mut harness: Harness) {
    assert_eq!(bytes(&harness).await, 0);
    let complete = upload(&harness.key, Some(1000));
    let ticket = upload(&harness.key, None);
    harness.store.create_upload(complete.clone()).await.unwrap();
    harness.store.create_upload(ticket.clone()).await.unwrap();
    assert_eq!(bytes(&harness).await, 1000, "a ticket weighs nothing");
    harness.store.finish_upload(&ticket.id, facts(&ticket.id, 234)).await.unwrap();
    harness.store.finish_upload(&ticket.id, facts(&ticket.id, 999)).await.unwrap();
    harness.restart().await;
    assert_eq!(bytes(&harness).await, 1234);
    let due = Due { now: ALWAYS, before: ALWAYS };
    assert_eq!(harness.store.expire_uploads(due, 10).await.unwrap(), 2);
    assert_eq!(bytes(&harness).await, 1234, "the files are still there");
    harness.store.forget_uploads(&[complete.id]).await.unwrap();
    assert_eq!(bytes(&harness).await, 234);
    harness.store.forget_uploads(&[ticket.id]).await.unwrap();
    assert_eq!(bytes(&harness).await, 0);
}

pub async fn results_count_until_they_are_swept(mut harness: Harness) {
    harness.submit_plain().await;
    let lease = harness.claim().await.lease(&harness.worker);
    assert_eq!(bytes(&harness).await, 100, "its input");
    harness.store.succeed(&lease, large_result()).await.unwrap();
    // The answer of a worker that lost its lease counts for nothing.
    harness.store.succeed(&lease, large_result()).await.unwrap();
    harness.restart().await;
    assert_eq!(bytes(&harness).await, 223);
    harness.store.delete(&harness.key, std::slice::from_ref(&lease.job)).await.unwrap();
    assert_eq!(bytes(&harness).await, 223, "the files are still there");
    harness.store.mark_jobs_swept(std::slice::from_ref(&lease.job)).await.unwrap();
    harness.store.mark_jobs_swept(std::slice::from_ref(&lease.job)).await.unwrap();
    assert_eq!(bytes(&harness).await, 0);
    assert_eq!(harness.store.prune_jobs(ALWAYS, 10).await.unwrap(), 1);
    assert_eq!(bytes(&harness).await, 0);
}

pub async fn a_job_deleted_while_it_runs_counts_its_files(harness: Harness) {
    harness.submit_plain().await;
    let lease = harness.claim().await.lease(&harness.worker);
    harness.store.delete(&harness.key, std::slice::from_ref(&lease.job)).await.unwrap();
    harness.store.succeed(&lease, large_result()).await.unwrap();
    assert_eq!(bytes(&harness).await, 223);
    harness.store.mark_jobs_swept(&[lease.job]).await.unwrap();
    assert_eq!(bytes(&harness).await, 0);
}

pub async fn pictures_count_when_they_were_fetched(harness: Harness) {
    harness.submit(remote_job(&harness.key)).await;
    assert_eq!(bytes(&harness).await, 0);
    let (_, lease) = harness.store.claim_fetch(&[], LEASE).await.unwrap().unwrap();
    harness.store.sources_ready(&lease, fetched()).await.unwrap();
    harness.store.sources_ready(&lease, fetched()).await.unwrap();
    assert_eq!(bytes(&harness).await, 40);
}

pub async fn each_key_has_its_own_sum(harness: Harness) {
    harness.submit(new_job(&harness.other_key)).await;
    let lease = harness.claim().await.lease(&harness.worker);
    harness.store.succeed(&lease, large_result()).await.unwrap();
    harness.store.create_upload(upload(&harness.key, Some(500))).await.unwrap();
    let (one, two) = ((harness.key.clone(), 500), (harness.other_key.clone(), 223));
    let used = harness.store.storage_use(10).await.unwrap();
    assert_eq!(used, StorageUse { largest: vec![one.clone(), two], total: 723 });
    let used = harness.store.storage_use(1).await.unwrap();
    assert_eq!(used, StorageUse { largest: vec![one], total: 723 });
    assert_eq!(harness.store.stored_bytes(&KeyId::from("nobody")).await.unwrap(), 0);
}
