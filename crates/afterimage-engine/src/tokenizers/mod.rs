//! From prompts to token ids, equal to those of transformers 5.23.
//!
//! Both tokenizers are rebuilt from their vocabulary as transformers 5 does it, on the `tokenizers` library.

mod bounds;
mod clip;
mod folder;
mod normalizer;
mod t5;

pub use clip::ClipTokenizer;
pub use t5::T5Tokenizer;

use afterimage_core::{Error, Result};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::path::PathBuf;
use std::sync::Once;
use tokenizers::{PaddingParams, PaddingStrategy, Tokenizer, TruncationParams};

/// A built tokenizer that always gives the same number of ids.
struct FixedLength {
    tokenizer: Tokenizer,
    /// The file or folder, for messages.
    path: PathBuf,
}

impl FixedLength {
    /// Makes `tokenizer` cut and pad to `length` ids. What it adds around the text (the end token) survives cutting.
    fn new(mut tokenizer: Tokenizer, path: PathBuf, length: usize, pad_token: &str) -> Result<Self> {
        let pad_id = tokenizer
            .token_to_id(pad_token)
            .ok_or_else(|| Error::model_file(&path, format!("pad token {pad_token} is not in the vocabulary")))?;
        let truncation = TruncationParams { max_length: length, ..TruncationParams::default() };
        tokenizer
            .with_truncation(Some(truncation))
            .map_err(|error| Error::model_file(&path, format!("cannot cut to {length} ids: {error}")))?;
        tokenizer.with_padding(Some(PaddingParams {
            strategy: PaddingStrategy::Fixed(length),
            pad_id,
            pad_token: pad_token.to_owned(),
            ..PaddingParams::default()
        }));
        Ok(Self { tokenizer, path })
    }

    fn encode(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = guarded(|| self.tokenizer.encode_fast(text, true));
        let encoding =
            encoding.map_err(|problem| Error::model_file(&self.path, format!("cannot tokenize: {problem}")))?;
        Ok(encoding.get_ids().to_vec())
    }
}

/// Runs code of the `tokenizers` library, which indexes into a file's character map unchecked: a damaged file panics
/// there, and must end in an error like any other damaged file: one line, not two, so the panic itself says nothing.
fn guarded<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    silence_guarded_panics();
    let quiet_before = QUIET.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(work));
    QUIET.set(quiet_before);
    match outcome {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("the file is damaged".to_owned()),
    }
}

thread_local! {
    /// Whether this thread is inside [`guarded`].
    static QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Makes the program's panic hook pass over panics inside [`guarded`]; those of other threads are told as before.
fn silence_guarded_panics() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let tell = take_hook();
        set_hook(Box::new(move |info| {
            if !QUIET.get() {
                tell(info);
            }
        }));
    });
}

#[cfg(test)]
mod tests;
