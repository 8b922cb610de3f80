//! News within one process, and from and to other hosts where there are some. Losing one costs time (the next poll or
//! renewal), never correctness; nor does one that is wrong: whoever hears of something looks at the store, which decides.

use super::crowd::Crowd;
use crate::{JobId, Queue};
use futures_util::future::select_all;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, broadcast, mpsc};

/// Wakes those who would otherwise poll.
#[derive(Debug)]
pub struct Hints {
    /// Queues are few: their names are those of a server's sets of models.
    submitted: Mutex<HashMap<Queue, Arc<Notify>>>,
    awaiting: Notify,
    cancel_requested: broadcast::Sender<JobId>,
    ended: broadcast::Sender<JobId>,
    /// Where what is told here goes on to other hosts.
    outlet: Option<mpsc::Sender<News>>,
    /// Milliseconds between looks at the store for what nobody told; 0: as within one process.
    look_every: AtomicU64,
    /// Who else waits for jobs.
    crowd: Crowd,
}

/// One piece of news.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum News {
    /// See [`Hints::submitted`].
    Submitted(Queue),
    /// See [`Hints::awaiting`].
    Awaiting,
    /// See [`Hints::cancel_requested`].
    CancelRequested(JobId),
    /// See [`Hints::ended`].
    Ended(JobId),
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
            outlet: None,
            look_every: AtomicU64::new(0),
            crowd: Crowd::default(),
        }
    }
}

impl Hints {
    /// Hints whose news other hosts are to hear: whoever sends them there has the other end.
    pub fn with_outlet() -> (Self, mpsc::Receiver<News>) {
        let (outlet, news) = mpsc::channel(BACKLOG);
        (Self { outlet: Some(outlet), ..Self::default() }, news)
    }

    /// Tells this process what another host said.
    pub fn hear(&self, news: &News) {
        match news {
            News::Submitted(queue) => self.news_of(queue).notify_one(),
            News::Awaiting => self.awaiting.notify_one(),
            // No listener: no worker, or nobody who waits, in this process.
            News::CancelRequested(job) => drop(self.cancel_requested.send(job.clone())),
            News::Ended(job) => drop(self.ended.send(job.clone())),
        }
    }

    /// Tells this process what another host told all hosts. Of many who wait for jobs a few look for one that was announced.
    pub fn hear_with_others(&self, news: &News) {
        if !matches!(news, News::Submitted(_)) || self.crowd.is_called_on() {
            self.hear(news);
        }
    }

    fn tell(&self, news: News) {
        self.hear(&news);
        if let Some(outlet) = &self.outlet {
            // Full: the others look by themselves.
            let _ = outlet.try_send(news);
        }
    }

    /// How often to look at the store for what nobody told, where other hosts have a part in it.
    pub fn look_every(&self) -> Option<Duration> {
        match self.look_every.load(Ordering::Relaxed) {
            0 => None,
            milliseconds => Some(self.crowd.look_every(Duration::from_millis(milliseconds))),
        }
    }

    /// Sets [`Hints::look_every`].
    pub fn set_look_every(&self, pause: Duration) {
        self.look_every.store(pause.as_millis() as u64, Ordering::Relaxed);
    }

    /// Says how many jobs can run at once, `own` of them in this process and `all` in those that share the queue.
    pub fn set_slots(&self, own: usize, all: usize) {
        self.crowd.set(own, all);
    }

    /// Whether other hosts have a part in the queue.
    pub const fn reach_hosts(&self) -> bool {
        self.outlet.is_some()
    }

    /// Tells one idle worker of `queue` that a job waits in it. To be called after each submit of a job that awaits no
    /// pictures, and when the pictures of one have come.
    pub fn submitted(&self, queue: &Queue) {
        self.tell(News::Submitted(queue.clone()));
    }

    /// Tells one idle worker of each queue in this process that a job may wait in it.
    pub fn submitted_somewhere(&self) {
        let queues = self.submitted.lock().unwrap_or_else(PoisonError::into_inner);
        queues.values().for_each(|news| news.notify_one());
    }

    /// Tells those who fetch that a job awaits its pictures. To be called after each submit of such a job.
    pub fn awaiting(&self) {
        self.tell(News::Awaiting);
    }

    /// Tells the worker of a running job to look whether it should stop. To be called after each
    /// [`crate::JobStore::cancel`] that answered [`crate::CancelOutcome::Requested`], and for the running ones among
    /// what [`crate::JobStore::delete`] removed.
    pub fn cancel_requested(&self, job: &JobId) {
        self.tell(News::CancelRequested(job.clone()));
    }

    /// Tells whoever waits that a job has ended or left its worker. Workers call it; so should whoever cancels or
    /// deletes a waiting job. It may come more than once for one end.
    pub fn ended(&self, job: &JobId) {
        self.tell(News::Ended(job.clone()));
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
