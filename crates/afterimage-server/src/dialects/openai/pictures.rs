//! Pictures as clients of OpenAI's routes send them: files and texts in a form, references in JSON.

use crate::http::multipart::FormPart;
use crate::problem::{Problem, ProblemKind};
use bytes::Bytes;
use serde_json::{Map, Value};

/// Stands for a file among the fields.
pub const FILE: &str = "(file)";

/// A picture as it came.
#[derive(Debug)]
pub enum Sent {
    /// The file itself.
    File(Bytes),
    /// An address, a `data:` URI or base64.
    Text {
        /// The field that it was in, for messages.
        field: String,
        /// As sent.
        text: String,
    },
}

impl Sent {
    /// What stands for it among the fields.
    pub fn shown(&self) -> &str {
        match self {
            Self::File(_) => FILE,
            Self::Text { text, .. } => text,
        }
    }
}

/// The picture in a part `field` of a form: a file, or a text where the part has no file name.
pub fn sent_in_part(field: &str, part: FormPart) -> Sent {
    let text = if part.filename.is_none() { std::str::from_utf8(&part.bytes).ok() } else { None };
    match text.map(str::to_owned) {
        Some(text) => Sent::Text { field: field.to_owned(), text },
        None => Sent::File(part.bytes),
    }
}

/// `image` of `image[]` and `image[0]`, as languages write the fields of a list.
pub fn without_index(name: &str) -> &str {
    match name.strip_suffix(']').and_then(|name| name.split_once('[')) {
        Some((list, index)) if index.bytes().all(|byte| byte.is_ascii_digit()) => list,
        _ => name,
    }
}

/// Whether the field `name` holds a mask.
pub fn is_mask(name: &str) -> bool {
    without_index(name) == "mask"
}

/// Takes the pictures out of a JSON `object`: `images`, a list of `{"image_url"}`, or `image`, one or a list of the same
/// or of plain texts.
///
/// # Errors
/// What is wrong with which field, also that there is none.
pub fn in_json(object: &mut Map<String, Value>) -> Result<Vec<Sent>, Problem> {
    // As in forms, what is empty is absent.
    object.retain(|_, value| !value.as_str().is_some_and(str::is_empty));
    let mut sent = Vec::new();
    for field in ["images", "image"] {
        match object.remove(field) {
            None | Some(Value::Null) => {}
            Some(Value::Array(items)) => {
                for (index, item) in items.into_iter().enumerate() {
                    sent.push(in_value(format!("{field}[{index}]"), item)?);
                }
            }
            Some(item) if field == "image" => sent.push(in_value(field.to_owned(), item)?),
            Some(_) => {
                let message = "is no list; expected [{\"image_url\": \"https://…\"}] with one picture";
                return Err(Problem::new(field, ProblemKind::WrongType, message));
            }
        }
    }
    if sent.is_empty() {
        let message = "missing; expected [{\"image_url\": \"https://…\"}] with one picture";
        return Err(Problem::new("images", ProblemKind::Missing, message));
    }
    Ok(sent)
}

/// Takes the mask out of a JSON `object`: a reference as in [`in_json`], or a plain text.
///
/// # Errors
/// What is wrong with it.
pub fn mask_in_json(object: &mut Map<String, Value>) -> Result<Option<Sent>, Problem> {
    object.remove("mask").filter(|mask| !mask.is_null()).map(|mask| in_value("mask".to_owned(), mask)).transpose()
}

