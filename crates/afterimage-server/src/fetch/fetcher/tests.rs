//! Fetching against servers that misbehave.

use super::*;
use crate::fetch::testing::{Answer, Names, TestServer, no_tls, outbound_to, response};
use crate::fetch::{OutboundOptions, UrlProblem};
use crate::waiting::until;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// Begins like a PNG and goes on with zeros.
fn picture(length: usize) -> Vec<u8> {
    let mut bytes = b"\x89PNG\r\n\x1a\n".to_vec();
    bytes.resize(length, 0);
    bytes
}

fn limits() -> FetchLimits {
    FetchLimits {
        bytes: 100_000,
        total: Duration::from_millis(600),
        idle: Duration::from_millis(300),
        ..FetchLimits::default()
    }
}

/// Fetches with `server` as the only public address, under the name `good.example`.
fn fetcher_for(server: &TestServer) -> Fetcher {
    Fetcher::new(outbound_to(Names::new([("good.example", &["127.0.0.1"][..])]), &[server.address]), limits())
}

async fn fetch_answer(answer: impl Fn() -> Answer + Send + Sync + 'static) -> Result<Bytes, FetchError> {
    let server = TestServer::start(move |_, _| answer()).await;
    fetcher_for(&server).fetch_picture(&server.url("/picture")).await
}

#[tokio::test]
async fn a_picture_is_fetched_with_a_bare_request() {
    let server = TestServer::start(|_, _| response("200 OK", "", &picture(5000))).await;
    let url = format!("http://good.example:{}/a.png?x=1#y", server.port());
    assert_eq!(fetcher_for(&server).fetch_picture(&url).await.unwrap(), picture(5000));
    let received = server.received();
    let request = received.first().unwrap();
    assert!(request.head.starts_with("GET /a.png?x=1 HTTP/1.1\r\n"), "{}", request.head);
    assert_eq!(request.header("host"), Some(&*format!("good.example:{}", server.port())));
    assert_eq!(request.header("accept-encoding"), Some("identity"));
    for absent in ["referer", "cookie", "authorization"] {
        assert_eq!(request.header(absent), None);
    }
}

#[tokio::test]
async fn the_checked_address_is_the_one_connected_to() {
    let server = TestServer::start(|_, _| response("200 OK", "", &picture(100))).await;
    // Whoever asks again gets a private address.
    let names = Names::rebinding("good.example", &["127.0.0.1", "10.0.0.1"]);
    let fetcher = Fetcher::new(outbound_to(Arc::clone(&names), &[server.address]), limits());
    let url = format!("http://good.example:{}/", server.port());
    fetcher.fetch_picture(&url).await.unwrap();
    assert_eq!(names.lookups(), 1);
    assert_eq!(fetcher.fetch_picture(&url).await, Err(FetchError::Unreachable));
    assert_eq!(server.received().len(), 1);
}

#[tokio::test]
async fn redirects_are_followed_five_times() {
    let server = TestServer::start(|_, request| {
        let hops: u32 = request.head[5..6].parse().unwrap();
        if hops == 0 {
            return response("200 OK", "", &picture(100));
        }
        response("302 Found", &format!("location: /{}\r\nset-cookie: a=b\r\n", hops - 1), b"")
    })
    .await;
    let fetcher = fetcher_for(&server);
    fetcher.fetch_picture(&server.url("/5")).await.unwrap();
    assert!(server.received().iter().all(|request| request.header("cookie").is_none()));
    assert_eq!(fetcher.fetch_picture(&server.url("/6")).await, Err(FetchError::Redirects(5)));
}

