//! Who comes in, how fast, and with how much: keys and guesses, proxies, bodies, paths.

use crate::isolation::second_key;
use crate::support::{KEY, REDUX, SRPO, Server, answer, data_uri, picture};
use crate::waiting::eventually;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::{Method, Response};
use serde_json::json;
use std::io::Write;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LIST: &str = "/api/v3/predictions";

/// Status of a request with `key` that a proxy says came from `client`.
async fn status_from(server: &Server, key: &str, client: Option<&str>) -> u16 {
    let mut request = server.client.get(format!("{}/api/v3/balance", server.url)).bearer_auth(key);
    if let Some(client) = client {
        request = request.header("x-forwarded-for", client);
    }
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_valid_key_passes_whatever_its_address_guesses() {
    let server = Server::without_workers().await;
    for guess in 0..30 {
        assert_eq!(status_from(&server, &format!("wrong-{guess}"), None).await, 401);
    }
    // Without trusted proxies the header changes nothing.
    assert_eq!(status_from(&server, "wrong-x", Some("1.1.1.1")).await, 429);
    for key in [KEY.to_owned(), second_key(&server).await] {
        assert_eq!(status_from(&server, &key, None).await, 200, "never used before");
    }
    assert_eq!(status_from(&server, "wrong-y", None).await, 429);
}

#[tokio::test]
async fn behind_a_trusted_proxy_clients_are_told_apart() {
    let server = Server::start(|options| options.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()]).await;
    for guess in 0..30 {
        // What stands in front of the proxy's own word is made up.
        let from = format!("9.9.9.{guess}, 2600:1:2:3::{guess}");
        assert_eq!(status_from(&server, &format!("wrong-{guess}"), Some(&from)).await, 401);
    }
    assert_eq!(status_from(&server, "wrong", Some("2600:1:2:3:4::1")).await, 429, "the same network");
    assert_eq!(status_from(&server, "wrong", Some("2600:1:2:4::1")).await, 401);
    assert_eq!(status_from(&server, "wrong", None).await, 401);
    let forwarded = server.client.get(format!("{}/api/v3/balance", server.url)).bearer_auth("wrong");
    let forwarded = forwarded.header("forwarded", "for=\"[2600:1:2:3::7]:99\"").send().await.unwrap();
    assert_eq!(forwarded.status(), 429);
    assert_eq!(status_from(&server, KEY, Some("2600:1:2:3::1")).await, 200);
}

#[tokio::test]
async fn slashes_too_many_are_none() {
    let server = Server::without_workers().await;
    for path in ["//healthz", "/healthz/", "/docs/", "/api/v3//models", "//v1///models//", "/v1/openai/models/"] {
        assert_eq!(server.request(Method::GET, path).send().await.unwrap().status(), 200, "{path}");
    }
    let body = json!({"image": data_uri(&picture(32, 32))});
    let (status, answer) = server.post("/api//v3/wavespeed-ai//flux-redux-dev/", &body).await;
    assert_eq!(status, 200, "{answer}");
    let id = answer["data"]["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/api/v3/predictions//{id}/result/")).await.0, 200);
    let body = json!({"image_url": data_uri(&picture(32, 32))});
    let (status, answer) = server.post("/queue//fal-ai/flux-1//dev/redux/", &body).await;
    assert_eq!(status, 200, "{answer}");
    let id = answer["request_id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/queue/fal-ai/flux-1//requests/{id}/status/?logs=1")).await.0, 202);
    for path in ["/tokens", "/tokens/", "//tokens//"] {
        assert_eq!(server.post(path, &json!({"allowed_apps": ["flux-1"]})).await.0, 200, "{path}");
    }
    let file = server.upload(&picture(40, 30)).await;
    let doubled = file.replace("/media/uploads/", "//media//uploads/");
    assert_eq!(server.client.get(doubled).send().await.unwrap().status(), 200);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn packed(server: &Server, path: &str, coding: &str, body: Vec<u8>) -> Response {
    server.request(Method::POST, path).header("content-encoding", coding).body(body).send().await.unwrap()
}

