//! Messages over HTTP to the server that runs.

use super::client_line::{NO_ANSWER, Outgoing, error_line, header_value};
use super::events::EventSplitter;
use super::local_pictures::{refused_call, with_folders_told, with_pictures};
use super::picture_folders::PictureFolders;
use crate::failure::CommandFailure;
use afterimage_jobs::Secret;
use afterimage_server::fetch::platform_tls;
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::Sender;
use tokio::task::spawn_blocking;
use url::{Host, Url};

/// How long to wait for a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How often a connection on which nothing happens is asked whether it lives: an answer may take minutes.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// The way to one server in the name of one key.
#[derive(Debug)]
pub struct Bridge {
    client: Client,
    server: String,
    endpoint: String,
    key: Option<Secret>,
    /// Where pictures of this machine may lie.
    folders: Arc<PictureFolders>,
    /// The version that both agreed on, for messages that do not say which they follow.
    agreed: Mutex<Option<String>>,
}

/// An answer to the first message, as far as it is read.
#[derive(Deserialize)]
struct Agreement {
    result: AgreedVersion,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AgreedVersion {
    protocol_version: String,
}

/// What a message is: one without a method is an answer.
#[derive(Deserialize)]
struct ServerMessage {
    method: Option<IgnoredAny>,
}

impl Bridge {
    /// The way to the server at `url`, for `key` and for the pictures in `folders`.
    ///
    /// # Errors
    /// When no client can be made.
    pub fn new(url: &Url, key: Option<Secret>, folders: PictureFolders) -> Result<Self, CommandFailure> {
        let failed = |error: &dyn std::fmt::Display| CommandFailure::other(format!("cannot send requests: {error}"));
        let builder = Client::builder();
        // This machine, which no proxy can reach.
        let builder = if is_loopback(url) { builder.no_proxy() } else { builder };
        let client = builder
            .tls_backend_preconfigured(platform_tls().map_err(|error| failed(&error))?)
            .connect_timeout(CONNECT_LIMIT)
            .tcp_keepalive(KEEPALIVE)
            .redirect(Policy::none())
            .build()
            .map_err(|error| failed(&error))?;
        let server = url.as_str().trim_end_matches('/').to_owned();
        let endpoint = if server.ends_with("/mcp") { server.clone() } else { format!("{server}/mcp") };
        Ok(Self { client, server, endpoint, key, folders: Arc::new(folders), agreed: Mutex::default() })
    }

    /// Carries on what needs no answer. Nobody can be told that it did not arrive.
    pub async fn notify(&self, outgoing: Outgoing) {
        let _ = self.request(outgoing).send().await;
    }

    /// Carries on the request `id` and sends each message of the answer to `lines`; an error, when there is no answer.
    pub async fn ask(&self, id: &Value, outgoing: Outgoing, lines: &Sender<Vec<u8>>) {
        let (method, names_version) = (outgoing.method.clone(), outgoing.version.is_some());
        let outgoing = match self.with_pictures(outgoing).await {
            Ok(outgoing) => outgoing,
            Err(problem) => {
                let _ = lines.send(refused_call(id, &problem, names_version)).await;
                return;
            }
        };
        let problem = match self.request(outgoing).send().await {
            Ok(response) if response.status().is_success() => self.pass_on(response, &method, lines).await.err(),
            Ok(response) => {
                let _ = lines.send(self.refused(id, response).await).await;
                return;
            }
            Err(error) if error.is_connect() => Some(format!(
                "no server answers at {}: start one with `afterimage serve`, or name another one by --url or AFTERIMAGE_URL",
                self.server
            )),
            Err(_) => Some(format!("the connection to {} broke", self.server)),
        };
        if let Some(problem) = problem {
            let _ = lines.send(error_line(id, NO_ANSWER, &problem)).await;
        }
    }

    /// See [`with_pictures`]; files are read beside the other messages.
    async fn with_pictures(&self, outgoing: Outgoing) -> Result<Outgoing, String> {
        let folders = Arc::clone(&self.folders);
        let read = spawn_blocking(move || with_pictures(outgoing, &folders));
        read.await.unwrap_or_else(|_| Err("the picture's file cannot be read".to_owned()))
    }

