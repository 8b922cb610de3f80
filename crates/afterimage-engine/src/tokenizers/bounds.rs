//! Vocabularies of strangers: what is read of a tokenizer's file is bounded while it is read, since the tables that are
//! built of it take a hundred times its bytes.

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

/// Pieces of a vocabulary, merges. The largest T5 has 250,100.
const MOST_PIECES: usize = 500_000;

/// Bytes of one piece. The longest of the published vocabularies have 128.
const PIECE_BYTES: usize = 1024;

/// Bytes of all pieces of a vocabulary; the trie of a Unigram model takes up to 150 times as many.
const ALL_BYTES: usize = 6 << 20;

/// Special and added tokens.
pub(super) const MOST_TOKENS: usize = 4096;

/// A piece of text that is short.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct BoundedPiece(pub String);

impl<'de> Deserialize<'de> for BoundedPiece {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = BoundedPiece;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(formatter, "a text of at most {PIECE_BYTES} bytes")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<BoundedPiece, E> {
                if text.len() > PIECE_BYTES {
                    return Err(E::custom(format!(
                        "a piece of {} bytes; at most {PIECE_BYTES} are expected",
                        text.len()
                    )));
                }
                Ok(BoundedPiece(text.to_owned()))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

/// What counts towards the bytes of a vocabulary.
pub(super) trait Weighed {
    /// Bytes of its texts.
    fn bytes(&self) -> usize;
}

impl Weighed for (BoundedPiece, f64) {
    fn bytes(&self) -> usize {
        self.0.0.len()
    }
}

/// A list within the bounds of a vocabulary.
pub(super) struct BoundedList<T>(pub Vec<T>);

impl<'de, T: Deserialize<'de> + Weighed> Deserialize<'de> for BoundedList<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Elements<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de> + Weighed> Visitor<'de> for Elements<T> {
            type Value = BoundedList<T>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<BoundedList<T>, A::Error> {
                let (mut elements, mut size) = (Vec::new(), VocabularySize::default());
                while let Some(element) = list.next_element::<T>()? {
                    size.add(element.bytes())?;
                    elements.push(element);
                }
                Ok(BoundedList(elements))
            }
        }

        deserializer.deserialize_seq(Elements(PhantomData))
    }
}

/// Pieces with their ids, within the bounds of a vocabulary.
pub(super) struct Vocabulary(pub HashMap<String, u32>);

impl<'de> Deserialize<'de> for Vocabulary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Vocabulary;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object of pieces and their ids")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vocabulary, A::Error> {
                let (mut entries, mut size) = (HashMap::new(), VocabularySize::default());
                while let Some((BoundedPiece(piece), id)) = map.next_entry::<BoundedPiece, u32>()? {
                    size.add(piece.len())?;
                    entries.insert(piece, id);
                }
                Ok(Vocabulary(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

/// How large a vocabulary is so far.
#[derive(Default)]
pub(super) struct VocabularySize {
    pieces: usize,
    bytes: usize,
}

impl VocabularySize {
    /// Counts one more piece of `bytes`.
    pub fn add<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.pieces += 1;
        self.bytes += bytes;
        if self.pieces > MOST_PIECES {
            return Err(E::custom(format!("more than {MOST_PIECES} pieces")));
        }
        if self.bytes > ALL_BYTES {
            return Err(E::custom(format!("pieces of more than {ALL_BYTES} bytes in all")));
        }
        Ok(())
    }
}

/// A short list; for `#[serde(deserialize_with)]`.
pub(super) fn short_list<'de, D, T, const MOST: usize>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct Elements<T, const MOST: usize>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>, const MOST: usize> Visitor<'de> for Elements<T, MOST> {
        type Value = Vec<T>;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "a list of at most {MOST}")
        }

        fn visit_unit<E: Error>(self) -> Result<Vec<T>, E> {
            Ok(Vec::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut elements = Vec::new();
            while let Some(element) = list.next_element()? {
                if elements.len() == MOST {
                    return Err(A::Error::custom(format!("a list of more than {MOST}")));
                }
                elements.push(element);
            }
            Ok(elements)
        }
    }

    deserializer.deserialize_any(Elements::<T, MOST>(PhantomData))
}
