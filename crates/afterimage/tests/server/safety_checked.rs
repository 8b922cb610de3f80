//! What the embedded checker says of pictures that the embedded model makes, and what becomes of them. A threshold of 0 flags
//! every picture, one of 1 none.

use crate::checkpoints::{Answers, write_checkpoint};
use crate::fal_files::database;
use crate::openai::{self, NATIVE, file, text};
use crate::support::{REDUX, SRPO, Server, data_uri, embedded, engines, picture};
use afterimage_core::OnFlag;
use afterimage_engine::{CheckerChoice, EngineOptions, SafetyOptions, SafetyPreviews};
use afterimage_jobs::{JobId, JobStore};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::{RgbImage, imageops};
use reqwest::Method;
use serde_json::{Value, json};
use std::fs;

/// A server whose checker flags what scores at least `threshold`, with further changes.
async fn checked(threshold: f64, change: impl FnOnce(&mut SafetyOptions)) -> Server {
    let mut options = embedded();
    options.safety.threshold = threshold;
    change(&mut options.safety);
    serving(&options).await
}

async fn serving(engine_options: &EngineOptions) -> Server {
    Server::start(|options| {
        options.workers = 1;
        options.engines = engines(engine_options);
    })
    .await
}

fn asked(pictures: u32) -> Value {
    json!({
        "image": data_uri(&picture(64, 64)), "size": "256*256", "num_inference_steps": 2, "seed": 7, "num_images": pictures,
        "output_format": "png",
    })
}

/// What a picture of `task` shows.
async fn shown(server: &Server, task: &Value) -> Vec<RgbImage> {
    let mut pictures = Vec::new();
    for address in task["outputs"].as_array().unwrap() {
        let bytes = server.client.get(address.as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
        pictures.push(image::load_from_memory(&bytes).unwrap().into_rgb8());
    }
    pictures
}

async fn made(server: &Server, body: &Value) -> (Vec<RgbImage>, Value) {
    let task = server.ended(&server.submit(REDUX, body).await).await;
    assert_eq!(task["status"], "completed", "{task}");
    (shown(server, &task).await, task)
}

fn is_black(picture: &RgbImage) -> bool {
    picture.as_raw().iter().all(|sample| *sample == 0)
}

/// What is lost when a picture is made 12 pixels wide: its outlines and textures, not its large areas of colour.
fn detail(picture: &RgbImage) -> u64 {
    let (width, height) = picture.dimensions();
    let small = imageops::resize(picture, 12, 12, imageops::FilterType::Triangle);
    let smooth = imageops::resize(&small, width, height, imageops::FilterType::CatmullRom);
    picture.as_raw().iter().zip(smooth.as_raw()).map(|(one, other)| u64::from(one.abs_diff(*other))).sum()
}

/// What is not checked is what the models made.
async fn originals(pictures: u32) -> Vec<RgbImage> {
    let server = serving(&EngineOptions::default()).await;
    let (pictures, task) = made(&server, &asked(pictures)).await;
    assert_eq!(task["has_nsfw_contents"], json!([]), "{task}");
    assert!(pictures.iter().all(|picture| !is_black(picture)));
    pictures
}

#[tokio::test]
async fn flagged_pictures_are_withheld_and_kept_nowhere() {
    let originals = originals(2).await;
    let server = checked(0.0, |_| {}).await;
    let (pictures, task) = made(&server, &asked(2)).await;
    assert_eq!(task["has_nsfw_contents"], json!([true, true]), "{task}");
    assert!(task["timings"]["stages"]["safety_ms"].as_f64().unwrap() > 0.0, "{task}");
    assert!(pictures.iter().all(|picture| is_black(picture) && picture.dimensions() == originals[0].dimensions()));
    // What lies on the disk is what was sent.
    let mut folders = vec![server.folder.path().join("data/results")];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let picture = image::load_from_memory(&fs::read(&path).unwrap()).unwrap().into_rgb8();
            assert!(is_black(&picture), "{}", path.display());
            files += 1;
        }
    }
    assert_eq!(files, 2);

    let png = picture(64, 64);
    let parts = [file("image", &png), text("size", "256x256"), text("num_inference_steps", "1"), text("n", "2")];
    let (status, body) = openai::send(&server, "/v1/images/variations", &parts).await;
    assert_eq!((status.as_u16(), &body["error"]["code"]), (400, &json!("moderation_blocked")), "{body}");
    let fields = json!({"image": data_uri(&png), "width": 256, "height": 256, "num_inference_steps": 1});
    let (status, body) = server.post(NATIVE, &fields).await;
    assert_eq!((status.as_u16(), &body["nsfw_content_detected"]), (200, &json!([true])), "{body}");
    let fields = json!({"image_url": data_uri(&png), "prompt": "a lake", "num_inference_steps": 1});
    let (status, body) = server.post("/fal-ai/flux-1/srpo/image-to-image", &fields).await;
    assert_eq!((status.as_u16(), &body["has_nsfw_concepts"]), (200, &json!([true])), "{body}");
    // An edit in a stream: an error is its last event.
    let parts =
        [file("image", &png), text("prompt", "a lake"), text("num_inference_steps", "1"), text("stream", "true")];
    let stream = openai::post(&server, "/v1/images/edits", openai::form(&parts)).send().await.unwrap();
    let events = stream.text().await.unwrap();
    assert!(events.contains("event: error") && events.contains("moderation_blocked"), "{events}");
    assert!(!events.contains("image_edit.completed"), "{events}");
}