#[tokio::test]
async fn packed_bodies_are_read_and_marks_skipped() {
    let server = Server::without_workers().await;
    let body = json!({"image": data_uri(&picture(32, 32)), "ids": []}).to_string().into_bytes();
    for path in [REDUX, LIST, "/api/v3/predictions/delete"] {
        assert_eq!(packed(&server, path, "gzip", gzip(&body)).await.status(), 200, "{path}");
    }
    let hello = hex::decode("0b028068656c6c6f03").unwrap();
    for (coding, bytes, expected) in [
        ("identity", body.clone(), 200),
        ("GZIP", gzip(&body), 200),
        ("gzip", body.clone(), 400),
        // "hello" is read, and is no object.
        ("br", hello, 400),
        ("zstd", b"\x28\xb5\x2f\xfd\x20\x02\x11\x00\x00{}".to_vec(), 200),
        ("deflate", body.clone(), 415),
        ("gzip, gzip", gzip(&gzip(&body)), 415),
        ("utf-8", body.clone(), 415),
    ] {
        let response = packed(&server, LIST, coding, bytes).await;
        assert_eq!(response.status(), expected, "{coding}");
        if expected == 415 {
            assert!(response.headers()["accept-encoding"].to_str().unwrap().contains("gzip"));
            assert!(answer(response).await.1["message"].as_str().unwrap().contains("Content-Encoding"));
        }
    }
    // The limit is that of what comes out.
    let bomb = gzip(&vec![b' '; (80 << 20) + 1]);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(packed(&server, REDUX, "gzip", bomb).await.status(), 413);
    let marked = [b"\xef\xbb\xbf", &body[..]].concat();
    assert_eq!(server.request(Method::POST, REDUX).body(marked).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn pages_may_ask_for_the_private_network() {
    let server = Server::without_workers().await;
    let preflight = async |asks: bool| {
        let mut request = server.client.request(Method::OPTIONS, format!("{}{REDUX}", server.url));
        request = request.header("origin", "https://page.example").header("access-control-request-method", "POST");
        if asks {
            request = request.header("access-control-request-private-network", "true");
        }
        let response = request.send().await.unwrap();
        response.headers().get("access-control-allow-private-network").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(preflight(true).await.as_deref(), Some("true"));
    assert_eq!(preflight(false).await, None);
}

#[tokio::test]
async fn traffic_is_told_to_whom_it_belongs_to() {
    let server = Server::without_workers().await;
    let other = second_key(&server).await;
    let remaining = async |key: &str| {
        let request = server.client.get(format!("{}/v1/models", server.url)).bearer_auth(key);
        let response = request.send().await.unwrap();
        response.headers().get("x-ratelimit-remaining-requests").map(|value| value.to_str().unwrap().to_owned())
    };
    // Nobody works, so these stay open.
    let form = "--b\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\n".to_owned()
        + &data_uri(&picture(32, 32))
        + "\r\n--b--\r\n";
    let mut open = Vec::new();
    for _ in 0..3 {
        let request = server.request(Method::POST, "/v1/images/variations");
        let request = request.header("content-type", "multipart/form-data; boundary=b").body(form.clone());
        open.push(tokio::spawn(request.send()));
    }
    eventually(Duration::from_secs(20), async || match remaining(KEY).await {
        Some(count) if count == "196" => Ok(()),
        count => Err(format!("{count:?}")),
    })
    .await;
    assert_eq!(remaining(&other).await.as_deref(), Some("199"));
    assert_eq!(remaining("wrong-key").await, None);
    for request in open {
        request.abort();
    }
}

#[tokio::test]
async fn json_without_pictures_is_small_and_trees_are_bounded() {
    let server = Server::without_workers().await;
    let send = async |path: &str, body: String| {
        answer(server.request(Method::POST, path).body(body).send().await.unwrap()).await
    };
    for path in [LIST, "/api/v3/predictions/delete", "/tokens/", "/storage/upload/initiate", "/api/v3/media/uploads"] {
        let body = format!("{{\"x\": \"{}\"}}", "y".repeat(1 << 20));
        // What is left of it is not read, which some see as a broken connection.
        if let Ok(response) = server.request(Method::POST, path).body(body).send().await {
            assert_eq!(response.status(), 413, "{path}");
        }
    }
    let maps = format!("[{}0]", "{\"\":0},".repeat(10_000));
    let picture = data_uri(&picture(32, 32));
    // What nobody asks for is skipped; what is asked for is not built when it is too much.
    let (status, body) = send(SRPO, format!("{{\"prompt\": \"p\", \"image\": \"{picture}\", \"x\": {maps}}}")).await;
    assert_eq!(status, 200, "{body}");
    for (path, body) in [
        (SRPO, format!("{{\"prompt\": {maps}}}")),
        ("/fal-ai/flux-1/dev/redux", format!("{{\"image_url\": \"{picture}\", \"image_size\": {maps}}}")),
        ("/v1/inference/black-forest-labs/FLUX-1-Redux-dev", format!("{{\"image\": {maps}}}")),
        ("/api/v3/model/price", format!("{{\"model_id\": \"x\", \"inputs\": {maps}}}")),
        ("/api/v3/predictions/delete", format!("{{\"ids\": {maps}}}")),
    ] {
        let (status, body) = send(path, body).await;
        // The native form of DeepInfra says 422 to whatever is wrong with a request.
        let expected = if path.starts_with("/v1/inference/") { 422 } else { 400 };
        assert_eq!(status, expected, "{path}: {body}");
    }
}

/// Sends the head of a request, 1 MiB and a little of its body, and then nothing.
async fn stalled(server: &Server, path: &str, declared: usize) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let head =
        format!("POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-length: {declared}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(&vec![b' '; (1 << 20) + 4]).await.unwrap();
    stream
}

#[tokio::test]
async fn idle_bodies_of_one_key_hold_up_no_other_and_end_soon() {
    let server = Server::without_workers().await;
    let other = second_key(&server).await;
    let start = Instant::now();
    let mut idle = Vec::new();
    for declared in [314_572_800, 314_572_800, 40 << 20] {
        idle.push(stalled(&server, "/files/upload", declared).await);
    }
    // Real time: nothing tells how far the server has read bodies that are not complete.
    tokio::time::sleep(Duration::from_millis(300)).await;
    // Three mebibytes; what follows a picture's end is no error.
    let file = [picture(64, 64), vec![7; 3 << 20]].concat();
    let upload = server.client.post(format!("{}/files/upload", server.url)).bearer_auth(&other).body(file);
    assert_eq!(upload.send().await.unwrap().status(), 200);
    assert!(start.elapsed() < Duration::from_secs(5), "the others were waited for: {:?}", start.elapsed());
    for stream in &mut idle {
        let mut answer = vec![0; 400];
        let read = tokio::time::timeout(Duration::from_secs(30), stream.read(&mut answer)).await.unwrap().unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).into_owned();
        // The second waits for the first of its own key.
        assert!(answer.starts_with("HTTP/1.1 408 ") || answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
    assert!(start.elapsed() < Duration::from_secs(40));
}
