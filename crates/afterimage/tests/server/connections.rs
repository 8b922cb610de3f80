//! Connections meant to do harm: slow ones, many, and those that two parsers would read differently.

use crate::hostile::raw;
use crate::support::{KEY, REDUX, Server};
use crate::waiting::until;
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

/// A server that gives connections little time.
async fn impatient() -> Server {
    Server::start(|options| {
        options.connections.header_time = Duration::from_millis(1500);
        options.connections.stalled_time = Duration::from_millis(1500);
    })
    .await
}

pub async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap()
}

/// Whether the other side closes within `time`; what it says before is skipped.
pub async fn closes_within(stream: &mut TcpStream, time: Duration) -> bool {
    let mut bytes = [0; 4096];
    let reading = async { while matches!(stream.read(&mut bytes).await, Ok(count) if count > 0) {} };
    timeout(time, reading).await.is_ok()
}

/// Others are answered, and soon.
pub async fn answers_others(server: &Server) {
    let answer = timeout(Duration::from_secs(5), server.get("/healthz")).await.expect("others wait");
    assert_eq!(answer.0, 200);
}

#[tokio::test]
async fn connections_that_never_become_a_request_end() {
    let server = impatient().await;
    let half_preface = b"PRI * HTTP/2.0\r\n\r\n".as_slice();
    let mut streams = Vec::new();
    for start in [b"".as_slice(), half_preface, b"G", b"GET /healthz HTTP/1.1\r\nHost: h\r\n"] {
        for _ in 0..50 {
            let mut stream = connect(&server).await;
            stream.write_all(start).await.unwrap();
            streams.push((start, stream));
        }
    }
    answers_others(&server).await;
    for (start, stream) in &mut streams {
        let closed = closes_within(stream, Duration::from_secs(10)).await;
        assert!(closed, "still open after {:?}", String::from_utf8_lossy(start));
    }
}

#[tokio::test]
async fn headers_that_trickle_and_kept_connections_without_a_request_end() {
    let server = impatient().await;
    let mut kept = connect(&server).await;
    kept.write_all(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    kept.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let mut trickling = connect(&server).await;
    trickling.write_all(b"GET /healthz HTTP/1.1\r\n").await.unwrap();
    let start = Instant::now();
    while trickling.write_all(b"X-Y: z\r\n").await.is_ok() {
        assert!(start.elapsed() < Duration::from_secs(10), "headers may trickle for ever");
        // Real time: the pace of a sender that trickles.
        sleep(Duration::from_millis(100)).await;
    }
    assert!(closes_within(&mut kept, Duration::from_secs(10)).await);
    answers_others(&server).await;
}

#[tokio::test]
async fn a_body_that_trickles_ends() {
    let server = Server::without_workers().await;
    let mut stream = connect(&server).await;
    let head =
        format!("POST {REDUX} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {KEY}\r\nContent-Length: 1000\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = stream.into_split();
    let start = Instant::now();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b" ").await.is_ok() {
            // Real time: the pace of a sender that trickles.
            sleep(Duration::from_millis(300)).await;
        }
    });
    let mut answer = vec![0; 12];
    // 20 seconds are given to a body of any size.
    timeout(Duration::from_secs(40), reading.read_exact(&mut answer)).await.expect("waits for ever").unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 408");
    assert!(start.elapsed() > Duration::from_secs(15));
    trickle.abort();
    answers_others(&server).await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_is_given_up() {
    const REQUESTS: usize = 4000;
    let server = impatient().await;
    let page = server.client.get(format!("{}/openapi.json", server.url)).send().await.unwrap().text().await.unwrap();
    let mut stream = connect(&server).await;
    // More than all buffers on the way hold.
    let requests = b"GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n".repeat(REQUESTS);
    assert!(page.len() * REQUESTS > 64 << 20, "{}", page.len());
    let _ = timeout(Duration::from_secs(5), stream.write_all(&requests)).await;
    // Nothing is taken of the answers until the server has closed, which a sender hears of.
    let is_closed = async || stream.try_write(b" ").is_err_and(|error| error.kind() != ErrorKind::WouldBlock);
    until("the server closes", Duration::from_secs(20), is_closed).await;
    let mut bytes = vec![0; 1 << 16];
    let mut taken = 0;
    let rest = async {
        while let Ok(count @ 1..) = stream.read(&mut bytes).await {
            taken += count;
        }
    };
    timeout(Duration::from_secs(30), rest).await.expect("the connection is kept for ever");
    assert!(taken < page.len() * REQUESTS, "everything was waited for");
    answers_others(&server).await;
}

