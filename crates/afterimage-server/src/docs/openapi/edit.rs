//! Changes to the document that the parts of all dialects make.

use serde_json::{Value, json};

/// An operation that is described by hand.
pub(super) fn operation_answers(tag: &str, summary: &str, parameters: &Value, answers: &Value) -> Value {
    json!({"tags": [tag], "summary": summary, "parameters": parameters, "responses": answers})
}

/// Describes `path` as another address of `original`.
pub(super) fn add_alias(document: &mut Value, path: &str, original: &str) {
    let mut methods = document["paths"][original].clone();
    for operation in methods.as_object_mut().into_iter().flatten().filter_map(|(_, it)| it.as_object_mut()) {
        operation.remove("operationId");
        operation.insert("description".to_owned(), json!(format!("Another address of `{original}`.")));
    }
    document["paths"][path] = methods;
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
pub(super) fn add_refusals(document: &mut Value, prefixes: &[&str], own: &[(&str, &str)], error: &str) {
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
pub(super) fn add_answers(operation: &mut Value, answers: &[(&str, &str)], error: &str) {
    for (status, description) in answers {
        operation["responses"][status] = json!({
            "description": description,
            "content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{error}")}}},
        });
    }
}
