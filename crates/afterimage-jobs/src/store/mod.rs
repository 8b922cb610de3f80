//! What the queue needs of a database, as traits: one test suite runs against every implementation.

mod activity;
mod credentials;
mod endings;
mod fetches;
mod jobs;
mod keys;
mod memory;
mod order;
mod outbox;
mod postgres;
mod settings;
mod sql;
mod sqlite;
mod upkeep;
mod uploads;
mod usage;

pub use activity::{ActivityStore, Day, DayUse, FAILURES_AMONG, FailedJob, NamedKey, UseCounts};
pub use fetches::{FetchStore, Fetched};
pub use jobs::{
    CancelOutcome, CancelledAll, Due, Ends, Fenced, JobStore, ListFilter, POSITION_LIMIT, Page, QueueDepth, QueueLoad,
    Removed, Renewed, Spending, Submitted,
};
pub use keys::{ApiKey, KeyRole, KeyStore, NewKey, Secret};
pub use memory::MemoryStore;
pub use outbox::{Delivery, NextTry, Outbox, Places};
pub use postgres::{Announced, DatabaseHealth, Imported, PostgresOptions, PostgresStore, RunPlace, SeenJob};
pub use settings::SettingsStore;
pub use sqlite::SqliteStore;
pub use upkeep::Upkeep;
pub use uploads::{NewUpload, Upload, UploadFacts, UploadState, UploadStore};
pub use usage::{StorageUse, UsageStore};

/// Everything at once: what a server holds as `Arc<dyn Store>`.
pub trait Store:
    JobStore + FetchStore + KeyStore + UploadStore + UsageStore + ActivityStore + Outbox + SettingsStore + Upkeep
{
}

impl<T> Store for T where
    T: JobStore + FetchStore + KeyStore + UploadStore + UsageStore + ActivityStore + Outbox + SettingsStore + Upkeep
{
}
