//! The store in memory: the plainest implementation, and the oracle that the others are tested against. It applies the
//! state machine directly and looks through everything to find anything.

mod activity;
mod claims;
mod fetches;
mod jobs;
mod keys;
mod outbox;
mod upkeep;
mod uploads;
mod usage;

use super::credentials;
use crate::state::Lifecycle;
use crate::{
    ApiKey, Clock, Day, Ends, Error, Idempotency, Job, JobId, KeyId, Priority, Queue, Result, SettingsStore, Spending,
    Timestamp, Upload, UploadId, UseCounts,
};
use async_trait::async_trait;
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Jobs, keys, uploads, webhooks and settings in memory; lost with the process. Clones share it.
#[derive(Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
    tables: Arc<Mutex<Tables>>,
    away: Arc<AtomicBool>,
}

#[derive(Default)]
struct Tables {
    /// By order of submit.
    jobs: BTreeMap<u64, StoredJob>,
    job_numbers: HashMap<JobId, u64>,
    last_job_number: u64,
    keys: Vec<(ApiKey, String)>,
    /// The largest tag that was claimed from a queue, and where the next job in it of a key and priority may start; see
    /// `order`.
    queue_times: HashMap<Queue, i64>,
    turns: HashMap<(Queue, KeyId, Priority), i64>,
    spending: HashMap<(KeyId, String), Spending>,
    ends: Ends,
    uses: BTreeMap<(Day, KeyId), UseCounts>,
    deliveries: Vec<StoredDelivery>,
    uploads: BTreeMap<UploadId, StoredUpload>,
    server_secret: Option<[u8; 32]>,
    database_id: Option<String>,
    noted_time: Option<Timestamp>,
}

struct StoredJob {
    job: Job,
    lifecycle: Lifecycle,
    due: i64,
    work: i64,
    idempotency: Option<Idempotency>,
    /// Outlives the result when the job is deleted, as the files do.
    result_bytes: u64,
    swept: bool,
}

impl StoredJob {
    fn queue(&self) -> &Queue {
        &self.job.spec.request.model
    }
}

struct StoredDelivery {
    delivery: crate::Delivery,
    next_at: Timestamp,
    finished: bool,
    /// It was put back without an attempt, so it goes before others of its key.
    postponed: bool,
}

struct StoredUpload {
    upload: Upload,
    expired: bool,
}

impl MemoryStore {
    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, tables: Arc::default(), away: Arc::default() }
    }

    /// Whether all of [`crate::JobStore`] answers [`Error::Unavailable`] from now on, as a database does that is away:
    /// for tests of workers and of those who follow jobs.
    pub fn set_away(&self, away: bool) {
        self.away.store(away, Ordering::Relaxed);
    }

    /// Treats every running job as one whose worker died, and webhooks on their way as not sent, as a restart does.
    pub fn expire_leases(&self) -> Vec<JobId> {
        let now = self.clock.now();
        let mut tables = self.tables();
        tables.free_deliveries(now);
        tables.free_fetches(now, Timestamp(i64::MAX));
        tables.rescue_expired(now, Timestamp(i64::MAX))
    }

    /// The tables, unless the store is away.
    fn reach(&self) -> Result<MutexGuard<'_, Tables>> {
        if self.away.load(Ordering::Relaxed) {
            return Err(Error::unavailable("store", "it is away"));
        }
        Ok(self.tables())
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        // Every change is complete before the lock is given back, so a panic elsewhere spoils nothing.
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn check_key(&self, key: &KeyId) -> Result<()> {
        if self.keys.iter().any(|(known, _)| known.id == *key && known.revoked_at.is_none()) {
            return Ok(());
        }
        Err(Error::UnknownKey { key: key.clone() })
    }

    fn stored(&mut self, id: &JobId) -> Option<&mut StoredJob> {
        self.jobs.get_mut(self.job_numbers.get(id)?)
    }
}

#[async_trait]
impl SettingsStore for MemoryStore {
    async fn server_secret(&self) -> Result<[u8; 32]> {
        let fresh = credentials::random()?;
        Ok(*self.tables().server_secret.get_or_insert(fresh))
    }

    async fn database_id(&self) -> Result<String> {
        let mut tables = self.tables();
        Ok(tables.database_id.get_or_insert_with(|| uuid::Uuid::new_v4().to_string()).clone())
    }
}
