//! T5's tokenizer: `tokenizer_2/`.

use super::folder::{Role, Settings};
use super::{FixedLength, guarded};
use crate::weights::Bundle;
use afterimage_core::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use tokenizers::normalizers::{NormalizerWrapper, Sequence};
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{ModelWrapper, Tokenizer, pre_tokenizers};

const FILE: &str = "tokenizer.json";
/// Length when the folder does not say: FLUX.1 dev's, diffusers' default.
const DEFAULT_LENGTH: usize = 512;

/// Unigram with a mark for every space, `</s>` at the end, padded to a fixed length.
pub struct T5Tokenizer {
    inner: FixedLength,
    length: usize,
}

/// The only part of `tokenizer.json` that is edited.
#[derive(Deserialize)]
struct Normalizer {
    #[serde(default)]
    normalizer: Value,
}

impl T5Tokenizer {
    /// Reads `tokenizer.json` and, when it is there, `tokenizer_config.json` of `folder`.
    ///
    /// The vocabulary and the character map are the file's. As in transformers 5, texts are split at white space and
    /// every word gets the space mark; trimming and collapsing of spaces has nothing left to do then and is dropped.
    /// Other normalisers (lower case, say) are kept, where transformers' own class drops them: the embedded model was
    /// trained with them, and the published T5 has none.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when a file is missing or cannot be used.
    pub fn open(folder: &Bundle) -> Result<Self> {
        let path = folder.path(FILE);
        let refuse = |problem: String| Error::model_file(&path, problem);
        let settings = Settings::read(folder)?;
        let length = settings.max_length.unwrap_or(DEFAULT_LENGTH);
        let contents = folder.read(FILE)?;
        let mut tokenizer = guarded(|| Tokenizer::from_bytes(&contents)).map_err(refuse)?;
        if !matches!(tokenizer.get_model(), ModelWrapper::Unigram(_)) {
            return Err(refuse("model: expected a Unigram model, as T5 has".to_owned()));
        }
        let normalizer = normalizer(folder.json::<Normalizer>(FILE)?.normalizer).map_err(refuse)?;
        let end = settings.token(Role::End, "</s>").content;
        let end_id =
            tokenizer.token_to_id(&end).ok_or_else(|| refuse(format!("end token {end} is not in the vocabulary")))?;
        let template = TemplateProcessing::builder()
            .try_single(vec!["$A".to_owned(), end.clone()])
            .map_err(refuse)?
            .special_tokens(vec![(end, end_id)])
            .build()
            .map_err(|error| refuse(error.to_string()))?;
        guarded(|| tokenizer.with_normalizer(normalizer).map(|_| ())).map_err(refuse)?;
        tokenizer.with_pre_tokenizer(Some(pre_tokenizers::sequence::Sequence::new(vec![
            PreTokenizerWrapper::WhitespaceSplit(WhitespaceSplit),
            PreTokenizerWrapper::Metaspace(Metaspace::new('▁', PrependScheme::Always, true)),
        ])));
        tokenizer.with_post_processor(Some(template));
        let pad = settings.token(Role::Pad, "<pad>").content;
        Ok(Self { inner: FixedLength::new(tokenizer, path, length, &pad)?, length })
    }

    /// Ids that [`T5Tokenizer::encode`] gives: `model_max_length`, 512 when the folder does not say.
    pub fn length(&self) -> usize {
        self.length
    }

    /// The ids of `text`, cut so that the end token stays, then padded.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when the vocabulary cannot express the text (no unknown token) or is damaged.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>> {
        self.inner.encode(text)
    }
}

/// The file's normalisers without those that the split at white space makes superfluous.
fn normalizer(value: Value) -> Result<Option<Sequence>, String> {
    let steps = match value {
        Value::Null => Vec::new(),
        Value::Object(mut object) if object.get("type").is_some_and(|kind| kind == "Sequence") => {
            match object.remove("normalizers") {
                Some(Value::Array(steps)) => steps,
                _ => Vec::new(),
            }
        }
        step => vec![step],
    };
    let kept = steps.into_iter().filter(|step| step["type"] != "Strip" && step["type"] != "Replace").map(|step| {
        // Through text, because the character map can only be read from borrowed text.
        let read = || Ok(serde_json::from_str::<NormalizerWrapper>(&step.to_string())?);
        guarded(read).map_err(|problem| format!("normalizer: {problem}"))
    });
    let kept: Vec<NormalizerWrapper> = kept.collect::<Result<_, _>>()?;
    Ok((!kept.is_empty()).then(|| Sequence::new(kept)))
}
