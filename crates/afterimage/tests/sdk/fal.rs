//! fal's SDKs, by the scripts in `tests/sdk`. The Python one speaks HTTPS only and is told everything by environment
//! variables; the JavaScript one is told the address of the server's proxy.

use crate::certificate::Certificate;
use crate::packages::{javascript, python_with, unless_missing};
use crate::process::succeed;
use crate::server::{STRICT, Server};
use crate::{KEY, repository};
use std::path::Path;
use std::process::Command;

/// Arguments of a server where every request waits for ever.
const IDLE: [&str; 2] = ["--workers", "0"];

fn start(certificate: &Certificate, more: &[&str]) -> Server {
    let files = certificate.arguments();
    let arguments: Vec<&str> = files.iter().map(String::as_str).chain(more.iter().copied()).collect();
    let server = Server::start(&arguments);
    assert!(server.address().starts_with("https://"), "{}", server.address());
    server
}

/// Runs `script` with `server` as the service.
fn run_python(interpreter: &Path, script: &str, certificate: &Certificate, server: &Server) {
    let output = succeed(
        Command::new(interpreter)
            .arg(repository().join("tests/sdk/python").join(script))
            .arg(repository().join("docs/photos/lake.jpg"))
            .env("FAL_KEY", KEY)
            .env("FAL_RUN_HOST", server.host())
            .env("FAL_QUEUE_RUN_HOST", format!("{}/queue", server.host()))
            .env("SSL_CERT_FILE", certificate.path())
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    );
    assert!(output.ends_with("checks passed\n"), "{output}");
}

#[test]
fn the_python_sdk_works() {
    let Some(interpreter) = unless_missing(python_with("fal")) else { return };
    let certificate = Certificate::new();
    run_python(&interpreter, "check_fal.py", &certificate, &start(&certificate, &[]));
}

#[test]
fn the_python_sdk_sees_flags() {
    let Some(interpreter) = unless_missing(python_with("fal")) else { return };
    let certificate = Certificate::new();
    run_python(&interpreter, "check_fal_flagged.py", &certificate, &start(&certificate, &STRICT));
}

#[test]
fn the_python_sdk_gives_up_and_cancels() {
    let Some(interpreter) = unless_missing(python_with("fal")) else { return };
    let certificate = Certificate::new();
    run_python(&interpreter, "check_fal_waiting.py", &certificate, &start(&certificate, &IDLE));
}

#[test]
fn the_javascript_sdk_works() {
    let Some(folder) = unless_missing(javascript()) else { return };
    let [server, idle, strict] = [&[][..], &IDLE, &STRICT].map(Server::start);
    let output = succeed(
        Command::new("node")
            .arg(folder.join("check_fal.mjs"))
            .args([server.address(), idle.address(), strict.address(), KEY])
            .arg(repository().join("docs/photos/lake.jpg")),
    );
    assert!(output.ends_with("checks passed\n"), "{output}");
}

/// A page's script, behind a reverse proxy that has the key; and Node over TLS.
#[test]
fn the_javascript_sdk_works_in_a_page() {
    let Some(folder) = unless_missing(javascript()) else { return };
    let certificate = Certificate::new();
    let server = start(&certificate, &[]);
    let output = succeed(
        Command::new("node")
            .arg(folder.join("check_fal_page.mjs"))
            .args([server.address(), KEY])
            .arg(repository().join("docs/photos/lake.jpg"))
            .env("NODE_EXTRA_CA_CERTS", certificate.path()),
    );
    assert!(output.ends_with("checks passed\n"), "{output}");
}
