//! Texts in answers, which may repeat names that clients chose.

use std::borrow::Cow;

/// Characters of a text that an answer has. The longest of our own sentences have half as many.
const MOST: usize = 1000;

/// `text`, cut where it is too long for an answer.
pub fn bounded(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(MOST) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_long_texts_are_cut() {
        for text in ["", "short", &"ä".repeat(MOST)] {
            assert_eq!(bounded(text), text);
        }
        let cut = bounded(&"ä".repeat(MOST + 1)).into_owned();
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (MOST + 1, true));
    }
}
