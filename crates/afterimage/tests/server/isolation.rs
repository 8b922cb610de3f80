//! Keys see their own things only.

use crate::support::{KEY, REDUX, Server, answer, data_uri, picture};
use crate::waiting::until;
use afterimage_jobs::{KeyStore, NewKey, SqliteStore, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Makes a second key behind the running server's back, as `afterimage keys create` does.
pub async fn second_key(server: &Server) -> String {
    let store = SqliteStore::open(&server.folder.path().join("data"), Arc::new(SystemClock)).await.unwrap();
    store.create_key(NewKey { name: "other".into(), ..NewKey::default() }).await.unwrap().1.expose().to_owned()
}

pub async fn as_key(server: &Server, key: &str, method: Method, path: &str, body: &Value) -> (u16, Value) {
    let request = server.client.request(method, format!("{}{path}", server.url)).bearer_auth(key);
    let (status, body) = answer(request.body(body.to_string()).send().await.unwrap()).await;
    (status.as_u16(), body)
}

#[tokio::test]
async fn no_key_reads_lists_cancels_or_deletes_anothers_tasks() {
    let server = Server::without_workers().await;
    let other = second_key(&server).await;
    let id = server.submit(REDUX, &json!({"image": data_uri(&picture(32, 32))})).await;
    for (method, path) in [
        (Method::GET, format!("/api/v3/predictions/{id}")),
        (Method::GET, format!("/api/v3/predictions/{id}/result")),
        (Method::GET, format!("/api/v3/predictions/{id}/events")),
        (Method::POST, format!("/api/v3/predictions/{id}/cancel")),
    ] {
        let (status, body) = as_key(&server, &other, method, &path, &json!({})).await;
        assert_eq!(status, 404, "{path}: {body}");
        assert!(!body.to_string().contains(&id), "{body}");
    }
    let (_, list) = as_key(&server, &other, Method::POST, "/api/v3/predictions", &json!({})).await;
    assert_eq!(list["data"]["total"], 0);
    let (_, deleted) = as_key(&server, &other, Method::POST, "/api/v3/predictions/delete", &json!({"ids": [id]})).await;
    assert_eq!(deleted["data"]["deleted_count"], 0);
    assert_eq!(server.get(&format!("/api/v3/predictions/{id}")).await.1["data"]["status"], "created");

    let secret = async |key: &str| as_key(&server, key, Method::GET, "/api/v3/webhook/secret", &json!({})).await.1;
    assert_ne!(secret(&other).await, secret(KEY).await);
}

#[tokio::test]
async fn a_strangers_delete_leaves_a_running_task_alone() {
    let server = Server::with_worker().await;
    let other = second_key(&server).await;
    let image = server.upload(&picture(64, 64)).await;
    let long = json!({"image": image, "size": "512*512", "num_inference_steps": 30});
    let id = server.submit(REDUX, &long).await;
    server.runs(&id).await;
    let (_, deleted) = as_key(&server, &other, Method::POST, "/api/v3/predictions/delete", &json!({"ids": [id]})).await;
    assert_eq!(deleted["data"]["deleted_count"], 0);
    assert_eq!(server.ended(&id).await["status"], "completed");
}

#[tokio::test]
async fn a_deleted_task_is_gone_and_deleting_twice_counts_once() {
    let server = Server::without_workers().await;
    let id = server.submit(REDUX, &json!({"image": data_uri(&picture(32, 32))})).await;
    let ids = json!({"ids": [id, "not-an-id"]});
    assert_eq!(server.post("/api/v3/predictions/delete", &ids).await.1["data"]["deleted_count"], 1);
    assert_eq!(server.post("/api/v3/predictions/delete", &ids).await.1["data"]["deleted_count"], 0);
    let (status, answer) = server.get(&format!("/api/v3/predictions/{id}/result")).await;
    assert_eq!((status.as_u16(), &answer["code"]), (410, &json!(410)));
    assert_eq!(server.post("/api/v3/predictions", &json!({})).await.1["data"]["total"], 0);
}

#[tokio::test]
async fn missing_wrong_and_revoked_keys_are_401_on_every_route() {
    let server = Server::without_workers().await;
    for path in ["/api/v3/models", "/api/v3/balance", "/api/v3/predictions/x", REDUX] {
        for header in [None, Some("Bearer wrong-key-1"), Some("Basic Zmlyc3Q6"), Some(KEY), Some("Bearer ")] {
            let mut request = server.client.post(format!("{}{path}", server.url)).body("{}");
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 401, "{path} {header:?}");
            assert!(response.headers().contains_key("www-authenticate"));
            assert_eq!(answer(response).await.1["code"], 401);
        }
    }
    let key_scheme =
        server.client.get(format!("{}/api/v3/balance", server.url)).header("authorization", format!("Key {KEY}"));
    assert_eq!(key_scheme.send().await.unwrap().status(), 200);

    let other = second_key(&server).await;
    assert_eq!(as_key(&server, &other, Method::GET, "/api/v3/balance", &json!({})).await.0, 200);
    let store = SqliteStore::open(&server.folder.path().join("data"), Arc::new(SystemClock)).await.unwrap();
    let id = store.keys().await.unwrap().into_iter().find(|key| key.name == "other").unwrap().id;
    assert!(store.revoke_key(&id).await.unwrap());
    // A key that was found a moment ago is trusted for two seconds.
    until("the revoked key is refused", Duration::from_secs(3), async || {
        as_key(&server, &other, Method::GET, "/api/v3/balance", &json!({})).await.0 == 401
    })
    .await;
}

