//! Metadata in the chunks of a WebP container.

use super::blocks::{Blocks, MOST_BYTES};
use std::borrow::Cow;

/// The first `EXIF`, `XMP ` and `ICCP` chunk.
pub(super) fn blocks(bytes: &[u8]) -> Blocks<'_> {
    const RIFF_HEADER_BYTES: usize = 12;
    let mut blocks = Blocks::default();
    let mut rest = bytes.get(RIFF_HEADER_BYTES..).unwrap_or_default();
    while let Some((name, behind)) = rest.split_first_chunk::<4>()
        && let Some((length, behind)) = behind.split_first_chunk::<4>()
    {
        let length = u32::from_le_bytes(*length) as usize;
        let Some(data) = behind.get(..length) else { break };
        let place = match name {
            b"EXIF" => Some(&mut blocks.exif),
            b"XMP " => Some(&mut blocks.xmp),
            b"ICCP" => Some(&mut blocks.profile),
            _ => None,
        };
        if let Some(place @ None) = place
            && length <= MOST_BYTES
        {
            *place = Some(Cow::Borrowed(data));
        }
        // Data are padded to an even length.
        rest = behind.get(length + length % 2..).unwrap_or_default();
    }
    blocks
}
