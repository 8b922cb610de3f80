//! JPEG through the `image` crate, with metadata segments put in behind the start of the image.

use super::exif::exif_block;
use super::output_metadata::OutputMetadata;
use super::xmp::xmp_packet;
use afterimage_core::{Error, Field, Picture, Result};
use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;

const QUALITY: u8 = 95;

/// Data bytes of a segment; its length field counts itself.
const SEGMENT_BYTES: usize = 65_533;

const MARKER_APP1: u8 = 0xe1;
const MARKER_COMMENT: u8 = 0xfe;

pub(super) fn encode(picture: &Picture, metadata: Option<&OutputMetadata>) -> Result<Vec<u8>> {
    let (width, height) = (picture.width(), picture.height());
    if width.max(height) > u32::from(u16::MAX) {
        return Err(Error::field(
            Field::Size,
            format!("{width}x{height} is too large for JPEG; at most 65535 per side fit"),
        ));
    }
    let mut pixels = Vec::new();
    JpegEncoder::new_with_quality(&mut pixels, QUALITY)
        .encode(picture.rgb(), width, height, ExtendedColorType::Rgb8)
        .map_err(Error::internal)?;
    let (start_of_image, rest) = pixels.split_at_checked(2).unwrap_or_default();
    // The JFIF segment, when there is one, has to stay first.
    let jfif = match rest {
        [0xff, 0xe0, high, low, ..] => 2 + usize::from(u16::from_be_bytes([*high, *low])),
        _ => 0,
    };
    let (jfif, rest) = rest.split_at_checked(jfif).unwrap_or((&[], rest));
    let segments = metadata.map_or(Vec::new(), metadata_segments);
    Ok([start_of_image, jfif, &segments, rest].concat())
}

fn metadata_segments(metadata: &OutputMetadata) -> Vec<u8> {
    let exif = |text| [b"Exif\0\0", exif_block(metadata, text).as_slice()].concat();
    let mut block = exif(metadata.text.as_deref());
    if block.len() > SEGMENT_BYTES {
        // A very long prompt; the comment segments below hold it in pieces.
        block = exif(None);
    }
    let xmp = [b"http://ns.adobe.com/xap/1.0/\0", xmp_packet(metadata).as_bytes()].concat();
    let mut segments = Vec::new();
    for data in [block, xmp] {
        push_segment(&mut segments, MARKER_APP1, &data);
    }
    for piece in metadata.parameters.as_deref().unwrap_or_default().as_bytes().chunks(SEGMENT_BYTES) {
        push_segment(&mut segments, MARKER_COMMENT, piece);
    }
    segments
}

/// Appends a segment; one that does not fit is left out, which only absurdly long software names can bring about.
fn push_segment(segments: &mut Vec<u8>, marker: u8, data: &[u8]) {
    if data.len() <= SEGMENT_BYTES {
        segments.extend([0xff, marker]);
        segments.extend((data.len() as u16 + 2).to_be_bytes());
        segments.extend(data);
    }
}
