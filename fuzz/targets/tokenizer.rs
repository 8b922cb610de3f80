//! Files of a tokenizer's folder, one after another behind lines `== NAME`: what CLIP's and T5's make of them.
#![cfg_attr(fuzzing, no_main)]

use afterimage_engine::tokenizers::{ClipTokenizer, T5Tokenizer};
use afterimage_engine::weights::Bundle;
use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;

/// CLIP's text length.
const CLIP_LENGTH: usize = 77;

/// Names that the readers look for; nothing else is written.
const NAMES: [&str; 5] =
    ["vocab.json", "merges.txt", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"];

/// Words, signs, spaces, and what no vocabulary has.
const TEXT: &str = "A red boat's sail,  42 metres\u{301} high\n\u{1F6A3}\u{0}<pad></s><|endoftext|> ▁";

fuzz_target!(|text: &str| {
    let folder = TempDir::new().expect("a folder for temporary files");
    for part in text.split("== ").skip(1) {
        let (name, contents) = part.split_once('\n').unwrap_or((part, ""));
        if NAMES.contains(&name) {
            std::fs::write(folder.path().join(name), contents).expect("room for temporary files");
        }
    }
    let bundle = Bundle::open(folder.path()).expect("the folder");
    if let Ok(clip) = ClipTokenizer::open(&bundle, CLIP_LENGTH) {
        assert!(clip.encode(TEXT).map_or(true, |ids| ids.len() == CLIP_LENGTH));
    }
    if let Ok(t5) = T5Tokenizer::open(&bundle) {
        assert!(t5.encode(TEXT).map_or(true, |ids| ids.len() == t5.length()));
    }
});