    fn request(&self, outgoing: Outgoing) -> RequestBuilder {
        let mut request = self.client.post(&self.endpoint);
        request =
            request.header(ACCEPT, "application/json, text/event-stream").header(CONTENT_TYPE, "application/json");
        request = request.header("mcp-method", &*header_value(&outgoing.method));
        if let Some(name) = &outgoing.name {
            request = request.header("mcp-name", &*header_value(name));
        }
        let agreed = self.agreed.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // The first message says by itself what it would like.
        if let Some(version) = outgoing.version.or(agreed).filter(|_| outgoing.method != "initialize") {
            request = request.header("mcp-protocol-version", &*header_value(&version));
        }
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.expose());
        }
        request.body(outgoing.text)
    }

    /// Sends what `response` to a message of `method` says to `lines`.
    ///
    /// # Errors
    /// What to say when it does not end in an answer.
    async fn pass_on(&self, mut response: Response, method: &str, lines: &Sender<Vec<u8>>) -> Result<(), String> {
        let broken = |_| format!("the connection to {} broke before the answer was complete", self.server);
        if is_of_type(&response, "text/event-stream") {
            let mut splitter = EventSplitter::default();
            while let Some(bytes) = response.chunk().await.map_err(broken)? {
                for message in splitter.push(&bytes) {
                    let is_answer = is_answer(&message);
                    let _ = lines.send(message).await;
                    if is_answer {
                        return Ok(());
                    }
                }
            }
            return Err(format!("{} ended its answer before it was complete", self.server));
        }
        let answer = response.bytes().await.map_err(broken)?;
        if !is_answer(&answer) {
            return Err(format!("{} does not answer as an Afterimage server does", self.server));
        }
        if method == "initialize"
            && let Ok(Agreement { result }) = serde_json::from_slice(&answer)
        {
            *self.agreed.lock().unwrap_or_else(PoisonError::into_inner) = Some(result.protocol_version);
        }
        let answer: Vec<u8> = answer.into();
        let answer = if method == "tools/list" { with_folders_told(answer, &self.folders) } else { answer };
        // Line breaks in JSON are spaces.
        let line = answer.iter().map(|byte| if *byte == b'\n' { b' ' } else { *byte }).collect();
        let _ = lines.send(line).await;
        Ok(())
    }

    /// The answer to the request `id` that was refused: the server's own error, if there is one.
    async fn refused(&self, id: &Value, response: Response) -> Vec<u8> {
        let status = response.status();
        let body: Option<Value> = response.bytes().await.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let Some(mut body) = body.filter(|body| body["error"]["message"].is_string() && body["error"]["code"].is_i64())
        else {
            return error_line(id, NO_ANSWER, &format!("{} answered with status {status}", self.endpoint));
        };
        if status == StatusCode::UNAUTHORIZED {
            let said = body["error"]["message"].as_str().unwrap_or_default();
            body["error"]["message"] = json!(format!("{said} (the key comes by AFTERIMAGE_API_KEY or --api-key)"));
        }
        body["id"] = id.clone();
        body.to_string().into_bytes()
    }
}

fn is_of_type(response: &Response, kind: &str) -> bool {
    let declared = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    declared.is_some_and(|declared| declared.split(';').next().is_some_and(|it| it.trim().eq_ignore_ascii_case(kind)))
}

fn is_answer(message: &[u8]) -> bool {
    serde_json::from_slice(message).is_ok_and(|ServerMessage { method }| method.is_none())
}

fn is_loopback(address: &Url) -> bool {
    match address.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bridge(url: &str) -> Bridge {
        Bridge::new(&url.parse().unwrap(), None, PictureFolders::default()).unwrap()
    }

    #[test]
    fn the_endpoint_is_found_from_the_servers_address() {
        for (url, endpoint) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080/mcp"),
            ("https://pictures.example/behind/", "https://pictures.example/behind/mcp"),
            ("http://h/mcp", "http://h/mcp"),
        ] {
            assert_eq!(bridge(url).endpoint, endpoint);
        }
    }

    #[test]
    fn answers_are_told_from_notifications() {
        assert!(is_answer(br#"{"jsonrpc": "2.0", "id": 1, "result": {}}"#));
        assert!(!is_answer(br#"{"jsonrpc": "2.0", "method": "notifications/progress", "params": {}}"#));
        assert!(!is_answer(b"<html>"));
    }
}
