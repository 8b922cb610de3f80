//! Whole pulls against a hub on loopback, in all the ways in which they go wrong.

#![expect(
    clippy::unwrap_used,
    reason = "a failure anywhere in a test should end it; clippy's exception covers only the test functions"
)]

#[path = "support/hub.rs"]
mod hub;

use afterimage_hub::{
    AccessToken, HubCache, HubClient, HubEnvironment, HubError, HubReference, PullObserver, PullRequest, Pulled,
    TransferPatience, pull,
};
use hub::{COMMIT, FakeHub, Manner, OTHER_TOKEN, TOKEN, git_sha1, sha256, weights};
use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// A cache of its own, and what it takes to fill it.
struct Place {
    folder: TempDir,
    token: Option<&'static str>,
    accepted: bool,
    only: Vec<String>,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), token: None, accepted: false, only: Vec::new() }
    }

    fn cache(&self) -> HubCache {
        HubCache::new(self.folder.path().join("hub"))
    }

    fn repository(&self) -> PathBuf {
        self.cache().root().join("models--me--model")
    }

    fn snapshot(&self) -> PathBuf {
        self.repository().join("snapshots").join(COMMIT)
    }

    fn pull(&self, hub: &FakeHub, name: &str) -> Result<Pulled, HubError> {
        self.pull_watched(hub, name, &())
    }

    fn pull_watched(&self, hub: &FakeHub, name: &str, observer: &dyn PullObserver) -> Result<Pulled, HubError> {
        let token = AccessToken::new(self.token.unwrap_or_default(), "HF_TOKEN", "HF_TOKEN")?;
        let endpoint = hub.endpoint.parse().unwrap();
        let environment = HubEnvironment { endpoint, token, cache: self.cache(), offline: false };
        let patience =
            TransferPatience { attempts: 3, first_pause: Duration::from_millis(5), silence: Duration::from_secs(5) };
        let client = HubClient::new(&environment, tls(), patience)?;
        let reference: HubReference = name.parse()?;
        let request = PullRequest { reference, only: self.only.clone(), licence_accepted: self.accepted };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(pull(&client, &self.cache(), &request, observer))
    }

    /// Asserts that pulling `me/model` fails with one line that holds `parts`, and that no file got its name.
    #[track_caller]
    fn fails(&self, hub: &FakeHub, parts: &[&str]) -> HubError {
        let error = self.pull(hub, "me/model").unwrap_err();
        let line = error.to_string();
        assert!(!line.contains('\n') && !line.contains("signature"), "{line}");
        for part in parts {
            assert!(line.contains(part), "{line:?} should mention {part:?}");
        }
        assert!(!self.blob().exists() && !self.snapshot().exists() && !self.repository().join("refs").exists());
        error
    }

    fn blob(&self) -> PathBuf {
        self.repository().join("blobs").join(sha256(&weights()))
    }

    fn partial(&self) -> PathBuf {
        self.repository().join("blobs").join(format!("{}.incomplete", sha256(&weights())))
    }
}

fn tls() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
}

/// Ranges that the store was asked for.
fn ranges(hub: &FakeHub) -> Vec<Option<String>> {
    hub.seen().into_iter().filter(|seen| seen.host == "store").map(|seen| seen.range).collect()
}

#[test]
fn files_lie_as_pythons_tools_lay_them() {
    let (hub, place) = (FakeHub::with_model(), Place::new());
    hub.add("me/model", &[("config.json", b"{}"), ("sub/model.safetensors", &weights())], Some("mit"), false);
    let pulled = place.pull(&hub, "me/model").unwrap();
    assert_eq!((pulled.files, pulled.fetched, pulled.bytes), (2, 2, 100_002));
    assert_eq!(pulled.snapshot, place.snapshot());
    assert_eq!(fs::read_to_string(place.repository().join("refs/main")).unwrap(), COMMIT);
    let small = git_sha1(b"{}");
    let links = [
        ("config.json", format!("../../blobs/{small}")),
        ("sub/model.safetensors", format!("../../../blobs/{}", sha256(&weights()))),
    ];
    for (file, target) in links {
        assert_eq!(fs::read_link(place.snapshot().join(file)).unwrap(), Path::new(&target));
    }
    assert_eq!(fs::read(place.snapshot().join("sub/model.safetensors")).unwrap(), weights());
    let lock = place.cache().root().join(".locks/models--me--model").join(format!("{small}.lock"));
    assert!(lock.is_file());
    // Once more costs no bytes.
    hub.seen();
    let again = place.pull(&hub, "me/model").unwrap();
    assert_eq!((again.files, again.fetched, ranges(&hub)), (2, 0, Vec::new()));
}

