//! What a client sent, as results and lists show it.

use super::check::chosen;
use super::lora_list;
use super::parameter::{Kind, Parameter};
use serde_json::{Map, Value};

/// Longest text of an echoed picture: a URL, but not an inlined file.
const ECHOED_BYTES: usize = 2048;

/// The model's own parameters of a checked `object`; inlined pictures are cut short, words are spelt as the service spells
/// them, anything else is left out, also within a size or a list: whatever is kept here is stored with the request.
pub fn echo(parameters: &[Parameter], object: &Map<String, Value>) -> Value {
    let known = parameters.iter().filter_map(|parameter| {
        let value = object.get(parameter.name)?;
        let value = match (&parameter.kind, value) {
            (Kind::Picture, picture) => shown_picture(picture),
            (Kind::Pictures { .. }, Value::Array(pictures)) => pictures.iter().map(shown_picture).collect(),
            (Kind::NamedSize { .. }, Value::Object(sides)) => {
                let known = ["width", "height"].into_iter().filter_map(|name| Some((name, sides.get(name)?)));
                Value::Object(known.map(|(name, side)| (name.to_owned(), side.clone())).collect())
            }
            (Kind::Choice { options, aliases, .. }, Value::String(word)) => {
                chosen(options, aliases, word).map_or_else(|| value.clone(), Value::from)
            }
            (Kind::Loras, value) if !value.is_null() => lora_list::shown(value),
            (_, value) => value.clone(),
        };
        Some((parameter.name.to_owned(), value))
    });
    Value::Object(known.collect())
}

fn shown_picture(picture: &Value) -> Value {
    match picture {
        Value::String(text) if text.starts_with("data:") || text.len() > ECHOED_BYTES => {
            Value::from(text.chars().take(32).chain(std::iter::once('…')).collect::<String>())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parameters::common::{output_format, seed};
    use serde_json::json;

    #[test]
    fn inlined_pictures_and_unknown_fields_are_not_echoed() {
        let size = Kind::NamedSize { presets: &[], default: "", side: 16..=2048, absent_side: 512 };
        let parameters = [
            Parameter::required("image", Kind::Picture, ""),
            seed(u64::MAX),
            Parameter::optional("image_size", size, ""),
            output_format("png"),
            Parameter::optional("images", Kind::Pictures { most: 2 }, ""),
        ];
        let body = json!({
            "images": [format!("data:image/png;base64,{}", "B".repeat(9999)), "https://example.com/b.png"],
            "image": format!("data:image/png;base64,{}", "A".repeat(9999)), "seed": u64::MAX, "secret": "x",
            "output_format": "JPG", "image_size": {"width": 64, "height": null, "junk": "x".repeat(9999)},
        });
        let echoed = echo(&parameters, body.as_object().unwrap());
        assert_eq!((&echoed["seed"], &echoed["output_format"]), (&json!(u64::MAX), &json!("jpeg")));
        assert_eq!(echoed["image_size"], json!({"width": 64, "height": null}));
        assert_eq!(echoed["images"][1], "https://example.com/b.png");
        assert!(echoed.get("secret").is_none());
        assert!(echoed.to_string().len() < 300, "{echoed}");
    }
}
