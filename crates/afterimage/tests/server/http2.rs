//! HTTP/2 spoken by hand, the way no client would.

use crate::connections::{answers_others, connect};
use crate::support::{KEY, REDUX, Server};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// Error codes of RFC 9113, 7.
const REFUSED_STREAM: u32 = 7;
const ENHANCE_YOUR_CALM: u32 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Text of less than 127 bytes as RFC 7541 writes it, without Huffman.
fn text(text: &str) -> Vec<u8> {
    assert!(text.len() < 127);
    [&[text.len() as u8], text.as_bytes()].concat()
}

/// Header block of `GET path`: indexed method and scheme, literal path and authority.
fn get(path: &str) -> Vec<u8> {
    [vec![0x82, 0x86, 0x04], text(path), vec![0x01], text("h")].concat()
}

/// Header block of a `POST` with a key, whose body the server waits for.
fn post() -> Vec<u8> {
    let key = text(&format!("Bearer {KEY}"));
    [vec![0x83, 0x86, 0x04], text(REDUX), vec![0x01], text("h"), vec![0x0f, 0x08], key].concat()
}

/// What came from the server.
#[derive(Debug, Default)]
struct Heard {
    /// Streams that were answered, with the first byte of the header block: 0x88 is status 200.
    answers: Vec<(u32, u8)>,
    /// Streams that were reset, with the error code.
    resets: Vec<(u32, u32)>,
    pongs: usize,
    /// Error code of the farewell.
    go_away: Option<u32>,
    closed: bool,
}

impl Heard {
    /// The server has ended the connection, with or without the sender having heard why: what was still on its way
    /// to a closed socket takes the farewell with it.
    fn is_cut_off(&self) -> bool {
        self.closed && self.go_away.is_none_or(|code| code == ENHANCE_YOUR_CALM)
    }
}

async fn open(server: &Server) -> TcpStream {
    let mut stream = connect(server).await;
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, b"")).await.unwrap();
    stream
}

/// Sends `bytes` while listening; what was heard until the server closes, says the `until`th pong, or falls silent.
async fn talk(stream: TcpStream, bytes: Vec<u8>, until: usize) -> Heard {
    let (mut reading, mut writing) = stream.into_split();
    let sending = tokio::spawn(async move {
        let _ = writing.write_all(&bytes).await;
        // Kept open: the end of the connection is the server's decision.
        std::future::pending::<()>().await;
        drop(writing);
    });
    let mut heard = Heard::default();
    let mut head = [0; 9];
    while heard.pongs < until || until == 0 {
        let Ok(read) = timeout(Duration::from_secs(10), reading.read_exact(&mut head)).await else { break };
        if read.is_err() {
            heard.closed = true;
            break;
        }
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
        let mut payload = vec![0; length];
        if reading.read_exact(&mut payload).await.is_err() {
            heard.closed = true;
            break;
        }
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match head[3] {
            HEADERS => heard.answers.push((stream, payload[0])),
            RESET => heard.resets.push((stream, code(0))),
            PING if head[4] == 1 => heard.pongs += 1,
            GO_AWAY => heard.go_away = Some(code(4)),
            _ => {}
        }
    }
    sending.abort();
    heard
}

fn ping() -> Vec<u8> {
    frame(PING, 0, 0, b"12345678")
}

#[tokio::test]
async fn a_request_in_good_order_is_answered() {
    let server = Server::without_workers().await;
    let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, &get("/healthz"));
    let heard = talk(open(&server).await, [request, ping()].concat(), 1).await;
    let stream = open(&server).await;
    assert_eq!((heard.pongs, heard.go_away, heard.closed), (1, None, false), "{heard:?}");
    // The pong may overtake the answer: listen until it falls silent.
    let request = frame(HEADERS, END_STREAM | END_HEADERS, 1, &get("/healthz"));
    let again = talk(stream, request, 0).await;
    assert_eq!(again.answers, [(1, 0x88)], "{again:?}");
}

#[tokio::test]
async fn a_flood_of_empty_data_is_cut_off() {
    let server = Server::without_workers().await;
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &post());
    bytes.extend(frame(DATA, 0, 1, b"").repeat(100_000));
    let heard = talk(open(&server).await, bytes, 0).await;
    assert!(heard.is_cut_off(), "{heard:?}");
    answers_others(&server).await;
}

#[tokio::test]
async fn a_flood_of_tiny_data_is_cut_off_or_refused() {
    let server = Server::without_workers().await;
    let mut bytes = frame(HEADERS, END_HEADERS, 1, &post());
    bytes.extend(frame(DATA, 0, 1, b" ").repeat(200_000));
    let heard = talk(open(&server).await, bytes, 0).await;
    let refused = heard.resets.iter().any(|(stream, _)| *stream == 1);
    assert!(heard.is_cut_off() || refused, "{heard:?}");
    answers_others(&server).await;
}

