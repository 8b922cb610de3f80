//! Requests meant to do harm.

use crate::support::{KEY, REDUX, Server, answer, data_uri, picture};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

#[tokio::test]
async fn addresses_inside_the_network_are_refused_in_every_spelling() {
    let server = Server::without_workers().await;
    let mut messages = std::collections::BTreeSet::new();
    for host in [
        "127.0.0.1",
        "127.255.255.255",
        "127.1",
        "0.0.0.0",
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "10.0.0.1",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "100.127.255.254",
        "255.255.255.255",
        "224.0.0.1",
        "[fd00::1]",
        "[fe80::1]",
        "[64:ff9b::a00:1]",
        "[2002:a00:1::1]",
        "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    ] {
        let (status, answer) = server.post(REDUX, &json!({"image": format!("http://{host}/a.png")})).await;
        assert_eq!(status, 400, "{host}: {answer}");
        messages.insert(answer["message"].as_str().unwrap().to_owned());
    }
    // One message for all: which of them has something listening is not to be learnt here.
    assert_eq!(messages.len(), 1, "{messages:?}");
    for host in ["100.63.255.254", "100.128.0.1", "[64:ff9c::1]", "8.8.8.8"] {
        let (status, answer) = server.post(REDUX, &json!({"image": format!("http://{host}/a.png")})).await;
        assert_eq!(status, 200, "{host}: {answer}");
    }
    for text in [
        r"http://good.example\@10.0.0.1/",
        "http://good.example#@10.0.0.1",
        "http://user@good.example@10.0.0.1",
        "http://user:pass@good.example/a.png",
        "http://10.0.0.1%00.good.example/",
        "http://good\t.example/",
        "http://good\n.example/",
        "http:///a.png",
        "http://",
        "://good.example",
        "javascript://good.example/%0aalert(1)",
    ] {
        let (status, answer) = server.post(REDUX, &json!({"image": text})).await;
        // What two parsers read alike is no problem; the fragment is one of these.
        let harmless = text.contains('#');
        assert!(status == 400 || harmless, "{text}: {status} {answer}");
    }
}

#[tokio::test]
async fn names_of_this_machine_fail_the_task_with_the_same_words() {
    let server = Server::with_worker().await;
    let mut errors = std::collections::BTreeSet::new();
    let own_port = server.url.rsplit(':').next().unwrap().to_owned();
    for host in [format!("localhost:{own_port}"), "localhost:1".to_owned(), "LOCALHOST.".to_owned()] {
        let body = json!({"image": format!("http://{host}/healthz"), "size": "256*256", "num_inference_steps": 1});
        let task = server.ended(&server.submit(REDUX, &body).await).await;
        assert_eq!((&task["status"], &task["code"]), (&json!("failed"), &json!(1402)), "{task}");
        errors.insert(task["error"].as_str().unwrap().to_owned());
    }
    assert_eq!(errors.len(), 1, "{errors:?}");
}

#[tokio::test]
async fn pictures_of_every_odd_kind_are_taken_or_refused_but_never_kill_anything() {
    let server = Server::without_workers().await;
    let whole = picture(64, 64);
    let mut header_bomb = whole.clone();
    header_bomb[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
    let polyglot = [b"GIF89a/*".as_slice(), b"*/=1;alert(1)//"].concat();
    for (name, bytes, accepted) in [
        ("1x1", picture(1, 1), true),
        ("1x3000", picture(1, 3000), true),
        ("odd and prime", picture(127, 61), true),
        ("trailing junk", [whole.clone(), b"<script>alert(1)</script>".to_vec()].concat(), true),
        ("header of 65535x65535", header_bomb, false),
        ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec(), false),
        ("html", b"<!doctype html><script>alert(1)</script>".to_vec(), false),
        ("gif and script", polyglot, false),
        ("pdf", b"%PDF-1.7 \xff\xd8\xff".to_vec(), false),
        ("empty", Vec::new(), false),
    ] {
        let (status, answer) = server.upload_form("file", "a.png", &bytes).await;
        assert_eq!(status == 200, accepted, "{name}: {status} {answer}");
        assert!(status == 200 || status == 400, "{name}: {status} {answer}");
    }
    for length in (0..whole.len()).step_by(whole.len() / 12) {
        assert_eq!(server.upload_form("file", "a.png", &whole[..length]).await.0, 400, "{length} bytes");
    }
    assert_eq!(server.get("/api/v3/balance").await.0, 200);
}

