//! Sizes: `WIDTHxHEIGHT`, and a word or an object of two sides, as fal's models take them.
#![cfg_attr(fuzzing, no_main)]

use afterimage_core::Size;
use afterimage_server::dialects::fal::MODELS;
use afterimage_server::parameters::{Kind, Numbers, Parameter, parse_with};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;
use std::sync::LazyLock;

/// A parameter of this kind and what it is made of.
struct Named {
    parameter: Parameter,
    presets: &'static [(&'static str, Size)],
    default: Size,
    side: RangeInclusive<u32>,
    absent: u32,
}

/// Of a parameter whose range does not hold its own words.
const WIDE: [(&str, Size); 1] = [("wide", Size::new(1024, 576))];

/// fal's, and that one.
static NAMED: LazyLock<Vec<Named>> = LazyLock::new(|| {
    let narrow = Kind::NamedSize { presets: &WIDE, default: "wide", side: 16..=64, absent_side: 32 };
    let of_fal = MODELS.iter().flat_map(|model| model.parameters());
    let all: Vec<Named> = of_fal.chain([Parameter::optional("size", narrow, "")]).filter_map(named).collect();
    assert!(all.len() > 1, "fal's models have a size");
    all
});

fn named(parameter: Parameter) -> Option<Named> {
    let Kind::NamedSize { presets, default, side, absent_side } = parameter.kind.clone() else { return None };
    let (_, size) = *presets.iter().find(|(name, _)| *name == default)?;
    Some(Named { parameter, presets, default: size, side, absent: absent_side })
}

fuzz_target!(|text: &str| {
    if let Ok(size) = text.parse::<Size>() {
        assert_eq!(size.to_string().parse(), Ok(size), "{text:?}");
        assert!(text.chars().all(|c| c.is_ascii_digit() || "xX*".contains(c) || c.is_whitespace()), "{text:?}");
    }
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    for named in NAMED.iter() {
        for numbers in [Numbers::Typed, Numbers::OrText] {
            check(named, numbers, &value);
        }
    }
});

fn check(named: &Named, numbers: Numbers, value: &Value) {
    let name = named.parameter.name;
    let object: Map<String, Value> = [(name.to_owned(), value.clone())].into_iter().collect();
    let read = parse_with(numbers, std::slice::from_ref(&named.parameter), &object);
    let read = read.map(|values| values.size(name).expect("a size has a default"));
    match (value, read) {
        (Value::Null, read) => assert_eq!(read, Ok(named.default)),
        (Value::String(word), read) => {
            let preset = named.presets.iter().find(|(known, _)| known == word).map(|(_, size)| *size);
            assert_eq!(read.as_ref().ok(), preset.as_ref(), "{word:?}");
        }
        (Value::Object(sides), Ok(size)) => {
            for (side, pixels) in [("width", size.width), ("height", size.height)] {
                assert!(named.side.contains(&pixels), "{value}: {size}");
                let given = sides.get(side).filter(|given| !given.is_null());
                let expected = given.map_or(Some(f64::from(named.absent)), number);
                assert_eq!(Some(f64::from(pixels)), expected, "{value}");
            }
        }
        (Value::Object(_), Err(problem)) => {
            let side = problem.field.strip_prefix(name).and_then(|rest| rest.strip_prefix('.'));
            assert!(side.is_some_and(|side| side == "width" || side == "height"), "{problem}");
        }
        (_, read) => assert_eq!(read.map_err(|problem| problem.field), Err(name.to_owned()), "{value}"),
    }
}

/// The number that a value is, or spells.
fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.trim().parse().ok())
}
