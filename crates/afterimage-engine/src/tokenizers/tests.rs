//! Token ids against those of transformers.

use super::*;
use crate::bundle::Bundle;
use crate::parity::cases;
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Ids made with transformers 5.23 by `tests/fixtures/make_token_ids.py`.
const FIXTURE: &str = include_str!("../../tests/fixtures/token_ids.json");

#[derive(Deserialize)]
struct Fixture {
    texts: Vec<String>,
    /// By bundle and tokenizer, such as `dev clip`.
    bundles: BTreeMap<String, Expected>,
}

#[derive(Deserialize)]
struct Expected {
    length: usize,
    pad: u32,
    /// Without the padding at the end.
    ids: Vec<Vec<u32>>,
}

fn folder(bundle: &str) -> Bundle {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    let path = match bundle {
        "demo" => tests.join("fixtures/demo_tokenizers"),
        other => tests.join("parity/bundles").join(other).join("base"),
    };
    Bundle::open(path).unwrap()
}

fn clip(bundle: &str) -> ClipTokenizer {
    ClipTokenizer::open(&folder(bundle).folder("tokenizer"), 77).unwrap()
}

fn t5(bundle: &str) -> T5Tokenizer {
    T5Tokenizer::open(&folder(bundle).folder("tokenizer_2")).unwrap()
}

#[test]
fn odd_texts_give_transformers_ids() {
    let fixture: Fixture = serde_json::from_str(FIXTURE).unwrap();
    assert!(fixture.texts.len() >= 50 && fixture.bundles.len() == 6);
    for (name, expected) in &fixture.bundles {
        let (bundle, kind) = name.split_once(' ').unwrap();
        let (clip, t5) = (clip(bundle), t5(bundle));
        for (text, ids) in fixture.texts.iter().zip(&expected.ids) {
            let mut found = if kind == "clip" { clip.encode(text) } else { t5.encode(text) }.unwrap();
            assert_eq!(found.len(), expected.length, "{name}: {text:?}");
            while found.last() == Some(&expected.pad) {
                found.pop();
            }
            assert_eq!(&found, ids, "{name}: {text:?}");
        }
    }
}

#[test]
fn parity_cases_give_their_ids() {
    let mut compared = 0;
    for case in cases() {
        let prompt = case.flag("--prompt").unwrap_or_default();
        let base = case.folder("base");
        let found = [
            ("clip_ids", ClipTokenizer::open(&base.folder("tokenizer"), 77).unwrap().encode(prompt).unwrap()),
            ("t5_ids", T5Tokenizer::open(&base.folder("tokenizer_2")).unwrap().encode(prompt).unwrap()),
        ];
        for (name, found) in found {
            let Some(expected) = case.tensor(name) else { continue };
            let expected: Vec<u32> = expected.values.iter().map(|value| *value as u32).collect();
            assert_eq!(found, expected, "{} {name}", case.name);
            compared += 1;
        }
    }
    assert!(compared >= 14);
}

