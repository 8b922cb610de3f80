//! Senders that are too slow or send too much.

use crate::requests::{up, without_workers};
use crate::server::{Installation, KEY, png};
use crate::waiting::eventually;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// The server gives a request's headers 30 seconds.
const HEADERS_WITHIN: Duration = Duration::from_secs(45);

#[tokio::test]
async fn headers_that_trickle_are_cut_off() {
    let installation = Installation::new();
    let _server = installation.start_by(without_workers(&installation));
    let client = up(&installation).await;
    let mut slow: Vec<TcpStream> = (0..20).map(|_| TcpStream::connect(&installation.address).unwrap()).collect();
    for sender in &mut slow {
        sender.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n").unwrap();
        sender.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    }
    let start = Instant::now();
    let mut number = 0;
    while !slow.is_empty() {
        assert!(start.elapsed() < HEADERS_WITHIN, "{} of 20 slow senders are still connected", slow.len());
        // Others are answered meanwhile.
        assert!(client.get("/healthz").await.unwrap().status.is_success());
        // Real time: the pace of a sender that trickles.
        tokio::time::sleep(Duration::from_secs(1)).await;
        number += 1;
        slow.retain_mut(|sender| {
            let sent = sender.write_all(format!("X-{number}: y\r\n").as_bytes());
            sent.is_ok() && !is_closed(sender)
        });
    }
}

