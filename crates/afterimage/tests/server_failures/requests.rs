//! What the tests here do again and again.

use crate::server::{Client, Installation, PATIENCE};
use reqwest::StatusCode;
use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::time::sleep;

/// The command of a server that only answers requests, which is up sooner.
pub fn without_workers(installation: &Installation) -> Command {
    let mut command = installation.command();
    command.args(["--workers", "0"]);
    command
}

/// Waits until the server answers.
pub async fn up(installation: &Installation) -> Client {
    let client = installation.client();
    let start = Instant::now();
    while !matches!(client.get("/healthz").await, Ok(answer) if answer.status == StatusCode::OK) {
        assert!(start.elapsed() < PATIENCE, "{}", installation.log());
        sleep(Duration::from_millis(10)).await;
    }
    client
}

/// Status of a task.
pub async fn status(client: &Client, id: &str) -> Value {
    client.get(&format!("/api/v3/predictions/{id}")).await.unwrap().body["data"]["status"].clone()
}

/// Waits until a task has this status.
pub async fn wait_for(installation: &Installation, client: &Client, id: &str, wanted: &str) {
    let start = Instant::now();
    while status(client, id).await != wanted {
        assert!(start.elapsed() < PATIENCE, "{id} is not {wanted}: {}", installation.log());
        sleep(Duration::from_millis(10)).await;
    }
}
