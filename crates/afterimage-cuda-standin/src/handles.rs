//! Streams, events, modules and functions: numbers that stand for them.

use crate::status::{Fault, StandInStatus};
use crate::table::StandInVariant;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

/// An event.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StandInEvent {
    pub(crate) card: usize,
    pub(crate) timed: bool,
    /// How much had been asked of the card, and when, when it was recorded.
    pub(crate) recorded: Option<(u64, Instant)>,
}

/// A loaded cubin, or its function.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) card: usize,
    pub(crate) variant: Arc<StandInVariant>,
    pub(crate) architecture: String,
}

/// A function of a module.
#[derive(Clone, Debug)]
pub(crate) struct Function {
    pub(crate) loaded: Loaded,
    pub(crate) module: usize,
    /// The most dynamic shared memory that a launch may have.
    pub(crate) most_shared: u32,
}

/// Dynamic shared memory that every launch may have.
pub(crate) const SHARED_BY_DEFAULT: u32 = 48 << 10;

/// The first number that stands for something; 0 to 2 are the default streams.
const FIRST: usize = 0x1000;

/// All that live. A number is given out once.
#[derive(Debug, Default)]
pub(crate) struct Handles {
    given: usize,
    pub(crate) streams: BTreeMap<usize, usize>,
    pub(crate) events: BTreeMap<usize, StandInEvent>,
    pub(crate) modules: BTreeMap<usize, Loaded>,
    pub(crate) functions: BTreeMap<usize, Function>,
}

impl Handles {
    /// A number for something new.
    pub(crate) fn next(&mut self) -> usize {
        self.given += 1;
        FIRST + 0x10 * self.given
    }

    /// Refuses a stream that does not live, or is another card's.
    pub(crate) fn check_stream(&self, stream: usize, card: usize) -> Result<(), Fault> {
        match self.streams.get(&stream) {
            _ if stream <= 2 => Ok(()),
            Some(owner) if *owner == card => Ok(()),
            Some(_) => Err(unknown("stream of another card", stream)),
            None => Err(unknown("stream", stream)),
        }
    }

    pub(crate) fn event(&mut self, event: usize, card: usize) -> Result<&mut StandInEvent, Fault> {
        self.events.get_mut(&event).filter(|found| found.card == card).ok_or_else(|| unknown("event", event))
    }

    pub(crate) fn function(&mut self, function: usize) -> Result<&mut Function, Fault> {
        self.functions.get_mut(&function).ok_or_else(|| unknown("function", function))
    }

    /// Everything of a card goes.
    pub(crate) fn drop_all(&mut self, card: usize) {
        self.streams.retain(|_, owner| *owner != card);
        self.events.retain(|_, event| event.card != card);
        self.modules.retain(|_, module| module.card != card);
        self.functions.retain(|_, function| function.loaded.card != card);
    }

    /// Streams, events, modules.
    pub(crate) fn counts(&self) -> [u64; 3] {
        [self.streams.len(), self.events.len(), self.modules.len()].map(|count| count as u64)
    }
}

/// Nothing lives under this number.
pub(crate) fn unknown(what: &str, handle: usize) -> Fault {
    Fault::new(StandInStatus::INVALID_HANDLE, format!("no {what} {handle:#x}"))
}
