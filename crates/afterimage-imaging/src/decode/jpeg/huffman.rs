//! Huffman coding, sequential and progressive (ITU-T T.81, annexes F.2.2 and G.2).

use super::super::defect::Defect;
use super::bits::BitReader;
use super::block::{Block, ZIGZAG};
use super::damage::Damage;
use super::scan::{Scan, ScanPass};
use super::scan_decoding::BlockDecoder;

/// Bits of a code that one look into a table resolves.
const LOOKUP_BITS: u32 = 9;

/// A canonical Huffman code.
#[derive(Clone)]
pub(super) struct HuffmanTable {
    /// By the next bits: length of the code (0: longer than this) and symbol.
    lookup: [(u8, u8); 1 << LOOKUP_BITS],
    /// For each length 1 to 16: the first longer code, filled up to 16 bits.
    limits: [u32; 16],
    /// For each length: the number of its first symbol less its first code.
    offsets: [i32; 16],
    symbols: Vec<u8>,
}

impl HuffmanTable {
    /// `counts` has the number of codes of each length 1 to 16. None if there are more codes than bits can tell apart.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let mut table =
            Self { lookup: [(0, 0); 1 << LOOKUP_BITS], limits: [0; 16], offsets: [0; 16], symbols: symbols.to_vec() };
        let (mut code, mut index) = (0_u32, 0_usize);
        for (place, &count) in counts.iter().enumerate() {
            let length = place as u32 + 1;
            code <<= 1;
            table.offsets[place] = index as i32 - code.cast_signed();
            for _ in 0..count {
                let symbol = *symbols.get(index)?;
                if let Some(shift) = LOOKUP_BITS.checked_sub(length) {
                    let first = (code as usize) << shift;
                    table.lookup.get_mut(first..first + (1 << shift))?.fill((length as u8, symbol));
                }
                code += 1;
                index += 1;
            }
            if code > 1 << length {
                return None;
            }
            table.limits[place] = code << (16 - length);
        }
        Some(table)
    }

    /// The largest symbol: in a table for DC the number of bits that follow.
    fn largest_symbol(&self) -> u8 {
        self.symbols.iter().copied().max().unwrap_or(0)
    }

    /// The symbol of the next code; 16 bits have been made ready.
    #[inline]
    fn decode(&self, reader: &mut BitReader) -> Result<u8, Damage> {
        let next = reader.peek();
        let (length, symbol) = self.lookup[(next >> (16 - LOOKUP_BITS)) as usize];
        if length == 0 {
            return self.decode_long(next, reader);
        }
        reader.skip(u32::from(length))?;
        Ok(symbol)
    }

    #[cold]
    fn decode_long(&self, next: u32, reader: &mut BitReader) -> Result<u8, Damage> {
        let place = self.limits.iter().position(|&limit| next < limit).ok_or(Damage::NoCode)?;
        let code = reader.take(place as u32 + 1)?.cast_signed();
        let index = usize::try_from(code + self.offsets[place]).map_err(|_| Damage::NoCode)?;
        self.symbols.get(index).copied().ok_or(Damage::NoCode)
    }
}

/// The tables that a file has defined so far, by destination.
#[derive(Clone, Default)]
pub(super) struct HuffmanTables {
    dc: [Option<HuffmanTable>; 4],
    ac: [Option<HuffmanTable>; 4],
}

impl HuffmanTables {
    /// Reads a segment of definitions.
    pub(super) fn read(&mut self, mut segment: &[u8]) -> Result<(), Defect> {
        while !segment.is_empty() {
            segment = self.read_table(segment).ok_or("damaged (Huffman table)")?;
        }
        Ok(())
    }

