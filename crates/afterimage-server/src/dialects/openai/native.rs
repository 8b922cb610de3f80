//! DeepInfra's native form: fields in JSON or in a form, pictures as `data:` URIs.

use super::DIALECT;
use super::error::{Failed, HandlerError};
use super::form::Form;
use super::models::{MODEL, native_parameters, unknown_model};
use super::output::NativeResult;
use super::run::{result, run};
use crate::dialects::{Flow, TakenPictures, field_name, generation};
use crate::files::ResultFiles;
use crate::follow::SyncRunner;
use crate::http::body::drain;
use crate::http::idempotency;
use crate::http::json::{Fields, read_object};
use crate::http::layers::note_job;
use crate::http::multipart::is_form;
use crate::intake::{Intake, take_text};
use crate::parameters::{Numbers, Values, echo, parse_with};
use crate::refusal::Refusal;
use crate::submit::{Submission, submit};
use afterimage_core::{OutputFormat, PictureRole, Size};
use afterimage_jobs::{ApiKey, KeyId, Priority, Webhook};
use axum::Json;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Extension, Path, Request, State};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use serde_json::Value;

/// `POST /v1/inference/{model}`
pub async fn infer(
    State(intake): State<Intake>,
    State(sync): State<SyncRunner>,
    State(files): State<ResultFiles>,
    Extension(key): Extension<ApiKey>,
    model: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    if model.map_or(true, |Path(model)| model != MODEL) || !sync.submitter.models.serve(MODEL) {
        drain(&head.headers, body).await;
        let failed = Failed { message: "Model not found".to_owned(), ..unknown_model("") };
        return HandlerError::from(failed).native();
    }
    let made = match submission(&intake, &key.id, &head, body).await {
        Ok(submission) => make(&sync, &files, &key, submission).await,
        Err(refusal) => Err(refusal.into()),
    };
    match made {
        Ok(made) => Json(made).into_response(),
        Err(error) => error.native(),
    }
}

/// Reads and checks a request of `key`. What came with it is not kept while it waits.
async fn submission(intake: &Intake, key: &KeyId, head: &Parts, body: Body) -> Result<Submission, Refusal> {
    let checked = CheckedRequest::read(intake, key, &head.headers, body).await?;
    let webhook = checked.values.text("webhook").filter(|url| !url.is_empty());
    Ok(Submission {
        dialect: DIALECT,
        model: MODEL.to_owned(),
        input: checked.input,
        request: generation(Flow::Variation, &checked.values, size(&checked.values), &checked.pictures.roles),
        pictures: checked.pictures.pictures,
        format: if checked.values.text("output_format") == Some("jpeg") {
            OutputFormat::Jpeg
        } else {
            OutputFormat::Png
        },
        public_url: intake.public_url.for_request(&head.headers),
        webhook: webhook.map(|url| Webhook { url: url.to_owned(), dialect: DIALECT.to_owned() }),
        webhook_name: "webhook",
        idempotency: idempotency(&head.headers, &head.uri, &checked.fingerprint)?,
        priority: Priority::Normal,
        user: None,
        start_within: None,
        kept_for: None,
    })
}

async fn make(
    sync: &SyncRunner,
    files: &ResultFiles,
    key: &ApiKey,
    submission: Submission,
) -> Result<NativeResult, HandlerError> {
    if submission.webhook.is_some() {
        let job = submit(&sync.submitter, key, submission, field_name).await?.into_job();
        note_job(job.id.as_str());
        return Ok(NativeResult::of(files, &job).await?);
    }
    let job = run(sync, key, submission, field_name).await?;
    result(&job)?;
    Ok(NativeResult::of(files, &job).await?)
}

/// A request, checked.
struct CheckedRequest {
    values: Values,
    input: Value,
    pictures: TakenPictures,
    fingerprint: Bytes,
}

impl CheckedRequest {
    async fn read(intake: &Intake, key: &KeyId, headers: &HeaderMap, body: Body) -> Result<Self, Refusal> {
        let parameters = native_parameters();
        if is_form(headers) {
            let form = Form::read(&intake.bodies, key, headers, body, &parameters).await?;
            let values = parse_with(Numbers::OrText, &parameters, &form.object)?;
            let (input, fingerprint) = (echo(&parameters, &form.object), form.fingerprint.clone());
            return Ok(Self { values, input, pictures: form.pictures(intake, key, false).await?, fingerprint });
        }
        let fields = Fields::of(&parameters).with_pictures(&[]);
        let (object, bytes) = read_object(&intake.bodies, key, headers, body, fields).await?;
        let values = parse_with(Numbers::OrText, &parameters, &object)?;
        let picture = take_text(intake, key, "image", values.text("image").unwrap_or_default()).await?;
        let pictures = TakenPictures { pictures: vec![picture.holding(&bytes)], roles: vec![PictureRole::Picture] };
        Ok(Self { input: echo(&parameters, &object), values, pictures, fingerprint: bytes })
    }
}

fn size(values: &Values) -> Option<Size> {
    Some(Size::new(values.integer("width")? as u32, values.integer("height")? as u32))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn sides_may_be_texts_and_default_to_1024() {
        let of = |fields: Value| {
            size(&parse_with(Numbers::OrText, &native_parameters(), fields.as_object().unwrap()).unwrap())
        };
        assert_eq!(of(json!({"image": "x", "width": "512", "height": 256})), Some(Size::new(512, 256)));
        assert_eq!(of(json!({"image": "x", "width": null})), Some(Size::new(1024, 1024)));
    }
}
