//! Submitting a task.

use super::DIALECT;
use super::error::{Answer, ErrorBody};
use super::models::MODELS;
use super::prediction::{Envelope, Prediction};
use super::submission::{CheckedFields, submission_of};
use super::tasks::render;
use crate::dialects::{Model, field_name};
use crate::files::ResultFiles;
use crate::follow::SyncRunner;
use crate::http::idempotency;
use crate::http::json::{Fields, read_object};
use crate::http::layers::note_job;
use crate::intake::Intake;
use crate::parameters::parse;
use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use crate::submit::submit;
use crate::text::cut;
use afterimage_jobs::{ApiKey, Webhook};
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The part of a submit's query that is read.
#[derive(Debug, Default, Deserialize)]
pub struct SubmitQuery {
    webhook: Option<String>,
}

/// `POST /api/v3/{model}`
pub async fn submit_task(
    State(intake): State<Intake>,
    State(sync): State<SyncRunner>,
    State(files): State<ResultFiles>,
    Extension(key): Extension<ApiKey>,
    Path(model): Path<String>,
    query: Result<Query<SubmitQuery>, QueryRejection>,
    request: Request,
) -> Answer {
    let model =
        Model::find_served(&MODELS, &sync.submitter.models, &model).map_err(|known| unknown_model(&model, &known))?;
    let (parts, body) = request.into_parts();
    let parameters = model.parameters();
    let fields = Fields::of(&parameters).with_pictures(&["webhook_url"]);
    let (object, bytes) = read_object(&intake.bodies, &key.id, &parts.headers, body, fields).await?;
    let values = parse(&parameters, &object).map_err(Refusal::from)?;
    let base = intake.public_url.for_request(&parts.headers);

    let Query(query) = query.map_err(|_| {
        Refusal::from(Problem::new("webhook", ProblemKind::Malformed, "is no text, or there are several; send one URL"))
    })?;
    let webhook = webhook_url(query, &object)?;
    if webhook.is_some() && values.switch("enable_base64_output") {
        return Ok(base64_with_webhook());
    }
    let fields = CheckedFields { model, parameters: &parameters, object: &object, values: &values, body: &bytes };
    let mut submission = submission_of(&intake, &key.id, &fields, base.clone()).await?;
    submission.webhook = webhook.map(|url| Webhook { url, dialect: DIALECT.to_owned() });
    submission.idempotency = idempotency(&parts.headers, &parts.uri, &bytes)?;
    let waits = values.switch("enable_sync_mode");
    // What came with a request that waits is not kept meanwhile.
    drop((object, values, bytes));
    if !waits {
        let job = submit(&sync.submitter, &key, submission, field_name).await?.into_job();
        note_job(job.id.as_str());
        return Ok(Json(Envelope::success(render(&files, &job, &base).await?)).into_response());
    }
    let job = sync.run(&key, submission, field_name).await?;
    let prediction = render(&files, &job, &base).await?;
    let prediction =
        if job.state.is_terminal() { prediction } else { prediction.with_sync_timeout(&sync.why_not_done()) };
    Ok(Json(Envelope::<Prediction>::success(prediction)).into_response())
}

/// `?webhook=` or, as newer documentation of the service has it, the field `webhook_url`.
fn webhook_url(query: SubmitQuery, object: &Map<String, Value>) -> Result<Option<String>, Refusal> {
    let in_body = match object.get("webhook_url") {
        None | Some(Value::Null) => None,
        Some(Value::String(url)) => Some(url.clone()),
        Some(_) => {
            return Err(Problem::new("webhook_url", ProblemKind::WrongType, "expected a URL as text").into());
        }
    };
    Ok(query.webhook.or(in_body).filter(|url| !url.is_empty()))
}

fn unknown_model(id: &str, known: &str) -> Refusal {
    let shown = cut(id, 100);
    Refusal::NotFound(format!("model {shown:?} is not known; there are {known}"))
}

fn base64_with_webhook() -> Response {
    let message = "webhook callback does not support base64 output; leave enable_base64_output off";
    let body = ErrorBody { code: 400, message: message.to_owned(), error: Some(message.to_owned()), error_code: None };
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::generation;
    use afterimage_core::{GenerationRequest, PictureRole, Size, Task};
    use serde_json::json;

    fn request(model: &str, body: &Value, with_picture: bool) -> GenerationRequest {
        let model = Model::find(&MODELS, model).unwrap();
        let values = parse(&model.parameters(), body.as_object().unwrap()).unwrap();
        generation(model.flow, &values, values.size("size"), if with_picture { &[PictureRole::Picture] } else { &[] })
    }

    #[test]
    fn defaults_are_those_of_the_service() {
        let request = request("wavespeed-ai/flux-redux-dev", &json!({"image": "x"}), true);
        assert_eq!(request.size, Some(Size::new(1024, 1024)));
        assert_eq!((request.steps, request.num_images, request.seed), (28, 1, None));
        assert!((request.guidance - 3.5).abs() < f64::EPSILON);
        assert!(matches!(request.task, Task::Variation(_)));
    }

    #[test]
    fn seed_zero_is_a_seed_and_minus_one_is_none() {
        let seed =
            |value: Value| request("wavespeed-ai/flux-redux-pro", &json!({"image": "x", "seed": value}), true).seed;
        assert_eq!(seed(json!(0)), Some(0));
        assert_eq!(seed(json!(-1)), None);
        assert_eq!(seed(Value::Null), None);
        assert_eq!(seed(json!(2_147_483_647)), Some(2_147_483_647));
    }

    #[test]
    fn without_a_picture_the_prompt_alone_makes_one() {
        let model = "wavespeed-ai/flux-srpo/image-to-image";
        let alone = request(model, &json!({"prompt": "a lake"}), false);
        assert_eq!((alone.task, alone.size), (Task::TextToImage, Some(Size::new(1024, 1024))));
        let with = request(model, &json!({"prompt": "a lake", "image": "x"}), true);
        assert_eq!((with.task, with.size), (Task::ImageToImage { strength: 0.8 }, None));
    }
}