#[tokio::test]
async fn headers_that_never_end_are_cut_off() {
    let server = Server::without_workers().await;
    for piece in [Vec::new(), [vec![0x00], text("x"), text("y")].concat()] {
        let mut bytes = frame(HEADERS, END_STREAM, 1, &get("/healthz"));
        bytes.extend(frame(CONTINUATION, 0, 1, &piece).repeat(100_000));
        let heard = talk(open(&server).await, bytes, 0).await;
        assert!(heard.is_cut_off() && heard.answers.is_empty(), "{heard:?}");
        answers_others(&server).await;
    }
}

#[tokio::test]
async fn requests_taken_back_at_once_are_cut_off() {
    let server = Server::without_workers().await;
    let (headers, cancel) = (get("/healthz"), 8_u32.to_be_bytes());
    let bytes: Vec<u8> = (0..20_000)
        .flat_map(|number| {
            let stream = 2 * number + 1;
            [frame(HEADERS, END_STREAM | END_HEADERS, stream, &headers), frame(RESET, 0, stream, &cancel)].concat()
        })
        .collect();
    let heard = talk(open(&server).await, bytes, 0).await;
    assert!(heard.is_cut_off(), "{heard:?}");
    answers_others(&server).await;
}

#[tokio::test]
async fn streams_beyond_the_limit_are_refused_and_the_rest_goes_on() {
    const LIMIT: usize = 64;
    const OPENED: u32 = 200;
    let server = Server::without_workers().await;
    let mut bytes: Vec<u8> =
        (0..OPENED).flat_map(|number| frame(HEADERS, END_HEADERS, 2 * number + 1, &post())).collect();
    bytes.extend(ping());
    let heard = talk(open(&server).await, bytes, 1).await;
    assert_eq!((heard.pongs, heard.go_away), (1, None), "{heard:?}");
    assert!(heard.resets.iter().all(|(_, code)| *code == REFUSED_STREAM), "{heard:?}");
    assert_eq!(heard.resets.len(), OPENED as usize - LIMIT, "{heard:?}");
    answers_others(&server).await;
}

#[tokio::test]
async fn a_header_list_beyond_the_limit_is_not_taken() {
    let server = Server::without_workers().await;
    // In plain: 96 KiB of small fields in few frames.
    let field = [vec![0x00], text("x"), text(&"y".repeat(120))].concat();
    let fields = field.repeat((96 << 10) / field.len());
    let mut plain = frame(HEADERS, END_STREAM, 1, &get("/healthz"));
    let mut pieces = fields.chunks(16_384).peekable();
    while let Some(piece) = pieces.next() {
        let last = if pieces.peek().is_none() { END_HEADERS } else { 0 };
        plain.extend(frame(CONTINUATION, last, 1, piece));
    }
    // Packed: one field of some 120 bytes put into the table, then named 16,000 times by one byte each.
    let table = [vec![0x40], text("x"), text(&"y".repeat(120))].concat();
    let packed = [get("/healthz"), table, vec![0xbe; 16_000]].concat();
    let packed = frame(HEADERS, END_STREAM | END_HEADERS, 1, &packed);
    for (name, bytes) in [("plain", plain), ("packed", packed)] {
        let heard = talk(open(&server).await, [bytes, ping()].concat(), 2).await;
        assert!(heard.answers.iter().all(|(_, status)| *status != 0x88), "{name}: {heard:?}");
        let refused = heard.closed || !heard.answers.is_empty() || !heard.resets.is_empty();
        assert!(refused, "{name}: {heard:?}");
        answers_others(&server).await;
    }
}

#[tokio::test]
async fn pings_and_settings_without_end_keep_nobody_waiting() {
    let server = Server::without_workers().await;
    for bytes in [ping(), frame(SETTINGS, 0, 0, b"")] {
        let flood = bytes.repeat(50_000);
        let flooding = talk(open(&server).await, flood, 0);
        let flooding = tokio::spawn(timeout(Duration::from_secs(5), flooding));
        for _ in 0..5 {
            answers_others(&server).await;
        }
        flooding.abort();
    }
    answers_others(&server).await;
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_the_connection() {
    let server = Server::without_workers().await;
    for (name, bytes) in [
        ("data of no stream", frame(DATA, 0, 0, b"x")),
        ("an even stream", frame(HEADERS, END_HEADERS | END_STREAM, 2, &get("/healthz"))),
        ("a continuation of nothing", frame(CONTINUATION, END_HEADERS, 1, b"")),
        ("a ping of three bytes", frame(PING, 0, 0, b"123")),
        ("a frame above the largest", frame(DATA, 0, 1, &vec![0; 20_000])),
        ("a table index beyond the table", frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0xff, 0x7f])),
        ("padding longer than the frame", frame(HEADERS, END_HEADERS | 8, 1, &[0xff, 0x82])),
    ] {
        let heard = talk(open(&server).await, bytes, 0).await;
        assert!(heard.closed && heard.answers.is_empty(), "{name}: {heard:?}");
    }
    answers_others(&server).await;
}