#[tokio::test]
async fn redirects_to_what_must_not_be_reached_are_refused() {
    let private = TestServer::start(|_, _| response("200 OK", "", &picture(100))).await;
    let targets = [
        private.url("/"),
        format!("//127.0.0.1:{}/", private.port()),
        "http://10.0.0.1/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "gopher://good.example/".to_owned(),
        "data:image/png;base64,AAAA".to_owned(),
        "http://user:secret@good.example/".to_owned(),
        "http://".to_owned(),
    ];
    for target in targets {
        let location = format!("location: {target}\r\n");
        let answer = fetch_answer(move || response("302 Found", &location, b"")).await;
        assert_eq!(answer, Err(FetchError::Unreachable), "{target}");
    }
    assert!(private.received().is_empty());
}

#[tokio::test]
async fn an_endless_redirect_ends() {
    let answer = fetch_answer(|| response("301 Moved", "location: /picture\r\n", b"")).await;
    assert_eq!(answer, Err(FetchError::Redirects(5)));
}

#[tokio::test]
async fn nothing_tells_a_closed_port_from_a_private_address() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    let open = TestServer::start(|_, _| response("200 OK", "", &picture(100))).await;
    // The closed port may be reached, the open one may not.
    let fetcher = Fetcher::new(outbound_to(Names::new([]), &[closed]), limits());
    for url in [format!("http://{closed}/"), open.url("/"), "http://unknown.example/".to_owned()] {
        let start = Instant::now();
        let error = fetcher.fetch_picture(&url).await.unwrap_err();
        assert_eq!(error.to_string(), "the address could not be fetched", "{url}");
        assert!(start.elapsed() < Duration::from_millis(200), "{url}");
    }
    assert!(open.received().is_empty());
}

#[tokio::test]
async fn slow_bodies_are_cut_off() {
    let start = Instant::now();
    let answer = fetch_answer(|| Answer::Endless {
        head: [&b"HTTP/1.1 200 OK\r\ncontent-length: 90000\r\n\r\n"[..], &picture(100)].concat(),
        piece: vec![0],
        pause: Duration::from_millis(50),
    })
    .await;
    assert_eq!(answer, Err(FetchError::TooSlow { limit: limits().total }));
    assert!(start.elapsed() < Duration::from_millis(1200));
    assert_eq!(fetch_answer(|| Answer::Hang).await, Err(FetchError::Unreachable));
}

