//! The OpenAPI document: paths and answers from the handlers, requests from the dialects' parameter lists. Each dialect
//! adds its own part.

mod fal;
mod fal_files;
mod openai;
mod wavespeed;

use crate::operations::health;
use serde_json::{Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Afterimage",
        description = "Variations of pictures with FLUX.1 Redux, and image-to-image. Send a key as `Authorization: Bearer KEY`.",
    ),
    paths(health::healthz, health::readyz)
)]
struct Common;

/// The document, OpenAPI 3.1.
pub fn document() -> Value {
    let mut openapi = Common::openapi();
    openapi.merge(wavespeed::handlers());
    openapi.merge(openai::schemas());
    openapi.merge(fal::schemas());
    openapi.merge(fal_files::handlers());
    let mut document = serde_json::to_value(openapi).unwrap_or_else(|_| json!({}));
    document["components"]["securitySchemes"] = json!({
        "key": {"type": "http", "scheme": "bearer", "description": "`Authorization: Key KEY` is accepted too"}
    });
    wavespeed::complete(&mut document);
    openai::complete(&mut document);
    fal::complete(&mut document);
    fal_files::complete(&mut document);
    document
}

/// What any operation that needs a key may be refused with: status and description.
const REFUSALS: [(&str, &str); 8] = [
    ("401", "No key, or an unknown one"),
    ("405", "The path has no such method"),
    ("408", "The body did not arrive in time"),
    ("413", "The body is too large"),
    ("415", "The Content-Encoding is not one of gzip, br, zstd, identity"),
    ("429", "Too many wrong keys; see Retry-After"),
    ("500", "A fault of the server"),
    ("503", "Database, disk or memory not available; see Retry-After. Nothing was stored"),
];

/// Requires a key for every operation of `document` whose path starts with one of `prefixes`, and adds what such
/// operations may be refused with, besides [`REFUSALS`] the dialect's `own`, in the error shape that `error` refers to.
fn add_refusals(document: &mut Value, prefixes: &[&str], own: &[(&str, &str)], error: &str) {
    let Some(paths) = document["paths"].as_object_mut() else { return };
    let operations = paths
        .iter_mut()
        .filter(|(path, _)| prefixes.iter().any(|prefix| path.starts_with(prefix)))
        .filter_map(|(_, methods)| methods.as_object_mut())
        .flat_map(|methods| methods.values_mut());
    for operation in operations {
        operation["security"] = json!([{"key": []}]);
        add_answers(operation, &REFUSALS, error);
        add_answers(operation, own, error);
    }
}

/// Adds `answers`, pairs of status and description, in the error shape that `error` refers to.
fn add_answers(operation: &mut Value, answers: &[(&str, &str)], error: &str) {
    for (status, description) in answers {
        operation["responses"][status] = json!({
            "description": description,
            "content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{error}")}}},
        });
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
}
