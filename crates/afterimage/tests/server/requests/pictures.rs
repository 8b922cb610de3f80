//! Pictures by address and inlined, as hosts serve and clients write them.

use super::{first_picture, post_json};
use crate::support::{REDUX, Server, data_uri, picture};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// A host of pictures: its address, and the targets it was asked for. `/hops/N` redirects N times; `/coding/WORD` answers
/// under that coding.
async fn host() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let targets = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&targets);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.windows(4).any(|window| window == b"\r\n\r\n") && stream.read_buf(&mut head).await.unwrap() > 0
            {
            }
            let target = String::from_utf8_lossy(&head).split(' ').nth(1).unwrap_or_default().to_owned();
            log.lock().unwrap().push(target.clone());
            let body = picture(48, 48);
            let answer = match (target.strip_prefix("/hops/").map(str::parse::<u32>), target.strip_prefix("/coding/")) {
                (Some(Ok(hops @ 1..)), _) => format!("302 Found\r\nLocation: /hops/{}\r\nContent-Length: 0", hops - 1),
                (_, Some(coding)) => format!(
                    "200 OK\r\nContent-Encoding: {}\r\nContent-Length: {}",
                    coding.replace("%20", " "),
                    body.len()
                ),
                _ => format!("200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}", body.len()),
            };
            let body = if answer.starts_with("302") { Vec::new() } else { body };
            let head = format!("HTTP/1.1 {answer}\r\nConnection: close\r\n\r\n");
            let _ = stream.write_all(&[head.as_bytes(), &body].concat()).await;
            let _ = stream.shutdown().await;
        }
    });
    (address, targets)
}

async fn open_server() -> Server {
    Server::start(|options| (options.workers, options.allow_private_networks) = (1, true)).await
}

fn small(image: &str) -> Value {
    json!({
        "image": image, "size": "256*256", "num_inference_steps": 1, "seed": 1, "output_format": "png",
        "enable_sync_mode": true,
    })
}

#[tokio::test]
async fn addresses_are_encoded_as_browsers_do_and_five_redirects_are_followed() {
    let server = open_server().await;
    let (host, targets) = host().await;
    for (path, expected) in [
        ("/my pictures/a b.png", "/my%20pictures/a%20b.png"),
        ("/b\u{fc}cher/\u{1f600}.png?q=\u{e4} b", "/b%C3%BCcher/%F0%9F%98%80.png?q=%C3%A4%20b"),
        ("/\"a\"<b>|{c}.png", "/%22a%22%3Cb%3E|%7Bc%7D.png"),
        ("/already%20encoded%2F.png", "/already%20encoded%2F.png"),
        ("/hops/5", "/hops/0"),
    ] {
        let (status, made) = post_json(&server, REDUX, &small(&format!("{host}{path}"))).await;
        assert_eq!((status, &made["data"]["status"]), (200, &json!("completed")), "{path}: {made}");
        assert_eq!(targets.lock().unwrap().last().map(String::as_str), Some(expected));
    }
    let (_, made) = post_json(&server, REDUX, &small(&format!("{host}/hops/6"))).await;
    assert_eq!(made["data"]["status"], "failed", "{made}");
    assert!(made["data"]["error"].as_str().unwrap().contains("redirects more than 5 times"), "{made}");
    for bad in ["http://exa mple.com/a.png", "http://127.0.0.1\\@example.com/", "http://exam\tple.com/"] {
        let (status, refused) = post_json(&server, REDUX, &small(bad)).await;
        assert_eq!(status, 400, "{bad}: {refused}");
    }
}

#[tokio::test]
async fn codings_that_say_nothing_are_ignored() {
    let server = open_server().await;
    let (host, _) = host().await;
    for coding in ["UTF-8", "", "none", "binary", "aws-chunked", "identity", "gzip"] {
        let (status, made) = post_json(&server, REDUX, &small(&format!("{host}/coding/{coding}"))).await;
        assert_eq!((status, &made["data"]["status"]), (200, &json!("completed")), "{coding:?}: {made}");
    }
}

#[tokio::test]
async fn the_content_of_a_data_uri_decides() {
    let server = Server::with_worker().await;
    let png = picture(48, 48);
    let (_, made) = post_json(&server, REDUX, &small(&data_uri(&png))).await;
    let expected = first_picture(&server, &made).await;
    let base64 = STANDARD.encode(&png);
    for header in [
        "binary/octet-stream;base64",
        "application/octet-stream;base64",
        "text/plain;charset=utf-8;base64",
        "image/jpeg;base64",
        "IMAGE/PNG;BASE64",
        "image/png;base64;name=a.png",
        "image/png;name=\"a.png\";Base64;charset=US-ASCII",
        " image/png ; base64 ",
        "image/svg+xml;base64",
        ";base64",
        "base64",
    ] {
        let (status, made) = post_json(&server, REDUX, &small(&format!("data:{header},{base64}"))).await;
        assert_eq!(status, 200, "{header}: {made}");
        assert!(first_picture(&server, &made).await == expected, "{header}");
    }
    for uri in [
        format!("data:image/png;base64,{}", STANDARD.encode(b"<svg xmlns='http://www.w3.org/2000/svg'/>")),
        "data:image/png,plain".to_owned(),
        format!("data:image/png,{base64}"),
    ] {
        let (status, refused) = post_json(&server, REDUX, &small(&uri)).await;
        assert_eq!(status, 400, "{uri:.60}: {refused}");
    }
}
