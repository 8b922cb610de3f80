//! The normalisers of a `tokenizer.json`: those that known exporters of T5 write, and no others.
//!
//! Each is allowed once, so that their growth cannot multiply: six times "a" → fifty "a" would be 50⁶ bytes of one letter.

use super::bounds::short_list;
use super::guarded;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::json;
use tokenizers::normalizers::{NormalizerWrapper, Sequence};

/// Longest text that a character map may put in the place of one character. That of T5 has one of 33 bytes.
const REPLACEMENT_BYTES: usize = 64;

/// Longest text that is put in front. Exporters put a space mark there, 3 bytes.
const PREFIX_BYTES: usize = 16;

/// Steps in one list, and lists in each other.
const MOST_STEPS: usize = 16;
const DEEPEST: usize = 4;

/// Steps without settings that change characters one by one or compose them.
const PLAIN: [&str; 7] = ["NFC", "NFD", "NFKC", "NFKD", "Nmt", "Lowercase", "StripAccents"];

/// One step as the file has it; fields that belong to other kinds are absent.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct NormalizerStep {
    #[serde(rename = "type")]
    kind: String,
    #[serde(deserialize_with = "short_list::<_, _, MOST_STEPS>")]
    normalizers: Vec<NormalizerStep>,
    precompiled_charsmap: Option<String>,
    prepend: Option<String>,
    pattern: Option<Pattern>,
    content: Option<String>,
}

#[derive(Deserialize)]
enum Pattern {
    String(String),
    Regex(String),
}

/// The normaliser that `step` describes, without what the split at white space makes superfluous: trimming and collapsing
/// of spaces.
///
/// # Errors
/// What is not known, repeated or out of bounds.
pub(super) fn normalizer(step: Option<NormalizerStep>) -> Result<Option<Sequence>, String> {
    let mut kept = Kept::default();
    if let Some(step) = step {
        kept.add(step, 0).map_err(|problem| format!("normalizer: {problem}"))?;
    }
    Ok((!kept.steps.is_empty()).then(|| Sequence::new(kept.steps)))
}

#[derive(Default)]
struct Kept {
    kinds: Vec<String>,
    steps: Vec<NormalizerWrapper>,
}

impl Kept {
    fn add(&mut self, step: NormalizerStep, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err(format!("lists inside lists, more than {DEEPEST}"));
        }
        let document = match step.kind.as_str() {
            "Sequence" => return step.normalizers.into_iter().try_for_each(|step| self.add(step, depth + 1)),
            "Strip" => return Ok(()),
            "Replace" => return spaces_only(&step),
            "Precompiled" => {
                let map = step.precompiled_charsmap.ok_or("Precompiled: precompiled_charsmap is missing")?;
                check_map(&map).map_err(|problem| format!("Precompiled: precompiled_charsmap: {problem}"))?;
                json!({"type": "Precompiled", "precompiled_charsmap": map})
            }
            "Prepend" => {
                let prefix = step.prepend.unwrap_or_default();
                if prefix.len() > PREFIX_BYTES {
                    return Err(format!("Prepend: {} bytes; at most {PREFIX_BYTES} are expected", prefix.len()));
                }
                json!({"type": "Prepend", "prepend": prefix})
            }
            plain if PLAIN.contains(&plain) => json!({"type": plain}),
            other => {
                let known = PLAIN.join(", ");
                return Err(format!(
                    "{other:?} is not known; expected Sequence, Precompiled, Prepend, Strip, Replace of spaces, {known}"
                ));
            }
        };
        if self.kinds.contains(&step.kind) {
            return Err(format!("{} is there twice", step.kind));
        }
        // Through text, because the character map can only be read from borrowed text.
        let read = || Ok(serde_json::from_str::<NormalizerWrapper>(&document.to_string())?);
        self.steps.push(guarded(read).map_err(|problem| format!("{}: {problem}", step.kind))?);
        self.kinds.push(step.kind);
        Ok(())
    }
}

/// T5's exporters collapse spaces, Llama's write marks for them; both is done by the split at white space.
fn spaces_only(step: &NormalizerStep) -> Result<(), String> {
    let pattern_is_known = match &step.pattern {
        Some(Pattern::String(text)) => text == " ",
        Some(Pattern::Regex(text)) => matches!(text.as_str(), " " | " +" | " {2,}" | "\\s" | "\\s+"),
        None => false,
    };
    if pattern_is_known && matches!(step.content.as_deref(), Some(" " | "▁")) {
        return Ok(());
    }
    Err("Replace is known only of spaces, by a space or \u{2581}".to_owned())
}

