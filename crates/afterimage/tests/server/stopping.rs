//! A stop is told to everybody who waits for something that this server will not do any more.

use crate::fal_files::database;
use crate::hostile_dialects::{NATIVE, REDUX as FAL};
use crate::support::{REDUX, Server, answer, data_uri, picture};
use crate::waiting::until;
use afterimage_jobs::{JobState, JobStore, KeyStore, ListFilter, SqliteStore, SystemClock};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// Longest wait for what comes by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Everything but the stop of what runs.
const AT_ONCE: Duration = Duration::from_secs(2);

fn body(steps: u32, side: u32) -> Value {
    json!({
        "image": data_uri(&picture(48, 48)), "image_url": data_uri(&picture(48, 48)), "num_inference_steps": steps,
        "size": format!("{side}*{side}"), "image_size": {"width": side, "height": side}, "width": side, "height": side,
        "seed": 7, "enable_sync_mode": true,
    })
}

/// Sends a request; its status, headers and text when they are there.
fn sent(request: RequestBuilder) -> JoinHandle<(u16, HeaderMap, String)> {
    tokio::spawn(async move {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        (status, headers, response.text().await.unwrap())
    })
}

fn post(server: &Server, path: &str, body: &Value) -> JoinHandle<(u16, HeaderMap, String)> {
    sent(server.request(Method::POST, path).body(body.to_string()))
}

fn form(
    server: &Server,
    path: &str,
    fields: &[(&str, &str)],
    key: Option<&str>,
) -> JoinHandle<(u16, HeaderMap, String)> {
    let mut text = String::new();
    let picture = data_uri(&picture(48, 48));
    for (name, value) in fields.iter().chain(&[("image", picture.as_str()), ("prompt", "a lake")]) {
        write!(text, "--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n").unwrap();
    }
    let mut request = server.request(Method::POST, path).header("content-type", "multipart/form-data; boundary=b");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    sent(request.body(text + "--b--\r\n"))
}

/// The last event of a stream.
fn last_event(text: &str) -> Value {
    let last = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back();
    last.map(|data| serde_json::from_str(data).unwrap()).unwrap_or_default()
}

#[tokio::test]
async fn whoever_waits_for_what_does_not_run_is_told_at_once() {
    let server = Server::without_workers().await;
    let polled = server.submit(REDUX, &json!({"image": data_uri(&picture(48, 48))})).await;
    let (_, ticket) = server.post(&format!("/queue{FAL}"), &body(2, 256)).await;
    let request = ticket["request_id"].as_str().unwrap().to_owned();
    let wavespeed = post(&server, REDUX, &body(2, 256));
    let run = post(&server, FAL, &body(2, 256));
    let stream = post(&server, &format!("{FAL}/stream"), &body(2, 256));
    let openai = form(&server, "/v1/images/variations", &[], None);
    let repeatable = form(&server, "/v1/images/variations", &[], Some("again"));
    let edits = form(&server, "/v1/images/edits", &[("stream", "true")], None);
    let native = post(&server, NATIVE, &body(2, 256));
    let events = sent(server.request(Method::GET, &format!("/api/v3/predictions/{polled}/events")));
    let statuses = sent(server.request(Method::GET, &format!("/queue/fal-ai/flux-1/requests/{request}/status/stream")));
    until("all nine are taken", PATIENCE, async || crate::hostile_streams::all_jobs(&server).await.len() == 9).await;
    let stopping = Instant::now();
    let stop = tokio::spawn(server.stop());

    let (status, _, text) = wavespeed.await.unwrap();
    let told: Value = serde_json::from_str(&text).unwrap();
    let data = &told["data"];
    assert_eq!((status, &data["code"], &data["status"]), (200, &json!(5004), &json!("processing")), "{told}");
    assert!(data["error"].as_str().unwrap().contains(data["urls"]["get"].as_str().unwrap()), "{told}");
    let goes_on = [data["id"].as_str().unwrap().to_owned(), polled, request];

    let (status, headers, text) = run.await.unwrap();
    assert_eq!((status, headers.contains_key("x-fal-request-id")), (504, true), "{text}");
    assert!(text.contains(headers["x-fal-request-id"].to_str().unwrap()), "{text}");
    let (status, _, text) = stream.await.unwrap();
    assert_eq!((status, &last_event(&text)["status"]), (200, &json!(504)), "{text}");

    for (answer, advice) in
        [(openai, "send it again"), (native, "send it again"), (repeatable, "repeat with the same Idempotency-Key")]
    {
        let (status, headers, text) = answer.await.unwrap();
        assert_eq!((status, &headers["x-should-retry"]), (503, &"true".parse().unwrap()), "{text}");
        assert!(headers.contains_key("retry-after") && text.contains(advice), "{text}");
    }
    let (status, _, text) = edits.await.unwrap();
    assert_eq!(status, 200);
    let message = last_event(&text)["error"]["message"].to_string();
    assert!(message.contains("send it again"), "{text}");
    for stream in [events, statuses] {
        assert_eq!(stream.await.unwrap().0, 200);
    }
    assert!(stopping.elapsed() < AT_ONCE, "{:?}", stopping.elapsed());

    // What its client can ask for later waits for the next start; what nobody could read is not made.
    let folder = stop.await.unwrap();
    let store = SqliteStore::open(&folder.path().join("data"), Arc::new(SystemClock)).await.unwrap();
    let key = store.keys().await.unwrap().swap_remove(0);
    let jobs = store.list(&key.id, &ListFilter { page_size: 100, ..ListFilter::default() }).await.unwrap().jobs;
    let waiting = jobs.iter().filter(|job| job.state == JobState::Queued).count();
    let cancelled = jobs.iter().filter(|job| job.state == JobState::Cancelled).count();
    // Waiting: two that are polled, WaveSpeed's, fal's two, the one with a key. Cancelled: three of OpenAI's.
    assert_eq!((jobs.len(), waiting, cancelled), (9, 6, 3));
    for id in goes_on {
        let job = jobs.iter().find(|job| job.id.as_str() == id).unwrap();
        assert_eq!(job.state, JobState::Queued);
    }
}

