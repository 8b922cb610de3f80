//! Puts load on a running server and prints what a client sees, as one JSON object:
//! `cargo run --release -p afterimage-server --example load -- URL KEY MEASUREMENT [NUMBER] [NUMBER]`.
//!
//! | measurement | numbers | what |
//! |---|---|---|
//! | `submits` | rate, seconds | submits at a steady rate, however slow the answers are |
//! | `fill` | jobs | submits as fast as the server takes them |
//! | `reads` | repetitions | results and lists, one at a time |
//! | `crowd` | rate, seconds, connections | steady submits over half of the connections while the other half idles or sends a byte a second |
//! | `overhead` | jobs | synchronous jobs one at a time: what the client waits beyond the engine's own time |
//!
//! `bench/load/run.py` starts the servers and runs all of them.

use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::Instant;

#[path = "load/crowd.rs"]
mod crowd;
#[path = "load/target.rs"]
mod target;

use target::{AnyError, Series, Target, steadily};

/// Submits under way while filling.
const FILLERS: u64 = 64;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, key, measurement, numbers @ ..] = arguments.as_slice() else {
        return Err("usage: load URL KEY submits|crowd|fill|reads|overhead [NUMBER] [NUMBER]".into());
    };
    let number = |index: usize, default: u64| numbers.get(index).map_or(Ok(default), |text| text.parse());
    let target = Arc::new(Target::new(url, key).await?);
    let figures = match measurement.as_str() {
        "submits" => submits(&target, number(0, 200)?, number(1, 60)?).await?,
        "crowd" => {
            let (rate, seconds) = (number(0, 200)?, number(1, 300)?);
            crowd::crowd(&target, rate, seconds, number(2, 1000)?).await?
        }
        "fill" => fill(&target, number(0, 100_000)?).await?,
        "reads" => reads(&target, number(0, 500)?).await?,
        "overhead" => overhead(&target, number(0, 50)?).await?,
        other => return Err(format!("no such measurement: {other}").into()),
    };
    println!("{figures}");
    Ok(())
}

async fn submits(target: &Arc<Target>, rate: u64, seconds: u64) -> Result<Value, AnyError> {
    let (series, seconds) = steadily(rate, seconds, |_| {
        let target = Arc::clone(target);
        async move { target.submit(false).await }
    })
    .await?;
    Ok(json!({"rate": rate, "seconds": seconds, "submit": series.figures()}))
}

async fn fill(target: &Arc<Target>, jobs: u64) -> Result<Value, AnyError> {
    let left = Arc::new(AtomicU64::new(jobs));
    let start = Instant::now();
    let mut fillers = JoinSet::new();
    for _ in 0..FILLERS {
        let (target, left) = (Arc::clone(target), Arc::clone(&left));
        fillers.spawn(async move {
            let mut series = Series::default();
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                let sent = Instant::now();
                let answer = target.submit(false).await;
                series.note(sent.elapsed(), &answer);
            }
            series
        });
    }
    let mut series = Series::default();
    while let Some(ended) = fillers.join_next().await {
        let part = ended?;
        series.times.extend(part.times);
        for (reason, count) in part.refused {
            *series.refused.entry(reason).or_default() += count;
        }
    }
    let per_second = jobs as f64 / start.elapsed().as_secs_f64();
    Ok(json!({"per_second": per_second.round(), "submit": series.figures()}))
}

async fn reads(target: &Target, repetitions: u64) -> Result<Value, AnyError> {
    let page = |number: u64, size: u64| json!({"page": number, "page_size": size});
    let (_, first) = target.post("/api/v3/predictions", &page(1, 100)).await?;
    let total = first["data"]["total"].as_u64().unwrap_or_default();
    let deep = (total / 20 / 2).max(1);
    let ids: Vec<&str> =
        first["data"]["items"].as_array().into_iter().flatten().filter_map(|item| item["id"].as_str()).collect();
    if ids.is_empty() {
        return Err("there are no tasks to read".into());
    }
    let filtered = json!({"status": "completed", "model": "wavespeed-ai/flux-redux-dev"});
    let mut series: BTreeMap<&str, Series> = BTreeMap::new();
    for number in 0..repetitions {
        let id = ids[number as usize % ids.len()];
        let sent = Instant::now();
        let result = target.http.get(format!("{}/api/v3/predictions/{id}/result", target.url));
        let answer = target.answer(result).await;
        series.entry("result").or_default().note(sent.elapsed(), &answer);
        for (name, body) in [("list", &page(1, 20)), ("list_amid", &page(deep, 20)), ("list_filtered", &filtered)] {
            let sent = Instant::now();
            let answer = target.post("/api/v3/predictions", body).await;
            series.entry(name).or_default().note(sent.elapsed(), &answer);
        }
    }
    let mut figures: serde_json::Map<String, Value> =
        series.into_iter().map(|(name, series)| (name.to_owned(), series.figures())).collect();
    figures.insert("tasks".to_owned(), json!(total));
    Ok(Value::Object(figures))
}

async fn overhead(target: &Target, jobs: u64) -> Result<Value, AnyError> {
    // The first job reads the weights and encodes the picture.
    target.submit(true).await?;
    let (mut added, mut walls, mut engine) = (Series::default(), Series::default(), Series::default());
    for _ in 0..jobs {
        let sent = Instant::now();
        let answer = target.submit(true).await;
        let wall = sent.elapsed();
        let inference = answer.as_ref().ok().and_then(|(_, body)| body["data"]["timings"]["inference"].as_u64());
        let inference = Duration::from_millis(inference.unwrap_or_default());
        walls.note(wall, &answer);
        engine.note(inference, &answer);
        added.note(wall.saturating_sub(inference), &answer);
    }
    Ok(json!({"added": added.figures(), "wall": walls.figures(), "engine": engine.figures()}))
}
