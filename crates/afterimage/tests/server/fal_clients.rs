//! What fal's own clients need besides calls: tokens for pages, lifetimes of files, refusals that they can read.

use crate::support::{KEY, Server, answer, data_uri, picture};
use crate::waiting::until;
use afterimage_jobs::{Clock, KeyStore, NewKey, SettingsStore, SqliteStore, SystemClock};
use afterimage_server::dialects::fal::token::{Caller, make_call_token};
use afterimage_server::files::Signer;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const REDUX: &str = "/fal-ai/flux-1/dev/redux";
const QUEUE: &str = "/queue/fal-ai/flux-1/dev/redux";

fn small() -> Value {
    let size = json!({"width": 64, "height": 48});
    json!({"image_url": data_uri(&picture(48, 48)), "image_size": size, "num_inference_steps": 1, "seed": 7})
}

fn now() -> i64 {
    SystemClock.now().0 / 1000
}

/// A request without a key.
fn nobody(server: &Server, method: Method, path: &str) -> RequestBuilder {
    server.client.request(method, format!("{}{path}", server.url))
}

#[tokio::test]
async fn a_page_calls_by_a_token() {
    let server = Server::with_worker().await;
    let body = json!({"allowed_apps": ["flux-1"], "token_expiration": 60});
    let (status, token) = server.post("/tokens/", &body).await;
    assert_eq!(status, 200, "{token}");
    let token = token.as_str().expect("a JSON string");
    assert!(!token.contains(KEY));
    let call = |method, path: &str| nobody(&server, method, &format!("{path}?logs=1&fal_jwt_token={token}"));

    let (status, result) = answer(call(Method::POST, REDUX).body(small().to_string()).send().await.unwrap()).await;
    assert_eq!((status, &result["seed"]), (StatusCode::OK, &json!(7)), "{result}");
    let stream = call(Method::POST, &format!("{REDUX}/stream")).body(small().to_string()).send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    assert!(stream.text().await.unwrap().contains("\"seed\":7"));
    let (status, ticket) = answer(call(Method::POST, QUEUE).body(small().to_string()).send().await.unwrap()).await;
    assert_eq!(status, 200, "{ticket}");
    let path = ticket["status_url"].as_str().unwrap().strip_prefix(&server.url).unwrap();
    let events = call(Method::GET, &format!("{path}/stream")).send().await.unwrap().text().await.unwrap();
    assert!(events.contains("COMPLETED"), "{events}");

    // Other models and their requests, files, and further tokens are not for it.
    let other = "/fal-ai/flux-pro/v1.1/redux";
    let (status, ticket) = server.post(&format!("/queue{other}"), &small()).await;
    assert_eq!(status, 200, "{ticket}");
    let path = ticket["status_url"].as_str().unwrap().strip_prefix(&server.url).unwrap().to_owned();
    for (method, path) in [
        (Method::POST, other),
        (Method::POST, "/fal-ai/flux-pro/v1.1/redux/stream"),
        (Method::GET, &path),
        (Method::POST, "/tokens/"),
        (Method::POST, "/files/upload"),
        (Method::POST, "/storage/upload/initiate"),
        (Method::GET, "/api/v3/models"),
    ] {
        let (status, body) = answer(call(method, path).body(small().to_string()).send().await.unwrap()).await;
        assert_eq!(status, 401, "{path}: {body}");
    }
}

#[tokio::test]
async fn other_call_tokens_are_refused() {
    let server = Server::without_workers().await;
    let file = server.folder.path().join("data").join(SqliteStore::FILE_NAME);
    let store = SqliteStore::open_file(&file, Arc::new(SystemClock)).await.unwrap();
    let signer = Signer::new(store.server_secret().await.unwrap());
    let key = store.keys().await.unwrap().swap_remove(0).id;
    let (gone, _) = store.create_key(NewKey { name: "gone".into(), ..NewKey::default() }).await.unwrap();
    store.revoke_key(&gone.id).await.unwrap();
    let of = |key: &str| Caller { key: key.to_owned(), apps: vec!["flux-1".to_owned()] };
    let good = make_call_token(&signer, &of(key.as_str()), now() + 60);
    let send = async |request: RequestBuilder| answer(request.body(small().to_string()).send().await.unwrap()).await;
    let with = |token: &str| nobody(&server, Method::POST, &format!("{QUEUE}?fal_jwt_token={token}"));
    assert_eq!(send(with(&good)).await.0, 200);
    for (token, reason) in [
        (make_call_token(&signer, &of(key.as_str()), now() - 1), "the token has expired; ask for another one"),
        (make_call_token(&Signer::new([9; 32]), &of(key.as_str()), now() + 60), "unknown token"),
        (make_call_token(&signer, &of(gone.id.as_str()), now() + 60), "the key of this token was revoked"),
        (good.replace("call.", "send."), "unknown token"),
        (String::new(), "unknown token"),
        (KEY.to_owned(), "unknown token"),
    ] {
        let (status, body) = send(with(&token)).await;
        assert_eq!((status.as_u16(), &body["detail"]), (401, &json!(reason)), "{token}");
    }
    // A wrong key is wrong, whatever else is there.
    assert_eq!(send(with(&good).bearer_auth("a-wrong-key")).await.0, 401);

    assert_eq!(send(nobody(&server, Method::POST, "/tokens/")).await.0, 401);
    for (body, field) in [
        (json!({}), "allowed_apps"),
        (json!({"allowed_apps": "flux-1"}), "allowed_apps"),
        (json!({"allowed_apps": []}), "allowed_apps"),
        (json!({"allowed_apps": ["flux-1"], "token_expiration": 1e9}), "token_expiration"),
    ] {
        let (status, answer) = server.post("/tokens/", &body).await;
        assert_eq!((status.as_u16(), &answer["detail"][0]["loc"]), (422, &json!(["body", field])), "{answer}");
    }
}

