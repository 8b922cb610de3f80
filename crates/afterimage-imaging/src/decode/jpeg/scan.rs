//! The header of a scan: which components it tells of, and what of each block (ITU-T T.81, B.2.3).

use super::super::defect::Defect;
use super::frame::JpegFrame;

/// Blocks of all components in one unit of a scan (T.81, B.2.3).
const UNIT_BLOCKS: u32 = 10;

/// A component in a scan.
pub(super) struct ScanMember {
    /// Place among the components of the frame.
    pub(super) component: usize,
    pub(super) dc_table: usize,
    pub(super) ac_table: usize,
}

/// What a scan tells of each block. `band` has the first and the last coefficient in zigzag order; values are shifted
/// left by `shift`.
#[derive(Clone, Copy, Debug)]
pub(super) enum ScanPass {
    Sequential,
    DcFirst { shift: u32 },
    DcRefinement { shift: u32 },
    AcFirst { band: (usize, usize), shift: u32 },
    AcRefinement { band: (usize, usize), shift: u32 },
}

/// A scan's header.
pub(super) struct Scan {
    pub(super) members: Vec<ScanMember>,
    pub(super) pass: ScanPass,
}

impl Scan {
    /// Reads the header of a scan of `frame`.
    pub(super) fn read(segment: &[u8], frame: &JpegFrame) -> Result<Self, Defect> {
        Self::members(segment, frame)
            .and_then(|(members, parameters)| {
                let pass = Self::pass(parameters, frame.progressive, members.len())?;
                Some(Self { members, pass })
            })
            .ok_or_else(|| "damaged (start of scan)".to_owned())
    }

    fn members(segment: &[u8], frame: &JpegFrame) -> Option<(Vec<ScanMember>, [u8; 3])> {
        let (&count, segment) = segment.split_first()?;
        let (selectors, parameters) = segment.split_at_checked(2 * usize::from(count))?;
        let mut members: Vec<ScanMember> = Vec::new();
        for &[identifier, tables] in selectors.as_chunks::<2>().0 {
            // Identifiers are not always unique: each place is taken once.
            let component = (0..frame.components.len()).find(|&index| {
                frame.components[index].identifier == identifier
                    && members.iter().all(|member| member.component != index)
            })?;
            let (dc_table, ac_table) = (usize::from(tables >> 4), usize::from(tables & 0xf));
            members.push(ScanMember { component, dc_table, ac_table });
        }
        let blocks = members.iter().map(|member| &frame.components[member.component]);
        let blocks: u32 = blocks.map(|component| component.horizontal * component.vertical).sum();
        let is_valid = match members.len() {
            1 => true,
            2..=4 => blocks <= UNIT_BLOCKS,
            _ => false,
        };
        is_valid.then_some((members, *parameters.first_chunk()?))
    }

    fn pass([start, end, approximation]: [u8; 3], is_progressive: bool, members: usize) -> Option<ScanPass> {
        if !is_progressive {
            // What else stands here says nothing in a sequential file; libjpeg reads it too.
            return Some(ScanPass::Sequential);
        }
        let (high, shift) = (u32::from(approximation >> 4), u32::from(approximation & 0xf));
        let is_refinement = high != 0;
        if shift > 13 || is_refinement && shift + 1 != high {
            return None;
        }
        let band = (usize::from(start), usize::from(end));
        match band {
            (0, 0) if is_refinement => Some(ScanPass::DcRefinement { shift }),
            (0, 0) => Some(ScanPass::DcFirst { shift }),
            (1.., ..64) if start <= end && members == 1 => Some(if is_refinement {
                ScanPass::AcRefinement { band, shift }
            } else {
                ScanPass::AcFirst { band, shift }
            }),
            _ => None,
        }
    }
}
