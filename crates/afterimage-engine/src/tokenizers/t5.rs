//! T5's tokenizer: `tokenizer_2/`.

use super::bounds::{BoundedList, BoundedPiece, MOST_TOKENS, short_list};
use super::folder::{Role, Settings};
use super::normalizer::{NormalizerStep, normalizer};
use super::{FixedLength, guarded};
use crate::bundle::Bundle;
use afterimage_core::{Error, Result};
use serde::Deserialize;
use tokenizers::models::unigram::Unigram;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::metaspace::{Metaspace, PrependScheme};
use tokenizers::pre_tokenizers::whitespace::WhitespaceSplit;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer, pre_tokenizers};

const FILE: &str = "tokenizer.json";
/// Length when the folder does not say: FLUX.1 dev's, diffusers' default.
const DEFAULT_LENGTH: usize = 512;

/// Unigram with a mark for every space, `</s>` at the end, padded to a fixed length.
pub struct T5Tokenizer {
    inner: FixedLength,
    length: usize,
}

/// The parts of `tokenizer.json` that are used. What is not is not kept either.
#[derive(Deserialize)]
struct T5TokenizerFile {
    #[serde(default)]
    normalizer: Option<NormalizerStep>,
    #[serde(default, deserialize_with = "short_list::<_, _, MOST_TOKENS>")]
    added_tokens: Vec<Added>,
    model: T5TokenizerModel,
}

/// The model; kinds before Unigram's own field say nothing else.
#[derive(Deserialize)]
struct T5TokenizerModel {
    #[serde(default, rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    unk_id: Option<usize>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    vocab: Option<BoundedList<(BoundedPiece, f64)>>,
}

/// A token that is found in texts before anything is cut.
#[derive(Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "the fields of the file")]
struct Added {
    content: BoundedPiece,
    #[serde(default)]
    single_word: bool,
    #[serde(default)]
    lstrip: bool,
    #[serde(default)]
    rstrip: bool,
    #[serde(default)]
    normalized: bool,
    #[serde(default)]
    special: bool,
}

impl Added {
    fn token(self) -> AddedToken {
        AddedToken::from(self.content.0, self.special)
            .single_word(self.single_word)
            .lstrip(self.lstrip)
            .rstrip(self.rstrip)
            .normalized(self.normalized)
    }
}

impl T5Tokenizer {
    /// Reads `tokenizer.json` and, when it is there, `tokenizer_config.json` of `folder`.
    ///
    /// The vocabulary and the character map are the file's. As in transformers 5, texts are split at white space and
    /// every word gets the space mark; trimming and collapsing of spaces has nothing left to do then and is dropped.
    /// Other normalisers (lower case, say) are kept, where transformers' own class drops them: the embedded model was
    /// trained with them, and the published T5 has none. Those that no exporter of T5 writes are refused.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when a file is missing or cannot be used.
    pub fn open(folder: &Bundle) -> Result<Self> {
        let path = folder.path(FILE);
        let refuse = |problem: String| Error::model_file(&path, problem);
        let settings = Settings::read(folder)?;
        let length = settings.max_length.unwrap_or(DEFAULT_LENGTH);
        let file: T5TokenizerFile = folder.json(FILE)?;
        if file.model.kind.as_deref().is_some_and(|kind| kind != "Unigram") {
            return Err(refuse("model: expected a Unigram model, as T5 has".to_owned()));
        }
        let vocab = file.model.vocab.ok_or_else(|| refuse("model.vocab: is missing".to_owned()))?;
        let vocab = vocab.0.into_iter().map(|(piece, score)| (piece.0, score)).collect();
        let (unk_id, byte_fallback) = (file.model.unk_id, file.model.byte_fallback);
        let model = guarded(|| Unigram::from(vocab, unk_id, byte_fallback))
            .map_err(|problem| refuse(format!("model: {problem}")))?;
        let mut tokenizer = Tokenizer::new(model);
        let normalizer = normalizer(file.normalizer).map_err(refuse)?;
        guarded(|| tokenizer.with_normalizer(normalizer).map(|_| ())).map_err(refuse)?;
        let added = file.added_tokens.into_iter().map(Added::token);
        guarded(|| tokenizer.add_tokens(added).map(|_| ())).map_err(refuse)?;
        let end = settings.token(Role::End, "</s>").content;
        let end_id =
            tokenizer.token_to_id(&end).ok_or_else(|| refuse(format!("end token {end} is not in the vocabulary")))?;
        let template = TemplateProcessing::builder()
            .try_single(vec!["$A".to_owned(), end.clone()])
            .map_err(refuse)?
            .special_tokens(vec![(end, end_id)])
            .build()
            .map_err(|error| refuse(error.to_string()))?;
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
