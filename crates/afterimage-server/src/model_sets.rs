//! Which of the server's sets of models runs a dialect's model id.

use afterimage_core::ModelName;
use afterimage_jobs::{Queue, UNNAMED};
use std::collections::HashSet;

/// For ids that hold the word, sets of these names are asked first, in this order.
const BY_NAME: [(&str, &[&str]); 3] = [("srpo", &["srpo"]), ("redux", &["redux", "dev"]), ("schnell", &["schnell"])];

/// A set of models that has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSet {
    /// Its name.
    pub name: ModelName,
    /// The ids that it serves, of all dialects, and nothing else; empty: those that come to it by convention.
    pub serves: Vec<String>,
}

/// The sets of models that a server has, in order. None: its only set has no name and serves every id.
#[derive(Clone, Debug, Default)]
pub struct ModelSets {
    sets: Vec<ModelSet>,
    queues: Vec<Queue>,
}

/// Two sets that cannot be told apart.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ambiguous {
    /// Both have the name.
    #[error("there are two sets of this name; give each its own")]
    Name(ModelName),
    /// Both serve the id.
    #[error("serves: {id} is served by {by} already; name it once")]
    Id {
        /// The second one.
        name: ModelName,
        /// The first one.
        by: ModelName,
        /// What both serve.
        id: String,
    },
}

impl ModelSets {
    /// `sets`, of which the first is the default.
    ///
    /// # Errors
    /// [`Ambiguous`].
    pub fn new(sets: Vec<ModelSet>) -> Result<Self, Ambiguous> {
        let mut names = HashSet::new();
        for (number, set) in sets.iter().enumerate() {
            if !names.insert(&set.name) {
                return Err(Ambiguous::Name(set.name.clone()));
            }
            for id in &set.serves {
                if let Some(by) = sets[..number].iter().find(|by| by.serves.contains(id)) {
                    let (name, by) = (set.name.clone(), by.name.clone());
                    return Err(Ambiguous::Id { name, by, id: id.clone() });
                }
            }
        }
        let queues = UNNAMED.into_iter().chain(sets.iter().map(|set| Some(set.name.clone()))).collect();
        Ok(Self { sets, queues })
    }

    /// Where a request for `id` goes; `None` when no set serves it.
    ///
    /// A set that lists the id goes first. Others that list ids serve nothing else. Among the rest a name decides (`srpo` for
    /// ids of SRPO, `redux` or else `dev` for those of Redux, `schnell`), else the first of them takes it.
    pub fn queue_of(&self, id: &str) -> Option<Queue> {
        if self.sets.is_empty() {
            return Some(None);
        }
        let listed = self.sets.iter().find(|set| set.serves.iter().any(|served| served == id));
        let open = || self.sets.iter().filter(|set| set.serves.is_empty());
        let named = || {
            let lower = id.to_ascii_lowercase();
            let words = BY_NAME.iter().find(|(word, _)| lower.contains(word)).map_or(&[][..], |(_, names)| names);
            words.iter().find_map(|name| open().find(|set| set.name.as_str() == *name))
        };
        let set = listed.or_else(named).or_else(|| open().next())?;
        Some(Some(set.name.clone()))
    }

    /// Whether some set serves `id`.
    pub fn serve(&self, id: &str) -> bool {
        self.queue_of(id).is_some()
    }

    /// All queues that requests may go to: that of those which name no set, and one for each set.
    pub fn queues(&self) -> &[Queue] {
        if self.queues.is_empty() { &UNNAMED } else { &self.queues }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REDUX: [&str; 4] = [
        "wavespeed-ai/flux-redux-pro",
        "fal-ai/flux-1/dev/redux",
        "fal-ai/flux-pro/v1.1-ultra/redux",
        "black-forest-labs/FLUX-1-Redux-dev",
    ];
    const SRPO: [&str; 2] = ["wavespeed-ai/flux-srpo/image-to-image", "fal-ai/flux-1/srpo/image-to-image"];

    fn sets(sets: &[(&str, &[&str])]) -> Result<ModelSets, Ambiguous> {
        let set = |(name, serves): &(&str, &[&str])| ModelSet {
            name: name.parse().unwrap(),
            serves: serves.iter().map(|id| (*id).to_owned()).collect(),
        };
        ModelSets::new(sets.iter().map(set).collect())
    }

    fn names(of: &ModelSets, ids: &[&str]) -> Vec<String> {
        ids.iter()
            .map(|id| of.queue_of(id).map_or_else(|| "-".to_owned(), |queue| queue.unwrap().to_string()))
            .collect()
    }

    #[test]
    fn without_sets_all_ids_go_where_they_went() {
        let none = ModelSets::default();
        assert_eq!(none.queue_of(SRPO[0]), Some(None));
        assert_eq!(none.queues(), [None]);
    }

    #[test]
    fn names_decide_else_the_first_takes_it() {
        let plain = sets(&[("schnell", &[]), ("dev", &[]), ("srpo", &[])]).unwrap();
        assert_eq!(names(&plain, &REDUX), ["dev"; 4]);
        assert_eq!(names(&plain, &SRPO), ["srpo"; 2]);
        let redux = sets(&[("dev", &[]), ("redux", &[])]).unwrap();
        assert_eq!(names(&redux, &REDUX), ["redux"; 4]);
        assert_eq!(names(&redux, &SRPO), ["dev"; 2]);
        let other = sets(&[("first", &[]), ("second", &[])]).unwrap();
        assert_eq!(names(&other, &[REDUX[0], SRPO[0]]), ["first"; 2]);
        assert_eq!(other.queues().len(), 3);
    }

    #[test]
    fn lists_win_and_are_complete() {
        let listed = sets(&[("dev", &SRPO[..1]), ("srpo", &[]), ("last", &[])]).unwrap();
        assert_eq!(names(&listed, &SRPO), ["dev", "srpo"]);
        assert_eq!(names(&listed, &REDUX), ["srpo"; 4], "the first of those without a list");
        let all = sets(&[("dev", &SRPO[..1]), ("srpo", &SRPO[1..])]).unwrap();
        assert_eq!(names(&all, &[SRPO[0], SRPO[1], REDUX[0]]), ["dev", "srpo", "-"]);
        assert!(all.serve(SRPO[0]) && !all.serve(REDUX[0]));
    }

    #[test]
    fn two_of_a_kind_are_refused() {
        assert_eq!(sets(&[("dev", &[]), ("dev", &[])]).unwrap_err(), Ambiguous::Name("dev".parse().unwrap()));
        let message = sets(&[("a", &["x"]), ("b", &["y", "x"])]).unwrap_err().to_string();
        assert_eq!(message, "serves: x is served by a already; name it once");
    }
}
