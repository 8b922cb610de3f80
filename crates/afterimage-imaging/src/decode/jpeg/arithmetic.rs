//! Arithmetic coding, sequential and progressive (ITU-T T.81, annexes D, F.2.4 and G.2.4).

use super::super::defect::Defect;
use super::arithmetic_states::STATES;
use super::bits::after_restart;
use super::block::{Block, ZIGZAG};
use super::damage::Damage;
use super::scan::{Scan, ScanPass};
use super::scan_decoding::BlockDecoder;

/// Index of the state whose probability stays one half.
const FIXED_STATE: u8 = 113;

/// What the model of a coefficient depends on, by table.
#[derive(Clone, Copy)]
pub(super) struct ArithmeticConditioning {
    /// Bounds of what counts as a small difference of DC, as powers of two.
    dc: [(u8, u8); 4],
    /// Last coefficient of the low band.
    ac: [u8; 4],
}

impl Default for ArithmeticConditioning {
    fn default() -> Self {
        Self { dc: [(0, 1); 4], ac: [5; 4] }
    }
}

impl ArithmeticConditioning {
    /// Reads a segment of definitions.
    pub(super) fn read(&mut self, segment: &[u8]) -> Result<(), Defect> {
        for &[place, value] in segment.as_chunks::<2>().0 {
            let table = usize::from(place & 0xf);
            let (lower, upper) = (value & 0xf, value >> 4);
            match place >> 4 {
                0 if table < 4 && lower <= upper => self.dc[table] = (lower, upper),
                1 if table < 4 && (1..=63).contains(&value) => self.ac[table] = value,
                _ => return Err("damaged (conditioning of arithmetic coding)".to_owned()),
            }
        }
        Ok(())
    }
}

/// An adaptive estimate of one binary decision.
#[derive(Clone, Copy, Default)]
struct Bin {
    state: u8,
    likely: bool,
}

/// Statistics of one table.
#[derive(Clone)]
struct Statistics {
    dc: [Bin; 64],
    ac: [Bin; 256],
}

impl Default for Statistics {
    fn default() -> Self {
        Self { dc: [Bin::default(); 64], ac: [Bin::default(); 256] }
    }
}

/// The decoder of binary decisions.
struct Decisions<'a> {
    rest: &'a [u8],
    /// Base of the interval and, below it, bits to come.
    code: u32,
    interval: u32,
    /// Number of bits to come; negative until the first two bytes are there.
    ready: i32,
}

impl<'a> Decisions<'a> {
    fn new(data: &'a [u8]) -> Self {
        Self { rest: data, code: 0, interval: 0, ready: -16 }
    }

    /// The next byte. Encoders drop zeros at the end, so there are any number of them before a marker.
    fn byte(&mut self) -> u32 {
        match self.rest {
            [0xff, 0, after @ ..] => {
                self.rest = after;
                0xff
            }
            [0xff, ..] | [] => 0,
            [byte, after @ ..] => {
                self.rest = after;
                u32::from(*byte)
            }
        }
    }

    fn renormalize(&mut self) {
        while self.interval < 0x8000 {
            self.ready -= 1;
            if self.ready < 0 {
                self.code = self.code << 8 | self.byte();
                self.ready += 8;
                if self.ready < 0 {
                    self.ready += 1;
                    if self.ready == 0 {
                        self.interval = 0x8000;
                    }
                }
            }
            self.interval <<= 1;
        }
    }

    /// D.2.4 and D.2.5.
    fn decide(&mut self, bin: &mut Bin) -> bool {
        self.renormalize();
        let (probability, after_unlikely, after_likely, exchanges) = STATES[usize::from(bin.state)];
        let probability = u32::from(probability);
        self.interval -= probability;
        let bound = self.interval << self.ready;
        let is_upper = self.code >= bound;
        // The part of the less probable symbol may be the larger one: then the two change places.
        let is_exchanged = self.interval < probability;
        if is_upper {
            self.code -= bound;
            self.interval = probability;
        } else if self.interval >= 0x8000 {
            return bin.likely;
        }
        let decision = bin.likely ^ (is_upper != is_exchanged);
        if is_upper == is_exchanged {
            bin.state = after_likely;
        } else {
            bin.state = after_unlikely;
            bin.likely ^= exchanges;
        }
        decision
    }

    fn fixed(&mut self) -> bool {
        self.decide(&mut Bin { state: FIXED_STATE, likely: false })
    }

    /// Goes on doubling a magnitude (F.1.4.4.1.3): returns its power of two and the place of the bin of its lower bits.
    fn magnitude(&mut self, bins: &mut [Bin], mut place: usize, mut power: i32) -> Result<(i32, usize), Damage> {
        while self.decide(&mut bins[place]) {
            power <<= 1;
            if power == 0x8000 {
                return Err(Damage::NoCode);
            }
            place += 1;
        }
        Ok((power, place + 14))
    }

    /// The signed value whose highest bit, less 1, is `power`, and whose lower bits follow.
    fn value(&mut self, bin: &mut Bin, power: i32, is_negative: bool) -> i32 {
        let mut value = power;
        let mut bit = power >> 1;
        while bit != 0 {
            if self.decide(bin) {
                value |= bit;
            }
            bit >>= 1;
        }
        if is_negative { -value - 1 } else { value + 1 }
    }
}

struct ArithmeticMember {
    dc_table: usize,
    ac_table: usize,
    prediction: i32,
    /// First bin for the next difference of DC.
    context: usize,
}

/// Decodes the blocks of one scan.
pub(super) struct ArithmeticDecoder<'a> {
    decisions: Decisions<'a>,
    statistics: [Statistics; 4],
    conditioning: ArithmeticConditioning,
    members: Vec<ArithmeticMember>,
    pass: ScanPass,
}

