//! A server that speaks S3, in a process of its own: `moto_server`, which Python's `moto[server]` brings.
//!
//! `.ci/steps/storage.sh` installs it into the target folder and sets the variable that makes a missing one a failure.

#![allow(dead_code, reason = "not every test that has this module uses all of it")]

use crate::waiting::blocking_until;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// Set where a missing server is a failure.
const REQUIRED: &str = "AFTERIMAGE_REQUIRE_S3";

/// What the server is told about who asks. It believes every key unless it was started by [`S3Server::that_checks_keys`].
pub const KEY_ID: &str = "test-key";
pub const SECRET: &str = "test-secret";

/// A running server with nothing in it.
#[derive(Debug)]
pub struct S3Server {
    /// A shell that ends the server when its standard input is closed: by a drop, or by the end of this process.
    shell: Child,
    pub address: SocketAddr,
}

impl S3Server {
    /// The one that tests of this process share, each with a bucket of its own; `None` where there is no program for it.
    pub fn shared() -> Option<&'static Self> {
        static SHARED: OnceLock<Option<S3Server>> = OnceLock::new();
        SHARED.get_or_init(Self::start).as_ref()
    }

    /// A server for one test.
    pub fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// One that refuses unknown keys. It knows none.
    pub fn that_checks_keys() -> Option<Self> {
        Self::start_with(&[("INITIAL_NO_AUTH_ACTION_COUNT", "0")])
    }

    fn start_with(settings: &[(&str, &str)]) -> Option<Self> {
        let program = unless_missing(program())?;
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut shell = Command::new("sh");
        shell.args(["-c", "\"$0\" \"$@\" & cat >/dev/null; kill $!"]).arg(program);
        shell.args(["-H", "127.0.0.1", "-p", &address.port().to_string()]).envs(settings.iter().copied());
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        blocking_until("moto_server answers", Duration::from_mins(1), || TcpStream::connect(address).is_ok());
        Some(Self { shell, address })
    }

    /// Makes a bucket.
    pub async fn make_bucket(&self, name: &str) {
        let made = plain_http().put(format!("http://{}/{name}", self.address)).send().await.unwrap();
        assert!(made.status().is_success(), "{made:?}");
    }

    /// Removes an empty bucket.
    pub async fn remove_bucket(&self, name: &str) {
        let removed = plain_http().delete(format!("http://{}/{name}", self.address)).send().await.unwrap();
        assert!(removed.status().is_success(), "{removed:?}");
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

/// `--storage-url` of a folder in `bucket` at `address`.
pub fn url_at(address: SocketAddr, bucket: &str) -> String {
    format!("s3://{bucket}/some/folder?endpoint=http://{address}&region=us-east-1&allow_http=true")
}

/// A client that signs nothing.
pub fn plain_http() -> reqwest::Client {
    // Fails when another test of this process was first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(20)).build().unwrap()
}

/// Where the program is: in the target folder, or on the path.
fn program() -> Result<PathBuf, String> {
    let installed = Path::new(env!("CARGO_TARGET_TMPDIR")).join("moto/bin/moto_server");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::iter::once(installed).chain(std::env::split_paths(&path).map(|folder| folder.join("moto_server")));
    found.into_iter().find(|file| file.is_file()).ok_or_else(|| {
        "there is no moto_server: `.ci/run storage` installs it and runs these tests, or `pip install 'moto[server]'`".to_owned()
    })
}

/// `outcome`, or, where that is allowed, a line that tells why the test is skipped.
fn unless_missing<T>(outcome: Result<T, String>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(reason) if std::env::var_os(REQUIRED).is_some() => panic!("{REQUIRED} is set, but {reason}"),
        Err(reason) => {
            // Not `eprintln!`, which the test runner swallows when a test passes.
            let name = std::thread::current().name().unwrap_or("test").to_owned();
            io::stderr().write_all(format!("SKIPPED {name}: {reason}\n").as_bytes()).unwrap();
            None
        }
    }
}
