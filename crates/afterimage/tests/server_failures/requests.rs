//! What the tests here do again and again.

use crate::server::{Client, Installation, PATIENCE};
use crate::waiting::eventually;
use reqwest::StatusCode;
use serde_json::Value;
use std::process::Command;

/// The command of a server that only answers requests, which is up sooner.
pub fn without_workers(installation: &Installation) -> Command {
    let mut command = installation.command();
    command.args(["--workers", "0"]);
    command
}

/// Waits until the server answers.
pub async fn up(installation: &Installation) -> Client {
    let client = installation.client();
    eventually(PATIENCE, async || match client.get("/healthz").await {
        Ok(answer) if answer.status == StatusCode::OK => Ok(()),
        _ => Err(installation.log()),
    })
    .await;
    client
}

/// Status of a task.
pub async fn status(client: &Client, id: &str) -> Value {
    client.get(&format!("/api/v3/predictions/{id}")).await.unwrap().body["data"]["status"].clone()
}

/// Waits until a task has this status.
pub async fn wait_for(installation: &Installation, client: &Client, id: &str, wanted: &str) {
    eventually(PATIENCE, async || {
        let is_so = status(client, id).await == wanted;
        if is_so { Ok(()) } else { Err(format!("{id} is not {wanted}: {}", installation.log())) }
    })
    .await;
}
