//! Which networks are in memory, as the plan of the last request has it.

use crate::memory::{MemoryNeeds, MemoryPlan, Residency, usable_memory};
use afterimage_core::Size;
use afterimage_device::DeviceLimits;
use once_cell::sync::OnceCell;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The networks, in the order of a [`MemoryPlan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    /// T5 and CLIP.
    Text,
    /// `SigLIP` and Redux.
    Image,
    /// FLUX.
    Transformer,
    /// Both halves of the VAE.
    Autoencoder,
}

impl Network {
    const ALL: [Self; 4] = [Self::Text, Self::Image, Self::Transformer, Self::Autoencoder];
}

/// What a request asks for, as far as memory depends on it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// The largest picture that passes through the networks.
    pub size: Size,
    /// Steps of one pass.
    pub steps: u32,
    /// Pictures that are made side by side.
    pub pictures: u32,
    /// Bytes of decoded pictures that come in and go out.
    pub picture_bytes: u64,
}

/// What is known of the memory of one base and Redux pair.
pub(super) struct Residence {
    pub budget: Option<u64>,
    /// Bytes of safety checkers.
    pub checkers: u64,
    /// Sizes and weights, read when they are first needed.
    pub known: OnceCell<KnownNeeds>,
    /// How the networks that are in memory were built.
    current: Mutex<[Residency; 4]>,
}

/// What does not depend on the request.
#[derive(Clone, Copy, Debug)]
pub(super) struct KnownNeeds {
    pub needs: MemoryNeeds,
    pub text_tokens: usize,
    pub picture_tokens: usize,
}

impl Residence {
    /// Within `budget` bytes, or the share of so many processes in what the machine has. `checkers` is what safety checkers take.
    /// Where the device has memory of its own, what that has is the most.
    pub fn new(budget: Option<u64>, shares: u64, limits: DeviceLimits, checkers: u64) -> Self {
        let share = || limits.memory_bytes.or_else(usable_memory).map(|bytes| bytes / shares);
        let budget = match (budget, limits.memory_bytes) {
            (Some(budget), Some(card)) => Some(budget.min(card)),
            (budget, _) => budget.or_else(share),
        };
        Self { budget, checkers, known: OnceCell::new(), current: Mutex::new([Residency::Kept; 4]) }
    }

    /// Bytes of activations that the autoencoder may hold at once: the device's, or half of the budget where
    /// that is less; above it pictures are made in tiles.
    pub fn autoencoder_bytes(&self, limits: DeviceLimits) -> u64 {
        self.budget.map_or(limits.activation_bytes, |budget| limits.activation_bytes.min(budget / 2))
    }

    /// How a network is to be built now.
    pub fn residency(&self, network: Network) -> Residency {
        self.current()[network as usize]
    }

    /// Takes `plan` over; the networks that may not stay as they are: what was built to stay cannot be streamed, and what
    /// leaves must not be there from before.
    pub fn adopt(&self, plan: &MemoryPlan) -> Vec<Network> {
        let mut current = self.current();
        let before = *current;
        *current = Network::ALL.map(|network| plan.residency(network as usize));
        let stays = |network: &Network| {
            let (before, now) = (before[*network as usize], current[*network as usize]);
            // What was built in one way cannot become another; kept or released, it is built alike.
            let way = |residency| match residency {
                Residency::Kept | Residency::Released => 0,
                Residency::StreamedOnce => 1,
                Residency::Streamed => 2,
            };
            now != Residency::Released && way(before) == way(now)
        };
        Network::ALL.into_iter().filter(|network| !stays(network)).collect()
    }

    fn current(&self) -> MutexGuard<'_, [Residency; 4]> {
        // It is set in one piece.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
