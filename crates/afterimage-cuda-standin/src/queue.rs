//! Work for a card, and what of it waits.

use crate::frame::Launch;
use std::collections::VecDeque;

/// A piece of work.
#[derive(Debug)]
pub(crate) enum CardWork {
    Launch(Launch),
    /// From pinned memory, read when it is done.
    FromPinned {
        card: usize,
        to: u64,
        from: usize,
        bytes: usize,
    },
    /// From other host memory, read when it was asked for.
    FromHost {
        card: usize,
        to: u64,
        values: Vec<u8>,
    },
    ToHost {
        card: usize,
        from: u64,
        to: usize,
        bytes: usize,
    },
    Copy {
        cards: (usize, usize),
        from: u64,
        to: u64,
        bytes: usize,
    },
    /// The pattern over and over.
    Fill {
        card: usize,
        to: u64,
        pattern: [u8; 4],
        bytes: usize,
    },
    Free {
        card: usize,
        address: u64,
    },
}

impl CardWork {
    /// The card that does it.
    pub(crate) fn card(&self) -> usize {
        match self {
            Self::Launch(launch) => launch.card,
            Self::FromPinned { card, .. }
            | Self::FromHost { card, .. }
            | Self::ToHost { card, .. }
            | Self::Fill { card, .. }
            | Self::Free { card, .. } => *card,
            Self::Copy { cards, .. } => cards.1,
        }
    }

    /// The entry point that asked for it, for messages.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Launch(_) => "cuLaunchKernel",
            Self::FromPinned { .. } | Self::FromHost { .. } => "cuMemcpyHtoD",
            Self::ToHost { .. } => "cuMemcpyDtoH",
            Self::Copy { .. } => "cuMemcpyDtoD",
            Self::Fill { .. } => "cuMemset",
            Self::Free { .. } => "cuMemFree",
        }
    }
}

/// What waits, and how much there was.
#[derive(Debug, Default)]
pub(crate) struct WorkQueue {
    pub(crate) waiting: VecDeque<CardWork>,
    /// Pieces of work that were asked for.
    pub(crate) asked: u64,
    /// Pieces of work that are done.
    pub(crate) done: u64,
}
