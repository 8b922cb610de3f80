//! A server under measurement, and series of measurements.

use rustls::crypto::ring;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

pub type AnyError = Box<dyn Error + Send + Sync>;

/// A server, with a picture that lies on it.
pub struct Target {
    pub http: reqwest::Client,
    pub url: String,
    pub key: String,
    pub picture: String,
    pub seed: AtomicU64,
}

impl Target {
    pub async fn new(url: &str, key: &str) -> Result<Self, AnyError> {
        // The only provider of this process.
        let _ = ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build()?;
        let (url, key) = (url.trim_end_matches('/').to_owned(), key.to_owned());
        let mut target = Self { http, url, key, picture: String::new(), seed: AtomicU64::new(1) };
        let (_, ticket) = target.post("/api/v3/media/uploads", &json!({"filename": "picture.png"})).await?;
        let text = |value: &Value| value.as_str().map(str::to_owned).ok_or("the upload was not answered as expected");
        let put = target.http.put(text(&ticket["data"]["upload"]["url"])?).body(PICTURE);
        put.send().await?.error_for_status()?;
        target.picture = text(&ticket["data"]["download_url"])?;
        Ok(target)
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<(u16, Value), AnyError> {
        let request = self.http.post(format!("{}{path}", self.url)).body(body.to_string());
        self.answer(request).await
    }

    pub async fn answer(&self, request: reqwest::RequestBuilder) -> Result<(u16, Value), AnyError> {
        let response = request.bearer_auth(&self.key).header("content-type", "application/json").send().await?;
        let status = response.status().as_u16();
        Ok((status, serde_json::from_slice(&response.bytes().await?).unwrap_or_default()))
    }

    /// Submits a small task with a seed of its own.
    pub async fn submit(&self, synchronous: bool) -> Result<(u16, Value), AnyError> {
        self.submit_over(&self.http, synchronous).await
    }

    /// The same over the connections of `http`.
    pub async fn submit_over(&self, http: &reqwest::Client, synchronous: bool) -> Result<(u16, Value), AnyError> {
        let body = json!({
            "image": self.picture,
            "size": "256*256",
            "num_inference_steps": 1,
            "seed": self.seed.fetch_add(1, Ordering::Relaxed),
            "enable_sync_mode": synchronous,
        });
        let request = http.post(format!("{}/api/v3/wavespeed-ai/flux-redux-dev", self.url)).body(body.to_string());
        self.answer(request).await
    }
}

/// 16×16 pixels of one colour, so that the program needs no other file.
const PICTURE: &[u8] = include_bytes!("picture.png");

/// Times of one kind of request, and answers other than 200.
#[derive(Default)]
pub struct Series {
    pub times: Vec<Duration>,
    pub refused: BTreeMap<String, u64>,
}

impl Series {
    pub fn note(&mut self, elapsed: Duration, answer: &Result<(u16, Value), AnyError>) {
        self.times.push(elapsed);
        let reason = match answer {
            Ok((200, _)) => return,
            Ok((status, _)) => status.to_string(),
            Err(error) => error.to_string(),
        };
        *self.refused.entry(reason).or_default() += 1;
    }

    pub fn figures(mut self) -> Value {
        self.times.sort();
        let at = |share: f64| match self.times.len() {
            0 => Value::Null,
            count => milliseconds(self.times[((count - 1) as f64 * share).round() as usize]),
        };
        json!({
            "count": self.times.len(),
            "p50_ms": at(0.5),
            "p90_ms": at(0.9),
            "p99_ms": at(0.99),
            "max_ms": at(1.0),
            "not_200": self.refused,
        })
    }
}

fn milliseconds(time: Duration) -> Value {
    json!((time.as_secs_f64() * 1e5).round() / 100.0)
}

/// Sends `rate` requests a second for `seconds`, `request` making each by its number. Times count from when a request was
/// due, so that a server that stands still is not asked less often for it. Returns also how many seconds it took.
pub async fn steadily<Answer>(
    rate: u64,
    seconds: u64,
    request: impl Fn(u64) -> Answer,
) -> Result<(Series, f64), AnyError>
where
    Answer: Future<Output = Result<(u16, Value), AnyError>> + Send + 'static,
{
    let mut requests = JoinSet::new();
    let start = Instant::now();
    for number in 0..rate * seconds {
        let due = start + Duration::from_secs_f64(number as f64 / rate as f64);
        sleep_until(due).await;
        let answer = request(number);
        requests.spawn(async move {
            let answer = answer.await;
            (due.elapsed(), answer)
        });
    }
    let mut series = Series::default();
    while let Some(ended) = requests.join_next().await {
        let (elapsed, answer) = ended?;
        series.note(elapsed, &answer);
    }
    Ok((series, start.elapsed().as_secs_f64().round()))
}