#[test]
fn lengths_come_from_the_folder() {
    assert_eq!(t5("dev").length(), 512);
    assert_eq!(t5("demo").length(), 14);
    let temporary = copy("dev", "tokenizer_2");
    for (config, expected) in
        [(r#"{"model_max_length": 1e30}"#, 512), (r#"{"model_max_length": 256}"#, 256), ("{}", 512)]
    {
        fs::write(temporary.path().join("tokenizer_config.json"), config).unwrap();
        let tokenizer = T5Tokenizer::open(&Bundle::open(temporary.path()).unwrap()).unwrap();
        assert_eq!(tokenizer.length(), expected, "{config}");
        assert_eq!(tokenizer.encode("a").unwrap().len(), expected);
    }
}

#[test]
fn clip_reads_a_tokenizer_file_alone() {
    let expected = clip("dev");
    let folder = folder("dev").folder("tokenizer");
    let vocab: serde_json::Value = folder.json("vocab.json").unwrap();
    let merges = String::from_utf8(folder.read("merges.txt").unwrap()).unwrap();
    let lines: Vec<&str> = merges.lines().skip(1).collect();
    let pairs: Vec<Vec<&str>> = lines.iter().map(|line| line.split(' ').collect()).collect();
    for merges in [serde_json::json!(lines), serde_json::json!(pairs)] {
        let temporary = tempfile::tempdir().unwrap();
        let file = serde_json::json!({"model": {"type": "BPE", "vocab": vocab, "merges": merges}});
        fs::write(temporary.path().join("tokenizer.json"), file.to_string()).unwrap();
        let tokenizer = ClipTokenizer::open(&Bundle::open(temporary.path()).unwrap(), 77).unwrap();
        let text = "A small lighthouse stands on the rocky shore, isn't it?";
        assert_eq!(tokenizer.encode(text).unwrap(), expected.encode(text).unwrap());
    }
}

#[test]
fn damaged_files_are_refused_by_name() {
    let refused = |bundle: &str, part: &str, file: &str, contents: &str| {
        let temporary = copy(bundle, part);
        fs::write(temporary.path().join(file), contents).unwrap();
        let folder = Bundle::open(temporary.path()).unwrap();
        let error = if part == "tokenizer" {
            ClipTokenizer::open(&folder, 77).err().unwrap()
        } else {
            T5Tokenizer::open(&folder).err().unwrap()
        };
        assert!(error.is_bad_input(), "{error}");
        error.to_string()
    };
    for (part, file, contents, expected) in [
        ("tokenizer", "vocab.json", "{", "vocab.json"),
        ("tokenizer", "vocab.json", r#"{"a": 0}"#, "special token <|startoftext|> is not in the vocabulary"),
        ("tokenizer", "merges.txt", "#version: 0.2\na b c\n", "merges.txt: line 2: expected two pieces"),
        ("tokenizer", "merges.txt", "never seen\n", "merges.txt: "),
        ("tokenizer_2", "tokenizer.json", "", "tokenizer.json"),
        ("tokenizer_2", "tokenizer.json", r#"{"model": {"type": "BPE", "vocab": {}, "merges": []}}"#, "tokenizer.json"),
        ("tokenizer_2", "special_tokens_map.json", r#"{"eos_token": "<none>"}"#, "end token <none> is not in"),
        ("tokenizer_2", "tokenizer_config.json", r#"{"model_max_length": "x"}"#, "tokenizer_config.json"),
    ] {
        let message = refused("schnell", part, file, contents);
        assert!(message.contains(expected), "{message}");
    }
    let temporary = tempfile::tempdir().unwrap();
    let empty = Bundle::open(temporary.path()).unwrap();
    assert!(ClipTokenizer::open(&empty, 77).err().unwrap().to_string().contains("vocab.json"));
    assert!(T5Tokenizer::open(&empty).err().unwrap().to_string().contains("tokenizer.json"));
}

#[test]
fn a_damaged_character_map_is_an_error() {
    let temporary = copy("dev", "tokenizer_2");
    let path = temporary.path().join("tokenizer.json");
    let mut file: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let map = file.pointer_mut("/normalizer/normalizers/0/precompiled_charsmap").unwrap();
    // A trie of one cell: the library runs over its end.
    *map = "BAAAAAAEAAA=".into();
    fs::write(&path, file.to_string()).unwrap();
    let tokenizer = T5Tokenizer::open(&Bundle::open(temporary.path()).unwrap());
    let result = tokenizer.and_then(|tokenizer| tokenizer.encode("zebra é 日本"));
    if let Err(error) = result {
        assert!(error.is_bad_input(), "{error}");
    }
}

/// Tables of a hundred times the file's bytes, were they built.
#[test]
fn vocabularies_that_would_not_fit_are_refused_before_they_are_built() {
    let piece = |bytes: usize| "x".repeat(bytes);
    let t5 = |vocab: String| format!(r#"{{"model": {{"type": "Unigram", "unk_id": 0, "vocab": [{vocab}]}}}}"#);
    let many = |count: usize, bytes: usize| {
        let pieces: Vec<String> = (0..count).map(|number| format!(r#"["{number:0>bytes$}", 0]"#)).collect();
        pieces.join(",")
    };
    for (contents, expected) in [
        (t5(format!(r#"["{}", 0]"#, piece(30_000_000))), "a piece of 30000000 bytes; at most 1024"),
        (t5(many(500_001, 1)), "more than 500000 pieces"),
        (t5(many(7_000, 1000)), "pieces of more than 6291456 bytes"),
        (
            r#"{"model": {"vocab": []}, "added_tokens": [{"content": ""#.to_owned() + &piece(2000) + r#""}]}"#,
            "2000 bytes",
        ),
    ] {
        let temporary = copy("schnell", "tokenizer_2");
        fs::write(temporary.path().join("tokenizer.json"), contents).unwrap();
        let message = T5Tokenizer::open(&Bundle::open(temporary.path()).unwrap()).err().unwrap().to_string();
        assert!(message.contains(expected) && message.len() < 2000, "{message}");
    }
    let temporary = copy("schnell", "tokenizer");
    fs::write(temporary.path().join("vocab.json"), format!(r#"{{"{}": 0}}"#, piece(2000))).unwrap();
    let message = ClipTokenizer::open(&Bundle::open(temporary.path()).unwrap(), 77).err().unwrap().to_string();
    assert!(message.contains("a piece of 2000 bytes"), "{message}");
}

#[test]
fn long_prompts_take_bounded_time() {
    const BYTES: usize = 64 * 1024;
    let (clip, t5) = (clip("dev"), t5("dev"));
    for unit in ["a", " ", "a ", "!", "日", "🎨 ", "\u{301}", "e\u{301}", "'s", "</s>", "<|endoftext|>", "\n\t", "İ"]
    {
        let text = unit.repeat(BYTES / unit.len());
        let start = Instant::now();
        assert_eq!(clip.encode(&text).unwrap().len(), 77);
        let clip_time = start.elapsed();
        assert_eq!(t5.encode(&text).unwrap().len(), 512);
        let t5_time = start.elapsed().saturating_sub(clip_time);
        println!("{unit:?}: CLIP {clip_time:?}, T5 {t5_time:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{unit:?}: CLIP {clip_time:?}, T5 {t5_time:?}");
    }
}

proptest! {
    #[test]
    fn any_text_gives_full_length_and_an_end(text in any::<String>(), repeats in 1_usize..40) {
        static CLIP: LazyLock<ClipTokenizer> = LazyLock::new(|| clip("schnell"));
        static T5: LazyLock<T5Tokenizer> = LazyLock::new(|| t5("schnell"));
        let text = text.repeat(repeats);
        let ids = CLIP.encode(&text).unwrap();
        prop_assert_eq!((ids.len(), ids[0], ids[76]), (77, 762, 763));
        let ids = T5.encode(&text).unwrap();
        prop_assert_eq!(ids.len(), 512);
        prop_assert!(ids.contains(&1));
    }
}

/// A copy of a tokenizer's folder that a test may spoil.
fn copy(bundle: &str, part: &str) -> tempfile::TempDir {
    let temporary = tempfile::tempdir().unwrap();
    let source: PathBuf = folder(bundle).path(part);
    for entry in fs::read_dir(source).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), temporary.path().join(entry.file_name())).unwrap();
    }
    temporary
}
