//! Several sets of models in one server: which requests run where, and what one set's trouble means for another.

use crate::fal_files::database;
use crate::openai::{self, NATIVE, file, inlined, text};
use crate::support::{PRO, REDUX, SRPO, Server, answer, data_uri, options, picture};
use crate::waiting::eventually;
use afterimage_engine::EngineOptions;
use afterimage_jobs::{JobId, JobStore};
use afterimage_server::model_sets::{ModelSet, ModelSets};
use afterimage_server::options::ServeOptions;
use afterimage_server::serve::{ServeError, serve};
use afterimage_worker::child::ChildSettings;
use afterimage_worker::{EngineCommand, EngineSet, EngineSets};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

const FAL_REDUX: &str = "/fal-ai/flux-1/dev/redux";
const FAL_SRPO: &str = "/fal-ai/flux-1/srpo/image-to-image";

/// Longest wait for anything that takes a moment on an idle machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// Two models under names of their own: results tell which made them.
struct Bundles(TempDir);

impl Bundles {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let kit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../afterimage-engine/tests/parity/bundles");
        for name in ["dev", "schnell"] {
            symlink(kit.join(name).join("base"), folder.path().join(name)).unwrap();
            symlink(kit.join(name).join("redux"), folder.path().join(format!("{name}-redux"))).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// How the processes of the bundle `name` are started.
    fn command(&self, name: &str) -> EngineCommand {
        let options = EngineOptions {
            base: Some(self.path(name)),
            redux: Some(self.path(&format!("{name}-redux"))),
            ..EngineOptions::default()
        };
        let mut command = EngineCommand::this_program(&options, &ChildSettings::default()).unwrap();
        command.program = env!("CARGO_BIN_EXE_afterimage").into();
        command
    }

    /// Gives a server sets of models: name, bundle, ids.
    fn install(&self, options: &mut ServeOptions, sets: &[(&str, &str, &[&str])]) {
        let set = |(name, _, serves): &(&str, &str, &[&str])| ModelSet {
            name: name.parse().unwrap(),
            serves: serves.iter().map(|id| (*id).to_owned()).collect(),
        };
        options.models = ModelSets::new(sets.iter().map(set).collect()).unwrap();
        let engines = |(name, bundle, _): &(&str, &str, &[&str])| EngineSet {
            model: Some(name.parse().unwrap()),
            commands: vec![self.command(bundle)],
        };
        options.engines = Arc::new(EngineSets(sets.iter().map(engines).collect()));
        options.workers = 1;
    }

    /// The engine process that runs the bundle `name`.
    async fn process(&self, name: &str) -> String {
        let argument = format!("--base={}", self.path(name).display());
        eventually(PATIENCE, async || {
            let mut processes =
                fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
            let runs = |pid: &String| {
                let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                line.split(|byte| *byte == 0).any(|part| part == argument.as_bytes())
            };
            processes.find(runs).ok_or_else(|| format!("no process runs {name}"))
        })
        .await
    }
}

fn signal(name: &str, pid: &str) {
    assert!(Command::new("kill").args([name, pid]).status().unwrap().success());
}

/// What any of the services calls a small request's settings; each takes what it knows.
fn body() -> Value {
    let picture = data_uri(&picture(64, 64));
    json!({
        "image": picture, "image_url": picture, "prompt": "at night", "seed": 5, "num_inference_steps": 2,
        "output_format": "png", "size": "256*256", "image_size": {"width": 64, "height": 64}, "width": 256,
        "height": 256, "strength": 0.5, "enable_sync_mode": true,
    })
}

/// The bundle that a result's file says it was made by.
fn maker(file: &[u8]) -> &'static str {
    let holds = |text: &str| file.windows(text.len()).any(|window| window == text.as_bytes());
    let found: Vec<&str> =
        ["dev", "schnell"].into_iter().filter(|name| holds(&format!("\"model\":\"{name}\""))).collect();
    assert_eq!(found.len(), 1, "one model, by its file's name: {found:?}");
    assert!(!holds("\"model\":\"srpo\"") && !holds("\"model\":null"), "the set's own name is nobody's business");
    found[0]
}

