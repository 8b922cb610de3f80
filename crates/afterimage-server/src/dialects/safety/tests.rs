//! Every answer of every dialect about pictures that were flagged, not flagged, and not looked at.

use super::*;
use crate::dialects::fal::output::{Output, report};
use crate::dialects::openai::{Images, NativeResult};
use crate::dialects::testing::{PICTURE, checked_job, failed_job, unchecked_job};
use crate::dialects::wavespeed::Prediction;
use crate::files::{FileLinks, ResultFiles, Signer};
use afterimage_core::OnFlag;
use afterimage_jobs::{Blobs, FailureKind};
use axum::response::IntoResponse;
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;

/// Where the picture of all results lies.
struct Shelf {
    files: ResultFiles,
    _folder: TempDir,
}

impl Shelf {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(folder.path()).unwrap();
        blobs.put("results/x", Bytes::from_static(PICTURE)).await.unwrap();
        let links = FileLinks::new(Signer::new([1; 32]), Duration::from_hours(1));
        Self { files: ResultFiles { links, blobs }, _folder: folder }
    }

    /// The flags in each answer of the services that have any. All answers have to show all pictures.
    async fn flags(&self, job: &Job) -> Vec<Value> {
        let pictures = job.result.as_ref().unwrap().files.len();
        let prediction = json!(Prediction::new(job, "http://h", &self.files.links));
        let by_address = json!(Output::with_addresses(job, "http://h", &self.files.links));
        let inlined = json!(Output::inlined(&self.files, job).await.unwrap());
        let told = report(job, &self.files.links)["payload"].clone();
        let native = json!(NativeResult::of(&self.files, job).await.unwrap());
        assert_eq!(
            (&prediction["status"], &native["inference_status"]["status"]),
            (&json!("completed"), &json!("succeeded"))
        );
        let mut flags = Vec::new();
        for (answer, pictures_in, flags_in) in [
            (prediction, "outputs", "has_nsfw_contents"),
            (by_address, "images", "has_nsfw_concepts"),
            (inlined, "images", "has_nsfw_concepts"),
            (told, "images", "has_nsfw_concepts"),
            (native, "images", "nsfw_content_detected"),
        ] {
            assert_eq!(answer[pictures_in].as_array().map(Vec::len), Some(pictures), "{answer}");
            flags.push(answer[flags_in].clone());
        }
        flags
    }

    /// What OpenAI's routes say, with addresses and with pictures: how many there are, or status and error.
    async fn images(&self, job: &Job) -> [Result<usize, (u16, Value)>; 2] {
        let both =
            [Images::with_addresses(job, "http://h", &self.files.links), Images::inlined(&self.files, job).await];
        let mut said = Vec::new();
        for images in both {
            said.push(match images {
                Ok(images) => Ok(images.data.len()),
                Err(error) => {
                    let response = error.into_response();
                    let status = response.status().as_u16();
                    assert_eq!(response.headers()["x-should-retry"], "false");
                    let body = response.into_body().collect().await.unwrap().to_bytes();
                    Err((status, serde_json::from_slice(&body).unwrap()))
                }
            });
        }
        said.try_into().unwrap()
    }
}

fn blocked() -> Result<usize, (u16, Value)> {
    let message =
        "Your request was rejected by the safety system. Every picture that was made was flagged and is withheld.";
    let error =
        json!({"message": message, "type": "image_generation_user_error", "param": null, "code": "moderation_blocked"});
    Err((400, json!({"error": error})))
}

/// Which of `pictures` are flagged, in each of the cases: none, one, all.
fn cases(pictures: usize) -> [Vec<bool>; 3] {
    let one = (0..pictures).map(|index| index == pictures / 2).collect();
    [vec![false; pictures], one, vec![true; pictures]]
}

#[tokio::test]
async fn every_service_says_what_checkers_said() {
    let shelf = Shelf::new().await;
    for on_flag in [OnFlag::Withhold, OnFlag::Blur, OnFlag::Keep] {
        for (required, client) in [(false, true), (false, false), (true, true), (true, false)] {
            for flags in (1..=4).flat_map(cases) {
                let looks = required || client;
                let known: Vec<_> = flags.iter().copied().map(Some).collect();
                let mut job = if looks { checked_job(on_flag, &known) } else { unchecked_job(flags.len()) };
                job.spec.request.check_safety = client;
                let case = format!("{on_flag:?}, required: {required}, client: {client}, {flags:?}");
                let expected = if looks { flags.clone() } else { vec![false; flags.len()] };
                assert_eq!(shelf.flags(&job).await, vec![json!(expected); 5], "{case}");
                let all_hidden = looks && on_flag != OnFlag::Keep && !flags.contains(&false);
                let expected = if all_hidden { blocked() } else { Ok(flags.len()) };
                assert_eq!(shelf.images(&job).await, [expected.clone(), expected], "{case}");
            }
        }
    }
}

#[tokio::test]
async fn what_nobody_could_look_at_is_not_called_safe() {
    let shelf = Shelf::new().await;
    for pictures in 1..=4 {
        // There is no checker.
        assert_eq!(shelf.flags(&unchecked_job(pictures)).await, vec![json!([]); 5]);
        assert_eq!(shelf.images(&unchecked_job(pictures)).await, [Ok(pictures), Ok(pictures)]);
        // It broke, at all pictures or at the last one.
        for others in [None, Some(false), Some(true)] {
            let flags: Vec<_> = (1..=pictures).map(|number| others.filter(|_| number < pictures)).collect();
            let mut job = checked_job(OnFlag::Withhold, &flags);
            for client in [true, false] {
                job.spec.request.check_safety = client;
                assert_eq!(shelf.flags(&job).await, vec![json!([]); 5], "{flags:?}");
                assert_eq!(shelf.images(&job).await, [Ok(pictures), Ok(pictures)], "{flags:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_job_without_a_result_has_no_flags() {
    let shelf = Shelf::new().await;
    for kind in [FailureKind::ContentRejected, FailureKind::SafetyChecker] {
        let job = failed_job(kind);
        assert!(flags(&job).is_empty() && !is_all_hidden(&job));
        let native = json!(NativeResult::of(&shelf.files, &job).await.unwrap());
        assert_eq!((&native["nsfw_content_detected"], &native["error"]), (&json!([]), &json!("the reason")));
        let prediction = json!(Prediction::new(&job, "http://h", &shelf.files.links));
        let code = if kind == FailureKind::ContentRejected { 1200 } else { 1403 };
        assert_eq!((&prediction["has_nsfw_contents"], &prediction["code"]), (&json!([]), &json!(code)));
        let payload = &report(&job, &shelf.files.links)["payload"];
        let kind = &payload["detail"][0]["type"];
        assert_eq!(kind == "content_policy_violation", code == 1200, "{payload}");
    }
}
