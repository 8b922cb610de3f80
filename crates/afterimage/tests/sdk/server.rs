//! The real program as a server on a port of its own.

use crate::KEY;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tempfile::TempDir;

/// Arguments of a server whose safety checker flags every picture.
pub const STRICT: [&str; 2] = ["--safety-threshold", "0"];

/// A server that ends with its value.
pub struct Server {
    child: Child,
    folder: TempDir,
    address: String,
}

impl Server {
    /// Starts a server with an empty data folder and `arguments`.
    pub fn start(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("AFTERIMAGE_")) {
            command.env_remove(name);
        }
        let mut child = command
            .args(["serve", "--listen", "127.0.0.1:0", "--admin-listen", "off", "--allow-private-networks"])
            .arg("--data-dir")
            .arg(folder.path().join("data"))
            .args(arguments)
            .env("AFTERIMAGE_API_KEY", KEY)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let server =
            Self { child, address: line.trim_start_matches("Afterimage listens on ").trim_end().to_owned(), folder };
        let (_, host) = server.address.split_once("://").unwrap_or_default();
        assert!(host.starts_with("127.0.0.1:"), "{line:?}\n{}", server.log());
        server
    }

    /// Scheme, host and port.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Host and port.
    pub fn host(&self) -> &str {
        self.address.split_once("://").unwrap().1
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed shows the server's side too.
        if std::thread::panicking() {
            eprintln!("log of {}:\n{}", self.address, self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
