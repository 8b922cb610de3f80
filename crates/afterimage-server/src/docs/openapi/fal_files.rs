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
        fal::call_token::token,
        fal::webhook::keys,
    ),
    components(schemas(fal::error::ErrorBody))
)]
struct Handlers;

/// No key.
const KEY: (&str, &str) = ("401", "No key, an unknown one, or a token that has expired");

/// Refusals of these operations.
const OWN: [(&str, &str); 3] = [("400", "A body that cannot be used"), KEY, ("422", "A field that cannot be used")];

/// Paths and answers from the handlers.
pub fn handlers() -> utoipa::openapi::OpenApi {
    Handlers::openapi()
}

/// Adds what the handlers do not say: requests, refusals.
pub fn complete(document: &mut Value) {
    for path in ["/storage/upload/initiate", "/storage/upload/initiate-multipart"] {
        document["paths"][path]["post"]["requestBody"] =
            json!({"content": {"application/json": {"schema": json_schema(&fal::uploads::ticket_parameters())}}});
    }
    let upload = &mut document["paths"]["/files/upload"]["post"];
    upload["requestBody"] = json!({
        "required": true,
        "content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}},
    });
    for path in ["/files/upload", "/files/upload/multipart"] {
        document["paths"][path]["post"]["parameters"] = json!([{
            "name": "X-Fal-File-Name", "in": "header", "schema": {"type": "string"},
            "description": "Name for showing.",
        }]);
    }
    for path in ["/storage/upload/initiate", "/storage/upload/initiate-multipart", "/storage/auth/token"] {
        document["paths"][path]["post"]["parameters"] = json!([{
            "name": "storage_type", "in": "query", "schema": {"type": "string"}, "description": "Without effect.",
        }]);
    }
    document["paths"]["/tokens/"]["post"]["requestBody"] =
        json!({"required": true, "content": {"application/json": {"schema": fal::call_token::schema()}}});
    add_refusals(document, &["/storage/", "/files/", "/tokens/"], &OWN, "FalError");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docs::openapi::document;

    #[test]
    fn uploads_need_a_key_and_the_webhook_keys_do_not() {
        let document = document();
        for path in ["/storage/upload/initiate", "/storage/auth/token", "/files/upload", "/tokens/"] {
            let operation = &document["paths"][path]["post"];
            assert_eq!(operation["security"], json!([{"key": []}]), "{path}");
            assert_eq!(operation["responses"]["401"]["description"], KEY.1, "{path}");
        }
        let keys = &document["paths"]["/.well-known/jwks.json"]["get"];
        assert!(keys.is_object() && keys["security"].is_null(), "{keys}");
    }
}