#[tokio::test]
async fn guessing_is_slowed_down_and_keys_are_not() {
    let server = Server::without_workers().await;
    assert_eq!(as_key(&server, KEY, Method::GET, "/api/v3/balance", &json!({})).await.0, 200);
    let mut statuses = Vec::new();
    for guess in 0..40 {
        statuses
            .push(as_key(&server, &format!("wrong-key-{guess}"), Method::GET, "/api/v3/balance", &json!({})).await.0);
    }
    assert_eq!(statuses[0], 401);
    assert_eq!(statuses[39], 429);
    let other = second_key(&server).await;
    assert_eq!(as_key(&server, KEY, Method::GET, "/api/v3/balance", &json!({})).await.0, 200);
    assert_eq!(as_key(&server, &other, Method::GET, "/api/v3/balance", &json!({})).await.0, 200);
}

#[tokio::test]
async fn file_addresses_work_without_a_key_and_cannot_be_changed() {
    let server = Server::without_workers().await;
    let address = server.upload(&picture(40, 30)).await;
    let get = async |address: &str| server.client.get(address).send().await.unwrap();
    let response = get(&address).await;
    assert_eq!(response.status(), 200);
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "image/png");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert!(header("content-security-policy").contains("sandbox"));
    assert_eq!(header("content-disposition"), "inline");
    let tag = header("etag");
    assert_eq!(response.bytes().await.unwrap(), picture(40, 30));

    let part = server.client.get(&address).header("range", "bytes=1-3").send().await.unwrap();
    assert_eq!(part.status(), 206);
    let range = format!("bytes 1-3/{}", picture(40, 30).len());
    assert_eq!(part.headers()["content-range"].to_str().unwrap(), range);
    assert_eq!(part.bytes().await.unwrap(), "PNG");
    let known = server.client.get(&address).header("if-none-match", tag).send().await.unwrap();
    assert_eq!((known.status().as_u16(), known.bytes().await.unwrap().len()), (304, 0));

    let without_signature = address.split('?').next().unwrap().to_owned();
    for bad in [
        without_signature.clone(),
        format!("{without_signature}?expires=99999999999&signature=x"),
        address.replace("expires=1", "expires=9"),
        address.replace("/uploads/", "/put/"),
        address.replace("/uploads/", "/results/"),
        format!("{}/media/uploads/", server.url),
        format!("{}/media/", server.url),
        format!("{}/media/uploads/..%2f..%2fafterimage.sqlite?expires=1&signature=x", server.url),
    ] {
        let status = get(&bad).await.status();
        assert!([400, 404, 405].contains(&status.as_u16()), "{bad}: {status}");
    }
}