/// Checks what the library does not before it allocates and copies: the length of the trie, and of what characters are
/// replaced by.
fn check_map(text: &str) -> Result<(), String> {
    let map = STANDARD.decode(text).map_err(|error| format!("not base64: {error}"))?;
    let (length, rest) = map.split_first_chunk::<4>().ok_or("shorter than its header")?;
    let length = u32::from_le_bytes(*length) as usize;
    let Some((_, replacements)) = rest.split_at_checked(length).filter(|_| length.is_multiple_of(4) && length > 0)
    else {
        return Err(format!("its trie would have {length} of {} bytes", rest.len()));
    };
    let longest = replacements.split(|byte| *byte == 0).map(<[u8]>::len).max().unwrap_or(0);
    if longest > REPLACEMENT_BYTES {
        return Err(format!("a character becomes {longest} bytes; at most {REPLACEMENT_BYTES} are expected"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "cases are written in place")]
    fn read(json: serde_json::Value) -> Result<usize, String> {
        let step: Option<NormalizerStep> =
            serde_json::from_str(&json.to_string()).map_err(|error| error.to_string())?;
        Ok(normalizer(step)?.map_or(0, |sequence| sequence.as_ref().len()))
    }

    fn map(length: u32, trie: &[u8], replacements: &[u8]) -> serde_json::Value {
        let bytes = [&length.to_le_bytes(), trie, replacements].concat();
        json!({"type": "Precompiled", "precompiled_charsmap": STANDARD.encode(bytes)})
    }

    #[test]
    fn what_exporters_write_is_known() {
        let spaces = json!({"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"});
        let marks = json!({"type": "Replace", "pattern": {"String": " "}, "content": "▁"});
        let strip = json!({"type": "Strip", "strip_left": false, "strip_right": true});
        let sequence = |steps: &[serde_json::Value]| json!({"type": "Sequence", "normalizers": steps});
        assert_eq!(read(json!(null)), Ok(0));
        assert_eq!(read(sequence(&[json!({"type": "NFKC"}), json!({"type": "Lowercase"}), strip, spaces])), Ok(2));
        assert_eq!(read(sequence(&[json!({"type": "Prepend", "prepend": "▁"}), marks])), Ok(1));
        assert_eq!(read(sequence(&[sequence(&[json!({"type": "NFC"})])])), Ok(1));
        assert_eq!(read(map(4, &[0; 4], b"\0abc\0")), Ok(1));
    }

    #[test]
    fn what_would_grow_or_is_unknown_is_refused_at_any_depth() {
        let grow = json!({"type": "Replace", "pattern": {"String": "a"}, "content": "a".repeat(50)});
        let inside = |step: &serde_json::Value| json!({"type": "Sequence", "normalizers": [step]});
        let deep = (0..6).fold(json!({"type": "NFC"}), |step, _| inside(&step));
        let long = json!({"type": "Prepend", "prepend": "x".repeat(17)});
        let bert = json!({"type": "BertNormalizer", "lowercase": true});
        let many = json!({"type": "Sequence", "normalizers": vec![json!({"type": "Strip"}); 17]});
        let twice = json!({"type": "Sequence", "normalizers": [map(4, &[0; 4], b"a"), inside(&map(4, &[0; 4], b"a"))]});
        for (step, expected) in [
            (grow.clone(), "Replace is known only of spaces"),
            (inside(&inside(&grow)), "Replace is known only of spaces"),
            (deep, "lists inside lists"),
            (long, "Prepend: 17 bytes"),
            (bert, "\"BertNormalizer\" is not known"),
            (many, "a list of more than 16"),
            (twice, "Precompiled is there twice"),
            (map(u32::MAX, &[0; 4], b""), "its trie would have 4294967295 of 4 bytes"),
            (map(0, &[], b""), "its trie would have 0 of 0 bytes"),
            (map(3, &[0; 4], b""), "its trie would have 3 of 4"),
            (map(4, &[0; 4], &[b'a'; 65]), "a character becomes 65 bytes"),
            (json!({"type": "Precompiled", "precompiled_charsmap": "*"}), "not base64"),
            (json!({"type": "Precompiled", "precompiled_charsmap": ""}), "shorter than its header"),
        ] {
            let problem = read(step).unwrap_err();
            assert!(problem.contains(expected), "{problem}");
        }
    }
}
