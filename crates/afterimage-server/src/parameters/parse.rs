//! A request's JSON object against a list of parameters.

use super::check::{Numbers, check, expected, preset};
use super::parameter::{Kind, Parameter};
use super::values::{Checked, Values};
use crate::problem::{Problem, ProblemKind};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

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
        let checked = match given {
            Some(value) => check(numbers, parameter, value)?,
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
        Kind::Size { default, .. } => default.map(Checked::Size),
        Kind::NamedSize { presets, default, .. } => preset(presets, default).map(Checked::Size),
        Kind::Seed { .. }
        | Kind::Text { .. }
        | Kind::Picture
        | Kind::Pictures { .. }
        | Kind::NumberList { .. }
        | Kind::StrengthSpans
        | Kind::Loras => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::{LoraChoice, Size, StrengthSpan};
    use proptest::prelude::*;
    use serde_json::json;

    const PRESETS: [(&str, Size); 2] = [("square", Size::new(512, 512)), ("wide", Size::new(1024, 576))];

    fn parameters() -> Vec<Parameter> {
        vec![
            Parameter::required("image", Kind::Picture, ""),
            Parameter::optional("seed", Kind::Seed { highest: 0x7fff_ffff }, ""),
            Parameter::optional("long_seed", Kind::Seed { highest: u64::MAX }, ""),
            Parameter::optional("steps", Kind::Integer { range: 1..=50, default: Some(28) }, ""),
            Parameter::optional("guidance", Kind::Number { range: 1.0..=5.0, default: 3.5 }, ""),
            Parameter::optional(
                "format",
                Kind::Choice { options: &["jpeg", "png"], aliases: &[("jpg", "jpeg")], default: "jpeg" },
                "",
            ),
            Parameter::optional("checked", Kind::Switch { default: true }, ""),
            Parameter::optional("prompt", Kind::Text { max_bytes: 10 }, ""),
            Parameter::optional(
                "size",
                Kind::Size { side: 256..=1536, default: Some(Size::new(1024, 1024)), separator: '*' },
                "",
            ),
            Parameter::optional("kept_size", Kind::Size { side: 16..=4096, default: None, separator: 'x' }, ""),
            Parameter::optional(
                "image_size",
                Kind::NamedSize { presets: &PRESETS, default: "wide", side: 16..=2048, absent_side: 512 },
                "",
            ),
            Parameter::optional("loras", Kind::Loras, ""),
            Parameter::optional("images", Kind::Pictures { most: 3 }, ""),
            Parameter::optional("spans", Kind::StrengthSpans, ""),
            Parameter::optional("weights", Kind::NumberList { range: -10.0..=10.0, most: 4 }, ""),
        ]
    }

    fn parsed(value: &Value) -> Result<Values, Problem> {
        parse(&parameters(), value.as_object().unwrap())
    }

    #[test]
    fn absence_and_null_mean_the_default() {
        for body in [json!({"image": "x"}), json!({"image": "x", "seed": null, "size": null, "prompt": null})] {
            let values = parsed(&body).unwrap();
            assert_eq!((values.seed("seed"), values.size("kept_size")), (None, None));
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
    }

    #[test]
    fn seeds_keep_all_their_digits() {
        let seed = |field: &str, value: Value| {
            let body = json!({"image": "x", field: value});
            let read = parse_with(Numbers::OrText, &parameters(), body.as_object().unwrap());
            read.map(|values| values.seed(field)).map_err(|problem| problem.kind)
        };
        for (field, value, expected) in [
            ("seed", json!(-1), None),
            ("seed", json!(-1.0), None),
            ("seed", json!("-1"), None),
            ("seed", json!(0), Some(0)),
            ("seed", json!(2_147_483_647), Some(2_147_483_647)),
            ("long_seed", json!(2_147_483_648_u64), Some(2_147_483_648)),
            ("long_seed", json!(9_007_199_254_740_993_u64), Some(9_007_199_254_740_993)),
            ("long_seed", json!("9007199254740993"), Some(9_007_199_254_740_993)),
            ("long_seed", json!(1e15), Some(1_000_000_000_000_000)),
            ("long_seed", json!(u64::MAX), Some(u64::MAX)),
            ("long_seed", json!("18446744073709551615"), Some(u64::MAX)),
        ] {
            assert_eq!(seed(field, value.clone()), Ok(expected), "{field} {value}");
        }
        for (field, value, kind) in [
            ("seed", json!(2_147_483_648_u64), ProblemKind::TooLarge),
            ("long_seed", json!(-2), ProblemKind::TooSmall),
            ("long_seed", json!("18446744073709551616"), ProblemKind::TooLarge),
            ("long_seed", json!(9_007_199_254_740_994.0), ProblemKind::TooLarge),
            ("long_seed", json!("many"), ProblemKind::WrongType),
            ("long_seed", json!(0.5), ProblemKind::WrongType),
        ] {
            assert_eq!(seed(field, value.clone()), Err(kind), "{field} {value}");
        }
    }

    #[test]
    fn words_are_read_in_any_case_and_under_their_other_names() {
        for (word, format) in [("jpeg", "jpeg"), ("JPEG", "jpeg"), ("jpg", "jpeg"), ("Jpg", "jpeg"), ("PNG", "png")] {
            let values = parsed(&json!({"image": "x", "format": word})).unwrap();
            assert_eq!(values.text("format"), Some(format), "{word}");
        }
    }

    #[test]
    fn auto_is_a_size_where_none_is_the_default() {
        let size = |field: &str, text: &str| parsed(&json!({"image": "x", field: text})).map(|it| it.size(field));
        assert_eq!(size("kept_size", "auto"), Ok(None));
        assert_eq!(size("kept_size", " AUTO "), Ok(None));
        assert_eq!(size("kept_size", "16x4096"), Ok(Some(Size::new(16, 4096))));
        assert!(size("size", "auto").is_err() && size("kept_size", "15x16").is_err());
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
            (json!({"image": "x", "images": "y"}), "images", WrongType),
            (json!({"image": "x", "images": ["y", ["z"]]}), "images[1]", WrongType),
            (json!({"image": "x", "images": ["y", " "]}), "images[1]", Missing),
            (json!({"image": "x", "images": [null]}), "images[0]", WrongType),
            (json!({"image": "x", "images": ["a", "b", "c", "d"]}), "images", TooLong),
            (json!({"image": "x", "spans": 1}), "spans", WrongType),
            (json!({"image": "x", "spans": "0.5"}), "spans", Malformed),
            (json!({"image": "x", "spans": "0.5@0:1,"}), "spans", Malformed),
            (json!({"image": "x", "spans": "9".repeat(1000)}), "spans", TooLong),
            (json!({"image": "x", "weights": 1}), "weights", WrongType),
            (json!({"image": "x", "weights": "[1]"}), "weights", WrongType),
            (json!({"image": "x", "weights": [1, "2"]}), "weights[1]", WrongType),
            (json!({"image": "x", "weights": [null]}), "weights[0]", WrongType),
            (json!({"image": "x", "weights": [10.5]}), "weights[0]", TooLarge),
            (json!({"image": "x", "weights": [1, -11]}), "weights[1]", TooSmall),
            (json!({"image": "x", "weights": [1, 1, 1, 1, 1]}), "weights", TooLong),
            (json!({"image": "x", "loras": "film"}), "loras", WrongType),
            (json!({"image": "x", "loras": {"path": "film"}}), "loras", WrongType),
            (json!({"image": "x", "loras": r#"[{"path": "film"}]"#}), "loras", WrongType),
            (json!({"image": "x", "loras": vec![json!({"path": "a"}); 9]}), "loras", TooLong),
            (json!({"image": "x", "loras": ["film"]}), "loras[0]", WrongType),
            (json!({"image": "x", "loras": [{"path": "film"}, {}]}), "loras[1].path", Missing),
            (json!({"image": "x", "loras": [{"path": null}]}), "loras[0].path", Missing),
            (json!({"image": "x", "loras": [{"path": 7}]}), "loras[0].path", WrongType),
            (json!({"image": "x", "loras": [{"path": ""}]}), "loras[0].path", Malformed),
            (
                json!({"image": "x", "loras": [{"path": "https://example.com/a.safetensors"}]}),
                "loras[0].path",
                Malformed,
            ),
            (json!({"image": "x", "loras": [{"path": "../film"}]}), "loras[0].path", Malformed),
            (json!({"image": "x", "loras": [{"path": "x".repeat(100_000)}]}), "loras[0].path", Malformed),
            (json!({"image": "x", "loras": [{"path": "film", "scale": 4.01}]}), "loras[0].scale", TooLarge),
            (json!({"image": "x", "loras": [{"path": "film", "scale": -5}]}), "loras[0].scale", TooSmall),
            (json!({"image": "x", "loras": [{"path": "film", "scale": "1"}]}), "loras[0].scale", WrongType),
        ] {
            let problem = parsed(&body).unwrap_err();
            assert_eq!((problem.field.as_str(), problem.kind), (field, kind), "{body}");
            assert!(!problem.message.is_empty() && problem.message.len() < 400, "{}", problem.message);
        }
    }

    #[test]
    fn loras_are_names_with_scales_also_as_text() {
        let list =
            json!([{"path": "film", "scale": 0.5, "beside": [1]}, {"path": "Ink.v2"}, {"path": "x", "scale": null}]);
        let expected = [("film", 0.5), ("Ink.v2", 1.0), ("x", 1.0)]
            .map(|(name, scale)| LoraChoice { name: name.parse().unwrap(), scale });
        let read = |numbers, loras: &Value| {
            let body = json!({"image": "x", "loras": loras});
            let values = parse_with(numbers, &parameters(), body.as_object().unwrap());
            values.map(|values| values.loras("loras").to_vec()).map_err(|problem| problem.field)
        };
        assert_eq!(read(Numbers::Typed, &list), Ok(expected.to_vec()));
        assert_eq!(read(Numbers::OrText, &list), Ok(expected.to_vec()));
        assert_eq!(read(Numbers::OrText, &json!(format!(" {list} "))), Ok(expected.to_vec()));
        let scale_as_text = json!([{"path": "film", "scale": "0.5"}]);
        assert_eq!(read(Numbers::OrText, &scale_as_text), Ok(expected[..1].to_vec()));
        for nothing in [json!(null), json!([])] {
            assert_eq!(read(Numbers::Typed, &nothing), Ok(Vec::new()));
        }
        assert_eq!(read(Numbers::OrText, &json!("null")), Ok(Vec::new()));
        for bad in ["", "film", "[", "{}", "\"film\"", &"[".repeat(5000)] {
            assert_eq!(read(Numbers::OrText, &json!(bad)), Err("loras".to_owned()), "{bad}");
        }
        assert_eq!(read(Numbers::OrText, &json!(r#"[{"path": "a/b"}]"#)), Err("loras[0].path".to_owned()));
    }

    #[test]
    fn strengths_of_parts_of_the_run_are_one_text() {
        let spans = |text: &str| parsed(&json!({"image": "x", "spans": text})).unwrap().spans("spans").to_vec();
        let expected = |start, end, strength| StrengthSpan { start, end, strength };
        assert_eq!(spans("1@0:0.3, 0.4@0.3:1"), [expected(0.0, 0.3, 1.0), expected(0.3, 1.0, 0.4)]);
        assert_eq!(spans(" "), []);
    }

    #[test]
    fn further_pictures_and_their_weights_are_lists() {
        let values = parsed(&json!({"image": "x", "images": ["y", "z"], "weights": [1, -0.5, 10]})).unwrap();
        assert_eq!(values.texts("images"), ["y", "z"]);
        assert_eq!(values.numbers("weights"), [1.0, -0.5, 10.0]);
        for nothing in [json!({"image": "x"}), json!({"image": "x", "images": [], "weights": []})] {
            let values = parsed(&nothing).unwrap();
            assert!(values.texts("images").is_empty() && values.numbers("weights").is_empty());
        }
        let body = json!({"image": "x", "weights": " [1, \"0.5\"] "});
        let as_text = parse_with(Numbers::OrText, &parameters(), body.as_object().unwrap()).unwrap();
        assert_eq!(as_text.numbers("weights"), [1.0, 0.5]);
    }

    #[test]
    fn sizes_have_names_or_sides() {
        let size = |value: Value| parsed(&json!({"image": "x", "image_size": value})).unwrap().size("image_size");
        assert_eq!(size(Value::Null), Some(Size::new(1024, 576)));
        assert_eq!(size(json!("square")), Some(Size::new(512, 512)));
        assert_eq!(size(json!({"width": 640, "height": 2048})), Some(Size::new(640, 2048)));
        assert_eq!(size(json!({"width": 16, "height": null})), Some(Size::new(16, 512)));
        assert_eq!(size(json!({})), Some(Size::new(512, 512)));
        let text = |value: Value| {
            let body = json!({"image": "x", "image_size": value});
            let read = parse_with(Numbers::OrText, &parameters(), body.as_object().unwrap());
            read.map(|values| values.size("image_size")).map_err(|problem| problem.field)
        };
        assert_eq!(text(json!({"width": "32", "height": " 48.0"})), Ok(Some(Size::new(32, 48))));
        assert_eq!(text(json!({"width": "32", "height": "tall"})), Err("image_size.height".to_owned()));
        assert_eq!(text(json!({"width": "8", "height": "32"})), Err("image_size.width".to_owned()));
        assert!(parsed(&json!({"image": "x", "image_size": {"width": "32"}})).is_err());
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
                "image", "seed", "steps", "guidance", "format", "checked", "prompt", "size", "image_size", "loras", "images", "weights", "other",
            ]), any_json()), 0..8),
        ) {
            let object: Map<String, Value> = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
            match parse(&parameters(), &object) {
                Ok(values) => {
                    prop_assert!((1..=50).contains(&values.integer("steps").unwrap()));
                    prop_assert!((1.0..=5.0).contains(&values.number("guidance").unwrap()));
                    prop_assert!(values.text("image").is_some());
                    prop_assert!(values.texts("images").len() <= 3);
                    prop_assert!(values.numbers("weights").iter().all(|weight| (-10.0..=10.0).contains(weight)));
                    prop_assert!(values.loras("loras").iter().all(|lora| (-4.0..=4.0).contains(&lora.scale)));
                }
                Err(problem) => {
                    let field = problem.field.split(['.', '[']).next();
                    prop_assert!(parameters().iter().any(|parameter| Some(parameter.name) == field));
                }
            }
        }
    }
}