#[tokio::test]
async fn file_names_are_labels_and_never_paths() {
    let server = Server::without_workers().await;
    for name in ["../../x.html", "/etc/passwd", "C:\\\\x", "x.svg", &"n".repeat(4096), "a\u{202e}gnp.exe"] {
        let (status, answer) = server.upload_form("file", name, &picture(16, 16)).await;
        assert_eq!(status, 200, "{name}: {answer}");
        let address = answer["data"]["download_url"].as_str().unwrap();
        assert!(address.contains(".png?"), "{address}");
        assert!(answer["data"]["filename"].as_str().unwrap().chars().count() <= 200);
    }
    let outside: Vec<_> =
        std::fs::read_dir(server.folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(outside, ["data"]);
}

#[tokio::test]
async fn multipart_bodies_out_of_order_are_refused() {
    let server = Server::without_workers().await;
    let (status, answer) = server.upload_form("picture", "a.png", &picture(16, 16)).await;
    assert_eq!(status, 400);
    assert!(answer["message"].as_str().unwrap().starts_with("file: "), "{answer}");
    let send = async |content_type: &str, body: Vec<u8>| {
        let request = server.request(Method::POST, "/api/v3/media/upload/binary").header("content-type", content_type);
        crate::support::answer(request.body(body).send().await.unwrap()).await
    };
    let part = b"--b\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n1\r\n";
    for (content_type, body) in [
        ("application/json", b"{}".to_vec()),
        ("multipart/form-data", part.to_vec()),
        ("multipart/form-data; boundary=b", part.to_vec()),
        ("multipart/form-data; boundary=b", part.repeat(10_000)),
        ("multipart/form-data; boundary=b", Vec::new()),
    ] {
        let (status, answer) = send(content_type, body).await;
        assert_eq!(status, 400, "{content_type}: {answer}");
    }
}

/// What the server answers to raw bytes, until it closes or falls silent.
pub async fn raw(server: &Server, bytes: &[u8]) -> String {
    let address = server.url.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The server may answer and close before everything is sent.
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(Ok(count)) = tokio::time::timeout(Duration::from_millis(700), stream.read(&mut buffer)).await {
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..count]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_without_reading_on() {
    let server = Server::without_workers().await;
    let head = format!("POST {REDUX} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {KEY}\r\n");
    let start = Instant::now();
    let declared = raw(&server, format!("{head}Content-Length: 90000000\r\n\r\n{{").as_bytes()).await;
    assert!(declared.starts_with("HTTP/1.1 413"), "{declared}");
    assert!(declared.contains(r#"{"code":413"#), "{declared}");
    assert!(start.elapsed() < Duration::from_secs(3));
    let upload = head.replace(REDUX, "/api/v3/media/upload/binary");
    let too_large = raw(&server, format!("{upload}Content-Length: 400000000\r\n\r\n").as_bytes()).await;
    assert!(too_large.starts_with("HTTP/1.1 413"), "{too_large}");
}

#[tokio::test]
async fn ambiguous_framing_is_refused() {
    let server = Server::without_workers().await;
    let head = format!("POST {REDUX} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {KEY}\r\n");
    for framing in [
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: 2, 3\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
    ] {
        let smuggled = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";
        let answer = raw(&server, format!("{head}{framing}\r\n{{}}{smuggled}").as_bytes()).await;
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{framing}: {answer}");
        assert!(!answer.starts_with("HTTP/1.1 200"), "{framing}: {answer}");
    }
    let huge_header = format!("{head}X: {}\r\n\r\n", "x".repeat(200_000));
    let answer = raw(&server, huge_header.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");
    assert_eq!(server.get("/healthz").await.0, 200);
}

#[tokio::test]
async fn the_host_header_decides_nothing_but_what_its_sender_sees() {
    let server = Server::start(|options| {
        options.public_url = Some(url::Url::parse("https://pictures.example/").unwrap());
    })
    .await;
    let body = json!({"image": data_uri(&picture(16, 16))});
    let request = server.request(Method::POST, REDUX).header("host", "evil.example").body(body.to_string());
    let (status, answer) = answer(request.send().await.unwrap()).await;
    assert_eq!(status, 200);
    let get = answer["data"]["urls"]["get"].as_str().unwrap();
    assert!(get.starts_with("https://pictures.example/api/v3/predictions/"), "{get}");
}

#[tokio::test]
async fn browsers_may_call_with_a_key_and_get_no_credentials_mode() {
    let server = Server::without_workers().await;
    let preflight = server
        .client
        .request(Method::OPTIONS, format!("{}{REDUX}", server.url))
        .header("origin", "null")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type")
        .send()
        .await
        .unwrap();
    assert!(preflight.status().is_success());
    let header = |name: &str| preflight.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    assert_eq!(header("access-control-allow-origin").as_deref(), Some("*"));
    assert!(header("access-control-allow-headers").unwrap().contains("authorization"));
    assert_eq!(header("access-control-allow-credentials"), None);
    // A form of another site has no key to send.
    let form = server.client.post(format!("{}{REDUX}", server.url)).header("origin", "https://evil.example");
    let form = form.header("content-type", "application/x-www-form-urlencoded").body("image=x");
    assert_eq!(form.send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn the_same_picture_many_times_at_once_is_taken_every_time() {
    let server = std::sync::Arc::new(Server::without_workers().await);
    let body = json!({"image": data_uri(&picture(600, 600)), "seed": 1});
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (server, body) = (std::sync::Arc::clone(&server), body.clone());
        tasks.spawn(async move { server.post(REDUX, &body).await.0 });
    }
    while let Some(status) = tasks.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
}

#[tokio::test]
async fn operators_routes_are_not_on_the_public_listener() {
    let server = Server::without_workers().await;
    for path in ["/metrics", "/debug/pprof", "/admin"] {
        assert_eq!(server.get(path).await.0, 404, "{path}");
    }
    let page = server.client.get(&server.url).send().await.unwrap();
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("script-src 'self'") && policy.contains("frame-ancestors 'none'"), "{policy}");
    assert!(!page.text().await.unwrap().contains(KEY));
    let document: Value = server.get("/openapi.json").await.1;
    assert_eq!(document["info"]["title"], "Afterimage");
}
