//! The Model Context Protocol's SDKs, by the scripts in `tests/sdk`: over HTTP, and in Python also through the program that
//! assistants start.

use crate::packages::{javascript, python_with, unless_missing};
use crate::process::succeed;
use crate::server::Server;
use crate::{KEY, repository};
use std::process::Command;

/// Arguments of a server where every task waits for ever.
const IDLE: [&str; 2] = ["--workers", "0"];

#[test]
fn the_python_sdk_works() {
    let Some(interpreter) = unless_missing(python_with("mcp")) else { return };
    let (server, idle) = (Server::start(&[]), Server::start(&IDLE));
    let output = succeed(
        Command::new(&interpreter)
            .arg(repository().join("tests/sdk/python/check_mcp.py"))
            .args([server.address(), idle.address(), KEY, env!("CARGO_BIN_EXE_afterimage")])
            .arg(repository().join("docs/photos/lake.jpg"))
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    );
    assert!(output.ends_with("checks passed\n"), "{output}");
}

#[test]
fn the_javascript_sdk_works() {
    let Some(folder) = unless_missing(javascript()) else { return };
    let (server, idle) = (Server::start(&[]), Server::start(&IDLE));
    let output = succeed(
        Command::new("node")
            .arg(folder.join("check_mcp.mjs"))
            .args([server.address(), idle.address(), KEY])
            .arg(repository().join("docs/photos/lake.jpg")),
    );
    assert!(output.ends_with("checks passed\n"), "{output}");
}