#[tokio::test]
async fn large_bodies_are_cut_off() {
    let too_large = Err(FetchError::TooLarge { limit: 100_000 });
    // Says so.
    let answer = fetch_answer(|| response("200 OK", "", &picture(100_001))).await;
    assert_eq!(answer, too_large);
    // Never says how long it is: chunks without end.
    let answer = fetch_answer(|| Answer::Endless {
        head: [&b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n20\r\n"[..], &picture(32), b"\r\n"].concat(),
        piece: [&b"2000\r\n"[..], &[0; 0x2000], b"\r\n"].concat(),
        pause: Duration::ZERO,
    })
    .await;
    assert_eq!(answer, too_large);
    // Neither length nor chunks.
    let answer = fetch_answer(|| Answer::Endless {
        head: [&b"HTTP/1.1 200 OK\r\n\r\n"[..], &picture(32)].concat(),
        piece: vec![0; 0x2000],
        pause: Duration::ZERO,
    })
    .await;
    assert_eq!(answer, too_large);
    let answer = fetch_answer(|| response("200 OK", "", &picture(100_000))).await;
    assert_eq!(answer.map(|bytes| bytes.len()), Ok(100_000));
}

#[tokio::test]
async fn lying_lengths_are_harmless() {
    // Promises more than it sends.
    let answer = fetch_answer(|| {
        Answer::Bytes([&b"HTTP/1.1 200 OK\r\ncontent-length: 5000\r\n\r\n"[..], &picture(100)].concat())
    });
    assert_eq!(answer.await, Err(FetchError::BrokenOff));
    // Sends more than it promised.
    let answer = fetch_answer(|| {
        Answer::Bytes([&b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n"[..], &picture(200_000)].concat())
    });
    assert_eq!(answer.await.map(|bytes| bytes.len()), Ok(100));
    let answer =
        fetch_answer(|| Answer::Bytes(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000000000\r\n\r\n".to_vec()));
    assert_eq!(answer.await, Err(FetchError::TooLarge { limit: 100_000 }));
}

#[tokio::test]
async fn what_is_no_picture_is_refused_by_its_first_bytes() {
    for body in [
        &b"<svg xmlns='http://www.w3.org/2000/svg'></svg>"[..],
        b"<!doctype html><title>Not found</title><p>Nothing</p>",
        b"GIF8",
        b"",
        b"%PDF-1.7 and more bytes than are needed to tell the format",
    ] {
        let answer = fetch_answer(move || response("200 OK", "content-type: image/png\r\n", body)).await;
        assert_eq!(answer, Err(FetchError::NotAPicture), "{body:?}");
    }
    // It does not take the whole body.
    let answer = fetch_answer(|| Answer::Endless {
        head: b"HTTP/1.1 200 OK\r\ncontent-length: 90000\r\n\r\n".to_vec(),
        piece: vec![b'x'; 100],
        pause: Duration::from_secs(5),
    })
    .await;
    assert_eq!(answer, Err(FetchError::NotAPicture));
}

#[tokio::test]
async fn compressed_bodies_are_refused_and_other_codings_mean_nothing() {
    const COMPRESSED: &[u8] = b"\x1f\x8b\x08\0\0\0\0\0\0\x03 a gzip body of more bytes than are looked at first";
    for coding in ["gzip", "GZIP", "x-gzip", "br", "zstd", "deflate", "UTF-8, gzip", "gzip,"] {
        let headers = format!("content-encoding: {coding}\r\n");
        let answer = fetch_answer(move || response("200 OK", &headers, COMPRESSED)).await;
        assert_eq!(answer, Err(FetchError::Encoded), "{coding}");
    }
    for coding in ["Identity", "", " ", "UTF-8", "utf8", "none", "binary", "aws-chunked", "base64", "gzip", "a, b"] {
        let headers = format!("content-encoding: {coding}\r\n");
        let answer = fetch_answer(move || response("200 OK", &headers, &picture(100))).await;
        assert_eq!(answer.map(|bytes| bytes.len()), Ok(100), "{coding:?}");
    }
    let answer = fetch_answer(|| response("200 OK", "content-encoding: UTF-8\r\n", b"no picture")).await;
    assert_eq!(answer, Err(FetchError::NotAPicture));
}

#[tokio::test]
async fn addresses_are_percent_encoded_as_browsers_do() {
    let server = TestServer::start(|_, request| {
        if request.head.starts_with("GET /from") {
            return response("302 Found", "location: /my pictures/\u{e4}.png?a=b c\r\n", b"");
        }
        response("200 OK", "", &picture(100))
    })
    .await;
    for (path, line) in [
        ("/my pictures/a b.png", "/my%20pictures/a%20b.png"),
        ("/b\u{fc}cher/\u{1f600}.png?q=\u{e4} \"x\"", "/b%C3%BCcher/%F0%9F%98%80.png?q=%C3%A4%20%22x%22"),
        ("/a\"b<c>`d{e}|f^g", "/a%22b%3Cc%3E%60d%7Be%7D|f^g"),
        ("/a%20b%2Fc", "/a%20b%2Fc"),
        ("/a?b|c'd e", "/a?b|c%27d%20e"),
        ("/from", "/my%20pictures/%C3%A4.png?a=b%20c"),
    ] {
        fetcher_for(&server).fetch_picture(&server.url(path)).await.unwrap();
        let head = server.received().pop().unwrap().head;
        assert_eq!(head.split(' ').nth(1), Some(line), "{path}");
    }
}

#[tokio::test]
async fn other_statuses_are_named() {
    for (line, status) in [("404 Not Found", 404), ("500 Oops", 500), ("206 Partial Content", 206), ("304 Same", 304)] {
        let answer = fetch_answer(move || response(line, "", b"")).await;
        assert_eq!(answer, Err(FetchError::Status(status)));
    }
}

#[tokio::test]
async fn answers_that_are_not_http_are_refused() {
    for bytes in [&b"SSH-2.0-OpenSSH_9.6\r\n"[..], b"", b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"] {
        assert_eq!(fetch_answer(move || Answer::Bytes(bytes.to_vec())).await, Err(FetchError::Unreachable));
    }
    // Headers without end.
    let answer = fetch_answer(|| Answer::Endless {
        head: b"HTTP/1.1 200 OK\r\n".to_vec(),
        piece: b"x-filler: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(100),
        pause: Duration::ZERO,
    })
    .await;
    assert_eq!(answer, Err(FetchError::Unreachable));
}

#[tokio::test]
async fn certificates_are_checked_and_https_stays_https() {
    let plain = TestServer::start(|_, _| response("200 OK", "", &picture(100))).await;
    let plain_url = format!("http://good.example:{}/", plain.port());
    let (server, tls) = TestServer::start_tls("good.example", move |_, request| {
        if request.head.starts_with("GET /down") {
            return response("302 Found", &format!("location: {plain_url}\r\n"), b"");
        }
        response("200 OK", "", &picture(100))
    })
    .await;
    let names = || Names::new([("good.example", &["127.0.0.1"][..]), ("other.example", &["127.0.0.1"])]);
    let permitted: [SocketAddr; 2] = [server.address, plain.address];
    let outbound = |tls| {
        let outbound = Outbound::new(&OutboundOptions::default(), names(), tls);
        outbound.with_rule(move |address| permitted.contains(&address))
    };
    let trusting = Fetcher::new(outbound(tls), limits());
    let url = |host: &str, path: &str| format!("https://{host}:{}{path}", server.port());
    assert_eq!(trusting.fetch_picture(&url("good.example", "/")).await, Ok(picture(100).into()));
    assert_eq!(trusting.fetch_picture(&url("good.example", "/down")).await, Err(FetchError::Downgrade));
    // A certificate for another name, and one that nobody vouches for.
    assert_eq!(trusting.fetch_picture(&url("other.example", "/")).await, Err(FetchError::Unreachable));
    let distrusting = Fetcher::new(outbound(no_tls()), limits());
    assert_eq!(distrusting.fetch_picture(&url("good.example", "/")).await, Err(FetchError::Unreachable));
    assert!(plain.received().is_empty());
}

#[tokio::test]
async fn only_so_many_are_fetched_at_once() {
    let server = TestServer::start(|_, _| Answer::Hang).await;
    let limits = FetchLimits { parallel: 2, ..limits() };
    let fetcher = Arc::new(Fetcher::new(outbound_to(Names::new([]), &[server.address]), limits));
    let url = server.url("/");
    let start = || {
        let (fetcher, url) = (Arc::clone(&fetcher), url.clone());
        tokio::spawn(async move { fetcher.fetch_picture(&url).await })
    };
    let fetches = [start(), start(), start()];
    until("two are fetched", Duration::from_secs(5), async || server.received().len() == 2).await;
    // The third has no turn while these two have theirs, and both answers hang.
    assert_eq!((fetcher.turns.available_permits(), server.received().len()), (0, 2));
    for fetch in fetches {
        assert_eq!(fetch.await.unwrap(), Err(FetchError::Unreachable));
    }
    assert_eq!(server.received().len(), 3);
}

#[tokio::test]
async fn bad_texts_are_refused_at_once() {
    let fetcher = Fetcher::new(outbound_to(Names::new([]), &[]), limits());
    assert_eq!(fetcher.fetch_picture("ftp://a/").await, Err(FetchError::Url(UrlProblem::Scheme)));
    assert_eq!(fetcher.outbound.check_target("http://a@b/").await, Err(FetchError::Url(UrlProblem::Credentials)));
}
