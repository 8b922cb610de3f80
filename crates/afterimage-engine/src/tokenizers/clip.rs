//! CLIP's tokenizer: `tokenizer/`.

use super::bounds::{BoundedList, BoundedPiece, Vocabulary, VocabularySize, Weighed};
use super::folder::{Role, Settings};
use super::{FixedLength, guarded};
use crate::bundle::Bundle;
use afterimage_core::{Error, Result};
use serde::Deserialize;
use serde_json::json;
use std::collections::HashMap;
use std::path::PathBuf;
use tokenizers::Tokenizer;

/// How CLIP cuts text into words (Radford et al., 2021): contractions, runs of letters, single digits, runs of the rest.
const WORDS: &str = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+";

/// Byte-level BPE with an end-of-word mark, between a begin and an end token, padded to a fixed length.
pub struct ClipTokenizer {
    inner: FixedLength,
}

/// Vocabulary and merges, from two files or out of one.
struct Pieces {
    vocab: HashMap<String, u32>,
    merges: Vec<(String, String)>,
    /// The files they are from, for messages.
    vocab_path: PathBuf,
    merges_path: PathBuf,
}

#[derive(Deserialize)]
struct ClipTokenizerFile {
    model: BpeModel,
}

#[derive(Deserialize)]
struct BpeModel {
    vocab: Vocabulary,
    merges: BoundedList<Merge>,
}

/// `"a b"` in older files, `["a", "b"]` in newer ones.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Text(BoundedPiece),
    Pair(BoundedPiece, BoundedPiece),
}

impl Weighed for Merge {
    fn bytes(&self) -> usize {
        match self {
            Self::Text(text) => text.0.len(),
            Self::Pair(left, right) => left.0.len() + right.0.len(),
        }
    }
}

impl ClipTokenizer {
    /// Reads `vocab.json` and `merges.txt`, or `tokenizer.json` when those are absent, and when they are there
    /// `tokenizer_config.json` and `special_tokens_map.json` of `folder`. [`ClipTokenizer::encode`] will give `length`
    /// ids: the text model's `max_position_embeddings`, since a folder with a bare vocabulary has no length.
    ///
    /// Everything but vocabulary and merges is fixed, as in transformers 5: NFC, white space collapsed, lower case,
    /// CLIP's words, bytes.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when a file is missing or cannot be used.
    pub fn open(folder: &Bundle, length: usize) -> Result<Self> {
        let settings = Settings::read(folder)?;
        let Pieces { vocab, merges, vocab_path, merges_path } = Pieces::read(folder)?;
        let begin = settings.token(Role::Begin, "<|startoftext|>");
        let end = settings.token(Role::End, "<|endoftext|>");
        let unknown = settings.token(Role::Unknown, "<|endoftext|>");
        let pad = settings.token(Role::Pad, "<|endoftext|>");
        let id = |token: &str| {
            vocab.get(token).copied().ok_or_else(|| {
                Error::model_file(&vocab_path, format!("special token {token} is not in the vocabulary"))
            })
        };
        let (begin_id, end_id) = (id(&begin.content)?, id(&end.content)?);
        for token in [&unknown, &pad] {
            id(&token.content)?;
        }
        let document = json!({
            "version": "1.0",
            "added_tokens": [],
            "normalizer": {"type": "Sequence", "normalizers": [
                {"type": "NFC"},
                {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                {"type": "Lowercase"},
            ]},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": WORDS}, "behavior": "Removed", "invert": true},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
            ]},
            "post_processor": {
                "type": "RobertaProcessing", "trim_offsets": false, "add_prefix_space": false,
                "sep": [end.content, end_id], "cls": [begin.content, begin_id],
            },
            "model": {
                "type": "BPE", "unk_token": unknown.content, "end_of_word_suffix": "</w>", "fuse_unk": false,
                "vocab": vocab, "merges": merges,
            },
        });
        let pad_token = pad.content.clone();
        let tokenizer = guarded(|| {
            let mut tokenizer: Tokenizer = serde_json::from_value::<Tokenizer>(document)?;
            tokenizer.add_special_tokens([begin, end, unknown, pad])?;
            Ok(tokenizer)
        });
        // The vocabulary was fine, so what remains are merges of pieces that it lacks.
        let tokenizer = tokenizer.map_err(|problem| Error::model_file(&merges_path, problem))?;
        Ok(Self { inner: FixedLength::new(tokenizer, vocab_path, length, &pad_token)? })
    }

    /// The ids of `text`, cut so that the end token stays last, then padded.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when the vocabulary is damaged.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.inner.encode(text)
    }
}

impl Pieces {
    fn read(folder: &Bundle) -> Result<Self> {
        if !folder.has("vocab.json") && folder.has("tokenizer.json") {
            let file: ClipTokenizerFile = folder.json("tokenizer.json")?;
            let path = folder.path("tokenizer.json");
            let merges = file.model.merges.0.into_iter().map(|merge| match merge {
                Merge::Pair(left, right) => Ok((left.0, right.0)),
                Merge::Text(BoundedPiece(text)) => pair(&text)
                    .ok_or_else(|| Error::model_file(&path, format!("model.merges: {text:?} is not a pair of pieces"))),
            });
            let merges = merges.collect::<Result<_>>()?;
            return Ok(Self { vocab: file.model.vocab.0, merges, vocab_path: path.clone(), merges_path: path });
        }
        let Vocabulary(vocab) = folder.json("vocab.json")?;
        let path = folder.path("merges.txt");
        let text = String::from_utf8(folder.read("merges.txt")?)
            .map_err(|error| Error::model_file(&path, format!("is not UTF-8 text: {error}")))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with("#version"));
        let mut size = VocabularySize::default();
        let merges = lines.map(|(number, line)| {
            size.add::<serde_json::Error>(line.len()).map_err(|error| Error::model_file(&path, error.to_string()))?;
            pair(line).ok_or_else(|| {
                Error::model_file(&path, format!("line {}: expected two pieces separated by a space", number + 1))
            })
        });
        let merges = merges.collect::<Result<_>>()?;
        Ok(Self { vocab, merges, vocab_path: folder.path("vocab.json"), merges_path: path })
    }
}

fn pair(line: &str) -> Option<(String, String)> {
    let (left, right) = line.split_once(' ')?;
    (!right.contains(' ')).then(|| (left.to_owned(), right.to_owned()))
}
