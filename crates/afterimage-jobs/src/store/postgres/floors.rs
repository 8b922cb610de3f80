//! Where a process begins to look for the next job of a queue: at the tag of what it claimed last.
//!
//! Entries of what was claimed stay in the index for as long as some transaction may see them, and a claim from the very
//! beginning walks past all of them. So one claim a second does, and finds what was put back or let in before the others;
//! the rest begin at the floor.

use crate::Queue;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// How long a floor is used before everything is looked at again: jobs of high priority and those put back wait for no
/// longer.
const FLOOR_FOR: Duration = Duration::from_secs(1);

/// The floors of a process.
#[derive(Debug, Default)]
pub(super) struct Floors {
    /// Floors lead past what was put back for a moment; with this none are used.
    is_exact: bool,
    floors: Mutex<HashMap<Queue, Floor>>,
}

#[derive(Debug)]
struct Floor {
    due: i64,
    /// When the claim was made from the very beginning that it follows; tells one floor from another.
    since: Instant,
    look_again_at: Instant,
}

/// Where a claim begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Beginning {
    /// The smallest tag worth looking at; `None`: the very beginning.
    pub(super) due: Option<i64>,
    since: Option<Instant>,
}

impl Floors {
    /// None for tests, whose jobs are put back at once.
    pub(super) fn new(is_exact: bool) -> Self {
        Self { is_exact, ..Self::default() }
    }

    /// Where the next claim begins. Of those that ask when it is time to look at everything again, one is sent to the very
    /// beginning.
    pub(super) fn begin(&self, queue: &Queue) -> Beginning {
        let mut floors = self.floors();
        let (Some(floor), false) = (floors.get_mut(queue), self.is_exact) else {
            return Beginning { due: None, since: None };
        };
        let since = Some(floor.since);
        if floor.look_again_at <= Instant::now() {
            floor.look_again_at = Instant::now() + FLOOR_FOR;
            return Beginning { due: None, since };
        }
        Beginning { due: Some(floor.due), since }
    }

    /// A claim that began at `beginning` took a job with this tag.
    pub(super) fn claimed(&self, queue: &Queue, beginning: Beginning, due: i64) {
        let mut floors = self.floors();
        match floors.get_mut(queue) {
            Some(floor) if beginning.due.is_some() => {
                // Not if the floor was lowered meanwhile: what it was lowered for would be missed.
                if beginning.since == Some(floor.since) {
                    floor.due = floor.due.max(due);
                }
            }
            _ => {
                let since = Instant::now();
                floors.insert(queue.clone(), Floor { due, since, look_again_at: since + FLOOR_FOR });
            }
        }
    }

    /// Nothing was found above the floor.
    pub(super) fn forget(&self, queue: &Queue) {
        self.floors().remove(queue);
    }

    fn floors(&self) -> MutexGuard<'_, HashMap<Queue, Floor>> {
        self.floors.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_claim_a_second_looks_at_everything() {
        let (floors, queue) = (Floors::new(false), None);
        assert_eq!(floors.begin(&queue).due, None);
        floors.claimed(&queue, floors.begin(&queue), 5);
        floors.claimed(&queue, floors.begin(&queue), 7);
        floors.claimed(&queue, floors.begin(&queue), 6);
        assert_eq!(floors.begin(&queue).due, Some(7));
        tokio::time::advance(FLOOR_FOR).await;
        let (one, other) = (floors.begin(&queue), floors.begin(&queue));
        assert_eq!((one.due, other.due), (None, Some(7)));
        // What was put back below; the other one must not lead past the next of those.
        floors.claimed(&queue, one, 2);
        floors.claimed(&queue, other, 8);
        assert_eq!(floors.begin(&queue).due, Some(2));
        floors.forget(&queue);
        assert_eq!(floors.begin(&queue).due, None);
    }

    #[tokio::test(start_paused = true)]
    async fn exact_ones_always_look_at_everything() {
        let (floors, queue) = (Floors::new(true), None);
        floors.claimed(&queue, floors.begin(&queue), 5);
        assert_eq!(floors.begin(&queue).due, None);
    }
}
