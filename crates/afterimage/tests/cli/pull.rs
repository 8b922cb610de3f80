//! `models pull`, `verify`, `remove` and what `list` says, against a hub on loopback.

use crate::context::{Context, Outcome, finish};
use crate::fake_hub::{COMMIT, FakeHub, Manner, OTHER_TOKEN, TOKEN, sha256, weights};
use crate::waiting::blocking_until;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A hub and a cache.
pub struct Hub {
    pub hub: FakeHub,
    pub context: Context,
}

impl Hub {
    /// A hub with `me/model`, and an empty cache.
    pub fn new() -> Self {
        Self { hub: FakeHub::with_model(), context: Context::new() }
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.context.command(arguments);
        command.env("HF_ENDPOINT", &self.hub.endpoint).stdin(Stdio::null());
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome {
        finish(&mut self.command(arguments), &[])
    }

    /// The program with an account's token.
    pub fn run_as(&self, token: &str, arguments: &[&str]) -> Outcome {
        finish(self.command(arguments).env("HF_TOKEN", token), &[])
    }

    fn repository(&self) -> PathBuf {
        self.context.path("hf/hub/models--me--model")
    }

    fn blob(&self) -> PathBuf {
        self.repository().join("blobs").join(sha256(&weights()))
    }

    fn partial(&self) -> PathBuf {
        self.blob().with_extension("incomplete")
    }

    /// Ranges that the store was asked for since the last time.
    fn ranges(&self) -> Vec<Option<String>> {
        self.hub.seen().into_iter().filter(|seen| seen.host == "store").map(|seen| seen.range).collect()
    }

    /// Stops a transfer in the middle of the weights by `signal`; how it ended.
    fn interrupted(&self, signal: &str) -> Outcome {
        // The rest comes after a pause, in which the signal does.
        self.hub.becomes(Manner::Cut(40_000));
        let mut command = self.command(&["models", "pull", "me/model"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        blocking_until("the weights are there in part", Duration::from_secs(20), || {
            assert!(child.try_wait().unwrap().is_none(), "it ended");
            fs::metadata(self.partial()).map_or(0, |metadata| metadata.len()) >= 40_000
        });
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        self.hub.becomes(Manner::Right);
        self.hub.seen();
        Outcome { code: output.status.code(), stdout: output.stdout, stderr }
    }
}

#[test]
fn a_model_is_fetched_once_and_its_folder_printed() {
    let place = Hub::new();
    let outcome = place.run(&["models", "pull", "me/model"]);
    let snapshot = place.repository().join("snapshots").join(COMMIT);
    assert_eq!(outcome.succeeded().text(), format!("{}\n", snapshot.display()));
    assert_eq!(outcome.stderr, "me/model: 2 of 2 files fetched, 0.1 MB; licence: mit\n");
    assert_eq!(fs::read(snapshot.join("model.safetensors")).unwrap(), weights());
    place.hub.seen();
    let again = place.run(&["models", "pull", "hub:me/model", "--json", "--quiet"]);
    let report: Value = serde_json::from_slice(&again.succeeded().stdout).unwrap();
    assert_eq!((&report["repository"], &report["fetched"]), (&"me/model".into(), &0.into()), "{report}");
    assert_eq!((&report["revision"], &report["files"], &report["bytes"]), (&"main".into(), &2.into(), &0.into()));
    assert_eq!((again.stderr.as_str(), place.ranges().len()), ("", 0));
}

#[cfg(unix)]
#[test]
fn a_killed_transfer_goes_on_where_it_was() {
    for (signal, expected) in [("-KILL", (None, "")), ("-INT", (Some(1), "cancelled\n"))] {
        let place = Hub::new();
        let outcome = place.interrupted(signal);
        assert_eq!((outcome.code, outcome.stderr.as_str()), expected);
        assert!(!place.blob().exists() && !place.repository().join("refs").exists());
        assert_eq!(fs::read(place.partial()).unwrap(), weights()[..40_000]);
        place.run(&["models", "pull", "me/model"]).succeeded();
        assert_eq!(place.ranges(), [Some("bytes=40000-".to_owned())]);
        assert_eq!(fs::read(place.blob()).unwrap(), weights());
    }
}

#[test]
fn gated_models_say_what_to_do() {
    let place = Hub::new();
    place.hub.add("me/gated", &[("LICENSE.md", b"terms"), ("model.safetensors", &weights())], Some("other"), true);
    let pull = ["models", "pull", "me/gated", "--accept-licence"];
    place.run(&pull).refused(&["me/gated: is gated: accept its licence at ", "/me/gated", "HF_TOKEN"]);
    place.run_as(OTHER_TOKEN, &pull).refused(&["has no access", "the token in HF_TOKEN"]);
    let line = place.run_as("hf_wrong", &pull).refused(&["does not accept the token in HF_TOKEN"]);
    assert!(!line.contains("hf_wrong"), "{line}");
    let line = place.run_as(TOKEN, &pull[..3]).refused(&["its licence has to be accepted (other, gated)"]);
    assert!(line.contains("add --accept-licence"), "{line}");
    assert!(!place.context.path("hf/hub").exists(), "nothing was begun");
    // The file that the hub's own tools write.
    fs::create_dir_all(place.context.path("hf")).unwrap();
    place.context.write("hf/token", TOKEN);
    let outcome = place.run(&pull);
    assert!(outcome.succeeded().stderr.ends_with("licence: other, gated\n"), "{}", outcome.stderr);
}

#[test]
fn what_cannot_be_fetched_is_one_line() {
    let place = Hub::new();
    for (arguments, parts) in [
        (&["me/none"][..], &["me/none: no such repository"][..]),
        (&["flux"], &["NAME: `flux`: is not known; expected OWNER/NAME, or one of flux-dev"]),
        (&["me/../model"], &["NAME: "]),
        (&["me/model", "--only", "vae"], &["`vae`: is no part of me/model; it has config.json, model.safetensors"]),
        (&["me/model", "--revision", "v9"], &["me/model: has no revision `v9`"]),
        (&["me/model@v1", "--revision", "v9"], &["--revision: is given in NAME, too"]),
        (&["me/model", "--revision", "../x"], &["--revision: ", "expected a branch, a tag or a commit"]),
    ] {
        let all: Vec<&str> = ["models", "pull"].iter().chain(arguments).copied().collect();
        place.run(&all).refused(parts);
    }
    let offline = finish(place.command(&["models", "pull", "me/model"]).env("HF_HUB_OFFLINE", "1"), &[]);
    offline.refused(&["HF_HUB_OFFLINE: forbids to ask the hub"]);
    let elsewhere = finish(place.command(&["models", "pull", "me/model"]).env("HF_ENDPOINT", "ftp://x"), &[]);
    elsewhere.refused(&["HF_ENDPOINT: `ftp://x` is no web address"]);
}

#[test]
fn a_damaged_transfer_leaves_no_file() {
    let place = Hub::new();
    place.hub.becomes(Manner::Damaged);
    let parts = ["me/model/model.safetensors: arrived damaged: its SHA-256 is ", "run the command again"];
    place.run(&["models", "pull", "me/model"]).failed(1, &parts);
    assert!(!place.blob().exists() && !place.partial().exists());
}

#[test]
fn a_hub_that_is_gone_is_tried_again_and_then_a_failure() {
    let mut place = Hub::new();
    place.hub = FakeHub::start();
    let endpoint = place.hub.endpoint.clone();
    let context = place.context;
    drop(place.hub);
    let mut command = context.command(&["models", "pull", "me/model"]);
    let start = Instant::now();
    finish(command.env("HF_ENDPOINT", endpoint), &[]).failed(1, &["me/model: ", "127.0.0.1"]);
    assert!(start.elapsed() > Duration::from_secs(10), "tried again with pauses between");
}

/// A limit on the length of files is as a full disk, without privileges and on any machine.
#[cfg(unix)]
#[test]
fn a_full_disk_is_told_and_the_rest_comes_later() {
    let place = Hub::new();
    let pull = place.command(&["models", "pull", "me/model"]);
    let mut limited = Command::new("sh");
    // 64 blocks of 512 bytes.
    limited.args(["-c", "ulimit -f 64; exec \"$0\" \"$@\""]).arg(pull.get_program()).args(pull.get_args());
    limited.current_dir(pull.get_current_dir().unwrap());
    for (name, value) in pull.get_envs() {
        if let Some(value) = value {
            limited.env(name, value);
        }
    }
    let parts = [".incomplete: ", "what has arrived stays, the same command goes on from there"];
    finish(limited.stdin(Stdio::null()), &[]).refused(&parts);
    let arrived = fs::read(place.partial()).unwrap();
    assert!(!arrived.is_empty() && weights().starts_with(&arrived) && !place.blob().exists());
    place.ranges();
    place.run(&["models", "pull", "me/model"]).succeeded();
    assert_eq!(place.ranges(), [Some(format!("bytes={}-", arrived.len()))]);
}

#[test]
fn parts_are_fetched_alone() {
    let place = Hub::new();
    let files = ["model_index.json", "vae/config.json", "vae/a.safetensors", "text_encoder_2/b.safetensors", "NOTICE"];
    let files: Vec<(&str, &[u8])> = files.iter().map(|name| (*name, name.as_bytes())).collect();
    place.hub.add("me/pipeline", &files, Some("mit"), false);
    let pulled = place.run(&["models", "pull", "me/pipeline", "--only", "vae", "--json"]);
    let report: Value = serde_json::from_slice(&pulled.succeeded().stdout).unwrap();
    assert_eq!(report["files"], 3, "{report}");
    let snapshot = PathBuf::from(report["snapshot"].as_str().unwrap());
    assert!(snapshot.join("vae/a.safetensors").is_file() && !snapshot.join("text_encoder_2").exists());
    let pulled = place.run(&["models", "pull", "me/pipeline", "--only", "t5", "--only", "vae", "--json"]);
    let report: Value = serde_json::from_slice(&pulled.succeeded().stdout).unwrap();
    assert_eq!((&report["files"], &report["fetched"]), (&4.into(), &1.into()));
}

#[test]
fn damage_is_found_named_and_mended_by_the_command_that_is_told() {
    let place = Hub::new();
    place
        .run(&["models", "verify", "me/model"])
        .refused(&["is not in ", "`afterimage models pull me/model` fetches it"]);
    place.run(&["models", "pull", "me/model"]).succeeded();
    let right = "me/model: 2 files are right, 0.1 MB\n";
    assert_eq!(place.run(&["models", "verify", "me/model"]).succeeded().text(), right);
    let mut bytes = weights();
    bytes[99_999] ^= 1;
    fs::write(place.blob(), bytes).unwrap();
    let parts = ["me/model: model.safetensors: its SHA-256 is ", "`afterimage models pull me/model` fetches it anew"];
    place.run(&["models", "verify", "me/model"]).refused(&parts);
    let report = place.run(&["models", "verify", "me/model", "--json"]);
    assert_eq!(report.code, Some(2), "{}", report.stderr);
    let report: Value = serde_json::from_slice(&report.stdout).unwrap();
    assert_eq!((&report["right"], &report["damaged"][0]["file"]), (&1.into(), &"model.safetensors".into()));
    place.run(&["models", "pull", "me/model"]).succeeded();
    for path in [place.repository(), place.repository().join("snapshots").join(COMMIT)] {
        let outcome = place.run(&["models", "verify", path.to_str().unwrap()]);
        assert_eq!(outcome.succeeded().text(), right);
    }
    fs::remove_file(place.blob()).unwrap();
    place.run(&["models", "verify", "me/model"]).refused(&["model.safetensors: its bytes are gone"]);
    let line = place.run(&["models", "verify", "me/model/config.json"]);
    assert_eq!(line.succeeded().text(), "me/model: 1 file is right, 0.0 MB\n");
    place.run(&["models", "verify", "me/model/none.json"]).refused(&["hub:me/model/none.json: is not in "]);
    place.run(&["models", "verify", "photo.png"]).refused(&["photo.png: lies in no cache of the hub"]);
}

#[test]
fn what_was_fetched_is_listed_and_removed() {
    let place = Hub::new();
    place.run(&["models", "pull", "me/model"]).succeeded();
    let outcome = place.run(&["models", "list", "--json"]);
    let rows: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
    let row = &rows[1];
    assert_eq!((&row["role"], &row["fits"]), (&"hub".into(), &false.into()), "{rows}");
    assert!(row["path"].as_str().unwrap().ends_with(COMMIT), "{row}");
    assert!(row["reason"].as_str().unwrap().starts_with("hub:me/model, 0.1 MB: "), "{row}");

    // Somebody else's files, behind a link in the cache.
    let outside = place.context.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "mine").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(&outside, place.repository().join("link")).unwrap();
    place.run(&["models", "remove", "me/model"]).refused(&["--yes: missing, and nobody can be asked"]);
    assert!(place.blob().exists());
    place.run(&["models", "remove", "me/model/config.json", "--yes"]).refused(&["cannot be removed alone"]);
    let outcome = place.run(&["models", "remove", "me/model", "--yes"]);
    assert_eq!(outcome.succeeded().text(), "me/model: 0.1 MB are free\n");
    assert!(!place.repository().exists() && outside.join("precious").is_file());
    place.run(&["models", "remove", "me/model", "--yes"]).refused(&["me/model: is not in "]);
    place.run(&["models", "remove", "me/../..", "--yes"]).refused(&["NAME: "]);
    assert!(place.context.path("hf/hub").is_dir());
}