#[test]
fn what_python_fetched_is_not_fetched_again() {
    let (hub, place) = (FakeHub::with_model(), Place::new());
    fs::create_dir_all(place.blob().parent().unwrap()).unwrap();
    fs::write(place.blob(), weights()).unwrap();
    let pulled = place.pull(&hub, "me/model").unwrap();
    assert_eq!((pulled.files, pulled.fetched, ranges(&hub).len()), (2, 1, 0));
    assert_eq!(fs::read(place.snapshot().join("model.safetensors")).unwrap(), weights());
}

#[test]
fn the_token_does_not_leave_the_hub() {
    let (hub, mut place) = (FakeHub::with_model(), Place::new());
    place.token = Some(TOKEN);
    place.pull(&hub, "me/model").unwrap();
    let seen = hub.seen();
    for request in &seen {
        let expected = (request.host == "hub").then(|| format!("Bearer {TOKEN}"));
        assert_eq!(request.authorization, expected, "{request:?}");
    }
    assert!(seen.iter().any(|request| request.host == "store"));
}

#[test]
fn an_interrupted_transfer_goes_on_where_it_was() {
    let (hub, place) = (FakeHub::with_model(), Place::new());
    hub.becomes(Manner::CutOnce(40_000));
    place.pull(&hub, "me/model").unwrap();
    assert_eq!(ranges(&hub), [None, Some("bytes=40000-".to_owned())]);
    assert_eq!(fs::read(place.snapshot().join("model.safetensors")).unwrap(), weights());
}

#[test]
fn a_later_run_goes_on_where_an_earlier_one_ended() {
    let (hub, place) = (FakeHub::with_model(), Place::new());
    hub.becomes(Manner::Cut(0));
    place.fails(&hub, &["me/model/model.safetensors: ", "after 0 of 100000 bytes; the same command goes on"]);
    fs::write(place.partial(), &weights()[..70_000]).unwrap();
    hub.becomes(Manner::Right);
    hub.seen();
    place.pull(&hub, "me/model").unwrap();
    assert_eq!(ranges(&hub), [Some("bytes=70000-".to_owned())]);
    assert!(!place.partial().exists() && fs::read(place.blob()).unwrap() == weights());
}

#[test]
fn a_store_without_ranges_sends_everything_again() {
    for manner in [Manner::WithoutRanges(30_000), Manner::RefusesRanges(30_000)] {
        let (hub, place) = (FakeHub::with_model(), Place::new());
        hub.becomes(manner);
        place.pull(&hub, "me/model").unwrap();
        assert_eq!(fs::read(place.blob()).unwrap(), weights(), "{manner:?}");
        assert!(ranges(&hub).contains(&Some("bytes=30000-".to_owned())), "{manner:?}");
    }
}

#[test]
fn what_arrives_wrong_gets_no_name() {
    let kept = true;
    for (manner, parts, partial) in [
        (Manner::Damaged, &["arrived damaged: its SHA-256 is ", "it is removed"][..], !kept),
        (Manner::TooLong, &["is longer than the 100000 bytes"], kept),
        (Manner::TooShort, &["another length than the hub names: 99999, expected 100000"], kept),
        (Manner::WrongRange(10), &["another part of it comes than was asked for: bytes 11-"], kept),
        (Manner::Changing(10), &["changed at the hub while it was fetched", "run the command again"], kept),
        (Manner::Nameless, &["names no checksum"], !kept),
        (Manner::Elsewhere, &["a redirect to no web address"], !kept),
        (Manner::Busy(usize::MAX), &["127.0.0.1 answers 503"], !kept),
    ] {
        let (hub, place) = (FakeHub::with_model(), Place::new());
        hub.becomes(manner);
        let error = place.fails(&hub, parts);
        assert!(!error.is_bad_input(), "{manner:?}");
        assert_eq!(place.partial().exists(), partial, "{manner:?}");
        // Nothing that is left behind is in the way of the next try.
        hub.becomes(Manner::Right);
        place.pull(&hub, "me/model").unwrap();
        assert_eq!(fs::read(place.blob()).unwrap(), weights(), "{manner:?}");
    }
}

#[test]
fn a_damaged_part_of_an_earlier_run_is_found_and_removed() {
    let (hub, place) = (FakeHub::with_model(), Place::new());
    fs::create_dir_all(place.blob().parent().unwrap()).unwrap();
    fs::write(place.partial(), vec![7; 1000]).unwrap();
    place.fails(&hub, &["arrived damaged"]);
    assert!(!place.partial().exists());
    // One that is longer than the file is no part of it.
    fs::write(place.partial(), vec![7; 100_001]).unwrap();
    place.pull(&hub, "me/model").unwrap();
    assert_eq!(fs::read(place.blob()).unwrap(), weights());
}

