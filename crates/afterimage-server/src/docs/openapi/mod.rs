//! The OpenAPI document: paths and answers from the handlers, requests from the dialects' parameter lists. Each dialect
//! adds its own part.

mod edit;
mod fal;
mod fal_files;
mod files;
mod openai;
mod wavespeed;

use crate::operations::{health, loras, operator, status};
use serde_json::{Map, Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Afterimage",
        description = "Variations of pictures with FLUX.1 Redux, and image-to-image. Send a key as `Authorization: Bearer KEY`.",
    ),
    paths(health::healthz, health::readyz, status::status, operator::operator_status, loras::loras)
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
    // Those are names of functions, which tell neither dialects nor each other apart.
    for (_, _, operation) in operations(&mut document) {
        operation.remove("operationId");
    }
    document["components"]["securitySchemes"] = json!({
        "key": {"type": "http", "scheme": "bearer", "description": "`Authorization: Key KEY` is accepted too"}
    });
    wavespeed::complete(&mut document);
    openai::complete(&mut document);
    fal::complete(&mut document);
    fal_files::complete(&mut document);
    files::complete(&mut document);
    edit::add_refusals(&mut document, &["/status", "/loras"], &[], files::ERROR);
    edit::add_refusals(&mut document, &["/api/status"], &[("403", "The key is not an operator's")], files::ERROR);
    for (path, method, operation) in operations(&mut document) {
        let id = || Value::from(format!("{method}{}", path.replace('/', "-").replace(['{', '}'], "")));
        operation.entry("operationId").or_insert_with(id);
    }
    document
}

/// Every operation of `document` with its path and method.
fn operations(document: &mut Value) -> Vec<(&str, &str, &mut Map<String, Value>)> {
    let paths = document["paths"].as_object_mut().into_iter().flatten();
    let operations = paths.flat_map(|(path, methods)| {
        let methods = methods.as_object_mut().into_iter().flatten();
        methods.filter_map(|(method, operation)| Some((path.as_str(), method.as_str(), operation.as_object_mut()?)))
    });
    operations.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_have_ids_of_their_own() {
        let mut document = document();
        let mut ids = std::collections::BTreeMap::new();
        for (path, method, operation) in operations(&mut document) {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            // What generators make names of: nothing that is no word in any language.
            assert!(id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)), "{id}");
            let operation = format!("{method} {path}");
            if let Some(other) = ids.insert(id.clone(), operation.clone()) {
                panic!("{id} is {other} and {operation}");
            }
        }
        assert!(ids.len() > 50, "{ids:?}");
    }

    #[test]
    fn paths_name_their_parameters() {
        let mut document = document();
        for (path, method, operation) in operations(&mut document) {
            let parameters = operation.get("parameters").and_then(Value::as_array).cloned().unwrap_or_default();
            let described: Vec<&str> = parameters
                .iter()
                .filter(|parameter| parameter["in"] == "path")
                .filter_map(|parameter| parameter["name"].as_str())
                .collect();
            let named: Vec<&str> = path.split(['{', '}']).skip(1).step_by(2).collect();
            assert_eq!(named, described, "{method} {path}");
        }
    }

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
