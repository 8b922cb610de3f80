//! What stays in memory, what leaves it after use, and what passes through it.

use crate::weights::Footprint;
use serde::Serialize;
use std::fmt;

/// Bytes of the program itself: code, threads, packed panels of matrices, encodings that are remembered (64 MiB).
pub(crate) const PROGRAM: u64 = 192 << 20;

/// Matrices of a streamed network that are in memory at once.
const STREAMED_AT_ONCE: u64 = 2;

/// How a network's weights live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Residency {
    /// From the first request that needs it on.
    Kept,
    /// Leaves memory when its part of a request is done.
    Released,
    /// As the next one what a request multiplies with once only; the rest as the first.
    StreamedOnce,
    /// Each matrix leaves memory when it was multiplied, and is read again from its file next time.
    Streamed,
}

/// One network.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PartNeeds {
    /// Its weights.
    pub weights: Footprint,
    /// Those of them that a request multiplies with once, before its steps: of FLUX the modulations, a quarter.
    pub once: Footprint,
    /// Its buffers.
    pub activations: u64,
}

/// Everything that a request takes. Networks run in the order of the fields.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct MemoryNeeds {
    /// T5 and CLIP.
    pub text: PartNeeds,
    /// `SigLIP` and Redux.
    pub image: PartNeeds,
    /// FLUX.
    pub transformer: PartNeeds,
    /// The autoencoder.
    pub autoencoder: PartNeeds,
    /// What is there all the time: safety checkers, pictures, and the [`PROGRAM`] where it shares the memory.
    pub always: u64,
}

/// A network in a [`MemoryPlan`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedPart {
    /// Its name for people.
    pub part: &'static str,
    /// Bytes of its weights.
    pub weight_bytes: u64,
    /// Bytes of its buffers while it runs.
    pub activation_bytes: u64,
    /// What becomes of its weights.
    pub residency: Residency,
}

/// What becomes of each network, and the memory that this takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemoryPlan {
    /// Bytes that may be taken; `None`: nobody knows and nobody said.
    pub budget: Option<u64>,
    /// Bytes that are taken at once, at most.
    pub peak: u64,
    /// The networks, in the order in which they run.
    pub parts: [PlannedPart; 4],
}

/// Ways of life for text encoders, picture encoders, transformer and autoencoder, fastest first. Encoders run once a
/// request, the transformer at every step; the autoencoder is small.
const CHOICES: [[Residency; 4]; 8] = {
    use Residency::{Kept, Released, Streamed, StreamedOnce};
    [
        [Kept, Kept, Kept, Kept],
        [Released, Kept, Kept, Kept],
        [Released, Released, Kept, Kept],
        [Released, Released, StreamedOnce, Kept],
        [Released, Released, Released, Kept],
        [Released, Released, Streamed, Kept],
        [Streamed, Released, Streamed, Kept],
        [Streamed, Streamed, Streamed, Released],
    ]
};

impl MemoryPlan {
    /// The fastest way in which `needs` fit into `budget` bytes.
    ///
    /// # Errors
    /// What the way that takes the least would take, when that is too much.
    pub(crate) fn new(needs: &MemoryNeeds, budget: Option<u64>) -> Result<Self, Box<Self>> {
        let mut last = None;
        for residencies in CHOICES {
            let plan = Self::of(needs, residencies, budget);
            if budget.is_none_or(|budget| plan.peak <= budget) {
                return Ok(plan);
            }
            last = Some(plan);
        }
        // There are choices.
        Err(Box::new(last.unwrap_or_else(|| Self::of(needs, [Residency::Kept; 4], budget))))
    }