    fn read_table<'a>(&mut self, segment: &'a [u8]) -> Option<&'a [u8]> {
        let (&place, after) = segment.split_first()?;
        let (counts, after) = after.split_first_chunk::<16>()?;
        let symbols = counts.iter().map(|&count| usize::from(count)).sum();
        let (symbols, after) = after.split_at_checked(symbols)?;
        let table = HuffmanTable::new(counts, symbols)?;
        let tables = match place >> 4 {
            0 if table.largest_symbol() <= 15 => &mut self.dc,
            1 => &mut self.ac,
            _ => return None,
        };
        *tables.get_mut(usize::from(place & 0xf))? = Some(table);
        Some(after)
    }

    /// Fills empty places with the tables of T.81, K.3: frames of Motion JPEG leave them out.
    pub(super) fn add_standard_tables(&mut self) {
        for (tables, standard) in
            [(&mut self.dc, super::standard::DC_TABLES), (&mut self.ac, super::standard::AC_TABLES)]
        {
            for (table, (counts, symbols)) in tables.iter_mut().zip(standard) {
                if table.is_none() {
                    *table = HuffmanTable::new(counts, symbols);
                }
            }
        }
    }
}

struct HuffmanMember<'tables> {
    dc: Option<&'tables HuffmanTable>,
    ac: Option<&'tables HuffmanTable>,
    /// DC of the last block.
    prediction: i32,
}

/// Decodes the blocks of one scan.
pub(super) struct HuffmanDecoder<'a, 'tables> {
    reader: BitReader<'a>,
    members: Vec<HuffmanMember<'tables>>,
    pass: ScanPass,
    /// Blocks, the current one not counted, that have nothing more in this band.
    run: u32,
}

impl<'a, 'tables> HuffmanDecoder<'a, 'tables> {
    /// # Errors
    /// If the scan needs a table that was not defined.
    pub(super) fn new(scan: &Scan, tables: &'tables HuffmanTables, data: &'a [u8]) -> Result<Self, Defect> {
        let mut members = Vec::new();
        for member in &scan.members {
            let dc = tables.dc.get(member.dc_table).and_then(Option::as_ref);
            let ac = tables.ac.get(member.ac_table).and_then(Option::as_ref);
            let (needs_dc, needs_ac) = match scan.pass {
                ScanPass::Sequential => (true, true),
                ScanPass::DcFirst { .. } => (true, false),
                ScanPass::DcRefinement { .. } => (false, false),
                ScanPass::AcFirst { .. } | ScanPass::AcRefinement { .. } => (false, true),
            };
            if needs_dc && dc.is_none() || needs_ac && ac.is_none() {
                return Err("damaged (no Huffman table for a scan)".to_owned());
            }
            members.push(HuffmanMember { dc, ac, prediction: 0 });
        }
        Ok(Self { reader: BitReader::new(data), members, pass: scan.pass, run: 0 })
    }

    #[inline]
    fn dc(&mut self, member: usize) -> Result<i32, Damage> {
        let member = &mut self.members[member];
        let table = member.dc.ok_or(Damage::NoCode)?;
        self.reader.fill();
        let size = table.decode(&mut self.reader)?;
        let difference = self.reader.signed(u32::from(size))?;
        member.prediction = member.prediction.wrapping_add(difference);
        Ok(member.prediction)
    }

    fn sequential(&mut self, member: usize, block: &mut Block) -> Result<(), Damage> {
        block[0] = self.dc(member)? as i16;
        let table = self.members[member].ac.ok_or(Damage::NoCode)?;
        let mut index = 1;
        while index < 64 {
            self.reader.fill();
            let symbol = table.decode(&mut self.reader)?;
            let (zeros, size) = (usize::from(symbol >> 4), u32::from(symbol & 0xf));
            if size == 0 {
                if zeros < 15 {
                    break;
                }
                index += 16;
                continue;
            }
            index += zeros;
            let value = self.reader.signed(size)?;
            let place = *ZIGZAG.get(index).ok_or(Damage::OutsideBand)?;
            block[usize::from(place) & 63] = value as i16;
            index += 1;
        }
        Ok(())
    }

