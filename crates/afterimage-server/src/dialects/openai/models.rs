//! The one model of this dialect, its parameters on every route, and the list of models.

use super::Base;
use super::error::{Failed, HandlerError};
use crate::dialects::Flow;
use crate::model_sets::ModelSets;
use crate::parameters::common::{
    balance, guidance, loras, num_images, num_images_called, output_format, painting, redux_downsample, redux_strength,
    required_prompt, restyling_prompt, seed, steps, strength,
};
use crate::parameters::{Kind, Parameter};
use afterimage_core::{Size, limits};
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// The model's id.
pub const MODEL: &str = "black-forest-labs/FLUX-1-Redux-dev";

/// What the model is, for people.
pub const DESCRIPTION: &str = "Variations of a picture with the open FLUX.1 Redux adapter, and image-to-image.";

/// When the model was published, in seconds since 1970.
const PUBLISHED: u64 = 1_732_147_200;

/// Steps that the service's price is given for, which are its default.
const STEPS: i64 = 25;

/// Bytes of a name: of a model, of an end user.
const NAME_BYTES: usize = 512;

/// Accepted pixels per side.
const SIDE: std::ops::RangeInclusive<u32> = 256..=1536;

const SIZE: Size = Size::new(1024, 1024);

/// The list of models.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenAiModels)]
pub struct ModelList {
    /// `list`.
    pub object: &'static str,
    /// The models.
    pub data: Vec<ListedModel>,
}

/// One model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenAiModel)]
pub struct ListedModel {
    /// Its id.
    pub id: &'static str,
    /// `model`.
    pub object: &'static str,
    /// When it was published, in seconds since 1970.
    pub created: u64,
    /// Who made it.
    pub owned_by: &'static str,
    /// More about it.
    pub metadata: ListedModelMetadata,
}

/// More about a model.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenAiModelMetadata)]
pub struct ListedModelMetadata {
    /// What it does.
    pub description: &'static str,
}

const fn facts() -> ListedModel {
    ListedModel {
        id: MODEL,
        object: "model",
        created: PUBLISHED,
        owned_by: "black-forest-labs",
        metadata: ListedModelMetadata { description: DESCRIPTION },
    }
}

/// `GET models`
pub async fn list(State(sets): State<Arc<ModelSets>>) -> Json<ModelList> {
    let data = if sets.serve(MODEL) { vec![facts()] } else { Vec::new() };
    Json(ModelList { object: "list", data })
}

