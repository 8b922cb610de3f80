//! The part of OpenAI's images routes and of DeepInfra's native route.

use super::edit::add_refusals;
use crate::dialects::Flow;
use crate::dialects::openai::{self, Base, Images, MODEL, NativeResult, form_parameters, models, native_parameters};
use crate::parameters::json_schema;
use serde_json::{Value, json};
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(components(schemas(
    openai::ErrorBody,
    openai::NativeErrorBody,
    Images,
    openai::StreamEvent,
    NativeResult,
    models::ModelList,
    models::ListedModel
)))]
struct OpenAiSchemas;

/// The dialect's own refusals.
const OWN: [(&str, &str); 2] =
    [("404", "No such path or model"), ("504", "Not done within the time that the server waits")];

/// Schemas of the answers.
pub fn schemas() -> utoipa::openapi::OpenApi {
    OpenAiSchemas::openapi()
}

/// Adds the paths.
pub fn complete(document: &mut Value) {
    let paths = &mut document["paths"];
    for base in [Base::DeepInfra, Base::OpenAi] {
        let path = base.path();
        for (name, flow, summary) in [
            ("variations", Flow::Variation, "Vary a picture"),
            ("edits", Flow::ImageToImage, "Reshape a picture towards a prompt"),
        ] {
            let schema = file_schema(json_schema(&form_parameters(flow, base)));
            let mut post = operation(&format!("{path}/images/{name}"), "post", summary, "OpenAiImages");
            post["parameters"] = idempotency_key();
            post["requestBody"] = json!({"required": true, "content": {"multipart/form-data": {"schema": schema}}});
            if flow == Flow::ImageToImage {
                post["requestBody"]["content"]["application/json"] =
                    json!({"schema": edit_schema(json_schema(&form_parameters(flow, base)))});
                let done = &mut post["responses"]["200"];
                done["description"] = json!("Done; with `stream` each event's data is an OpenAiStreamEvent");
                done["content"]["text/event-stream"] = json!({});
            }
            paths[format!("{path}/images/{name}")] = json!({"post": post});
        }
        let list = operation(&format!("{path}/models"), "get", "List the models", "OpenAiModels");
        paths[format!("{path}/models")] = json!({"get": list});
        let mut one = operation(&format!("{path}/models/id"), "get", "Read a model", "OpenAiModel");
        one["parameters"] = json!([{
            "name": "id", "in": "path", "required": true, "schema": {"type": "string"}, "example": MODEL,
        }]);
        paths[format!("{path}/models/{{id}}")] = json!({"get": one});
    }
    let native = format!("/v1/inference/{MODEL}");
    let schema = json_schema(&native_parameters());
    let mut post = operation(&native, "post", "Vary a picture, DeepInfra's native form", "DeepInfraResult");
    post["parameters"] = idempotency_key();
    post["requestBody"] = json!({"required": true, "content": {
        "application/json": {"schema": schema},
        "multipart/form-data": {"schema": file_schema(schema.clone())},
    }});
    paths[native.as_str()] = json!({"post": post});

    let forms = ["/v1/openai/", "/v1/images/", "/v1/models"];
    add_refusals(document, &forms, &OWN, "OpenAiError");
    add_refusals(document, &["/v1/openai/images/", "/v1/images/"], &[FIELD, CONFLICT], "OpenAiError");
    add_refusals(document, &["/v1/inference/"], &OWN, "DeepInfraError");
    add_refusals(document, &["/v1/inference/"], &[NATIVE_FIELD], "DeepInfraError");
}

const FIELD: (&str, &str) = (
    "400",
    "A field that cannot be used; `param` names it. Or `moderation_blocked`: the picture that was sent was flagged, or all \
     that were made were and are withheld",
);
const CONFLICT: (&str, &str) = ("422", "The idempotency key was used with another request");
const NATIVE_FIELD: (&str, &str) =
    ("422", "A field that cannot be used; `loc` names it. Or the idempotency key was used with another request");

