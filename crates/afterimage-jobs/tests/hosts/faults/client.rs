//! Who uses the installation: submits and cancels all the time, and gets webhooks.

use crate::host::job;
use crate::waiting::until;
use afterimage_jobs::{Error, JobId, JobStore, KeyId, NewJob, Outbox, Places, PostgresStore, Webhook};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::random::Random;

/// Clients that submit at once: together about half of what the workers can do while nothing fails.
const SUBMITTERS: u64 = 4;

/// The API server that there is at the moment.
pub type CurrentApi = Arc<Mutex<PostgresStore>>;

/// What the client knows.
#[derive(Default)]
pub struct Notes {
    /// Jobs that were acknowledged, and whether their end was asked for.
    pub acknowledged: HashMap<JobId, bool>,
    /// Jobs whose webhook was sent.
    pub told: HashSet<JobId>,
    /// Requests that were answered 503.
    pub refused: u64,
}

pub struct Client {
    pub notes: Arc<Mutex<Notes>>,
    submitters: Vec<JoinHandle<()>>,
    webhooks: JoinHandle<()>,
}

impl Client {
    pub fn start(api: &CurrentApi, key: &KeyId, seed: u64) -> Self {
        let notes = Arc::new(Mutex::new(Notes::default()));
        let submitter = || Submitter { api: api.clone(), key: key.clone(), notes: notes.clone() };
        let submitters =
            (0..SUBMITTERS).map(|number| tokio::spawn(submitter().run(Random::of(seed ^ (number << 32))))).collect();
        let webhooks = tokio::spawn(send_webhooks(api.clone(), notes.clone()));
        Self { notes, submitters, webhooks }
    }

    /// Ends the submits; webhooks go on.
    pub fn stop_submitting(&self) {
        self.submitters.iter().for_each(JoinHandle::abort);
    }

    /// Waits until everybody was told.
    pub async fn all_are_told(&self, jobs: &HashSet<JobId>) -> Duration {
        until("webhooks are sent", Duration::from_mins(1), async || self.notes.lock().unwrap().told.is_superset(jobs))
            .await
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.stop_submitting();
        self.webhooks.abort();
    }
}

struct Submitter {
    api: CurrentApi,
    key: KeyId,
    notes: Arc<Mutex<Notes>>,
}

impl Submitter {
    async fn run(self, mut random: Random) {
        loop {
            let webhook = Webhook { url: "http://127.0.0.1:9/".to_owned(), dialect: "wavespeed".to_owned() };
            let new = NewJob { webhook: Some(webhook), ..job(&self.key, 50 + random.below(150) as u32) };
            // One of eight clients does not ask again.
            let most_tries = if random.below(8) == 0 { 1 } else { 1000 };
            self.submit(&new, most_tries).await;
            if random.below(10) == 0 {
                self.cancel(&new.id).await;
            }
            // Real time: so many requests a second.
            sleep(random.between(400, 1400)).await;
        }
    }

    fn store(&self) -> PostgresStore {
        self.api.lock().unwrap().clone()
    }

    /// Asks until it is acknowledged, with the same id each time.
    async fn submit(&self, new: &NewJob, most_tries: usize) {
        for _ in 0..most_tries {
            match self.store().submit(new.clone()).await {
                Ok(submitted) => {
                    self.notes.lock().unwrap().acknowledged.insert(submitted.into_job().id, false);
                    return;
                }
                Err(error) => {
                    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
                    self.notes.lock().unwrap().refused += 1;
                    // Real time: what `Retry-After` would say, shorter.
                    sleep(Duration::from_millis(300)).await;
                }
            }
        }
    }

    async fn cancel(&self, id: &JobId) {
        if let Some(asked) = self.notes.lock().unwrap().acknowledged.get_mut(id) {
            // Before the answer: it may have been heard although that was lost.
            *asked = true;
        }
        let _ = self.store().cancel(&self.key, id).await;
    }
}

/// Sends webhooks, as far as the queue can tell.
async fn send_webhooks(api: CurrentApi, notes: Arc<Mutex<Notes>>) {
    loop {
        let store = api.lock().unwrap().clone();
        let due = store.due_deliveries(50, &Places::new(64), Duration::from_secs(10)).await.unwrap_or_default();
        for delivery in due {
            notes.lock().unwrap().told.insert(delivery.job);
            let _ = store.delivered(delivery.id, delivery.attempt).await;
        }
        // Real time: how often the sender looks.
        sleep(Duration::from_millis(300)).await;
    }
}
