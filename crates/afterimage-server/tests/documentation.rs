//! The documents say what the code does: tables in `docs/` are made from the lists that requests are checked by.

#![expect(
    clippy::unwrap_used,
    reason = "a failure anywhere in a test should end it; clippy's exception covers only the test functions"
)]

use afterimage_core::limits;
use afterimage_server::dialects::openai::{self, Base};
use afterimage_server::dialects::{Flow, Model, fal, wavespeed};
use afterimage_server::parameters::{Kind, Parameter};
use std::fmt::Write;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

const BEGIN: &str = "<!-- parameters: generated, see crates/afterimage-server/tests/documentation.rs -->\n";
const END: &str = "<!-- end of parameters -->\n";

/// One table: what it is of, a line about it, its parameters.
type Table = (String, String, Vec<Parameter>);

fn of_models(models: &[Model]) -> Vec<Table> {
    models.iter().map(|model| (model.id.to_owned(), model.description.to_owned(), model.parameters())).collect()
}

fn of_openai() -> Vec<Table> {
    let default = |base: Base| format!("`{}` under `{}`", base.response_format(), base.path());
    let defaults = format!("`response_format` is {}, {}.", default(Base::OpenAi), default(Base::DeepInfra));
    let form = |name: &str, flow, what: &str| {
        let parameters = openai::form_parameters(flow, Base::OpenAi);
        (format!("POST images/{name}"), format!("{what} By default {defaults}"), parameters)
    };
    let native = "DeepInfra's native form. JSON, or a form with the picture as a file.";
    vec![
        form("variations", Flow::Variation, "Varies a picture. A form (`multipart/form-data`)."),
        form(
            "edits",
            Flow::ImageToImage,
            "Reshapes a picture towards a prompt. A form (`multipart/form-data`), or JSON with `images`, a list with one \
             `{\"image_url\"}`, in place of `image`.",
        ),
        (format!("POST /v1/inference/{}", openai::MODEL), native.to_owned(), openai::native_parameters()),
    ]
}

/// `document` with what is between the markers replaced by the current tables.
fn with_current_tables(document: &str, tables: &[Table]) -> String {
    let start = document.find(BEGIN).expect("the begin marker") + BEGIN.len();
    let end = document.find(END).expect("the end marker");
    let mut text = document[..start].to_owned();
    for (name, description, parameters) in tables {
        write!(text, "\n### `{name}`\n\n{description}\n\n").unwrap();
        text.push_str("| parameter | type | values | default | |\n|---|---|---|---|---|\n");
        text.extend(parameters.iter().map(row));
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
        Kind::Seed { highest } => ("integer", format!("-1 to {highest}"), String::new()),
        Kind::Number { range, default } => ("number", span(range), format!("`{default}`")),
        Kind::Switch { default } => ("boolean", String::new(), format!("`{default}`")),
        Kind::Choice { options, aliases, default } => {
            let words = options.iter().map(|word| format!("`{word}`"));
            let words: Vec<String> =
                words.chain(aliases.iter().map(|(alias, word)| format!("`{alias}` for `{word}`"))).collect();
            ("string", words.join(", "), format!("`{default}`"))
        }
        Kind::Text { max_bytes } if *max_bytes < 1024 => ("string", format!("up to {max_bytes} bytes"), String::new()),
        Kind::Text { max_bytes } => ("string", format!("up to {} KiB", max_bytes / 1024), String::new()),
        Kind::Picture => ("string", String::new(), String::new()),
        Kind::Pictures { most } => ("array", format!("up to {most} pictures"), String::new()),
        Kind::StrengthSpans => ("string", "`STRENGTH@START:END`, separated by commas".to_owned(), String::new()),
        Kind::NumberList { range, most } => ("array", format!("up to {most} numbers, {}", span(range)), String::new()),
        Kind::Size { side, default, separator } => {
            let values = format!("`W{separator}H`, {} each", span(side));
            let values = if default.is_some() { values } else { format!("`auto`, {values}") };
            let default = default.map_or("auto".to_owned(), |size| format!("{}{separator}{}", size.width, size.height));
            ("string", values, format!("`{default}`"))
        }
        Kind::NamedSize { presets, default, side, .. } => {
            let names: Vec<String> = presets.iter().map(|(name, size)| format!("`{name}` ({size})")).collect();
            let values = format!("{}, or `{{\"width\", \"height\"}}`, {} each", names.join(", "), span(side));
            ("string or object", values, format!("`{default}`"))
        }
        Kind::Loras => {
            let values = format!(
                "up to {} `{{\"path\", \"scale\"}}`, scales {}",
                limits::LORAS.end(),
                span(&limits::LORA_SCALE)
            );
            ("array", values, "`[]`, scales 1".to_owned())
        }
    }
}

fn span<T: std::fmt::Display>(range: &RangeInclusive<T>) -> String {
    format!("{} to {}", range.start(), range.end())
}

/// `AFTERIMAGE_UPDATE_DOCS=1 cargo test --release -p afterimage-server --test documentation` writes the current tables.
#[test]
fn the_parameters_in_the_guides_are_up_to_date() {
    for (file, tables) in [
        ("wavespeed.md", of_models(&wavespeed::MODELS)),
        ("fal.md", of_models(&fal::MODELS)),
        ("openai.md", of_openai()),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(file);
        let document = fs::read_to_string(&path).unwrap();
        let current = with_current_tables(&document, &tables);
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
