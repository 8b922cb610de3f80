//! Servers that cannot start say why in one line.

use crate::requests::{up, without_workers};
use crate::server::Installation;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output};

fn run(command: &mut Command) -> Output {
    command.env_remove("RUST_LOG").output().unwrap()
}

/// Exit code and the one line on standard error.
fn refusal(command: &mut Command) -> (Option<i32>, String) {
    let output = run(command);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text:?}");
    assert_eq!(output.stdout, b"");
    (output.status.code(), text)
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_made() {
    let installation = Installation::new();
    let _taken = TcpListener::bind(&installation.address).unwrap();
    let (code, text) = refusal(&mut installation.command());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&installation.address) && text.contains("--listen"), "{text}");
    assert!(!installation.data().exists());
}

#[tokio::test]
async fn a_folder_has_one_server() {
    let first = Installation::new();
    let _server = first.start_by(without_workers(&first));
    let client = up(&first).await;
    let mut second = first.command();
    second.env("AFTERIMAGE_LISTEN", "127.0.0.1:0");
    let (code, text) = refusal(&mut second);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains(&*first.data().to_string_lossy()), "{text}");
    assert!(client.get("/healthz").await.unwrap().status.is_success());
}

#[test]
fn a_folder_that_is_a_file_is_told() {
    let installation = Installation::new();
    fs::write(installation.data(), b"").unwrap();
    let (code, text) = refusal(&mut installation.command());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("data"), "{text}");
}

#[test]
fn a_database_that_is_none_is_left_alone() {
    let installation = Installation::new();
    fs::create_dir(installation.data()).unwrap();
    let database = installation.data().join("afterimage.sqlite");
    let notes = "these are notes, not a database ".repeat(100);
    fs::write(&database, &notes).unwrap();
    let (code, text) = refusal(&mut installation.command());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("database"), "{text}");
    assert_eq!(fs::read_to_string(&database).unwrap(), notes);
}

#[test]
fn tls_files_that_cannot_be_used_are_bad_input() {
    let installation = Installation::new();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let generated = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(path("cert.pem"), pem("CERTIFICATE", generated.cert.der())).unwrap();
    fs::write(path("key.pem"), pem("PRIVATE KEY", &generated.signing_key.serialize_der())).unwrap();
    fs::write(path("other-key.pem"), pem("PRIVATE KEY", &other.signing_key.serialize_der())).unwrap();
    fs::write(path("notes.txt"), "not PEM").unwrap();
    fs::write(path("empty.pem"), "").unwrap();

    let with = |cert: &Path, key: &Path| {
        let mut command = installation.command();
        command.arg("--tls-cert").arg(cert).arg("--tls-key").arg(key);
        command
    };
    for (cert, key) in [
        ("missing.pem", "key.pem"),
        ("cert.pem", "missing.pem"),
        ("notes.txt", "key.pem"),
        ("cert.pem", "notes.txt"),
        ("empty.pem", "key.pem"),
        ("cert.pem", "empty.pem"),
        ("cert.pem", "other-key.pem"),
        ("key.pem", "cert.pem"),
        (".", "key.pem"),
    ] {
        let (code, text) = refusal(&mut with(&path(cert), &path(key)));
        assert_eq!(code, Some(2), "{cert} {key}: {text}");
        assert!(text.contains("--tls-cert") || text.contains("--tls-key"), "{cert} {key}: {text}");
    }
    // One without the other.
    let output = run(installation.command().arg("--tls-cert").arg(path("cert.pem")));
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("--tls-key"));
}

fn pem(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}