    fn ac_first(&mut self, (start, end): (usize, usize), shift: u32, block: &mut Block) -> Result<(), Damage> {
        if self.run > 0 {
            self.run -= 1;
            return Ok(());
        }
        let table = self.members[0].ac.ok_or(Damage::NoCode)?;
        let mut index = start;
        while index <= end {
            self.reader.fill();
            let symbol = table.decode(&mut self.reader)?;
            let (zeros, size) = (symbol >> 4, u32::from(symbol & 0xf));
            if size == 0 {
                if zeros < 15 {
                    self.run = self.run_length(zeros)? - 1;
                    break;
                }
                index += 16;
                continue;
            }
            index += usize::from(zeros);
            let value = self.reader.signed(size)?;
            if index > end {
                return Err(Damage::OutsideBand);
            }
            block[usize::from(ZIGZAG[index])] = (value << shift) as i16;
            index += 1;
        }
        Ok(())
    }

    /// Blocks that end with a code of class `bits` (below 15), the current one among them.
    fn run_length(&mut self, bits: u8) -> Result<u32, Damage> {
        self.reader.fill();
        Ok((1 << bits) + self.reader.take(u32::from(bits))?)
    }

    fn ac_refinement(&mut self, (start, end): (usize, usize), shift: u32, block: &mut Block) -> Result<(), Damage> {
        let table = self.members[0].ac.ok_or(Damage::NoCode)?;
        let unit = 1 << shift;
        let mut index = start;
        while self.run == 0 && index <= end {
            self.reader.fill();
            let symbol = table.decode(&mut self.reader)?;
            let zeros = symbol >> 4;
            let is_new = symbol & 0xf != 0;
            let value = if !is_new {
                if zeros < 15 {
                    self.run = self.run_length(zeros)?;
                    break;
                }
                0
            } else if self.reader.bit()? {
                unit
            } else {
                -unit
            };
            // Over `zeros` coefficients that are still zero to the next such one, and all others between.
            let place = self.refine_until(&mut index, end, zeros, unit, block)?;
            match place {
                Some(place) => block[place] = value,
                None if is_new => return Err(Damage::OutsideBand),
                None => {}
            }
        }
        if self.run > 0 {
            self.refine_until(&mut index, end, u8::MAX, unit, block)?;
            self.run -= 1;
        }
        Ok(())
    }

    /// Refines coefficients from `index` on that are not zero, up to the one behind `zeros` that are, whose place it
    /// returns. Leaves `index` behind it.
    fn refine_until(
        &mut self,
        index: &mut usize,
        end: usize,
        mut zeros: u8,
        unit: i16,
        block: &mut Block,
    ) -> Result<Option<usize>, Damage> {
        while *index <= end {
            let place = usize::from(ZIGZAG[*index]);
            *index += 1;
            let coefficient = &mut block[place];
            if *coefficient == 0 {
                if zeros == 0 {
                    return Ok(Some(place));
                }
                zeros -= 1;
            } else if self.reader.bit()? && *coefficient & unit == 0 {
                *coefficient = coefficient.wrapping_add(if *coefficient > 0 { unit } else { -unit });
            }
        }
        Ok(None)
    }
}

impl<'a> BlockDecoder<'a> for HuffmanDecoder<'a, '_> {
    fn decode(&mut self, member: usize, block: &mut Block) -> Result<(), Damage> {
        match self.pass {
            ScanPass::Sequential => self.sequential(member, block)?,
            ScanPass::DcFirst { shift } => block[0] = (self.dc(member)? << shift) as i16,
            ScanPass::DcRefinement { shift } => {
                if self.reader.bit()? {
                    block[0] |= 1 << shift;
                }
            }
            ScanPass::AcFirst { band, shift } => self.ac_first(band, shift, block)?,
            ScanPass::AcRefinement { band, shift } => self.ac_refinement(band, shift, block)?,
        }
        Ok(())
    }

    fn restart(&mut self, number: u8) -> Result<(), Damage> {
        self.run = 0;
        for member in &mut self.members {
            member.prediction = 0;
        }
        self.reader.restart(number)
    }

    fn rest(&self) -> &'a [u8] {
        self.reader.rest()
    }
}
