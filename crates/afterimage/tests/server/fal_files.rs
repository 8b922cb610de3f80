//! Uploads of fal clients of both generations, and webhooks that the served keys verify.

use crate::support::{KEY, REDUX, Server, answer, picture, receiver};
use afterimage_core::{GenerationRequest, OutputFormat, Task};
use afterimage_jobs::{
    ApiKey, Blobs, Clock, Failure, FailureKind, JobId, JobSpec, JobStore, KeyStore, NewJob, NewKey, OutputSpec,
    Priority, SettingsStore, SqliteStore, SystemClock, UploadId, UploadStore, Webhook, WorkerId,
};
use afterimage_server::dialects::fal::{DIALECT, token::make_token};
use afterimage_server::files::Signer;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use reqwest::{Method, StatusCode};
use ring::signature::{ED25519, UnparsedPublicKey};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const INITIATE: &str = "/storage/upload/initiate?storage_type=fal-cdn-v3";
const TOKEN: &str = "/storage/auth/token?storage_type=fal-cdn-v3";
const UPLOAD: &str = "/files/upload";

/// The database of `server`, as another server of the same database would open it.
pub async fn database(server: &Server) -> SqliteStore {
    let file = server.folder.path().join("data").join(SqliteStore::FILE_NAME);
    SqliteStore::open_file(&file, Arc::new(SystemClock)).await.unwrap()
}

async fn signer(store: &SqliteStore) -> Signer {
    Signer::new(store.server_secret().await.unwrap())
}

async fn first_key(store: &SqliteStore) -> ApiKey {
    store.keys().await.unwrap().swap_remove(0)
}

fn now() -> i64 {
    SystemClock.now().0 / 1000
}

async fn send(server: &Server, authorization: &str, bytes: Vec<u8>) -> (StatusCode, Value) {
    let request = server.client.request(Method::POST, format!("{}{UPLOAD}", server.url));
    let request = request.header("authorization", authorization).header("x-fal-file-name", "in.png");
    answer(request.header("content-type", "image/png").body(bytes).send().await.unwrap()).await
}

async fn read(server: &Server, address: &Value) -> (StatusCode, Bytes) {
    let response = server.client.get(address.as_str().unwrap()).send().await.unwrap();
    (response.status(), response.bytes().await.unwrap())
}

/// Whether an error has the dialect's shape; its text.
fn detail(body: &Value) -> &str {
    assert_eq!(body["detail"], body["message"], "{body}");
    body["detail"].as_str().unwrap()
}

#[tokio::test]
async fn a_ticket_takes_the_bytes_once_with_or_without_a_key() {
    let server = Server::without_workers().await;
    for with_key in [false, true] {
        let (status, ticket) = server.post(INITIATE, &json!({"content_type": "image/png", "file_name": "a.png"})).await;
        assert_eq!(status, 200, "{ticket}");
        assert!(ticket["upload_url"].as_str().unwrap().starts_with(&server.url), "{ticket}");
        assert_eq!(server.post(REDUX, &json!({"image": ticket["file_url"]})).await.0, 400, "before its bytes");
        let put = async |bytes: Vec<u8>| {
            let mut request = server.client.request(Method::PUT, ticket["upload_url"].as_str().unwrap());
            if with_key {
                request = request.header("authorization", format!("Key {KEY}"));
            }
            answer(request.header("content-type", "image/png").body(bytes).send().await.unwrap()).await
        };
        let (status, refused) = put(b"no picture".to_vec()).await;
        assert_eq!(status, 400);
        assert!(refused["detail"].as_str().unwrap().starts_with("file: "), "{refused}");
        assert_eq!(put(picture(20, 20)).await.0, 200);
        assert_eq!(put(picture(30, 30)).await.0, 404, "a second time");
        assert_eq!(read(&server, &ticket["file_url"]).await, (StatusCode::OK, picture(20, 20).into()));
        assert_eq!(server.post(REDUX, &json!({"image": ticket["file_url"]})).await.0, 200);
    }
}

