//! The official SDKs, unmodified, and the examples that the documents print, each against the real server.
//!
//! Needs python3 with venv and pip, node with npm, and curl; the packages come from wherever pip and npm get theirs and
//! stay in the target folder. A test whose tools are missing says so and passes, unless `AFTERIMAGE_REQUIRE_SDKS` is
//! set.

#![cfg(unix)]
#![expect(
    clippy::unwrap_used,
    reason = "a failure anywhere in a test should end it; clippy's exception covers only the test functions"
)]

#[path = "sdk/certificate.rs"]
mod certificate;
#[path = "sdk/examples.rs"]
mod examples;
#[path = "sdk/fal.rs"]
mod fal;
#[path = "support/lora_files.rs"]
mod lora_files;
#[path = "sdk/mcp.rs"]
mod mcp;
#[path = "sdk/openai.rs"]
mod openai;
#[path = "sdk/openapi.rs"]
mod openapi;
#[path = "sdk/packages.rs"]
mod packages;
#[path = "support/documents.rs"]
mod printed;
#[path = "sdk/process.rs"]
mod process;
#[path = "sdk/server.rs"]
mod server;
#[path = "sdk/wavespeed.rs"]
mod wavespeed;

use std::path::{Path, PathBuf};

/// The key of every server here.
const KEY: &str = "change-me-please";

/// The workspace's root.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
