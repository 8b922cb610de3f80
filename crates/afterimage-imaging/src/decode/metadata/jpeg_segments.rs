//! Metadata in the application segments of a JPEG.

use super::blocks::{Blocks, MOST_BYTES};
use std::borrow::Cow;

/// EXIF, XMP and profile from the segments before the first scan, where every writer puts them.
///
/// A profile comes in numbered pieces; one that lacks a piece is none. Of several XMP packets the last counts, of
/// several EXIF segments the first is continued by the others, both as Pillow reads them.
pub(super) fn blocks(bytes: &[u8]) -> Blocks<'_> {
    const EXIF: &[u8] = b"Exif\0\0";
    const XMP: &[u8] = b"http://ns.adobe.com/xap/1.0/\0";
    const PROFILE: &[u8] = b"ICC_PROFILE\0";
    let mut blocks = Blocks::default();
    let mut pieces = Vec::new();
    for (marker, segment) in segments(bytes) {
        match marker {
            0xe1 if segment.starts_with(EXIF) => match &mut blocks.exif {
                None => blocks.exif = Some(Cow::Borrowed(segment)),
                Some(exif) if exif.len() < MOST_BYTES => exif.to_mut().extend_from_slice(&segment[EXIF.len()..]),
                Some(_) => {}
            },
            0xe1 => {
                if let Some(xmp) = segment.strip_prefix(XMP) {
                    blocks.xmp = Some(Cow::Borrowed(xmp));
                }
            }
            0xe2 => {
                if let Some([number, total, data @ ..]) = segment.strip_prefix(PROFILE) {
                    pieces.push((*number, *total, data));
                }
            }
            _ => {}
        }
    }
    blocks.profile = joined(pieces).map(Cow::Owned);
    blocks
}

/// The pieces of a profile in the order of their numbers, when all are there.
fn joined(mut pieces: Vec<(u8, u8, &[u8])>) -> Option<Vec<u8>> {
    pieces.sort_by_key(|(number, ..)| *number);
    let complete = pieces
        .iter()
        .enumerate()
        .all(|(index, (number, total, _))| usize::from(*number) == index + 1 && usize::from(*total) == pieces.len());
    let length: usize = pieces.iter().map(|(.., data)| data.len()).sum();
    (complete && length > 0 && length <= MOST_BYTES)
        .then(|| pieces.iter().flat_map(|(.., data)| *data).copied().collect())
}

/// Marker and content of every segment up to the first scan.
fn segments(bytes: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    const START_OF_SCAN: u8 = 0xda;
    const END_OF_IMAGE: u8 = 0xd9;
    let mut rest = bytes.get(2..).unwrap_or_default();
    std::iter::from_fn(move || {
        loop {
            // Any number of fill bytes may stand before a marker.
            let at = rest.iter().position(|byte| *byte == 0xff)?;
            let behind = &rest[at..];
            let marker_at = behind.iter().position(|byte| *byte != 0xff)?;
            let marker = behind[marker_at];
            rest = &behind[marker_at + 1..];
            match marker {
                START_OF_SCAN | END_OF_IMAGE => return None,
                // Stuffed zeros, restart markers and others that stand alone.
                0 | 0x01 | 0xd0..=0xd8 => continue,
                _ => {}
            }
            let length = usize::from(u16::from_be_bytes(*rest.first_chunk()?));
            let segment = rest.get(2..length)?;
            rest = &rest[length..];
            return Some((marker, segment));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn segment(marker: u8, content: &[u8]) -> Vec<u8> {
        [&[0xff, marker][..], &((content.len() + 2) as u16).to_be_bytes(), content].concat()
    }

    #[test]
    fn a_profile_in_pieces_is_joined_in_order() {
        let piece = |number: u8, total: u8, data: &[u8]| {
            segment(0xe2, &[&b"ICC_PROFILE\0"[..], &[number, total], data].concat())
        };
        let file = |pieces: &[Vec<u8>]| [&[0xff, 0xd8][..], &pieces.concat(), &[0xff, 0xda, 0, 2]].concat();
        let whole = file(&[piece(2, 2, b"cd"), piece(1, 2, b"ab")]);
        assert_eq!(blocks(&whole).profile.as_deref(), Some(&b"abcd"[..]));
        for broken in [vec![piece(2, 2, b"cd")], vec![piece(1, 2, b"a"), piece(1, 2, b"a")], vec![piece(1, 1, b"")]] {
            assert!(blocks(&file(&broken)).profile.is_none());
        }
    }

    proptest! {
        #[test]
        fn any_segments_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = blocks(&bytes);
            let _ = blocks(&[&[0xff, 0xd8, 0xff, 0xe1][..], &bytes].concat());
        }
    }
}