/// When the address of `url` ends, in seconds from now.
fn left(url: &Value) -> i64 {
    let url = reqwest::Url::parse(url.as_str().unwrap()).unwrap();
    let expires = url.query_pairs().find(|(name, _)| name == "expires").unwrap().1.parse::<i64>().unwrap();
    expires - now()
}

#[tokio::test]
async fn files_live_as_long_as_was_asked_for() {
    let server = Server::with_worker().await;
    let run = async |headers: &[(&'static str, &'static str)]| {
        let request = server.request(Method::POST, REDUX).body(small().to_string());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        answer(request.send().await.unwrap()).await
    };
    let hour = r#"{"expiration_duration_seconds": 3600}"#;
    for (headers, most) in [
        (&[][..], 24 * 3600),
        (&[("x-fal-object-lifecycle-preference", hour)][..], 3600),
        (&[("x-fal-store-io", "0")], 3600),
        (
            &[("x-fal-store-io", "0"), ("x-fal-object-lifecycle-preference", r#"{"expiration_duration_seconds":60}"#)],
            60,
        ),
        // No longer than everything else.
        (&[("x-fal-object-lifecycle-preference", r#"{"expiration_duration_seconds":1e9}"#)], 24 * 3600),
    ] {
        let (status, result) = run(headers).await;
        assert_eq!(status, 200, "{result}");
        let left = left(&result["images"][0]["url"]);
        assert!((most - 60..=most).contains(&left), "{headers:?}: {left}");
    }
    let (_, brief) = run(&[("x-fal-object-lifecycle-preference", r#"{"expiration_duration_seconds":2}"#)]).await;
    let url = brief["images"][0]["url"].as_str().unwrap();
    let is_gone = async || server.client.get(url).send().await.unwrap().status() == 404;
    until("it is gone after its two seconds", Duration::from_secs(4), is_gone).await;
    assert_eq!(server.post(REDUX, &json!({"image_url": url})).await.0, 422, "nor as an input");
    let (status, body) = run(&[("x-fal-object-lifecycle-preference", "soon")]).await;
    assert_eq!(status, 400, "{body}");
    assert!(body["detail"].as_str().unwrap().starts_with("x-fal-object-lifecycle-preference: "), "{body}");

    for (path, body, field) in
        [("/storage/upload/initiate", b"{}".to_vec(), "file_url"), ("/files/upload", picture(16, 16), "access_url")]
    {
        let send = |lifetime: &'static str| {
            server.request(Method::POST, path).header("x-fal-object-lifecycle", lifetime).body(body.clone()).send()
        };
        let (status, uploaded) = answer(send(hour).await.unwrap()).await;
        assert_eq!(status, 200, "{uploaded}");
        assert!((3540..=3600).contains(&left(&uploaded[field])), "{uploaded}");
        assert_eq!(send("soon").await.unwrap().status(), 400, "{path}");
    }
}

#[tokio::test]
async fn a_webhook_that_cannot_be_used_is_named_as_the_query_has_it() {
    let server = Server::without_workers().await;
    for webhook in ["http://127.0.0.1/hook", "ftp://example.com/", "hook"] {
        let (status, body) = server.post(&format!("{QUEUE}?fal_webhook={webhook}"), &small()).await;
        assert_eq!((status.as_u16(), &body["detail"][0]["loc"]), (422, &json!(["query", "fal_webhook"])), "{body}");
        assert!(body["message"].as_str().unwrap().starts_with("fal_webhook: "), "{body}");
    }
}

#[tokio::test]
async fn the_proxy_refuses_models_of_others_readably() {
    let server = Server::without_workers().await;
    for target in ["https://fal.run/other-owner/app", "https://queue.fal.run/workflows/other/app/requests/x"] {
        let request = server.request(Method::POST, "/api/fal/proxy").header("x-fal-target-url", target);
        let (status, body) = answer(request.body("{}").send().await.unwrap()).await;
        assert_eq!(status, 404, "{body}");
        assert!(body["detail"].as_str().unwrap().contains("fal-ai/") && body["message"] == body["detail"], "{body}");
    }
}
