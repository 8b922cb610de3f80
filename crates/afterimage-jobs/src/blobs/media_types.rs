//! The types of pictures, as endings of paths.

/// Media type and ending of every format that is ever stored.
const TYPES: [(&str, &str); 7] = [
    ("image/jpeg", "jpg"),
    ("image/jpeg", "jpeg"),
    ("image/png", "png"),
    ("image/webp", "webp"),
    ("image/gif", "gif"),
    ("image/bmp", "bmp"),
    ("image/tiff", "tiff"),
];

/// The media type that `path` ends with; inputs have none.
pub(super) fn media_type(path: &str) -> Option<&'static str> {
    let (_, ending) = path.rsplit_once('.')?;
    TYPES.iter().find(|(_, known)| *known == ending).map(|(media_type, _)| *media_type)
}

/// What a path of that type ends with.
pub(super) fn ending(media_type: &str) -> &'static str {
    TYPES.iter().find(|(known, _)| *known == media_type).map_or("bin", |(_, ending)| ending)
}
