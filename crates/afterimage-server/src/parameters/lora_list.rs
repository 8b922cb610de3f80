//! How requests write a list of `LoRA`s: `[{"path", "scale"}]` as fal has it, in a form as JSON text.

use super::list_text::list_from_text;
use serde_json::{Map, Value};

/// Which one. Services take an address here; this server takes a name.
pub(super) const PATH: &str = "path";

/// How much of it.
pub(super) const SCALE: &str = "scale";

/// What absence of that means.
pub(super) const DEFAULT_SCALE: f64 = 1.0;

/// What a list looks like, for messages.
pub(super) const EXPECTED: &str = r#"a list such as [{"path": "NAME", "scale": 1}]"#;

/// A checked list as results show it: what was read of it, and nothing that came beside.
pub(super) fn shown(list: &Value) -> Value {
    let parsed = list.as_str().and_then(list_from_text);
    let items = parsed.as_ref().unwrap_or(list).as_array();
    let fields = items.into_iter().flatten().filter_map(Value::as_object);
    fields.map(|fields| Value::Object(known(fields))).collect()
}

fn known(fields: &Map<String, Value>) -> Map<String, Value> {
    [PATH, SCALE].into_iter().filter_map(|name| Some((name.to_owned(), fields.get(name)?.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_is_shown_without_what_came_beside() {
        let list = json!([{"path": "film", "scale": 0.5, "junk": "x".repeat(9999)}, {"path": "ink", "scale": null}]);
        let expected = json!([{"path": "film", "scale": 0.5}, {"path": "ink", "scale": null}]);
        assert_eq!(shown(&list), expected);
        assert_eq!(
            shown(&json!(r#" [{"path": "film", "scale": 0.5, "x": 1}, {"path": "ink", "scale": null}] "#)),
            expected
        );
        assert_eq!(shown(&json!("no list")), json!([]));
    }
}