#[tokio::test]
async fn policies_differ_in_what_is_shown_and_not_in_what_is_said() {
    let originals = originals(1).await;
    let kept = checked(0.0, |safety| safety.on_flag = OnFlag::Keep).await;
    let (pictures, task) = made(&kept, &asked(1)).await;
    assert_eq!((&task["has_nsfw_contents"], &pictures), (&json!([true]), &originals));
    let png = picture(64, 64);
    let parts = [file("image", &png), text("size", "256x256"), text("num_inference_steps", "1")];
    assert_eq!(openai::send(&kept, "/v1/images/variations", &parts).await.0, 200, "it can be seen");
    drop(kept);

    let blurred = checked(0.0, |safety| safety.on_flag = OnFlag::Blur).await;
    let (pictures, task) = made(&blurred, &asked(1)).await;
    assert_eq!(task["has_nsfw_contents"], json!([true]));
    assert!(pictures != originals && !is_black(&pictures[0]));
    let (before, after) = (detail(&originals[0]), detail(&pictures[0]));
    assert!(after * 4 < before * 3, "{before}, blurred {after}");
    assert_eq!(openai::send(&blurred, "/v1/images/variations", &parts).await.0, 400);
}

#[tokio::test]
async fn a_client_can_go_without_unless_the_operator_requires_the_check() {
    let mut body = asked(1);
    body["enable_safety_checker"] = json!(false);
    let server = checked(0.0, |_| {}).await;
    let (pictures, task) = made(&server, &body).await;
    assert_eq!((&task["has_nsfw_contents"], &pictures), (&json!([false]), &originals(1).await));
    assert_eq!(task["timings"]["stages"]["safety_ms"], json!(0.0));
    drop(server);
    let server = checked(0.0, |safety| safety.required = true).await;
    let (pictures, task) = made(&server, &body).await;
    assert!(task["has_nsfw_contents"] == json!([true]) && is_black(&pictures[0]), "{task}");
    assert!(task["timings"]["stages"]["safety_ms"].as_f64().unwrap() > 0.0, "{task}");
}

#[tokio::test]
async fn one_picture_of_four_is_withheld_alone() {
    let server = checked(1.0, |_| {}).await;
    let (originals, task) = made(&server, &asked(4)).await;
    assert_eq!(task["has_nsfw_contents"], json!(vec![false; 4]), "{task}");
    let job = database(&server).await.job(&JobId::from(task["id"].as_str().unwrap())).await.unwrap().unwrap();
    let scores: Vec<f64> = job.result.unwrap().facts.safety.unwrap().scores.iter().map(|scores| scores[0]).collect();
    drop(server);
    let mut order: Vec<usize> = (0..4).collect();
    order.sort_by(|one, other| scores[*other].total_cmp(&scores[*one]));
    let highest = order[0];
    let threshold = f64::midpoint(scores[highest], scores[order[1]]);

    let server = checked(threshold, |_| {}).await;
    let (pictures, task) = made(&server, &asked(4)).await;
    let flags: Vec<bool> = (0..4).map(|index| index == highest).collect();
    assert_eq!(task["has_nsfw_contents"], json!(flags), "{scores:?}");
    for (index, (picture, original)) in pictures.iter().zip(&originals).enumerate() {
        if index == highest {
            assert!(is_black(picture));
        } else {
            assert_eq!(picture, original, "picture {index}");
        }
    }
    // OpenAI's routes show what can be seen.
    let png = picture(64, 64);
    let parts = [
        file("image", &png),
        text("size", "256x256"),
        text("num_inference_steps", "2"),
        text("seed", "7"),
        text("n", "4"),
        text("response_format", "b64_json"),
    ];
    let (status, body) = openai::send(&server, "/v1/images/variations", &parts).await;
    assert_eq!(status, 200, "{body}");
    let black = |bytes: &Vec<u8>| is_black(&image::load_from_memory(bytes).unwrap().into_rgb8());
    assert_eq!(openai::inlined(&body).iter().map(black).collect::<Vec<_>>(), flags);
}

