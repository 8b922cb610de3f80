//! JSON schema of a list of parameters.

use super::lora_list;
use super::parameter::{Kind, Parameter};
use afterimage_core::limits;
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

const SIZE_PATTERN: &str = r"^\s*\d+\s*[*xX]\s*\d+\s*$";
/// Parts of the run with their strengths, or none.
const SPANS_PATTERN: &str =
    r"^\s*([0-9.]+\s*@\s*[0-9.]+\s*:\s*[0-9.]+\s*(,\s*[0-9.]+\s*@\s*[0-9.]+\s*:\s*[0-9.]+\s*)*)?$";
/// [`afterimage_core::LoraName`]'s rule.
const LORA_NAME_PATTERN: &str = "^[A-Za-z0-9_-][A-Za-z0-9._-]{0,79}$";

const SIZE_OR_AUTO_PATTERN: &str = r"^\s*([aA][uU][tT][oO]|\d+\s*[*xX]\s*\d+)\s*$";

fn property(parameter: &Parameter) -> Value {
    let mut property = match &parameter.kind {
        Kind::Integer { range, default } => {
            let mut property = json!({"type": "integer", "minimum": range.start(), "maximum": range.end()});
            if let Some(default) = default {
                property["default"] = json!(default);
            }
            property
        }
        Kind::Seed { highest } => {
            let format = if i32::try_from(*highest).is_ok() { "int32" } else { "uint64" };
            json!({"type": "integer", "minimum": -1, "maximum": highest, "format": format})
        }
        Kind::Number { range, default } => {
            json!({"type": "number", "minimum": range.start(), "maximum": range.end(), "default": default})
        }
        Kind::Switch { default } => json!({"type": "boolean", "default": default}),
        Kind::Choice { options, aliases, default } => {
            let words: Vec<&str> = options.iter().copied().chain(aliases.iter().map(|(alias, _)| *alias)).collect();
            json!({"type": "string", "enum": words, "default": default})
        }
        Kind::Text { max_bytes } => json!({"type": "string", "maxLength": max_bytes}),
        Kind::Picture => json!({"type": "string", "minLength": 1}),
        Kind::Pictures { most } => {
            json!({"type": "array", "maxItems": most, "items": {"type": "string", "minLength": 1}})
        }
        Kind::NumberList { range, most } => json!({
            "type": "array", "maxItems": most,
            "items": {"type": "number", "minimum": range.start(), "maximum": range.end()},
        }),
        Kind::StrengthSpans => json!({"type": "string", "pattern": SPANS_PATTERN}),
        Kind::Size { side, default, separator } => json!({
            "type": "string",
            "pattern": if default.is_some() { SIZE_PATTERN } else { SIZE_OR_AUTO_PATTERN },
            "default": default.map_or("auto".to_owned(), |size| format!("{}{separator}{}", size.width, size.height)),
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
        Kind::Loras => loras(),
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

fn loras() -> Value {
    let (least, most) = limits::LORA_SCALE.into_inner();
    json!({
        "type": "array",
        "maxItems": limits::LORAS.end(),
        "default": [],
        "items": {
            "type": "object",
            "properties": {
                "path": {"type": "string", "pattern": LORA_NAME_PATTERN},
                "scale": {"type": ["number", "null"], "minimum": least, "maximum": most, "default": lora_list::DEFAULT_SCALE},
            },
            "required": ["path"],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_carries_ranges_defaults_and_order() {
        let schema = json_schema(&[
            Parameter::required("image", Kind::Picture, "the picture"),
            Parameter::optional("steps", Kind::Integer { range: 1..=50, default: Some(28) }, "steps"),
            Parameter::optional(
                "format",
                Kind::Choice { options: &["jpeg", "png"], aliases: &[("jpg", "jpeg")], default: "jpeg" },
                "format",
            ),
            Parameter::optional("seed", Kind::Seed { highest: u64::MAX }, "seed"),
            Parameter::optional("loras", Kind::Loras, "loras"),
        ]);
        assert_eq!(schema["required"], json!(["image"]));
        assert_eq!(schema["x-order-properties"], json!(["image", "steps", "format", "seed", "loras"]));
        assert_eq!(schema["properties"]["steps"]["maximum"], 50);
        assert_eq!(schema["properties"]["steps"]["default"], 28);
        assert_eq!(schema["properties"]["steps"]["type"], json!(["integer", "null"]));
        assert_eq!(schema["properties"]["format"]["enum"], json!(["jpeg", "png", "jpg", null]));
        assert_eq!(schema["properties"]["seed"]["maximum"], u64::MAX);
        assert_eq!(schema["properties"]["image"]["description"], "the picture");
        let loras = &schema["properties"]["loras"];
        assert_eq!((&loras["type"], &loras["maxItems"]), (&json!(["array", "null"]), &json!(8)));
        assert_eq!(loras["items"]["properties"]["scale"]["minimum"], -4.0);
    }
}
