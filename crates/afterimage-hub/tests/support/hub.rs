//! A hub on loopback that speaks the protocol of huggingface.co, and its store of large files on another port.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use futures_util::stream::{self, StreamExt};
use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

/// The commit of every repository, until [`FakeHub::change`].
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The token that opens gated repositories.
pub const TOKEN: &str = "hf_theRightToken";

/// A token whose account has accepted nothing.
pub const OTHER_TOKEN: &str = "hf_anotherToken";

/// How the store and, for small files, the hub answer. Numbers are bytes of each answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    Right,
    /// The connection ends after this many bytes.
    Cut(usize),
    /// The same, once; then right.
    CutOnce(usize),
    /// A byte is another one.
    Damaged,
    /// Ranges are ignored; the first answer is cut after this many bytes.
    WithoutRanges(usize),
    /// Ranges are refused with 416; the first answer is cut.
    RefusesRanges(usize),
    /// A part from somewhere else comes.
    WrongRange(usize),
    /// One byte more, without a length.
    TooLong,
    /// The length says one byte less, and that is what comes.
    TooShort,
    /// After the first answer, which is cut, the hub names another checksum.
    Changing(usize),
    /// 503 this many times.
    Busy(usize),
    /// No `ETag`.
    Nameless,
    /// The hub names no length; its store does.
    Lengthless,
    /// The store sends on to an address that is none of the web.
    Elsewhere,
}

/// A repository.
#[derive(Clone, Debug, Default)]
pub struct FakeRepository {
    pub files: BTreeMap<String, Vec<u8>>,
    /// Names that are listed without being there.
    pub listed: Vec<String>,
    pub gated: bool,
    pub licence: Option<&'static str>,
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `hub` or `store`.
    pub host: &'static str,
    pub authorization: Option<String>,
    pub range: Option<String>,
}

struct Shared {
    store: SocketAddr,
    commit: Mutex<String>,
    manner: Mutex<Manner>,
    repositories: Mutex<BTreeMap<String, FakeRepository>>,
    seen: Mutex<Vec<Seen>>,
}

