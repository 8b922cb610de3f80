//! Jobs on their way to processes: one channel for each queue, so that none waits behind a job for another set of models.

use super::run::Assignment;
use crate::group::EngineGroup;
use afterimage_core::{ModelName, Result};
use afterimage_jobs::Queue;
use futures_util::future::select_all;
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use tokio::sync::{Mutex, mpsc};

/// Where jobs go in, by their queue.
#[derive(Debug)]
pub struct Senders(BTreeMap<Queue, mpsc::Sender<Assignment>>);

/// Where the processes of a group take their jobs from; shared by all that serve the same queue.
#[derive(Clone, Debug)]
pub struct Receivers(Vec<Arc<Mutex<mpsc::Receiver<Assignment>>>>);

/// Channels for all queues that `groups` serve, and what each of the groups receives from.
pub fn channels(groups: &[EngineGroup]) -> (Senders, Vec<Receivers>) {
    let (mut senders, mut receivers) = (BTreeMap::new(), BTreeMap::new());
    for queue in groups.iter().flat_map(|group| &group.queues) {
        if !senders.contains_key(queue) {
            let (sender, receiver) = mpsc::channel(1);
            senders.insert(queue.clone(), sender);
            receivers.insert(queue, Arc::new(Mutex::new(receiver)));
        }
    }
    let of_group = |group: &EngineGroup| {
        Receivers(group.queues.iter().filter_map(|queue| receivers.get(queue)).map(Arc::clone).collect())
    };
    (Senders(senders), groups.iter().map(of_group).collect())
}

impl Senders {
    /// Hands `assignment` over as soon as a process of its queue can take it. Fails in silence when all of them have ended,
    /// which drops it.
    pub async fn send(&self, assignment: Assignment) {
        if let Some(sender) = self.0.get(&assignment.work.request.model) {
            let _ = sender.send(assignment).await;
        }
    }

    /// Whether some process serves `queue`.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Field`] that lists the queues there are.
    pub fn check(&self, queue: &Queue) -> Result<()> {
        ModelName::check(queue, self.0.keys())
    }
}

impl Receivers {
    /// The next job of any of the queues; `None` when the supervisor was dropped. Can be dropped and called again without
    /// losing one.
    pub async fn next(&self) -> Option<Assignment> {
        if self.0.is_empty() {
            return pending().await;
        }
        select_all(self.0.iter().map(|queue| Box::pin(async { queue.lock().await.recv().await }))).await.0
    }
}
