//! `images/edits` with `stream`.

use super::{Part, envelope, file, form, post, size_of, text};
use crate::hostile_streams::{all_cancelled, all_jobs};
use crate::support::{Server, picture};
use crate::waiting::eventually;
use afterimage_jobs::JobState;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use std::slice::from_ref;
use std::time::Duration;

const EDITS: &str = "/v1/images/edits";

/// Names and data of the events in `text`; comments are left out.
fn events(text: &str) -> Vec<(String, Value)> {
    let field = |block: &str, name: &str| block.lines().find_map(|line| Some(line.strip_prefix(name)?.to_owned()));
    text.split("\n\n")
        .filter_map(|block| Some((field(block, "event: ")?, field(block, "data: ")?)))
        .map(|(name, data)| (name, serde_json::from_str(&data).unwrap()))
        .collect()
}

fn decoded(event: &Value) -> Vec<u8> {
    STANDARD.decode(event["b64_json"].as_str().unwrap()).unwrap()
}

async fn streamed(server: &Server, parts: &[Part<'_>]) -> Vec<(String, Value)> {
    let response = post(server, EDITS, form(parts)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert!(response.headers().get("x-should-retry").is_none());
    let text = response.text().await.unwrap();
    let events = events(&text);
    for (name, data) in &events {
        assert_eq!(data["type"], name.as_str(), "{text}");
    }
    events
}

#[tokio::test]
async fn previews_and_the_result_are_streamed() {
    let server = Server::with_worker().await;
    let png = picture(272, 256);
    let parts = [
        file("image", &png),
        text("prompt", "a red lake"),
        text("num_inference_steps", "50"),
        text("seed", "3"),
        text("stream", "true"),
        text("partial_images", "2"),
    ];
    let mut events = streamed(&server, &parts).await;
    let (last, completed) = events.pop().unwrap();
    assert_eq!(last, "image_edit.completed");
    assert!((1..=2).contains(&events.len()), "{} previews", events.len());
    for (index, (name, preview)) in events.iter().enumerate() {
        assert_eq!((name.as_str(), &preview["partial_image_index"]), ("image_edit.partial_image", &Value::from(index)));
        assert_eq!((&preview["size"], &preview["output_format"]), (&Value::from("272x256"), &Value::from("png")));
        assert_eq!(image::guess_format(&decoded(preview)).unwrap(), image::ImageFormat::Png);
    }
    assert_eq!((&completed["size"], &completed["background"]), (&Value::from("272x256"), &Value::from("opaque")));
    assert_eq!(completed["usage"]["input_tokens_details"]["image_tokens"], 0);
    assert!(completed["created_at"].as_i64().unwrap() > 1_700_000_000);
    let of_stream = decoded(&completed);
    assert_eq!(size_of(&of_stream), (272, 256));

    // The same without a stream, and one whose client wants no previews.
    let plain = [&parts[..4], &[text("response_format", "b64_json")]].concat();
    let (_, body) = super::send(&server, EDITS, &plain).await;
    assert_eq!(super::inlined(&body), from_ref(&of_stream));
    let alone = streamed(&server, &parts[..5]).await;
    assert_eq!(alone.len(), 1);
    assert_eq!(decoded(&alone[0].1), of_stream);
}

#[tokio::test]
async fn an_error_ends_the_stream() {
    let server = Server::with_worker().await;
    // Nothing is there; the picture is fetched by the worker.
    let parts = [
        text("image", "http://no-such-host.invalid/a.png"),
        text("prompt", "a lake"),
        text("stream", "true"),
        text("partial_images", "1"),
    ];
    let events = streamed(&server, &parts).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].0, "error");
    envelope(&events[0].1, Some("image"), None);
    assert_eq!(events[0].1["error"]["type"], "invalid_request_error");
}

#[tokio::test]
async fn a_client_that_hangs_up_cancels_its_request() {
    let server = Server::without_workers().await;
    let png = picture(256, 256);
    let parts = [file("image", &png), text("prompt", "p"), text("stream", "true"), text("seed", "11")];
    let response = post(&server, EDITS, form(&parts)).send().await.unwrap();
    assert_eq!(response.status(), 200);
    drop(response);
    all_cancelled(&server).await;
    assert_eq!(all_jobs(&server).await.len(), 1);

    // A request that may be repeated goes on, and the repetition finds it.
    let repeated = || post(&server, EDITS, form(&parts)).header("idempotency-key", "k").send();
    drop(repeated().await.unwrap());
    // One that may not be, whose client hangs up later, is cancelled by then.
    let other = [file("image", &png), text("prompt", "p"), text("stream", "true"), text("seed", "12")];
    drop(post(&server, EDITS, form(&other)).send().await.unwrap());
    let jobs = eventually(Duration::from_secs(10), async || {
        let jobs = all_jobs(&server).await;
        let is_so = jobs.iter().any(|job| job.spec.request.seed == Some(12) && job.state == JobState::Cancelled);
        if is_so { Ok(jobs) } else { Err(format!("{jobs:?}")) }
    })
    .await;
    assert_eq!(jobs.iter().filter(|job| job.state == JobState::Queued).count(), 1, "{jobs:?}");
    drop(repeated().await.unwrap());
    assert_eq!(all_jobs(&server).await.len(), 3);
}
