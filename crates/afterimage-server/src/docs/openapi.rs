//! The OpenAPI document: paths and answers from the handlers, requests from the dialects' parameter lists.

use crate::dialects::parameters::json_schema;
use crate::dialects::wavespeed;
use crate::operations::health;
use serde_json::{Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Afterimage",
        description = "Variations of pictures with FLUX.1 Redux, and image-to-image. Send a key as `Authorization: Bearer KEY`.",
    ),
    paths(
        health::healthz,
        health::readyz,
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
struct Handlers;

/// Refusals that any operation of a dialect may answer with.
const REFUSALS: [(&str, &str); 10] = [
    ("400", "A field that cannot be used; the message names it"),
    ("401", "No key, or an unknown one"),
    ("404", "Nothing under this id or path for this key"),
    ("405", "The path has no such method"),
    ("408", "The body did not arrive in time"),
    ("413", "The body is too large"),
    ("422", "The idempotency key was used with another request"),
    ("429", "Too many wrong keys; see Retry-After"),
    ("500", "A fault of the server"),
    ("503", "Database or disk not available; see Retry-After. Nothing was stored"),
];

/// The document, OpenAPI 3.1.
pub fn document() -> Value {
    let mut document = serde_json::to_value(Handlers::openapi()).unwrap_or_else(|_| json!({}));
    document["components"]["securitySchemes"] = json!({
        "key": {"type": "http", "scheme": "bearer", "description": "`Authorization: Key KEY` is accepted too"}
    });
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
    add_refusals(&mut document);
    document
}

fn submit_operation(model: &wavespeed::Model) -> Value {
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

/// Adds what every operation behind a key may answer, in the dialect's error shape.
fn add_refusals(document: &mut Value) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    let operations = paths
        .iter_mut()
        .filter(|(path, _)| path.starts_with("/api/"))
        .filter_map(|(_, methods)| methods.as_object_mut())
        .flat_map(|methods| methods.values_mut());
    for operation in operations {
        operation["security"] = json!([{"key": []}]);
        for (status, description) in REFUSALS {
            operation["responses"][status] = json!({
                "description": description,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorBody"}}},
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_leads_somewhere() {
        fn references(value: &Value, found: &mut Vec<String>) {
            match value {
                Value::Object(object) => {
                    found.extend(object.get("$ref").and_then(Value::as_str).map(str::to_owned));
                    object.values().for_each(|value| references(value, found));
                }
                Value::Array(array) => array.iter().for_each(|value| references(value, found)),
                _ => {}
            }
        }
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        assert!(!found.is_empty());
        for reference in found {
            let pointer = reference.trim_start_matches('#');
            assert!(document.pointer(pointer).is_some(), "{reference} is missing");
        }
    }

    #[test]
    fn every_model_is_there_with_its_parameters() {
        let document = document();
        for model in &wavespeed::MODELS {
            let operation = &document["paths"][format!("/api/v3/{}", model.id)]["post"];
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            assert_eq!(schema["properties"]["num_inference_steps"]["default"], 28, "{}", model.id);
            assert_eq!(operation["responses"]["400"]["description"], REFUSALS[0].1);
        }
    }
}
