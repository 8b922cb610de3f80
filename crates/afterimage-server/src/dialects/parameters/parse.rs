//! A request's JSON object against a list of parameters.

use super::{Kind, Parameter};
use afterimage_core::Size;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Display;

/// Why a parameter was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// Required, but absent or null.
    Missing,
    /// Another JSON type than the parameter has.
    WrongType,
    /// Right type, but outside of the range or not one of the words.
    OutOfRange,
    /// Right type, but not readable as what it should be.
    Malformed,
}

/// A parameter that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Problem {
    /// Name of the parameter in the request.
    pub field: String,
    /// What category of wrong.
    pub kind: ProblemKind,
    /// What is wrong and what would be right.
    pub message: String,
}

impl Problem {
    /// A problem of `field`.
    pub fn new(field: impl Into<String>, kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { field: field.into(), kind, message: message.into() }
    }
}

/// Checked values, defaults filled in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(BTreeMap<&'static str, Checked>);

#[derive(Clone, Debug, PartialEq)]
enum Checked {
    Integer(i64),
    Number(f64),
    Switch(bool),
    Text(String),
    Size(Size),
}

impl Values {
    /// The whole number `name`, unless it is absent and has no default.
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.0.get(name) {
            Some(Checked::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    /// The number `name`.
    pub fn number(&self, name: &str) -> Option<f64> {
        match self.0.get(name) {
            Some(Checked::Number(value)) => Some(*value),
            _ => None,
        }
    }

    /// The switch `name`; `false` for one the model does not have.
    pub fn switch(&self, name: &str) -> bool {
        matches!(self.0.get(name), Some(Checked::Switch(true)))
    }

    /// The text, word or picture `name`.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.0.get(name) {
            Some(Checked::Text(value)) => Some(value),
            _ => None,
        }
    }

    /// The size `name`.
    pub fn size(&self, name: &str) -> Option<Size> {
        match self.0.get(name) {
            Some(Checked::Size(value)) => Some(*value),
            _ => None,
        }
    }
}

/// Checks `object` against `parameters`. `null` means absent; names that are not parameters are ignored, since schemas
/// of hosted services drift and clients send the union of what they ever were.
///
/// # Errors
/// The first parameter, in the list's order, that is missing, of the wrong type or out of range.
pub fn parse(parameters: &[Parameter], object: &Map<String, Value>) -> Result<Values, Problem> {
    let mut values = BTreeMap::new();
    for parameter in parameters {
        let given = object.get(parameter.name).filter(|value| !value.is_null());
        let checked = match given {
            Some(value) => Some(check(parameter, value)?),
            None if parameter.required => {
                let message = format!("missing; {} is required", expected(&parameter.kind));
                return Err(Problem::new(parameter.name, ProblemKind::Missing, message));
            }
            None => default(&parameter.kind),
        };
        if let Some(checked) = checked {
            values.insert(parameter.name, checked);
        }
    }
    Ok(Values(values))
}

fn default(kind: &Kind) -> Option<Checked> {
    match kind {
        Kind::Integer { default, .. } => default.map(Checked::Integer),
        Kind::Number { default, .. } => Some(Checked::Number(*default)),
        Kind::Switch { default } => Some(Checked::Switch(*default)),
        Kind::Choice { default, .. } => Some(Checked::Text((*default).to_owned())),
        Kind::Size { default, .. } => Some(Checked::Size(*default)),
        Kind::Text { .. } | Kind::Picture => None,
    }
}

/// What a value of `kind` looks like, for messages.
fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Integer { range, .. } => format!("a whole number from {} to {}", range.start(), range.end()),
        Kind::Number { range, .. } => format!("a number from {} to {}", range.start(), range.end()),
        Kind::Switch { .. } => "true or false".to_owned(),
        Kind::Choice { options, .. } => format!("one of {}", options.join(", ")),
        Kind::Text { .. } => "a text".to_owned(),
        Kind::Picture => "a picture as URL, data URI or base64".to_owned(),
        Kind::Size { side, .. } => {
            format!("WIDTH*HEIGHT with {} to {} pixels per side, such as 1024*768", side.start(), side.end())
        }
    }
}

