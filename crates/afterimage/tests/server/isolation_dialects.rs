//! Keys see their own things only, whichever dialect and whichever way in they use.

use crate::hostile_dialects::{NATIVE, QUEUE, REDUX, refused, stored_requests};
use crate::isolation::{as_key, second_key};
use crate::support::{KEY, Server, answer, data_uri, picture};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

fn body() -> Value {
    json!({"image_url": data_uri(&picture(32, 32)), "image": data_uri(&picture(32, 32)), "seed": 3})
}

/// A request by way of the proxy.
async fn proxied(server: &Server, key: Option<&str>, method: Method, target: &str) -> (StatusCode, Value) {
    let mut request = server.client.request(method, format!("{}/api/fal/proxy", server.url));
    if let Some(key) = key {
        request = request.header("authorization", format!("Key {key}"));
    }
    answer(request.header("x-fal-target-url", target).body(body().to_string()).send().await.unwrap()).await
}

#[tokio::test]
async fn no_key_reads_follows_or_cancels_anothers_requests_of_fal() {
    let server = Server::without_workers().await;
    let other = second_key(&server).await;
    let (_, ticket) = server.post(QUEUE, &body()).await;
    let id = ticket["request_id"].as_str().unwrap().to_owned();
    for form in ["/queue", "/gateway"] {
        for app in ["fal-ai/flux-1", "fal-ai/flux-1/dev/redux", "fal-ai/something-else"] {
            let path = format!("{form}/{app}/requests/{id}");
            for (method, part) in [
                (Method::GET, ""),
                (Method::GET, "/status"),
                (Method::GET, "/status?logs=1"),
                (Method::GET, "/status/stream"),
                (Method::PUT, "/cancel"),
            ] {
                let path = format!("{path}{part}");
                let (status, answer) = as_key(&server, &other, method.clone(), &path, &json!({})).await;
                assert_eq!(status, 404, "{path}: {answer}");
                assert!(!answer.to_string().contains(&id), "{answer}");
                let nobody = server.client.request(method, format!("{}{path}", server.url)).send().await.unwrap();
                assert_eq!(nobody.status(), 401, "{path}");
            }
        }
    }
    for (method, part) in [(Method::GET, ""), (Method::GET, "/status"), (Method::PUT, "/cancel")] {
        let target = format!("https://queue.fal.run/fal-ai/flux-1/requests/{id}{part}");
        assert_eq!(proxied(&server, Some(&other), method.clone(), &target).await.0, 404, "{target}");
        assert_eq!(proxied(&server, None, method, &target).await.0, 401, "{target}");
    }
    // Nor is it found through another dialect, by its owner or by anybody else.
    for key in [KEY, &other] {
        for part in ["", "/result", "/events"] {
            let path = format!("/api/v3/predictions/{id}{part}");
            assert_eq!(as_key(&server, key, Method::GET, &path, &json!({})).await.0, 404, "{path}");
        }
    }
    let of_wavespeed = server.submit(crate::support::REDUX, &body()).await;
    let path = format!("/queue/fal-ai/flux-1/requests/{of_wavespeed}/status");
    assert_eq!(server.get(&path).await.0, 404);
    let (status, own) = server.get(&format!("/queue/fal-ai/flux-1/requests/{id}/status")).await;
    assert_eq!((status.as_u16(), &own["status"]), (202, &json!("IN_QUEUE")), "untouched");
}

#[tokio::test]
async fn missing_and_wrong_keys_are_401_on_every_route_in_its_shape() {
    let server = Server::without_workers().await;
    for path in [
        REDUX,
        QUEUE,
        "/gateway/fal-ai/flux-1/dev/redux",
        "/fal-ai/flux-1/dev/redux/stream",
        "/storage/upload/initiate",
        "/storage/upload/initiate-multipart",
        "/storage/auth/token",
        "/files/upload",
        "/files/upload/multipart",
        "/v1/images/variations",
        "/v1/openai/images/edits",
        NATIVE,
    ] {
        for header in [None, Some("Basic Zmlyc3Q6"), Some(KEY), Some("Bearer "), Some("Key send.e30.1.x")] {
            let mut request = server.client.post(format!("{}{path}", server.url)).body(body().to_string());
            if let Some(header) = header {
                request = request.header("authorization", header);
            }
            let response = request.send().await.unwrap();
            let schemes = if path.starts_with("/v1/") { "Bearer" } else { "Key, Bearer" };
            assert_eq!(response.headers()["www-authenticate"], schemes, "{path}");
            let (status, answer) = answer(response).await;
            assert_eq!(status, 401, "{path} {header:?}: {answer}");
            refused(path, status, &answer);
        }
    }
    for path in ["/v1/models", "/v1/openai/models", "/queue/fal-ai/flux-1/requests/x/status"] {
        let nobody = server.client.get(format!("{}{path}", server.url)).send().await.unwrap();
        assert_eq!(nobody.status(), 401, "{path}");
    }
    assert_eq!(stored_requests(&server).await, 0);
}

