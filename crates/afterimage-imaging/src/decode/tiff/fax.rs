//! Fax codings (ITU-T T.4 and T.6) over the code tables of the `fax` crate.
//!
//! The crate's own loops stop at a line in two dimensions of Group 3 and at rows that are not closed by a mark, both of
//! which TIFF has.

use super::super::defect::Defect;
use super::compression::FaxCoding;
use super::layout::PageLayout;
use fax::maps::{Mode, black, mode, white};
use fax::{BitReader, ByteReader};
use std::convert::Infallible;

/// Bit 0 of the options of Group 3: rows in two dimensions, each marked as one or the other.
const TWO_DIMENSIONS: u64 = 1;

/// An end-of-line mark is eleven or more zeros and a one.
const MARK_ZEROS: u8 = 11;

/// Why a row could not be read.
enum Stop {
    /// The mark after the last row.
    End,
    Damaged,
}

/// Unpacks `rows` rows to one bit a pixel, 1 where a run of black is.
pub(super) fn decode(data: &[u8], coding: FaxCoding, layout: &PageLayout, rows: usize) -> Result<Vec<u8>, Defect> {
    if layout.bits != 1 || layout.samples_in_piece() != 1 {
        return Err("damaged (a fax of more than black and white)".to_owned());
    }
    let width = layout.piece_width;
    let row_bytes = layout.row_bytes();
    let mut bytes = vec![0; row_bytes * rows];
    let mut reader = Reader::new(data);
    let mut above = Vec::new();
    let mut row = Vec::new();
    for line in bytes.chunks_exact_mut(row_bytes) {
        row.clear();
        let read = match coding {
            FaxCoding::Runs { alignment } => {
                reader.align(alignment);
                reader.read_runs(width, &mut row)
            }
            FaxCoding::Group4 => reader.read_differences(width, &above, &mut row),
            FaxCoding::Group3 => reader.skip_mark().and_then(|()| {
                if layout.fax_options & TWO_DIMENSIONS == 0 || reader.bit() == Some(true) {
                    reader.read_runs(width, &mut row)
                } else {
                    reader.read_differences(width, &above, &mut row)
                }
            }),
        };
        match read {
            Ok(()) => {}
            // White rows at the end may be left out.
            Err(Stop::End) => break,
            Err(Stop::Damaged) => return Err("truncated or damaged (fax)".to_owned()),
        }
        blacken(line, &row, width);
        std::mem::swap(&mut above, &mut row);
    }
    Ok(bytes)
}

/// Sets the bits between each change to black and the next to white.
fn blacken(line: &mut [u8], changes: &[u32], width: u32) {
    for run in changes.chunks(2) {
        let end = run.get(1).copied().unwrap_or(width).min(width);
        for at in run[0]..end {
            line[at as usize / 8] |= 0x80 >> (at % 8);
        }
    }
}

/// Adds a change of colour; two at the same place undo each other.
fn push(changes: &mut Vec<u32>, at: u32, width: u32) {
    if changes.last() == Some(&at) {
        changes.pop();
    } else if at < width || !changes.is_empty() {
        changes.push(at);
    } else {
        changes.push(width);
    }
}

struct Reader<'a> {
    bits: ByteReader<Bytes<'a>>,
    /// Bits taken so far.
    taken: usize,
    length: usize,
}

/// The data and a few zeros behind, since the tables look further ahead than the last code is long.
type Bytes<'a> = std::iter::Map<
    std::iter::Chain<std::iter::Copied<std::slice::Iter<'a, u8>>, std::iter::RepeatN<u8>>,
    fn(u8) -> Result<u8, Infallible>,
>;

impl<'a> Reader<'a> {
    fn new(data: &'a [u8]) -> Self {
        let bytes = data.iter().copied().chain(std::iter::repeat_n(0, 8)).map(Ok as fn(u8) -> Result<u8, Infallible>);
        let Ok(bits) = ByteReader::new(bytes);
        Self { bits, taken: 0, length: data.len() * 8 }
    }