#[tokio::test]
async fn the_status_names_the_checker() {
    for (options, checkers) in [(embedded(), json!(["open_nsfw"])), (EngineOptions::default(), json!([]))] {
        let server = serving(&options).await;
        server.ended(&server.submit(SRPO, &json!({"prompt": "a lake", "num_inference_steps": 1})).await).await;
        let (status, body) = server.get("/status").await;
        assert_eq!((status.as_u16(), &body["engines"][0]["checkers"]), (200, &checkers), "{body}");
    }
}

/// Stages and previews that are told while a task runs.
async fn watched(server: &Server) -> (Vec<String>, Vec<RgbImage>) {
    let mut body = asked(1);
    body["num_inference_steps"] = json!(50);
    let id = server.submit(REDUX, &body).await;
    let events = server.request(Method::GET, &format!("/api/v3/predictions/{id}/events")).send().await.unwrap();
    let (mut stages, mut previews) = (Vec::new(), Vec::new());
    for data in events.text().await.unwrap().lines().filter_map(|line| line.strip_prefix("data: ")) {
        let event: Value = serde_json::from_str(data).unwrap();
        if let Some(stage) = event["stage"].as_str() {
            stages.push(stage.to_owned());
        }
        if let Some(url) = event["url"].as_str() {
            let bytes = STANDARD.decode(url.strip_prefix("data:image/jpeg;base64,").unwrap()).unwrap();
            previews.push(image::load_from_memory(&bytes).unwrap().into_rgb8());
        }
    }
    (stages, previews)
}

#[tokio::test]
async fn previews_do_not_show_what_the_check_will_withhold() {
    let mut last = Vec::new();
    for mode in [SafetyPreviews::On, SafetyPreviews::Blur, SafetyPreviews::Off] {
        let (stages, previews) = watched(&checked(0.0, |safety| safety.previews = mode).await).await;
        assert_eq!(stages.last().map(String::as_str), Some("safety"), "{stages:?}");
        assert_eq!(previews.is_empty(), mode == SafetyPreviews::Off, "{mode:?}");
        // In one size, so that their detail can be compared.
        last.extend(previews.last().map(|preview| imageops::resize(preview, 64, 64, imageops::FilterType::Triangle)));
    }
    let [shown, blurred] = [0, 1].map(|index| detail(&last[index]));
    assert!(blurred * 4 < shown * 3, "{shown}, blurred {blurred}");
    // Whose result is not checked sees all there is.
    let (stages, previews) = watched(&serving(&EngineOptions::default()).await).await;
    assert!(!stages.contains(&"safety".to_owned()) && !previews.is_empty(), "{stages:?}");
}

#[tokio::test]
async fn checkers_from_files_drive_all_dialects() {
    let folder = tempfile::tempdir().unwrap();
    let png = picture(64, 64);
    for (name, answers, flags, edits) in [
        ("objects", Answers::Flagged, json!([true]), 400),
        ("agrees", Answers::Clean, json!([false]), 200),
        ("broken", Answers::NoNumber, json!([]), 200),
    ] {
        let path = folder.path().join(name);
        write_checkpoint(&path, answers);
        let server = checked(0.5, |safety| safety.checkers = vec![CheckerChoice::Path(path)]).await;
        let (_, task) = made(&server, &asked(1)).await;
        assert_eq!(task["has_nsfw_contents"], flags, "{name}: {task}");
        let fields = json!({"image_url": data_uri(&png), "prompt": "a lake", "num_inference_steps": 1});
        let (status, body) = server.post("/fal-ai/flux-1/srpo/image-to-image", &fields).await;
        assert_eq!((status.as_u16(), &body["has_nsfw_concepts"]), (200, &flags), "{name}: {body}");
        let fields = json!({"image": data_uri(&png), "width": 256, "height": 256, "num_inference_steps": 1});
        let (status, body) = server.post(NATIVE, &fields).await;
        assert_eq!((status.as_u16(), &body["nsfw_content_detected"]), (200, &flags), "{name}: {body}");
        let parts = [file("image", &png), text("prompt", "a lake"), text("num_inference_steps", "1")];
        let (status, body) = openai::send(&server, "/v1/images/edits", &parts).await;
        assert_eq!(status, edits, "{name}: {body}");
    }
}

#[tokio::test]
async fn a_required_checker_that_fails_ends_the_job() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("broken");
    write_checkpoint(&path, Answers::NoNumber);
    let server = checked(0.5, |safety| {
        safety.checkers = vec![CheckerChoice::Path(path), CheckerChoice::Builtin];
        safety.required = true;
    })
    .await;
    let task = server.ended(&server.submit(REDUX, &asked(1)).await).await;
    assert_eq!((&task["status"], &task["outputs"]), (&json!("failed"), &json!([])), "{task}");
    assert!(task["error"].as_str().unwrap().contains("safety checker failed"), "{task}");
    // A check that failed says nothing of the server's health.
    assert_eq!(server.get("/readyz").await.0, 200);
}