#[tokio::test]
async fn what_runs_ends_and_what_waits_behind_it_is_told() {
    let server = Server::start(|options| {
        options.workers = 1;
        options.stop_within = Duration::from_mins(1);
    })
    .await;
    let running = post(&server, REDUX, &body(12, 512));
    let store = database(&server).await;
    until("it starts", PATIENCE, async || store.queue_depth().await.unwrap().running == 1).await;
    let waiting = post(&server, REDUX, &body(2, 256));
    until("it comes", PATIENCE, async || store.queue_depth().await.unwrap().queued == 1).await;
    let stopping = Instant::now();
    let stop = tokio::spawn(server.stop());
    let (_, _, text) = waiting.await.unwrap();
    assert!(text.contains("5004"), "{text}");
    assert!(stopping.elapsed() < AT_ONCE, "{:?}", stopping.elapsed());
    let (status, _, text) = running.await.unwrap();
    let told: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, &told["data"]["status"]), (200, &json!("completed")), "{text}");
    stop.await.unwrap();
}

/// The value of a sample of the metrics' text.
async fn sample(address: &str, name: &str) -> u64 {
    let text = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in\n{text}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn an_end_is_counted_once_however_often_it_is_told() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap().to_string();
    drop(free);
    let server = Server::start(|options| {
        options.workers = 1;
        options.admin_listen = Some(address.parse().unwrap());
    })
    .await;
    let id = server.submit(REDUX, &json!({"image": data_uri(&picture(48, 48)), "size": "256*256"})).await;
    assert_eq!(server.ended(&id).await["status"], "completed");
    for _ in 0..3 {
        server.post("/api/v3/predictions/delete", &json!({"ids": [id, id]})).await;
        server.post(&format!("/api/v3/predictions/{id}/cancel"), &json!({})).await;
    }
    let waits = server.request(Method::POST, REDUX);
    let _ = answer(waits.body(body(2, 256).to_string()).send().await.unwrap()).await;
    let ended =
        async |state: &str| sample(&address, &format!("afterimage_jobs_ended_total{{state=\"{state}\"}}")).await;
    let counts = [ended("succeeded").await, ended("failed").await, ended("cancelled").await];
    assert_eq!(counts, [2, 0, 0]);
    assert_eq!(sample(&address, "afterimage_inference_seconds_count").await, 2);
}
