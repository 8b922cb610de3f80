//! `hub:…` wherever a model is named: what is in the cache runs, what is missing is told or fetched.

use crate::context::{SMALL, bundle, repository};
use crate::fake_hub::TOKEN;
use crate::pull::Hub;
use crate::waiting::blocking_until;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

/// The repository of the tiny model under a name that the program knows by heart, and of its Redux.
const DEV: &str = "black-forest-labs/FLUX.1-dev";
const REDUX: &str = "me/tiny-redux";

/// The files below `folder` with their paths.
fn files_below(root: &Path, folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = entries.flat_map(|path| {
        if path.is_dir() {
            return files_below(root, &path);
        }
        vec![(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned(), fs::read(path).unwrap())]
    });
    files.collect()
}

impl Hub {
    /// One that has the tiny model: gated, without a licence that anybody may use.
    fn with_tiny_model() -> Self {
        let place = Self::new();
        place.offer(DEV, &bundle("dev/base"), true);
        place.offer(REDUX, &bundle("dev/redux"), false);
        place
    }

    fn offer(&self, name: &str, folder: &Path, gated: bool) {
        let files = files_below(folder, folder);
        let files: Vec<(&str, &[u8])> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
        self.hub.add(name, &files, Some(if gated { "other" } else { "mit" }), gated);
    }

    /// What `vary` says of the model that it ran.
    #[track_caller]
    fn varied(&self, models: &[&str]) -> Value {
        let vary = ["vary", "photo.png", "--output", "out/a.png", "--json"];
        let all: Vec<&str> = vary.iter().chain(&SMALL).chain(models).copied().collect();
        serde_json::from_slice(&self.run_as(TOKEN, &all).succeeded().stdout).unwrap()
    }
}

#[test]
fn from_a_token_to_a_variation() {
    let place = Hub::with_tiny_model();
    place.run_as(TOKEN, &["models", "pull", "flux-dev", "--accept-licence"]).succeeded();
    place.run(&["models", "pull", REDUX]).succeeded();
    place.hub.seen();
    let report = place.varied(&["--base", "hub:flux-dev", "--redux", "hub:me/tiny-redux"]);
    assert_eq!(report["model"], "FLUX.1-dev", "{report}");
    assert!(place.hub.seen().is_empty(), "the hub is not asked about what is there");
    let same = place.varied(&["--base", "hub:black-forest-labs/FLUX.1-dev", "--redux", "hub:me/tiny-redux@main"]);
    assert_eq!(same["model"], "FLUX.1-dev");
    let text = place.run(&["models", "list"]).succeeded().text();
    assert!(text.contains("hub:black-forest-labs/FLUX.1-dev, ") && text.contains("fits: "), "{text}");
    place.run(&["models", "inspect", "hub:flux-dev"]).succeeded();
}

#[test]
fn what_is_missing_is_told_with_its_command() {
    let place = Hub::with_tiny_model();
    let run = |models: &[&str]| {
        let vary = ["vary", "photo.png", "--output", "out"];
        place.run(&vary.iter().chain(models).copied().collect::<Vec<_>>())
    };
    run(&["--base", "hub:flux-dev"]).refused(&[
        "--base: hub:black-forest-labs/FLUX.1-dev: is not in ",
        "`afterimage models pull flux-dev` fetches",
    ]);
    run(&["--vae", "hub:me/x@v1/ae.safetensors"])
        .refused(&["--vae: ", "`afterimage models pull me/x --revision v1 --only ae.safetensors` fetches it"]);
    run(&["--base", "hub:flux-dev", "--transformer", "hub:x"]).refused(&["--"]);
    run(&["--base", "hub:srpo"]).refused(&["expected --base hub:flux-dev --transformer hub:srpo"]);
    run(&["--safety", "hub:flux-dev"]).refused(&["--safety: ", "expected a safety checker"]);
    run(&["--redux", "hub:redux", "--pull"])
        .refused(&["--redux: black-forest-labs/FLUX.1-Redux-dev: no such repository"]);
    run(&["--t5", "hub:a/../b"]).refused(&["--t5: "]);
    place
        .run(&["serve", "--model", "dev=hub:flux-dev"])
        .refused(&["--model: dev: base: hub:", "`afterimage models pull"]);
    place.context.write("c.toml", "[model.dev]\nbase = 'hub:me/x@v2'\n");
    place.run(&["serve", "--config", "c.toml"]).refused(&["--model (from c.toml): dev: base: hub:me/x@v2: is not in "]);
    // Only a part was fetched.
    let only = ["models", "pull", "flux-dev", "--accept-licence", "--only", "vae"];
    place.run_as(TOKEN, &only).succeeded();
    let line = run(&["--base", "hub:flux-dev"]).refused(&["--base: ", "scheduler, text_encoder, text_encoder_2, "]);
    assert!(line.contains("transformer are not in") && !line.contains("vae"), "{line}");
}