/// `GET models/{id}`
pub async fn one(
    State(sets): State<Arc<ModelSets>>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<ListedModel>, HandlerError> {
    let id = id.map(|Path(id)| id).unwrap_or_default();
    check(&sets, Some(&id))?;
    Ok(Json(facts()))
}

/// Whether `id` is the model, and one of the server's `sets` serves it; absence means it.
///
/// # Errors
/// [`unknown_model`], [`unserved_model`].
pub fn check(sets: &ModelSets, id: Option<&str>) -> Result<(), Failed> {
    let id = id.unwrap_or(MODEL);
    if !sets.serve(MODEL) {
        return Err(unserved_model(id));
    }
    if id == MODEL { Ok(()) } else { Err(unknown_model(id)) }
}

/// What is said of a model that there is not.
pub fn unknown_model(id: &str) -> Failed {
    model_not_found(id, &format!("there is {MODEL}"))
}

/// What is said of any model on a server whose sets of models all serve other dialects' ids only.
pub fn unserved_model(id: &str) -> Failed {
    model_not_found(id, "this server has no model for these routes")
}

fn model_not_found(id: &str, there_is: &str) -> Failed {
    let shown: String = id.chars().take(100).collect();
    let message = format!("{shown:?} is not known; {there_is}");
    Failed {
        param: Some("model".to_owned()),
        code: Some("model_not_found"),
        ..Failed::new(StatusCode::NOT_FOUND, message)
    }
}

/// What a mask means here.
const MASK: &str = "What is fully transparent in it is changed, what is opaque stays: a file, or as text its URL, data URI \
                    or base64. A PNG with transparency, of any size; it is laid over the whole picture.";

/// Parameters of `images/variations` and `images/edits` under `base`.
pub fn form_parameters(flow: Flow, base: Base) -> Vec<Parameter> {
    let mut parameters = vec![
        Parameter::required(
            "image",
            Kind::Picture,
            "The picture, exactly one: a file, or as text its URL, data URI or base64.",
        ),
        Parameter::optional("model", Kind::Text { max_bytes: NAME_BYTES }, "The model; there is one."),
    ];
    parameters.extend(match flow {
        Flow::Variation => vec![
            restyling_prompt(),
            Parameter::optional(
                "size",
                Kind::Size { side: SIDE, default: Some(SIZE), separator: 'x' },
                "Pixels of the results, WIDTHxHEIGHT; rounded down to multiples of 16.",
            ),
            balance(),
            redux_strength(),
            redux_downsample(),
        ],
        Flow::ImageToImage => vec![
            required_prompt(),
            Parameter::optional(
                "size",
                Kind::Size { side: limits::SIDE, default: None, separator: 'x' },
                "Pixels of the result, WIDTHxHEIGHT, rounded down to multiples of 16: the picture is stretched to it. \
                 `auto` and absence keep the picture's size.",
            ),
            strength(0.8),
            Parameter::optional(
                "background",
                Kind::Choice { options: &["auto", "opaque"], aliases: &[], default: "auto" },
                "Results are opaque either way.",
            ),
        ],
    });
    if flow == Flow::ImageToImage {
        parameters.extend(painting("mask", MASK, true));
    }
    parameters.extend([
        num_images_called("n"),
        Parameter::optional(
            "response_format",
            Kind::Choice { options: &["b64_json", "url"], aliases: &[], default: base.response_format() },
            "Whether the answer has the pictures themselves or their addresses.",
        ),
        output_format("png"),
        seed(u64::MAX),
        steps(STEPS),
        guidance(1.0..=20.0),
        loras(),
        Parameter::optional("user", Kind::Text { max_bytes: NAME_BYTES }, "The caller's own end user."),
    ]);
    parameters.extend(of_delivery(flow));
    parameters
}

/// How results of a form reach the client, and whose they are.
fn of_delivery(flow: Flow) -> Vec<Parameter> {
    match flow {
        Flow::Variation => vec![Parameter::optional(
            "stream",
            Kind::Switch { default: false },
            "Variations do not stream: only `false` is accepted.",
        )],
        Flow::ImageToImage => vec![
            Parameter::optional(
                "safety_identifier",
                Kind::Text { max_bytes: NAME_BYTES },
                "The newer name of `user`, which it goes before.",
            ),
            Parameter::optional(
                "moderation",
                Kind::Choice { options: &["auto", "low"], aliases: &[], default: "auto" },
                "Accepted; results are checked in the same way with both.",
            ),
            Parameter::optional(
                "stream",
                Kind::Switch { default: false },
                "Answer with server-sent events; takes `n` 1 and always sends base64.",
            ),
            Parameter::optional(
                "partial_images",
                Kind::Integer { range: 0..=3, default: Some(0) },
                "With `stream`: previews to send at most; there are fewer when the result is there sooner.",
            ),
        ],
    }
}

/// Parameters of the native route.
pub fn native_parameters() -> Vec<Parameter> {
    let side = |name, description| {
        let kind = Kind::Integer {
            range: i64::from(*SIDE.start())..=i64::from(*SIDE.end()),
            default: Some(i64::from(SIZE.width)),
        };
        Parameter::optional(name, kind, description)
    };
    vec![
        Parameter::required("image", Kind::Picture, "The picture to vary: URL, data URI, base64, or a file in a form."),
        restyling_prompt(),
        side("width", "Pixels across; rounded down to a multiple of 16."),
        side("height", "Pixels down; rounded down to a multiple of 16."),
        num_images(),
        steps(STEPS),
        guidance(1.0..=20.0),
        seed(u64::MAX),
        loras(),
        balance(),
        redux_strength(),
        redux_downsample(),
        output_format("png"),
        Parameter::optional(
            "webhook",
            Kind::Text { max_bytes: 2048 },
            "Where to report the end; the answer then does not wait for it.",
        ),
    ]
}