fn check(parameter: &Parameter, value: &Value) -> Result<Checked, Problem> {
    let expected = expected(&parameter.kind);
    let wrong_type = || {
        let message = format!("is {}; expected {expected}", type_name(value));
        Problem::new(parameter.name, ProblemKind::WrongType, message)
    };
    let out_of_range = |value: &dyn Display| {
        let message = format!("{value} is out of range; expected {expected}");
        Problem::new(parameter.name, ProblemKind::OutOfRange, message)
    };
    match &parameter.kind {
        Kind::Integer { range, .. } => {
            let number = value.as_number().ok_or_else(wrong_type)?;
            // JSON has one number type: 28.0 is a whole number, and one beyond i64 is out of every range.
            let whole = number.as_i64().or_else(|| {
                number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15).map(|float| float as i64)
            });
            match whole {
                Some(whole) if range.contains(&whole) => Ok(Checked::Integer(whole)),
                Some(whole) => Err(out_of_range(&whole)),
                None if number.as_f64().is_some_and(|float| float.fract() != 0.0) => {
                    let message = format!("{number} is not a whole number; expected {expected}");
                    Err(Problem::new(parameter.name, ProblemKind::WrongType, message))
                }
                None => Err(out_of_range(number)),
            }
        }
        Kind::Number { range, .. } => {
            let number = value.as_f64().ok_or_else(wrong_type)?;
            if range.contains(&number) { Ok(Checked::Number(number)) } else { Err(out_of_range(&number)) }
        }
        Kind::Switch { .. } => value.as_bool().map(Checked::Switch).ok_or_else(wrong_type),
        Kind::Choice { options, .. } => {
            let word = value.as_str().ok_or_else(wrong_type)?;
            if options.contains(&word) {
                return Ok(Checked::Text(word.to_owned()));
            }
            Err(out_of_range(&format_args!("{:?}", shortened(word))))
        }
        Kind::Text { max_bytes } => {
            let text = value.as_str().ok_or_else(wrong_type)?;
            if text.len() > *max_bytes {
                let message = format!("{} bytes are too long; at most {max_bytes} are accepted", text.len());
                return Err(Problem::new(parameter.name, ProblemKind::OutOfRange, message));
            }
            Ok(Checked::Text(text.to_owned()))
        }
        Kind::Picture => {
            let text = value.as_str().ok_or_else(wrong_type)?;
            if text.trim().is_empty() {
                let message = format!("empty; expected {expected}");
                return Err(Problem::new(parameter.name, ProblemKind::Missing, message));
            }
            Ok(Checked::Text(text.to_owned()))
        }
        Kind::Size { side, .. } => {
            let text = value.as_str().ok_or_else(wrong_type)?;
            let size: Size = text.parse().map_err(|_| {
                let message = format!("{:?} is not a size; expected {expected}", shortened(text));
                Problem::new(parameter.name, ProblemKind::Malformed, message)
            })?;
            if !side.contains(&size.width) || !side.contains(&size.height) {
                return Err(out_of_range(&size));
            }
            Ok(Checked::Size(size))
        }
    }
}