#[tokio::test]
async fn connections_are_counted_and_places_become_free() {
    let server = Server::start(|options| {
        options.connections.total = 30;
        // Longer than a busy machine may take for the next two loops.
        options.connections.header_time = Duration::from_secs(12);
    })
    .await;
    // Counted by tasks of their own, so any five of these may be those too many.
    let mut idle = Vec::new();
    for _ in 0..35 {
        idle.push(connect(&server).await);
    }
    let start = Instant::now();
    while idle.len() > 30 && start.elapsed() < Duration::from_secs(8) {
        // Every one is looked at, so that those refused beyond five show, too.
        let mut open = Vec::new();
        for mut stream in idle {
            if !closes_within(&mut stream, Duration::from_millis(50)).await {
                open.push(stream);
            }
        }
        idle = open;
    }
    assert_eq!(idle.len(), 30, "connections too many were let in, or too few");
    for stream in &mut idle {
        assert!(closes_within(stream, Duration::from_secs(30)).await);
    }
    answers_others(&server).await;
}

const SMUGGLED: &str = "GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n";

/// A request with a key, this framing and this body, then another request for whoever sees its end there.
fn pair(framing: &str, body: &str) -> String {
    format!("POST {REDUX} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {KEY}\r\n{framing}\r\n\r\n{body}{SMUGGLED}")
}