#[test]
fn a_length_that_only_the_store_knows_is_asked_for() {
    let (hub, place) = (FakeHub::with_model(), Place::new());
    hub.becomes(Manner::Lengthless);
    place.pull(&hub, "me/model").unwrap();
    assert_eq!(fs::read(place.blob()).unwrap(), weights());
}

#[test]
fn a_busy_hub_is_asked_again() {
    let (hub, place) = (FakeHub::with_model(), Place::new());
    hub.becomes(Manner::Busy(2));
    place.pull(&hub, "me/model").unwrap();
}

#[test]
fn a_renamed_repository_is_followed() {
    let (hub, mut place) = (FakeHub::with_model(), Place::new());
    place.token = Some(TOKEN);
    let pulled = place.pull(&hub, "old/name").unwrap();
    assert!(pulled.snapshot.to_string_lossy().contains("models--old--name"));
    let moved = hub.seen().into_iter().filter(|seen| seen.host == "hub").all(|seen| seen.authorization.is_some());
    assert!(moved, "the hub's own redirect keeps the token");
}

#[test]
fn gated_repositories_say_where_to_accept() {
    let hub = FakeHub::start();
    hub.add("me/model", &[("config.json", b"{}"), ("model.safetensors", &weights())], Some("other"), true);
    let page = format!("{}/me/model", hub.endpoint);
    let mut place = Place { accepted: true, ..Place::new() };
    for (token, parts) in [
        (None, &["is gated: accept its licence at ", &page, "HF_TOKEN", "/settings/tokens"][..]),
        (Some(OTHER_TOKEN), &["has no access: accept the licence at ", &page, "the token in HF_TOKEN"]),
        (Some("hf_wrong"), &["does not accept the token in HF_TOKEN", "/settings/tokens"]),
    ] {
        place.token = token;
        let error = place.fails(&hub, parts);
        assert!(error.is_bad_input() && !error.to_string().contains("hf_"), "{error}");
    }
    (place.token, place.accepted) = (Some(TOKEN), false);
    let error = place.fails(&hub, &["its licence has to be accepted (other, gated)", &page, "--accept-licence"]);
    assert!(error.is_bad_input());
    place.accepted = true;
    place.pull(&hub, "me/model").unwrap();
    // What is there needs no acceptance.
    place.accepted = false;
    assert_eq!(place.pull(&hub, "me/model").unwrap().fetched, 0);
}

#[test]
fn what_the_hub_does_not_have_is_named() {
    let (hub, mut place) = (FakeHub::with_model(), Place::new());
    for (name, parts) in [
        ("me/none", "no such repository"),
        ("me/model@v9", "has no revision `v9`"),
        ("me/model/none.gguf", "`none.gguf`: is no part of me/model; it has config.json, model.safetensors"),
    ] {
        let error = place.pull(&hub, name).unwrap_err();
        assert!(error.to_string().contains(parts) && error.is_bad_input(), "{error}");
    }
    hub.list("me/model", "ghost.json");
    place.fails(&hub, &["me/model: has no file `ghost.json`"]);
    place.only = vec!["model.safetensors".to_owned()];
    assert_eq!(place.pull(&hub, "me/model").unwrap().files, 1);
}

#[test]
fn hostile_names_touch_nothing() {
    for name in ["../../../evil.json", "/tmp/evil.json", "a/../../evil.json", "a\\..\\evil.json"] {
        let (hub, place) = (FakeHub::with_model(), Place::new());
        hub.list("me/model", name);
        place.fails(&hub, &["me/model: the hub lists a file "]);
        assert!(!place.folder.path().join("hub").exists(), "{name}");
    }
}

#[test]
fn a_new_commit_takes_the_old_ones_place() {
    let (hub, place) = (FakeHub::with_model(), Place::new());
    place.pull(&hub, "me/model").unwrap();
    hub.change("me/model", "config.json", b"{\"new\": 1}");
    let pulled = place.pull(&hub, "me/model").unwrap();
    assert_eq!((pulled.files, pulled.fetched), (2, 1));
    assert_ne!(pulled.snapshot, place.snapshot());
    let reference: HubReference = "me/model".parse().unwrap();
    assert_eq!(place.cache().find(&reference, &|_| true).unwrap(), pulled.snapshot);
    let old: HubReference = format!("me/model@{COMMIT}").parse().unwrap();
    assert_eq!(place.cache().find(&old, &|_| true).unwrap(), place.snapshot());
}

