//! DeepInfra's native form: fields in JSON or in a form, pictures as `data:` URIs.

use super::DIALECT;
use super::error::{Error, Failed};
use super::form::Form;
use super::models::{MODEL, native_parameters};
use super::output::NativeResult;
use super::run::{result, run};
use crate::app::App;
use crate::dialects::json::{Fields, idempotency, read_object};
use crate::dialects::{Flow, field_name, generation};
use crate::http::body::drain;
use crate::http::layers::note_job;
use crate::http::multipart::is_form;
use crate::intake::{SourcePicture, take_text};
use crate::parameters::{Numbers, Values, echo, parse_with};
use crate::refusal::Refusal;
use crate::submit::{Submission, submit};
use afterimage_core::{OutputFormat, Size};
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
use std::sync::Arc;

/// `POST /v1/inference/{model}`
pub async fn infer(
    State(app): State<Arc<App>>,
    Extension(key): Extension<ApiKey>,
    model: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let (head, body) = request.into_parts();
    if model.map_or(true, |Path(model)| model != MODEL) || !app.models.serve(MODEL) {
        drain(&head.headers, body).await;
        let failed = Failed { message: "Model not found".to_owned(), ..Failed::unknown_model("") };
        return Error::from(failed).native();
    }
    match make(&app, &key, &head, body).await {
        Ok(made) => Json(made).into_response(),
        Err(error) => error.native(),
    }
}

async fn make(app: &Arc<App>, key: &ApiKey, head: &Parts, body: Body) -> Result<NativeResult, Error> {
    let taken = Taken::read(app, &key.id, &head.headers, body).await?;
    let webhook = taken.values.text("webhook").filter(|url| !url.is_empty());
    let submission = Submission {
        dialect: DIALECT,
        model: MODEL.to_owned(),
        input: taken.input,
        request: generation(Flow::Variation, &taken.values, size(&taken.values), true),
        pictures: vec![taken.picture],
        format: if taken.values.text("output_format") == Some("jpeg") { OutputFormat::Jpeg } else { OutputFormat::Png },
        public_url: app.public_url.for_request(&head.headers),
        webhook: webhook.map(|url| Webhook { url: url.to_owned(), dialect: DIALECT.to_owned() }),
        idempotency: idempotency(&head.headers, &head.uri, &taken.fingerprint)?,
        priority: Priority::Normal,
        user: None,
        start_within: None,
        kept_for: None,
    };
    // What came with a request that waits is not kept meanwhile.
    drop((taken.values, taken.fingerprint));
    if submission.webhook.is_some() {
        let job = submit(app, key, submission, field_name).await?.into_job();
        note_job(job.id.as_str());
        return Ok(NativeResult::of(&app.blobs, &job).await?);
    }
    let job = run(app, key, submission, field_name).await?;
    result(&job)?;
    Ok(NativeResult::of(&app.blobs, &job).await?)
}

/// A request, checked.
struct Taken {
    values: Values,
    input: Value,
    picture: SourcePicture,
    fingerprint: Bytes,
}

impl Taken {
    async fn read(app: &App, key: &KeyId, headers: &HeaderMap, body: Body) -> Result<Self, Refusal> {
        let parameters = native_parameters();
        if is_form(headers) {
            let form = Form::read(app, key, headers, body, &parameters).await?;
            let values = parse_with(Numbers::OrText, &parameters, &form.object)?;
            let (input, fingerprint) = (echo(&parameters, &form.object), form.fingerprint.clone());
            return Ok(Self { values, input, picture: form.picture(app, key).await?, fingerprint });
        }
        let fields = Fields::of(&parameters).with_pictures(&[]);
        let (object, bytes) = read_object(app, key, headers, body, fields).await?;
        let values = parse_with(Numbers::OrText, &parameters, &object)?;
        let picture = take_text(app, key, "image", values.text("image").unwrap_or_default()).await?;
        let picture = picture.holding(&bytes);
        Ok(Self { input: echo(&parameters, &object), values, picture, fingerprint: bytes })
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
