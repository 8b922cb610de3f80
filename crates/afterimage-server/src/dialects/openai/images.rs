//! `images/variations` and `images/edits`.

use super::error::HandlerError;
use super::form::Form;
use super::models::{self, MODEL};
use super::output::Images;
use super::run::{form_field_name, run};
use super::stream::stream;
use super::{Base, DIALECT};
use crate::dialects::{Flow, TakenPictures, generation};
use crate::files::ResultFiles;
use crate::follow::SyncRunner;
use crate::http::idempotency;
use crate::http::multipart::is_json;
use crate::intake::Intake;
use crate::model_sets::ModelSets;
use crate::parameters::{Numbers, Values, echo, parse_with};
use crate::problem::{Problem, ProblemKind};
use crate::submit::Submission;
use afterimage_core::{MaskReading, OutputFormat, Task};
use afterimage_jobs::{ApiKey, KeyId, Priority};
use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// `POST images/variations`
pub async fn variations(
    State(intake): State<Intake>,
    State(sync): State<SyncRunner>,
    State(files): State<ResultFiles>,
    Extension(key): Extension<ApiKey>,
    Extension(base): Extension<Base>,
    request: Request,
) -> Result<Response, HandlerError> {
    let (submission, format) = read(&intake, &sync.submitter.models, &key.id, base, Flow::Variation, request).await?;
    answer(&sync, &files, &key, submission, format).await
}

/// `POST images/edits`
pub async fn edits(
    State(intake): State<Intake>,
    State(sync): State<SyncRunner>,
    State(files): State<ResultFiles>,
    Extension(key): Extension<ApiKey>,
    Extension(base): Extension<Base>,
    request: Request,
) -> Result<Response, HandlerError> {
    let (submission, format) =
        read(&intake, &sync.submitter.models, &key.id, base, Flow::ImageToImage, request).await?;
    answer(&sync, &files, &key, submission, format).await
}

/// How the pictures reach the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ResponseFormat {
    Inlined,
    Addresses,
    Streamed { partial_images: u32 },
}

/// Runs `submission` and answers in `format`.
async fn answer(
    sync: &SyncRunner,
    files: &ResultFiles,
    key: &ApiKey,
    submission: Submission,
    format: ResponseFormat,
) -> Result<Response, HandlerError> {
    let public_url = submission.public_url.clone();
    let images = match format {
        ResponseFormat::Streamed { partial_images } => {
            return stream(sync, files, key, submission, partial_images).await;
        }
        ResponseFormat::Addresses => {
            Images::with_addresses(&run(sync, key, submission, form_field_name).await?, &public_url, &files.links)?
        }
        ResponseFormat::Inlined => Images::inlined(files, &run(sync, key, submission, form_field_name).await?).await?,
    };
    Ok(Json(images).into_response())
}

/// Reads and checks a request of `key`.
async fn read(
    intake: &Intake,
    sets: &ModelSets,
    key: &KeyId,
    base: Base,
    flow: Flow,
    request: Request,
) -> Result<(Submission, ResponseFormat), HandlerError> {
    let (head, body) = request.into_parts();
    let parameters = models::form_parameters(flow, base);
    // The service takes edits in JSON, too.
    let form = if flow == Flow::ImageToImage && is_json(&head.headers) {
        Form::read_json(&intake.bodies, key, &head.headers, body, &parameters).await?
    } else {
        Form::read(&intake.bodies, key, &head.headers, body, &parameters).await?
    };
    models::check(sets, form.object.get("model").and_then(Value::as_str))?;
    let values = parse_with(Numbers::OrText, &parameters, &form.object)?;
    let response_format =
        response_format(flow, &values, form.object.get("response_format").is_some_and(|format| !format.is_null()))?;
    let idempotency = idempotency(&head.headers, &head.uri, &form.fingerprint)?;
    let input = echo(&parameters, &form.object);
    let TakenPictures { pictures, roles } = form.pictures(intake, key, flow == Flow::ImageToImage).await?;
    let mut generation = generation(flow, &values, values.size("size"), &roles);
    if let Task::Inpaint(settings) = &mut generation.task {
        settings.mask_reading = MaskReading::Transparency;
    }
    if let Some(n) = values.integer("n") {
        generation.num_images = n as u32;
    }
    let submission = Submission {
        dialect: DIALECT,
        model: MODEL.to_owned(),
        input,
        request: generation,
        pictures,
        format: if values.text("output_format") == Some("jpeg") { OutputFormat::Jpeg } else { OutputFormat::Png },
        public_url: intake.public_url.for_request(&head.headers),
        webhook: None,
        webhook_name: "webhook",
        idempotency,
        priority: Priority::Normal,
        user: values.text("safety_identifier").or_else(|| values.text("user")).map(str::to_owned),
        start_within: None,
        kept_for: None,
    };
    Ok((submission, response_format))
}