#[test]
fn damage_in_the_cache_is_found_and_mended() {
    let (hub, place) = (FakeHub::with_model(), Place::new());
    place.pull(&hub, "me/model").unwrap();
    let reference: HubReference = "me/model".parse().unwrap();
    let verified = place.cache().verify(&reference, &()).unwrap();
    assert_eq!((verified.right, verified.damaged.len(), verified.unknown), ((2, 100_002), 0, 0));
    let mut bytes = weights();
    bytes[99_999] ^= 1;
    fs::write(place.blob(), bytes).unwrap();
    let verified = place.cache().verify(&reference, &()).unwrap();
    assert_eq!((verified.right.0, verified.damaged[0].file.as_str()), (1, "model.safetensors"));
    assert!(verified.damaged[0].problem.contains("its SHA-256 is "), "{:?}", verified.damaged);
    assert_eq!(place.pull(&hub, "me/model").unwrap().fetched, 1);
    assert_eq!(fs::read(place.blob()).unwrap(), weights());
    assert_eq!(place.cache().remove(&reference.repository).unwrap(), 100_002 + 40);
    assert!(
        place
            .cache()
            .find(&reference, &|_| true)
            .unwrap_err()
            .to_string()
            .contains("`afterimage models pull me/model` fetches it")
    );
    assert!(place.cache().remove(&reference.repository).is_err());
}

#[test]
fn paths_in_a_cache_name_what_is_there() {
    let place = Place::new();
    for (path, expected) in [
        ("", Some("hub:me/model".to_owned())),
        (&format!("snapshots/{COMMIT}"), Some(format!("hub:me/model@{COMMIT}"))),
        (&format!("snapshots/{COMMIT}/a/b.json"), Some(format!("hub:me/model@{COMMIT}/a/b.json"))),
        ("snapshots", None),
        ("snapshots/main", None),
        ("blobs/0123", None),
        (&format!("snapshots/{COMMIT}/../../blobs"), None),
    ] {
        let found = HubCache::of_path(&place.repository().join(path));
        assert_eq!(found.as_ref().map(|(_, reference)| reference.to_string()), expected, "{path}");
        assert!(found.is_none_or(|(cache, _)| cache.root() == place.cache().root()));
    }
    assert!(HubCache::of_path(place.folder.path()).is_none());
}

#[test]
fn a_known_model_lacks_the_parts_that_are_needed() {
    let (hub, place) = (FakeHub::start(), Place::new());
    // Weights in one file, where the catalogue knows shards.
    let names = ["transformer/a.safetensors", "vae/config.json", "vae/a.safetensors", "tokenizer/vocab.json"];
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (*name, name.as_bytes())).collect();
    hub.add("black-forest-labs/FLUX.1-schnell", &files, Some("mit"), false);
    place.pull(&hub, "flux-schnell").unwrap();
    let reference: HubReference = "flux-schnell".parse().unwrap();
    let is_there = |part: &str| ["transformer", "vae", "tokenizer"].contains(&part);
    assert!(place.cache().find(&reference, &is_there).is_ok());
    let message = place.cache().find(&reference, &|part| part != "scheduler").unwrap_err().to_string();
    let missing = "text_encoder, text_encoder_2, tokenizer_2 are not in ";
    assert!(
        message.contains(missing) && message.contains("flux-schnell --only index --only text_encoder "),
        "{message}"
    );
    let cached = place.cache().describe(reference.repository);
    assert_eq!(cached.missing, ["scheduler", "text_encoder", "text_encoder_2", "tokenizer_2"]);
}

/// Stops as soon as something has arrived.
struct Impatient(Cell<u64>);

impl PullObserver for Impatient {
    fn advanced(&self, bytes: u64) {
        self.0.set(self.0.get() + bytes);
    }

    fn is_cancelled(&self) -> bool {
        self.0.get() > 2
    }
}

#[test]
fn a_transfer_can_be_stopped_and_goes_on_later() {
    let (hub, place) = (FakeHub::with_model(), Place::new());
    hub.becomes(Manner::Cut(1000));
    let outcome = place.pull_watched(&hub, "me/model", &Impatient(Cell::new(0)));
    assert!(matches!(outcome, Err(HubError::Cancelled)));
    let arrived = fs::read(place.partial()).unwrap();
    assert!(!arrived.is_empty() && weights().starts_with(&arrived) && !place.blob().exists());
    hub.becomes(Manner::Right);
    hub.seen();
    place.pull(&hub, "me/model").unwrap();
    assert_eq!(ranges(&hub), [Some(format!("bytes={}-", arrived.len()))]);
}

#[test]
fn two_at_once_fetch_each_file_once() {
    let (hub, place) = (FakeHub::with_model(), Place::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| place.pull(&hub, "me/model").unwrap());
        }
    });
    assert_eq!(ranges(&hub).len(), 1);
    assert_eq!(fs::read(place.snapshot().join("model.safetensors")).unwrap(), weights());
}

#[test]
fn a_folder_that_cannot_be_written_is_named() {
    let (hub, place) = (FakeHub::with_model(), Place::new());
    fs::write(place.folder.path().join("hub"), "a file").unwrap();
    let error = place.pull(&hub, "me/model").unwrap_err();
    assert!(!error.is_bad_input() && error.to_string().contains("hub"), "{error}");
}