#[tokio::test]
async fn guessing_is_slowed_down_whichever_way_in() {
    let server = Server::without_workers().await;
    assert_eq!(server.get("/v1/models").await.0, 200);
    let other = second_key(&server).await;
    let mut statuses = Vec::new();
    for guess in 0..44 {
        let key = format!("wrong-key-{guess}");
        statuses.push(match guess % 4 {
            0 => proxied(&server, Some(&key), Method::POST, "https://fal.run/fal-ai/flux-1/dev/redux").await.0.as_u16(),
            1 => as_key(&server, &key, Method::POST, "/files/upload", &json!({})).await.0,
            2 => as_key(&server, &key, Method::POST, NATIVE, &json!({})).await.0,
            _ => as_key(&server, &key, Method::GET, "/v1/models", &json!({})).await.0,
        });
    }
    assert_eq!(statuses[0], 401);
    assert!(statuses[40..].iter().all(|status| *status == 429), "{statuses:?}");
    // A valid key passes, whether or not it was in use.
    assert_eq!(server.get("/v1/models").await.0, 200);
    assert_eq!(as_key(&server, &other, Method::GET, "/v1/models", &json!({})).await.0, 200);
}

#[tokio::test]
async fn an_idempotency_key_is_one_keys_own() {
    let server = Server::without_workers().await;
    let other = second_key(&server).await;
    let mut ids = Vec::new();
    for key in [KEY, &other, KEY] {
        let request = server.client.post(format!("{}{QUEUE}", server.url)).bearer_auth(key);
        let (status, ticket) =
            answer(request.header("idempotency-key", "k").body(body().to_string()).send().await.unwrap()).await;
        assert_eq!(status, 200, "{ticket}");
        ids.push(ticket["request_id"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids[0], ids[2]);
    assert_ne!(ids[0], ids[1]);
    let request = server
        .request(Method::POST, QUEUE)
        .header("idempotency-key", "k")
        .body("{\"image_url\":\"http://a.example/\"}");
    let (status, answer) = answer(request.send().await.unwrap()).await;
    assert_eq!(status, 422, "{answer}");
    assert!(answer["detail"].is_string(), "{answer}");
    assert_eq!(stored_requests(&server).await, 2);
}

#[tokio::test]
async fn an_upload_belongs_to_its_key_and_a_ticket_takes_pictures_only() {
    let server = Server::without_workers().await;
    let (_, ticket) = server.post("/storage/upload/initiate", &json!({"file_name": "../../x.html"})).await;
    let upload = ticket["upload_url"].as_str().unwrap();
    assert!(!upload.contains("x.html") && !ticket["file_url"].as_str().unwrap().contains("html"), "{ticket}");
    for bytes in [
        b"<!doctype html><script>alert(1)</script>".to_vec(),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(),
        b"GIF89a/*\0\0*/=1;alert(1)//".to_vec(),
        picture(64, 64)[..60].to_vec(),
        Vec::new(),
    ] {
        let put = server.client.put(upload).header("content-type", "text/html").body(bytes);
        let (status, answer) = answer(put.send().await.unwrap()).await;
        assert_eq!(status, 400, "{answer}");
    }
    // Neither another ticket's signature nor another purpose's, nor more time than was given.
    for changed in [
        upload.replace("/put/", "/uploads/"),
        upload.replace("expires=1", "expires=9"),
        format!("{upload}x"),
        upload.split('?').next().unwrap().to_owned(),
        ticket["file_url"].as_str().unwrap().replace("/uploads/", "/put/").replace(".bin", ""),
    ] {
        let status = server.client.put(&changed).body(picture(16, 16)).send().await.unwrap().status();
        assert!([404, 405].contains(&status.as_u16()), "{changed}: {status}");
    }
    assert_eq!(server.client.put(upload).body(picture(16, 16)).send().await.unwrap().status(), 200);
    let file = server.client.get(ticket["file_url"].as_str().unwrap()).send().await.unwrap();
    let header = |name: &str| file.headers()[name].to_str().unwrap().to_owned();
    assert_eq!((header("content-type"), header("x-content-type-options")), ("image/png".into(), "nosniff".into()));
    assert!(header("content-security-policy").contains("sandbox"));
}

#[tokio::test]
async fn two_who_send_to_one_ticket_leave_the_picture_of_the_one_that_was_taken() {
    let server = Server::without_workers().await;
    for _ in 0..10 {
        let (_, ticket) = server.post("/storage/upload/initiate", &json!({})).await;
        let mut sends = tokio::task::JoinSet::new();
        for side in [900, 950, 1000, 1050] {
            let put = server.client.put(ticket["upload_url"].as_str().unwrap()).body(picture(side, 40));
            sends.spawn(async move { (side, put.send().await.unwrap().status().as_u16()) });
        }
        let mut taken = Vec::new();
        while let Some(sent) = sends.join_next().await {
            let (side, status) = sent.unwrap();
            assert!([200, 404].contains(&status), "{status}");
            taken.extend((status == 200).then_some(side));
        }
        assert_eq!(taken.len(), 1, "{taken:?}");
        let file = server.client.get(ticket["file_url"].as_str().unwrap()).send().await.unwrap();
        assert!(file.bytes().await.unwrap() == picture(taken[0], 40), "another picture than the one that was taken");
    }
}