/// The bundle that makes the pictures of `path`.
async fn maker_of(server: &Server, path: &str) -> &'static str {
    let (status, answer) = server.post(path, &body()).await;
    assert_eq!(status, 200, "{path}: {answer}");
    let address = match path.split('/').nth(1) {
        Some("api") => &answer["data"]["outputs"][0],
        Some("fal-ai") => &answer["images"][0]["url"],
        _ => &answer["images"][0],
    };
    let address = address.as_str().unwrap_or_else(|| panic!("{path}: {answer}"));
    let file = match address.split_once(";base64,") {
        Some((_, text)) => {
            use base64::Engine;
            base64::engine::general_purpose::STANDARD.decode(text).unwrap()
        }
        None => server.client.get(address).send().await.unwrap().bytes().await.unwrap().to_vec(),
    };
    maker(&file)
}

#[tokio::test]
async fn ids_of_all_dialects_run_on_the_set_of_their_name() {
    let bundles = Bundles::new();
    let server =
        Server::start(|options| bundles.install(options, &[("srpo", "schnell", &[]), ("dev", "dev", &[])])).await;
    for redux in [REDUX, PRO, FAL_REDUX, NATIVE] {
        assert_eq!(maker_of(&server, redux).await, "dev", "{redux}");
    }
    for srpo in [SRPO, FAL_SRPO] {
        assert_eq!(maker_of(&server, srpo).await, "schnell", "{srpo}");
    }
    let png = picture(64, 64);
    let parts = [file("image", &png), text("prompt", "at night"), text("num_inference_steps", "2")];
    let (status, edited) = openai::send(&server, "/v1/openai/images/edits", &parts).await;
    assert_eq!(status, 200, "{edited}");
    assert_eq!(maker(&inlined(&edited)[0]), "dev");
    // The row says it, too: what was asked for, and what ran.
    let mut asked = body();
    asked["enable_sync_mode"] = json!(false);
    let id = server.submit(SRPO, &asked).await;
    assert_eq!(server.ended(&id).await["status"], "completed");
    let job = database(&server).await.job(&JobId::from(id)).await.unwrap().unwrap();
    assert_eq!(job.spec.request.model, Some("srpo".parse().unwrap()));
    assert_eq!(job.result.unwrap().facts.model.name, "schnell");
}

#[tokio::test]
async fn when_all_sets_list_ids_others_do_not_exist() {
    let bundles = Bundles::new();
    let srpo: [&str; 2] = ["wavespeed-ai/flux-srpo/image-to-image", "fal-ai/flux/srpo/image-to-image"];
    let server = Server::start(|options| {
        bundles.install(options, &[("one", "dev", &srpo[..1]), ("two", "schnell", &srpo[1..])]);
    })
    .await;
    assert_eq!(maker_of(&server, SRPO).await, "dev");
    assert_eq!(maker_of(&server, "/fal-ai/flux/srpo/image-to-image").await, "schnell");
    for path in [REDUX, PRO, FAL_REDUX, FAL_SRPO, NATIVE] {
        let (status, answer) = server.post(path, &body()).await;
        assert_eq!(status, 404, "{path}: {answer}");
    }
    let (_, catalogue) = server.get("/api/v3/models").await;
    let ids: Vec<&str> =
        catalogue["data"].as_array().unwrap().iter().map(|item| item["model_id"].as_str().unwrap()).collect();
    assert_eq!(ids, [srpo[0]]);
    let (status, told) = server.post(REDUX, &body()).await;
    assert_eq!((status.as_u16(), &told["code"]), (404, &json!(404)));
    assert!(told["message"].as_str().unwrap().ends_with(&format!("there are {}", srpo[0])), "{told}");
    let (_, list) = server.get("/v1/models").await;
    assert_eq!(list["data"], json!([]));
    let png = picture(64, 64);
    let (status, told) = openai::send(&server, "/v1/images/variations", &[file("image", &png)]).await;
    assert_eq!((status.as_u16(), &told["error"]["code"]), (404, &json!("model_not_found")), "{told}");
}

/// The value of a sample of the metrics' text.
async fn sample(address: &str, name: &str) -> String {
    let text = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("no {name} in\n{text}"));
    line.rsplit(' ').next().unwrap().to_owned()
}

