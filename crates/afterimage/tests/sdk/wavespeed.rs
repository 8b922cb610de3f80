//! The scripts in `tests/sdk` against servers.

use crate::packages::{javascript, python, unless_missing};
use crate::process::succeed;
use crate::server::{STRICT, Server};
use crate::{KEY, repository};
use std::process::Command;

/// Arguments of the server that stops waiting early.
const IMPATIENT: [&str; 2] = ["--sync-timeout", "1"];

#[test]
fn the_python_sdk_works() {
    let Some(python) = unless_missing(python()) else { return };
    let [server, impatient, strict] = [&[][..], &IMPATIENT, &STRICT].map(Server::start);
    let output = succeed(
        Command::new(&python.interpreter)
            .arg(repository().join("tests/sdk/python/check_2_0_5.py"))
            .args([server.address(), impatient.address(), strict.address(), KEY])
            .arg(repository().join("docs/photos/lake.jpg"))
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    );
    assert!(output.ends_with("checks passed\n"), "{output}");
}

#[test]
fn the_python_sdk_that_uploads_in_a_form_works() {
    let Some(python) = unless_missing(python()) else { return };
    let server = Server::start(&[]);
    let output = succeed(
        Command::new(&python.interpreter)
            .arg(repository().join("tests/sdk/python/check_1_0_8.py"))
            .args([server.address(), KEY])
            .arg(repository().join("docs/photos/lake.jpg"))
            .env("PYTHONPATH", &python.old_sdk)
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    );
    assert!(output.ends_with("checks passed\n"), "{output}");
}

#[test]
fn the_javascript_sdk_works() {
    let Some(folder) = unless_missing(javascript()) else { return };
    let [server, impatient, strict] = [&[][..], &IMPATIENT, &STRICT].map(Server::start);
    let output = succeed(
        Command::new("node")
            .arg(folder.join("check.js"))
            .args([server.address(), impatient.address(), strict.address(), KEY])
            .arg(repository().join("docs/photos/lake.jpg")),
    );
    assert!(output.ends_with("checks passed\n"), "{output}");
}

/// Whoever installs decides from where, and what is installed is what was checked.
#[test]
fn lock_files_name_digests_and_no_hosts() {
    let folder = repository().join("tests/sdk");
    for name in [
        "python/requirements.txt",
        "python/requirements-1.0.8.txt",
        "python/requirements-fal.txt",
        "python/requirements-mcp.txt",
        "python/requirements-openai.txt",
        "javascript/package-lock.json",
    ] {
        let text = std::fs::read_to_string(folder.join(name)).unwrap();
        assert!(!text.contains("://") && !text.contains("\"resolved\""), "{name}");
        assert!(text.contains("--hash=sha256:") || text.contains("\"integrity\": \"sha512-"), "{name}");
    }
}
