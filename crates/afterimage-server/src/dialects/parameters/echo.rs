//! What a client sent, as results and lists show it.

use super::{Kind, Parameter};
use serde_json::{Map, Value};

/// Longest text of an echoed picture: a URL, but not an inlined file.
const ECHOED_BYTES: usize = 2048;

/// The model's own parameters of `object`; inlined pictures are cut short, anything else is left out.
pub fn echo(parameters: &[Parameter], object: &Map<String, Value>) -> Value {
    let known = parameters.iter().filter_map(|parameter| {
        let value = object.get(parameter.name)?;
        let value = match (&parameter.kind, value) {
            (Kind::Picture, Value::String(text)) if text.starts_with("data:") || text.len() > ECHOED_BYTES => {
                Value::from(text.chars().take(32).chain(std::iter::once('…')).collect::<String>())
            }
            (_, value) => value.clone(),
        };
        Some((parameter.name.to_owned(), value))
    });
    Value::Object(known.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::parameters::common::seed;
    use serde_json::json;

    #[test]
    fn inlined_pictures_and_unknown_fields_are_not_echoed() {
        let parameters = [Parameter::required("image", Kind::Picture, ""), seed()];
        let body = json!({"image": format!("data:image/png;base64,{}", "A".repeat(9999)), "seed": 7, "secret": "x"});
        let echoed = echo(&parameters, body.as_object().unwrap());
        assert_eq!(echoed["seed"], 7);
        assert!(echoed.get("secret").is_none());
        assert!(echoed.to_string().len() < 100, "{echoed}");
    }
}