#[tokio::test]
async fn the_end_of_one_sets_process_stops_no_other() {
    let bundles = Bundles::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let admin = free.local_addr().unwrap();
    drop(free);
    let server = Server::start(|options| {
        bundles.install(options, &[("dev", "dev", &[]), ("srpo", "schnell", &[])]);
        options.admin_listen = Some(admin);
    })
    .await;
    // Both have run something.
    assert_eq!([maker_of(&server, REDUX).await, maker_of(&server, SRPO).await], ["dev", "schnell"]);
    let admin = admin.to_string();
    for model in ["dev", "srpo"] {
        assert_eq!(sample(&admin, &format!("afterimage_model_engines_ready{{model=\"{model}\"}}")).await, "1");
    }
    assert_eq!(sample(&admin, "afterimage_engines_ready").await, "2");

    // A process that stands still holds up its own jobs only: two of them, of which the second waits in the queue.
    let process = bundles.process("schnell").await;
    signal("-STOP", &process);
    let mut asked = body();
    asked["enable_sync_mode"] = json!(false);
    let waiting = [server.submit(SRPO, &asked).await, server.submit(SRPO, &asked).await];
    for _ in 0..3 {
        assert_eq!(maker_of(&server, REDUX).await, "dev");
    }
    for id in &waiting {
        let (_, told) = server.get(&format!("/api/v3/predictions/{id}/result")).await;
        assert!(["created", "processing"].contains(&told["data"]["status"].as_str().unwrap()), "{told}");
    }
    signal("-KILL", &process);
    assert_eq!(maker_of(&server, REDUX).await, "dev");
    for id in &waiting {
        assert_eq!(server.ended(id).await["status"], "completed");
    }
    assert_eq!(sample(&admin, "afterimage_model_engine_restarts{model=\"srpo\"}").await, "1");
    assert_eq!(sample(&admin, "afterimage_model_engine_restarts{model=\"dev\"}").await, "0");
    assert_eq!(server.get("/readyz").await.0, 200);
}

#[tokio::test]
async fn what_waited_before_there_were_names_runs_on_the_first_set() {
    let bundles = Bundles::new();
    let server = Server::without_workers().await;
    let mut asked = body();
    asked["enable_sync_mode"] = json!(false);
    let id = server.submit(REDUX, &asked).await;
    let folder = server.stop().await;
    let server = Server::start(|options| {
        bundles.install(options, &[("srpo", "schnell", &[]), ("dev", "dev", &[])]);
        options.data_dir = folder.path().join("data");
    })
    .await;
    let ended = server.ended(&id).await;
    let file = server.client.get(ended["outputs"][0].as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(maker(&file), "schnell");
    // What was accepted for a set by name waits for it, also in a server that has none.
    drop(server.stop().await);
    let server = Server::start(|options| {
        bundles.install(options, &[("srpo", "schnell", &[]), ("dev", "dev", &[])]);
        (options.workers, options.data_dir) = (0, folder.path().join("data"));
    })
    .await;
    let named = server.submit(REDUX, &asked).await;
    drop(server.stop().await);
    let server = Server::start(|options| {
        (options.workers, options.data_dir) = (1, folder.path().join("data"));
    })
    .await;
    let unnamed = server.submit(REDUX, &asked).await;
    assert_eq!(server.ended(&unnamed).await["status"], "completed");
    let (_, told) = server.get(&format!("/api/v3/predictions/{named}/result")).await;
    assert_eq!(told["data"]["status"], "created");
    let (status, _) =
        answer(server.request(Method::POST, &format!("/api/v3/predictions/{named}/cancel")).send().await.unwrap())
            .await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_set_that_cannot_be_opened_is_named() {
    let bundles = Bundles::new();
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    bundles.install(&mut options, &[("dev", "dev", &[]), ("srpo", "nowhere", &[])]);
    let ended = tokio::time::timeout(PATIENCE, serve(options, CancellationToken::new(), |_| {})).await.unwrap();
    let Err(ServeError::Engine(unusable)) = ended else { panic!("{ended:?}") };
    assert_eq!(unusable.model, Some("srpo".parse().unwrap()));
    assert!(unusable.message.contains("nowhere"), "{unusable}");

    // The program tells it in one line, here with a set of the file.
    let config = folder.path().join("c.toml");
    let (dev, nowhere) = (bundles.path("dev"), bundles.path("no,where"));
    let table = format!(
        "[model.dev]\nbase = \"{}\"\n[model.srpo]\nbase = \"{}\"\nthreads = 1\n",
        dev.display(),
        nowhere.display()
    );
    fs::write(&config, table).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_afterimage"));
    program.args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--config"]).arg(&config);
    let output = program.arg("--data-dir").arg(folder.path().join("other")).env("RUST_LOG", "error").output().unwrap();
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), line.lines().count()), (Some(2), 1), "{line}");
    let expected = format!("--model (from {}): srpo: {}: no such folder\n", config.display(), nowhere.display());
    assert_eq!(line, expected);
}