#[tokio::test]
async fn a_token_sends_files_and_nothing_else() {
    let server = Server::without_workers().await;
    let (status, token) = server.post(TOKEN, &json!({})).await;
    assert_eq!(status, 200, "{token}");
    assert_eq!((&token["token_type"], &token["base_url"]), (&json!("Bearer"), &json!(server.url)));
    let expires = token["expires_at"].as_str().unwrap();
    assert!(expires.len() == 29 && expires.ends_with("+00:00"), "{expires}");
    let text = token["token"].as_str().unwrap();
    assert!(!text.contains(KEY));
    let (status, uploaded) = send(&server, &format!("Bearer {text}"), picture(24, 20)).await;
    assert_eq!(status, 200, "{uploaded}");
    assert_eq!(read(&server, &uploaded["access_url"]).await, (StatusCode::OK, picture(24, 20).into()));
    assert_eq!(server.post(REDUX, &json!({"image": uploaded["access_url"]})).await.0, 200);
    for path in [REDUX, TOKEN, INITIATE, "/api/v3/predictions"] {
        let request = server.client.request(Method::POST, format!("{}{path}", server.url)).bearer_auth(text);
        assert_eq!(request.body("{}").send().await.unwrap().status(), 401, "{path}");
    }
}

#[tokio::test]
async fn keys_send_files_too_and_own_what_they_sent() {
    let server = Server::without_workers().await;
    let store = database(&server).await;
    let (other, secret) = store.create_key(NewKey { name: "other".into(), ..NewKey::default() }).await.unwrap();
    let first = first_key(&store).await;
    let token = make_token(&signer(&store).await, &other.id, now() + 60);
    let sent = [
        (format!("Key {KEY}"), &first.id),
        (format!("bearer {}", secret.expose()), &other.id),
        (format!("Bearer {token}"), &other.id),
    ];
    for (authorization, owner) in sent {
        let (status, uploaded) = send(&server, &authorization, picture(16, 16)).await;
        assert_eq!(status, 200, "{uploaded}");
        let address = uploaded["access_url"].as_str().unwrap();
        let id = address.split(['/', '.']).find_map(UploadId::parse).unwrap();
        let upload = store.upload(&id).await.unwrap().unwrap();
        assert_eq!((&upload.key, upload.filename.as_str()), (owner, "in.png"));
    }
}

#[tokio::test]
async fn other_tokens_are_refused() {
    let server = Server::without_workers().await;
    let store = database(&server).await;
    let (signer, key) = (signer(&store).await, first_key(&store).await.id);
    let (gone, _) = store.create_key(NewKey { name: "gone".into(), ..NewKey::default() }).await.unwrap();
    store.revoke_key(&gone.id).await.unwrap();
    let good = make_token(&signer, &key, now() + 60);
    assert_eq!(send(&server, &format!("Bearer {good}"), picture(16, 16)).await.0, 200);
    let ended = now() - 1;
    let expired = make_token(&signer, &key, ended);
    for (token, reason) in [
        (expired.clone(), "the token has expired; ask for another one"),
        (expired.replace(&ended.to_string(), &(ended + 60).to_string()), "unknown key"),
        (make_token(&Signer::new([9; 32]), &key, now() + 60), "unknown key"),
        (make_token(&signer, &gone.id, now() + 60), "the key of this token was revoked"),
        (good[..good.len() - 1].to_owned(), "unknown key"),
    ] {
        let (status, body) = send(&server, &format!("Bearer {token}"), picture(16, 16)).await;
        assert_eq!((status.as_u16(), detail(&body)), (401, reason), "{token}");
    }
}

#[tokio::test]
async fn requests_that_cannot_be_served_are_refused_in_the_dialects_shape() {
    let server = Server::without_workers().await;
    for path in [INITIATE, TOKEN, UPLOAD, "/files/upload/multipart"] {
        let request = server.client.request(Method::POST, format!("{}{path}", server.url));
        let (status, body) = answer(request.body("{}").send().await.unwrap()).await;
        assert_eq!(status, 401, "{path}");
        assert!(detail(&body).starts_with("missing key"), "{body}");
        let (status, body) = server.get(path).await;
        assert_eq!((status.as_u16(), detail(&body)), (405, "method not allowed"), "{path}");
    }
    let (status, body) = server.post(INITIATE, &json!({"content_type": 5})).await;
    assert_eq!(status, 422);
    assert_eq!(body["detail"][0]["loc"], json!(["body", "content_type"]), "{body}");
    let (status, body) = send(&server, &format!("Key {KEY}"), b"no picture".to_vec()).await;
    assert_eq!(status, 400);
    assert!(detail(&body).starts_with("file: "), "{body}");
}

