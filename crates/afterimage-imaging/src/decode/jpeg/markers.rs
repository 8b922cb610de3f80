//! A walk over a JPEG's markers, before any memory is taken for pixels.

use super::super::defect::Defect;
use super::frame::{FrameComponent, JpegFrame};

/// How the samples of a JPEG encode colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColorModel {
    Grey,
    Rgb,
    YCbCr,
    Cmyk,
    Ycck,
}

/// What the markers tell.
pub(in super::super) struct JpegMarkers {
    pub(in super::super) width: u32,
    pub(in super::super) height: u32,
    pub(super) color: ColorModel,
    /// Number of scans; each one of a progressive file passes over the whole picture.
    pub(super) scans: u32,
    /// Bits from the first scan to the end of the image.
    pub(super) coded_bits: u64,
    /// Bits that a complete picture of this size takes at the very least.
    pub(super) least_bits: u64,
}

impl JpegMarkers {
    /// Reads all markers up to the end of the image, which must be there: a JPEG that was cut off has none.
    pub(in super::super) fn read(bytes: &[u8]) -> Result<Self, Defect> {
        const TRUNCATED: &str = "truncated";
        let mut rest = bytes.get(2..).unwrap_or_default();
        let mut frame = None;
        let mut adobe_transform = None;
        let mut has_jfif = false;
        let mut scans = 0;
        let mut first_scan_bytes = 0;
        loop {
            let (marker, after) = next_marker(rest).ok_or(TRUNCATED)?;
            rest = after;
            if marker == 0xd9 {
                break;
            }
            if is_standalone(marker) {
                continue;
            }
            let length = rest.first_chunk().map(|bytes| usize::from(u16::from_be_bytes(*bytes))).ok_or(TRUNCATED)?;
            if length < 2 {
                return Err("damaged (segment without a length)".to_owned());
            }
            let segment = rest.get(2..length).ok_or(TRUNCATED)?;
            rest = &rest[length..];
            match marker {
                0xc0..=0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf | 0xf7 if frame.is_none() => {
                    frame = Some(JpegFrame::read(marker, segment)?);
                }
                0xda => {
                    if scans == 0 {
                        first_scan_bytes = rest.len();
                    }
                    scans += 1;
                }
                // What comes behind the first scan does not count, nor do segments that are too short.
                0xe0 if scans == 0 => has_jfif |= segment.len() >= 14 && segment.starts_with(b"JFIF\0"),
                0xee if scans == 0 && segment.starts_with(b"Adobe") => {
                    adobe_transform = segment.get(11).copied().or(adobe_transform);
                }
                _ => {}
            }
        }
        let frame = frame.ok_or("damaged (no start of frame)")?;
        if scans == 0 {
            return Err("damaged (no scan)".to_owned());
        }
        let color = color_model(&frame.components, has_jfif, adobe_transform)?;
        Ok(Self {
            width: frame.width,
            height: frame.height,
            color,
            scans,
            coded_bits: (first_scan_bytes - rest.len()) as u64 * 8,
            least_bits: frame.least_bits(),
        })
    }
}

/// The next marker and what follows it. Skips entropy-coded data, where `FF` is followed by 0 or a restart marker.
pub(super) fn next_marker(mut rest: &[u8]) -> Option<(u8, &[u8])> {
    loop {
        let at = rest.iter().position(|&byte| byte == 0xff)?;
        rest = &rest[at + 1..];
        while let [0xff, after @ ..] = rest {
            rest = after;
        }
        let (&marker, after) = rest.split_first()?;
        rest = after;
        if marker != 0 {
            return Some((marker, rest));
        }
    }
}

/// Markers without a segment: TEM, restart markers, start of image.
pub(super) fn is_standalone(marker: u8) -> bool {
    matches!(marker, 0x01 | 0xd0..=0xd8)
}

/// The rules of libjpeg (`default_decompress_parms`), which Pillow relies on.
fn color_model(
    components: &[FrameComponent],
    has_jfif: bool,
    adobe_transform: Option<u8>,
) -> Result<ColorModel, Defect> {
    match (components.len(), adobe_transform) {
        (1, _) => Ok(ColorModel::Grey),
        (3, _) if has_jfif => Ok(ColorModel::YCbCr),
        (3, Some(0)) => Ok(ColorModel::Rgb),
        (3, None) if components.iter().map(|component| component.identifier).eq(*b"RGB") => Ok(ColorModel::Rgb),
        (3, _) => Ok(ColorModel::YCbCr),
        (4, None | Some(0)) => Ok(ColorModel::Cmyk),
        (4, _) => Ok(ColorModel::Ycck),
        (count, _) => Err(format!("{count} colour components are not supported; 1, 3 or 4 are")),
    }
}
