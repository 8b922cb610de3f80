//! A walk over a JPEG's markers, before any memory is taken for pixels.

use super::Problem;

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
pub(super) struct JpegMarkers {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) color: ColorModel,
    /// Number of scans; each one of a progressive file passes over the whole picture.
    pub(super) scans: u32,
    /// Bits from the first scan to the end of the image.
    pub(super) coded_bits: u64,
    /// Bits that a complete picture of this size takes at the very least.
    pub(super) least_bits: u64,
}

/// Start of frame.
pub(super) struct Frame {
    pub(super) progressive: bool,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) components: Vec<Component>,
}

pub(super) struct Component {
    pub(super) identifier: u8,
    /// Sampling factors, 1 to 4.
    pub(super) horizontal: u32,
    pub(super) vertical: u32,
}

impl Frame {
    /// The least that a complete picture takes: a bit for the first coefficient of each block, and in a baseline file
    /// another for the end of the block.
    fn least_bits(&self) -> u64 {
        let blocks = |side: u32, factor: u32, largest: u32| u64::from((side * factor).div_ceil(largest).div_ceil(8));
        let horizontal = self.components.iter().map(|component| component.horizontal).max().unwrap_or(1);
        let vertical = self.components.iter().map(|component| component.vertical).max().unwrap_or(1);
        let blocks = self.components.iter().map(|component| {
            blocks(self.width, component.horizontal, horizontal) * blocks(self.height, component.vertical, vertical)
        });
        blocks.sum::<u64>() * if self.progressive { 1 } else { 2 }
    }
}

impl JpegMarkers {
    /// Reads all markers up to the end of the image, which must be there: a JPEG that was cut off has none.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Problem> {
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
                0xc0..=0xc2 if frame.is_none() => frame = Some(read_frame(marker == 0xc2, segment)?),
                0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => {
                    return Err(
                        "lossless, hierarchical or arithmetic coding is not supported; save it as baseline or \
                        progressive JPEG"
                            .to_owned(),
                    );
                }
                0xda => {
                    if scans == 0 {
                        first_scan_bytes = rest.len();
                    }
                    scans += 1;
                }
                0xe0 => has_jfif |= segment.starts_with(b"JFIF\0"),
                0xee if segment.starts_with(b"Adobe") => adobe_transform = segment.get(11).copied().or(adobe_transform),
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

pub(super) fn read_frame(progressive: bool, segment: &[u8]) -> Result<Frame, Problem> {
    let [precision, height_high, height_low, width_high, width_low, count, components @ ..] = segment else {
        return Err("damaged (start of frame too short)".to_owned());
    };
    if *precision != 8 {
        return Err(format!("{precision} bits a sample are not supported; 8 are"));
    }
    let (components, _) = components.as_chunks::<3>();
    let components = components
        .iter()
        .map(|[identifier, sampling, _]| Component {
            identifier: *identifier,
            horizontal: u32::from(sampling >> 4),
            vertical: u32::from(sampling & 0xf),
        })
        .collect::<Vec<_>>();
    let sampling_is_valid = components
        .iter()
        .all(|component| (1..=4).contains(&component.horizontal) && (1..=4).contains(&component.vertical));
    if components.len() != usize::from(*count) || !sampling_is_valid {
        return Err("damaged (start of frame)".to_owned());
    }
    let width = u32::from(u16::from_be_bytes([*width_high, *width_low]));
    let height = u32::from(u16::from_be_bytes([*height_high, *height_low]));
    Ok(Frame { progressive, width, height, components })
}

/// The rules of libjpeg (`default_decompress_parms`), which Pillow relies on.
fn color_model(components: &[Component], has_jfif: bool, adobe_transform: Option<u8>) -> Result<ColorModel, Problem> {
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