/// Whether the other side has closed; what it said before is skipped.
fn is_closed(stream: &mut TcpStream) -> bool {
    let mut bytes = [0; 1024];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => return true,
            Ok(_) => {}
            Err(error) => return !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_without_reading_on() {
    let installation = Installation::new();
    let _server = installation.start_by(without_workers(&installation));
    up(&installation).await;
    for (path, limit) in
        [("/api/v3/wavespeed-ai/flux-redux-dev", 80_u64 << 20), ("/api/v3/media/upload/binary", 300 << 20)]
    {
        let declared = format!("content-length: {}\r\n\r\n", limit + 1);
        let (answer, sent) = send_endlessly(&installation.address, path, &declared, limit);
        assert!(answer.starts_with("HTTP/1.1 413 "), "{path}: {answer}");
        // What fits into the buffers on the way may have been sent before the answer was seen.
        assert!(sent < 32 << 20, "{path}: {sent} bytes were taken");
    }
    // An undeclared length shows only on the way.
    let chunked = "transfer-encoding: chunked\r\n\r\n";
    let limit = 80 << 20;
    let (answer, sent) = send_endlessly(&installation.address, "/api/v3/wavespeed-ai/flux-redux-dev", chunked, limit);
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert!(sent < limit + (32 << 20), "{sent} bytes were taken");
}

#[tokio::test]
async fn requests_that_wait_keep_nothing_of_what_they_sent() {
    const EACH: usize = 1;
    let installation = Installation::new();
    let server = installation.start_by(without_workers(&installation));
    let client = up(&installation).await;
    // What follows a picture's end is no error.
    let file = [png(), vec![7; 40 << 20]].concat();
    let text = format!("data:image/png;base64,{}", STANDARD.encode(&file));
    let json = |body: Value| ("application/json", Bytes::from(body.to_string()));
    let form = |head: &str, content: &[u8]| {
        let head = format!("--b\r\nContent-Disposition: form-data; name=\"image\"{head}\r\n\r\n");
        let body = [head.as_bytes(), content, b"\r\n--b--\r\n"].concat();
        ("multipart/form-data; boundary=b", Bytes::from(body))
    };
    let kinds = [
        ("/fal-ai/flux-1/dev/redux", json(json!({"image_url": text}))),
        ("/api/v3/wavespeed-ai/flux-redux-dev", json(json!({"image": text, "enable_sync_mode": true}))),
        ("/v1/inference/black-forest-labs/FLUX-1-Redux-dev", json(json!({"image": text}))),
        ("/v1/images/variations", form("; filename=\"a.png\"", &file)),
        ("/v1/openai/images/variations", form("", text.as_bytes())),
    ];
    let mut waiting = JoinSet::new();
    for (path, (content_type, body)) in &kinds {
        for _ in 0..EACH {
            let request = client.http.post(format!("http://{}{path}", installation.address)).bearer_auth(KEY);
            let request = request.header("content-type", *content_type).body(body.clone());
            waiting.spawn(request.timeout(Duration::from_mins(2)).send());
        }
    }
    let all = (EACH * kinds.len()) as u64;
    eventually(Duration::from_secs(50), async || {
        // Reading so much may keep a slow machine from answering in time.
        let list = client.post("/api/v3/predictions", &json!({})).await;
        if list.is_ok_and(|list| list.body["data"]["total"] == all) {
            return Ok(());
        }
        assert!(waiting.try_join_next().is_none(), "one was refused");
        Err(format!("not all were taken: {}", installation.log()))
    })
    .await;
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    // One copy of what all of them sent would be 240 MB; an allocator keeps some of what is free.
    assert!(kibibytes < 200 << 10, "{line}");
}

/// Bytes of address space that a server needs at rest many times over.
const ADDRESS_SPACE: u64 = 3 << 30;

#[tokio::test]
async fn json_takes_no_more_memory_than_its_bytes() {
    let installation = Installation::new();
    let mut server = installation.start_by(within(ADDRESS_SPACE, &without_workers(&installation)));
    let client = up(&installation).await;
    let token = client.post("/tokens/", &json!({"allowed_apps": ["flux-1"]})).await.unwrap().body;
    let of_a_page = format!("/fal-ai/flux-1/dev/redux?fal_jwt_token={}", token.as_str().unwrap());
    // As a tree this would be 4 GB.
    let maps = [&b"["[..], &b"{\"\":0},".repeat((40 << 20) / 7), b"0]"].concat();
    for (path, field) in [
        ("/api/v3/wavespeed-ai/flux-redux-dev", "x"),
        ("/api/v3/wavespeed-ai/flux-redux-dev", "image"),
        (&of_a_page, "image_size"),
        ("/queue/fal-ai/flux-1/dev/redux", "image_url"),
        ("/v1/inference/black-forest-labs/FLUX-1-Redux-dev", "image"),
        ("/api/v3/predictions/delete", "ids"),
        ("/storage/upload/initiate", "file_name"),
    ] {
        let body = [format!("{{\"{field}\":").as_bytes(), &maps, b"}"].concat();
        let mut request = client.http.post(format!("http://{}{path}", installation.address));
        if !path.contains("fal_jwt_token") {
            request = request.bearer_auth(KEY);
        }
        let answer = request.timeout(Duration::from_mins(1)).body(body).send().await;
        // A refusal before all was sent may be seen as a broken connection.
        if let Ok(answer) = answer {
            assert!(answer.status().is_client_error(), "{path} {field}: {}", answer.status());
        }
        assert!(client.get("/healthz").await.unwrap().status.is_success(), "{path} {field}: {}", installation.log());
    }
    server.signal("-TERM");
    assert!(server.ended(Duration::from_mins(1)).await.success());
}

/// `command` with a limit on its address space.
fn within(bytes: u64, command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.arg("-c").arg(format!("ulimit -v {}; exec \"$0\" \"$@\"", bytes / 1024));
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            limited.env(name, value);
        }
    }
    limited
}

/// Sends until the other side closes or twice `limit` is reached; its answer and the bytes that it took.
fn send_endlessly(address: &str, path: &str, framing: &str, limit: u64) -> (String, u64) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\ncontent-type: text/plain\r\n{framing}"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut chunk = vec![b' '; 1 << 16];
    if framing.contains("chunked") {
        chunk.splice(..0, b"10000\r\n".iter().copied());
        chunk.extend(b"\r\n");
    }
    let reader = std::thread::spawn({
        let mut stream = stream.try_clone().unwrap();
        move || {
            let mut bytes = vec![0; 4096];
            let read = stream.read(&mut bytes).unwrap_or(0);
            String::from_utf8_lossy(&bytes[..read]).into_owned()
        }
    });
    let mut sent = 0;
    while sent < 2 * limit && !reader.is_finished() {
        if stream.write_all(&chunk).is_err() {
            break;
        }
        sent += chunk.len() as u64;
    }
    (reader.join().unwrap(), sent)
}
