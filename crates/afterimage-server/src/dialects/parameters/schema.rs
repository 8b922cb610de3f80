//! JSON schema of a list of parameters.

use super::{Kind, Parameter};
use serde_json::{Map, Value, json};

/// The JSON schema (draft 2020-12, as OpenAPI 3.1 uses it) of a request with `parameters`, with their order as the
/// extension `x-order-properties`.
pub fn json_schema(parameters: &[Parameter]) -> Value {
    let properties: Map<String, Value> =
        parameters.iter().map(|parameter| (parameter.name.to_owned(), property(parameter))).collect();
    let names = |wanted: fn(&&Parameter) -> bool| -> Vec<&str> {
        parameters.iter().filter(wanted).map(|parameter| parameter.name).collect()
    };
    json!({
        "type": "object",
        "properties": properties,
        "required": names(|parameter| parameter.required),
        "x-order-properties": names(|_| true),
    })
}

fn property(parameter: &Parameter) -> Value {
    let mut property = match &parameter.kind {
        Kind::Integer { range, default } => {
            let mut property = json!({"type": "integer", "minimum": range.start(), "maximum": range.end()});
            if let Some(default) = default {
                property["default"] = json!(default);
            }
            property
        }
        Kind::Number { range, default } => {
            json!({"type": "number", "minimum": range.start(), "maximum": range.end(), "default": default})
        }
        Kind::Switch { default } => json!({"type": "boolean", "default": default}),
        Kind::Choice { options, default } => json!({"type": "string", "enum": options, "default": default}),
        Kind::Text { max_bytes } => json!({"type": "string", "maxLength": max_bytes}),
        Kind::Picture => json!({"type": "string", "minLength": 1}),
        Kind::Size { side, default, separator } => json!({
            "type": "string",
            "pattern": r"^\s*\d+\s*[*xX]\s*\d+\s*$",
            "default": format!("{}{separator}{}", default.width, default.height),
            "x-minimum-side": side.start(),
            "x-maximum-side": side.end(),
        }),
        Kind::NamedSize { presets, default, side, absent_side } => {
            let names: Vec<&str> = presets.iter().map(|(name, _)| *name).collect();
            let pixels = json!({
                "type": ["integer", "null"], "minimum": side.start(), "maximum": side.end(), "default": absent_side,
            });
            let mut forms = vec![
                json!({"type": "string", "enum": names}),
                json!({"type": "object", "properties": {"width": pixels, "height": pixels}}),
            ];
            if !parameter.required {
                forms.push(json!({"type": "null"}));
            }
            json!({"anyOf": forms, "default": default})
        }
    };
    property["description"] = json!(parameter.description);
    // Clients behind gateways send every field, with null for "use the default".
    if !parameter.required
        && let Some(kind) = property.get("type").cloned()
    {
        property["type"] = json!([kind, "null"]);
        if let Some(options) = property.get_mut("enum").and_then(Value::as_array_mut) {
            options.push(Value::Null);
        }
    }
    property
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_carries_ranges_defaults_and_order() {
        let schema = json_schema(&[
            Parameter::required("image", Kind::Picture, "the picture"),
            Parameter::optional("steps", Kind::Integer { range: 1..=50, default: Some(28) }, "steps"),
            Parameter::optional("format", Kind::Choice { options: &["jpeg", "png"], default: "jpeg" }, "format"),
        ]);
        assert_eq!(schema["required"], json!(["image"]));
        assert_eq!(schema["x-order-properties"], json!(["image", "steps", "format"]));
        assert_eq!(schema["properties"]["steps"]["maximum"], 50);
        assert_eq!(schema["properties"]["steps"]["default"], 28);
        assert_eq!(schema["properties"]["steps"]["type"], json!(["integer", "null"]));
        assert_eq!(schema["properties"]["format"]["enum"], json!(["jpeg", "png", null]));
        assert_eq!(schema["properties"]["image"]["description"], "the picture");
    }
}
