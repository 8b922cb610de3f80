//! A launch while it runs: its arguments by name, and the memory that they point at.

use crate::memory::{AddressExtent, StandInMemory};
use crate::numbers::StandInNumber;
use crate::status::{Fault, StandInStatus};
use crate::table::StandInVariant;
use crate::weights::StoredWeight;
use crate::written::Written;
use afterimage_tensors::Matrix;
use std::ops::Range;
use std::sync::Arc;

/// The value of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Argument {
    Pointer(u64),
    Integer(i32),
    Float(f32),
}

/// A kernel and what it was launched with.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) variant: Arc<StandInVariant>,
    pub(crate) architecture: String,
    pub(crate) card: usize,
    pub(crate) arguments: Vec<Argument>,
    pub(crate) grid: [u32; 3],
}

/// See the module.
pub(crate) struct LaunchFrame<'a> {
    pub(crate) launch: &'a Launch,
    memory: &'a mut StandInMemory,
    strict: bool,
    /// What was read: outputs may not lie there.
    reads: Vec<(&'static str, Range<u64>)>,
    pub(crate) written: Vec<Written>,
}

impl<'a> LaunchFrame<'a> {
    pub(crate) fn new(launch: &'a Launch, memory: &'a mut StandInMemory, strict: bool) -> Self {
        Self { launch, memory, strict, reads: Vec::new(), written: Vec::new() }
    }

    fn argument(&self, name: &str) -> Result<Argument, Fault> {
        let place = self.launch.variant.params.iter().position(|(parameter, _)| parameter == name);
        let argument = place.and_then(|place| self.launch.arguments.get(place)).copied();
        argument.ok_or_else(|| Fault::invalid(format!("{name}: the table has no such parameter")))
    }

    fn integer(&self, name: &str) -> Result<i32, Fault> {
        match self.argument(name)? {
            Argument::Integer(value) => Ok(value),
            other => Err(Fault::invalid(format!("{name}: {other:?}, expected an integer"))),
        }
    }

    /// A count or a distance, not negative.
    pub(crate) fn size(&self, name: &str) -> Result<usize, Fault> {
        let value = self.integer(name)?;
        usize::try_from(value)
            .map_err(|_| Fault::new(StandInStatus::ILLEGAL_ADDRESS, format!("{name}: {value} is negative")))
    }

    /// A count that has to be positive.
    pub(crate) fn positive(&self, name: &str) -> Result<usize, Fault> {
        let value = self.size(name)?;
        if value > 0 { Ok(value) } else { Err(Fault::invalid(format!("{name}: 0, expected at least 1"))) }
    }

