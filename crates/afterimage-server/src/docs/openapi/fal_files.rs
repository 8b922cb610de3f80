//! The part of fal around files and webhooks.

use super::edit::{add_refusals, operation_answers};
use crate::dialects::fal;
use crate::parameters::json_schema;
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
struct FalFileHandlers;

/// No key.
const KEY: (&str, &str) = ("401", "No key, an unknown one, or a token that has expired");

/// Refusals of these operations.
const OWN: [(&str, &str); 3] = [("400", "A body that cannot be used"), KEY, ("422", "A field that cannot be used")];

/// Paths and answers from the handlers.
pub fn handlers() -> utoipa::openapi::OpenApi {
    FalFileHandlers::openapi()
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
    add_proxy(document);
}

/// Adds the address that stands for all of the dialect.
fn add_proxy(document: &mut Value) {
    let target = json!([{
        "name": "x-fal-target-url", "in": "header", "required": true, "schema": {"type": "string"},
        "description": "The hosted address that is meant, such as https://queue.fal.run/fal-ai/flux-1/dev/redux.",
    }]);
    let answers = json!({"default": {"description": "What our route of that path answers; 400 when it names none"}});
    for method in ["get", "post", "put"] {
        let summary = "The route that a header names by its hosted address";
        let mut operation = operation_answers("fal", summary, &target, &answers);
        operation["security"] = json!([{"key": []}]);
        if method != "get" {
            operation["requestBody"] = json!({"content": {"application/json": {"schema": {"type": "object"}}}});
        }
        document["paths"]["/api/fal/proxy"][method] = operation;
    }
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
