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

/// What the engine processes that have ended say of their driver.
fn reports(folder: &Path) -> Vec<afterimage_cuda_standin::StandInReport> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of_processes = files.filter(|path| {
        path.extension().is_some_and(|kind| kind == "json")
            && path.file_stem().is_some_and(|name| name.to_string_lossy().bytes().all(|byte| byte.is_ascii_digit()))
    });
    of_processes.map(|path| serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()).collect()
}

#[tokio::test]
async fn each_card_has_a_process_of_its_own() {
    let (installation, folder) = (Installation::new(), tempfile::tempdir().unwrap());
    afterimage_cuda_standin::install(folder.path(), &[]).unwrap();
    let mut command = installation.command();
    command.args(["--device", "cuda:0,cuda:1", "--dtype", "f32", "--safety", "off"]);
    on_card(&mut command, folder.path(), "cards=2");
    let mut server = installation.start_by(command);
    let client = installation.client();
    eventually(PATIENCE, async || {
        let answer = client.get("/status").await.map_err(|error| error.to_string())?;
        let engines = answer.body["engines"].as_array().cloned().unwrap_or_default();
        let open: Vec<_> = engines.iter().filter(|engine| engine["open"] == true).map(|it| &it["device"]).collect();
        if open == ["cuda:0", "cuda:1"] { Ok(()) } else { Err(format!("{answer:?}: {}", installation.log())) }
    })
    .await;
    let ids = [submit(&client).await, submit(&client).await, submit(&client).await];
    for id in &ids {
        wait_for(&installation, &client, id, "completed").await;
    }
    server.signal("-TERM");
    assert!(server.ended(PATIENCE).await.success());
    let used = |report: &afterimage_cuda_standin::StandInReport| {
        report.cards.iter().map(|card| card.peak_bytes > 0).collect::<Vec<_>>()
    };
    let mut used: Vec<_> = reports(folder.path()).iter().map(used).collect();
    used.sort();
    assert_eq!(used, [[false, true], [true, false]]);
    assert!(installation.whole_log().contains("cuda:1"), "{}", installation.log());
}

#[tokio::test]
async fn devices_that_cannot_be_had_are_told() {
    let (installation, folder) = (Installation::new(), tempfile::tempdir().unwrap());
    afterimage_cuda_standin::install(folder.path(), &[]).unwrap();
    for (device, settings, part) in [
        ("cuda:0,cuda:7", "cards=2", "this machine has cuda:0 (Stand-in), cuda:1 (Stand-in)"),
        ("cuda:1,cuda:1", "cards=2", "--device: cuda:1 is named twice"),
        ("auto,cuda:1", "cards=2", "--device: auto stands alone"),
        ("cuda:all", "capability=7.5", "--device: there is no card that can be used"),
        ("cuda:all", "cards=0", "--device: cuInit"),
    ] {
        let mut command = installation.command();
        command.args(["--device", device, "--safety", "off"]);
        let output = on_card(&mut command, folder.path(), settings).env("RUST_LOG", "off").output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let told: Vec<_> = text.lines().filter(|line| !line.starts_with("CUDA stand-in: ")).collect();
        assert!(output.status.code() == Some(2) && told.len() == 1 && told[0].contains(part), "{device}: {text}");
    }
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
