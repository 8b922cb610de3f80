//! What `tokenizer_config.json` and `special_tokens_map.json` say, read as transformers 5 reads them.

use crate::bundle::Bundle;
use afterimage_core::{Error, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use tokenizers::AddedToken;

/// Longest sequence a configuration may ask for, four times FLUX's: T5's position bias grows with its square.
/// transformers writes 10³⁰ for "not known".
const LONGEST: f64 = 2048.0;

/// Largest file of settings. Unknown fields are held in memory while one is read; the largest published ones have 60 kB.
const SETTINGS_BYTES: usize = 4 << 20;

/// A special token: its text, or an object with flags.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Token {
    Text(String),
    Flags(Flags),
}

#[derive(Clone, Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the file")]
struct Flags {
    content: String,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    normalized: bool,
}

impl Token {
    fn added(&self) -> AddedToken {
        match self {
            Self::Text(text) => AddedToken::from(text.as_str(), true),
            Self::Flags(flags) => AddedToken::from(flags.content.as_str(), true)
                .lstrip(flags.lstrip)
                .rstrip(flags.rstrip)
                .single_word(flags.single_word)
                .normalized(flags.normalized),
        }
    }
}

/// The special tokens that a tokenizer of ours needs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Names {
    #[serde(rename = "bos_token")]
    begin: Option<Token>,
    #[serde(rename = "eos_token")]
    end: Option<Token>,
    #[serde(rename = "unk_token")]
    unknown: Option<Token>,
    #[serde(rename = "pad_token")]
    pad: Option<Token>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct TokenizerConfig {
    #[serde(flatten)]
    names: Names,
    model_max_length: Option<serde_json::Number>,
    added_tokens_decoder: Option<BTreeMap<String, Flags>>,
}

/// The settings of a tokenizer's folder.
pub(super) struct Settings {
    names: Names,
    /// `model_max_length` when it is a usable length.
    pub max_length: Option<usize>,
}

/// Which special token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Begin,
    End,
    Unknown,
    Pad,
}

impl Settings {
    /// Reads `folder`; both files may be absent.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when one is there and cannot be used.
    pub fn read(folder: &Bundle) -> Result<Self> {
        let config: TokenizerConfig = optional(folder, "tokenizer_config.json")?;
        let mut names = config.names;
        if let Some(tokens) = config.added_tokens_decoder {
            for name in [&mut names.begin, &mut names.end, &mut names.unknown, &mut names.pad] {
                let Some(token) = name else { continue };
                let content = token.added().content;
                if let Some(flags) = tokens.values().find(|flags| flags.content == content) {
                    *token = Token::Flags(flags.clone());
                }
            }
        } else {
            let map: Names = optional(folder, "special_tokens_map.json")?;
            names = Names {
                begin: map.begin.or(names.begin),
                end: map.end.or(names.end),
                unknown: map.unknown.or(names.unknown),
                pad: map.pad.or(names.pad),
            };
        }
        let max_length = config
            .model_max_length
            .and_then(|number| number.as_f64())
            .filter(|length| *length >= 1.0 && *length <= LONGEST)
            .map(|length| length as usize);
        Ok(Self { names, max_length })
    }

    /// The token for `role` as it has to be added to a tokenizer, `default` when no file names one.
    pub fn token(&self, role: Role, default: &str) -> AddedToken {
        let token = match role {
            Role::Begin => &self.names.begin,
            Role::End => &self.names.end,
            Role::Unknown => &self.names.unknown,
            Role::Pad => &self.names.pad,
        };
        token.as_ref().map_or_else(|| AddedToken::from(default, true), Token::added)
    }
}

fn optional<T: Default + for<'a> Deserialize<'a>>(folder: &Bundle, name: &str) -> Result<T> {
    if !folder.has(name) {
        return Ok(T::default());
    }
    let bytes = folder.bytes(name)?.len();
    if bytes > SETTINGS_BYTES {
        let problem = format!("has {bytes} bytes; at most {SETTINGS_BYTES} are expected");
        return Err(Error::model_file(folder.path(name), problem));
    }
    folder.json(name)
}
