//! What is so of buckets only: what goes wrong with them, and addresses of their own.

use crate::place::{Place, new_bucket, open_bucket};
use crate::s3_server::{S3Server, plain_http};
use crate::unsteady_proxy::{Line, UnsteadyProxy};
use afterimage_jobs::{Blobs, Error, JobId, StorageClaim, UploadId};
use bytes::Bytes;
use futures_util::TryStreamExt;
use std::net::TcpListener;
use std::time::{Duration, Instant};

const CONTENT: Bytes = Bytes::from_static(b"content");

/// How long whoever submits waits for the refusal.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// The error of a start, which has to say all of `named`.
fn refused(opened: afterimage_jobs::Result<Blobs>, named: &[&str]) {
    let error = opened.unwrap_err().to_string();
    assert!(named.iter().all(|text| error.contains(text)), "{named:?} in {error}");
}

#[tokio::test]
async fn a_missing_bucket_is_told_at_the_start() {
    let Some(server) = S3Server::shared() else { return };
    let endpoint = format!("http://{}", server.address);
    refused(open_bucket(server.address, "missing").await, &["\"missing\"", &endpoint, "make it"]);
}

#[tokio::test]
async fn wrong_credentials_are_told_at_the_start() {
    let Some(server) = S3Server::that_checks_keys() else { return };
    let named = ["\"any\"", "InvalidAccessKeyId", "AWS_SECRET_ACCESS_KEY"];
    refused(open_bucket(server.address, "any").await, &named);
}

#[tokio::test]
async fn an_endpoint_that_does_not_answer_is_told_at_the_start() {
    let nowhere = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let start = Instant::now();
    refused(open_bucket(nowhere, "any").await, &["\"any\"", &nowhere.to_string()]);
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    refused(open_bucket(deaf.local_addr().unwrap(), "any").await, &["no answer within 5 s", "credentials"]);
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}

#[tokio::test]
async fn an_outage_is_told_soon_and_passes() {
    let Some(server) = S3Server::shared() else { return };
    let bucket = new_bucket(server).await;
    let proxy = UnsteadyProxy::before(server.address).await;
    let blobs = open_bucket(proxy.address, &bucket).await.unwrap();
    let path = Blobs::input_path(&JobId::random(), 0);
    for line in [Line::Cut, Line::Stalled] {
        proxy.set(line);
        let start = Instant::now();
        let error = blobs.put(&path, CONTENT).await.unwrap_err();
        assert!(start.elapsed() < TOLD_WITHIN, "{line:?}: {:?}", start.elapsed());
        assert!(matches!(error, Error::Unavailable { .. }) && error.to_string().contains(&bucket), "{error}");
        println!("{line:?}: {:.1} s: {error}", start.elapsed().as_secs_f64());
        proxy.set(Line::Steady);
        blobs.put(&path, CONTENT).await.unwrap();
        assert_eq!(blobs.get(&path).await.unwrap(), Some(CONTENT));
    }
    // What is short does not even fail.
    proxy.set(Line::Cut);
    let (stored, ()) = tokio::join!(blobs.put(&path, CONTENT), async {
        tokio::task::yield_now().await;
        proxy.set(Line::Steady);
    });
    stored.unwrap();
}

#[tokio::test]
async fn a_server_that_died_is_an_outage() {
    let Some(server) = S3Server::start() else { return };
    let bucket = new_bucket(&server).await;
    let blobs = open_bucket(server.address, &bucket).await.unwrap();
    let path = Blobs::input_path(&JobId::random(), 0);
    blobs.put(&path, CONTENT).await.unwrap();
    drop(server);
    let start = Instant::now();
    assert!(matches!(blobs.get(&path).await, Err(Error::Unavailable { .. })));
    assert!(matches!(blobs.copy(&path, &path).await, Err(Error::Unavailable { .. })));
    assert!(matches!(blobs.list("inputs").await, Err(Error::Unavailable { .. })));
    assert!(start.elapsed() < 3 * TOLD_WITHIN, "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_bucket_that_was_removed_is_no_missing_file() {
    let Some(server) = S3Server::shared() else { return };
    let bucket = new_bucket(server).await;
    let blobs = open_bucket(server.address, &bucket).await.unwrap();
    let path = Blobs::input_path(&JobId::random(), 0);
    assert_eq!(blobs.get(&path).await.unwrap(), None);
    server.remove_bucket(&bucket).await;
    let error = blobs.get(&path).await.unwrap_err();
    assert!(error.to_string().contains("no such bucket"), "{error}");
    assert!(blobs.put(&path, CONTENT).await.is_err() && blobs.delete(&path).await.is_err());
}

#[tokio::test]
async fn a_download_that_breaks_off_goes_on() {
    let Some(server) = S3Server::shared() else { return };
    let bucket = new_bucket(server).await;
    let proxy = UnsteadyProxy::before(server.address).await;
    let blobs = open_bucket(proxy.address, &bucket).await.unwrap();
    let path = Blobs::input_path(&JobId::random(), 0);
    let content: Vec<u8> = (0..20_000_000_u32).map(|number| (number % 251) as u8).collect();
    blobs.put(&path, content.clone().into()).await.unwrap();
    let mut file = blobs.open(&path, None).await.unwrap().unwrap();
    let mut received = file.stream.try_next().await.unwrap().unwrap().to_vec();
    // Only a piece has come: the rest is more than fits into the buffers on the way.
    proxy.break_off().await;
    while let Some(piece) = file.stream.try_next().await.unwrap() {
        received.extend_from_slice(&piece);
    }
    assert!(received == content, "{} bytes", received.len());
}

#[tokio::test]
async fn a_signed_address_works_without_credentials() {
    let Some(Place { blobs, .. }) = Place::bucket().await else { return };
    let path = Blobs::new_upload_path(&UploadId::random(), "image/png");
    blobs.put(&path, CONTENT).await.unwrap();
    let address = blobs.address(&path, Duration::from_mins(5)).await.unwrap().unwrap();
    assert!(address.contains("X-Amz-Expires=300") && address.contains("/some/folder/uploads/"), "{address}");
    let answer = plain_http().get(&address).send().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "image/png");
    assert_eq!(answer.bytes().await.unwrap(), CONTENT);
    let part = plain_http().get(&address).header("range", "bytes=2-3").send().await.unwrap();
    assert_eq!((part.status().as_u16(), part.bytes().await.unwrap().as_ref()), (206, &b"nt"[..]));
    // Elsewhere there are none.
    assert_eq!(Blobs::memory().address(&path, Duration::from_mins(5)).await.unwrap(), None);
}

#[tokio::test]
async fn a_bucket_is_marked_with_its_database() {
    let Some(Place { blobs, .. }) = Place::bucket().await else { return };
    let ours = StorageClaim::shared(&blobs, "one").await.unwrap();
    assert!(ours.is_ours().await.unwrap() && ours.to_string().contains("s3://bucket-"), "{ours}");
    assert!(!StorageClaim::shared(&blobs, "two").await.unwrap().is_ours().await.unwrap());
}
