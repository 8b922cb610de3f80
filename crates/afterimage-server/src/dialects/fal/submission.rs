//! From a request of any of this dialect's forms to a submission.

use super::DIALECT;
use super::error::Failed;
use super::lifecycle::kept_for;
use super::models::{MODELS, PICTURES, WEBHOOK, request};
use crate::dialects::{Model, TakenPictures, take_pictures};
use crate::follow::SyncRunner;
use crate::http::idempotency;
use crate::http::json::{Fields, read_object};
use crate::intake::Intake;
use crate::model_sets::ModelSets;
use crate::parameters::{Numbers, echo, parse_with};
use crate::refusal::Refusal;
use crate::submit::Submission;
use afterimage_core::OutputFormat;
use afterimage_jobs::{Job, KeyId, Priority, Webhook};
use axum::extract::Request;
use axum::http::HeaderMap;
use serde_json::{Value, json};
use std::time::Duration;
use url::form_urlencoded;

/// How long a request's result is there to be read when nothing of it is to be stored.
const UNSTORED: Duration = Duration::from_hours(1);

/// A checked request.
#[derive(Debug)]
pub struct CheckedCall {
    /// What to queue.
    pub submission: Submission,
    /// The field of that name, which means something else in each form.
    pub sync_mode: bool,
}

/// The model `id`.
///
/// # Errors
/// [`Refusal::NotFound`] that names all there are.
pub fn model(sets: &ModelSets, id: &str) -> Result<&'static Model, Refusal> {
    Model::find_served(&MODELS, sets, id).map_err(|known| {
        let shown: String = id.chars().take(100).collect();
        Refusal::NotFound(format!("Application {shown:?} not found; there are {known}"))
    })
}

/// Reads and checks a request of `key` for `model`.
///
/// # Errors
/// [`Refusal`] for everything that can be known to be wrong before a model runs.
pub async fn read(
    intake: &Intake,
    key: &KeyId,
    model: &'static Model,
    request_: Request,
) -> Result<CheckedCall, Refusal> {
    let (parts, body) = request_.into_parts();
    let headers = &parts.headers;
    let parameters = model.parameters();
    let fields = Fields::of(&parameters).with_pictures(&[]);
    let (object, bytes) = read_object(&intake.bodies, key, headers, body, fields).await?;
    let values = parse_with(Numbers::OrText, &parameters, &object)?;
    let start_within = start_limit(headers)?;
    let webhook = form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
        .find(|(name, value)| name == WEBHOOK && !value.is_empty())
        .map(|(_, url)| Webhook { url: url.into_owned(), dialect: DIALECT.to_owned() });
    let TakenPictures { pictures, roles } = take_pictures(intake, key, &values, &PICTURES, &bytes).await?;
    let sync_mode = values.switch("sync_mode");
    let is_stored = text(headers, "x-fal-store-io") != Some("0");
    let kept_for = kept_for(headers)?;
    let submission = Submission {
        dialect: DIALECT,
        model: model.id.to_owned(),
        input: if is_stored { echo(&parameters, &object) } else { json!({"sync_mode": sync_mode}) },
        request: request(model, &values, &roles),
        pictures,
        format: if values.text("output_format") == Some("png") { OutputFormat::Png } else { OutputFormat::Jpeg },
        public_url: intake.public_url.for_request(headers),
        webhook,
        webhook_name: WEBHOOK,
        idempotency: idempotency(headers, &parts.uri, &bytes)?,
        priority: match text(headers, "x-fal-queue-priority") {
            Some(word) if word.eq_ignore_ascii_case("low") => Priority::Low,
            _ => Priority::Normal,
        },
        user: None,
        start_within,
        kept_for: if is_stored { kept_for } else { Some(kept_for.map_or(UNSTORED, |own| own.min(UNSTORED))) },
    };
    Ok(CheckedCall { submission, sync_mode })
}

/// Whether `job`'s results are to be inlined.
pub fn wants_data_uris(job: &Job) -> bool {
    match job.input.get("sync_mode") {
        Some(Value::Bool(inline)) => *inline,
        Some(Value::String(text)) => ["true", "1", "on", "yes"].contains(&text.trim().to_ascii_lowercase().as_str()),
        _ => false,
    }
}

/// Time within which a worker must take the request, under either of its names.
fn start_limit(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    const NAMES: [&str; 2] = ["x-fal-request-start-timeout", "x-fal-request-timeout"];
    let Some((name, text)) = NAMES.iter().find_map(|name| Some((name, text(headers, name)?))) else {
        return Ok(None);
    };
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds > 0.0 && *seconds <= 1e7);
    let refused = || Refusal::BadBody(format!("{name}: expected seconds, such as 30"));
    seconds.map(Duration::from_secs_f64).map(Some).ok_or_else(refused)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The error that a synchronous request gets when its time, or the server's, is over before its job is.
pub fn timed_out(sync: &SyncRunner, job: &Job) -> Failed {
    Failed::gateway_timeout(format!("{}; it continues, read it from the queue as {}", sync.why_not_done(), job.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        [(axum::http::HeaderName::from_static(name), value.parse().unwrap())].into_iter().collect()
    }

    #[test]
    fn both_names_of_the_start_limit_are_read() {
        for name in ["x-fal-request-timeout", "x-fal-request-start-timeout"] {
            assert_eq!(start_limit(&headers(name, "2.5")).unwrap(), Some(Duration::from_millis(2500)));
            for bad in ["", "soon", "0", "-1", "NaN", "inf", "1e300"] {
                assert!(start_limit(&headers(name, bad)).is_err(), "{bad}");
            }
        }
        assert_eq!(start_limit(&HeaderMap::new()).unwrap(), None);
    }
}
