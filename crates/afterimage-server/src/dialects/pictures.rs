//! The pictures of a request under a dialect's names for them, each with its role.

use crate::intake::{Intake, RequestPicture, take_text};
use crate::parameters::Values;
use crate::parameters::common::{KEEP_OUTSIDE, MASK_BLUR, MASK_CROP};
use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use afterimage_core::PictureRole;
use afterimage_jobs::KeyId;
use bytes::Bytes;

/// How a dialect calls the pictures of a request.
#[derive(Clone, Copy, Debug)]
pub struct PictureNames {
    /// The only one, or the first.
    pub first: &'static str,
    /// A list of those that are mixed with it.
    pub further: &'static str,
    /// A list of masks: which part of each speaks.
    pub masks: &'static str,
    /// What a variation starts from.
    pub start: &'static str,
    /// Which part is painted anew.
    pub mask: &'static str,
}

/// As most dialects have them: fields of the service's own without an ending that says that they are addresses.
pub const PLAIN_NAMES: PictureNames =
    PictureNames { first: "image", further: "images", masks: "image_masks", start: "init_image", mask: "mask_image" };

/// The pictures of a request.
#[derive(Debug, Default)]
pub struct TakenPictures {
    /// In the order in which the engine wants them.
    pub pictures: Vec<RequestPicture>,
    /// What each is for.
    pub roles: Vec<PictureRole>,
}

/// Stands for no mask in a list of them.
const NO_MASK: &str = "none";

/// The texts of a request's pictures, each with its place, `images[0]`, and its role.
fn named<'a>(values: &'a Values, names: &PictureNames) -> Vec<(String, &'a str, PictureRole)> {
    let masks = values.texts(names.masks);
    let first = values.text(names.first).map(|text| (names.first.to_owned(), text));
    let further = values.texts(names.further).iter().enumerate();
    let further = further.map(|(index, text)| (format!("{}[{index}]", names.further), text.as_str()));
    let mut all = Vec::new();
    let mut count = 0;
    for (index, (place, text)) in first.into_iter().chain(further).enumerate() {
        all.push((place, text, PictureRole::Picture));
        if let Some(mask) = masks.get(index).filter(|mask| mask.trim() != NO_MASK) {
            all.push((format!("{}[{index}]", names.masks), mask, PictureRole::PictureMask));
        }
        count = index + 1;
    }
    // One too many belongs to nothing, which the check of the request says.
    if let Some(mask) = masks.get(count) {
        let place = format!("{}[{count}]", names.masks);
        all.extend(vec![(place, mask.as_str(), PictureRole::PictureMask); 2]);
    }
    for (name, role) in [(names.start, PictureRole::Start), (names.mask, PictureRole::Mask)] {
        all.extend(values.text(name).map(|text| (name.to_owned(), text, role)));
    }
    all
}

/// Takes the pictures that `values` of a request of `key` name, which its body `body` came with.
///
/// # Errors
/// Those of [`take_text`] for the first that cannot be used; it names the place in a list, as `images[0]`.
pub async fn take_pictures(
    intake: &Intake,
    key: &KeyId,
    values: &Values,
    names: &PictureNames,
    body: &Bytes,
) -> Result<TakenPictures, Refusal> {
    let named = named(values, names);
    check_mask_settings(values, names, named.iter().any(|(.., role)| *role == PictureRole::Mask))?;
    let mut taken = TakenPictures::default();
    for (place, text, role) in named {
        taken.pictures.push(take_text(intake, key, &place, text).await?.holding(body));
        taken.roles.push(role);
    }
    Ok(taken)
}

/// Refuses what says how a mask is used where there is none: a mask whose field was misspelled would be passed over, and
/// all of the picture painted anew.
fn check_mask_settings(values: &Values, names: &PictureNames, has_mask: bool) -> Result<(), Refusal> {
    let given = [
        (MASK_BLUR, values.number(MASK_BLUR).is_some_and(|blur| blur > 0.0)),
        (MASK_CROP, values.integer(MASK_CROP).is_some()),
        (KEEP_OUTSIDE, values.switch(KEEP_OUTSIDE)),
    ];
    match given.iter().find(|(_, is_given)| *is_given && !has_mask) {
        Some((field, _)) => {
            let message = format!("there is no mask that this could be about; send one as {}", names.mask);
            Err(Problem::new(*field, ProblemKind::Malformed, message).into())
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::wavespeed;
    use crate::parameters::parse;
    use serde_json::{Value, json};

    fn roles(model: usize, body: &Value) -> Vec<(String, String, PictureRole)> {
        let parameters = wavespeed::MODELS[model].parameters();
        let values = parse(&parameters, body.as_object().unwrap()).unwrap();
        let names = named(&values, &PLAIN_NAMES);
        names.into_iter().map(|(place, text, role)| (place, text.to_owned(), role)).collect()
    }

    fn place(place: &str, text: &str, role: PictureRole) -> (String, String, PictureRole) {
        (place.to_owned(), text.to_owned(), role)
    }

    #[test]
    fn each_picture_is_followed_by_its_mask() {
        use PictureRole::{Mask, Picture, PictureMask, Start};
        assert_eq!(roles(0, &json!({"image": "a"})), [place("image", "a", Picture)]);
        let body = json!({"image": "a", "images": ["b"], "image_masks": ["none", "m"], "init_image": "s"});
        let expected = [
            place("image", "a", Picture),
            place("images[0]", "b", Picture),
            place("image_masks[1]", "m", PictureMask),
            place("init_image", "s", Start),
        ];
        assert_eq!(roles(0, &body), expected);
        let painted = roles(2, &json!({"prompt": "p", "image": "a", "mask_image": "m"}));
        assert_eq!(painted, [place("image", "a", Picture), place("mask_image", "m", Mask)]);
        let too_many = roles(0, &json!({"image": "a", "image_masks": ["m", "n"]}));
        assert_eq!(too_many.len(), 4, "the check of the request refuses what follows no picture");
    }

    #[test]
    fn what_is_said_of_a_mask_needs_one() {
        let check = |body: Value| {
            let parameters = wavespeed::MODELS[2].parameters();
            let values = parse(&parameters, body.as_object().unwrap()).unwrap();
            check_mask_settings(&values, &PLAIN_NAMES, body.get("mask_image").is_some())
        };
        let settings = [json!({"mask_blur": 3}), json!({"mask_crop": 0}), json!({"keep_outside": true})];
        for (mut body, field) in settings.into_iter().zip(["mask_blur", "mask_crop", "keep_outside"]) {
            body["prompt"] = json!("x");
            let refused = check(body.clone()).unwrap_err().to_string();
            assert!(refused.starts_with(field) && refused.contains("mask_image"), "{refused}");
            body["mask_image"] = json!("m");
            check(body).unwrap();
        }
        check(json!({"prompt": "x", "mask_blur": 0, "keep_outside": false})).unwrap();
    }
}
