//! Texts of strangers in messages: names in model files and requests may have any length.

use std::borrow::Cow;

/// Characters of a name in a message. The longest tensor names of published models have about 100.
const NAME: usize = 200;

/// A name for a message: whole up to 200 characters, else its beginning and its end.
pub fn shortened(text: &str) -> Cow<'_, str> {
    shortened_to(text, NAME)
}

/// `text` whole up to `limit` characters, else that many of its beginning and end, with `…` in between.
pub fn shortened_to(text: &str, limit: usize) -> Cow<'_, str> {
    // Bytes first: a character has at least one, so most texts need no counting.
    if text.len() <= limit || text.char_indices().nth(limit).is_none() {
        return Cow::Borrowed(text);
    }
    let tail = limit / 4;
    let end = text.char_indices().nth(limit - tail).map_or(text.len(), |(at, _)| at);
    let start = text.char_indices().rev().nth(tail.saturating_sub(1)).map_or(0, |(at, _)| at);
    Cow::Owned(format!("{}…{}", &text[..end], &text[start..]))
}

/// Characters of a text in an answer that [`bounded`] leaves. The longest of our own sentences have half as many.
const ANSWER: usize = 1000;

/// `text`, cut where it is too long for an answer: it may repeat names that clients chose.
pub fn bounded(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(ANSWER) {
        None => Cow::Borrowed(text),
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_cut_at_the_end() {
        for text in ["", "short", &"ä".repeat(ANSWER)] {
            assert_eq!(bounded(text), text);
        }
        let cut = bounded(&"ä".repeat(ANSWER + 1)).into_owned();
        assert_eq!((cut.chars().count(), cut.ends_with('…')), (ANSWER + 1, true));
    }

    #[test]
    fn long_texts_lose_their_middle() {
        assert_eq!(shortened_to("abcdefgh", 8), "abcdefgh");
        assert_eq!(shortened_to("abcdefghi", 8), "abcdef…hi");
        assert_eq!(shortened_to(&"ä".repeat(8), 8), "ä".repeat(8));
        assert_eq!(shortened_to(&"ä".repeat(9), 8), format!("{}…{}", "ä".repeat(6), "ä".repeat(2)));
        assert_eq!(shortened(&"x".repeat(90_000_000)).chars().count(), NAME + 1);
    }
}
