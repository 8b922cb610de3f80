//! Engine processes that are alike: which jobs they run and how they are started.

use crate::launch::EngineCommand;
use afterimage_core::ModelName;
use afterimage_jobs::{Queue, UNNAMED};

/// How logs and metrics call the set of models that has no name.
const DEFAULT: &str = "default";

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

    /// `processes` for each of `sets`. What names no set goes to the first one.
    pub fn of_sets(sets: &[(ModelName, EngineCommand)], processes: usize) -> Vec<Self> {
        let group = |(index, (name, command)): (usize, &(ModelName, EngineCommand))| {
            // What waits without a name is from before the sets had any; it is older than all else.
            let unnamed = (index == 0).then_some(None);
            let queues = unnamed.into_iter().chain([Some(name.clone())]).collect();
            Self { queues, command: command.clone(), processes }
        };
        sets.iter().enumerate().map(group).collect()
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

    #[test]
    fn the_first_set_also_serves_what_names_none() {
        let command = |program: &str| EngineCommand { program: program.into(), arguments: Vec::new() };
        let [dev, srpo] = ["dev", "srpo"].map(|name| name.parse::<ModelName>().unwrap());
        let groups = EngineGroup::of_sets(&[(dev.clone(), command("a")), (srpo.clone(), command("b"))], 2);
        assert_eq!(groups[0].queues, [None, Some(dev)]);
        assert_eq!(groups[1], EngineGroup { queues: vec![Some(srpo)], command: command("b"), processes: 2 });
        assert_eq!([groups[0].label(), EngineGroup::unnamed(&command("a"), 1).label()], ["dev", "default"]);
    }
}
