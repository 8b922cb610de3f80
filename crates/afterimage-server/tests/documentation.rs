//! The documents say what the code does: tables in `docs/` are made from the lists that requests are checked by.

#![expect(
    clippy::unwrap_used,
    reason = "a failure anywhere in a test should end it; clippy's exception covers only the test functions"
)]

use afterimage_server::dialects::parameters::{Kind, Parameter};
use afterimage_server::dialects::{Model, fal, wavespeed};
use std::fmt::Write;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

const BEGIN: &str = "<!-- parameters: generated, see crates/afterimage-server/tests/documentation.rs -->\n";
const END: &str = "<!-- end of parameters -->\n";

/// `document` with what is between the markers replaced by the current tables.
fn with_current_tables(document: &str, models: &[Model]) -> String {
    let start = document.find(BEGIN).expect("the begin marker") + BEGIN.len();
    let end = document.find(END).expect("the end marker");
    let mut text = document[..start].to_owned();
    for model in models {
        write!(text, "\n### `{}`\n\n{}\n\n", model.id, model.description).unwrap();
        text.push_str("| parameter | type | values | default | |\n|---|---|---|---|---|\n");
        for parameter in model.parameters() {
            text.push_str(&row(&parameter));
        }
    }
    text + "\n" + &document[end..]
}

fn row(parameter: &Parameter) -> String {
    let (kind, values, default) = columns(&parameter.kind);
    let default = if parameter.required { "required".to_owned() } else { default };
    format!("| `{}` | {kind} | {values} | {default} | {} |\n", parameter.name, parameter.description)
}

/// Type, values and default.
fn columns(kind: &Kind) -> (&'static str, String, String) {
    match kind {
        Kind::Integer { range, default } => {
            ("integer", span(range), default.map(|value| format!("`{value}`")).unwrap_or_default())
        }
        Kind::Number { range, default } => ("number", span(range), format!("`{default}`")),
        Kind::Switch { default } => ("boolean", String::new(), format!("`{default}`")),
        Kind::Choice { options, default } => {
            let words: Vec<String> = options.iter().map(|word| format!("`{word}`")).collect();
            ("string", words.join(", "), format!("`{default}`"))
        }
        Kind::Text { max_bytes } => ("string", format!("up to {} KiB", max_bytes / 1024), String::new()),
        Kind::Picture => ("string", String::new(), String::new()),
        Kind::Size { side, default, separator } => {
            let values = format!("`W{separator}H`, {} each", span(side));
            ("string", values, format!("`{}{separator}{}`", default.width, default.height))
        }
        Kind::NamedSize { presets, default, side, .. } => {
            let names: Vec<String> = presets.iter().map(|(name, size)| format!("`{name}` ({size})")).collect();
            let values = format!("{}, or `{{\"width\", \"height\"}}`, {} each", names.join(", "), span(side));
            ("string or object", values, format!("`{default}`"))
        }
    }
}

fn span<T: std::fmt::Display>(range: &RangeInclusive<T>) -> String {
    format!("{} to {}", range.start(), range.end())
}

/// `AFTERIMAGE_UPDATE_DOCS=1 cargo test --release -p afterimage-server --test documentation` writes the current tables.
#[test]
fn the_parameters_in_the_guides_are_up_to_date() {
    for (file, models) in [("wavespeed.md", &wavespeed::MODELS[..]), ("fal.md", &fal::MODELS[..])] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file);
        let document = fs::read_to_string(&path).unwrap();
        let current = with_current_tables(&document, models);
        if std::env::var_os("AFTERIMAGE_UPDATE_DOCS").is_some() {
            fs::write(&path, &current).unwrap();
            continue;
        }
        assert!(
            document == current,
            "{file} is out of date: run AFTERIMAGE_UPDATE_DOCS=1 cargo test --release -p afterimage-server --test documentation"
        );
    }
}
