//! What a card is asked for: done at once, or, with the setting `lazy`, when somebody waits for it.
//!
//! There is one queue for all streams and cards, in the order of the calls: whatever a host orders by streams and events
//! happens in an order that they allow.

use crate::driver::StandInDriver;
use crate::host::HostPointer;
use crate::queue::CardWork;
use crate::status::{CallOutcome, Fault, StandInStatus};
use crate::twins;

/// Pieces of work that may wait: as with a real card, whoever asks for more waits.
const MOST_WAITING: usize = 1024;

impl StandInDriver {
    /// Asks a card for something.
    pub(crate) fn submit(&mut self, operation: CardWork) -> CallOutcome {
        self.queue.asked += 1;
        if self.settings.lazy {
            self.queue.waiting.push_back(operation);
            if self.queue.waiting.len() > MOST_WAITING {
                self.step();
            }
            return Ok(());
        }
        self.queue.done += 1;
        let (card, name) = (operation.card(), operation.name());
        match self.perform(operation) {
            Err(fault) if self.settings.late && fault.status.is_sticky() => {
                self.note(name, Some(card), &fault);
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// Waits for the first `until` pieces of work, then says whether a card's context still works.
    pub(crate) fn wait(&mut self, card: usize, until: u64) -> CallOutcome {
        while self.queue.done < until {
            self.step();
        }
        self.working(card)
    }

    /// Waits for everything.
    pub(crate) fn wait_for_all(&mut self, card: usize) -> CallOutcome {
        self.wait(card, self.queue.asked)
    }

    /// Whether the first `until` pieces of work are done; if not, one more is, now.
    pub(crate) fn is_done(&mut self, until: u64) -> bool {
        let done = self.queue.done >= until;
        if !done {
            self.step();
        }
        done
    }

    /// Does what waits longest.
    fn step(&mut self) {
        let Some(operation) = self.queue.waiting.pop_front() else {
            self.queue.done = self.queue.asked;
            return;
        };
        self.queue.done += 1;
        let (card, name) = (operation.card(), operation.name());
        if self.working(card).is_err() {
            return;
        }
        if let Err(fault) = self.perform(operation) {
            // Nobody is there to be told but whoever waits.
            let status = if fault.status.is_sticky() { fault.status } else { StandInStatus::LAUNCH_FAILED };
            self.note(name, Some(card), &Fault { status, ..fault });
        }
    }

    fn perform(&mut self, operation: CardWork) -> CallOutcome {
        match operation {
            CardWork::Launch(launch) => {
                let before = self.recorder.as_ref().and_then(|recorder| recorder.before(&launch, &self.memory));
                let written = twins::run(&launch, &mut self.memory, self.settings.strict)?;
                if let (Some(recorder), Some(before)) = (&mut self.recorder, before) {
                    recorder.after(&launch, &before, &written, &self.memory);
                }
                Ok(())
            }
            CardWork::FromPinned { card, to, from, bytes } => {
                self.bytes_to_cards += bytes as u64;
                if bytes > 0 && !self.pinned.contains(from, bytes) && self.settings.lazy {
                    return Err(Fault::new(
                        StandInStatus::ILLEGAL_ADDRESS,
                        "pinned memory was freed before it was copied",
                    ));
                }
                HostPointer::at(from).read_into(self.memory.bytes_mut(card, to, bytes, "target")?)
            }
            CardWork::FromHost { card, to, values } => {
                self.bytes_to_cards += values.len() as u64;
                self.memory.bytes_mut(card, to, values.len(), "target")?.copy_from_slice(&values);
                Ok(())
            }
            CardWork::ToHost { card, from, to, bytes } => {
                self.bytes_to_host += bytes as u64;
                let values = self.memory.bytes(card, from, bytes, "source")?;
                HostPointer::at(to).write(0, values)
            }
            CardWork::Copy { cards, from, to, bytes } => self.memory.copy(cards, from, to, bytes),
            CardWork::Fill { card, to, pattern, bytes } => {
                let target = self.memory.bytes_mut(card, to, bytes, "target")?;
                for (byte, value) in target.iter_mut().zip(pattern.iter().cycle()) {
                    *byte = *value;
                }
                Ok(())
            }
            CardWork::Free { address, .. } => self.memory.free(address),
        }
    }
}