#[test]
fn what_is_missing_is_fetched_when_told_to() {
    let place = Hub::with_tiny_model();
    let part = |name: &str| fs::read(bundle("dev").join(name)).unwrap();
    let transformer = part("base/transformer/diffusion_pytorch_model.safetensors");
    let files: [(&str, &[u8]); 4] = [
        ("a/config.json", &part("base/transformer/config.json")),
        ("a/diffusion_pytorch_model.safetensors", &transformer),
        ("siglip.safetensors", &part("redux/image_encoder/model.safetensors")),
        ("other.safetensors", b"x"),
    ];
    place.hub.add("me/files", &files, Some("mit"), false);
    let models = ["--base", "hub:flux-dev", "--redux", "hub:me/tiny-redux", "--pull"];
    let vary: Vec<&str> = ["vary", "photo.png", "--output", "out"].iter().chain(&models).copied().collect();
    place.run_as(TOKEN, &vary).refused(&["--base: ", "its licence has to be accepted", "--accept-licence"]);
    let parts =
        ["--accept-licence", "--transformer", "hub:me/files/a", "--image-encoder", "hub:me/files/siglip.safetensors"];
    let report = place.varied(&models.iter().chain(&parts).copied().collect::<Vec<_>>());
    assert_eq!(report["model"], "files", "{report}");
    // A base whose transformer is replaced is fetched without it, and a file without its neighbours.
    let cache = place.context.path("hf/hub");
    let names = files_below(&cache, &cache);
    let has = |part: &str| names.iter().any(|(name, _)| name.contains(part));
    assert!(has("FLUX.1-dev/snapshots") && has("/vae/") && !has("/transformer/"), "{names:?}");
    assert!(has("/siglip.safetensors") && !has("other.safetensors"), "{names:?}");
}

#[test]
fn a_part_of_a_repository_is_a_part_of_another_model() {
    let place = Hub::with_tiny_model();
    place.run_as(TOKEN, &["models", "pull", "flux-dev", "--accept-licence", "--only", "vae"]).succeeded();
    let base = bundle("dev/base");
    let models = ["--base", base.to_str().unwrap(), "--vae", "hub:flux-dev", "--redux", "hub:me/tiny-redux", "--pull"];
    assert_eq!(place.varied(&models)["model"], "base");
}

#[test]
fn checkers_come_from_the_hub_too() {
    let place = Hub::new();
    let checker = repository().join("crates/afterimage-engine/tests/safety/tiny/falconsai");
    place.offer("me/checker", &checker, false);
    let check = ["check", "photo.png", "--safety", "hub:me/checker", "--json"];
    place
        .run(&check)
        .refused(&["--safety: hub:me/checker: is not in ", "`afterimage models pull me/checker` fetches it"]);
    let fetching: Vec<&str> = check.iter().copied().chain(["--pull"]).collect();
    let text = place.run(&fetching).succeeded().text();
    assert!(text.contains("falconsai (checker)"), "{text}");
    assert_eq!(place.run(&check).succeeded().text(), text);
}

fn is_ready(address: &str) -> bool {
    let mut connection = TcpStream::connect(address).unwrap();
    connection.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    answer.starts_with("HTTP/1.1 200 ")
}

/// A process that is killed when this is dropped.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A server that fetches its model before it starts.
#[test]
fn a_server_fetches_its_models_at_start() {
    let place = Hub::with_tiny_model();
    place.context.write("c.toml", "pull = true\naccept-licence = true\n[model]\ntiny = 'hub:flux-dev'\n");
    let arguments =
        ["serve", "--config", "c.toml", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--data-dir", "data"];
    let mut command = place.command(&arguments);
    command.env("HF_TOKEN", TOKEN).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = Killed(command.spawn().unwrap());
    let mut lines = BufReader::new(server.0.stdout.take().unwrap()).lines();
    let first = lines.next().unwrap().unwrap();
    let address = first.strip_prefix("Afterimage listens on http://").unwrap_or_else(|| panic!("{first}")).to_owned();
    // Ready when the engine has opened the model.
    blocking_until("the engine opens what was fetched", Duration::from_secs(30), || is_ready(&address));
    drop(server);
    assert!(place.context.path("hf/hub/models--black-forest-labs--FLUX.1-dev/refs/main").is_file());
}
