//! Clients that hang up, do not read, or cancel while a request ends.

use crate::connections::{answers_others, connect};
use crate::fal_files::database;
use crate::hostile_dialects::{NATIVE, QUEUE, REDUX};
use crate::support::{KEY, Server, answer, data_uri, picture};
use crate::waiting::{eventually, until};
use afterimage_jobs::{Job, JobState, JobStore, KeyStore, ListFilter};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::{JoinSet, LocalSet};
use tokio::time::{sleep, timeout};

/// Longest wait for what comes by itself.
const PATIENCE: Duration = Duration::from_secs(10);

fn body() -> Value {
    json!({
        "image_url": data_uri(&picture(48, 48)), "image": data_uri(&picture(48, 48)), "num_inference_steps": 1,
        "image_size": {"width": 64, "height": 48}, "width": 256, "height": 256, "seed": 7, "sync_mode": true,
    })
}

/// The first key's jobs of all dialects, from the database.
pub async fn all_jobs(server: &Server) -> Vec<Job> {
    let store = database(server).await;
    let key = store.keys().await.unwrap().swap_remove(0);
    store.list(&key.id, &ListFilter { page_size: 100, ..ListFilter::default() }).await.unwrap().jobs
}

/// Waits until nothing is left to run, and all because nobody waits for it.
pub async fn all_cancelled(server: &Server) {
    eventually(PATIENCE, async || {
        let jobs = all_jobs(server).await;
        let are = jobs.iter().all(|job| job.state == JobState::Cancelled);
        if are { Ok(()) } else { Err(format!("{jobs:?}")) }
    })
    .await;
}

/// Sends a request by hand and does not read the answer.
async fn unread(server: &Server, method: &str, path: &str, content_type: &str, body: &str) -> TcpStream {
    let mut stream = connect(server).await;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Key {KEY}\r\nContent-Type: {content_type}\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn hanging_up_on_a_request_that_waits_cancels_it() {
    let server = Server::without_workers().await;
    let json = body().to_string();
    let form = format!(
        "--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\n{}\r\n--b--\r\n",
        data_uri(&picture(48, 48))
    );
    let of_forms = "multipart/form-data; boundary=b";
    let mut streams = Vec::new();
    for (path, content_type, body) in [
        (REDUX.to_owned(), "application/json", &json),
        (format!("{REDUX}/stream"), "application/json", &json),
        (format!("/gateway{REDUX}"), "application/json", &json),
        (NATIVE.to_owned(), "application/json", &json),
        ("/v1/images/variations".to_owned(), of_forms, &form),
        ("/v1/openai/images/variations".to_owned(), of_forms, &form),
    ] {
        streams.push(unread(&server, "POST", &path, content_type, body).await);
    }
    until("all are taken", PATIENCE, async || all_jobs(&server).await.len() == streams.len()).await;
    assert!(all_jobs(&server).await.iter().all(|job| job.state == JobState::Queued));
    drop(streams);
    all_cancelled(&server).await;
}

#[tokio::test]
async fn streams_that_nobody_reads_hold_up_nobody() {
    let server = Server::with_worker().await;
    let mut streams = Vec::new();
    let (_, ticket) = server.post(QUEUE, &body()).await;
    let status =
        format!("/queue/fal-ai/flux-1/requests/{}/status/stream?logs=1", ticket["request_id"].as_str().unwrap());
    for _ in 0..40 {
        streams.push(unread(&server, "GET", &status, "application/json", "").await);
    }
    for _ in 0..3 {
        let path = format!("{REDUX}/stream");
        streams.push(unread(&server, "POST", &path, "application/json", &body().to_string()).await);
    }
    answers_others(&server).await;
    // The queue goes on: this one comes after those that nobody reads.
    let (status, last) = timeout(Duration::from_mins(1), server.post(REDUX, &body())).await.expect("waits for ever");
    assert_eq!(status, 200, "{last}");
    // What was not read was sent: every stream ends by itself.
    for stream in &mut streams {
        let mut text = String::new();
        let mut bytes = [0; 4096];
        while !text.contains("COMPLETED") && !text.contains("has_nsfw_concepts") {
            let count = timeout(Duration::from_secs(20), stream.read(&mut bytes)).await.expect("no end").unwrap();
            assert!(count > 0, "{text}");
            text.push_str(&String::from_utf8_lossy(&bytes[..count]));
        }
    }
    drop(streams);
    let stopping = Instant::now();
    server.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_streams() {
    let server = Server::without_workers().await;
    let (_, ticket) = server.post(QUEUE, &body()).await;
    let status = format!("/queue/fal-ai/flux-1/requests/{}/status/stream", ticket["request_id"].as_str().unwrap());
    let mut streams = Vec::new();
    for _ in 0..10 {
        let mut stream = unread(&server, "GET", &status, "application/json", "").await;
        let mut begin = [0; 12];
        stream.read_exact(&mut begin).await.unwrap();
        assert_eq!(&begin, b"HTTP/1.1 200");
        streams.push(stream);
    }
    let stopping = Instant::now();
    server.stop().await;
    assert!(stopping.elapsed() < Duration::from_secs(10), "{:?}", stopping.elapsed());
}

#[tokio::test]
async fn cancelling_what_ends_leaves_one_end() {
    const REQUESTS: usize = 24;
    let server = Arc::new(Server::with_worker().await);
    let (local, mut tasks) = (LocalSet::new(), JoinSet::new());
    for number in 0..REQUESTS {
        let server = Arc::clone(&server);
        let life = async move {
            let (status, ticket) = server.post(QUEUE, &body()).await;
            assert_eq!(status, 200, "{ticket}");
            let path = format!("/queue/fal-ai/flux-1/requests/{}", ticket["request_id"].as_str().unwrap());
            // Real time: each is cancelled at another moment of its life.
            sleep(Duration::from_millis(60 * number as u64)).await;
            let cancel = || async {
                let response = server.request(Method::PUT, &format!("{path}/cancel")).send().await.unwrap();
                answer(response).await
            };
            let (first, second, third) = tokio::join!(cancel(), cancel(), cancel());
            for (status, word) in [first, second, third] {
                let known = (status == 202 && word["status"] == "CANCELLATION_REQUESTED")
                    || (status == 400 && word["status"] == "ALREADY_COMPLETED");
                assert!(known, "{status} {word}");
            }
            let last = eventually(Duration::from_mins(1), async || {
                let (_, status) = server.get(&format!("{path}/status")).await;
                if status["status"] == "COMPLETED" { Ok(status) } else { Err(status) }
            })
            .await;
            let mut ends = Vec::new();
            for _ in 0..3 {
                let (code, result) = server.get(&path).await;
                ends.push((code.as_u16(), result["seed"].clone(), result["error_type"].clone()));
            }
            ends.dedup();
            assert_eq!(ends.len(), 1, "{ends:?}");
            let cancelled = ends[0] == (499, Value::Null, json!("client_cancelled"));
            let succeeded = ends[0] == (200, json!(7), Value::Null);
            assert!(cancelled || succeeded, "{ends:?}");
            assert_eq!(last["error_type"] == "client_cancelled", cancelled, "{last}");
            cancelled
        };
        tasks.spawn_local_on(life, &local);
    }
    let cancelled = local.run_until(tasks.join_all()).await.into_iter().filter(|was_cancelled| *was_cancelled).count();
    assert!(cancelled > 0, "nothing was cancelled in time");
    // None disturbed its neighbour.
    assert_eq!(server.post(REDUX, &body()).await.0, 200);
}
