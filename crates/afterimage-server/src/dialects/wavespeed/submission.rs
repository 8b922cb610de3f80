//! From the checked fields of a request for one of this dialect's models to a [`Submission`].

use super::DIALECT;
use crate::dialects::{Model, PLAIN_NAMES, TakenPictures, generation, take_pictures};
use crate::intake::Intake;
use crate::parameters::{Parameter, Values, echo};
use crate::refusal::Refusal;
use crate::submit::Submission;
use afterimage_core::OutputFormat;
use afterimage_jobs::{KeyId, Priority};
use bytes::Bytes;
use serde_json::{Map, Value};

/// The fields of a request, after they were checked.
pub struct CheckedFields<'a> {
    /// Whose fields they are.
    pub model: &'static Model,
    /// Those that the task shows of its request.
    pub parameters: &'a [Parameter],
    /// As they were sent.
    pub object: &'a Map<String, Value>,
    /// As they were understood.
    pub values: &'a Values,
    /// What they came in: its share of memory is held until the pictures are stored.
    pub body: &'a Bytes,
}

/// What `fields` of a request of `key` ask for, with the pictures that they name. It has no webhook and no idempotency key.
///
/// # Errors
/// Those of [`take_pictures`].
pub async fn submission_of(
    intake: &Intake,
    key: &KeyId,
    fields: &CheckedFields<'_>,
    public_url: String,
) -> Result<Submission, Refusal> {
    let CheckedFields { model, parameters, object, values, body } = fields;
    let TakenPictures { pictures, roles } = take_pictures(intake, key, values, &PLAIN_NAMES, body).await?;
    Ok(Submission {
        dialect: DIALECT,
        model: model.id.to_owned(),
        input: echo(parameters, object),
        request: generation(model.flow, values, values.size("size"), &roles),
        pictures,
        format: if values.text("output_format") == Some("png") { OutputFormat::Png } else { OutputFormat::Jpeg },
        public_url,
        webhook: None,
        webhook_name: "webhook",
        idempotency: None,
        priority: Priority::Normal,
        user: None,
        start_within: None,
        kept_for: None,
    })
}