/// How the client wants its pictures. A stream takes what the service's takes: one picture, and base64 only.
fn response_format(flow: Flow, values: &Values, format_is_given: bool) -> Result<ResponseFormat, Problem> {
    let refused = |field: &str, message: &str| Err(Problem::new(field, ProblemKind::OutOfRange, message));
    let addresses = values.text("response_format") == Some("url");
    let partial_images = values.integer("partial_images").unwrap_or(0) as u32;
    if !values.switch("stream") {
        if partial_images > 0 {
            return refused("partial_images", "there are previews only in streams; set stream, or leave this out");
        }
        return Ok(if addresses { ResponseFormat::Addresses } else { ResponseFormat::Inlined });
    }
    if flow == Flow::Variation {
        return refused("stream", "variations do not stream; leave it off");
    }
    if values.integer("n").is_some_and(|n| n > 1) {
        return refused("n", "a stream has one picture; send 1, or leave stream off");
    }
    if addresses && format_is_given {
        return refused("response_format", "a stream has the picture itself; send b64_json, or leave stream off");
    }
    Ok(ResponseFormat::Streamed { partial_images })
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::{PictureRole, Size};
    use serde_json::json;

    fn request(flow: Flow, fields: &Value) -> afterimage_core::GenerationRequest {
        let parameters = models::form_parameters(flow, Base::OpenAi);
        let values = parse_with(Numbers::OrText, &parameters, fields.as_object().unwrap()).unwrap();
        generation(flow, &values, values.size("size"), &[PictureRole::Picture])
    }

    #[test]
    fn defaults_and_texts() {
        let made = request(Flow::Variation, &json!({"image": "x"}));
        assert_eq!((made.size, made.steps, made.seed), (Some(Size::new(1024, 1024)), 25, None));
        let fields = json!({"image": "x", "size": "512x256", "num_inference_steps": "3", "seed": "7"});
        let made = request(Flow::Variation, &fields);
        assert_eq!((made.size, made.steps, made.seed), (Some(Size::new(512, 256)), 3, Some(7)));
        let made = request(Flow::ImageToImage, &json!({"image": "x", "prompt": "p", "strength": "0.5"}));
        assert_eq!((made.task, made.size), (Task::ImageToImage { strength: 0.5 }, None));
        for (size, expected) in [("auto", None), ("512x256", Some(Size::new(512, 256)))] {
            let made = request(Flow::ImageToImage, &json!({"image": "x", "prompt": "p", "size": size}));
            assert_eq!(made.size, expected, "{size}");
        }
    }

    #[test]
    fn the_bases_differ_in_what_they_return_by_default() {
        for (base, expected) in [(Base::DeepInfra, "b64_json"), (Base::OpenAi, "url")] {
            let fields = json!({"image": "x"});
            let parameters = models::form_parameters(Flow::Variation, base);
            let values = parse_with(Numbers::OrText, &parameters, fields.as_object().unwrap()).unwrap();
            assert_eq!(values.text("response_format"), Some(expected));
        }
    }

    #[test]
    fn a_stream_has_one_picture_as_base64_and_previews() {
        let of = |flow: Flow, fields: Value| {
            let fields = fields.as_object().unwrap();
            let values = parse_with(Numbers::OrText, &models::form_parameters(flow, Base::OpenAi), fields).unwrap();
            response_format(flow, &values, fields.contains_key("response_format")).map_err(|problem| problem.field)
        };
        let edit = |more: Value| {
            let mut fields = json!({"image": "x", "prompt": "p"});
            fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            of(Flow::ImageToImage, fields)
        };
        assert_eq!(edit(json!({})), Ok(ResponseFormat::Addresses));
        assert_eq!(edit(json!({"response_format": "b64_json", "partial_images": "0"})), Ok(ResponseFormat::Inlined));
        assert_eq!(edit(json!({"stream": "true"})), Ok(ResponseFormat::Streamed { partial_images: 0 }));
        let streamed = json!({"stream": "true", "partial_images": "3", "n": "1", "response_format": "b64_json"});
        assert_eq!(edit(streamed), Ok(ResponseFormat::Streamed { partial_images: 3 }));
        assert_eq!(edit(json!({"partial_images": "1"})), Err("partial_images".to_owned()));
        assert_eq!(edit(json!({"stream": "true", "n": "2"})), Err("n".to_owned()));
        assert_eq!(edit(json!({"stream": "true", "response_format": "url"})), Err("response_format".to_owned()));
        assert_eq!(of(Flow::Variation, json!({"image": "x", "stream": "true"})), Err("stream".to_owned()));
    }
}
