//! What holds wherever files are kept.

use crate::place::Place;
use afterimage_jobs::retention::{Retention, sweep_orphans};
use afterimage_jobs::{
    Blobs, Clock, JobId, KeyStore, MemoryStore, NewKey, NewUpload, SystemClock, UploadFacts, UploadId, UploadStore,
};
use bytes::Bytes;
use futures_util::TryStreamExt;
use std::sync::Arc;
use std::time::Duration;

const CONTENT: Bytes = Bytes::from_static(b"content");

pub async fn files_come_back_and_go(place: &Place) {
    let blobs = &place.blobs;
    let job = JobId::random();
    let path = Blobs::input_path(&job, 0);
    assert_eq!(blobs.get(&path).await.unwrap(), None);
    assert_eq!(blobs.length(&path).await.unwrap(), None);
    blobs.put(&path, Bytes::from_static(b"one")).await.unwrap();
    blobs.put(&path, Bytes::from_static(b"two!")).await.unwrap();
    assert_eq!(blobs.get(&path).await.unwrap(), Some(Bytes::from_static(b"two!")));
    assert_eq!(blobs.length(&path).await.unwrap(), Some(4));
    let listed = blobs.list("inputs").await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].path.as_str(), listed[0].bytes), (path.as_str(), 4));
    blobs.delete_job(&job).await.unwrap();
    assert_eq!(blobs.get(&path).await.unwrap(), None);
    blobs.delete(&path).await.unwrap();
}

pub async fn copies_outlive_their_source_and_are_young(place: &Place) {
    let blobs = &place.blobs;
    let (from, to) = (Blobs::new_upload_path(&UploadId::random(), "image/png"), Blobs::input_path(&JobId::random(), 0));
    assert_eq!(blobs.copy(&from, &to).await.unwrap(), None);
    blobs.put(&from, CONTENT).await.unwrap();
    place.make_old(&from);
    assert_eq!(blobs.copy(&from, &to).await.unwrap(), Some(7));
    blobs.delete(&from).await.unwrap();
    assert_eq!(blobs.get(&to).await.unwrap(), Some(CONTENT));
    let age = SystemClock.now().since(blobs.list("inputs").await.unwrap()[0].modified_at);
    assert!(age < Duration::from_mins(1), "{age:?}");
}

pub async fn parts_of_a_file_are_streamed(place: &Place) {
    let blobs = &place.blobs;
    let path = Blobs::input_path(&JobId::random(), 0);
    assert!(blobs.open(&path, None).await.unwrap().is_none());
    blobs.put(&path, CONTENT).await.unwrap();
    for (range, expected) in [(None, "content"), (Some(2..4), "nt"), (Some(5..100), "nt")] {
        let file = blobs.open(&path, range.clone()).await.unwrap().unwrap();
        assert_eq!(file.bytes, 7, "{range:?}");
        assert_eq!(file.range.end - file.range.start, expected.len() as u64, "{range:?}");
        let pieces: Vec<Bytes> = file.stream.try_collect().await.unwrap();
        assert_eq!(pieces.concat(), expected.as_bytes(), "{range:?}");
    }
    assert!(blobs.open(&path, Some(7..9)).await.is_err(), "behind the end");
}

pub async fn jobs_and_uploads_go_as_a_whole(place: &Place) {
    let blobs = &place.blobs;
    let (job, other) = (JobId::random(), JobId::random());
    for number in 0..3 {
        blobs.put(&Blobs::input_path(&job, number), CONTENT).await.unwrap();
    }
    let kept = Blobs::input_path(&other, 0);
    blobs.put(&kept, CONTENT).await.unwrap();
    blobs.delete_job(&job).await.unwrap();
    let left: Vec<String> = blobs.list("inputs").await.unwrap().into_iter().map(|blob| blob.path).collect();
    assert_eq!(left, [kept]);

    let upload = UploadId::random();
    blobs.put(&Blobs::new_upload_path(&upload, "image/png"), CONTENT).await.unwrap();
    blobs.put(&Blobs::part_path(&upload, 1), CONTENT).await.unwrap();
    blobs.delete_uploads(&[upload]).await.unwrap();
    assert_eq!(blobs.list("uploads").await.unwrap(), []);
    assert_eq!(blobs.list("parts").await.unwrap(), []);
}

pub async fn uploads_of_earlier_versions_go_too(place: &Place) {
    let blobs = &place.blobs;
    let uploads = [UploadId::random(), UploadId::random()];
    let path = format!("uploads/{}", uploads[0]);
    blobs.put(&path, CONTENT).await.unwrap();
    blobs.put(&Blobs::new_upload_path(&uploads[1], "image/png"), CONTENT).await.unwrap();
    assert_eq!(blobs.get(&path).await.unwrap(), Some(CONTENT));
    blobs.delete_uploads(&uploads).await.unwrap();
    assert_eq!(blobs.list("uploads").await.unwrap(), []);
}

/// Of two hosts that took the bytes of one upload, one may have ended before it removed its own.
pub async fn files_nobody_knows_are_found(place: &Place) {
    let (blobs, store) = (&place.blobs, MemoryStore::new(Arc::new(SystemClock)));
    let key = store.create_key(NewKey::default()).await.unwrap().0.id;
    let id = UploadId::random();
    let paths: Vec<String> = (0..40).map(|_| Blobs::new_upload_path(&id, "image/png")).collect();
    for path in &paths {
        blobs.put(path, CONTENT).await.unwrap();
    }
    let facts =
        UploadFacts { blob: paths[7].clone(), content_type: "image/png".to_owned(), bytes: 7, width: 1, height: 1 };
    let (filename, declared_type) = (String::new(), String::new());
    let upload = NewUpload { id, key, filename, declared_type, facts: Some(facts), kept_for: None };
    store.create_upload(upload).await.unwrap();
    blobs.put(&Blobs::input_path(&JobId::random(), 0), CONTENT).await.unwrap();
    let tomorrow = SystemClock.now().plus(Duration::from_hours(25));
    let orphans = sweep_orphans(&store, blobs, &Retention::default(), tomorrow).await.unwrap();
    assert_eq!(orphans, 40);
    let left: Vec<String> = blobs.list("uploads").await.unwrap().into_iter().map(|file| file.path).collect();
    assert_eq!(left, [paths[7].clone()]);
    assert_eq!(blobs.list("inputs").await.unwrap(), []);
}
