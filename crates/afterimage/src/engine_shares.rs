//! What each engine process of a server gets of the machine: cores of the processor, memory of its device.

use afterimage_core::ModelName;
use afterimage_engine::{DeviceChoice, EngineOptions};
use std::num::NonZeroUsize;

/// A set of models and the devices that it runs on, each with processes of its own.
#[derive(Clone, Debug)]
pub struct PlacedSet {
    /// Name of the set, if it has one.
    pub name: Option<ModelName>,
    /// What its processes open; the device is left open.
    pub options: EngineOptions,
    /// Where they run, at least one.
    pub devices: Vec<DeviceChoice>,
}

impl PlacedSet {
    /// The options of its processes on each device, where each set has `workers` of them and `sets` are all that there are.
    pub fn shares(&self, sets: &[Self], workers: usize, cores: Option<NonZeroUsize>) -> Vec<EngineOptions> {
        let devices = || sets.iter().flat_map(|set| &set.devices);
        let threads =
            self.options.threads.or_else(|| cores.and_then(|cores| share(cores, workers * devices().count())));
        let on = |device: DeviceChoice| EngineOptions {
            device,
            threads,
            memory_shares: NonZeroUsize::new(workers * devices().filter(|other| may_be_one(device, **other)).count()),
            ..self.options.clone()
        };
        self.devices.iter().map(|device| on(*device)).collect()
    }
}

/// Whether two choices may come to the same memory: what `auto` takes is known when it runs.
fn may_be_one(device: DeviceChoice, other: DeviceChoice) -> bool {
    device == other || device == DeviceChoice::Auto || other == DeviceChoice::Auto
}

/// The threads of each of `processes`, when they share `cores`.
fn share(cores: NonZeroUsize, processes: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new((cores.get() / processes.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use DeviceChoice::{Auto, Cpu, Cuda};

    #[test]
    fn processes_share_the_cores() {
        let share = |cores, workers| share(NonZeroUsize::new(cores).unwrap(), workers).unwrap().get();
        assert_eq!([share(16, 1), share(16, 4), share(16, 5), share(2, 3), share(8, 0)], [16, 4, 3, 1, 8]);
    }

    #[test]
    fn a_cards_memory_is_shared_by_those_on_it() {
        let set = |devices: &[DeviceChoice]| PlacedSet {
            name: None,
            options: EngineOptions::default(),
            devices: devices.to_vec(),
        };
        let shares = |sets: &[PlacedSet], workers| {
            let all = sets.iter().flat_map(|set| set.shares(sets, workers, NonZeroUsize::new(24)));
            let found = |it: EngineOptions| (it.device, it.memory_shares.map_or(0, usize::from), it.threads);
            all.map(found).collect::<Vec<_>>()
        };
        let threads = NonZeroUsize::new;
        let two_cards = shares(&[set(&[Cuda(0), Cuda(1)])], 1);
        assert_eq!(two_cards, [(Cuda(0), 1, threads(12)), (Cuda(1), 1, threads(12))]);
        let sets = [set(&[Cuda(0), Cuda(1)]), set(&[Cuda(1)]), set(&[Cpu])];
        let shared: Vec<usize> = shares(&sets, 2).into_iter().map(|(_, memory, _)| memory).collect();
        assert_eq!(shared, [2, 4, 4, 2]);
        assert_eq!(shares(&sets, 2)[0].2, threads(3));
        let shared: Vec<usize> =
            shares(&[set(&[Auto]), set(&[Cuda(1)]), set(&[Cpu])], 1).into_iter().map(|(_, memory, _)| memory).collect();
        assert_eq!(shared, [3, 2, 2]);
    }
}
