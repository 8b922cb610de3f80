//! What every handler can reach.

use crate::auth::{GuessGuard, KnownKeys};
use crate::cost::Rates;
use crate::decode::DecodePool;
use crate::fetch::Outbound;
use crate::files::{BeingSent, FileLinks, UploadsInParts};
use crate::http::{BodyReader, PublicUrl, TrustedProxies};
use crate::model_sets::ModelSets;
use crate::operations::Readiness;
use crate::operations::metrics::Metrics;
use crate::storage_room::StorageRoom;
use crate::wait::Observer;
use afterimage_jobs::progress::Events;
use afterimage_jobs::worker::{Engines, Hints};
use afterimage_jobs::{Blobs, StorageClaim, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The application: one per server, shared by all requests.
pub struct App {
    /// Jobs, keys, uploads, outbox.
    pub store: Arc<dyn Store>,
    /// Bytes of inputs, results and uploads.
    pub blobs: Blobs,
    /// Whose files the storage folder holds.
    pub storage_claim: Arc<StorageClaim>,
    /// Who may store how much more.
    pub room: Arc<StorageRoom>,
    /// Whether jobs would be stored and run.
    pub readiness: Readiness,
    /// Wakes workers and passes on cancellations within this process.
    pub hints: Arc<Hints>,
    /// Which sets of models serve which ids.
    pub models: ModelSets,
    /// What runs jobs; none when this server only answers requests.
    pub engines: Arc<dyn Engines>,
    /// Progress of running jobs.
    pub events: Events,
    /// Checks addresses that requests name.
    pub outbound: Outbound,
    /// Checks pictures within bounded memory.
    pub decode: DecodePool,
    /// Reads bodies within bounded memory.
    pub bodies: BodyReader,
    /// Uploads whose bytes are being taken.
    pub being_sent: BeingSent,
    /// Uploads that come in parts.
    pub in_parts: UploadsInParts,
    /// Signed addresses of files.
    pub links: FileLinks,
    /// What addresses in answers start with.
    pub public_url: PublicUrl,
    /// Keys found a moment ago.
    pub known_keys: KnownKeys,
    /// Those who guess keys.
    pub guesses: GuessGuard,
    /// Whose word about a request's sender is believed.
    pub proxies: TrustedProxies,
    /// What a picture costs.
    pub rates: Rates,
    /// Counters and histograms.
    pub metrics: Arc<Metrics>,
    /// How long a synchronous request waits.
    pub sync_timeout: Duration,
    /// The server takes no more connections and starts no more jobs.
    pub stopping: CancellationToken,
}

impl App {
    /// What it takes to follow jobs.
    pub fn observer(&self) -> Observer {
        Observer {
            store: Arc::clone(&self.store),
            hints: Arc::clone(&self.hints),
            events: self.events.clone(),
            stopping: self.stopping.clone(),
        }
    }
}
