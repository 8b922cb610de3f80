//! What lies in the data folder when everything is over.

use crate::ledger::Ledger;
use afterimage_jobs::retention::{Retention, sweep_orphans};
use afterimage_jobs::{
    Blobs, Clock, DataFolderLock, FailureKind, Job, JobId, JobState, JobStore, KeyId, KeyStore, ListFilter, Outbox,
    SqliteStore, SystemClock, Timestamp,
};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Findings.
#[derive(Default)]
pub struct Remains {
    pub violations: Vec<String>,
    jobs: u64,
    ended: u64,
    succeeded: u64,
    quarantined: u64,
    most_attempts: u32,
    unclean_ends: u32,
    result_files: usize,
    orphans: u64,
    open_webhooks: u64,
}

/// Looks through database and files of a server that has ended. `ledgers`: by the names of their keys.
pub async fn examine(data: &Path, ledgers: &[(&str, &Ledger)]) -> Remains {
    let _lock = DataFolderLock::acquire(data).unwrap();
    let store = SqliteStore::open(data, Arc::new(SystemClock)).await.unwrap();
    let blobs = Blobs::local(data).unwrap();
    let mut remains = Remains::default();

    // Nothing is written any more, so every file without a row is an orphan, however young.
    let retention = Retention { orphans: Duration::ZERO, ..Retention::default() };
    let later = Timestamp(SystemClock.now().0 + 60_000);
    remains.orphans = sweep_orphans(&store, &blobs, &retention, later).await.unwrap();
    for (name, ledger) in ledgers {
        remains.compare_with_ledger(&store, name, ledger).await;
    }
    remains.compare_with_files(data, &store).await;
    // Only of jobs whose acknowledgement was lost: nobody waited for those.
    remains.open_webhooks = store.open_deliveries().await.unwrap();
    remains
}

impl Remains {
    async fn compare_with_ledger(&mut self, store: &SqliteStore, name: &str, ledger: &Ledger) {
        let key = store.keys().await.unwrap().into_iter().find(|key| key.name == name).unwrap().id;
        for id in ledger.ids() {
            let job = store.job(&JobId::parse(&id).unwrap()).await.unwrap();
            match job {
                None => self.violations.push(format!("{id}: acknowledged, but not in the database")),
                Some(job) if !job.state.is_terminal() => {
                    self.violations.push(format!("{id}: still {:?} in the database", job.state));
                }
                Some(job) if job.key != key || job.deleted => {
                    self.violations.push(format!("{id}: somebody else's or deleted: {job:?}"));
                }
                Some(job) => {
                    let crashed = job.failure.is_some_and(|failure| failure.kind == FailureKind::Crashed);
                    if crashed != job.quarantined || (crashed && job.unclean_ends < 2) {
                        self.violations.push(format!("{id}: failed after {} unclean ends", job.unclean_ends));
                    }
                }
            }
        }
    }

    /// Every file under `results` belongs to exactly one job that succeeded, and every one of those has its file.
    async fn compare_with_files(&mut self, data: &Path, store: &SqliteStore) {
        let mut wanted = BTreeSet::new();
        for key in store.keys().await.unwrap() {
            let mut succeeded = 0;
            for job in all_jobs(store, &key.id).await {
                self.jobs += 1;
                self.ended += u64::from(job.state.is_terminal());
                succeeded += u64::from(job.state == JobState::Succeeded);
                self.quarantined += u64::from(job.quarantined);
                self.most_attempts = self.most_attempts.max(job.attempt);
                self.unclean_ends += job.unclean_ends;
                wanted.extend(job.result.iter().flat_map(|result| &result.files).map(|file| data.join(&file.blob)));
            }
            // Every success is counted once, in the transaction that records it.
            let counted = store.spending(&key.id, None).await.unwrap().jobs;
            if counted != succeeded {
                self.violations.push(format!("{counted} results of {} were recorded for {succeeded} jobs", key.name));
            }
            self.succeeded += succeeded;
        }
        let found = files_in(&data.join("results"));
        self.result_files = found.len();
        let describe = |path: &Path| path.strip_prefix(data).unwrap().display().to_string();
        self.violations.extend(wanted.difference(&found).map(|path| format!("{}: result is missing", describe(path))));
        self.violations.extend(found.difference(&wanted).map(|path| format!("{}: nobody's result", describe(path))));

        // So is every end of any kind.
        let ends = store.ends().await.unwrap();
        let counted = ends.succeeded + ends.failed + ends.cancelled;
        if (counted, ends.succeeded) != (self.ended, self.succeeded) {
            self.violations.push(format!("{} ends of jobs were counted as {ends:?}", self.ended));
        }
    }

    /// Figures.
    pub fn summary(&self) -> Value {
        json!({
            "jobs": self.jobs,
            "succeeded": self.succeeded,
            "quarantined": self.quarantined,
            "most_attempts_of_one_job": self.most_attempts,
            "unclean_ends": self.unclean_ends,
            "result_files": self.result_files,
            "orphaned_files_swept": self.orphans,
            "webhooks_still_to_be_sent": self.open_webhooks,
        })
    }
}

async fn all_jobs(store: &SqliteStore, key: &KeyId) -> Vec<Job> {
    let mut all = Vec::new();
    for page in 1.. {
        let filter = ListFilter { page, page_size: 100, ..ListFilter::default() };
        let jobs = store.list(key, &filter).await.unwrap().jobs;
        if jobs.is_empty() {
            break;
        }
        all.extend(jobs);
    }
    all
}

fn files_in(folder: &Path) -> BTreeSet<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return BTreeSet::new() };
    entries
        .flat_map(|entry| {
            let path = entry.unwrap().path();
            if path.is_dir() { files_in(&path) } else { BTreeSet::from([path]) }
        })
        .collect()
}
