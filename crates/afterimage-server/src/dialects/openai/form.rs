//! Requests with a picture, in a form or, as newer clients send edits, in JSON.

use super::pictures::{Sent, in_json, is_mask, mask_in_json, sent_in_part};
use crate::dialects::TakenPictures;
use crate::http::body::{BodyReader, JSON_LIMIT};
use crate::http::json::{Fields, read_object};
use crate::http::multipart::{FormPart, parts};
use crate::intake::{Intake, RequestPicture, take_bytes, take_text_as};
use crate::parameters::{Kind, Parameter};
use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use afterimage_core::{FileReading, MaskReading, PictureRole};
use afterimage_jobs::KeyId;
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

/// A request's fields and pictures.
#[derive(Debug, Default)]
pub struct Form {
    /// Fields by name, and under `image` what stands for the picture. In a form an empty text counts as absent.
    pub object: Map<String, Value>,
    /// What repetitions have in common. The body of a form differs with each, since the boundary is drawn, so it is a
    /// digest of the parts; of parts that are not looked at, nothing.
    pub fingerprint: Bytes,
    pictures: Vec<Sent>,
    mask: Option<Sent>,
    /// What the parts are copies of, with its share of memory.
    body: Bytes,
}

impl Form {
    /// Reads the body of a request of `key` as a form with these `parameters`.
    ///
    /// # Errors
    /// [`Refusal::BadBody`], those of reading, and [`Refusal::Field`] for a field that is not supported.
    pub async fn read(
        bodies: &BodyReader,
        key: &KeyId,
        headers: &HeaderMap,
        body: Body,
        parameters: &[Parameter],
    ) -> Result<Self, Refusal> {
        let body = bodies.read(key, headers, body, JSON_LIMIT).await?;
        let wanted =
            |name: &str| is_picture(name) || is_mask(name) || parameters.iter().any(|parameter| names(parameter, name));
        let parts = parts(headers, body.clone(), wanted).await;
        let parts = parts.map_err(|error| Refusal::BadBody(error.to_string()))?;
        Ok(Self { body, ..Self::sort(parts)? })
    }

    /// Reads the body of a request of `key` as JSON with these `parameters`, the pictures under `images` or `image`.
    ///
    /// # Errors
    /// As [`Form::read`].
    pub async fn read_json(
        bodies: &BodyReader,
        key: &KeyId,
        headers: &HeaderMap,
        body: Body,
        parameters: &[Parameter],
    ) -> Result<Self, Refusal> {
        let fields = Fields::of(parameters).with_pictures(&["images", "image", "mask"]);
        let (mut object, body) = read_object(bodies, key, headers, body, fields).await?;
        let pictures = in_json(&mut object)?;
        let mask = mask_in_json(&mut object)?;
        if let Some(mask) = &mask {
            object.insert("mask".to_owned(), Value::from(mask.shown()));
        }
        if let Some(first) = pictures.first() {
            object.insert("image".to_owned(), Value::from(first.shown()));
        }
        Ok(Self { object, fingerprint: body.clone(), pictures, mask, body })
    }

