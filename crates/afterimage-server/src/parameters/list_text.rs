//! Lists in forms, whose fields are all text: as JSON.

use serde_json::Value;

/// Bytes of a list as text: several times what the longest one needs.
const TEXT_BYTES: usize = 8192;

/// The list that a text stands for, or `None` when it is no JSON.
pub(super) fn list_from_text(text: &str) -> Option<Value> {
    if text.len() > TEXT_BYTES { None } else { serde_json::from_str(text).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn texts_are_read_within_bounds() {
        assert_eq!(list_from_text("[]"), Some(json!([])));
        assert_eq!(list_from_text(&format!("[{}]", " ".repeat(TEXT_BYTES))), None);
        assert_eq!(list_from_text(&"[".repeat(4000)), None, "not as deep as it is long");
    }
}
