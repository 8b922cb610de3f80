//! One value against what its parameter takes.

use super::list_text::list_from_text;
use super::lora_list;
use super::parameter::{Kind, Parameter};
use super::values::Checked;
use crate::problem::{Problem, ProblemKind};
use afterimage_core::{LoraChoice, LoraName, Size, StrengthSpan, limits};
use serde_json::{Map, Number, Value};
use std::fmt::Display;
use std::ops::RangeInclusive;

/// Bytes of a number, switch or size as text. Without a bound, white space around them could be any amount, which
/// would be kept with the request.
const WORD_BYTES: usize = 64;

/// Bytes of strengths of parts of the run: of as many as there may be, with all the digits of their numbers.
const SPANS_BYTES: usize = 512;

/// From here on, floating-point numbers leave whole numbers out, so that one written as 1e17 may have meant another.
const FIRST_INEXACT: f64 = 9_007_199_254_740_992.0;

/// How numbers and switches may be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbers {
    /// As JSON numbers and booleans.
    Typed,
    /// Also as text: form fields have no other type, and services built on pydantic read `"28"` as 28.
    OrText,
}

/// The checked value; `None` for one that means the same as absence without a default.
///
/// # Errors
/// Why `value` cannot be used.
pub(super) fn check(numbers: Numbers, parameter: &Parameter, value: &Value) -> Result<Option<Checked>, Problem> {
    let retyped = if numbers == Numbers::OrText { from_text(&parameter.kind, value) } else { None };
    let value = retyped.as_ref().unwrap_or(value);
    let check = ParameterCheck { numbers, parameter, value };
    match &parameter.kind {
        Kind::Integer { range, .. } => check.integer(range).map(Checked::Integer).map(Some),
        Kind::Seed { highest } => check.seed(*highest).map(|seed| seed.map(Checked::Seed)),
        Kind::Number { range, .. } => check.number(range).map(Checked::Number).map(Some),
        Kind::Switch { .. } => value.as_bool().map(Checked::Switch).map(Some).ok_or_else(|| check.wrong_type()),
        Kind::Choice { options, aliases, .. } => check.choice(options, aliases).map(Checked::Text).map(Some),
        Kind::Text { max_bytes } => check.bounded_text(*max_bytes).map(Checked::Text).map(Some),
        Kind::Picture => check.picture().map(Checked::Text).map(Some),
        Kind::Pictures { most } => check.list(*most, &Kind::Picture, Checked::into_text).map(Checked::Texts).map(Some),
        Kind::NumberList { range, most } => {
            let number = Kind::Number { range: range.clone(), default: 0.0 };
            check.list(*most, &number, Checked::into_number).map(Checked::Numbers).map(Some)
        }
        Kind::Size { side, default, .. } => check.size(side, default.is_none()).map(|size| size.map(Checked::Size)),
        Kind::NamedSize { presets, side, absent_side, .. } => {
            check.named_size(presets, side, *absent_side).map(Checked::Size).map(Some)
        }
        Kind::StrengthSpans => check.spans().map(Checked::Spans).map(Some),
        Kind::Loras => check.loras().map(Checked::Loras).map(Some),
    }
}

/// What a value of `kind` looks like, for messages.
pub(super) fn expected(kind: &Kind) -> String {
    match kind {
        Kind::Integer { range, .. } => format!("a whole number from {} to {}", range.start(), range.end()),
        Kind::Seed { highest } => format!("a whole number from 0 to {highest}, or -1 to draw one"),
        Kind::Number { range, .. } => format!("a number from {} to {}", range.start(), range.end()),
        Kind::Switch { .. } => "true or false".to_owned(),
        Kind::Choice { options, .. } => format!("one of {}", options.join(", ")),
        Kind::Text { .. } => "a text".to_owned(),
        Kind::Picture => "a picture as URL, data URI or base64".to_owned(),
        Kind::Pictures { most } => format!("a list of at most {most} pictures, each as URL, data URI or base64"),
        Kind::NumberList { range, most } => {
            format!("a list of at most {most} numbers from {} to {}", range.start(), range.end())
        }
        Kind::Size { side, separator, default } => format!(
            "{}WIDTH{separator}HEIGHT with {} to {} pixels per side, such as 1024{separator}768",
            if default.is_some() { "" } else { "auto, or " },
            side.start(),
            side.end()
        ),
        Kind::NamedSize { presets, side, .. } => {
            let names: Vec<&str> = presets.iter().map(|(name, _)| *name).collect();
            let (low, high) = (side.start(), side.end());
            format!("one of {}, or {{\"width\", \"height\"}} with {low} to {high} pixels each", names.join(", "))
        }
        Kind::StrengthSpans => "strengths of parts of the run, such as 1@0:0.3,0.4@0.3:1".to_owned(),
        Kind::Loras => lora_list::EXPECTED.to_owned(),
    }
}