#[tokio::test]
async fn two_framings_of_one_request_never_give_two_answers() {
    let server = Server::without_workers().await;
    let whole = 5 + SMUGGLED.len();
    let mut tried = 0;
    for framing in [
        format!("Content-Length: {whole}\r\nTransfer-Encoding: chunked"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {whole}"),
        "Content-Length: 0\r\nTransfer-Encoding: chunked".to_owned(),
        "Content-Length: 5\r\nContent-Length: 0".to_owned(),
        "Content-Length: 5, 0".to_owned(),
        "Content-Length: 5,5".to_owned(),
        "Content-Length: 0x5".to_owned(),
        "Content-Length: -0".to_owned(),
        "Content-Length: 5 0".to_owned(),
        "Content-Length: 18446744073709551621".to_owned(),
        "Content-Length : 5".to_owned(),
        "Content-Length\t: 5".to_owned(),
        "Transfer-Encoding : chunked".to_owned(),
        "Transfer-Encoding: \x0bchunked".to_owned(),
        "Transfer-Encoding: chunked\0".to_owned(),
        "Transfer-Encoding: chunkedx".to_owned(),
        "Transfer-Encoding: xchunked".to_owned(),
        "Transfer-Encoding: chunked, identity".to_owned(),
        "Transfer-Encoding: identity, chunked".to_owned(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity".to_owned(),
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked".to_owned(),
        "Transfer-Encoding:\r\n chunked".to_owned(),
        "Transfer-Encoding: \"chunked\"".to_owned(),
        "transfer_encoding: chunked\r\nContent-Length: -5".to_owned(),
        "X: y\nTransfer-Encoding: chunked".to_owned(),
        "X: y\rTransfer-Encoding: chunked".to_owned(),
        "\r Transfer-Encoding: chunked".to_owned(),
        " Transfer-Encoding: chunked".to_owned(),
        "Transfer-Encoding: CHUNKED\r\nContent-Length: 3".to_owned(),
    ] {
        let answer = raw(&server, pair(&framing, "0\r\n\r\n").as_bytes()).await;
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{framing:?}: {answer}");
        assert!(!answer.contains("HTTP/1.1 200"), "{framing:?}: {answer}");
        tried += 1;
    }
    assert_eq!(tried, 29);
    // The first bytes of HTTP/1.0 and nothing that it knows of chunks.
    let old = pair("Transfer-Encoding: chunked", "0\r\n\r\n").replacen("HTTP/1.1", "HTTP/1.0", 1);
    let answer = raw(&server, old.as_bytes()).await;
    assert!(answer.matches("HTTP/1.").count() <= 1 && !answer.contains(" 200 "), "{answer}");
    answers_others(&server).await;
}

#[tokio::test]
async fn chunks_of_odd_sizes_never_give_two_answers() {
    let server = Server::without_workers().await;
    for body in [
        "0\r\n\r\n",
        "0\n\n",
        "0\r\r\n\r\n",
        "00000000000000000000\r\n\r\n",
        "10000000000000000\r\n\r\n",
        "fffffffffffffffe\r\n{}\r\n0\r\n\r\n",
        "-0\r\n\r\n",
        "+2\r\n{}\r\n0\r\n\r\n",
        "0x2\r\n{}\r\n0\r\n\r\n",
        "2 \r\n{}\r\n0\r\n\r\n",
        " 2\r\n{}\r\n0\r\n\r\n",
        "2;a=\"\r\n\"\r\n{}\r\n0\r\n\r\n",
        "2;\n{}\r\n0\r\n\r\n",
        "2\r\n{}XX0\r\n\r\n",
        "2\r\n{}0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "0\r\nContent-Length: 5\r\n\r\n",
        "0\r\nTransfer-Encoding: chunked\r\n\r\n",
    ] {
        let answer = raw(&server, pair("Transfer-Encoding: chunked", body).as_bytes()).await;
        assert!(answer.matches("HTTP/1.1 ").count() <= 1, "{body:?}: {answer}");
        assert!(!answer.contains("HTTP/1.1 200"), "{body:?}: {answer}");
    }
    // The size of every chunk may come with an extension, and the extensions of one body end somewhere.
    let extended = format!("1;{}\r\n \r\n", "x".repeat(4000)).repeat(50) + "0\r\n\r\n";
    let answer = raw(&server, pair("Transfer-Encoding: chunked", &extended).as_bytes()).await;
    assert!(answer.matches("HTTP/1.1 ").count() <= 1 && !answer.contains("HTTP/1.1 200"), "{answer}");
    answers_others(&server).await;
}

#[tokio::test]
async fn a_request_in_chunks_is_answered_and_ends_its_connection() {
    let server = Server::without_workers().await;
    let body = "2\r\n{}\r\n0\r\n\r\n";
    let answer = raw(&server, pair("Transfer-Encoding: chunked", body).as_bytes()).await.to_lowercase();
    // The empty object lacks its picture: the body was read.
    assert!(answer.starts_with("http/1.1 400") && answer.contains("image: "), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    // With a length, the next request of the connection is answered as ever.
    let both = raw(&server, pair("Content-Length: 2", "{}").as_bytes()).await;
    assert_eq!(both.matches("HTTP/1.1 ").count(), 2, "{both}");
}

#[tokio::test]
async fn a_boundary_of_any_length_is_refused_or_cut_off() {
    let server = Server::without_workers().await;
    for (length, most) in [(71, "400"), (60_000, "400"), (1 << 20, "431")] {
        let boundary = "b".repeat(length);
        let part =
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n1\r\n--{boundary}--\r\n");
        let request = format!(
            "POST /api/v3/media/upload/binary HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {KEY}\r\nContent-Type: \
             multipart/form-data; boundary={boundary}\r\nContent-Length: {}\r\n\r\n{part}",
            part.len()
        );
        let answer = raw(&server, request.as_bytes()).await;
        // A sender cut off in the middle of its headers may see no more than that.
        let cut_off = length > 64 << 10 && answer.is_empty();
        assert!(cut_off || answer.starts_with(&format!("HTTP/1.1 {most}")), "{length}: {answer}");
    }
    answers_others(&server).await;
}
