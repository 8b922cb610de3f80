//! The part of fal: each model in its forms, and what is asked about queued requests.

use super::edit::{add_alias, add_answers, add_refusals};
use crate::dialects::fal::MODELS;
use crate::dialects::fal::error::ErrorBody;
use crate::dialects::fal::output::Output;
use crate::dialects::fal::status::{QueuedRequest, Status};
use crate::parameters::json_schema;
use serde_json::{Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(components(schemas(ErrorBody, Output, Status, QueuedRequest)))]
struct FalSchemas;

/// A field that cannot be used.
const FIELD: (&str, &str) = ("422", "A field that cannot be used; `detail` names it");

/// The dialect's own refusals.
const OWN: [(&str, &str); 4] = [
    ("400", "A body or header that cannot be used, or a result asked for too early"),
    ("404", "Nothing under this id or path for this key"),
    ("410", "It was deleted"),
    FIELD,
];

/// Refusals of what may end a job or wait for it.
const ENDINGS: [(&str, &str); 2] =
    [("499", "The request was cancelled"), ("504", "The request did not start or end within its time")];

/// Shapes of the dialect's answers.
pub fn schemas() -> utoipa::openapi::OpenApi {
    FalSchemas::openapi()
}

/// Adds the operations.
pub fn complete(document: &mut Value) {
    for model in &MODELS {
        let operation = |form: &str, answers: Value| {
            json!({"post": {
                "tags": ["fal"],
                "summary": format!("{} ({form})", model.name),
                "description": model.description,
                "operationId": format!("{form}-{}", model.id.replace('/', "-")),
                "requestBody": {
                    "required": true,
                    "content": {"application/json": {"schema": json_schema(&model.parameters())}},
                },
                "responses": {"200": answers},
            }})
        };
        let of = |schema: &str| json!({"$ref": format!("#/components/schemas/{schema}")});
        let answer = |description: &str, schema: Value| json!({"description": description, "content": {"application/json": {"schema": schema}}});
        let (result, ticket) = (of("FalOutput"), of("FalTicket"));
        let paths = &mut document["paths"];
        let mut run = operation("run", answer("The result", result.clone()));
        add_answers(&mut run["post"], &ENDINGS, "FalError");
        paths[format!("/{}", model.id)] = run;
        let stream = json!({"description": "Progress, then the result", "content": {"text/event-stream": {}}});
        paths[format!("/{}/stream", model.id)] = operation("stream", stream);
        let mut queue = operation("queue", answer("The ticket", ticket.clone()));
        queue["post"]["parameters"] = json!([{
            "name": "fal_webhook", "in": "query", "schema": {"type": "string"},
            "description": "Where to report the end; signed, see /.well-known/jwks.json.",
        }]);
        paths[format!("/queue/{}", model.id)] = queue;
        let either = json!({"anyOf": [result, ticket]});
        let mut gateway = operation("gateway", answer("The result with sync_mode, else the ticket", either));
        add_answers(&mut gateway["post"], &ENDINGS, "FalError");
        paths[format!("/gateway/{}", model.id)] = gateway;
    }
    let parameters = json!([
        {"name": "app", "in": "path", "required": true, "schema": {"type": "string"},
         "description": "The second part of the model's id, such as flux-1."},
        {"name": "id", "in": "path", "required": true, "schema": {"type": "string"}, "description": "Id of the request."},
    ]);
    let about = |summary: &str, answers: Value| json!({"tags": ["fal"], "summary": summary, "parameters": parameters, "responses": answers});
    let status = json!({"application/json": {"schema": {"$ref": "#/components/schemas/FalStatus"}}});
    let word = json!({"application/json": {"schema": {
        "type": "object", "properties": {"status": {"type": "string"}}, "required": ["status"],
    }}});
    let output = json!({"application/json": {"schema": {"$ref": "#/components/schemas/FalOutput"}}});
    let path = "/queue/fal-ai/{app}/requests/{id}";
    let mut result =
        json!({"get": about("Result of a request", json!({"200": {"description": "The result", "content": output}}))});
    add_answers(&mut result["get"], &ENDINGS, "FalError");
    let paths = &mut document["paths"];
    paths[path] = result;
    paths[format!("{path}/status")] = json!({"get": about("Status of a request", json!({
        "200": {"description": "Completed", "content": status},
        "202": {"description": "Waiting or running", "content": status},
    }))});
    paths[format!("{path}/status/stream")] = json!({"get": about("Status of a request as it changes", json!({
        "200": {"description": "Statuses", "content": {"text/event-stream": {}}},
    }))});
    paths[format!("{path}/cancel")] = json!({"put": about("Cancel a request", json!({
        "202": {"description": "It ends within one step", "content": word},
    }))});
    for part in ["", "/status", "/status/stream", "/cancel"] {
        let gateway = format!("/gateway/fal-ai/{{app}}/requests/{{id}}{part}");
        add_alias(document, &gateway, &format!("{path}{part}"));
    }
    add_refusals(document, &["/fal-ai/", "/queue/fal-ai/", "/gateway/fal-ai/"], &OWN, "FalError");
    // These two have a shape of their own.
    for form in ["queue", "gateway"] {
        let cancel = &mut document["paths"][format!("/{form}/fal-ai/{{app}}/requests/{{id}}/cancel")]["put"];
        for status in ["400", "404"] {
            cancel["responses"][status]["content"] = word.clone();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docs::openapi::document;

    #[test]
    fn every_model_is_there_in_every_form() {
        let document = document();
        for model in &MODELS {
            for path in ["", "/queue", "/gateway"] {
                let operation = &document["paths"][format!("{path}/{}", model.id)]["post"];
                let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
                assert_eq!(schema["required"][0], "image_url", "{path} {}", model.id);
                assert_eq!(operation["responses"]["422"]["description"], FIELD.1);
            }
        }
    }
}