impl<'a> ArithmeticDecoder<'a> {
    /// # Errors
    /// If the scan names a table that there cannot be.
    pub(super) fn new(scan: &Scan, conditioning: ArithmeticConditioning, data: &'a [u8]) -> Result<Self, Defect> {
        let mut members = Vec::new();
        for member in &scan.members {
            let (dc_table, ac_table) = (member.dc_table, member.ac_table);
            if dc_table.max(ac_table) > 3 {
                return Err("damaged (start of scan)".to_owned());
            }
            members.push(ArithmeticMember { dc_table, ac_table, prediction: 0, context: 0 });
        }
        let statistics = std::array::from_fn(|_| Statistics::default());
        Ok(Self { decisions: Decisions::new(data), statistics, conditioning, members, pass: scan.pass })
    }

    fn dc(&mut self, member: usize) -> Result<i32, Damage> {
        let ArithmeticMember { dc_table, prediction, context, .. } = &mut self.members[member];
        let bins = &mut self.statistics[*dc_table].dc;
        let decisions = &mut self.decisions;
        let first = *context;
        *context = 0;
        if decisions.decide(&mut bins[first]) {
            let is_negative = decisions.decide(&mut bins[first + 1]);
            let sign = usize::from(is_negative);
            let place = first + 2 + sign;
            let (power, place) =
                if decisions.decide(&mut bins[place]) { decisions.magnitude(bins, 20, 1)? } else { (0, place + 14) };
            let (lower, upper) = self.conditioning.dc[*dc_table];
            *context = if power < (1 << lower) >> 1 {
                0
            } else if power > (1 << upper) >> 1 {
                12 + 4 * sign
            } else {
                4 + 4 * sign
            };
            let difference = decisions.value(&mut bins[place], power, is_negative);
            *prediction = (*prediction + difference) & 0xffff;
        }
        Ok(*prediction)
    }

    fn ac(&mut self, member: usize, (start, end): (usize, usize), shift: u32, block: &mut Block) -> Result<(), Damage> {
        let table = self.members[member].ac_table;
        let bins = &mut self.statistics[table].ac;
        let low_band = usize::from(self.conditioning.ac[table]);
        let decisions = &mut self.decisions;
        let mut index = start;
        while index <= end {
            if decisions.decide(&mut bins[3 * (index - 1)]) {
                break;
            }
            while !decisions.decide(&mut bins[3 * (index - 1) + 1]) {
                index += 1;
                if index > end {
                    return Err(Damage::OutsideBand);
                }
            }
            let is_negative = decisions.fixed();
            let place = 3 * (index - 1) + 2;
            let has_power = decisions.decide(&mut bins[place]);
            let (power, place) = if has_power && decisions.decide(&mut bins[place]) {
                decisions.magnitude(bins, if index <= low_band { 189 } else { 217 }, 2)?
            } else {
                (i32::from(has_power), place + 14)
            };
            let value = decisions.value(&mut bins[place], power, is_negative);
            block[usize::from(ZIGZAG[index])] = (value << shift) as i16;
            index += 1;
        }
        Ok(())
    }

    fn ac_refinement(&mut self, (start, end): (usize, usize), shift: u32, block: &mut Block) -> Result<(), Damage> {
        let bins = &mut self.statistics[self.members[0].ac_table].ac;
        let decisions = &mut self.decisions;
        let unit = 1_i16 << shift;
        // Up to the last coefficient that earlier scans told, the end of the block is not coded.
        let told = (1..=end).rev().find(|&index| block[usize::from(ZIGZAG[index])] != 0).unwrap_or(0);
        let mut index = start;
        while index <= end {
            if index > told && decisions.decide(&mut bins[3 * (index - 1)]) {
                break;
            }
            loop {
                let place = 3 * (index - 1);
                let coefficient = &mut block[usize::from(ZIGZAG[index])];
                if *coefficient != 0 {
                    if decisions.decide(&mut bins[place + 2]) {
                        *coefficient = coefficient.wrapping_add(if *coefficient < 0 { -unit } else { unit });
                    }
                    break;
                }
                if decisions.decide(&mut bins[place + 1]) {
                    *coefficient = if decisions.fixed() { -unit } else { unit };
                    break;
                }
                index += 1;
                if index > end {
                    return Err(Damage::OutsideBand);
                }
            }
            index += 1;
        }
        Ok(())
    }
}

impl<'a> BlockDecoder<'a> for ArithmeticDecoder<'a> {
    fn decode(&mut self, member: usize, block: &mut Block) -> Result<(), Damage> {
        match self.pass {
            ScanPass::Sequential => {
                block[0] = self.dc(member)? as i16;
                self.ac(member, (1, 63), 0, block)?;
            }
            ScanPass::DcFirst { shift } => block[0] = (self.dc(member)? << shift) as i16,
            ScanPass::DcRefinement { shift } => {
                if self.decisions.fixed() {
                    block[0] |= 1 << shift;
                }
            }
            ScanPass::AcFirst { band, shift } => self.ac(member, band, shift, block)?,
            ScanPass::AcRefinement { band, shift } => self.ac_refinement(band, shift, block)?,
        }
        Ok(())
    }

    fn restart(&mut self, number: u8) -> Result<(), Damage> {
        self.decisions = Decisions::new(after_restart(self.decisions.rest, number)?);
        self.statistics = std::array::from_fn(|_| Statistics::default());
        for member in &mut self.members {
            (member.prediction, member.context) = (0, 0);
        }
        Ok(())
    }

    fn rest(&self) -> &'a [u8] {
        self.decisions.rest
    }
}
