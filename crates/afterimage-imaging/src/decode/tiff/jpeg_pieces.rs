//! JPEG inside of TIFF: one file a strip or tile with shared tables, or the whole picture as one file.

use super::super::defect::Defect;
use super::super::jpeg;
use super::super::samples::{Decoded, Samples};
use super::layout::{PageLayout, Photometric, Piece, tag};
use afterimage_core::PictureLimits;

const OLD_STREAM: u16 = 513;
const OLD_STREAM_BYTES: u16 = 514;

const START_OF_IMAGE: [u8; 2] = [0xff, 0xd8];
const END_OF_IMAGE: [u8; 2] = [0xff, 0xd9];

/// Decodes a strip or tile.
pub(super) fn decode(layout: &PageLayout, piece: &Piece, limits: &PictureLimits) -> Result<Decoded, Defect> {
    // Read again for each piece: all tables that JPEG has room for are shorter.
    const MOST_TABLE_BYTES: usize = 1 << 14;
    let tables = layout.directory.bytes(tag::JPEG_TABLES).unwrap_or_default();
    if tables.len() > MOST_TABLE_BYTES {
        return Err("damaged (its JPEG tables are too long)".to_owned());
    }
    let tables = tables.strip_prefix(&START_OF_IMAGE).unwrap_or(tables);
    let tables = tables.strip_suffix(&END_OF_IMAGE).unwrap_or(tables);
    let data = piece.data.strip_prefix(&START_OF_IMAGE).ok_or("damaged (a strip or tile is no JPEG)")?;
    let end: &[u8] = if ends(data) { &[] } else { &END_OF_IMAGE };
    let file = [&START_OF_IMAGE[..], color_marker(layout), tables, data, end].concat();
    // A JPEG may not be larger than its place.
    let pixels = u64::from(layout.piece_width) * u64::from(layout.piece_height);
    let limits = PictureLimits { pixels: pixels.min(limits.pixels.saturating_mul(2)), ..*limits };
    let mut decoded = jpeg::decode(&file, &limits)?;
    // A lone JPEG file of four inks has them inverted, by a custom that TIFF does not follow.
    if let Samples::Cmyk(samples) = &mut decoded.samples {
        for ink in samples {
            *ink = 255 - *ink;
        }
    }
    Ok(decoded)
}

/// An Adobe segment that says what the TIFF's tags say: JPEG data here have none of their own.
fn color_marker(layout: &PageLayout) -> &'static [u8] {
    const PLAIN: &[u8] = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0";
    const YCBCR: &[u8] = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x01";
    match layout.photometric {
        _ if layout.planar => &[],
        Photometric::YCbCr => YCBCR,
        Photometric::Rgb | Photometric::Cmyk => PLAIN,
        _ => &[],
    }
}

/// Whether the end mark is there; data behind it are padding.
fn ends(data: &[u8]) -> bool {
    data[data.len().saturating_sub(16)..].windows(2).any(|window| window == END_OF_IMAGE)
}

/// JPEG as TIFF 6.0 first defined it. What programs wrote is, nearly always, a whole JPEG file beside the tags.
pub(super) fn old_style(layout: &PageLayout, bytes: &[u8], limits: &PictureLimits) -> Result<Samples, Defect> {
    let unsupported =
        || "packed with JPEG in the way of before 1995 that has no file inside; save it with LZW".to_owned();
    let directory = &layout.directory;
    let place = |offset, length| {
        let start = usize::try_from(directory.integer(offset)?).ok()?;
        let behind = bytes.get(start..)?;
        let length = directory.integer(length).and_then(|length| usize::try_from(length).ok());
        Some(behind.get(..length.unwrap_or(behind.len())).unwrap_or(behind))
    };
    let streams = [place(OLD_STREAM, OLD_STREAM_BYTES), place(tag::STRIP_OFFSETS, tag::STRIP_BYTES)];
    let is_whole =
        |stream: &&[u8]| stream.starts_with(&START_OF_IMAGE) && stream.windows(2).any(|marker| marker == [0xff, 0xda]);
    let file = match streams {
        _ if streams.iter().flatten().any(is_whole) => {
            streams.iter().flatten().find(|stream| is_whole(stream)).map(|stream| stream.to_vec()).unwrap_or_default()
        }
        // Headers at one place, the scan at the other.
        [Some(headers), Some(scan)] if headers.starts_with(&START_OF_IMAGE) => [headers, scan].concat(),
        _ => return Err(unsupported()),
    };
    let file = if ends(&file) { file } else { [&file[..], &END_OF_IMAGE].concat() };
    let decoded = jpeg::decode(&file, limits)?;
    if (decoded.width, decoded.height) != (layout.width, layout.height) {
        return Err("damaged (the JPEG inside has another size than the file says)".to_owned());
    }
    Ok(decoded.samples)
}
