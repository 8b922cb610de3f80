//! The part of `WaveSpeed` v3.

use super::edit::{add_alias, add_refusals};
use crate::dialects::{Model, wavespeed};
use crate::parameters::json_schema;
use serde_json::{Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    paths(
        wavespeed::predictions::result,
        wavespeed::predictions::list,
        wavespeed::predictions::delete,
        wavespeed::events::events,
        wavespeed::events::cancel_task,
        wavespeed::account::models,
        wavespeed::account::pricing,
        wavespeed::account::price,
        wavespeed::account::balance,
        wavespeed::uploads::binary,
        wavespeed::uploads::ticket,
        wavespeed::webhook::secret,
    ),
    components(schemas(wavespeed::ErrorBody, wavespeed::Envelope<wavespeed::Prediction>))
)]
struct WavespeedHandlers;

/// A field that cannot be used.
const FIELD: (&str, &str) = ("400", "A field that cannot be used; the message names it");

/// The dialect's own refusals.
const OWN: [(&str, &str); 3] = [
    FIELD,
    ("404", "Nothing under this id or path for this key"),
    ("422", "The idempotency key was used with another request"),
];

/// What was there.
const GONE: (&str, &str) = ("410", "The task was deleted");

/// Paths and answers from the handlers.
pub fn handlers() -> utoipa::openapi::OpenApi {
    WavespeedHandlers::openapi()
}

/// Adds what the handlers do not say: requests, models, refusals.
pub fn complete(document: &mut Value) {
    for model in &wavespeed::MODELS {
        document["paths"][format!("/api/v3/{}", model.id)] = json!({"post": submit_operation(model)});
    }
    let requests = [
        ("/api/v3/predictions", wavespeed::predictions::list_schema()),
        ("/api/v3/predictions/delete", wavespeed::predictions::delete_schema()),
        ("/api/v3/media/uploads", json_schema(&wavespeed::uploads::ticket_parameters())),
        ("/api/v3/model/pricing", wavespeed::account::price_schema()),
        ("/api/v3/model/price", wavespeed::account::price_schema()),
    ];
    for (path, schema) in requests {
        document["paths"][path]["post"]["requestBody"] = json!({"content": {"application/json": {"schema": schema}}});
    }
    document["paths"]["/api/v3/media/upload/binary"]["post"]["requestBody"] = json!({
        "required": true,
        "content": {"multipart/form-data": {"schema": {
            "type": "object",
            "properties": {"file": {"type": "string", "format": "binary", "description": "The picture."}},
            "required": ["file"],
        }}},
    });
    add_alias(document, "/api/v3/predictions/{id}", "/api/v3/predictions/{id}/result");
    add_alias(document, "/api/v3/account/balance", "/api/v3/balance");
    add_refusals(document, &["/api/v3/"], &OWN, "ErrorBody");
    add_refusals(document, &["/api/v3/predictions/{id}"], &[GONE], "ErrorBody");
}

fn submit_operation(model: &Model) -> Value {
    json!({
        "tags": ["wavespeed"],
        "summary": model.name,
        "description": model.description,
        "operationId": model.id.replace('/', "-"),
        "parameters": [{
            "name": "webhook", "in": "query", "schema": {"type": "string"},
            "description": "Where to report the end; signed, see /api/v3/webhook/secret.",
        }, {
            "name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "minLength": 1, "maxLength": 255},
            "description": "Repetitions with the same key and body get the first one's task.",
        }],
        "requestBody": {"required": true, "content": {"application/json": {"schema": json_schema(&model.parameters())}}},
        "responses": {"200": {
            "description": "The task; in synchronous mode with its results",
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Envelope_Prediction"}}},
        }},
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docs::openapi::document;

    #[test]
    fn every_model_is_there_with_its_parameters() {
        let document = document();
        for model in &wavespeed::MODELS {
            let operation = &document["paths"][format!("/api/v3/{}", model.id)]["post"];
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert_eq!(schema["properties"]["num_inference_steps"]["default"], 28, "{}", model.id);
            assert_eq!(operation["responses"]["400"]["description"], FIELD.1);
        }
    }
}
