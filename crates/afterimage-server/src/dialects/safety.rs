//! What dialects say about what a picture shows. All of them ask here, so that they agree on what is known.

use afterimage_core::PictureFacts;

/// Whether `picture` was found to show what should not be shown; `None`: nobody looked, since there is no checker.
const fn verdict(_picture: PictureFacts) -> Option<bool> {
    None
}

/// One answer for each picture, for services whose clients index the list: a picture that nobody checked was not flagged.
pub fn one_for_each(pictures: &[PictureFacts]) -> Vec<bool> {
    pictures.iter().map(|picture| verdict(*picture).unwrap_or(false)).collect()
}

/// One answer for each picture if all were checked, else none: for services where a picture that nobody checked is not
/// called safe.
pub fn if_checked(pictures: &[PictureFacts]) -> Vec<bool> {
    pictures.iter().copied().map(verdict).collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::Size;

    #[test]
    fn what_nobody_checked_is_never_called_unsafe() {
        let pictures = [PictureFacts::new(Size::new(64, 64)); 2];
        assert_eq!(one_for_each(&pictures), [false, false]);
        assert_eq!(if_checked(&pictures), [false; 0]);
    }
}
