//! OpenAI's SDK, by the scripts in `tests/sdk`.

use crate::lora_files::write_lora;
use crate::packages::{javascript, python_with, unless_missing};
use crate::process::succeed;
use crate::server::{STRICT, Server};
use crate::{KEY, repository};
use std::process::Command;

#[test]
fn the_python_sdk_works() {
    let Some(interpreter) = unless_missing(python_with("openai")) else { return };
    let loras = tempfile::tempdir().unwrap();
    write_lora(&loras.path().join("film.safetensors"), 1);
    let with_loras = ["--lora-dir", loras.path().to_str().unwrap()];
    let (server, strict) = (Server::start(&with_loras), Server::start(&STRICT));
    let output = succeed(
        Command::new(&interpreter)
            .arg(repository().join("tests/sdk/python/check_openai.py"))
            .args([server.address(), strict.address(), KEY])
            .arg(repository().join("docs/photos/lake.jpg"))
            .env("PYTHONDONTWRITEBYTECODE", "1"),
    );
    assert!(output.ends_with("checks passed\n"), "{output}");
}

#[test]
fn the_javascript_sdk_works() {
    let Some(folder) = unless_missing(javascript()) else { return };
    let (server, strict) = (Server::start(&[]), Server::start(&STRICT));
    let output = succeed(
        Command::new("node")
            .arg(folder.join("check_openai.mjs"))
            .args([server.address(), strict.address(), KEY])
            .arg(repository().join("docs/photos/lake.jpg")),
    );
    assert!(output.ends_with("checks passed\n"), "{output}");
}
