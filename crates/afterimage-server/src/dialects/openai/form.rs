//! Multipart requests: texts, and the picture.

use crate::app::App;
use crate::dialects::parameters::{Problem, ProblemKind};
use crate::http::body::JSON_LIMIT;
use crate::http::multipart::{Part, parts};
use crate::intake::{SourcePicture, take_bytes, take_text};
use crate::refusal::Refusal;
use afterimage_jobs::KeyId;
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// Stands for the file among the texts.
const FILE: &str = "(file)";

/// A request in a form.
#[derive(Debug, Default)]
pub struct Form {
    /// Texts by name, and under `image` what stands for the picture. An empty text counts as absent.
    pub object: Map<String, Value>,
    /// Digest of the parts. That of the body would be another one for every repetition, since the boundary is drawn.
    pub digest: Vec<u8>,
    pictures: Vec<Part>,
    /// What the parts are copies of, with its share of memory.
    body: Bytes,
}

impl Form {
    /// Reads the body of a request of `key`.
    ///
    /// # Errors
    /// [`Refusal::BadBody`], those of reading, and [`Refusal::Field`] for a field that is not supported.
    pub async fn read(app: &App, key: &KeyId, headers: &HeaderMap, body: Body) -> Result<Self, Refusal> {
        let body = app.bodies.read(key, headers, body, JSON_LIMIT).await?;
        let parts = parts(headers, body.clone()).await.map_err(|error| Refusal::BadBody(error.to_string()))?;
        Ok(Self { body, ..Self::sort(parts)? })
    }

    fn sort(parts: Vec<Part>) -> Result<Self, Problem> {
        let mut form = Self { digest: digest(&parts), ..Self::default() };
        for part in parts {
            match part.name.as_str() {
                _ if part.bytes.is_empty() && part.filename.as_deref().unwrap_or_default().is_empty() => {}
                "image" | "image[]" => {
                    let shown = text_of(&part).unwrap_or(FILE);
                    form.object.insert("image".to_owned(), Value::from(shown));
                    form.pictures.push(part);
                }
                "mask" => {
                    let message = "masks are not supported: the whole picture is edited; leave the mask out";
                    return Err(Problem::new("mask", ProblemKind::Malformed, message));
                }
                name => {
                    let text = std::str::from_utf8(&part.bytes)
                        .map_err(|_| Problem::new(name, ProblemKind::WrongType, "is no text in UTF-8"))?;
                    form.object.insert(name.to_owned(), Value::from(text));
                }
            }
        }
        Ok(form)
    }

    /// The picture that `key` sent, checked.
    ///
    /// # Errors
    /// [`Refusal::Field`] when there is not exactly one, or when it cannot be used.
    pub async fn picture(self, app: &App, key: &KeyId) -> Result<SourcePicture, Refusal> {
        let count = self.pictures.len();
        let mut pictures = self.pictures.into_iter();
        let (Some(part), None) = (pictures.next(), pictures.next()) else {
            let kind = if count == 0 { ProblemKind::Missing } else { ProblemKind::TooLong };
            let message = format!("{count} pictures were sent; exactly one is taken");
            return Err(Problem::new("image", kind, message).into());
        };
        let picture = match text_of(&part) {
            Some(text) => take_text(app, key, "image", text).await?,
            None => take_bytes(app, key, "image", part.bytes).await?,
        };
        Ok(picture.holding(&self.body))
    }
}

/// The text of a part that is not a file: an address or a `data:` URI where a picture is expected.
fn text_of(part: &Part) -> Option<&str> {
    if part.filename.is_some() {
        return None;
    }
    std::str::from_utf8(&part.bytes).ok()
}

fn digest(parts: &[Part]) -> Vec<u8> {
    let mut digest = Sha256::new();
    for part in parts {
        for bytes in [part.name.as_bytes(), &part.bytes] {
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        }
    }
    digest.finalize().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn part(name: &str, filename: Option<&str>, bytes: impl Into<Vec<u8>>) -> Part {
        Part { name: name.to_owned(), filename: filename.map(str::to_owned), bytes: Bytes::from(bytes.into()) }
    }

    #[test]
    fn files_and_texts_are_told_apart_by_name() {
        let form = Form::sort(vec![
            part("image[]", Some("a.png"), "bytes"),
            part("n", None, "2"),
            part("prompt", None, ""),
            part("mask", Some(""), ""),
        ])
        .unwrap();
        assert_eq!(Value::Object(form.object), json!({"image": FILE, "n": "2"}));
        assert_eq!(form.pictures.len(), 1);
        let form = Form::sort(vec![part("image", None, "https://example.com/a.png")]).unwrap();
        assert_eq!(form.object["image"], "https://example.com/a.png");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let field = |part: Part| Form::sort(vec![part]).unwrap_err().field;
        assert_eq!(field(part("mask", Some("m.png"), "x")), "mask");
        assert_eq!(field(part("n", None, [0xff, 0xfe])), "n");
    }

    #[test]
    fn the_digest_is_that_of_the_content() {
        let of = |parts: &[(&str, &str)]| {
            Form::sort(parts.iter().map(|(name, text)| part(name, None, *text)).collect()).unwrap().digest
        };
        assert_eq!(of(&[("n", "1"), ("user", "a")]), of(&[("n", "1"), ("user", "a")]));
        assert_ne!(of(&[("n", "1")]), of(&[("n", "2")]));
        assert_ne!(of(&[("a", "bc")]), of(&[("ab", "c")]));
    }

    proptest! {
        #[test]
        fn no_parts_make_it_panic(parts: Vec<(String, Option<String>, Vec<u8>)>) {
            let parts = parts.into_iter().map(|(name, filename, bytes)| part(&name, filename.as_deref(), bytes));
            let _ = Form::sort(parts.collect());
        }
    }
}
