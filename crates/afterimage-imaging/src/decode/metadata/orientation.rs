//! Orientation from EXIF and XMP.

use super::super::directory::Directory;
use image::metadata::Orientation;

const ORIENTATION: u16 = 274;

/// The orientation that a file's EXIF block or else its XMP packet names.
///
/// EXIF wins whenever its first directory has the tag, even with a value that means nothing.
pub(super) fn of(exif: Option<&[u8]>, xmp: Option<&[u8]>) -> Orientation {
    let value = exif.and_then(in_exif).or_else(|| xmp.and_then(in_xmp));
    value.and_then(Orientation::from_exif).unwrap_or(Orientation::NoTransforms)
}

/// The tag of the first directory; the preview in the second may lie another way. `None` means that there is no such tag;
/// a value that is no orientation is 0.
fn in_exif(exif: &[u8]) -> Option<u8> {
    // Some writers leave the prefix of JPEG segments in front, some put it there twice.
    const PREFIX: &[u8] = b"Exif\0\0";
    let tiff = exif.strip_prefix(PREFIX).unwrap_or(exif);
    let tiff = tiff.strip_prefix(PREFIX).unwrap_or(tiff);
    let directory = Directory::first(tiff)?;
    let value = || directory.integer(ORIENTATION).and_then(|value| u8::try_from(value).ok()).unwrap_or(0);
    directory.has(ORIENTATION).then(value)
}

/// `tiff:Orientation` as an attribute or as an element. Packets come in UTF-8, rarely in UTF-16.
fn in_xmp(xmp: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"tiff:Orientation";
    // Both byte orders of UTF-16 become the same once the zeros of its plain characters are gone.
    let wide = xmp.contains(&0).then(|| xmp.iter().copied().filter(|byte| *byte != 0).collect::<Vec<_>>());
    let mut rest = wide.as_deref().unwrap_or(xmp);
    while let Some(at) = rest.windows(NAME.len()).position(|window| window == NAME) {
        rest = &rest[at + NAME.len()..];
        if let Some(value) = value_behind(rest) {
            return Some(value);
        }
    }
    None
}

/// The number behind the name: `="6"`, `='6'` or `>6<`, with white space where XML allows it.
fn value_behind(text: &[u8]) -> Option<u8> {
    let text = text.trim_ascii_start();
    let text = match text.split_first()? {
        (b'=', rest) => match rest.trim_ascii_start().split_first()? {
            (b'"' | b'\'', value) => value,
            _ => return None,
        },
        (b'>', rest) => rest,
        _ => return None,
    };
    match text.trim_ascii_start() {
        [digit @ b'0'..=b'9', after, ..] if !after.is_ascii_digit() => Some(digit - b'0'),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn exif(value: u8) -> Vec<u8> {
        [&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[value, 0, 0, 0], &[0; 4]].concat()
    }

    #[test]
    fn exif_wins_over_xmp() {
        let xmp = &b"<x tiff:Orientation=\"6\"/>"[..];
        let turned = Orientation::from_exif(6).unwrap();
        assert_eq!(of(None, Some(xmp)), turned);
        assert_eq!(of(Some(b"no exif"), Some(xmp)), turned);
        assert_eq!(of(Some(&exif(1)), Some(xmp)), Orientation::NoTransforms);
        assert_eq!(of(Some(&exif(9)), Some(xmp)), Orientation::NoTransforms);
        assert_eq!(of(Some(&exif(3)), Some(xmp)), Orientation::Rotate180);
        assert_eq!(of(Some(&[&b"Exif\0\0Exif\0\0"[..], &exif(3)].concat()), None), Orientation::Rotate180);
    }

    #[test]
    fn xmp_has_it_as_attribute_or_element() {
        for text in [
            "<a tiff:Orientation=\"8\">",
            "<a tiff:Orientation = '8'>",
            "<tiff:Orientation>8</tiff:Orientation>",
            "<tiff:Orientation> 8 </tiff:Orientation>",
            "<!-- tiff:Orientation --><tiff:Orientation>8</tiff:Orientation>",
        ] {
            assert_eq!(in_xmp(text.as_bytes()), Some(8), "{text}");
            let wide: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            assert_eq!(in_xmp(&wide), Some(8), "{text} in UTF-16");
        }
        for text in ["tiff:Orientation=8", "tiff:Orientation=\"88\"", "exif:Orientation=\"8\"", "tiff:Orientation>", ""]
        {
            assert_eq!(in_xmp(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_an_orientation(exif in prop::collection::vec(any::<u8>(), 0..99), xmp in "[ -~]{0,99}") {
            let _ = of(Some(&exif), Some(xmp.as_bytes()));
        }
    }
}
