//! Sizes: `WIDTHxHEIGHT`, and a word or an object of two sides.
#![no_main]

use afterimage_core::Size;
use afterimage_server::dialects::parameters::{Kind, Numbers, Parameter, parse_with};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};

const PRESETS: [(&str, Size); 2] = [("square", Size::new(512, 512)), ("wide", Size::new(1024, 576))];

fuzz_target!(|text: &str| {
    if let Ok(size) = text.parse::<Size>() {
        assert_eq!(size.to_string().parse(), Ok(size), "{text:?}");
        assert!(text.chars().all(|c| c.is_ascii_digit() || "xX*".contains(c) || c.is_whitespace()), "{text:?}");
    }
    let kind = Kind::NamedSize { presets: &PRESETS, default: "wide", side: 16..=2048, absent_side: 512 };
    let parameters = [Parameter::optional("size", kind, "")];
    let value = serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()));
    let object: Map<String, Value> = [("size".to_owned(), value)].into_iter().collect();
    for numbers in [Numbers::Typed, Numbers::OrText] {
        match parse_with(numbers, &parameters, &object) {
            Ok(values) => {
                let size = values.size("size").expect("a size has a default");
                assert!((16..=2048).contains(&size.width) && (16..=2048).contains(&size.height), "{text:?}: {size}");
            }
            Err(problem) => assert!(problem.field.starts_with("size"), "{problem}"),
        }
    }
});
