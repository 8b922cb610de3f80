//! The durable queue: job states, store, leases, outbox, blobs, and the worker loop.
//!
//! One database is the only system of record. A dialect turns a request into a [`NewJob`]; [`JobStore::submit`] makes
//! it durable; a worker claims it under a lease, runs it through an [`worker::Executor`] and records its end together with the
//! webhook that reports it. This crate knows nothing of HTTP and tensors.

mod backoff;
mod blobs;
mod clock;
mod clock_trust;
mod data_folder;
mod error;
mod failure;
mod ids;
mod job;
mod measures;
mod price;
pub mod progress;
mod queue;
pub mod remote;
mod result;
pub mod retention;
mod spec_protocol;
pub mod state;
mod steady_time;
mod storage_claim;
mod storage_gate;
mod store;
mod sweeper;
pub mod trace;
mod unfinished;
pub mod worker;

pub use backoff::Backoff;
pub use blobs::{Blobs, BucketCredentials, BucketUrl, StoredBlob, StoredFile};
pub use clock::{Clock, ManualClock, SystemClock, Timestamp};
pub use data_folder::{DataFolderLock, DatabaseLock, is_open_to_others};
pub use error::{Error, Result};
pub use failure::{Failure, FailureKind};
pub use ids::{JobId, KeyId, ProcessId, UploadId, WorkerId};
pub use job::{FetchLease, Idempotency, Job, JobSpec, JobState, Lease, NewJob, OutputSpec, Priority, Source, Webhook};
pub use measures::Measures;
pub use price::Rates;
pub use queue::{Queue, UNNAMED};
pub use result::{JobResult, ResultFile};
pub use state::{MAX_ATTEMPTS, MAX_UNCLEAN_ENDS};
pub use steady_time::SteadyTime;
pub use storage_claim::StorageClaim;
pub use storage_gate::StorageGate;
pub use store::{
    ActivityStore, Announced, ApiKey, CancelOutcome, CancelledAll, DatabaseHealth, Day, DayUse, Delivery, Due, Ends,
    FAILURES_AMONG, FailedJob, Fenced, FetchStore, Fetched, Imported, JobStore, KeyRole, KeyStore, ListFilter,
    MemoryStore, NamedKey, NewKey, NewUpload, NextTry, Outbox, POSITION_LIMIT, Page, Places, PostgresOptions,
    PostgresStore, QueueDepth, QueueLoad, Removed, Renewed, RunPlace, Secret, SeenJob, SettingsStore, Spending,
    SqliteStore, StorageUse, Store, Submitted, Upkeep, Upload, UploadFacts, UploadState, UploadStore, UsageStore,
    UseCounts,
};
pub use sweeper::Sweeper;