    fn of(needs: &MemoryNeeds, residencies: [Residency; 4], budget: Option<u64>) -> Self {
        let all = [needs.text, needs.image, needs.transformer, needs.autoencoder];
        let names = ["text encoders", "picture encoders", "transformer", "autoencoder"];
        let parts = std::array::from_fn(|index| PlannedPart {
            part: names[index],
            weight_bytes: all[index].weights.bytes(),
            activation_bytes: all[index].activations,
            residency: residencies[index],
        });
        let running = |index: usize| weights_while_running(&all[index], residencies[index]);
        let waiting = |index: usize| match residencies[index] {
            Residency::Kept => all[index].weights.bytes(),
            Residency::StreamedOnce => all[index].weights.bytes() - all[index].once.mapped,
            Residency::Released => 0,
            // Copies cannot be read again.
            Residency::Streamed => all[index].weights.copied,
        };
        let phase = |index: usize| {
            let others: u64 = (0..4).filter(|other| *other != index).map(waiting).sum();
            running(index) + others + all[index].activations
        };
        let peak = needs.always + (0..4).map(phase).max().unwrap_or(0);
        Self { budget, peak, parts }
    }

    /// Bytes that a device with memory of its own leaves in the host's, and gets from there again and again.
    pub(crate) fn host_bytes(needs: &MemoryNeeds, plan: &Self) -> u64 {
        let all = [needs.text, needs.image, needs.transformer, needs.autoencoder];
        let bytes = all.iter().zip(&plan.parts).map(|(part, planned)| match planned.residency {
            Residency::Kept | Residency::Released => 0,
            Residency::StreamedOnce => part.once.mapped,
            Residency::Streamed => part.weights.mapped,
        });
        bytes.sum()
    }

    /// What becomes of the network number `index`, in the order in which they run.
    pub(crate) fn residency(&self, index: usize) -> Residency {
        self.parts[index].residency
    }

    /// Whether everything stays in memory.
    pub fn keeps_all(&self) -> bool {
        self.parts.iter().all(|part| part.residency == Residency::Kept)
    }

    /// The network that takes most while it runs.
    pub(crate) fn largest(&self) -> &PlannedPart {
        let [first, rest @ ..] = &self.parts;
        rest.iter().fold(first, |largest, part| {
            let bytes = |part: &PlannedPart| part.activation_bytes + part.weight_bytes;
            if bytes(part) > bytes(largest) { part } else { largest }
        })
    }
}

fn weights_while_running(part: &PartNeeds, residency: Residency) -> u64 {
    let PartNeeds { weights, once, .. } = part;
    let passing = |weights: &Footprint| weights.mapped.min(STREAMED_AT_ONCE * weights.largest);
    match residency {
        Residency::Kept | Residency::Released => weights.bytes(),
        Residency::StreamedOnce => weights.bytes() - once.mapped + passing(once),
        Residency::Streamed => weights.copied + passing(weights),
    }
}

impl fmt::Display for MemoryPlan {
    /// `6.1 GB of 8.0 GB: text encoders (4.9 GB) leave after use, transformer (12.7 GB) is streamed; …`
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", gigabytes(self.peak))?;
        if let Some(budget) = self.budget {
            write!(formatter, " of {}", gigabytes(budget))?;
        }
        for (number, part) in self.parts.iter().filter(|part| part.weight_bytes > 0).enumerate() {
            let residency = match part.residency {
                Residency::Kept => "kept",
                Residency::Released => "released after use",
                Residency::StreamedOnce => "kept but for what a request uses once",
                Residency::Streamed => "streamed from the file",
            };
            let before = if number == 0 { ": " } else { ", " };
            write!(formatter, "{before}{} {} {residency}", part.part, gigabytes(part.weight_bytes))?;
        }
        Ok(())
    }
}

