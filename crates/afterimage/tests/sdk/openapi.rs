//! The server's own description against its behaviour, by schemathesis.

use crate::packages::{python_with, unless_missing};
use crate::process::succeed;
use crate::server::Server;
use crate::{KEY, repository};
use std::process::Command;

/// What is looked at in each answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance";

/// Random cases for each operation, beside the systematic ones; `AFTERIMAGE_SCHEMATHESIS_CASES` sets another number.
const CASES: &str = "8";

#[test]
fn the_server_answers_as_its_openapi_document_says() {
    let Some(interpreter) = unless_missing(python_with("schemathesis")) else { return };
    let server = Server::start(&[]);
    let folder = repository().join("tests/sdk/python");
    let cases = std::env::var("AFTERIMAGE_SCHEMATHESIS_CASES").unwrap_or_else(|_| CASES.to_owned());
    let reports = tempfile::tempdir().unwrap();
    let output = succeed(
        Command::new(&interpreter)
            .args(["-m", "schemathesis.cli", "run"])
            .arg(format!("{}/openapi.json", server.address()))
            .args(["--header", &format!("Authorization: Bearer {KEY}")])
            .args(["--phases", "examples,coverage,fuzzing", "--max-examples", &cases])
            .args(["--checks", CHECKS, "--continue-on-failure", "--no-color"])
            // One worker and one seed: the same cases in the same order every time.
            .args(["--request-timeout", "120", "--workers", "1", "--seed", "1"])
            // Its database of failures is not wanted in the sources.
            .current_dir(reports.path())
            .env("PYTHONPATH", &folder)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks"),
    );
    assert!(output.contains("Fuzzing (in"), "the random cases were not run:\n{output}");
    println!("{output}");
}
