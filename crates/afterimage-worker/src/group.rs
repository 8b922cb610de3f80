//! Engine processes that are alike: which jobs they run and how they are started.

use crate::launch::EngineCommand;
use afterimage_core::ModelName;
use afterimage_jobs::{Queue, UNNAMED};

/// How logs and metrics call the set of models that has no name.
const DEFAULT: &str = "default";

/// A set of models and how its processes are started on each of its devices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineSet {
    /// Its name; none for the only one of a server whose sets have no names.
    pub model: Option<ModelName>,
    /// One for each device, at least one.
    pub commands: Vec<EngineCommand>,
}

/// The processes of one set of models on one device. Several groups may serve the same queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineGroup {
    /// The queues whose jobs they run, at least one.
    pub queues: Vec<Queue>,
    /// How each is started, with options of its own.
    pub command: EngineCommand,
    /// How many there are, each for one job at a time.
    pub processes: usize,
}

impl EngineGroup {
    /// `processes` for jobs that name no set of models.
    pub fn unnamed(command: &EngineCommand, processes: usize) -> Self {
        Self { queues: UNNAMED.to_vec(), command: command.clone(), processes }
    }

    /// `processes` for each of `sets` on each of its devices. What names no set goes to the first one.
    pub fn of_sets(sets: &[EngineSet], processes: usize) -> Vec<Self> {
        let group = |(index, set): (usize, &EngineSet)| {
            // What waits without a name is from before the sets had any; it is older than all else.
            let unnamed = (index == 0).then_some(None);
            let queues: Vec<Queue> = unnamed.into_iter().chain(set.model.clone().map(Some)).collect();
            let on = |command: &EngineCommand| Self { queues: queues.clone(), command: command.clone(), processes };
            set.commands.iter().map(on).collect::<Vec<_>>()
        };
        sets.iter().enumerate().flat_map(group).collect()
    }

    /// The device that was asked for.
    pub fn device(&self) -> String {
        self.command.device.to_string()
    }

    /// Name of the set of models, if it has one.
    pub fn model(&self) -> Option<&ModelName> {
        self.queues.iter().find_map(Option::as_ref)
    }

    /// The same for logs and metrics.
    pub fn label(&self) -> &str {
        self.model().map_or(DEFAULT, ModelName::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_engine::DeviceChoice;

    #[test]
    fn the_first_set_also_serves_what_names_none() {
        let command = |device| EngineCommand { program: "a".into(), arguments: Vec::new(), device };
        let [dev, srpo] = ["dev", "srpo"].map(|name| name.parse::<ModelName>().unwrap());
        let [first, second] = [0, 1].map(|number| command(DeviceChoice::Cuda(number)));
        let set = |name: &ModelName, commands: &[EngineCommand]| EngineSet {
            model: Some(name.clone()),
            commands: commands.to_vec(),
        };
        let sets = [set(&dev, &[first.clone(), second.clone()]), set(&srpo, std::slice::from_ref(&second))];
        let groups = EngineGroup::of_sets(&sets, 2);
        assert_eq!(groups[0].queues, [None, Some(dev)]);
        assert_eq!((&groups[1].queues, groups[1].device()), (&groups[0].queues, "cuda:1".to_owned()));
        assert_eq!(groups[2], EngineGroup { queues: vec![Some(srpo)], command: second, processes: 2 });
        assert_eq!([groups[0].label(), EngineGroup::unnamed(&first, 1).label()], ["dev", "default"]);
        let unnamed = EngineGroup::of_sets(&[EngineSet { model: None, commands: vec![first] }], 1);
        assert_eq!(unnamed[0].queues, UNNAMED);
    }
}