/// The beginning of a value that a message quotes: a megabyte sent to the wrong field does not come back.
fn shortened(text: &str) -> String {
    const QUOTED: usize = 60;
    if text.chars().count() <= QUOTED {
        return text.to_owned();
    }
    text.chars().take(QUOTED).chain(std::iter::once('…')).collect()
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn parameters() -> Vec<Parameter> {
        vec![
            Parameter::required("image", Kind::Picture, ""),
            Parameter::optional("seed", Kind::Integer { range: -1..=i64::from(i32::MAX), default: None }, ""),
            Parameter::optional("steps", Kind::Integer { range: 1..=50, default: Some(28) }, ""),
            Parameter::optional("guidance", Kind::Number { range: 1.0..=5.0, default: 3.5 }, ""),
            Parameter::optional("format", Kind::Choice { options: &["jpeg", "png"], default: "jpeg" }, ""),
            Parameter::optional("checked", Kind::Switch { default: true }, ""),
            Parameter::optional("prompt", Kind::Text { max_bytes: 10 }, ""),
            Parameter::optional("size", Kind::Size { side: 256..=1536, default: Size::new(1024, 1024) }, ""),
        ]
    }

    fn parsed(value: &Value) -> Result<Values, Problem> {
        parse(&parameters(), value.as_object().unwrap())
    }

    #[test]
    fn absence_and_null_mean_the_default() {
        for body in [json!({"image": "x"}), json!({"image": "x", "seed": null, "size": null, "prompt": null})] {
            let values = parsed(&body).unwrap();
            assert_eq!(values.integer("seed"), None);
            assert_eq!(values.integer("steps"), Some(28));
            assert_eq!(values.number("guidance"), Some(3.5));
            assert_eq!(values.text("format"), Some("jpeg"));
            assert!(values.switch("checked"));
            assert_eq!(values.size("size"), Some(Size::new(1024, 1024)));
        }
    }

    #[test]
    fn ranges_are_inclusive_and_whole_floats_are_integers() {
        for (field, value) in [
            ("seed", json!(-1)),
            ("seed", json!(0)),
            ("seed", json!(2_147_483_647)),
            ("steps", json!(50.0)),
            ("guidance", json!(1)),
            ("guidance", json!(5.0)),
            ("size", json!("256*1536")),
            ("size", json!("256x1536")),
        ] {
            assert!(parsed(&json!({"image": "x", field: value.clone()})).is_ok(), "{field} {value}");
        }
        assert_eq!(parsed(&json!({"image": "x", "seed": 0})).unwrap().integer("seed"), Some(0));
    }

    #[test]
    fn each_problem_names_its_field_and_kind() {
        use ProblemKind::{Malformed, Missing, OutOfRange, WrongType};
        for (body, field, kind) in [
            (json!({}), "image", Missing),
            (json!({"image": null}), "image", Missing),
            (json!({"image": ""}), "image", Missing),
            (json!({"image": ["x"]}), "image", WrongType),
            (json!({"image": "x", "seed": "7"}), "seed", WrongType),
            (json!({"image": "x", "seed": -2}), "seed", OutOfRange),
            (json!({"image": "x", "seed": 2_147_483_648_u64}), "seed", OutOfRange),
            (json!({"image": "x", "seed": 1e300}), "seed", OutOfRange),
            (json!({"image": "x", "seed": u64::MAX}), "seed", OutOfRange),
            (json!({"image": "x", "steps": 1.5}), "steps", WrongType),
            (json!({"image": "x", "steps": 0}), "steps", OutOfRange),
            (json!({"image": "x", "guidance": 5.01}), "guidance", OutOfRange),
            (json!({"image": "x", "guidance": true}), "guidance", WrongType),
            (json!({"image": "x", "format": "gif"}), "format", OutOfRange),
            (json!({"image": "x", "checked": "yes"}), "checked", WrongType),
            (json!({"image": "x", "prompt": "more than ten"}), "prompt", OutOfRange),
            (json!({"image": "x", "size": "1024"}), "size", Malformed),
            (json!({"image": "x", "size": "255*256"}), "size", OutOfRange),
            (json!({"image": "x", "size": {"width": 256}}), "size", WrongType),
        ] {
            let problem = parsed(&body).unwrap_err();
            assert_eq!((problem.field.as_str(), problem.kind), (field, kind), "{body}");
            assert!(!problem.message.is_empty());
        }
    }

    #[test]
    fn a_huge_wrong_value_is_not_echoed() {
        let problem = parsed(&json!({"image": "x", "size": "9".repeat(1_000_000)})).unwrap_err();
        assert!(problem.message.len() < 300, "{} bytes", problem.message.len());
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(2, 8, 4, |inner| prop::collection::vec(inner, 0..4).prop_map(Value::from))
    }

    proptest! {
        #[test]
        fn whatever_is_sent_either_passes_in_range_or_names_a_parameter(
            values in prop::collection::vec((prop::sample::select(vec![
                "image", "seed", "steps", "guidance", "format", "checked", "prompt", "size", "other",
            ]), any_json()), 0..8),
        ) {
            let object: Map<String, Value> = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            match parse(&parameters(), &object) {
                Ok(values) => {
                    prop_assert!((1..=50).contains(&values.integer("steps").unwrap()));
                    prop_assert!((1.0..=5.0).contains(&values.number("guidance").unwrap()));
                    prop_assert!(values.text("image").is_some());
                }
                Err(problem) => {
                    prop_assert!(parameters().iter().any(|parameter| parameter.name == problem.field));
                }
            }
        }
    }
}
