//! The part of fal around files and webhooks.

use super::add_refusals;
use crate::dialects::fal;
use crate::dialects::parameters::json_schema;
use serde_json::{Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    paths(
        fal::uploads::initiate,
        fal::uploads::initiate_parts,
        fal::cdn::token,
        fal::cdn::upload,
        fal::cdn::upload_parts,
        fal::webhook::keys,
    ),
    components(schemas(fal::error::ErrorBody))
)]
struct Handlers;

/// Refusals that any of these operations may answer with.
const REFUSALS: [(&str, &str); 9] = [
    ("400", "A body that cannot be used"),
    ("401", "No key, an unknown one, or a token that has expired"),
    ("405", "The path has no such method"),
    ("408", "The body did not arrive in time"),
    ("413", "The body is too large"),
    ("422", "A field that cannot be used"),
    ("429", "Too many wrong keys; see Retry-After"),
    ("500", "A fault of the server"),
    ("503", "Database or disk not available; see Retry-After. Nothing was stored"),
];

/// Paths and answers from the handlers.
pub fn handlers() -> utoipa::openapi::OpenApi {
    Handlers::openapi()
}

/// Adds what the handlers do not say: requests, refusals.
pub fn complete(document: &mut Value) {
    let ticket = &mut document["paths"]["/storage/upload/initiate"]["post"];
    ticket["requestBody"] =
        json!({"content": {"application/json": {"schema": json_schema(&fal::uploads::ticket_parameters())}}});
    let upload = &mut document["paths"]["/files/upload"]["post"];
    upload["requestBody"] = json!({
        "required": true,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    });
    upload["parameters"] = json!([{
        "name": "X-Fal-File-Name", "in": "header", "schema": {"type": "string"}, "description": "Name for showing.",
    }]);
    for path in ["/storage/upload/initiate", "/storage/auth/token"] {
        document["paths"][path]["post"]["parameters"] = json!([{
            "name": "storage_type", "in": "query", "schema": {"type": "string"}, "description": "Without effect.",
        }]);
    }
    add_refusals(document, &["/storage/", "/files/"], &REFUSALS, "FalError");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docs::openapi::document;

    #[test]
    fn uploads_need_a_key_and_the_webhook_keys_do_not() {
        let document = document();
        for path in ["/storage/upload/initiate", "/storage/auth/token", "/files/upload"] {
            let operation = &document["paths"][path]["post"];
            assert_eq!(operation["security"], json!([{"key": []}]), "{path}");
            assert_eq!(operation["responses"]["401"]["description"], REFUSALS[1].1, "{path}");
        }
        let keys = &document["paths"]["/.well-known/jwks.json"]["get"];
        assert!(keys.is_object() && keys["security"].is_null(), "{keys}");
    }
}