    fn bit(&mut self) -> Option<bool> {
        let bit = BitReader::peek(self, 1)?;
        self.consume(1).ok()?;
        Some(bit == 1)
    }

    fn align(&mut self, bits: u8) {
        while !self.taken.is_multiple_of(usize::from(bits)) && self.bit().is_some() {}
    }

    /// Skips what fills up to a mark, and the mark. Six marks in a row end the page.
    fn skip_mark(&mut self) -> Result<(), Stop> {
        let mut zeros = 0;
        loop {
            match self.bit() {
                Some(false) => zeros += 1,
                Some(true) if zeros >= MARK_ZEROS => break,
                Some(true) => zeros = 0,
                None => return Err(Stop::Damaged),
            }
        }
        // Another mark right behind, with the bit between that tells the dimensions: the end.
        match self.peek(13) {
            Some(next) if next >> 1 == 1 || next & 0xfff == 1 => Err(Stop::End),
            _ => Ok(()),
        }
    }

    fn run(&mut self, is_black: bool, width: u32) -> Result<u32, Stop> {
        let mut length = 0;
        loop {
            let part = if is_black { black::decode(self) } else { white::decode(self) };
            let part = u32::from(part.ok_or(Stop::Damaged)?);
            length += part;
            if part < 64 {
                return Ok(length);
            }
            if length > width {
                return Err(Stop::Damaged);
            }
        }
    }

    fn read_runs(&mut self, width: u32, changes: &mut Vec<u32>) -> Result<(), Stop> {
        let mut at = 0;
        let mut is_black = false;
        while at < width {
            at += self.run(is_black, width)?;
            if at > width {
                return Err(Stop::Damaged);
            }
            push(changes, at, width);
            is_black = !is_black;
        }
        self.check_end()
    }

    /// A row as differences to the changes of the row above.
    fn read_differences(&mut self, width: u32, above: &[u32], changes: &mut Vec<u32>) -> Result<(), Stop> {
        let mut at = 0;
        let mut is_start = true;
        let mut is_black = false;
        let mut next = 0;
        while at < width {
            // The first change above, right of here, from this colour to the other.
            while next > 0 && above[next - 1] > at {
                next -= 1;
            }
            while above.get(next).is_some_and(|change| *change < at || (*change == at && !is_start)) {
                next += 1;
            }
            let index = if next % 2 == usize::from(is_black) { next } else { next + 1 };
            let change = |index: usize| above.get(index).copied().unwrap_or(width);
            match mode::decode(self).ok_or(Stop::Damaged)? {
                Mode::Pass => at = change(index + 1),
                Mode::Vertical(delta) => {
                    let to = change(index).checked_add_signed(delta.into()).ok_or(Stop::Damaged)?;
                    if to > width || to < at {
                        return Err(Stop::Damaged);
                    }
                    push(changes, to, width);
                    at = to;
                    is_black = !is_black;
                }
                Mode::Horizontal => {
                    for is_black in [is_black, !is_black] {
                        at += self.run(is_black, width)?;
                        if at > width {
                            return Err(Stop::Damaged);
                        }
                        push(changes, at, width);
                    }
                }
                Mode::EOF if is_start => return Err(Stop::End),
                Mode::EOF | Mode::Extension => return Err(Stop::Damaged),
            }
            is_start = false;
        }
        self.check_end()
    }

    fn check_end(&self) -> Result<(), Stop> {
        if self.taken > self.length { Err(Stop::Damaged) } else { Ok(()) }
    }
}

impl BitReader for Reader<'_> {
    type Error = Infallible;

    fn peek(&self, bits: u8) -> Option<u16> {
        self.bits.peek(bits)
    }

    fn consume(&mut self, bits: u8) -> Result<(), Infallible> {
        self.taken += usize::from(bits);
        self.bits.consume(bits)
    }

    fn bits_to_byte_boundary(&self) -> u8 {
        self.bits.bits_to_byte_boundary()
    }
}