fn operation(path: &str, method: &str, summary: &str, answer: &str) -> Value {
    json!({
        "tags": ["openai"],
        "summary": summary,
        "operationId": format!("{method}{}", path.replace('/', "-")),
        "responses": {"200": {
            "description": "Done",
            "content": {"application/json": {"schema": {"$ref": format!("#/components/schemas/{answer}")}}},
        }},
    })
}

fn idempotency_key() -> Value {
    json!([{
        "name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        "description": "Repetitions with the same key and content get the first one's result.",
    }])
}

/// `schema` of an edit in JSON: the picture under `images`, as the service has it.
fn edit_schema(mut schema: Value) -> Value {
    if let Some(properties) = schema["properties"].as_object_mut() {
        properties.remove("image");
        let reference = json!({
            "type": "object",
            "properties": {"image_url": {"type": "string", "minLength": 1, "description": "URL or data URI."}},
            "required": ["image_url"],
        });
        let images = json!({
            "type": "array", "minItems": 1, "maxItems": 1, "items": reference,
            "description": "The picture, exactly one. There are no files with ids here.",
        });
        properties.insert("images".to_owned(), images);
    }
    for list in ["required", "x-order-properties"] {
        for name in schema[list].as_array_mut().into_iter().flatten().filter(|name| **name == "image") {
            *name = json!("images");
        }
    }
    schema
}

/// `schema` of a form: the picture is a file, and a list is JSON text.
fn file_schema(mut schema: Value) -> Value {
    let image = &mut schema["properties"]["image"];
    *image = json!({"type": "string", "format": "binary", "description": image["description"]});
    for property in schema["properties"].as_object_mut().into_iter().flat_map(|properties| properties.values_mut()) {
        if let Some(list) = property.get("items").is_some().then(|| property.take()) {
            *property = json!({
                "type": ["string", "null"], "contentMediaType": "application/json", "description": list["description"],
                "contentSchema": list,
            });
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use crate::docs::openapi::document;

    #[test]
    fn both_bases_are_there_with_their_defaults() {
        let document = document();
        for (path, expected) in [("/v1/openai/images/variations", "b64_json"), ("/v1/images/variations", "url")] {
            let post = &document["paths"][path]["post"];
            let schema = &post["requestBody"]["content"]["multipart/form-data"]["schema"];
            assert_eq!(schema["properties"]["response_format"]["default"], expected);
            assert_eq!(schema["properties"]["image"]["format"], "binary");
            assert_eq!(schema["properties"]["n"]["maximum"], 4);
            assert_eq!(post["responses"]["400"]["description"], super::FIELD.1);
            assert!(post["responses"]["200"]["content"]["text/event-stream"].is_null(), "{path}");
            let edits = &document["paths"][path.replace("variations", "edits")]["post"];
            let as_json = &edits["requestBody"]["content"]["application/json"]["schema"];
            assert_eq!(as_json["required"], serde_json::json!(["images", "prompt"]));
            assert!(as_json["properties"]["image"].is_null() && as_json["properties"]["images"].is_object());
            assert!(edits["responses"]["200"]["content"]["text/event-stream"].is_object(), "{path}");
            assert_eq!(as_json["properties"]["loras"]["items"]["required"][0], "path");
            let in_a_form = &schema["properties"]["loras"];
            assert_eq!(in_a_form["contentMediaType"], "application/json");
            assert_eq!(in_a_form["contentSchema"]["items"], as_json["properties"]["loras"]["items"]);
        }
        assert!(document["components"]["schemas"]["OpenAiStreamEvent"].is_object());
        let native = &document["paths"][format!("/v1/inference/{}", super::MODEL)]["post"];
        assert_eq!(
            native["requestBody"]["content"]["application/json"]["schema"]["properties"]["width"]["default"],
            1024
        );
    }
}
