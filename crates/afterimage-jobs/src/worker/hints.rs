//! News within one process. Losing one costs time (the next poll or renewal), never correctness; nor does one that
//! is wrong: whoever hears of something looks at the store, which decides.

use crate::{JobId, Queue};
use futures_util::future::select_all;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, broadcast};

/// Wakes those who would otherwise poll.
#[derive(Debug)]
pub struct Hints {
    /// Queues are few: their names are those of a server's sets of models.
    submitted: Mutex<HashMap<Queue, Arc<Notify>>>,
    awaiting: Notify,
    cancel_requested: broadcast::Sender<JobId>,
    ended: broadcast::Sender<JobId>,
}

/// News that a slow listener may fall behind by; it then gets `Lagged` and should look at the store.
const BACKLOG: usize = 1024;

impl Default for Hints {
    fn default() -> Self {
        Self {
            submitted: Mutex::default(),
            awaiting: Notify::new(),
            cancel_requested: broadcast::channel(BACKLOG).0,
            ended: broadcast::channel(BACKLOG).0,
        }
    }
}

impl Hints {
    /// Tells one idle worker of `queue` that a job waits in it. To be called after each submit of a job that awaits no
    /// pictures, and when the pictures of one have come.
    pub fn submitted(&self, queue: &Queue) {
        self.news_of(queue).notify_one();
    }

    /// Tells one idle worker of each queue that a job may wait in it.
    pub fn submitted_somewhere(&self) {
        let queues = self.submitted.lock().unwrap_or_else(PoisonError::into_inner);
        queues.values().for_each(|news| news.notify_one());
    }

    /// Tells those who fetch that a job awaits its pictures. To be called after each submit of such a job.
    pub fn awaiting(&self) {
        self.awaiting.notify_one();
    }

    /// Tells the worker of a running job to look whether it should stop. To be called after each
    /// [`crate::JobStore::cancel`] that answered [`crate::CancelOutcome::Requested`], and for the running ones among
    /// what [`crate::JobStore::delete`] removed.
    pub fn cancel_requested(&self, job: &JobId) {
        // No listener: no worker in this process.
        let _ = self.cancel_requested.send(job.clone());
    }

    /// Tells whoever waits that a job has ended or left its worker. Workers call it; so should whoever cancels or
    /// deletes a waiting job. It may come more than once for one end.
    pub fn ended(&self, job: &JobId) {
        let _ = self.ended.send(job.clone());
    }

    /// Completes at the next [`Hints::submitted`] of one of `queues`.
    pub async fn next_submitted(&self, queues: &[Queue]) {
        let news: Vec<Arc<Notify>> = queues.iter().map(|queue| self.news_of(queue)).collect();
        if news.is_empty() {
            return std::future::pending().await;
        }
        // A hint that comes to one of these while another one completes goes on to the next who waits.
        select_all(news.iter().map(|news| Box::pin(news.notified()))).await;
    }

    fn news_of(&self, queue: &Queue) -> Arc<Notify> {
        let mut queues = self.submitted.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(queues.entry(queue.clone()).or_default())
    }

    /// Completes at the next [`Hints::awaiting`].
    pub async fn next_awaiting(&self) {
        self.awaiting.notified().await;
    }

    /// Listens to [`Hints::cancel_requested`].
    pub fn cancel_requests(&self) -> broadcast::Receiver<JobId> {
        self.cancel_requested.subscribe()
    }

    /// Listens to [`Hints::ended`]. Subscribe before reading the job, so that no end falls in between.
    pub fn ends(&self) -> broadcast::Receiver<JobId> {
        self.ended.subscribe()
    }
}