/// `12.7 GB`, `0.3 GB`, `41 MB`.
pub(crate) fn gigabytes(bytes: u64) -> String {
    let bytes = bytes as f64;
    if bytes < 95e6 { format!("{:.0} MB", bytes / 1e6) } else { format!("{:.1} GB", bytes / 1e9) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GB: u64 = 1_000_000_000;

    fn mapped(bytes: u64, largest: u64, activations: u64) -> PartNeeds {
        PartNeeds { weights: Footprint { mapped: bytes, copied: 0, largest }, activations, ..PartNeeds::default() }
    }

    /// FLUX.1-dev and T5 in `Q8_0`, 1024².
    fn quantised() -> MemoryNeeds {
        MemoryNeeds {
            text: mapped(5 * GB, GB / 10, GB / 5),
            image: mapped(GB, GB / 50, GB / 10),
            transformer: PartNeeds {
                once: Footprint { mapped: 34 * GB / 10, copied: 0, largest: GB / 16 },
                ..mapped(127 * GB / 10, GB / 16, GB)
            },
            autoencoder: mapped(GB / 3, GB / 100, 2 * GB),
            always: PROGRAM,
        }
    }

    fn residencies(budget: u64) -> Option<[Residency; 4]> {
        MemoryPlan::new(&quantised(), Some(budget)).ok().map(|plan| plan.parts.map(|part| part.residency))
    }

    #[test]
    fn less_is_kept_the_less_there_is() {
        use Residency::{Kept, Released, Streamed, StreamedOnce};
        assert_eq!(residencies(24 * GB), Some([Kept; 4]));
        assert_eq!(residencies(20 * GB), Some([Released, Kept, Kept, Kept]));
        assert_eq!(residencies(19 * GB), Some([Released, Released, Kept, Kept]));
        assert_eq!(residencies(16 * GB), Some([Released, Released, StreamedOnce, Kept]));
        assert_eq!(residencies(143 * GB / 10), Some([Released, Released, Released, Kept]));
        assert_eq!(residencies(6 * GB), Some([Released, Released, Streamed, Kept]));
        assert_eq!(residencies(3 * GB), Some([Streamed, Released, Streamed, Kept]));
        assert_eq!(residencies(2 * GB), None);
        assert!(MemoryPlan::new(&quantised(), None).is_ok_and(|plan| plan.keeps_all()));
    }

    #[test]
    fn copies_cannot_be_streamed() {
        let copied =
            |bytes| PartNeeds { weights: Footprint { mapped: 0, copied: bytes, largest: 0 }, ..PartNeeds::default() };
        let needs = MemoryNeeds { transformer: copied(24 * GB), ..quantised() };
        let least = MemoryPlan::new(&needs, Some(20 * GB)).unwrap_err();
        assert!(least.peak > 24 * GB, "{}", least.peak);
        assert_eq!(least.largest().part, "transformer");
    }

    #[test]
    fn the_plan_is_a_line() {
        let plan = MemoryPlan::new(&quantised(), Some(6 * GB)).unwrap();
        let line = plan.to_string();
        let expected = ": text encoders 5.0 GB released after use, picture encoders 1.0 GB released after use, transformer \
                        12.7 GB streamed from the file, autoencoder 0.3 GB kept";
        assert!(line.ends_with(expected) && line.contains(" of 6.0 GB"), "{line}");
        assert!(!MemoryPlan::new(&MemoryNeeds::default(), None).unwrap().to_string().contains(':'));
    }

    fn part() -> impl Strategy<Value = PartNeeds> {
        (0..20 * GB, 0..2 * GB, 1..50_u64, 0..3 * GB).prop_map(|(mapped, copied, pieces, activations)| PartNeeds {
            weights: Footprint { mapped, copied, largest: mapped / pieces },
            once: Footprint { mapped: mapped / 4, copied: 0, largest: mapped / 4 / pieces },
            activations,
        })
    }

    proptest! {
        #[test]
        fn a_budget_is_never_exceeded_and_more_of_it_never_refused(
            (text, image, transformer, autoencoder) in (part(), part(), part(), part()),
            always in 0..GB,
            budgets in [0..60 * GB, 0..60 * GB],
        ) {
            let needs = MemoryNeeds { text, image, transformer, autoencoder, always };
            let [less, more] = [budgets[0].min(budgets[1]), budgets[0].max(budgets[1])];
            let plans = [less, more].map(|budget| MemoryPlan::new(&needs, Some(budget)));
            for (plan, budget) in plans.iter().zip([less, more]) {
                match plan {
                    Ok(plan) => prop_assert!(plan.peak <= budget),
                    Err(least) => prop_assert!(least.peak > budget),
                }
            }
            prop_assert!(plans[0].is_err() || plans[1].is_ok());
            let activations = [text, image, transformer, autoencoder].map(|part| part.activations);
            let copied = [text, image, transformer].map(|part| part.weights.copied);
            for plan in plans.into_iter().flatten() {
                prop_assert!(plan.peak >= always + activations.into_iter().max().unwrap());
                prop_assert!(plan.peak >= copied.into_iter().max().unwrap());
            }
        }
    }
}
