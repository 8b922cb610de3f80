//! A front before a server that speaks S3, with what that lacks: it can be slow or overloaded, and it looks at the clock of
//! whoever asks.

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, TRANSFER_ENCODING};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

/// How far a clock may be off, in seconds: what S3 allows.
const MOST_SKEW: i64 = 15 * 60;

const DAY: i64 = 24 * 60 * 60;

/// How it answers.
#[derive(Clone, Copy, Debug)]
pub enum Mood {
    Steady,
    /// After so long.
    Late(Duration),
    /// Asks to come again less often.
    Busy,
}

/// A running front.
pub struct MoodyBucket {
    pub address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
}

#[derive(Clone)]
struct Front {
    behind: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    http: reqwest::Client,
}

impl MoodyBucket {
    /// One before the server at `behind`, steady at first. It ends with the runtime.
    pub async fn before(behind: SocketAddr) -> Self {
        let mood = Arc::new(Mutex::new(Mood::Steady));
        let front = Front { behind, mood: Arc::clone(&mood), http: crate::s3_server::plain_http() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(answer).with_state(front);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { address, mood }
    }

    pub fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }
}

async fn answer(State(front): State<Front>, request: Request) -> Response {
    if is_skewed(request.headers()) {
        return refusal(StatusCode::FORBIDDEN, "RequestTimeTooSkewed");
    }
    let mood = *front.mood.lock().unwrap();
    match mood {
        Mood::Steady => {}
        // Real time: the store's pace.
        Mood::Late(time) => tokio::time::sleep(time).await,
        Mood::Busy => return refusal(StatusCode::SERVICE_UNAVAILABLE, "SlowDown"),
    }
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().unwrap().as_str();
    let mut headers = parts.headers;
    headers.remove(CONTENT_LENGTH);
    let passed = front.http.request(parts.method, format!("http://{}{path}", front.behind)).headers(headers);
    let answer = passed.body(to_bytes(body, usize::MAX).await.unwrap()).send().await.unwrap();
    let (status, mut headers) = (answer.status(), answer.headers().clone());
    headers.remove(TRANSFER_ENCODING);
    (status, headers, Body::from(answer.bytes().await.unwrap())).into_response()
}

fn refusal(status: StatusCode, code: &str) -> Response {
    let body =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>no</Message></Error>");
    (status, [("content-type", "application/xml")], body).into_response()
}

/// Whether the clock of who signed is off by too much. Days are left out: nobody here is off by half of one.
fn is_skewed(headers: &HeaderMap) -> bool {
    // Such as 20261130T235959Z.
    let Some(date) = headers.get("x-amz-date").and_then(|date| date.to_str().ok()) else { return false };
    let two = |at: usize| date[at..at + 2].parse::<i64>().unwrap();
    let theirs = (two(9) * 60 + two(11)) * 60 + two(13);
    let ours = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64 % DAY;
    let off = (theirs - ours).rem_euclid(DAY);
    off.min(DAY - off) > MOST_SKEW
}