/// The picture that `value` in `field` refers to.
fn in_value(field: String, value: Value) -> Result<Sent, Problem> {
    let wrong = "expected {\"image_url\": \"https://… or data:image/png;base64,…\"}";
    match value {
        Value::String(text) => Ok(Sent::Text { field, text }),
        Value::Object(mut reference) => match reference.remove("image_url").filter(|url| !url.is_null()) {
            Some(Value::String(text)) => Ok(Sent::Text { field: format!("{field}.image_url"), text }),
            // As the chat routes of the same service have it.
            Some(Value::Object(mut within)) => match within.remove("url") {
                Some(Value::String(text)) => Ok(Sent::Text { field: format!("{field}.image_url.url"), text }),
                _ => Err(Problem::new(format!("{field}.image_url.url"), ProblemKind::Missing, wrong)),
            },
            Some(_) => Err(Problem::new(format!("{field}.image_url"), ProblemKind::WrongType, wrong)),
            None if reference.get("file_id").is_some_and(|id| !id.is_null()) => {
                let message = "there are no files with ids here; send image_url, an address or a data URI";
                Err(Problem::new(format!("{field}.file_id"), ProblemKind::Malformed, message))
            }
            None => Err(Problem::new(format!("{field}.image_url"), ProblemKind::Missing, wrong)),
        },
        _ => Err(Problem::new(field, ProblemKind::WrongType, wrong)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn taken(value: Value) -> Result<Vec<(String, String)>, String> {
        let Value::Object(mut object) = value else { panic!("an object") };
        let sent = in_json(&mut object).map_err(|problem| problem.field)?;
        let texts = sent.into_iter().map(|sent| match sent {
            Sent::Text { field, text } => (field, text),
            Sent::File(_) => panic!("a file in JSON"),
        });
        Ok(texts.collect())
    }

    #[test]
    fn a_mask_is_a_reference_or_a_text() {
        let mask = |mask: Value| {
            let Value::Object(mut object) = json!({"mask": mask}) else { panic!("an object") };
            match mask_in_json(&mut object) {
                Ok(Some(Sent::Text { field, text })) => Ok(Some((field, text))),
                Ok(Some(Sent::File(_))) => panic!("a file in JSON"),
                Ok(None) => Ok(None),
                Err(problem) => Err(problem.field),
            }
        };
        let found = |field: &str| Ok(Some((field.to_owned(), "u".to_owned())));
        assert_eq!(mask(json!({"image_url": "u"})), found("mask.image_url"));
        assert_eq!(mask(json!("u")), found("mask"));
        assert_eq!(mask(json!(null)), Ok(None));
        for (bad, field) in [
            (json!(7), "mask"),
            (json!([]), "mask"),
            (json!({}), "mask.image_url"),
            (json!({"file_id": "file-1"}), "mask.file_id"),
        ] {
            assert_eq!(mask(bad), Err(field.to_owned()));
        }
    }

    #[test]
    fn pictures_are_found_wherever_clients_put_them() {
        let one = |field: &str| Ok(vec![(field.to_owned(), "u".to_owned())]);
        assert_eq!(taken(json!({"images": [{"image_url": "u"}], "mask": null})), one("images[0].image_url"));
        assert_eq!(taken(json!({"images": [{"image_url": "u", "file_id": null}]})), one("images[0].image_url"));
        assert_eq!(taken(json!({"images": [{"image_url": {"url": "u"}}]})), one("images[0].image_url.url"));
        assert_eq!(taken(json!({"images": ["u"]})), one("images[0]"));
        assert_eq!(taken(json!({"image": "u", "images": null})), one("image"));
        assert_eq!(taken(json!({"image": ["u"]})), one("image[0]"));
        assert_eq!(taken(json!({"image": {"image_url": "u"}})), one("image.image_url"));
        assert_eq!(taken(json!({"images": ["u", "u"]})).unwrap().len(), 2, "counted later");
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        for (body, field) in [
            (json!({}), "images"),
            (json!({"images": []}), "images"),
            (json!({"images": "u"}), "images"),
            (json!({"images": [7]}), "images[0]"),
            (json!({"images": [{}]}), "images[0].image_url"),
            (json!({"images": [{"image_url": 7}]}), "images[0].image_url"),
            (json!({"images": [{"image_url": {}}]}), "images[0].image_url.url"),
            (json!({"images": [{"file_id": "file-1"}]}), "images[0].file_id"),
        ] {
            assert_eq!(taken(body.clone()), Err(field.to_owned()), "{body}");
        }
    }

    #[test]
    fn names_of_lists_are_known_with_their_index() {
        for name in ["image", "image[]", "image[0]", "image[12]"] {
            assert_eq!(without_index(name), "image", "{name}");
        }
        for name in ["image[a]", "image]", "image[", "images", "imag[e]", "[]image"] {
            assert_ne!(without_index(name), "image", "{name}");
        }
    }
}
