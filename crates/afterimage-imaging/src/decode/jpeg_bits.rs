//! Bits and Huffman codes of a JPEG's entropy-coded data (ITU-T T.81, annexes C and F).

use super::jpeg_markers::next_marker;

/// Reads bits up to the next marker.
pub(super) struct BitReader<'a> {
    rest: &'a [u8],
    /// The next bits, from the highest on.
    bits: u64,
    count: u32,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { rest: data, bits: 0, count: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 56 {
            let (byte, after) = match self.rest {
                // A 0 is stuffed behind each FF, which otherwise begins a marker.
                [0xff, 0, after @ ..] => (0xff, after),
                [0xff, ..] | [] => return,
                [byte, after @ ..] => (*byte, after),
            };
            self.rest = after;
            self.bits |= u64::from(byte) << (56 - self.count);
            self.count += 8;
        }
    }

    /// The next 16 bits, with zeros where the data ends.
    fn peek(&mut self) -> u32 {
        if self.count < 16 {
            self.fill();
        }
        (self.bits >> 48) as u32
    }

    /// Takes up to 16 bits.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let next = self.peek();
        self.count = self.count.checked_sub(count)?;
        self.bits <<= count;
        Some(next >> (16 - count))
    }

    /// Goes on behind the restart marker that must come next. Returns it.
    pub(super) fn restart(&mut self) -> Option<u8> {
        self.fill();
        if self.count >= 8 {
            return None;
        }
        let [0xff, ..] = self.rest else { return None };
        let (marker, after) = next_marker(self.rest)?;
        *self = Self::new(after);
        matches!(marker, 0xd0..=0xd7).then_some(marker)
    }

    /// What follows the bytes that were looked at.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

/// Writes entropy-coded data.
#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    /// The last bits, not written yet, at the low end.
    bits: u32,
    count: u32,
    is_nowhere: bool,
}

impl BitWriter {
    /// One that drops what it is given.
    pub(super) fn nowhere() -> Self {
        Self { is_nowhere: true, ..Self::default() }
    }

    /// Appends the `count` (at most 16) low bits of `value`.
    pub(super) fn put(&mut self, value: u32, count: u32) {
        if self.is_nowhere {
            return;
        }
        self.bits = self.bits << count | value;
        self.count += count;
        while self.count >= 8 {
            self.count -= 8;
            let byte = (self.bits >> self.count) as u8;
            self.bytes.push(byte);
            if byte == 0xff {
                self.bytes.push(0);
            }
        }
    }

    /// Ends an interval.
    pub(super) fn restart(&mut self, marker: u8) {
        self.align();
        self.bytes.extend([0xff, marker]);
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        self.align();
        self.bytes
    }

    /// Fills the last byte up with ones.
    fn align(&mut self) {
        let missing = (8 - self.count % 8) % 8;
        self.put((1 << missing) - 1, missing);
    }
}

/// A canonical Huffman code.
pub(super) struct Huffman {
    /// For each length 1 to 16: the first longer code, filled up to 16 bits.
    limits: [u32; 16],
    /// For each length: the number of its first symbol less its first code.
    offsets: [i32; 16],
    symbols: Vec<u8>,
}

impl Huffman {
    /// `counts` has the number of codes of each length 1 to 16.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Self {
        let (mut limits, mut offsets) = ([0; 16], [0; 16]);
        let (mut code, mut symbol) = (0, 0);
        for (place, &count) in counts.iter().enumerate() {
            code <<= 1;
            offsets[place] = symbol - code;
            code += i32::from(count);
            symbol += i32::from(count);
            limits[place] = code.cast_unsigned() << (15 - place);
        }
        Self { limits, offsets, symbols: symbols.to_vec() }
    }

    /// Moves one code over and returns its symbol.
    pub(super) fn move_symbol(&self, reader: &mut BitReader, writer: &mut BitWriter) -> Option<u8> {
        let next = reader.peek();
        let place = self.limits.iter().position(|&limit| next < limit)?;
        let length = place as u32 + 1;
        let code = reader.take(length)?;
        writer.put(code, length);
        let symbol = usize::try_from(code.cast_signed() + self.offsets[place]).ok()?;
        self.symbols.get(symbol).copied()
    }
}
