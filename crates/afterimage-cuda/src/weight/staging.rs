//! Pinned memory that weights pass through on their way to the card: while one is copied the next one is packed.

use crate::driver::{Address, CudaContext, CudaEvent, CudaStream, PinnedMemory};
use crate::failure::CardFailure;
use afterimage_core::Result;
use std::sync::{Arc, Mutex, PoisonError};

/// Buffers in turns.
const BUFFERS: usize = 2;

/// Pinned buffers, as large as the largest weight so far.
pub(crate) struct Staging {
    context: Arc<CudaContext>,
    stream: Arc<CudaStream>,
    state: Mutex<(usize, [Option<Buffer>; BUFFERS])>,
}

struct Buffer {
    memory: PinnedMemory,
    /// What was last copied from it has arrived.
    arrived: CudaEvent,
}

impl Staging {
    /// For copies on `stream`.
    pub fn new(context: &Arc<CudaContext>, stream: &Arc<CudaStream>) -> Self {
        Self { context: Arc::clone(context), stream: Arc::clone(stream), state: Mutex::new((0, [None, None])) }
    }

    /// Has `fill` write `len` bytes and copies them to `to`.
    ///
    /// # Safety
    /// `to` has room for them.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Device`]
    pub unsafe fn copy(&self, len: usize, to: Address, fill: impl FnOnce(&mut [u8])) -> Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (next, buffers) = &mut *state;
        let place = &mut buffers[*next];
        *next = (*next + 1) % BUFFERS;
        if let Some(buffer) = place {
            buffer.arrived.synchronise().map_err(CardFailure::of)?;
        }
        if place.as_ref().is_none_or(|buffer| buffer.memory.bytes().len() < len) {
            // The old one goes first.
            *place = None;
            let memory = PinnedMemory::new(&self.context, len).map_err(CardFailure::of)?;
            *place = Some(Buffer { memory, arrived: CudaEvent::new(&self.context).map_err(CardFailure::of)? });
        }
        let Some(buffer) = place else { return Ok(()) };
        fill(&mut buffer.memory.bytes_mut()[..len]);
        // SAFETY: the caller's promise; the buffer is written again, or dropped, after `arrived`.
        unsafe { self.stream.copy_to_card(&buffer.memory.bytes()[..len], to) }.map_err(CardFailure::of)?;
        self.stream.record(&buffer.arrived).map_err(CardFailure::of)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // A copy may still read the buffers.
        let _ = self.stream.synchronise();
    }
}
