//! A server for each test: its own folder, port and keys.

use crate::waiting::eventually;
use afterimage_engine::{CheckerChoice, EngineOptions, SafetyOptions};
use afterimage_jobs::Secret;
use afterimage_server::cost::Rates;
use afterimage_server::listen::ConnectionLimits;
use afterimage_server::loras::LoraFolders;
use afterimage_server::model_sets::ModelSets;
use afterimage_server::options::{SafetyPolicy, ServeOptions};
use afterimage_server::serve::{Started, serve};
use afterimage_worker::EngineCommand;
use afterimage_worker::child::ChildSettings;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::HeaderMap;
use bytes::Bytes;
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

pub const KEY: &str = "first-test-key";
pub const REDUX: &str = "/api/v3/wavespeed-ai/flux-redux-dev";
pub const PRO: &str = "/api/v3/wavespeed-ai/flux-redux-pro";
pub const SRPO: &str = "/api/v3/wavespeed-ai/flux-srpo/image-to-image";

/// A running server; dropping it ends it.
pub struct Server {
    pub url: String,
    pub folder: TempDir,
    pub client: Client,
    /// Paths of all routes.
    pub paths: Vec<String>,
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// One that only answers requests.
    pub async fn without_workers() -> Self {
        Self::start(|options| options.workers = 0).await
    }

    /// One that runs jobs with the embedded model.
    pub async fn with_worker() -> Self {
        Self::start(|options| options.workers = 1).await
    }

    /// One with other settings.
    pub async fn start(change: impl FnOnce(&mut ServeOptions)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = options(folder.path());
        change(&mut options);
        let stop = CancellationToken::new();
        let (started, address) = oneshot::channel();
        let stopping = stop.clone();
        // A runtime of its own, as in the program.
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
            runtime.block_on(serve(options, stopping, |it| drop(started.send(it.clone())))).unwrap();
        });
        let Started { url, paths, .. } = address.await.expect("the server starts");
        let url = url.expect("it answers requests");
        // Only the first test's call does something.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().no_proxy().build().unwrap();
        Self { url, folder, client, paths, stop, thread: Some(thread) }
    }

    /// Ends it in good order.
    pub async fn stop(mut self) -> TempDir {
        self.stop.cancel();
        let thread = self.thread.take().unwrap();
        tokio::task::spawn_blocking(|| thread.join().unwrap()).await.unwrap();
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(KEY)
    }

    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        answer(self.request(Method::POST, path).body(body.to_string()).send().await.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path).send().await.unwrap()).await
    }

    /// Uploads `bytes`; the address to use as `image`.
    pub async fn upload(&self, bytes: &[u8]) -> String {
        let (status, body) = self.upload_form("file", "a.png", bytes).await;
        assert_eq!(status, 200, "{body}");
        body["data"]["download_url"].as_str().unwrap().to_owned()
    }

    pub async fn upload_form(&self, field: &str, filename: &str, bytes: &[u8]) -> (StatusCode, Value) {
        let request = self.request(Method::POST, "/api/v3/media/upload/binary");
        let request = request.header("content-type", "multipart/form-data; boundary=BOUNDARY");
        let mut body = format!(
            "--BOUNDARY\r\nContent-Disposition: form-data; name=\"{field}\"; filename=\"{filename}\"\r\n\
             Content-Type: application/octet-stream\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n--BOUNDARY--\r\n");
        answer(request.body(body).send().await.unwrap()).await
    }

    /// Submits and returns the task's id.
    pub async fn submit(&self, path: &str, body: &Value) -> String {
        let (status, answer) = self.post(path, body).await;
        assert_eq!(status, 200, "{answer}");
        answer["data"]["id"].as_str().unwrap().to_owned()
    }

    /// Polls until the task has ended; its data.
    pub async fn ended(&self, id: &str) -> Value {
        eventually(Duration::from_mins(1), async || {
            let (status, answer) = self.get(&format!("/api/v3/predictions/{id}/result")).await;
            assert_eq!(status, 200, "{answer}");
            let is_open = ["created", "processing"].contains(&answer["data"]["status"].as_str().unwrap());
            if is_open { Err(answer) } else { Ok(answer["data"].clone()) }
        })
        .await
    }

    /// Polls until the task runs.
    pub async fn runs(&self, id: &str) {
        eventually(Duration::from_mins(1), async || {
            let answer = self.get(&format!("/api/v3/predictions/{id}")).await.1;
            if answer["data"]["status"] == "processing" { Ok(()) } else { Err(answer) }
        })
        .await;
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

pub async fn answer(response: Response) -> (StatusCode, Value) {
    let status = response.status();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|_| json!(text));
    (status, body)
}

/// The embedded models, as the program's flags have them by default.
pub fn embedded() -> EngineOptions {
    let safety = SafetyOptions { checkers: vec![CheckerChoice::Builtin], ..SafetyOptions::default() };
    EngineOptions { safety, ..EngineOptions::default() }
}

/// Processes of the program under test that run the models in `options`.
pub fn engines(options: &EngineOptions) -> Arc<EngineCommand> {
    let mut command = EngineCommand::this_program(options, &ChildSettings::default()).unwrap();
    command.program = env!("CARGO_BIN_EXE_afterimage").into();
    Arc::new(command)
}

pub fn options(folder: &Path) -> ServeOptions {
    ServeOptions {
        listen: Some("127.0.0.1:0".parse().unwrap()),
        public_url: None,
        data_dir: folder.join("data"),
        database: None,
        storage: None,
        redirect_downloads: false,
        admin_listen: None,
        internal_listen: None,
        tls: None,
        trusted_proxies: Vec::new(),
        connections: ConnectionLimits::default(),
        allow_private_networks: false,
        workers: 0,
        models: ModelSets::default(),
        loras: LoraFolders::default(),
        api_key: Some(Secret::new(KEY)),
        engines: engines(&embedded()),
        safety: SafetyPolicy::default(),
        sync_timeout: Duration::from_mins(1),
        quota: None,
        retention: Duration::from_hours(24),
        rates: Rates::default(),
        finish_within: Duration::from_secs(4),
        stop_within: Duration::from_secs(5),
    }
}

/// Takes webhooks; the address and what arrives.
pub async fn receiver() -> (String, UnboundedReceiver<(HeaderMap, Bytes)>) {
    let (sender, received) = unbounded_channel();
    let take = move |request: Request| {
        let sender = sender.clone();
        async move {
            let (head, body) = request.into_parts();
            sender.send((head.headers, to_bytes(body, 16 << 20).await.unwrap())).unwrap();
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hook", listener.local_addr().unwrap());
    let service = axum::Router::new().fallback(take);
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
    (url, received)
}

/// A small real PNG.
pub fn picture(width: u32, height: u32) -> Vec<u8> {
    let pixels = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 7) as u8, (y * 5) as u8, 90]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    pixels.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// `bytes` as a data URI.
pub fn data_uri(bytes: &[u8]) -> String {
    use base64::Engine;
    format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(bytes))
}
