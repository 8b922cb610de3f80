//! Cards that fail under a server, on the stand-in for their driver.

use crate::requests::wait_for;
use crate::server::{Client, Installation, PATIENCE, png};
use crate::waiting::eventually;
use reqwest::StatusCode;
use serde_json::json;
use std::path::Path;
use std::process::Command;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../afterimage-cuda/kernels/table.json");

/// Has a command find the stand-in in `folder`, with these settings.
fn on_card<'a>(command: &'a mut Command, folder: &Path, settings: &str) -> &'a mut Command {
    command
        .env("LD_LIBRARY_PATH", folder)
        .env("CUDA_STANDIN", settings)
        .env("CUDA_STANDIN_TABLE", TABLE)
        .env("CUDA_STANDIN_REPORT", folder.join("{pid}.json"))
}

/// Launches of a self-test.
fn launches_of_self_test(folder: &Path) -> u64 {
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_afterimage"));
    doctor.args(["doctor", "--dtype", "f32"]);
    let report = folder.join("doctor.json");
    on_card(&mut doctor, folder, "").env("CUDA_STANDIN_REPORT", &report);
    assert!(doctor.output().unwrap().status.success());
    let report: afterimage_cuda_standin::StandInReport =
        serde_json::from_slice(&std::fs::read(report).unwrap()).unwrap();
    report.calls["cuLaunchKernel"]
}

/// Sends a small task; its id.
async fn submit(client: &Client) -> String {
    let image = client.upload(&png()).await;
    let body = json!({"image": image, "size": "256*256", "num_inference_steps": 2});
    let answer = client.post("/api/v3/wavespeed-ai/flux-redux-dev", &body).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.body["data"]["id"].as_str().unwrap().to_owned()
}

/// A server on the card whose driver loses it in the middle of a job; more settings behind.
fn server(installation: &Installation, folder: &Path, more: &str) -> crate::server::Server {
    afterimage_cuda_standin::install(folder, &[]).unwrap();
    let late = launches_of_self_test(folder) + 40;
    let mut command = installation.command();
    command.args(["--device", "cuda", "--dtype", "f32", "--safety", "off"]);
    on_card(&mut command, folder, &format!("fail=cuLaunchKernel:700@{late}{more}"));
    installation.start_by(command)
}

#[tokio::test]
async fn a_lost_card_costs_an_attempt_not_the_task() {
    let (installation, folder) = (Installation::new(), tempfile::tempdir().unwrap());
    let once = folder.path().join("once");
    let _server = server(&installation, folder.path(), &format!(",once={}", once.display()));
    let client = installation.client();
    client.ready().await;
    let id = submit(&client).await;
    wait_for(&installation, &client, &id, "completed").await;
    assert!(once.exists() && installation.whole_log().contains("700"), "{}", installation.log());
    client.ready().await;
}

#[tokio::test]
async fn a_card_that_is_lost_twice_in_a_row_is_given_up() {
    let (installation, folder) = (Installation::new(), tempfile::tempdir().unwrap());
    let _server = server(&installation, folder.path(), "");
    let client = installation.client();
    client.ready().await;
    let id = submit(&client).await;
    wait_for(&installation, &client, &id, "failed").await;
    eventually(PATIENCE, async || {
        let answer = client.get("/readyz").await.unwrap();
        let given_up = installation.whole_log().contains("twice in a row");
        let is_so = given_up && answer.status == StatusCode::SERVICE_UNAVAILABLE;
        if is_so { Ok(()) } else { Err(format!("{answer:?}: {}", installation.log())) }
    })
    .await;
    assert_eq!(client.get("/healthz").await.unwrap().status, StatusCode::OK);
}
