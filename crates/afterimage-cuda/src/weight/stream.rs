//! Weights that do not fit: they stay in pinned memory of the host and come for every use, one while the card works with the
//! one before.

use crate::driver::{CudaContext, CudaEvent, CudaStream, PinnedMemory};
use crate::failure::CardFailure;
use crate::memory::{CardMemory, MemoryPool};
use afterimage_core::Result;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Places for weights on their way.
const SLOTS: usize = 2;

/// A weight in pinned memory.
pub(crate) struct StreamedWeight {
    bytes: PinnedMemory,
    streaming: Arc<Streaming>,
}

/// A second queue that only copies, and the places it copies to.
pub(crate) struct Streaming {
    copies: CudaStream,
    work: Arc<CudaStream>,
    pool: Arc<MemoryPool>,
    slots: Mutex<Slots>,
}

pub(crate) struct Slots {
    slots: Vec<Slot>,
    next: usize,
}

/// A place for one weight.
struct Slot {
    memory: Option<(CardMemory, usize)>,
    /// The weight has arrived.
    arrived: CudaEvent,
    /// What worked with it is done.
    done: CudaEvent,
}

/// Bytes in the card's memory that may be worked with until this is dropped.
pub(crate) struct ArrivedBytes<'a> {
    address: u64,
    streaming: &'a Streaming,
    slots: MutexGuard<'a, Slots>,
    slot: usize,
}

impl Streaming {
    /// Beside the queue `work`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Device`].
    pub fn new(context: &Arc<CudaContext>, work: &Arc<CudaStream>, pool: &Arc<MemoryPool>) -> Result<Arc<Self>> {
        let slot = || Ok(Slot { memory: None, arrived: CudaEvent::new(context)?, done: CudaEvent::new(context)? });
        let slots = (0..SLOTS).map(|_| slot()).collect::<std::result::Result<Vec<_>, _>>().map_err(CardFailure::of)?;
        Ok(Arc::new(Self {
            copies: CudaStream::new(context).map_err(CardFailure::of)?,
            work: Arc::clone(work),
            pool: Arc::clone(pool),
            slots: Mutex::new(Slots { slots, next: 0 }),
        }))
    }

    /// Takes a weight's bytes over.
    pub fn keep(self: &Arc<Self>, bytes: PinnedMemory) -> StreamedWeight {
        StreamedWeight { bytes, streaming: Arc::clone(self) }
    }

    /// Has a weight copied to the next place; work that is asked for afterwards waits for it.
    fn bring(&self, bytes: &PinnedMemory) -> Result<ArrivedBytes<'_>> {
        let len = bytes.bytes().len();
        // Whoever brings a weight holds the places until its work is asked for.
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let number = slots.next;
        slots.next = (number + 1) % SLOTS;
        let slot = &mut slots.slots[number];
        if slot.memory.as_ref().is_none_or(|(_, room)| *room < len) {
            // Memory goes back to the pool, whose next owner works on the other queue, after what reads it now; copies have been
            // waited for by that.
            slot.memory = None;
            slot.memory = Some((self.pool.allocate(len)?, len));
            // A piece of the pool may still be read by earlier work.
            self.work.record(&slot.done).map_err(CardFailure::of)?;
        }
        let address = slot.memory.as_ref().map_or(0, |(memory, _)| memory.address());
        self.copies.wait_for(&slot.done).map_err(CardFailure::of)?;
        // SAFETY: the slot has as much room, checked above; the bytes are pinned, never written again, and dropped only after
        // the work that uses them was waited for ([`StreamedWeight`]'s `drop`).
        unsafe { self.copies.copy_to_card(bytes.bytes(), address) }.map_err(CardFailure::of)?;
        self.copies.record(&slot.arrived).map_err(CardFailure::of)?;
        self.work.wait_for(&slot.arrived).map_err(CardFailure::of)?;
        Ok(ArrivedBytes { address, streaming: self, slots, slot: number })
    }
}

impl Drop for StreamedWeight {
    fn drop(&mut self) {
        // A copy may still read the bytes.
        let _ = self.streaming.copies.synchronise();
        // Names what is freed next.
        let _ = &self.bytes;
    }
}

impl StreamedWeight {
    /// Has the bytes brought to the card, for work that is asked for while the answer lives.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Device`].
    pub fn bring(&self) -> Result<ArrivedBytes<'_>> {
        self.streaming.bring(&self.bytes)
    }
}

impl ArrivedBytes<'_> {
    /// Where they are.
    pub fn address(&self) -> u64 {
        self.address
    }

    /// To be called after the work was asked for.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Device`].
    pub fn done(self) -> Result<()> {
        self.streaming.work.record(&self.slots.slots[self.slot].done).map_err(CardFailure::of)
    }
}
