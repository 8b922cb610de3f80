//! The real program as a server in a process of its own, and requests to it.

use crate::processes::{MARK, marked, signal};
use crate::waiting::{eventually, until};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::fs::{self, OpenOptions};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// The key that every server here knows.
pub const KEY: &str = "a-key-for-tests";

/// Longest wait for anything that takes a moment on an idle machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A data folder and an address, on which one server after the other is started.
pub struct Installation {
    folder: TempDir,
    /// Where its servers listen.
    pub address: String,
    starts: AtomicU32,
}

impl Installation {
    /// An empty folder and a free port.
    pub fn new() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        Self { folder: tempfile::tempdir().unwrap(), address, starts: AtomicU32::new(0) }
    }

    /// The data folder.
    pub fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What starts a server, for further flags.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
        command
            .args(["serve", "--admin-listen", "off", "--allow-private-networks", "--data-dir"])
            .arg(self.data())
            .env("AFTERIMAGE_LISTEN", &self.address)
            .env("AFTERIMAGE_API_KEY", KEY)
            .env("RUST_LOG", "info");
        command
    }

    /// Starts a server; it may not listen yet.
    pub fn start(&self) -> Server {
        self.start_by(self.command())
    }

    /// Starts a server by a command that was made from [`Installation::command`].
    pub fn start_by(&self, mut command: Command) -> Server {
        let start = self.starts.fetch_add(1, Ordering::Relaxed);
        let mark = format!("{}-{start}", self.address);
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let child = command.env(MARK, &mark).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Server { child, mark }
    }

    /// Sends requests to whatever server runs.
    pub fn client(&self) -> Client {
        // Fails when another test of this process was first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).no_proxy().build().unwrap();
        Client { http, base: format!("http://{}", self.address), key: KEY.to_owned() }
    }

    /// What the servers logged.
    pub fn whole_log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The end of what the servers logged.
    pub fn log(&self) -> String {
        let log = self.whole_log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }

    fn log_path(&self) -> PathBuf {
        self.folder.path().join("log")
    }
}

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    mark: String,
}

impl Server {
    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its engine processes.
    pub fn engines(&self) -> Vec<u32> {
        marked(&self.mark).into_iter().filter(|pid| *pid != self.pid()).collect()
    }

    /// Sends it a signal such as `-TERM`.
    pub fn signal(&self, name: &str) {
        signal(name, &[self.pid()]);
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self, within: Duration) -> ExitStatus {
        eventually(within, async || self.child.try_wait().unwrap().ok_or("the server still runs")).await
    }

    /// Kills it without a chance to do anything; returns its mark, by which what it left behind can be found.
    pub fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.mark.clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends requests.
#[derive(Clone)]
pub struct Client {
    pub http: reqwest::Client,
    base: String,
    key: String,
}

/// Status, `Retry-After` and body of an answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub retry_after: Option<String>,
    pub body: Value,
}

impl Client {
    /// The same in the name of another key.
    #[allow(dead_code, reason = "not every test that has this module has two keys")]
    pub fn with_key(&self, key: &str) -> Self {
        Self { key: key.to_owned(), ..self.clone() }
    }

    /// Sends a request with the key. `body` is sent as JSON unless it is null.
    pub async fn request(
        &self,
        method: Method,
        path: &str,
        headers: &[(&'static str, String)],
        body: &Value,
    ) -> Result<Answer, reqwest::Error> {
        let mut request = self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.key);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        if !body.is_null() {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        let response = request.send().await?;
        let (status, retry_after) = (response.status(), response.headers().get("retry-after"));
        let retry_after = retry_after.map(|value| value.to_str().unwrap().to_owned());
        let body = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
        Ok(Answer { status, retry_after, body })
    }

    /// `POST` of JSON.
    pub async fn post(&self, path: &str, body: &Value) -> Result<Answer, reqwest::Error> {
        self.request(Method::POST, path, &[], body).await
    }

    /// `GET` of JSON.
    pub async fn get(&self, path: &str) -> Result<Answer, reqwest::Error> {
        self.request(Method::GET, path, &[], &Value::Null).await
    }

    /// Waits until the server can run jobs.
    pub async fn ready(&self) {
        let is_ready = async || matches!(self.get("/readyz").await, Ok(answer) if answer.status == StatusCode::OK);
        until("the server is ready", PATIENCE, is_ready).await;
    }

    /// Uploads a picture; its address.
    pub async fn upload(&self, png: &[u8]) -> String {
        let ticket = self.post("/api/v3/media/uploads", &json!({"filename": "picture.png"})).await.unwrap();
        let data = &ticket.body["data"];
        let put = self.http.put(data["upload"]["url"].as_str().unwrap()).body(png.to_vec());
        put.send().await.unwrap().error_for_status().unwrap();
        data["download_url"].as_str().unwrap().to_owned()
    }
}

/// A small picture as a file.
pub fn png() -> Vec<u8> {
    let picture = image::RgbImage::from_fn(64, 48, |x, y| image::Rgb([(x * 4) as u8, (y * 5) as u8, 90]));
    let mut file = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut file, image::ImageFormat::Png).unwrap();
    file.into_inner()
}
