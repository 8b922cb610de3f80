//! Bits of entropy-coded data, in which a zero byte is stuffed behind each `FF`.

use super::damage::Damage;
use super::markers::next_marker;

/// Reads up to the next marker, never over it.
pub(super) struct BitReader<'a> {
    rest: &'a [u8],
    /// The next bits, at the high end. Below `count` there may be more, which are the right ones or zero.
    bits: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { rest: data, bits: 0, count: 0 }
    }

    /// Makes 32 bits ready, or all that there are.
    #[inline]
    pub(super) fn fill(&mut self) {
        if self.count >= 32 {
            return;
        }
        if let Some(bytes) = self.rest.first_chunk::<8>() {
            let word = u64::from_be_bytes(*bytes);
            if !has_ff(word) {
                let taken = (63 - self.count) / 8;
                self.bits |= word >> self.count;
                self.count += 8 * taken;
                self.rest = &self.rest[taken as usize..];
                return;
            }
        }
        self.fill_bytewise();
    }

    fn fill_bytewise(&mut self) {
        while self.count <= 56 {
            let byte = match self.rest {
                [0xff, 0, after @ ..] => {
                    self.rest = after;
                    0xff
                }
                [0xff, ..] | [] => return,
                [byte, after @ ..] => {
                    self.rest = after;
                    *byte
                }
            };
            self.bits |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next 16 bits; behind the end they are zero.
    #[inline]
    pub(super) fn peek(&self) -> u32 {
        (self.bits >> 48) as u32
    }

    /// Drops `count` bits, which have been made ready.
    #[inline]
    pub(super) fn skip(&mut self, count: u32) -> Result<(), Damage> {
        self.count = self.count.checked_sub(count).ok_or(Damage::Ended)?;
        self.bits <<= count;
        Ok(())
    }

    /// The next `count` (at most 16) bits, which have been made ready.
    #[inline]
    pub(super) fn take(&mut self, count: u32) -> Result<u32, Damage> {
        // Two shifts, since one by 64 is none.
        let value = (self.bits >> 1 >> (63 - count)) as u32;
        self.skip(count)?;
        Ok(value)
    }

    /// One bit, made ready here.
    #[inline]
    pub(super) fn bit(&mut self) -> Result<bool, Damage> {
        if self.count == 0 {
            self.fill();
        }
        Ok(self.take(1)? == 1)
    }

    /// A signed number of `size` (at most 16) bits as T.81 codes it (`RECEIVE` and `EXTEND`).
    #[inline]
    pub(super) fn signed(&mut self, size: u32) -> Result<i32, Damage> {
        if size == 0 {
            return Ok(0);
        }
        let value = self.take(size)?.cast_signed();
        let is_negative = value >> (size - 1) == 0;
        Ok(if is_negative { value - (1 << size) + 1 } else { value })
    }

    /// Goes on behind restart marker `number` (0 to 7), which has to be the next marker.
    pub(super) fn restart(&mut self, number: u8) -> Result<(), Damage> {
        *self = Self::new(after_restart(self.rest, number)?);
        Ok(())
    }

    /// What follows the bytes that were looked at.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// What follows restart marker `number`, which has to be the next marker in `data`.
pub(super) fn after_restart(data: &[u8], number: u8) -> Result<&[u8], Damage> {
    match next_marker(data) {
        Some((marker, after)) if marker == 0xd0 + number => Ok(after),
        _ => Err(Damage::NoRestart),
    }
}

/// Whether one of the bytes is `FF`.
#[inline]
fn has_ff(word: u64) -> bool {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    // A byte of the complement is zero: subtracting 1 sets its top bit, which it does not have itself.
    (!word).wrapping_sub(ONES) & word & TOPS != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stuffed_zeros_are_dropped_and_markers_end_the_data() {
        let mut reader = BitReader::new(&[0x12, 0xff, 0x00, 0x34, 0xff, 0xd9, 0x56]);
        reader.fill();
        assert_eq!([reader.take(8), reader.take(8), reader.take(8)], [Ok(0x12), Ok(0xff), Ok(0x34)]);
        reader.fill();
        assert_eq!(reader.take(1), Err(Damage::Ended));
        assert_eq!(reader.rest(), [0xff, 0xd9, 0x56]);
    }

    #[test]
    fn words_and_single_bytes_give_the_same_bits() {
        let data: Vec<u8> = (0..200_u8).flat_map(|byte| [byte, 0xff - byte, 0]).collect();
        let mut whole = BitReader::new(&data);
        let mut bytewise = BitReader::new(&data);
        for size in (1..=16).cycle().take(400) {
            whole.fill();
            bytewise.fill_bytewise();
            assert_eq!(whole.take(size), bytewise.take(size));
        }
    }

    #[test]
    fn numbers_are_signed_by_their_first_bit() {
        let mut reader = BitReader::new(&[0b1010_1100, 0]);
        reader.fill();
        assert_eq!([reader.signed(3), reader.signed(3), reader.signed(0)], [Ok(5), Ok(-4), Ok(0)]);
    }

    #[test]
    fn restart_markers_come_in_turn() {
        let data = [0xff, 0xff, 0xd1, 0x80];
        assert_eq!(after_restart(&data, 1), Ok(&[0x80][..]));
        assert_eq!(after_restart(&data, 2), Err(Damage::NoRestart));
    }
}
