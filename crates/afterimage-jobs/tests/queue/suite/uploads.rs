use crate::fixtures::{Harness, START};
use afterimage_jobs::{Due, Error, KeyId, NewUpload, UploadFacts, UploadId, UploadState};
use std::time::Duration;

fn facts(id: &UploadId) -> UploadFacts {
    UploadFacts {
        blob: format!("uploads/{id}/0.png"),
        content_type: "image/png".to_owned(),
        bytes: 50_000_000,
        width: 10_000,
        height: 9_999,
    }
}

fn pending(key: &KeyId) -> NewUpload {
    NewUpload {
        id: UploadId::random(),
        key: key.clone(),
        filename: "C:\\ü\u{0}.png".to_owned(),
        declared_type: "image/png".to_owned(),
        facts: None,
        kept_for: None,
    }
}

pub async fn an_upload_is_completed_once(mut harness: Harness) {
    let new = pending(&harness.key);
    let noted = harness.store.create_upload(new.clone()).await.unwrap();
    assert_eq!((noted.state, &noted.filename), (UploadState::Pending, &new.filename));
    harness.restart().await;
    let done = harness.store.finish_upload(&new.id, facts(&new.id)).await.unwrap().unwrap();
    assert_eq!(done.state, UploadState::Ready(facts(&new.id)));
    assert_eq!(harness.store.finish_upload(&new.id, facts(&UploadId::random())).await.unwrap(), None);
    assert_eq!(harness.store.upload(&new.id).await.unwrap(), Some(done));
    assert_eq!(harness.store.finish_upload(&UploadId::random(), facts(&new.id)).await.unwrap(), None);
}

pub async fn an_upload_can_come_complete(harness: Harness) {
    let new = pending(&harness.key);
    let complete = NewUpload { facts: Some(facts(&new.id)), ..new.clone() };
    let noted = harness.store.create_upload(complete).await.unwrap();
    assert_eq!(harness.store.upload(&new.id).await.unwrap(), Some(noted));
    assert_eq!(harness.store.finish_upload(&new.id, facts(&new.id)).await.unwrap(), None);
    let nobodys = pending(&KeyId::from("nobody"));
    assert!(matches!(harness.store.create_upload(nobodys).await, Err(Error::UnknownKey { .. })));
}

pub async fn uploads_expire(harness: Harness) {
    let old = pending(&harness.key);
    harness.store.create_upload(old.clone()).await.unwrap();
    harness.advance_seconds(10);
    let young = pending(&harness.key);
    harness.store.create_upload(young.clone()).await.unwrap();
    let due = Due { now: START, before: START.plus(Duration::from_secs(10)) };
    assert_eq!(harness.store.due_uploads(due, 10).await.unwrap(), [old.id.clone()]);
    assert_eq!(harness.store.expire_uploads(due, 10).await.unwrap(), 1);
    assert!(harness.store.due_uploads(due, 10).await.unwrap().is_empty());
    assert_eq!(harness.store.upload(&old.id).await.unwrap(), None);
    assert_eq!(harness.store.finish_upload(&old.id, facts(&old.id)).await.unwrap(), None);
    assert!(harness.store.upload(&young.id).await.unwrap().is_some());
    assert_eq!(harness.store.unswept_uploads(10).await.unwrap(), [old.id.clone()]);
    harness.store.forget_uploads(&[old.id, young.id.clone()]).await.unwrap();
    assert!(harness.store.unswept_uploads(10).await.unwrap().is_empty());
    assert!(harness.store.upload(&young.id).await.unwrap().is_some());
}

pub async fn uploads_can_expire_earlier(mut harness: Harness) {
    let plain = pending(&harness.key);
    let brief = NewUpload { kept_for: Some(Duration::from_secs(60)), ..pending(&harness.key) };
    for new in [&plain, &brief] {
        let noted = harness.store.create_upload(new.clone()).await.unwrap();
        assert_eq!(noted.kept_for, new.kept_for);
    }
    harness.restart().await;
    assert_eq!(harness.store.upload(&brief.id).await.unwrap().unwrap().kept_for, brief.kept_for);
    let due = |seconds| Due { now: START.plus(Duration::from_secs(seconds)), before: START };
    assert_eq!(harness.store.expire_uploads(due(60), 10).await.unwrap(), 0);
    // By the time that the caller believes, whatever the store's own clock says.
    harness.advance_seconds(1_000_000);
    assert_eq!(harness.store.expire_uploads(due(60), 10).await.unwrap(), 0);
    assert_eq!(harness.store.due_uploads(due(61), 10).await.unwrap(), [brief.id.clone()]);
    assert_eq!(harness.store.expire_uploads(due(61), 10).await.unwrap(), 1);
    assert_eq!(harness.store.unswept_uploads(10).await.unwrap(), [brief.id]);
    assert!(harness.store.upload(&plain.id).await.unwrap().is_some());
}

pub async fn revoked_keys_send_nothing(harness: Harness) {
    harness.store.revoke_key(&harness.key).await.unwrap();
    let refused = harness.store.create_upload(pending(&harness.key)).await;
    assert!(matches!(refused, Err(Error::UnknownKey { .. })), "{refused:?}");
}