    /// 0 or 1.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Fault> {
        match self.integer(name)? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Fault::invalid(format!("{name}: {other}, expected 0 or 1"))),
        }
    }

    pub(crate) fn float(&self, name: &str) -> Result<f32, Fault> {
        match self.argument(name)? {
            Argument::Float(value) => Ok(value),
            other => Err(Fault::invalid(format!("{name}: {other:?}, expected a float"))),
        }
    }

    /// The type of a vector's numbers: f32, unless the table says otherwise.
    pub(crate) fn vector_number(&self, name: &str) -> StandInNumber {
        let kind = self.launch.variant.params.iter().find(|(parameter, _)| parameter == name);
        let kind = kind.and_then(|(_, kind)| StandInNumber::of(kind.trim_start_matches('*')));
        kind.unwrap_or(StandInNumber::F32)
    }

    /// An address that must be one.
    pub(crate) fn pointer(&self, name: &str) -> Result<u64, Fault> {
        match self.argument(name)? {
            Argument::Pointer(0) => Err(Fault::new(StandInStatus::ILLEGAL_ADDRESS, format!("{name}: null"))),
            Argument::Pointer(address) => Ok(address),
            other => Err(Fault::invalid(format!("{name}: {other:?}, expected a pointer"))),
        }
    }

    fn place(&self, name: &str, number: StandInNumber, first: usize) -> Result<u64, Fault> {
        let address = self.pointer(name)?;
        if address.is_multiple_of(number.bytes() as u64) {
            return Ok(address + (first * number.bytes()) as u64);
        }
        let message = format!("{name}: {address:#x} is no multiple of {} bytes", number.bytes());
        Err(Fault::new(StandInStatus::MISALIGNED_ADDRESS, message))
    }

    /// Numbers without gaps, row after row.
    pub(crate) fn read(
        &mut self,
        name: &'static str,
        number: StandInNumber,
        extent: AddressExtent,
    ) -> Result<Vec<f32>, Fault> {
        self.read_from(name, 0, number, extent)
    }

    /// As [`LaunchFrame::read`], from number `first` on.
    pub(crate) fn read_from(
        &mut self,
        name: &'static str,
        first: usize,
        number: StandInNumber,
        extent: AddressExtent,
    ) -> Result<Vec<f32>, Fault> {
        if extent.count() == 0 {
            return Ok(Vec::new());
        }
        let address = self.place(name, number, first)?;
        let values = self.memory.read(self.launch.card, address, number, extent, name)?;
        if let Some(poison) = number.poison().filter(|_| self.strict)
            && let Some(place) = values.iter().position(|value| value.to_bits() == poison)
        {
            let (row, col) = (place / extent.cols, place % extent.cols);
            let message = format!("{name}: number {col} of row {row} was never written");
            return Err(Fault::new(StandInStatus::LAUNCH_FAILED, message));
        }
        self.reads.push((name, address..address + (extent.span() * number.bytes()) as u64));
        Ok(values)
    }

    /// Some i32.
    pub(crate) fn integers(&mut self, name: &'static str, count: usize) -> Result<Vec<i32>, Fault> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let address = self.place(name, StandInNumber::I32, 0)?;
        let bytes = self.memory.bytes(self.launch.card, address, 4 * count, name)?;
        Ok(bytes.as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes)).collect())
    }

    /// Writes numbers, row after row. They may not lie where something was read under another name: blocks that run later would
    /// read them.
    pub(crate) fn write(
        &mut self,
        name: &'static str,
        number: StandInNumber,
        extent: AddressExtent,
        values: &[f32],
    ) -> Result<(), Fault> {
        if extent.count() == 0 {
            return Ok(());
        }
        let address = self.place(name, number, 0)?;
        let range = address..address + (extent.span() * number.bytes()) as u64;
        let overlap =
            |(read, other): &&(&str, Range<u64>)| *read != name && range.start < other.end && other.start < range.end;
        if let Some((read, other)) = self.reads.iter().find(overlap) {
            let message = format!("{name}: {range:#x?} overlaps {read}, {other:#x?}, which is read");
            return Err(Fault::new(StandInStatus::LAUNCH_FAILED, message));
        }
        let AddressExtent { rows, cols, stride } = extent;
        self.written.push(Written { name, number, address, rows, cols, stride });
        self.memory.write(self.launch.card, address, number, extent, values, name)
    }

    /// A weight, times its rows' scales.
    pub(crate) fn weight(&mut self, stored: StoredWeight) -> Result<Arc<Matrix>, Fault> {
        self.reads.extend(stored.ranges().into_iter().map(|range| ("weight", range)));
        self.memory.weight(self.launch.card, stored)
    }

    /// One row of a stored table, without the row's scale.
    pub(crate) fn table_row(&self, stored: &StoredWeight, row: usize) -> Result<Vec<f32>, Fault> {
        stored.row(self.memory, self.launch.card, row)
    }

    /// Whether pointers and integers are multiples of what the kernel was compiled for.
    pub(crate) fn check_alignment(&self) -> Result<(), Fault> {
        let variant = &self.launch.variant;
        for ((name, _), argument) in variant.params.iter().zip(&self.launch.arguments) {
            let (value, multiple, what) = match argument {
                Argument::Pointer(address) => (*address as i64, if variant.is_aligned() { 16 } else { 1 }, "bytes"),
                Argument::Integer(value) => {
                    (i64::from(*value), variant.multiples.get(name).copied().unwrap_or(1).max(1), "numbers")
                }
                Argument::Float(_) => continue,
            };
            if value % i64::from(multiple) != 0 {
                let message = format!("{name}: {value:#x} is no multiple of {multiple} {what}");
                return Err(Fault::new(StandInStatus::MISALIGNED_ADDRESS, message));
            }
        }
        Ok(())
    }

    /// Whether a tile's places can be told in 32 bits, as the kernels that take strides of tiles suppose.
    pub(crate) fn check_strides(&self, names: &[&str]) -> Result<(), Fault> {
        /// Times 256 rows it is 2³¹.
        const BEYOND: usize = 1 << 23;
        match names.iter().find(|name| self.size(name).is_ok_and(|stride| stride >= BEYOND)) {
            Some(name) => Err(Fault::invalid(format!("{name}: rows {BEYOND} numbers apart or more"))),
            None => Ok(()),
        }
    }
}
