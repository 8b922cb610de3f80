//! Texts that somebody else chose. PostgreSQL keeps every text but those with a NUL in them, which SQLite keeps too and
//! nobody forbids a client to send; here they are written with a mark in its place.

use std::borrow::Cow;

/// A character that is for private use and has no meaning to anybody else.
const MARK: char = '\u{f0000}';

/// What is written after [`MARK`] for a NUL and for the mark itself.
const NUL: char = '0';
const ITSELF: char = '1';

/// `text` as it is stored.
pub(super) fn stored(text: &str) -> Cow<'_, str> {
    if !text.contains(['\0', MARK]) {
        return Cow::Borrowed(text);
    }
    let mut marked = String::with_capacity(text.len() + 8);
    for character in text.chars() {
        match character {
            '\0' => marked.extend([MARK, NUL]),
            MARK => marked.extend([MARK, ITSELF]),
            other => marked.push(other),
        }
    }
    Cow::Owned(marked)
}

/// The text that was [`stored`].
pub(super) fn restored(text: String) -> String {
    if !text.contains(MARK) {
        return text;
    }
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != MARK {
            plain.push(character);
            continue;
        }
        match characters.next() {
            Some(NUL) => plain.push('\0'),
            _ => plain.push(MARK),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_text_comes_back(text in "[\\x00a\u{f0000}01\\PC]{0,20}") {
            let kept = stored(&text).into_owned();
            prop_assert!(!kept.contains('\0'));
            prop_assert_eq!(restored(kept), text);
        }
    }
}
