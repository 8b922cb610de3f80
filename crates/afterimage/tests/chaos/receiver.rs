//! Receives webhooks, and serves a picture.

use crate::ledger::Ledger;
use crate::server::png;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

type Seen = Arc<Mutex<BTreeMap<String, Webhooks>>>;

/// What arrived for one job.
#[derive(Default)]
struct Webhooks {
    statuses: Vec<String>,
    accepted: bool,
}

/// A running receiver.
pub struct Receiver {
    /// Where webhooks are to be sent.
    pub url: String,
    /// A picture to fetch. Its host takes a moment, so that some fetches are killed.
    pub picture_url: String,
    seen: Seen,
}

/// Starts a receiver that lives as long as the test.
pub async fn start() -> Receiver {
    let seen = Seen::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let picture_url = url.replace("/hook", "/picture.png");
    let router =
        Router::new().route("/hook", post(receive)).route("/picture.png", get(picture)).with_state(Arc::clone(&seen));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Receiver { url, picture_url, seen }
}

async fn picture() -> Vec<u8> {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(..400))).await;
    png()
}

/// Takes note of a webhook. Some are refused at first, so that they have to be sent again.
async fn receive(State(seen): State<Seen>, Json(prediction): Json<Value>) -> StatusCode {
    let (Some(id), Some(status)) = (prediction["id"].as_str(), prediction["status"].as_str()) else {
        return StatusCode::BAD_REQUEST;
    };
    let mut seen = seen.lock().unwrap();
    let webhooks = seen.entry(id.to_owned()).or_default();
    webhooks.accepted = !webhooks.statuses.is_empty() || !id.starts_with('0');
    webhooks.statuses.push(status.to_owned());
    if webhooks.accepted { StatusCode::OK } else { StatusCode::INTERNAL_SERVER_ERROR }
}

impl Receiver {
    /// Jobs of which no webhook was accepted.
    pub fn missing(&self, ledger: &Ledger) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let accepted = |id: &String| seen.get(id).is_some_and(|webhooks| webhooks.accepted);
        ledger.webhooks().into_iter().map(|(id, _)| id).filter(|id| !accepted(id)).collect()
    }

    /// Jobs that webhooks told of.
    pub fn told(&self) -> Vec<String> {
        self.seen.lock().unwrap().keys().cloned().collect()
    }

    /// Webhooks that are missing or tell something else than the job's end.
    pub fn violations(&self, ledger: &Ledger) -> Vec<String> {
        let missing = self.missing(ledger).into_iter().map(|id| format!("{id}: no webhook was accepted"));
        let seen = self.seen.lock().unwrap();
        let wrong = ledger.webhooks().into_iter().filter_map(|(id, end)| {
            let statuses = &seen.get(&id)?.statuses;
            let differs = statuses.iter().any(|status| Some(status) != end.as_ref());
            differs.then(|| format!("{id}: ended as {end:?}, its webhooks say {statuses:?}"))
        });
        missing.chain(wrong).collect()
    }

    /// Figures.
    pub fn summary(&self, ledger: &Ledger) -> Value {
        let seen = self.seen.lock().unwrap();
        json!({
            "wanted": ledger.webhooks().len(),
            "received": seen.values().map(|webhooks| webhooks.statuses.len()).sum::<usize>(),
            "jobs_with_several": seen.values().filter(|webhooks| webhooks.statuses.len() > 1).count(),
        })
    }
}
