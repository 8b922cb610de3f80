//! A request's JSON object against a list of parameters.

use super::{Kind, Parameter};
use afterimage_core::Size;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::RangeInclusive;

/// Why a parameter was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// Required, but absent or null.
    Missing,
    /// Another JSON type than the parameter has.
    WrongType,
    /// Right type, but below the range.
    TooSmall,
    /// Right type, but above the range.
    TooLarge,
    /// Right type, but more of it than is accepted: bytes of a text, items of a list.
    TooLong,
    /// Not one of the words.
    NotAnOption,
    /// Right type, but not usable together with the rest of the request.
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

/// How numbers and switches may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// As JSON numbers and booleans.
    Typed,
    /// Also as text: form fields have no other type, and services built on pydantic read `"28"` as 28.
    OrText,
}

/// Checks `object` against `parameters`, numbers being JSON numbers; see [`parse_with`].
///
/// # Errors
/// Those of [`parse_with`].
pub fn parse(parameters: &[Parameter], object: &Map<String, Value>) -> Result<Values, Problem> {
    parse_with(Numbers::Typed, parameters, object)
}

/// Checks `object` against `parameters`. `null` means absent; names that are not parameters are ignored, since schemas
/// of hosted services drift and clients send the union of what they ever were.
///
/// # Errors
/// The first parameter, in the list's order, that is missing, of the wrong type or out of range.
pub fn parse_with(numbers: Numbers, parameters: &[Parameter], object: &Map<String, Value>) -> Result<Values, Problem> {
    let mut values = BTreeMap::new();
    for parameter in parameters {
        let given = object.get(parameter.name).filter(|value| !value.is_null());
        let retyped = given.filter(|_| numbers == Numbers::OrText).and_then(|value| from_text(&parameter.kind, value));
        let checked = match retyped.as_ref().or(given) {
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

/// Bytes of a number, switch or size as text. Without a bound, white space around them could be any amount, which
/// would be kept with the request.
const WORD_BYTES: usize = 64;

fn default(kind: &Kind) -> Option<Checked> {
    match kind {
        Kind::Integer { default, .. } => default.map(Checked::Integer),
        Kind::Number { default, .. } => Some(Checked::Number(*default)),
        Kind::Switch { default } => Some(Checked::Switch(*default)),
        Kind::Choice { default, .. } => Some(Checked::Text((*default).to_owned())),
        Kind::Size { default, .. } => Some(Checked::Size(*default)),
        Kind::NamedSize { presets, default, .. } => preset(presets, default).map(Checked::Size),
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
        Kind::Size { side, separator, .. } => format!(
            "WIDTH{separator}HEIGHT with {} to {} pixels per side, such as 1024{separator}768",
            side.start(),
            side.end()
        ),
        Kind::NamedSize { presets, side, .. } => {
            let names: Vec<&str> = presets.iter().map(|(name, _)| *name).collect();
            let (low, high) = (side.start(), side.end());
            format!("one of {}, or {{\"width\", \"height\"}} with {low} to {high} pixels each", names.join(", "))
        }
    }
}

fn preset(presets: &[(&str, Size)], name: &str) -> Option<Size> {
    presets.iter().find(|(known, _)| *known == name).map(|(_, size)| *size)
}

/// The number or switch that a text stands for, or `None` when it is none; the check of the text then says so.
fn from_text(kind: &Kind, value: &Value) -> Option<Value> {
    let text = value.as_str().filter(|text| text.len() <= WORD_BYTES)?.trim();
    match kind {
        Kind::Integer { .. } | Kind::Number { .. } => {
            if let Ok(whole) = text.parse::<i64>() {
                return Some(Value::from(whole));
            }
            text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from)
        }
        Kind::Switch { .. } => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Some(Value::Bool(true)),
            "false" | "0" | "off" | "no" => Some(Value::Bool(false)),
            _ => None,
        },
        _ => None,
    }
}

fn check(parameter: &Parameter, value: &Value) -> Result<Checked, Problem> {
    let expected = expected(&parameter.kind);
    let wrong_type = || {
        let message = format!("is {}; expected {expected}", type_name(value));
        Problem::new(parameter.name, ProblemKind::WrongType, message)
    };
    let out_of_range = |kind: ProblemKind, value: &dyn Display| {
        Problem::new(parameter.name, kind, format!("{value} is out of range; expected {expected}"))
    };
    let beyond = |is_small: bool| if is_small { ProblemKind::TooSmall } else { ProblemKind::TooLarge };
    match &parameter.kind {
        Kind::Integer { range, .. } => {
            let number = value.as_number().ok_or_else(wrong_type)?;
            // JSON has one number type: 28.0 is a whole number, and one beyond i64 is out of every range.
            let whole = number.as_i64().or_else(|| {
                number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15).map(|float| float as i64)
            });
            match whole {
                Some(whole) if range.contains(&whole) => Ok(Checked::Integer(whole)),
                Some(whole) => Err(out_of_range(beyond(whole < *range.start()), &whole)),
                None if number.as_f64().is_some_and(|float| float.fract() != 0.0) => {
                    let message = format!("{number} is not a whole number; expected {expected}");
                    Err(Problem::new(parameter.name, ProblemKind::WrongType, message))
                }
                None => Err(out_of_range(beyond(number.as_f64().is_some_and(|float| float < 0.0)), number)),
            }
        }
        Kind::Number { range, .. } => {
            let number = value.as_f64().ok_or_else(wrong_type)?;
            if range.contains(&number) {
                return Ok(Checked::Number(number));
            }
            Err(out_of_range(beyond(number < *range.start()), &number))
        }
        Kind::Switch { .. } => value.as_bool().map(Checked::Switch).ok_or_else(wrong_type),
        Kind::Choice { options, .. } => {
            let word = value.as_str().ok_or_else(wrong_type)?;
            if options.contains(&word) {
                return Ok(Checked::Text(word.to_owned()));
            }
            Err(out_of_range(ProblemKind::NotAnOption, &format_args!("{:?}", shortened(word))))
        }
        Kind::Text { max_bytes } => {
            let text = value.as_str().ok_or_else(wrong_type)?;
            if text.len() > *max_bytes {
                let message = format!("{} bytes are too long; at most {max_bytes} are accepted", text.len());
                return Err(Problem::new(parameter.name, ProblemKind::TooLong, message));
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
            let size = text.parse::<Size>().ok().filter(|_| text.len() <= WORD_BYTES).ok_or_else(|| {
                let message = format!("{:?} is not a size; expected {expected}", shortened(text));
                Problem::new(parameter.name, ProblemKind::Malformed, message)
            })?;
            if !side.contains(&size.width) || !side.contains(&size.height) {
                let is_small = size.width.min(size.height) < *side.start();
                return Err(out_of_range(beyond(is_small), &size));
            }
            Ok(Checked::Size(size))
        }
        Kind::NamedSize { presets, side, absent_side, .. } => match value {
            Value::String(name) => preset(presets, name)
                .map(Checked::Size)
                .ok_or_else(|| out_of_range(ProblemKind::NotAnOption, &format_args!("{:?}", shortened(name)))),
            Value::Object(sides) => {
                let width = side_of(parameter.name, "width", sides, side, *absent_side)?;
                let height = side_of(parameter.name, "height", sides, side, *absent_side)?;
                Ok(Checked::Size(Size::new(width, height)))
            }
            _ => Err(wrong_type()),
        },
    }
}

/// Pixels of the side `name` in the object `sides` that `parameter` is; problems name both, as `parameter.name`.
fn side_of(
    parameter: &str,
    name: &'static str,
    sides: &Map<String, Value>,
    range: &RangeInclusive<u32>,
    absent: u32,
) -> Result<u32, Problem> {
    let Some(value) = sides.get(name).filter(|value| !value.is_null()) else { return Ok(absent) };
    let kind = Kind::Integer { range: i64::from(*range.start())..=i64::from(*range.end()), default: None };
    let checked = check(&Parameter::optional(name, kind, ""), value)
        .map_err(|problem| Problem { field: format!("{parameter}.{name}"), ..problem })?;
    match checked {
        Checked::Integer(pixels) => Ok(pixels as u32),
        _ => Ok(absent),
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

    const PRESETS: [(&str, Size); 2] = [("square", Size::new(512, 512)), ("wide", Size::new(1024, 576))];

    fn parameters() -> Vec<Parameter> {
        vec![
            Parameter::required("image", Kind::Picture, ""),
            Parameter::optional("seed", Kind::Integer { range: -1..=i64::from(i32::MAX), default: None }, ""),
            Parameter::optional("steps", Kind::Integer { range: 1..=50, default: Some(28) }, ""),
            Parameter::optional("guidance", Kind::Number { range: 1.0..=5.0, default: 3.5 }, ""),
            Parameter::optional("format", Kind::Choice { options: &["jpeg", "png"], default: "jpeg" }, ""),
            Parameter::optional("checked", Kind::Switch { default: true }, ""),
            Parameter::optional("prompt", Kind::Text { max_bytes: 10 }, ""),
            Parameter::optional(
                "size",
                Kind::Size { side: 256..=1536, default: Size::new(1024, 1024), separator: '*' },
                "",
            ),
            Parameter::optional(
                "image_size",
                Kind::NamedSize { presets: &PRESETS, default: "wide", side: 16..=2048, absent_side: 512 },
                "",
            ),
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
        use ProblemKind::{Malformed, Missing, NotAnOption, TooLarge, TooLong, TooSmall, WrongType};
        for (body, field, kind) in [
            (json!({}), "image", Missing),
            (json!({"image": null}), "image", Missing),
            (json!({"image": ""}), "image", Missing),
            (json!({"image": ["x"]}), "image", WrongType),
            (json!({"image": "x", "seed": "7"}), "seed", WrongType),
            (json!({"image": "x", "seed": -2}), "seed", TooSmall),
            (json!({"image": "x", "seed": 2_147_483_648_u64}), "seed", TooLarge),
            (json!({"image": "x", "seed": 1e300}), "seed", TooLarge),
            (json!({"image": "x", "seed": u64::MAX}), "seed", TooLarge),
            (json!({"image": "x", "steps": 1.5}), "steps", WrongType),
            (json!({"image": "x", "steps": 0}), "steps", TooSmall),
            (json!({"image": "x", "guidance": 5.01}), "guidance", TooLarge),
            (json!({"image": "x", "guidance": true}), "guidance", WrongType),
            (json!({"image": "x", "format": "gif"}), "format", NotAnOption),
            (json!({"image": "x", "checked": "yes"}), "checked", WrongType),
            (json!({"image": "x", "prompt": "more than ten"}), "prompt", TooLong),
            (json!({"image": "x", "size": "1024"}), "size", Malformed),
            (json!({"image": "x", "size": "255*256"}), "size", TooSmall),
            (json!({"image": "x", "size": {"width": 256}}), "size", WrongType),
            (json!({"image": "x", "image_size": "huge"}), "image_size", NotAnOption),
            (json!({"image": "x", "image_size": [1, 2]}), "image_size", WrongType),
            (json!({"image": "x", "image_size": {"width": 8}}), "image_size.width", TooSmall),
            (json!({"image": "x", "image_size": {"height": "tall"}}), "image_size.height", WrongType),
        ] {
            let problem = parsed(&body).unwrap_err();
            assert_eq!((problem.field.as_str(), problem.kind), (field, kind), "{body}");
            assert!(!problem.message.is_empty());
        }
    }

    #[test]
    fn sizes_have_names_or_sides() {
        let size = |value: Value| parsed(&json!({"image": "x", "image_size": value})).unwrap().size("image_size");
        assert_eq!(size(Value::Null), Some(Size::new(1024, 576)));
        assert_eq!(size(json!("square")), Some(Size::new(512, 512)));
        assert_eq!(size(json!({"width": 640, "height": 2048})), Some(Size::new(640, 2048)));
        assert_eq!(size(json!({"width": 16, "height": null})), Some(Size::new(16, 512)));
        assert_eq!(size(json!({})), Some(Size::new(512, 512)));
    }

    #[test]
    fn form_fields_are_numbers_and_switches_as_text() {
        let read = |field: &str, text: &str| {
            let body = json!({"image": "x", field: text});
            parse_with(Numbers::OrText, &parameters(), body.as_object().unwrap())
        };
        assert_eq!(read("steps", " 7 ").unwrap().integer("steps"), Some(7));
        assert_eq!(read("steps", "7.0").unwrap().integer("steps"), Some(7));
        assert_eq!(read("guidance", "2.5").unwrap().number("guidance"), Some(2.5));
        assert!(!read("checked", "False").unwrap().switch("checked"));
        for (field, text) in [("steps", ""), ("steps", "many"), ("steps", "51"), ("guidance", "NaN"), ("checked", "2")]
        {
            assert_eq!(read(field, text).unwrap_err().field, field, "{text}");
        }
    }

    #[test]
    fn a_huge_wrong_value_is_not_echoed() {
        let problem = parsed(&json!({"image": "x", "size": "9".repeat(1_000_000)})).unwrap_err();
        assert!(problem.message.len() < 300, "{} bytes", problem.message.len());
    }

    #[test]
    fn words_are_not_padded_without_end() {
        for (field, word) in [("steps", "7"), ("checked", "true"), ("size", "256*256")] {
            for (padding, accepted) in [(3, true), (1000, false)] {
                let body = json!({"image": "x", field: format!("{}{word}", " ".repeat(padding))});
                let read = parse_with(Numbers::OrText, &parameters(), body.as_object().unwrap());
                assert_eq!(read.is_ok(), accepted, "{field}, {padding}");
            }
        }
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
                "image", "seed", "steps", "guidance", "format", "checked", "prompt", "size", "image_size", "other",
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
                    let field = problem.field.split('.').next();
                    prop_assert!(parameters().iter().any(|parameter| Some(parameter.name) == field));
                }
            }
        }
    }
}
