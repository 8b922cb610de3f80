//! The catalogue, prices and the balance.

use super::error::Answer;
use super::models::MODELS;
use super::prediction::Envelope;
use crate::cost::{Rates, dollars, quote};
use crate::dialects::{Model, generation};
use crate::http::PublicUrl;
use crate::http::json::{Fields, read_object};
use crate::intake::{Intake, RequestPicture, take_text};
use crate::model_sets::ModelSets;
use crate::parameters::{Parameter, json_schema, parse};
use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use afterimage_core::PictureRole;
use afterimage_jobs::{ApiKey, Store};
use axum::Json;
use axum::extract::{Extension, Request, State};
use axum::http::HeaderMap;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// What an account starts with. Nobody is charged; programs that watch a balance see it fall by what their jobs cost.
const STARTING_BALANCE: f64 = 1_000_000.0;

/// One model of the catalogue.
#[derive(Debug, Serialize, ToSchema)]
pub struct CatalogueItem {
    model_id: &'static str,
    name: &'static str,
    description: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    base_price: f64,
    sort_order: usize,
    formula: String,
    api_schema: Value,
}

/// The price of one request.
#[derive(Debug, Serialize, ToSchema)]
pub struct Pricing {
    model_id: &'static str,
    unit_price: f64,
    currency: &'static str,
}

/// The price of one request, in the newer form.
#[derive(Debug, Serialize, ToSchema)]
pub struct Quote {
    model_id: &'static str,
    price: f64,
    discounted_price: f64,
    discount_rate: f64,
    currency: &'static str,
}

/// What is left of the starting balance.
#[derive(Debug, Serialize, ToSchema)]
pub struct Balance {
    balance: f64,
    currency: &'static str,
}

/// The models and their parameters
#[utoipa::path(get, path = "/api/v3/models", tag = "wavespeed", responses((status = 200, description = "The catalogue", body = Envelope<Vec<CatalogueItem>>)))]
pub async fn models(
    State(public_url): State<PublicUrl>,
    State(rates): State<Rates>,
    State(sets): State<Arc<ModelSets>>,
    headers: HeaderMap,
) -> Json<Envelope<Vec<CatalogueItem>>> {
    let server = public_url.for_request(&headers);
    let rate = rates.dollars;
    let item = |(index, model): (usize, &'static Model)| CatalogueItem {
        model_id: model.id,
        name: model.name,
        description: model.description,
        kind: "image-to-image",
        base_price: rate,
        sort_order: index + 1,
        formula: format!("{rate} * (width / 1024) * (height / 1024) * (num_inference_steps / 25) * num_images"),
        api_schema: json!({"api_schemas": [{
            "type": "model_run",
            "method": "POST",
            "server": server,
            "api_path": format!("/api/v3/{}", model.id),
            "request_schema": json_schema(&model.parameters()),
        }]}),
    };
    Json(Envelope::success(Model::served(&MODELS, &sets).enumerate().map(item).collect()))
}

/// Price of a request
#[utoipa::path(post, path = "/api/v3/model/pricing", tag = "wavespeed", responses((status = 200, description = "The price", body = Envelope<Pricing>)))]
pub async fn pricing(
    State(intake): State<Intake>,
    State(rates): State<Rates>,
    State(sets): State<Arc<ModelSets>>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<Envelope<Pricing>>> {
    let (model, price) = price_of_request(&intake, rates, &sets, &key, request).await?;
    Ok(Json(Envelope::success(Pricing { model_id: model.id, unit_price: price, currency: "USD" })))
}

/// Price of a request, newer form
#[utoipa::path(post, path = "/api/v3/model/price", tag = "wavespeed", responses((status = 200, description = "The price", body = Envelope<Quote>)))]
pub async fn price(
    State(intake): State<Intake>,
    State(rates): State<Rates>,
    State(sets): State<Arc<ModelSets>>,
    Extension(key): Extension<ApiKey>,
    request: Request,
) -> Answer<Json<Envelope<Quote>>> {
    let (model, price) = price_of_request(&intake, rates, &sets, &key, request).await?;
    Ok(Json(Envelope::success(Quote {
        model_id: model.id,
        price,
        discounted_price: price,
        discount_rate: 1.0,
        currency: "USD",
    })))
}

/// Starting balance less what this key's tasks cost
///
/// Nobody is charged.
#[utoipa::path(get, path = "/api/v3/balance", tag = "wavespeed", responses((status = 200, description = "The balance", body = Envelope<Balance>)))]
pub async fn balance(
    State(store): State<Arc<dyn Store>>,
    Extension(key): Extension<ApiKey>,
) -> Answer<Json<Envelope<Balance>>> {
    let spent = dollars(store.spending(&key.id, None).await?.cost_micros);
    Ok(Json(Envelope::success(Balance { balance: STARTING_BALANCE - spent, currency: "USD" })))
}

/// JSON schema of a price's request.
pub fn price_schema() -> Value {
    let ids: Vec<&str> = MODELS.iter().map(|model| model.id).collect();
    json!({
        "type": "object",
        "properties": {"model_id": {"type": "string", "enum": ids}, "inputs": {"type": ["object", "null"]}},
        "required": ["model_id"],
    })
}

async fn price_of_request(
    intake: &Intake,
    rates: Rates,
    sets: &ModelSets,
    key: &ApiKey,
    request: Request,
) -> Result<(&'static Model, f64), Refusal> {
    let (parts, body) = request.into_parts();
    // The inputs are those of a submit, with its pictures.
    let fields = Fields::small(&["model_id"]).with_pictures(&["inputs"]);
    let (object, _) = read_object(&intake.bodies, &key.id, &parts.headers, body, fields).await?;
    let id = object.get("model_id").and_then(Value::as_str).unwrap_or_default();
    let model = Model::find_served(&MODELS, sets, id)
        .map_err(|known| Problem::new("model_id", ProblemKind::NotAnOption, format!("expected one of {known}")))?;
    let inputs = match object.get("inputs") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(inputs)) => inputs.clone(),
        Some(_) => return Err(Problem::new("inputs", ProblemKind::WrongType, "expected an object").into()),
    };
    // A price may be asked for before there is a picture.
    let parameters: Vec<Parameter> =
        model.parameters().into_iter().map(|parameter| Parameter { required: false, ..parameter }).collect();
    let values = parse(&parameters, &inputs)?;
    let picture = match values.text("image") {
        Some(text) => Some(take_text(intake, &key.id, "image", text).await?),
        None => None,
    };
    let request = generation(
        model.flow,
        &values,
        values.size("size"),
        if picture.is_some() { &[PictureRole::Picture] } else { &[] },
    );
    let size = picture.as_ref().and_then(RequestPicture::size);
    Ok((model, dollars(quote(rates, &request, size))))
}
