//! `images/variations` and `images/edits`.

use super::error::Error;
use super::form::Form;
use super::models::{self, MODEL};
use super::output::Images;
use super::run::{FORM_NAMES, run};
use super::{Base, DIALECT};
use crate::app::App;
use crate::dialects::json::idempotency;
use crate::dialects::parameters::{Numbers, Problem, ProblemKind, echo, parse_with};
use crate::dialects::{Flow, generation};
use crate::intake::SourcePicture;
use crate::submit::Submission;
use afterimage_core::Size;
use afterimage_jobs::{ApiKey, OutputFormat, Priority};
use axum::Json;
use axum::extract::{Extension, Request, State};
use serde_json::Value;
use std::sync::Arc;

/// `POST images/variations`
pub async fn variations(
    State(app): State<Arc<App>>,
    Extension(key): Extension<ApiKey>,
    Extension(base): Extension<Base>,
    request: Request,
) -> Result<Json<Images>, Error> {
    make(&app, &key, base, Flow::Variation, request).await
}

/// `POST images/edits`
pub async fn edits(
    State(app): State<Arc<App>>,
    Extension(key): Extension<ApiKey>,
    Extension(base): Extension<Base>,
    request: Request,
) -> Result<Json<Images>, Error> {
    make(&app, &key, base, Flow::ImageToImage, request).await
}

async fn make(app: &Arc<App>, key: &ApiKey, base: Base, flow: Flow, request: Request) -> Result<Json<Images>, Error> {
    let (head, body) = request.into_parts();
    let form = Form::read(app, &head.headers, body).await?;
    models::check(form.object.get("model").and_then(Value::as_str))?;
    let parameters = models::form_parameters(flow, base);
    let values = parse_with(Numbers::OrText, &parameters, &form.object)?;
    if values.switch("stream") {
        return Err(Problem::new("stream", ProblemKind::NotAnOption, "not supported; leave it off").into());
    }
    let public_url = app.public_url.for_request(&head.headers);
    let idempotency = idempotency(&head.headers, head.uri.path(), &form.digest)?;
    let input = echo(&parameters, &form.object);
    let picture = form.picture(app).await?;
    if flow == Flow::ImageToImage {
        check_kept_size(values.text("size"), &picture)?;
    }
    let mut generation = generation(flow, &values, values.size("size"), true);
    if let Some(n) = values.integer("n") {
        generation.num_images = n as u32;
    }
    let submission = Submission {
        dialect: DIALECT,
        model: MODEL.to_owned(),
        input,
        request: generation,
        pictures: vec![picture],
        format: if values.text("output_format") == Some("jpeg") { OutputFormat::Jpeg } else { OutputFormat::Png },
        public_url: public_url.clone(),
        webhook: None,
        idempotency,
        priority: Priority::Normal,
        user: values.text("user").map(str::to_owned),
        start_within: None,
        store_io: true,
    };
    let by_address = values.text("response_format") == Some("url");
    // What came with a request that waits is not kept meanwhile.
    drop(values);
    let job = run(app, key, submission, FORM_NAMES).await?;
    if by_address {
        return Ok(Json(Images::with_addresses(&job, &public_url, &app.links)?));
    }
    Ok(Json(Images::inlined(&app.blobs, &job).await?))
}

/// Image-to-image keeps the picture's size, so any other one is refused rather than ignored.
fn check_kept_size(text: Option<&str>, picture: &SourcePicture) -> Result<(), Problem> {
    let Some(text) = text.map(str::trim).filter(|text| !text.eq_ignore_ascii_case("auto")) else { return Ok(()) };
    let shown: String = text.chars().take(30).collect();
    let asked: Size = text.parse().map_err(|_| {
        let message = format!("{shown:?} is not a size; expected auto, or the picture's size as WIDTHxHEIGHT");
        Problem::new("size", ProblemKind::Malformed, message)
    })?;
    let rounded = |size: Size| (size.width / 16, size.height / 16);
    let kept = picture.size();
    if kept.is_some_and(|size| rounded(size) == rounded(asked)) {
        return Ok(());
    }
    let kept = kept.map_or_else(String::new, |size| format!(", here {size}"));
    let message = format!("{asked} cannot be made: an edit keeps the picture's size{kept}; send auto or leave it out");
    Err(Problem::new("size", ProblemKind::OutOfRange, message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::Task;
    use bytes::Bytes;
    use serde_json::json;

    fn request(flow: Flow, fields: &Value) -> afterimage_core::GenerationRequest {
        let parameters = models::form_parameters(flow, Base::OpenAi);
        let values = parse_with(Numbers::OrText, &parameters, fields.as_object().unwrap()).unwrap();
        generation(flow, &values, values.size("size"), true)
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
    fn an_edit_takes_no_other_size_than_its_picture_has() {
        let picture = SourcePicture::Inline { bytes: Bytes::new(), size: Size::new(513, 256) };
        for good in [None, Some("auto"), Some("AUTO"), Some("513x256"), Some("512x256")] {
            assert_eq!(check_kept_size(good, &picture), Ok(()), "{good:?}");
        }
        for bad in ["1024x1024", "", "large", "256x513"] {
            assert_eq!(check_kept_size(Some(bad), &picture).unwrap_err().field, "size", "{bad}");
        }
        let remote = SourcePicture::Remote { url: "https://example.com/a.png".to_owned() };
        assert!(check_kept_size(Some("512x256"), &remote).is_err());
    }
}