#[tokio::test]
async fn an_upload_over_the_limit_is_refused_without_reading_on() {
    let server = Server::without_workers().await;
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let head = format!("POST {UPLOAD} HTTP/1.1\r\nHost: h\r\nAuthorization: Key {KEY}\r\nConnection: close\r\n");
    let start = Instant::now();
    stream.write_all(format!("{head}Content-Length: 400000000\r\n\r\nx").as_bytes()).await.unwrap();
    let mut answer = String::new();
    // The server closes while the body is under way, which may show as an error after the answer.
    let _ = tokio::time::timeout(Duration::from_secs(5), stream.read_to_string(&mut answer)).await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains(r#"{"detail":"the body is larger than"#), "{answer}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

/// Stores a request that has failed, with a webhook.
async fn failed_request(store: &SqliteStore, url: &str) -> JobId {
    let id = JobId::random();
    let spec = JobSpec {
        request: GenerationRequest::new(Task::TextToImage),
        sources: Vec::new(),
        output: OutputSpec { format: OutputFormat::Png },
        public_url: String::new(),
        rates: None,
        trace: None,
    };
    let job = NewJob {
        id: id.clone(),
        key: first_key(store).await.id,
        dialect: DIALECT.to_owned(),
        model: "fal-ai/flux/dev/redux".to_owned(),
        input: Value::Null,
        spec,
        webhook: Some(Webhook { url: url.to_owned(), dialect: DIALECT.to_owned() }),
        idempotency: None,
        priority: Priority::Normal,
        user: None,
        cost_micros: 0,
        input_bytes: 0,
        start_within: None,
        kept_for: None,
    };
    store.submit(job).await.unwrap();
    let worker = WorkerId::random();
    let claimed = store.claim(&worker, &afterimage_jobs::UNNAMED, Duration::from_mins(1)).await.unwrap().unwrap();
    assert_eq!(claimed.id, id);
    store.fail(&claimed.lease(&worker), Failure::new(FailureKind::Engine, "no")).await.unwrap();
    id
}

#[tokio::test]
async fn a_webhook_is_verified_by_the_served_keys() {
    let server = Server::start(|options| options.allow_private_networks = true).await;
    let (url, mut received) = receiver().await;
    let store = database(&server).await;
    let id = failed_request(&store, &url).await;
    let wait = tokio::time::timeout(Duration::from_secs(20), received.recv());
    let (headers, body) = wait.await.expect("a webhook within 20 seconds").unwrap();

    let text: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&text["request_id"], &text["status"]), (&json!(id), &json!("ERROR")), "{text}");
    let response = server.client.get(format!("{}/.well-known/jwks.json", server.url)).send().await.unwrap();
    let (status, keys) = answer(response).await;
    assert_eq!(status, 200, "{keys}");
    let key = &keys["keys"][0];
    assert_eq!((&key["kty"], &key["crv"], &key["use"]), (&json!("OKP"), &json!("Ed25519"), &json!("sig")));
    let public = URL_SAFE_NO_PAD.decode(key["x"].as_str().unwrap()).unwrap();
    let header = |name: &str| headers[&format!("x-fal-webhook-{name}")].to_str().unwrap();
    assert_eq!(header("request-id"), id.to_string());
    assert!((now() - header("timestamp").parse::<i64>().unwrap()).abs() < 60);
    let lines = [header("request-id"), header("user-id"), header("timestamp"), &Blobs::sha256(&body)].join("\n");
    let digits = header("signature");
    let signature: Vec<u8> =
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect();
    let verify = |message: &str| UnparsedPublicKey::new(&ED25519, &public).verify(message.as_bytes(), &signature);
    assert!(verify(&lines).is_ok());
    assert!(verify(&format!("{lines}\n")).is_err());
}
