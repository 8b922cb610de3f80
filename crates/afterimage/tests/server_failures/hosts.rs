//! Servers and workers of one database, as processes: what compose and Kubernetes start, on one machine.

use crate::postgres;
use crate::processes::MARK;
use crate::requests::wait_for;
use crate::server::{Client, Installation, KEY, PATIENCE, Server, png};
use crate::waiting::{eventually, until};
use futures_util::StreamExt;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A database and a folder, both shared.
pub struct Place {
    address: String,
    folder: tempfile::TempDir,
    /// Where its files are: in the folder, unless somebody says otherwise.
    pub storage: String,
    /// For all its processes.
    pub environment: Vec<(&'static str, String)>,
}

/// A worker process. Dropping it kills it.
pub struct Worker {
    child: Child,
    admin: String,
    internal: String,
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Place {
    /// `None` where there is no PostgreSQL.
    pub async fn new() -> Option<Self> {
        let server = postgres::server()?;
        let database = server.create_database("template1").await;
        let folder = tempfile::tempdir().unwrap();
        let storage = format!("file:{}", folder.path().join("files").display());
        let place = Self { address: server.address(&database), folder, storage, environment: Vec::new() };
        let migrated = place.program(&["migrate"]).output().unwrap();
        assert!(migrated.status.success(), "{migrated:?}");
        Some(place)
    }

    fn program(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
        command.args(words).env("AFTERIMAGE_DATABASE_URL", &self.address).env("RUST_LOG", "info");
        command.envs(self.environment.clone());
        command
    }

    /// A server that only answers requests.
    pub fn api(&self) -> (Installation, Server) {
        self.api_with(&[])
    }

    /// The same with further flags.
    fn api_with(&self, flags: &[&str]) -> (Installation, Server) {
        let installation = Installation::new();
        let mut command = installation.command();
        command
            .args(["--workers", "0", "--storage-url", &self.storage])
            .args(flags)
            .env("AFTERIMAGE_DATABASE_URL", &self.address)
            .envs(self.environment.clone());
        let server = installation.start_by(command);
        (installation, server)
    }

    pub fn worker(&self, name: &str) -> Worker {
        self.worker_with(name, &[])
    }

    /// A worker with further flags.
    fn worker_with(&self, name: &str, flags: &[&str]) -> Worker {
        let unused = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let (admin, internal) = (unused(), unused());
        let log: File = OpenOptions::new().create(true).append(true).open(self.folder.path().join(name)).unwrap();
        let child = self
            .program(&["worker", "--storage-url", &self.storage])
            .args(["--admin-listen", &admin, "--internal-listen", &internal])
            .args(flags)
            .env(MARK, format!("{}-{name}", self.address))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        Worker { child, admin, internal }
    }

    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap_or_default()
    }
}

impl Worker {
    async fn get(&self, client: &Client, path: &str) -> Option<(StatusCode, Value)> {
        let answer = client.http.get(format!("http://{}{path}", self.admin)).send().await.ok()?;
        let status = answer.status();
        Some((status, serde_json::from_slice(&answer.bytes().await.ok()?).unwrap_or_default()))
    }

    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    pub async fn ready(&self, client: &Client) {
        let ready = async || matches!(self.get(client, "/readyz").await, Some((StatusCode::OK, _)));
        until("the worker is ready", PATIENCE, ready).await;
    }
}

/// A small task.
pub fn task(steps: u32) -> Value {
    use base64::Engine;
    let picture = base64::engine::general_purpose::STANDARD.encode(png());
    let image = format!("data:image/png;base64,{picture}");
    json!({"image": image, "size": "256*256", "num_inference_steps": steps, "output_format": "png"})
}

pub const REDUX: &str = "/api/v3/wavespeed-ai/flux-redux-dev";

async fn submit(client: &Client, steps: u32) -> String {
    submit_task(client, &task(steps)).await
}

/// A task that takes many seconds.
async fn submit_long(client: &Client) -> String {
    let mut long = task(50);
    long["size"] = json!("1536*1536");
    submit_task(client, &long).await
}

async fn submit_task(client: &Client, task: &Value) -> String {
    let answer = client.post(REDUX, task).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.body["data"]["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn what_one_server_accepts_another_host_runs_and_a_third_shows() {
    let Some(place) = Place::new().await else { return };
    let ((first, _one), (second, _two)) = (place.api(), place.api());
    let (one, two) = (first.client(), second.client());
    // A server without workers of its own is ready when it can accept jobs.
    one.ready().await;
    two.ready().await;
    let worker = place.worker("worker");
    worker.ready(&one).await;
    let id = submit(&one, 4).await;
    wait_for(&second, &two, &id, "completed").await;
    let answer = two.get(&format!("/api/v3/predictions/{id}")).await.unwrap();
    let picture = two.http.get(answer.body["data"]["outputs"][0].as_str().unwrap()).send().await.unwrap();
    assert!(image::load_from_memory(&picture.bytes().await.unwrap()).is_ok());
    // What was uploaded to one is used by the other.
    let upload = one.upload(&png()).await;
    let mut named = task(1);
    named["image"] = json!(upload.replace(&first.address, &second.address));
    let answer = two.post(REDUX, &named).await.unwrap();
    let id = answer.body["data"]["id"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
    wait_for(&first, &one, &id, "completed").await;
    // Operators see all three.
    let status = one.get("/status").await.unwrap().body;
    let mut roles: Vec<&str> =
        status["processes"].as_array().unwrap().iter().map(|process| process["role"].as_str().unwrap()).collect();
    roles.sort_unstable();
    assert_eq!(roles, ["serve", "serve", "worker"], "{status}");
    let (_, load) = worker.get(&one, "/autoscale").await.unwrap();
    assert_eq!((load["load"].as_u64(), load["slots"].as_u64()), (Some(0), Some(1)), "{load}");
    assert!(worker.get(&one, REDUX).await.is_some_and(|(status, _)| status == StatusCode::NOT_FOUND));
}

#[tokio::test]
async fn a_worker_that_is_killed_loses_nothing_and_one_that_is_asked_to_stop_hands_back() {
    let Some(place) = Place::new().await else { return };
    let (installation, _api) = place.api();
    let client = installation.client();
    client.ready().await;
    let mut killed = place.worker("killed");
    killed.ready(&client).await;
    let id = submit_long(&client).await;
    wait_for(&installation, &client, &id, "processing").await;
    let start = Instant::now();
    killed.child.kill().unwrap();
    killed.child.wait().unwrap();
    // Shorter than the job takes on any machine.
    let stopped = place.worker_with("stopped", &["--finish-within", "1"]);
    let runs_again = async || place.log("stopped").contains("job started");
    let took = until("another worker has the job", Duration::from_secs(15), runs_again).await;
    println!(
        "claimed elsewhere {:.1} s after the kill, {:.1} s after the start",
        start.elapsed().as_secs_f64(),
        took.as_secs_f64()
    );
    // A stop that does not wait for its end hands the job back.
    crate::processes::signal("-TERM", &[stopped.child.id()]);
    let mut stopped = stopped;
    let hands_back = async || {
        let ended = stopped.child.try_wait().unwrap().is_some();
        if ended { Ok(()) } else { Err(place.log("stopped")) }
    };
    eventually(Duration::from_secs(40), hands_back).await;
    let cancelled =
        client.request(reqwest::Method::POST, &format!("/api/v3/predictions/{id}/cancel"), &[], &Value::Null).await;
    let answer = cancelled.unwrap();
    assert!(answer.status.is_success(), "{answer:?}");
    wait_for(&installation, &client, &id, "cancelled").await;
}

#[tokio::test]
async fn a_worker_that_drains_is_seen_until_its_last_job_has_left() {
    let Some(place) = Place::new().await else { return };
    let (installation, _api) = place.api();
    let client = installation.client();
    client.ready().await;
    let mut worker = place.worker_with("worker", &["--finish-within", "60"]);
    worker.ready(&client).await;
    let id = submit_long(&client).await;
    wait_for(&installation, &client, &id, "processing").await;
    crate::processes::signal("-TERM", &[worker.child.id()]);
    let drains = async || {
        worker.get(&client, "/readyz").await.is_some_and(|(status, _)| status == StatusCode::SERVICE_UNAVAILABLE)
    };
    until("it takes no more", PATIENCE, drains).await;
    let (_, answer) = worker.get(&client, "/readyz").await.expect("an answer");
    assert!(answer.to_string().contains("the process stops"), "{answer}");
    for path in ["/healthz", "/metrics"] {
        assert!(worker.get(&client, path).await.is_some_and(|(status, _)| status == StatusCode::OK), "{path}");
    }
    let cancel = format!("/api/v3/predictions/{id}/cancel");
    assert!(client.request(reqwest::Method::POST, &cancel, &[], &Value::Null).await.unwrap().status.is_success());
    until("it ends", PATIENCE, async || worker.has_ended()).await;
}

#[tokio::test]
async fn a_request_to_cancel_reaches_another_host() {
    let Some(place) = Place::new().await else { return };
    let (installation, _api) = place.api();
    let client = installation.client();
    client.ready().await;
    let worker = place.worker("worker");
    worker.ready(&client).await;
    let id = submit_long(&client).await;
    wait_for(&installation, &client, &id, "processing").await;
    let start = Instant::now();
    let answer =
        client.request(reqwest::Method::POST, &format!("/api/v3/predictions/{id}/cancel"), &[], &Value::Null).await;
    assert!(answer.unwrap().status.is_success());
    wait_for(&installation, &client, &id, "cancelled").await;
    println!("cancelled after {:.2} s", start.elapsed().as_secs_f64());
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
}

#[tokio::test]
async fn whoever_waits_at_a_server_that_stops_hears_of_the_end_at_once() {
    let Some(place) = Place::new().await else { return };
    let ((first, mut server), (second, _two)) = (place.api(), place.api());
    let (one, two) = (first.client(), second.client());
    one.ready().await;
    two.ready().await;
    let worker = place.worker("worker");
    worker.ready(&one).await;
    // Longer than it takes to see that it runs.
    let mut waits = task(50);
    waits["size"] = json!("768*768");
    waits["enable_sync_mode"] = json!(true);
    let asked = one.http.post(format!("http://{}{REDUX}", first.address)).bearer_auth(KEY).timeout(PATIENCE);
    let answer = tokio::spawn(asked.header("content-type", "application/json").body(waits.to_string()).send());
    let newest = async || two.post("/api/v3/predictions", &json!({})).await.unwrap().body["data"]["items"][0].clone();
    until("it runs", PATIENCE, async || newest().await["status"] == "processing").await;
    server.signal("-TERM");
    let answered = async {
        let answer = answer.await.unwrap().unwrap().bytes().await.unwrap();
        (serde_json::from_slice::<Value>(&answer).unwrap(), Instant::now())
    };
    let ended = async {
        until("it ends", PATIENCE, async || newest().await["status"] == "completed").await;
        Instant::now()
    };
    let ((answer, answered), ended) = tokio::join!(answered, ended);
    assert_eq!(answer["data"]["status"], "completed", "{answer}");
    let late = answered.saturating_duration_since(ended);
    println!("answered {:.1} s after others knew", late.as_secs_f64());
    assert!(late < Duration::from_secs(2), "{late:?}");
    assert!(server.ended(PATIENCE).await.success());
}

#[tokio::test]
async fn a_server_that_leaves_before_the_end_says_so_and_cancels_nothing() {
    let Some(place) = Place::new().await else { return };
    let ((first, mut server), (second, _two)) = (place.api_with(&["--finish-within", "1"]), place.api());
    let (one, two) = (first.client(), second.client());
    one.ready().await;
    two.ready().await;
    let worker = place.worker("worker");
    worker.ready(&one).await;
    let mut waits = task(50);
    waits["size"] = json!("1536*1536");
    waits["enable_sync_mode"] = json!(true);
    let asked = one.http.post(format!("http://{}{REDUX}", first.address)).bearer_auth(KEY).timeout(PATIENCE);
    let answer = tokio::spawn(asked.header("content-type", "application/json").body(waits.to_string()).send());
    let newest = async || two.post("/api/v3/predictions", &json!({})).await.unwrap().body["data"]["items"][0].clone();
    until("it runs", PATIENCE, async || newest().await["status"] == "processing").await;
    server.signal("-TERM");
    let start = Instant::now();
    let answer = answer.await.unwrap().unwrap();
    println!("answered {:.1} s after the signal", start.elapsed().as_secs_f64());
    assert_eq!(answer.status(), StatusCode::OK);
    let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(answer["data"]["status"], "processing", "{answer}");
    assert!(server.ended(Duration::from_secs(10)).await.success());
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    let id = answer["data"]["id"].as_str().unwrap();
    assert_eq!(newest().await["status"], "processing", "nobody wanted it cancelled");
    let cancel = format!("/api/v3/predictions/{id}/cancel");
    assert!(two.request(reqwest::Method::POST, &cancel, &[], &Value::Null).await.unwrap().status.is_success());
    wait_for(&second, &two, id, "cancelled").await;
}

#[tokio::test]
async fn steps_previews_and_logs_cross_hosts() {
    let Some(place) = Place::new().await else { return };
    let ((first, _one), (second, _two)) = (place.api(), place.api());
    let (one, two) = (first.client(), second.client());
    one.ready().await;
    two.ready().await;
    let worker = place.worker("worker");
    worker.ready(&one).await;
    let mut long = task(50);
    long["size"] = json!("512*512");
    let id = submit_task(&one, &long).await;
    // What the playground listens to, at the server that did not accept it.
    let events = format!("http://{}/api/v3/predictions/{id}/events", second.address);
    let mut stream = two.http.get(events).bearer_auth(KEY).timeout(PATIENCE).send().await.unwrap().bytes_stream();
    let mut text = String::new();
    let enough = async {
        while text.matches("\"step\"").count() < 3 || !text.contains("\"preview\"") {
            text += std::str::from_utf8(&stream.next().await.unwrap().unwrap()).unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, enough).await.expect("steps and a preview");
    drop(stream);
    // The worker does one after the other.
    let cancel = format!("/api/v3/predictions/{id}/cancel");
    one.request(reqwest::Method::POST, &cancel, &[], &Value::Null).await.unwrap();
    // A log is known to servers that never watched the job.
    let request = json!({"image_url": long["image"], "num_inference_steps": 20,
        "image_size": {"width": 512, "height": 512}});
    let answer = one.post("/queue/fal-ai/flux/dev/redux", &request).await.unwrap();
    let logged = answer.body["request_id"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned();
    let log = async |client: &Client| {
        let status = format!("/queue/fal-ai/flux/requests/{logged}/status?logs=1");
        let status = client.get(&status).await.unwrap().body;
        let lines = status["logs"].as_array().unwrap_or_else(|| panic!("{status}"));
        let lines: Vec<String> = lines.iter().map(|line| line["message"].as_str().unwrap().to_owned()).collect();
        (status["status"] == "COMPLETED", lines)
    };
    let has_begun = async || {
        let log = log(&one).await;
        if log.1.iter().any(|line| line.starts_with("step 1 of")) { Ok(()) } else { Err(format!("{log:?}")) }
    };
    eventually(PATIENCE, has_begun).await;
    // Nobody without a pass is told anything, and clients have no way there.
    let internal = format!("/internal/jobs/{id}/events?attempt=1");
    let refused = async |authorization: &str| {
        let request =
            one.http.get(format!("http://{}{internal}", worker.internal)).header("authorization", authorization);
        request.send().await.unwrap().status()
    };
    for authorization in ["", "Bearer", &format!("Bearer {KEY}"), "Bearer 9999999999.AAAA", "Bearer 1.AAAA"] {
        assert_eq!(refused(authorization).await, StatusCode::UNAUTHORIZED, "{authorization}");
    }
    assert_eq!(one.get(&internal).await.unwrap().status, StatusCode::NOT_FOUND);
    until("it is over", PATIENCE, async || log(&one).await.0).await;
    // Two passes, the second one of two steps.
    let (_, lines) = log(&two).await;
    assert!(lines.contains(&"step 22 of 22".to_owned()), "also when it is over: {lines:?}");
}

#[tokio::test]
async fn what_one_machine_kept_is_moved() {
    let Some(place) = Place::new().await else { return };
    let alone = Installation::new();
    let server = alone.start();
    let client = alone.client();
    client.ready().await;
    let done = submit(&client, 1).await;
    wait_for(&alone, &client, &done, "completed").await;
    let link = client.get(&format!("/api/v3/predictions/{done}")).await.unwrap().body["data"]["outputs"][0].clone();
    drop(server);
    let import = || {
        let file = format!("sqlite:{}", alone.data().join("afterimage.sqlite").display());
        place.program(&["import", &file, "--storage-url", &place.storage]).output().unwrap()
    };
    let first = import();
    assert!(first.status.success(), "{first:?}");
    let told = String::from_utf8(first.stdout).unwrap();
    assert!(told.contains("1 keys, 1 jobs") && told.contains("2 files"), "{told}");
    let again = String::from_utf8(import().stdout).unwrap();
    assert!(again.contains("0 keys, 0 jobs, 0 webhooks, 0 uploads, 0 files"), "{again}");
    let (installation, _api) = place.api();
    let moved = installation.client();
    moved.ready().await;
    wait_for(&installation, &moved, &done, "completed").await;
    let link = link.as_str().unwrap().replace(&alone.address, &installation.address);
    assert_eq!(moved.http.get(link).send().await.unwrap().status(), StatusCode::OK);
    let list = moved.post("/api/v3/predictions", &json!({})).await.unwrap();
    assert_eq!(list.body["data"]["total"], 1, "{list:?}");
}

#[tokio::test]
async fn what_cannot_be_used_is_told_in_one_line() {
    let Some(place) = Place::new().await else { return };
    let told = |words: &[&str], address: &str| {
        let output = place.program(words).env("AFTERIMAGE_DATABASE_URL", address).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let storage = place.storage.clone();
    let fresh = {
        let server = postgres::server().unwrap();
        server.address(&server.create_database("template1").await)
    };
    let worker = ["worker", "--admin-listen", "off", "--storage-url", &storage];
    let (code, text) = told(&worker, &fresh);
    assert!(code == Some(1) && text.contains("afterimage migrate"), "{text}");
    let (code, text) = told(&worker, "postgres://postgres@127.0.0.1:9/nothing");
    assert!(code == Some(1) && text.contains("database is unavailable"), "{text}");
    let (code, text) = told(&worker, "sqlite:somewhere");
    assert!(code == Some(2) && text.contains("postgres://"), "{text}");
    let (code, text) = told(&["worker", "--admin-listen", "off"], &place.address);
    assert!(code == Some(2) && text.contains("storage"), "{text}");
    let with_password = "postgres://postgres:hush@127.0.0.1/queue";
    let (code, text) = told(&["migrate", "--database-url", with_password], &place.address);
    assert!(code == Some(2) && text.contains("PGPASSWORD") && !text.contains("hush"), "{text}");
    let (code, text) = told(&["migrate", "--database-url", "mysql://user:hush@host/x"], &place.address);
    assert!(code == Some(2) && !text.contains("hush"), "{text}");
    assert!(!text.contains(KEY));
}
