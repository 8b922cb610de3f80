//! What is wrong with a picture file, in words.

/// A complaint about a file's content; [`crate::decode`] adds where the file came from.
pub(super) type Defect = String;

/// A decoder's complaint in our words: most of them mean that the file ends too early.
pub(super) fn image_defect(error: &image::ImageError) -> Defect {
    match error {
        image::ImageError::IoError(_) => "truncated".to_owned(),
        image::ImageError::Limits(_) => "needs too much memory to decode".to_owned(),
        image::ImageError::Unsupported(_) => format!("of an unsupported kind ({error})"),
        _ => format!("damaged ({error})"),
    }
}
