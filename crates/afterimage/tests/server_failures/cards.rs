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
        // Every process tries its kernels: launches are counted from there.
        .env("XDG_CACHE_HOME", "/dev/null")
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
async fn one_job_alone_takes_no_card_out() {
    let (installation, folder) = (Installation::new(), tempfile::tempdir().unwrap());
    let once = folder.path().join("once");
    let _server = server(&installation, folder.path(), &format!(",times=2,once={}", once.display()));
    let client = installation.client();
    client.ready().await;
    // Both attempts, each in a process of its own.
    let poison = submit(&client).await;
    wait_for(&installation, &client, &poison, "failed").await;
    let answer = client.get(&format!("/api/v3/predictions/{poison}")).await.unwrap();
    let told = answer.body["data"]["error"].as_str().unwrap();
    assert!(told.contains("device"), "{told}");
    assert!(!told.contains("CUDA") && !told.contains("700") && !told.contains("cuL"), "a driver's words: {told}");
    let id = submit(&client).await;
    wait_for(&installation, &client, &id, "completed").await;
    assert!(installation.whole_log().contains("CUDA_ERROR_ILLEGAL_ADDRESS"), "{}", installation.log());
}

/// Waits until a device is not used any more.
async fn given_up(installation: &Installation, client: &Client, device: &str) {
    eventually(PATIENCE, async || {
        let answer = client.get("/status").await.map_err(|error| error.to_string())?;
        let engines = answer.body["engines"].as_array().cloned().unwrap_or_default();
        let is_so = engines.iter().any(|engine| engine["device"] == device && engine["given_up"] == true);
        if is_so { Ok(()) } else { Err(format!("{answer:?}: {}", installation.log())) }
    })
    .await;
}

#[tokio::test]
async fn a_card_that_fails_with_every_job_is_given_up() {
    let (installation, folder) = (Installation::new(), tempfile::tempdir().unwrap());
    let _server = server(&installation, folder.path(), "");
    let client = installation.client();
    client.ready().await;
    let id = submit(&client).await;
    wait_for(&installation, &client, &id, "failed").await;
    client.ready().await;
    let waiting = submit(&client).await;
    given_up(&installation, &client, "cuda:0").await;
    assert!(installation.whole_log().contains("twice in a row"), "{}", installation.log());
    // An answer holds for a second.
    eventually(PATIENCE, async || {
        let answer = client.get("/readyz").await.map_err(|error| error.to_string())?;
        let reason = answer.body["reason"].as_str().unwrap_or_default();
        let is_so =
            answer.status == StatusCode::SERVICE_UNAVAILABLE && reason.contains("cuda:0 failed again and again");
        if is_so { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    assert_eq!(client.get("/healthz").await.unwrap().status, StatusCode::OK);
    // What was accepted waits for the next start, what comes now is refused.
    wait_for(&installation, &client, &waiting, "created").await;
    let image = client.upload(&png()).await;
    let body = json!({"image": image, "size": "256*256", "num_inference_steps": 2});
    let answer = client.post("/api/v3/wavespeed-ai/flux-redux-dev", &body).await.unwrap();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert!(answer.body.to_string().contains("until the server starts again"), "{answer:?}");
}

#[tokio::test]
async fn another_card_goes_on_where_one_is_given_up() {
    let (installation, folder) = (Installation::new(), tempfile::tempdir().unwrap());
    afterimage_cuda_standin::install(folder.path(), &[]).unwrap();
    let late = launches_of_self_test(folder.path()) + 40;
    let mut command = installation.command();
    command.args(["--device", "cuda:0,cuda:1", "--dtype", "f32", "--safety", "off"]);
    let settings = format!("cards=2,fail_card=1,fail=cuLaunchKernel:700@{late}..");
    on_card(&mut command, folder.path(), &settings);
    let _server = installation.start_by(command);
    let client = installation.client();
    client.ready().await;
    let mut ids = Vec::new();
    eventually(PATIENCE, async || {
        ids.push(submit(&client).await);
        wait_for(&installation, &client, ids.last().unwrap(), "completed").await;
        let answer = client.get("/status").await.map_err(|error| error.to_string())?;
        let engines = answer.body["engines"].as_array().cloned().unwrap_or_default();
        let given_up: Vec<_> = engines.iter().filter(|it| it["given_up"] == true).map(|it| &it["device"]).collect();
        if given_up == ["cuda:1"] { Ok(()) } else { Err(format!("{answer:?}: {}", installation.log())) }
    })
    .await;
    client.ready().await;
    let id = submit(&client).await;
    wait_for(&installation, &client, &id, "completed").await;
}