/// A running hub; it goes when this is dropped.
pub struct FakeHub {
    /// `HF_ENDPOINT`.
    pub endpoint: String,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

impl FakeHub {
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (hub, store) = runtime.block_on(async {
            (TcpListener::bind("127.0.0.1:0").await.unwrap(), TcpListener::bind("127.0.0.1:0").await.unwrap())
        });
        let shared = Arc::new(Shared {
            store: store.local_addr().unwrap(),
            commit: Mutex::new(COMMIT.to_owned()),
            manner: Mutex::new(Manner::Right),
            repositories: Mutex::default(),
            seen: Mutex::default(),
        });
        let endpoint = format!("http://{}", hub.local_addr().unwrap());
        let hub_routes = Router::new().fallback(answer_of_hub).with_state(Arc::clone(&shared));
        let store_routes = Router::new().fallback(answer_of_store).with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(hub, hub_routes).await });
        runtime.spawn(async move { axum::serve(store, store_routes).await });
        Self { endpoint, shared, _runtime: runtime }
    }

    /// One with the repository `me/model`: a configuration and 100,000 bytes of weights.
    pub fn with_model() -> Self {
        let hub = Self::start();
        hub.add("me/model", &[("config.json", b"{}"), ("model.safetensors", &weights())], Some("mit"), false);
        hub
    }

    pub fn add(&self, name: &str, files: &[(&str, &[u8])], licence: Option<&'static str>, gated: bool) {
        let files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        let repository = FakeRepository { files, listed: Vec::new(), gated, licence };
        self.shared.repositories.lock().unwrap().insert(name.to_owned(), repository);
    }

    /// Lists one more name of a file.
    pub fn list(&self, repository: &str, name: &str) {
        self.shared.repositories.lock().unwrap().get_mut(repository).unwrap().listed.push(name.to_owned());
    }

    /// Another commit in which `file` has other bytes.
    pub fn change(&self, repository: &str, file: &str, bytes: &[u8]) {
        *self.shared.commit.lock().unwrap() = COMMIT.replace('0', "f");
        let mut repositories = self.shared.repositories.lock().unwrap();
        repositories.get_mut(repository).unwrap().files.insert(file.to_owned(), bytes.to_vec());
    }

    pub fn becomes(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    /// The requests so far, which are then forgotten.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

/// 100,000 bytes.
pub fn weights() -> Vec<u8> {
    (0..100_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}

pub fn git_sha1(bytes: &[u8]) -> String {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("blob {}\0", bytes.len()).as_bytes());
    context.update(bytes);
    hex::encode(context.finish())
}

fn is_large(name: &str) -> bool {
    matches!(name.rsplit_once('.'), Some((_, "safetensors" | "gguf")))
}

impl Shared {
    fn note(&self, host: &'static str, request: &Request) {
        let header = |name| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (authorization, range) = (header(header::AUTHORIZATION), header(header::RANGE));
        self.seen.lock().unwrap().push(Seen { host, authorization, range });
    }

    fn manner(&self) -> Manner {
        *self.manner.lock().unwrap()
    }

    /// 503 as often as was asked for.
    fn is_busy(&self) -> bool {
        let mut manner = self.manner.lock().unwrap();
        match *manner {
            Manner::Busy(0) => false,
            Manner::Busy(left) => {
                *manner = Manner::Busy(left - 1);
                true
            }
            _ => false,
        }
    }
}

fn status(status: u16, code: &str, message: &str) -> Response<Body> {
    let mut response = Response::builder().status(status);
    if !code.is_empty() {
        response = response.header("x-error-code", code);
    }
    response.header("x-error-message", message).body(Body::from(message.to_owned())).unwrap()
}

async fn answer_of_hub(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    shared.note("hub", &request);
    if shared.is_busy() {
        return status(503, "", "busy");
    }
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let parts: Vec<&str> = path.split('/').collect();
    let token = request.headers().get(header::AUTHORIZATION).map(|value| value.to_str().unwrap());
    let token = token.map(|value| value.trim_start_matches("Bearer "));
    if token.is_some_and(|token| token != TOKEN && token != OTHER_TOKEN) {
        return status(401, "", "Invalid credentials in Authorization header");
    }
    match parts[..] {
        ["api", "models", owner, name, "revision", revision] => listing(&shared, &format!("{owner}/{name}"), revision),
        // A renamed repository, as the hub sends on: a path of its own host.
        ["old", "name", "resolve", ..] => {
            let location = format!("/{}", path.replacen("old/name", "me/model", 1));
            let moved = Response::builder().status(307).header(header::LOCATION, location);
            moved.body(Body::empty()).unwrap()
        }
        [owner, name, "resolve", _, ..] => {
            let file = parts[4..].join("/");
            resolve(&shared, &request, &format!("{owner}/{name}"), &file, token)
        }
        _ => status(404, "", "Not Found"),
    }
}

fn listing(shared: &Shared, name: &str, revision: &str) -> Response<Body> {
    let name = if name == "old/name" { "me/model" } else { name };
    let repositories = shared.repositories.lock().unwrap();
    let Some(repository) = repositories.get(name) else {
        return status(401, "RepoNotFound", "Repository not found");
    };
    let commit = shared.commit.lock().unwrap().clone();
    if revision != "main" && revision != commit {
        return status(404, "RevisionNotFound", "Invalid rev id");
    }
    let names = repository.files.keys().chain(&repository.listed);
    let siblings: Vec<_> = names.map(|name| serde_json::json!({"rfilename": name})).collect();
    let gated = if repository.gated { serde_json::json!("auto") } else { serde_json::json!(false) };
    let body = serde_json::json!({
        "id": name, "sha": commit, "gated": gated, "cardData": {"license": repository.licence}, "siblings": siblings,
    });
    Response::new(Body::from(body.to_string()))
}

fn resolve(shared: &Shared, request: &Request, name: &str, file: &str, token: Option<&str>) -> Response<Body> {
    let repositories = shared.repositories.lock().unwrap();
    let Some(repository) = repositories.get(name) else {
        return status(404, "RepoNotFound", "Repository not found");
    };
    match token {
        None if repository.gated => return status(401, "GatedRepo", "Access to model is restricted. Please log in."),
        Some(OTHER_TOKEN) if repository.gated => {
            return status(403, "GatedRepo", "You are not in the authorized list.");
        }
        _ => {}
    }
    let Some(bytes) = repository.files.get(file) else {
        return status(404, "EntryNotFound", "Entry not found");
    };
    let commit = shared.commit.lock().unwrap().clone();
    let manner = shared.manner();
    let response = Response::builder().header("x-repo-commit", commit);
    if !is_large(file) {
        let tag = format!("\"{}\"", git_sha1(bytes));
        let response = response.header(header::ETAG, tag).header(header::CONTENT_LENGTH, bytes.len());
        let body = if request.method() == Method::HEAD { Body::empty() } else { Body::from(bytes.clone()) };
        return response.body(body).unwrap();
    }
    let is_changed = matches!(manner, Manner::Changing(0)) && request.method() == Method::GET;
    let sum = if is_changed { sha256(b"another") } else { sha256(bytes) };
    let location = match manner {
        Manner::Elsewhere => "file:///etc/passwd".to_owned(),
        _ => format!("http://{}/{name}/{file}?signature=secret", shared.store),
    };
    let mut response = response.status(302).header(header::LOCATION, location);
    if manner != Manner::Lengthless {
        response = response.header("x-linked-size", bytes.len());
    }
    if manner != Manner::Nameless {
        response = response.header("x-linked-etag", format!("\"{sum}\""));
    }
    response.body(Body::from("Found. Redirecting")).unwrap()
}

async fn answer_of_store(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    shared.note("store", &request);
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let mut parts = path.splitn(3, '/');
    let name = format!("{}/{}", parts.next().unwrap(), parts.next().unwrap());
    let file = parts.next().unwrap();
    let bytes = shared.repositories.lock().unwrap()[&name].files[file].clone();
    let from = first_byte(request.headers());
    let mut manner = shared.manner.lock().unwrap();
    let (sent, next) = match *manner {
        Manner::CutOnce(_) => (*manner, Manner::Right),
        Manner::WithoutRanges(cut) if from.is_none() => (Manner::Cut(cut), Manner::WithoutRanges(usize::MAX)),
        Manner::RefusesRanges(cut) if from.is_none() && cut < usize::MAX => {
            (Manner::Cut(cut), Manner::RefusesRanges(usize::MAX))
        }
        Manner::WrongRange(cut) if from.is_none() => (Manner::Cut(cut), *manner),
        Manner::Changing(cut) if cut > 0 => (Manner::Cut(cut), Manner::Changing(0)),
        other => (other, other),
    };
    *manner = next;
    drop(manner);
    send(&bytes, from, sent)
}

fn first_byte(headers: &HeaderMap) -> Option<usize> {
    let range = headers.get(header::RANGE)?.to_str().unwrap();
    Some(range.strip_prefix("bytes=").unwrap().strip_suffix('-').unwrap().parse().unwrap())
}

fn send(bytes: &[u8], from: Option<usize>, manner: Manner) -> Response<Body> {
    let total = bytes.len();
    let from = match manner {
        Manner::WithoutRanges(_) => None,
        Manner::WrongRange(_) => from.map(|from| from + 1),
        _ => from,
    };
    if from.is_some() && matches!(manner, Manner::RefusesRanges(_)) {
        return Response::builder().status(416).body(Body::empty()).unwrap();
    }
    let start = from.unwrap_or(0);
    let mut rest = bytes[start..].to_vec();
    let mut response =
        Response::builder().status(if from.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK });
    if from.is_some() {
        response = response.header(header::CONTENT_RANGE, format!("bytes {start}-{}/{total}", total - 1));
    }
    match manner {
        Manner::Damaged => rest[0] ^= 1,
        Manner::TooLong => {
            rest.push(0);
            let all = stream::iter([Ok::<_, std::io::Error>(Bytes::from(rest))]);
            return response.body(Body::from_stream(all)).unwrap();
        }
        Manner::TooShort => drop(rest.pop()),
        Manner::Cut(cut) | Manner::CutOnce(cut) => {
            // The length is that of all; what comes after the piece is an error, at which the connection ends.
            let piece = Bytes::from(rest[..cut.min(rest.len())].to_vec());
            let end = stream::once(async {
                // The piece goes out first. Real time: through a socket.
                tokio::time::sleep(Duration::from_millis(30)).await;
                Err(std::io::Error::other("cut"))
            });
            let pieces = stream::iter([Ok(piece)]).chain(end);
            return response.header(header::CONTENT_LENGTH, rest.len()).body(Body::from_stream(pieces)).unwrap();
        }
        _ => {}
    }
    response.body(Body::from(rest)).unwrap()
}
