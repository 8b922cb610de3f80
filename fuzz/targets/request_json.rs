//! JSON bodies against the parameters of every model of every dialect, typed and as form text.
#![cfg_attr(fuzzing, no_main)]

use afterimage_core::limits;
use afterimage_server::dialects::openai::{Base, form_parameters, native_parameters};
use afterimage_server::dialects::{Flow, fal, wavespeed};
use afterimage_server::parameters::{Kind, Numbers, Parameter, Values, echo, parse_with};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// What every route that makes pictures takes.
static ROUTES: LazyLock<Vec<Vec<Parameter>>> = LazyLock::new(|| {
    let mut routes: Vec<_> = wavespeed::MODELS.iter().chain(&fal::MODELS).map(|model| model.parameters()).collect();
    for flow in [Flow::Variation, Flow::ImageToImage] {
        routes.push(form_parameters(flow, Base::OpenAi));
    }
    routes.push(native_parameters());
    routes
});

fuzz_target!(|bytes: &[u8]| {
    let Ok(object) = serde_json::from_slice::<Map<String, Value>>(bytes) else { return };
    for parameters in ROUTES.iter() {
        for numbers in [Numbers::Typed, Numbers::OrText] {
            match parse_with(numbers, parameters, &object) {
                Ok(values) => {
                    parameters.iter().for_each(|parameter| check(parameter, &values));
                    check_kept(parameters, &echo(parameters, &object));
                }
                Err(problem) => {
                    assert!(parameters.iter().any(|parameter| problem.field.starts_with(parameter.name)), "{problem}");
                    // A megabyte sent to the wrong field does not come back.
                    assert!(problem.to_string().len() < 2000, "{}", problem.to_string().len());
                }
            }
        }
    }
});

/// What is stored with an accepted request is bounded, parameter by parameter.
fn check_kept(parameters: &[Parameter], kept: &Value) {
    for parameter in parameters {
        // A character may take six in JSON.
        let most = match &parameter.kind {
            Kind::Text { max_bytes } => 6 * max_bytes + 2,
            Kind::Picture => 6 * 2048 + 2,
            // Names of 80 characters with a scale of f64's digits.
            Kind::Loras => 200 * limits::LORAS.end(),
            Kind::Pictures { most } => most * (6 * 2048 + 3) + 2,
            Kind::NumberList { most, .. } => most * 30 + 2,
            _ => 600,
        };
        let length = kept.get(parameter.name).map_or(0, |value| value.to_string().len());
        assert!(length <= most, "{}: {length} bytes", parameter.name);
    }
}

/// What was accepted is within the declared range.
fn check(parameter: &Parameter, values: &Values) {
    let name = parameter.name;
    match &parameter.kind {
        Kind::Integer { range, default } => {
            let value = values.integer(name);
            assert!(value.is_some() || default.is_none(), "{name}");
            assert!(value.is_none_or(|value| range.contains(&value) || Some(value) == *default), "{name}: {value:?}");
        }
        Kind::Seed { highest } => {
            assert!(values.seed(name).is_none_or(|seed| seed <= *highest), "{name}");
        }
        Kind::Number { range, .. } => {
            let value = values.number(name).expect("a number has a default");
            assert!(value.is_finite() && range.contains(&value), "{name}: {value}");
        }
        Kind::Switch { .. } => {
            let _ = values.switch(name);
        }
        Kind::Choice { options, .. } => {
            assert!(values.text(name).is_some_and(|word| options.contains(&word)), "{name}");
        }
        Kind::Text { max_bytes } => {
            let text = values.text(name);
            assert!(text.is_some() || !parameter.required, "{name}");
            assert!(text.is_none_or(|text| text.len() <= *max_bytes), "{name}");
        }
        Kind::Pictures { most } => {
            let pictures = values.texts(name);
            assert!(pictures.len() <= *most && pictures.iter().all(|text| !text.trim().is_empty()), "{name}");
        }
        Kind::NumberList { range, most } => {
            let numbers = values.numbers(name);
            assert!(numbers.len() <= *most && numbers.iter().all(|number| range.contains(number)), "{name}");
        }
        Kind::StrengthSpans => {
            let mut spans = values.spans(name).iter();
            assert!(spans.all(|span| 0.0 <= span.start && span.start < span.end && span.end <= 1.0), "{name}");
        }
        Kind::Loras => {
            let loras = values.loras(name);
            assert!(loras.len() <= *limits::LORAS.end(), "{name}");
            assert!(loras.iter().all(|lora| limits::LORA_SCALE.contains(&lora.scale)), "{name}");
        }
        Kind::Picture => {
            let text = values.text(name);
            assert!(text.is_some() || !parameter.required, "{name}");
            assert!(text.is_none_or(|text| !text.trim().is_empty()), "{name}");
        }
        Kind::Size { side, .. } | Kind::NamedSize { side, .. } => {
            let takes_auto = matches!(parameter.kind, Kind::Size { default: None, .. });
            let size = values.size(name);
            assert!(size.is_some() || takes_auto, "{name}");
            assert!(size.is_none_or(|it| side.contains(&it.width) && side.contains(&it.height)), "{name}: {size:?}");
        }
    }
}
