//! Start of frame: the kind of coding, the size and the components.

use super::super::defect::Defect;

/// Start of frame.
pub(super) struct JpegFrame {
    pub(super) progressive: bool,
    pub(super) arithmetic: bool,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) components: Vec<FrameComponent>,
}

pub(super) struct FrameComponent {
    pub(super) identifier: u8,
    /// Sampling factors, 1 to 4.
    pub(super) horizontal: u32,
    pub(super) vertical: u32,
    /// Number of the quantization table.
    pub(super) quantizers: usize,
}

impl JpegFrame {
    /// Reads the segment behind a marker that starts a frame: `F7` of JPEG-LS, or one of `C0` to `CF`.
    pub(super) fn read(marker: u8, segment: &[u8]) -> Result<Self, Defect> {
        let (progressive, arithmetic) = match marker {
            0xc0 | 0xc1 => (false, false),
            0xc2 => (true, false),
            0xc9 => (false, true),
            0xca => (true, true),
            0xf7 => return Err(unsupported("JPEG-LS")),
            0xc3 | 0xcb => return Err(unsupported("lossless coding")),
            _ => return Err(unsupported("hierarchical coding")),
        };
        let [precision, height_high, height_low, width_high, width_low, count, components @ ..] = segment else {
            return Err("damaged (start of frame too short)".to_owned());
        };
        if *precision != 8 {
            return Err(format!("{precision} bits a sample are not supported; 8 are"));
        }
        let (components, _) = components.as_chunks::<3>();
        let components = components
            .iter()
            .map(|[identifier, sampling, quantizers]| FrameComponent {
                identifier: *identifier,
                horizontal: u32::from(sampling >> 4),
                vertical: u32::from(sampling & 0xf),
                quantizers: usize::from(*quantizers),
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
        let frame = Self { progressive, arithmetic, width, height, components };
        frame.check_sampling()?;
        Ok(frame)
    }

    /// A component that has, say, two samples for each three pixels: libjpeg-turbo, and so nearly all readers, refuses
    /// such files too, and there is no agreement on where those samples lie.
    fn check_sampling(&self) -> Result<(), Defect> {
        let (horizontal, vertical) = self.largest_sampling();
        match self.components.iter().find(|component| {
            !horizontal.is_multiple_of(component.horizontal) || !vertical.is_multiple_of(component.vertical)
        }) {
            Some(component) => Err(unsupported(&format!(
                "a colour component sampled {}x{} where another is sampled {horizontal}x{vertical}",
                component.horizontal, component.vertical
            ))),
            None => Ok(()),
        }
    }

    /// The least that a complete picture takes: a bit for the first coefficient of each block, and in a baseline file
    /// another for the end of the block. Arithmetic coding knows no such bound.
    pub(super) fn least_bits(&self) -> u64 {
        let blocks = self.components.iter().map(|component| {
            let (width, height) = self.stored_size(component);
            u64::from(width.div_ceil(8)) * u64::from(height.div_ceil(8))
        });
        match (self.arithmetic, self.progressive) {
            (true, _) => 0,
            (false, true) => blocks.sum::<u64>(),
            (false, false) => 2 * blocks.sum::<u64>(),
        }
    }

    /// Largest sampling factors, across and down.
    pub(super) fn largest_sampling(&self) -> (u32, u32) {
        let horizontal = self.components.iter().map(|component| component.horizontal).max();
        let vertical = self.components.iter().map(|component| component.vertical).max();
        (horizontal.unwrap_or(1), vertical.unwrap_or(1))
    }

    /// Samples of a component, across and down.
    pub(super) fn stored_size(&self, component: &FrameComponent) -> (u32, u32) {
        let (horizontal, vertical) = self.largest_sampling();
        let side = |pixels: u32, factor: u32, largest: u32| (pixels * factor).div_ceil(largest);
        (side(self.width, component.horizontal, horizontal), side(self.height, component.vertical, vertical))
    }

    /// Units across in a scan of several components.
    pub(super) fn unit_columns(&self) -> usize {
        self.width.div_ceil(8 * self.largest_sampling().0) as usize
    }

    /// Units down in a scan of several components.
    pub(super) fn unit_rows(&self) -> usize {
        self.height.div_ceil(8 * self.largest_sampling().1) as usize
    }
}

fn unsupported(what: &str) -> Defect {
    format!("{what} is not supported; save it as baseline or progressive JPEG")
}
