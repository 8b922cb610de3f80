//! The card's memory.
//!
//! Everything happens on one stream, in order. So memory that a dropped buffer had may be given to the next one at once: what
//! still reads it comes before what will write it. Allocating costs the driver much; pieces are kept and given again by
//! their size.

use crate::driver::{Address, CudaContext, CudaStream, DriverError};
use crate::failure::{CardFailure, OUT_OF_MEMORY};
use afterimage_core::{Error, Result};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Pieces are multiples of this.
const GRAIN: usize = 512;
/// Pieces of weights are multiples of this.
const LASTING_GRAIN: usize = 64 << 10;
/// Above this, of a 16th of their size, so that near sizes share pieces.
const LARGE: usize = 1 << 20;

/// Memory of a card.
pub(crate) struct MemoryPool {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Pieces that nobody has, by size.
    free: HashMap<usize, Vec<Address>>,
    /// Bytes of these.
    free_bytes: usize,
    /// Bytes of pieces that somebody has.
    used_bytes: usize,
    peak_bytes: usize,
    /// The most that pieces may take together, those that nobody has included.
    limit: u64,
}

/// A piece of memory, given back when dropped.
pub(crate) struct CardMemory {
    pool: Arc<MemoryPool>,
    address: Address,
    bytes: usize,
}

/// The size of the piece for so many bytes.
fn piece(bytes: usize) -> usize {
    // Of the power of two below, so that a piece is its own size.
    let grain = if bytes > LARGE { 1 << (bytes.ilog2() - 4) } else { GRAIN };
    bytes.max(1).next_multiple_of(grain)
}

impl MemoryPool {
    /// Of a card whose work all happens on `stream`, at most `limit` bytes.
    pub fn new(context: &Arc<CudaContext>, stream: &Arc<CudaStream>, limit: u64) -> Arc<Self> {
        let state = Mutex::new(State { limit, ..State::default() });
        Arc::new(Self { context: Arc::clone(context), stream: Arc::clone(stream), state })
    }

    /// Room for `bytes` bytes.
    ///
    /// # Errors
    /// [`Error::Device`] when there is none.
    pub fn allocate(self: &Arc<Self>, bytes: usize) -> Result<CardMemory> {
        self.take(piece(bytes))
    }

    /// The same for what stays: weights seldom share a size, so that little is added to it.
    ///
    /// # Errors
    /// As [`MemoryPool::allocate`].
    pub fn allocate_lasting(self: &Arc<Self>, bytes: usize) -> Result<CardMemory> {
        self.take(if bytes > LARGE { bytes.next_multiple_of(LASTING_GRAIN) } else { piece(bytes) })
    }

    fn take(self: &Arc<Self>, size: usize) -> Result<CardMemory> {
        let mut state = self.state();
        let kept = state.free.get_mut(&size).and_then(Vec::pop);
        let address = match kept {
            Some(address) => {
                state.free_bytes -= size;
                address
            }
            None => self.fresh(&mut state, size)?,
        };
        state.used_bytes += size;
        state.peak_bytes = state.peak_bytes.max(state.used_bytes);
        Ok(CardMemory { pool: Arc::clone(self), address, bytes: size })
    }

    fn fresh(&self, state: &mut State, size: usize) -> Result<Address> {
        let beyond = |state: &State| (state.used_bytes + state.free_bytes + size) as u64 > state.limit;
        if beyond(state) {
            self.give_back(state)?;
        }
        if beyond(state) {
            return Err(self.shortage(state, size));
        }
        match self.context.allocate(size) {
            Err(error) if error.is_out_of_memory() => {
                self.give_back(state)?;
                self.context.allocate(size).map_err(|error| {
                    if error.is_out_of_memory() { self.shortage(state, size) } else { CardFailure::of(error) }
                })
            }
            other => other.map_err(CardFailure::of),
        }
    }

    /// Gives the driver back what nobody has.
    fn give_back(&self, state: &mut State) -> Result<()> {
        self.stream.synchronise().map_err(CardFailure::of)?;
        for address in state.free.drain().flat_map(|(_, addresses)| addresses) {
            // SAFETY: nobody has it, and nothing runs that used it.
            unsafe { self.context.free(address) };
        }
        state.free_bytes = 0;
        Ok(())
    }

    fn shortage(&self, state: &State, size: usize) -> Error {
        let free = self.context.free_bytes().unwrap_or(0);
        let [size, used, free] = [size as u64, state.used_bytes as u64, free].map(|bytes| bytes >> 20);
        Error::Device {
            device: self.context.device(),
            problem: format!(
                "{OUT_OF_MEMORY}: {size} MiB were asked for, {used} MiB are used and {free} MiB are free; a smaller size or --memory-budget helps"
            ),
        }
    }

    /// The most bytes that were in use together.
    pub fn peak_bytes(&self) -> u64 {
        self.state().peak_bytes as u64
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Counts and lists are changed together, without a panic between.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MemoryPool {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let _: std::result::Result<(), DriverError> = self.stream.synchronise();
        for address in state.free.drain().flat_map(|(_, addresses)| addresses) {
            // SAFETY: as in `give_back`.
            unsafe { self.context.free(address) };
        }
    }
}

impl CardMemory {
    /// Where it starts: a multiple of 256.
    pub fn address(&self) -> Address {
        self.address
    }
}

impl Drop for CardMemory {
    fn drop(&mut self) {
        let mut state = self.pool.state();
        state.used_bytes -= self.bytes;
        state.free_bytes += self.bytes;
        state.free.entry(self.bytes).or_default().push(self.address);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_hold_what_is_asked_and_little_more() {
        for bytes in [0, 1, 511, 512, 513, 1 << 20, (1 << 20) + 1, 3_000_001, 1_234_567_890] {
            let size = piece(bytes);
            assert!(size >= bytes.max(1) && size.is_multiple_of(GRAIN), "{bytes}: {size}");
            assert!(size <= bytes + bytes / 7 + GRAIN, "{bytes}: {size}");
            assert_eq!(piece(size), size, "{bytes}");
        }
    }
}
