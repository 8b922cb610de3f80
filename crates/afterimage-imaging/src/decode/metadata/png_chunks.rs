//! Metadata in the chunks of a PNG.

use super::blocks::{Blocks, MOST_BYTES};
use std::borrow::Cow;
use std::io::Read;

/// Chunks that are unfolded or taken apart: each may cost as much as [`MOST_BYTES`], and a file may hold thousands.
const MOST_ATTEMPTS: usize = 8;

/// As the standard bounds it.
const LONGEST_KEYWORD: usize = 79;

/// EXIF from its own chunk or from the text that `ImageMagick` wrote before there was one, XMP and the profile.
pub(super) fn blocks(bytes: &[u8]) -> Blocks<'_> {
    let mut blocks = Blocks::default();
    let mut exif_text = None;
    let wanted = chunks(bytes).filter_map(|(name, data)| Some((name, kind(name, data)?, data))).take(MOST_ATTEMPTS);
    for (name, kind, data) in wanted {
        match kind {
            ChunkKind::Exif => blocks.exif = blocks.exif.or(Some(Cow::Borrowed(data))),
            ChunkKind::Profile if blocks.profile.is_none() => {
                blocks.profile = compressed_behind_name(data).map(Cow::Owned);
            }
            ChunkKind::Xmp if blocks.xmp.is_none() => blocks.xmp = text(name, data),
            ChunkKind::RawExif if exif_text.is_none() => {
                exif_text = text(name, data).and_then(|text| from_raw_profile(&text));
            }
            ChunkKind::RawXmp if blocks.xmp.is_none() => {
                blocks.xmp = text(name, data).and_then(|text| from_raw_profile(&text)).map(Cow::Owned);
            }
            _ => {}
        }
    }
    // "APP1" may hold either of the two kinds that JPEG has in such segments.
    match exif_text {
        Some(block) if block.starts_with(b"http://ns.adobe.com/xap/") => {
            blocks.xmp = blocks.xmp.or(Some(Cow::Owned(block)));
        }
        Some(block) => blocks.exif = blocks.exif.or(Some(Cow::Owned(block))),
        None => {}
    }
    blocks
}

/// What a chunk holds that is of use here.
#[derive(Clone, Copy)]
enum ChunkKind {
    Exif,
    Profile,
    Xmp,
    RawExif,
    RawXmp,
}

fn kind(name: [u8; 4], data: &[u8]) -> Option<ChunkKind> {
    match &name {
        b"eXIf" => Some(ChunkKind::Exif),
        b"iCCP" => Some(ChunkKind::Profile),
        b"tEXt" | b"zTXt" | b"iTXt" => match split_at_zero(&data[..data.len().min(LONGEST_KEYWORD + 1)])?.0 {
            b"XML:com.adobe.xmp" => Some(ChunkKind::Xmp),
            b"Raw profile type exif" | b"Raw profile type APP1" => Some(ChunkKind::RawExif),
            b"Raw profile type xmp" => Some(ChunkKind::RawXmp),
            _ => None,
        },
        _ => None,
    }
}

/// Name and data of all chunks that are whole.
fn chunks(bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    const SIGNATURE_BYTES: usize = 8;
    const CHECKSUM_BYTES: usize = 4;
    let mut rest = bytes.get(SIGNATURE_BYTES..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, behind) = rest.split_first_chunk::<4>()?;
        let (name, behind) = behind.split_first_chunk::<4>()?;
        let length = u32::from_be_bytes(*length) as usize;
        let data = behind.get(..length)?;
        rest = behind.get(length..)?.get(CHECKSUM_BYTES..)?;
        Some((*name, data))
    })
}

fn split_at_zero(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = bytes.iter().position(|byte| *byte == 0)?;
    Some((&bytes[..at], &bytes[at + 1..]))
}

/// The text of a `tEXt`, `zTXt` or `iTXt` chunk, behind its keyword.
fn text(chunk: [u8; 4], data: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (_keyword, data) = split_at_zero(data)?;
    match &chunk {
        b"tEXt" => Some(Cow::Borrowed(data)),
        // One byte for the method of compression, of which there is one.
        b"zTXt" => inflated(data.get(1..)?).map(Cow::Owned),
        _ => {
            let (&[compressed, _method], rest) = data.split_first_chunk::<2>()?;
            let (_language, rest) = split_at_zero(rest)?;
            let (_translated, text) = split_at_zero(rest)?;
            if compressed == 0 { Some(Cow::Borrowed(text)) } else { inflated(text).map(Cow::Owned) }
        }
    }
}

/// The profile behind its name.
fn compressed_behind_name(data: &[u8]) -> Option<Vec<u8>> {
    let (_, data) = split_at_zero(data)?;
    inflated(data.get(1..)?)
}

/// What a zlib stream unfolds to, up to the bound; streams from strangers may unfold to gigabytes.
fn inflated(stream: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    flate2::read::ZlibDecoder::new(stream).take(MOST_BYTES as u64 + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() <= MOST_BYTES).then_some(bytes)
}

/// Bytes in `ImageMagick`'s notation: a line break, the kind, the number of bytes, and then these in hexadecimal digits
/// with line breaks.
fn from_raw_profile(text: &[u8]) -> Option<Vec<u8>> {
    let mut words = text.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    let _kind = words.next()?;
    let length: usize = str::from_utf8(words.next()?).ok()?.parse().ok()?;
    let mut digits = words.flatten().map(|digit| char::from(*digit).to_digit(16));
    let mut bytes = Vec::with_capacity(length.min(text.len() / 2));
    while bytes.len() < length {
        // Digits that break off leave what there is.
        let (Some(high), Some(low)) = (digits.next(), digits.next()) else { break };
        bytes.push((high? << 4 | low?) as u8);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn raw_profiles_are_read() {
        assert_eq!(from_raw_profile(b"\nexif\n       4\n4578\n6966\n"), Some(b"Exif".to_vec()));
        assert_eq!(from_raw_profile(b"\nAPP1\n4\n45786966"), Some(b"Exif".to_vec()));
        assert_eq!(from_raw_profile(b"\nexif\n 99999999999\n4578"), Some(b"Ex".to_vec()));
        assert_eq!(from_raw_profile(b"\nexif\n 2\n4x78"), None);
        assert_eq!(from_raw_profile(b""), None);
    }

    proptest! {
        #[test]
        fn any_chunks_are_read(bytes in prop::collection::vec(any::<u8>(), 0..300), name in 0..5_usize) {
            let name = [b"eXIf", b"iCCP", b"zTXt", b"iTXt", b"tEXt"][name];
            let keyword = &b"Raw profile type exif\0\0"[..];
            let length = ((keyword.len() + bytes.len()) as u32).to_be_bytes();
            let _ = blocks(&[&[0; 8][..], &length, name, keyword, &bytes, &[0; 4]].concat());
            let _ = blocks(&bytes);
        }
    }
}