    fn sort(parts: Vec<FormPart>) -> Result<Self, Problem> {
        let mut form = Self { fingerprint: digest(&parts).into(), ..Self::default() };
        for part in parts {
            match part.name.as_str() {
                _ if part.bytes.is_empty() && part.filename.as_deref().unwrap_or_default().is_empty() => {}
                name if is_picture(name) => {
                    let sent = sent_in_part("image", part);
                    form.object.insert("image".to_owned(), Value::from(sent.shown()));
                    form.pictures.push(sent);
                }
                name if is_mask(name) => {
                    if form.mask.is_some() {
                        let message = "several masks were sent; at most one is taken";
                        return Err(Problem::new("mask", ProblemKind::TooLong, message));
                    }
                    let sent = sent_in_part("mask", part);
                    form.object.insert("mask".to_owned(), Value::from(sent.shown()));
                    form.mask = Some(sent);
                }
                name if name.contains('[') => {
                    let list = name.split('[').next().unwrap_or_default();
                    let message = "is split up; send the list as JSON text in one field of this name";
                    return Err(Problem::new(list, ProblemKind::WrongType, message));
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

    /// The picture that `key` sent and its mask, checked; masks only where `takes_mask` says so.
    ///
    /// # Errors
    /// [`Refusal::Field`] when there is not exactly one picture, or when one cannot be used.
    pub async fn pictures(mut self, intake: &Intake, key: &KeyId, takes_mask: bool) -> Result<TakenPictures, Refusal> {
        let mask = self.mask.take();
        if mask.is_some() && !takes_mask {
            let message = "a mask belongs to edits; leave it out, or send the picture there";
            return Err(Problem::new("mask", ProblemKind::Malformed, message).into());
        }
        let body = self.body.clone();
        let mut taken =
            TakenPictures { pictures: vec![self.picture(intake, key).await?], roles: vec![PictureRole::Picture] };
        if let Some(mask) = mask {
            let mask = take(intake, key, "mask", mask, FileReading::Mask(MaskReading::Transparency)).await?;
            taken.pictures.push(mask.holding(&body));
            taken.roles.push(PictureRole::Mask);
        }
        Ok(taken)
    }

    async fn picture(self, intake: &Intake, key: &KeyId) -> Result<RequestPicture, Refusal> {
        let count = self.pictures.len();
        let mut pictures = self.pictures.into_iter();
        let (Some(sent), None) = (pictures.next(), pictures.next()) else {
            let kind = if count == 0 { ProblemKind::Missing } else { ProblemKind::TooLong };
            let message = format!("{count} pictures were sent; exactly one is taken");
            return Err(Problem::new("image", kind, message).into());
        };
        Ok(take(intake, key, "image", sent, FileReading::Picture).await?.holding(&self.body))
    }
}

/// Takes what was sent; a file as `field`.
async fn take(
    intake: &Intake,
    key: &KeyId,
    field: &str,
    sent: Sent,
    reading: FileReading,
) -> Result<RequestPicture, Refusal> {
    match sent {
        Sent::Text { field, text } => take_text_as(intake, key, &field, &text, reading).await,
        Sent::File(bytes) => take_bytes(intake, key, field, bytes, reading).await,
    }
}

fn is_picture(name: &str) -> bool {
    super::pictures::without_index(name) == "image"
}

/// Whether a part called `name` is of `parameter`, also as some libraries split lists up: `loras[][path]`, `loras[0][path]`.
/// Such parts would be lost where nobody looks at them, and the pictures be made without.
fn names(parameter: &Parameter, name: &str) -> bool {
    let is_part_of_it = || name.strip_prefix(parameter.name).is_some_and(|rest| rest.starts_with('['));
    parameter.name == name || (matches!(parameter.kind, Kind::Loras) && is_part_of_it())
}

fn digest(parts: &[FormPart]) -> Vec<u8> {
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
    use crate::dialects::openai::pictures::FILE;
    use proptest::prelude::*;
    use serde_json::json;

    fn part(name: &str, filename: Option<&str>, bytes: impl Into<Vec<u8>>) -> FormPart {
        FormPart { name: name.to_owned(), filename: filename.map(str::to_owned), bytes: Bytes::from(bytes.into()) }
    }

    #[test]
    fn files_and_texts_are_told_apart_by_name() {
        let form = Form::sort(vec![
            part("image[]", Some("a.png"), "bytes"),
            part("mask[]", None, ""),
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
        let field = |part: FormPart| Form::sort(vec![part]).unwrap_err().field;
        for name in ["mask", "mask[]", "mask[0]"] {
            let two = vec![part(name, Some("m.png"), "x"), part("mask", Some("n.png"), "y")];
            assert_eq!(Form::sort(two).unwrap_err().field, "mask");
        }
        assert_eq!(field(part("n", None, [0xff, 0xfe])), "n");
        for name in ["loras[][path]", "loras[0][path]", "loras[0]"] {
            assert_eq!(field(part(name, None, "film")), "loras");
        }
    }

    #[test]
    fn the_digest_is_that_of_the_content() {
        let of = |parts: &[(&str, &str)]| {
            Form::sort(parts.iter().map(|(name, text)| part(name, None, *text)).collect()).unwrap().fingerprint
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
