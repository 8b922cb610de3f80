//! Which blocks of a scan are decoded in which order (ITU-T T.81, A.2).

use super::block::Block;
use super::coefficients::Coefficients;
use super::damage::Damage;
use super::frame::JpegFrame;
use super::scan::Scan;

/// Reads entropy-coded data.
pub(super) trait BlockDecoder<'a> {
    /// Adds to a block of the given member of the scan what comes next.
    fn decode(&mut self, member: usize, block: &mut Block) -> Result<(), Damage>;

    /// Goes on behind the restart marker of this number, 0 to 7.
    fn restart(&mut self, number: u8) -> Result<(), Damage>;

    /// What follows the bytes that were looked at.
    fn rest(&self) -> &'a [u8];
}

/// Decodes all blocks of a scan into `coefficients`, those of the frame's components. With a `restart_interval` other
/// than 0 a marker comes after so many units.
pub(super) fn decode_scan<'a>(
    scan: &Scan,
    frame: &JpegFrame,
    restart_interval: u32,
    coefficients: &mut [Coefficients],
    decoder: &mut impl BlockDecoder<'a>,
) -> Result<(), Damage> {
    let mut restarts = Restarts { interval: restart_interval, left: restart_interval, number: 0 };
    if let [member] = scan.members.as_slice() {
        let plane = &mut coefficients[member.component];
        for row in 0..plane.rows {
            for column in 0..plane.columns {
                restarts.before_unit(decoder)?;
                decoder.decode(0, plane.block(column, row))?;
            }
        }
        return Ok(());
    }
    // Units at the edges reach over the picture. Blocks right of it are of no use.
    let mut outside: Block = [0; 64];
    for unit_row in 0..frame.unit_rows() {
        for unit_column in 0..frame.unit_columns() {
            restarts.before_unit(decoder)?;
            for (place, member) in scan.members.iter().enumerate() {
                let component = &frame.components[member.component];
                let (across, down) = (component.horizontal as usize, component.vertical as usize);
                let plane = &mut coefficients[member.component];
                for row in unit_row * down..(unit_row + 1) * down {
                    for column in unit_column * across..(unit_column + 1) * across {
                        let block = if column < plane.columns { plane.block(column, row) } else { &mut outside };
                        decoder.decode(place, block)?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// Counts units between restart markers.
struct Restarts {
    interval: u32,
    left: u32,
    number: u8,
}

impl Restarts {
    #[inline]
    fn before_unit<'a>(&mut self, decoder: &mut impl BlockDecoder<'a>) -> Result<(), Damage> {
        if self.interval == 0 {
            return Ok(());
        }
        if self.left == 0 {
            decoder.restart(self.number)?;
            self.number = (self.number + 1) % 8;
            self.left = self.interval;
        }
        self.left -= 1;
        Ok(())
    }
}
