//! Numbers in the card's memory.

use crate::driver::Address;
use crate::memory::CardMemory;
use afterimage_core::{Error, Result};
use afterimage_device::{DeviceBuffer, View, ViewMut};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// How activations are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum NumberType {
    F32,
    Bf16,
}

impl NumberType {
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::Bf16 => 2,
        }
    }

    /// As kernels' names spell it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }
}

/// Numbers in the card's memory, all of one type.
pub struct CudaBuffer {
    pub(crate) memory: CardMemory,
    pub(crate) numbers: usize,
    pub(crate) number: NumberType,
    /// The same in bf16, for who wants vectors so.
    rounded: OnceLock<CardMemory>,
    /// Something may have written here since it was made, so that `rounded` is not the same any more.
    is_written: AtomicBool,
}

impl CudaBuffer {
    /// Numbers at the start of `memory`, which has room for them.
    pub(crate) fn new(memory: CardMemory, numbers: usize, number: NumberType) -> Self {
        Self { memory, numbers, number, rounded: OnceLock::new(), is_written: AtomicBool::new(false) }
    }

    /// Where the numbers are in bf16, made with `round` at the first time; `None` when they may have changed since they were made.
    ///
    /// # Errors
    /// Those of `round`.
    pub(crate) fn rounded(&self, round: impl FnOnce() -> Result<CardMemory>) -> Result<Option<Address>> {
        if self.is_written.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let rounded = if let Some(rounded) = self.rounded.get() {
            rounded
        } else {
            let made = round()?;
            self.rounded.get_or_init(|| made)
        };
        Ok(Some(rounded.address()))
    }
}

impl DeviceBuffer for CudaBuffer {
    fn len(&self) -> usize {
        self.numbers
    }
}

/// Numbers that one buffer can have: kernels count in 31 bits.
pub(crate) const MOST_NUMBERS: usize = i32::MAX as usize;

/// The distance of rows in products and attention from which on tiles of 256 rows leave 31 bits.
const MOST_STRIDE: usize = 1 << 23;

/// A view as kernels take it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BufferPlace {
    pub address: Address,
    pub number: NumberType,
    pub rows: usize,
    pub cols: usize,
    pub stride: usize,
}

impl BufferPlace {
    pub fn of(view: View<'_, CudaBuffer>) -> Self {
        let View { buffer, offset, rows, cols, stride } = view;
        let address = buffer.memory.address() + (offset * buffer.number.bytes()) as u64;
        Self { address, number: buffer.number, rows, cols, stride }
    }

    pub fn of_mut(view: &ViewMut<'_, CudaBuffer>) -> Self {
        view.buffer.is_written.store(true, Ordering::Relaxed);
        Self::of(view.as_view())
    }

    /// Some of the rows.
    pub fn rows(self, first: usize, rows: usize) -> Self {
        Self { address: self.address + (first * self.stride * self.number.bytes()) as u64, rows, ..self }
    }

    /// That rows are near enough for kernels which count with 32 bits inside a tile.
    ///
    /// # Errors
    /// [`Error::Internal`]
    pub fn check_stride(&self, name: &str) -> Result<()> {
        if self.stride < MOST_STRIDE || self.rows <= 1 {
            return Ok(());
        }
        Err(Error::internal(format!("{name}: rows {} apart; less than {MOST_STRIDE} on a card", self.stride)))
    }

    /// Without gaps.
    pub fn is_gapless(&self) -> bool {
        self.stride == self.cols || self.rows <= 1
    }

    pub fn numbers(&self) -> usize {
        self.rows * self.cols
    }
}

/// The address of a vector: biases, gates and the like are exact.
///
/// # Errors
/// [`Error::Internal`] for one that is kept rounded, or has gaps.
pub(crate) fn vector(view: View<'_, CudaBuffer>, name: &str) -> Result<Address> {
    let place = BufferPlace::of(view);
    if place.number != NumberType::F32 || !place.is_gapless() {
        return Err(Error::internal(format!("{name}: expected exact numbers without gaps")));
    }
    Ok(place.address)
}