/// The one of `options` that `word` spells, in whatever case.
pub(super) fn chosen<'a>(options: &[&'a str], aliases: &[(&str, &'a str)], word: &str) -> Option<&'a str> {
    let alias = || aliases.iter().find(|(alias, _)| alias.eq_ignore_ascii_case(word)).map(|(_, option)| *option);
    options.iter().copied().find(|option| option.eq_ignore_ascii_case(word)).or_else(alias)
}

/// The size called `name`.
pub(super) fn preset(presets: &[(&str, Size)], name: &str) -> Option<Size> {
    presets.iter().find(|(known, _)| *known == name).map(|(_, size)| *size)
}

/// The number, switch or list that a text stands for, or `None` when it is none; the check of the text then says so.
fn from_text(kind: &Kind, value: &Value) -> Option<Value> {
    let text = value.as_str()?;
    if matches!(kind, Kind::Loras | Kind::NumberList { .. }) {
        return list_from_text(text);
    }
    let text = Some(text).filter(|text| text.len() <= WORD_BYTES)?.trim();
    match kind {
        Kind::Integer { .. } | Kind::Seed { .. } | Kind::Number { .. } => {
            let whole = text.parse::<u64>().map(Value::from).or_else(|_| text.parse::<i64>().map(Value::from));
            let number = || text.parse::<f64>().ok().filter(|number| number.is_finite()).map(Value::from);
            whole.ok().or_else(number)
        }
        Kind::Switch { .. } => match text.to_ascii_lowercase().as_str() {
            "true" | "1" | "on" | "yes" => Some(Value::Bool(true)),
            "false" | "0" | "off" | "no" => Some(Value::Bool(false)),
            _ => None,
        },
        _ => None,
    }
}

struct ParameterCheck<'a> {
    numbers: Numbers,
    parameter: &'a Parameter,
    value: &'a Value,
}

impl ParameterCheck<'_> {
    fn problem(&self, kind: ProblemKind, message: String) -> Problem {
        Problem::new(self.parameter.name, kind, message)
    }

    fn wrong_type(&self) -> Problem {
        let message = format!("is {}; expected {}", type_name(self.value), expected(&self.parameter.kind));
        self.problem(ProblemKind::WrongType, message)
    }

    fn out_of_range(&self, kind: ProblemKind, value: &dyn Display) -> Problem {
        self.problem(kind, format!("{value} is out of range; expected {}", expected(&self.parameter.kind)))
    }

    fn beyond(&self, is_small: bool, value: &dyn Display) -> Problem {
        self.out_of_range(if is_small { ProblemKind::TooSmall } else { ProblemKind::TooLarge }, value)
    }

    fn text(&self) -> Result<&str, Problem> {
        self.value.as_str().ok_or_else(|| self.wrong_type())
    }

    /// The whole number that the value is, with all its digits.
    fn whole(&self) -> Result<i128, Problem> {
        let number = self.value.as_number().ok_or_else(|| self.wrong_type())?;
        let exact = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
        exact.map_or_else(|| self.whole_float(number), Ok)
    }

    /// JSON has one number type: 28.0 is a whole number.
    fn whole_float(&self, number: &Number) -> Result<i128, Problem> {
        let float = number.as_f64().unwrap_or(f64::NAN);
        if float.fract() == 0.0 && float.abs() < FIRST_INEXACT {
            return Ok(float as i128);
        }
        if float.fract() == 0.0 {
            return Err(self.beyond(float < 0.0, number));
        }
        let message = format!("{number} is not a whole number; expected {}", expected(&self.parameter.kind));
        Err(self.problem(ProblemKind::WrongType, message))
    }

    fn integer(&self, range: &RangeInclusive<i64>) -> Result<i64, Problem> {
        let whole = self.whole()?;
        let in_range = i64::try_from(whole).ok().filter(|whole| range.contains(whole));
        in_range.ok_or_else(|| self.beyond(whole < i128::from(*range.start()), &whole))
    }

    fn seed(&self, highest: u64) -> Result<Option<u64>, Problem> {
        let whole = self.whole()?;
        if whole == -1 {
            return Ok(None);
        }
        let in_range = u64::try_from(whole).ok().filter(|seed| *seed <= highest);
        in_range.map(Some).ok_or_else(|| self.beyond(whole < 0, &whole))
    }

    fn number(&self, range: &RangeInclusive<f64>) -> Result<f64, Problem> {
        let number = self.value.as_f64().ok_or_else(|| self.wrong_type())?;
        if range.contains(&number) { Ok(number) } else { Err(self.beyond(number < *range.start(), &number)) }
    }

    fn choice(&self, options: &[&str], aliases: &[(&str, &str)]) -> Result<String, Problem> {
        let word = self.text()?;
        let refused = || self.out_of_range(ProblemKind::NotAnOption, &format_args!("{:?}", shortened(word)));
        chosen(options, aliases, word).map(str::to_owned).ok_or_else(refused)
    }

    fn bounded_text(&self, max_bytes: usize) -> Result<String, Problem> {
        let text = self.text()?;
        if text.len() > max_bytes {
            let message = format!("{} bytes are too long; at most {max_bytes} are accepted", text.len());
            return Err(self.problem(ProblemKind::TooLong, message));
        }
        Ok(text.to_owned())
    }

    fn picture(&self) -> Result<String, Problem> {
        let text = self.text()?;
        if text.trim().is_empty() {
            let message = format!("empty; expected {}", expected(&self.parameter.kind));
            return Err(self.problem(ProblemKind::Missing, message));
        }
        Ok(text.to_owned())
    }

    fn spans(&self) -> Result<Vec<StrengthSpan>, Problem> {
        let text = self.bounded_text(SPANS_BYTES)?;
        if text.trim().is_empty() {
            return Ok(Vec::new());
        }
        let spans = text.split(',').map(str::parse).collect::<Result<_, String>>();
        spans.map_err(|problem| self.problem(ProblemKind::Malformed, problem))
    }

    /// `None` for `auto`, where that is accepted.
    fn size(&self, side: &RangeInclusive<u32>, takes_auto: bool) -> Result<Option<Size>, Problem> {
        let text = self.text()?;
        if takes_auto && text.len() <= WORD_BYTES && text.trim().eq_ignore_ascii_case("auto") {
            return Ok(None);
        }
        let size = text.parse::<Size>().ok().filter(|_| text.len() <= WORD_BYTES).ok_or_else(|| {
            let expected = expected(&self.parameter.kind);
            self.problem(ProblemKind::Malformed, format!("{:?} is not a size; expected {expected}", shortened(text)))
        })?;
        if side.contains(&size.width) && side.contains(&size.height) {
            return Ok(Some(size));
        }
        Err(self.beyond(size.width.min(size.height) < *side.start(), &size))
    }

    fn named_size(
        &self,
        presets: &[(&str, Size)],
        side: &RangeInclusive<u32>,
        absent_side: u32,
    ) -> Result<Size, Problem> {
        match self.value {
            Value::String(name) => preset(presets, name)
                .ok_or_else(|| self.out_of_range(ProblemKind::NotAnOption, &format_args!("{:?}", shortened(name)))),
            Value::Object(sides) => {
                let width = self.side_of("width", sides, side)?.unwrap_or(absent_side);
                let height = self.side_of("height", sides, side)?.unwrap_or(absent_side);
                Ok(Size::new(width, height))
            }
            _ => Err(self.wrong_type()),
        }
    }

    /// The items of the list that the value is, of which there may be `most`.
    fn items(&self, most: usize) -> Result<&[Value], Problem> {
        // Absent, as the text that a form has.
        if self.value.is_null() {
            return Ok(&[]);
        }
        let items = self.value.as_array().ok_or_else(|| self.wrong_type())?;
        if items.len() > most {
            let message = format!("{} are too many; at most {most} are accepted", items.len());
            return Err(self.problem(ProblemKind::TooLong, message));
        }
        Ok(items)
    }

    /// A list whose items are of one `kind`; problems name an item's place, as `images[0]`.
    fn list<T>(&self, most: usize, kind: &Kind, item_of: fn(Checked) -> Option<T>) -> Result<Vec<T>, Problem> {
        let parameter = Parameter::optional(self.parameter.name, kind.clone(), "");
        let item = |(index, value)| {
            let place = || format!("{}[{index}]", self.parameter.name);
            let checked =
                check(self.numbers, &parameter, value).map_err(|problem| Problem { field: place(), ..problem })?;
            let wrong_type = || Problem::new(place(), ProblemKind::WrongType, format!("expected {}", expected(kind)));
            checked.and_then(item_of).ok_or_else(wrong_type)
        };
        self.items(most)?.iter().enumerate().map(item).collect()
    }

    fn loras(&self) -> Result<Vec<LoraChoice>, Problem> {
        let items = self.items(*limits::LORAS.end())?;
        items.iter().enumerate().map(|(index, item)| self.lora(index, item)).collect()
    }

    /// The `LoRA` that `item` of the list names; problems name its place, as `loras[0].path`.
    fn lora(&self, index: usize, item: &Value) -> Result<LoraChoice, Problem> {
        let place = format!("{}[{index}]", self.parameter.name);
        let Value::Object(fields) = item else {
            let message = format!("is {}; expected {{\"path\", \"scale\"}}", type_name(item));
            return Err(Problem::new(place, ProblemKind::WrongType, message));
        };
        let name = lora_name(fields.get(lora_list::PATH).unwrap_or(&Value::Null));
        let name = name.map_err(|(kind, message)| Problem::new(format!("{place}.path"), kind, message))?;
        let scale = match fields.get(lora_list::SCALE).filter(|scale| !scale.is_null()) {
            None => lora_list::DEFAULT_SCALE,
            Some(scale) => {
                self.lora_scale(scale).map_err(|problem| Problem { field: format!("{place}.scale"), ..problem })?
            }
        };
        Ok(LoraChoice { name, scale })
    }

    fn lora_scale(&self, scale: &Value) -> Result<f64, Problem> {
        let kind = Kind::Number { range: limits::LORA_SCALE, default: lora_list::DEFAULT_SCALE };
        let checked = check(self.numbers, &Parameter::optional(lora_list::SCALE, kind, ""), scale)?;
        Ok(if let Some(Checked::Number(scale)) = checked { scale } else { lora_list::DEFAULT_SCALE })
    }

    /// Pixels of the side `name` in the object `sides` that the value is; problems name both, as `image_size.width`.
    fn side_of(
        &self,
        name: &'static str,
        sides: &Map<String, Value>,
        range: &RangeInclusive<u32>,
    ) -> Result<Option<u32>, Problem> {
        let Some(value) = sides.get(name).filter(|value| !value.is_null()) else { return Ok(None) };
        let kind = Kind::Integer { range: i64::from(*range.start())..=i64::from(*range.end()), default: None };
        let checked = check(self.numbers, &Parameter::optional(name, kind, ""), value)
            .map_err(|problem| Problem { field: format!("{}.{name}", self.parameter.name), ..problem })?;
        Ok(checked.and_then(|checked| match checked {
            Checked::Integer(pixels) => u32::try_from(pixels).ok(),
            _ => None,
        }))
    }
}

fn lora_name(path: &Value) -> Result<LoraName, (ProblemKind, String)> {
    let what = "the name of a LoRA in the server's folder";
    let path = match path {
        Value::String(path) => path,
        Value::Null => return Err((ProblemKind::Missing, format!("missing; {what} is required"))),
        other => return Err((ProblemKind::WrongType, format!("is {}; expected {what}", type_name(other)))),
    };
    path.parse().map_err(|rule| {
        let shown = shortened(path);
        let message = format!("{shown:?} is no name; expected {what}, not an address or a path: {rule}");
        (ProblemKind::Malformed, message)
    })
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
