//! Clients that submit, cancel and poll while the server comes and goes, and try the same with what is another key's.

use crate::ledger::Ledger;
use crate::receiver::Receiver;
use crate::server::{Answer, Client, png};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Jobs that may wait at once: more would only take longer to end.
const MOST_OPEN: usize = 10;

/// What all clients of one key share.
pub struct World {
    pub client: Client,
    pub ledger: Ledger,
    pub receiver: Receiver,
    /// Addresses of the same picture: uploaded, inlined, at another host.
    pictures: [String; 3],
}

impl World {
    /// A world with nothing acknowledged.
    pub fn new(client: Client, receiver: Receiver, uploaded: String) -> Self {
        let inlined = format!("data:image/png;base64,{}", STANDARD.encode(png()));
        let remote = receiver.picture_url.clone();
        Self { client, ledger: Ledger::default(), receiver, pictures: [uploaded, inlined, remote] }
    }

    /// Judges an answer; its data when it is 200.
    fn take(&self, what: &str, answer: Result<Answer, reqwest::Error>) -> Option<Value> {
        // The server is gone or stands still; whether it did what it was asked for is unknown.
        let Ok(Answer { status, body, retry_after }) = answer else { return None };
        match status {
            StatusCode::OK => return Some(body["data"].clone()),
            StatusCode::SERVICE_UNAVAILABLE if retry_after.is_some() => {}
            _ => self.ledger.violation(what, &format!("answered with {status}: {body}")),
        }
        None
    }
}

/// Submits one task after another, some with webhook, some with an idempotency key and repeated, some cancelled.
pub async fn submit_tasks(world: Arc<World>, seed: u64, stop: CancellationToken) {
    let mut random = fastrand::Rng::with_seed(seed);
    while !stop.is_cancelled() {
        sleep(Duration::from_millis(random.u64(20..300))).await;
        if world.ledger.open() >= MOST_OPEN {
            continue;
        }
        let Some(id) = submit_one(&world, &mut random, &stop).await else { continue };
        if random.u8(..5) == 0 {
            sleep(Duration::from_millis(random.u64(..600))).await;
            world.ledger.to_be_cancelled(&id);
            let asked = Instant::now();
            let answer = world.client.post(&format!("/api/v3/predictions/{id}/cancel"), &Value::Null).await;
            if let Some(prediction) = world.take("cancel", answer) {
                world.ledger.observe(asked, &prediction);
            }
        }
    }
}

async fn submit_one(world: &World, random: &mut fastrand::Rng, stop: &CancellationToken) -> Option<String> {
    let webhook = random.u8(..3) == 0;
    let repeated = random.u8(..4) == 0;
    let body = json!({
        "image": world.pictures[random.usize(..3)],
        "size": "256*256",
        "num_inference_steps": random.u32(1..=3),
        "seed": random.u32(..1000),
        "output_format": if random.bool() { "png" } else { "jpeg" },
    });
    let query = if webhook { format!("?webhook={}", world.receiver.url) } else { String::new() };
    let path = format!("/api/v3/wavespeed-ai/flux-redux-dev{query}");
    let mut headers = Vec::new();
    if repeated {
        headers.push(("idempotency-key", format!("{:032x}", random.u128(..))));
    }
    let mut first: Option<String> = None;
    loop {
        let answer = world.client.request(Method::POST, &path, &headers, &body).await;
        match world.take("submit", answer).map(|data| data["id"].as_str().unwrap().to_owned()) {
            Some(id) if !repeated => {
                world.ledger.acknowledged(&id, webhook);
                return Some(id);
            }
            Some(id) => {
                if let Some(first) = &first {
                    world.ledger.repeated(first, &id);
                    return Some(id);
                }
                world.ledger.acknowledged(&id, webhook);
                first = Some(id);
                // Whatever happens to the server in between, the second answer is to be the first one's.
                sleep(Duration::from_millis(random.u64(..500))).await;
            }
            None if !repeated || stop.is_cancelled() => return first,
            None => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Tries to cancel, delete and read the newest jobs of another key, which must look like none, until `stop`.
pub async fn trespass(by: Arc<World>, on: Arc<World>, seed: u64, stop: CancellationToken) {
    let mut random = fastrand::Rng::with_seed(seed);
    while !stop.is_cancelled() {
        sleep(Duration::from_millis(random.u64(5..60))).await;
        let newest = on.ledger.newest(8);
        if newest.is_empty() {
            continue;
        }
        let id = &newest[random.usize(..newest.len())];
        let version = if random.bool() { "v3" } else { "v2" };
        let (method, path, body) = match random.u8(..5) {
            0 => (Method::POST, format!("/api/{version}/predictions/{id}/cancel"), Value::Null),
            1 => (Method::PUT, format!("/queue/fal-ai/flux-1/requests/{id}/cancel"), Value::Null),
            2 => (Method::GET, format!("/api/{version}/predictions/{id}/result"), Value::Null),
            _ => (Method::POST, format!("/api/{version}/predictions/delete"), json!({"ids": newest})),
        };
        // The server is gone or stands still.
        let Ok(answer) = by.client.request(method, &path, &[], &body).await else { continue };
        on.ledger.trespassed();
        let refused = match answer.status {
            StatusCode::NOT_FOUND => true,
            StatusCode::OK => answer.body["data"] == json!({"deleted_count": 0}),
            StatusCode::SERVICE_UNAVAILABLE => answer.retry_after.is_some(),
            _ => false,
        };
        if !refused {
            on.ledger.violation(id, &format!("another key's {path} was answered {answer:?}"));
        }
    }
}

/// Polls pages of the list, mostly the newest, until `stop`.
pub async fn poll_some(world: Arc<World>, stop: CancellationToken) {
    let mut random = fastrand::Rng::new();
    while !stop.is_cancelled() {
        let pages = 1 + world.ledger.ids().len() as u64 / 100;
        let page = if random.bool() { 1 } else { random.u64(1..=pages) };
        poll_page(&world, page).await;
        sleep(Duration::from_millis(200)).await;
    }
}

/// Reads the result of every acknowledged job.
pub async fn poll_all(world: &World) {
    for id in world.ledger.ids() {
        let asked = Instant::now();
        let answer = world.client.get(&format!("/api/v3/predictions/{id}/result")).await;
        if let Some(prediction) = world.take(&id, answer) {
            world.ledger.observe(asked, &prediction);
        }
    }
}

async fn poll_page(world: &World, page: u64) {
    let asked = Instant::now();
    let answer = world.client.post("/api/v3/predictions", &json!({"page": page, "page_size": 100})).await;
    let Some(data) = world.take("list", answer) else { return };
    for prediction in data["items"].as_array().unwrap() {
        world.ledger.observe(asked, prediction);
    }
}
