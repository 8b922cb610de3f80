//! The server's parts, put together once.

use crate::auth::Auth;
use crate::cost::Rates;
use crate::dialects::DialectParts;
use crate::fetch::{FetchLimits, Fetcher, Outbound};
use crate::fetchers::{FetchParts, POOL};
use crate::files::{FileLinks, Media, ResultFiles};
use crate::follow::{Follower, SyncRunner};
use crate::http::{BodyReader, PublicUrl, TrustedProxies};
use crate::intake::Intake;
use crate::internal::Neighbours;
use crate::loras::LoraFolders;
use crate::model_sets::ModelSets;
use crate::operations::load::LoadSources;
use crate::operations::loras::LoraSources;
use crate::operations::metrics::{MetricSources, Metrics};
use crate::operations::operator::OperatorSources;
use crate::operations::status::{SafetyPolicy, StatusSources};
use crate::operations::{Needs, Readiness};
use crate::picture_check::PictureChecker;
use crate::storage_room::StorageRoom;
use crate::submit::Submitter;
use afterimage_core::PictureLimits;
use afterimage_jobs::progress::Events;
use afterimage_jobs::worker::{Engines, Hints};
use afterimage_jobs::{Blobs, Measures, StorageClaim, StorageGate, Store};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Memory that pictures under inspection may take together.
const CHECK_BUDGET: u64 = 1 << 30;

/// Pictures under inspection at once: the rest of the machine belongs to the engine.
const CHECK_THREADS: usize = 4;

/// What all parts are made of.
pub struct Resources {
    /// Jobs, keys, uploads, outbox.
    pub store: Arc<dyn Store>,
    /// News of this process, and of others that use the same store.
    pub hints: Arc<Hints>,
    /// Other processes of the same database, where there can be some.
    pub neighbours: Option<Neighbours>,
    /// What this process does, see [`crate::operations::host_gauges::role`].
    pub role: &'static str,
    /// What the queue counts and times.
    pub measures: Measures,
    /// Whether this server is to run jobs, or only to accept them.
    pub needs_engines: bool,
    /// Bytes of inputs, results and uploads.
    pub blobs: Blobs,
    /// Whether whoever asks for a file in a bucket is sent there.
    pub redirect_downloads: bool,
    /// Whose files the storage holds.
    pub storage_claim: Arc<StorageClaim>,
    /// Who may store how much more.
    pub room: StorageRoom,
    /// Which sets of models serve which ids.
    pub models: Arc<ModelSets>,
    /// Where requests find LoRAs by name.
    pub loras: LoraFolders,
    /// What runs jobs; none when this server only answers requests.
    pub engines: Arc<dyn Engines>,
    /// What becomes of pictures that their safety checkers flag.
    pub safety: SafetyPolicy,
    /// Checks addresses that requests name.
    pub outbound: Outbound,
    /// Signed addresses of files.
    pub links: FileLinks,
    /// What addresses in answers start with.
    pub public_url: PublicUrl,
    /// Whose word about a request's sender is believed.
    pub proxies: TrustedProxies,
    /// What a picture costs.
    pub rates: Rates,
    /// How long a synchronous request waits.
    pub sync_timeout: Duration,
    /// The server takes no more connections and starts no more jobs.
    pub stopping: CancellationToken,
    /// Whoever waits for a job is answered now.
    pub leaving: CancellationToken,
}

/// One server. Requests are answered by its parts; nothing takes it as a whole but what starts and stops it.
pub struct App {
    /// What answers requests to the dialects.
    pub dialects: DialectParts,
    /// Whether jobs would be stored and run.
    pub readiness: Arc<Readiness>,
    /// Counters, histograms, and what is read besides them.
    pub metrics: MetricSources,
    /// What runs jobs, and what came of them, for those who ask.
    pub operator: OperatorSources,
    /// How much there is to do, for what starts and stops workers.
    pub load: LoadSources,
    /// Which LoRAs requests can name, for those who ask.
    pub loras: LoraSources,
    /// Whose files the storage holds.
    pub storage_claim: Arc<StorageClaim>,
}

impl App {
    /// Puts the parts together.
    pub fn new(resources: Resources) -> Self {
        let Resources {
            store,
            hints,
            blobs,
            storage_claim,
            models,
            loras,
            engines,
            outbound,
            links,
            public_url,
            stopping,
            leaving,
            neighbours,
            ..
        } = resources;
        let room = Arc::new(resources.room);
        let bodies = BodyReader::default();
        let pictures = PictureChecker::new(PictureLimits::default(), CHECK_BUDGET, CHECK_THREADS);
        let submitter = Submitter {
            store: Arc::clone(&store),
            blobs: blobs.clone(),
            hints: Arc::clone(&hints),
            room: Arc::clone(&room),
            outbound: outbound.clone(),
            rates: resources.rates,
            models: Arc::clone(&models),
            loras: loras.clone(),
            engines: Arc::clone(&engines),
        };
        let others = neighbours.clone();
        let shared = neighbours.as_ref().map(|neighbours| neighbours.store.clone());
        let follower =
            Follower { store: Arc::clone(&store), hints, events: Events::default(), stopping, leaving, neighbours };
        let media = Media {
            store: Arc::clone(&store),
            blobs: blobs.clone(),
            redirects: resources.redirect_downloads,
            links: links.clone(),
            room: Arc::clone(&room),
            pictures: pictures.clone(),
            bodies: bodies.clone(),
            in_parts: Arc::default(),
            being_sent: Arc::default(),
        };
        let dialects = DialectParts {
            auth: Auth::new(Arc::clone(&store), resources.proxies),
            store: Arc::clone(&store),
            intake: Intake { bodies, public_url, pictures, store: Arc::clone(&store), links: links.clone(), outbound },
            sync: SyncRunner { submitter, follower, timeout: resources.sync_timeout },
            results: ResultFiles { links, blobs },
            media,
        };
        let needs = Needs {
            store: Arc::clone(&store),
            storage_claim: Arc::clone(&storage_claim),
            room: Arc::clone(&room),
            engines: resources.needs_engines.then(|| Arc::clone(&engines)),
            stopping: dialects.sync.follower.stopping.clone(),
        };
        let loras = LoraSources { folders: loras, models };
        let status = StatusSources { engines: Arc::clone(&engines), policy: resources.safety, shared: shared.clone() };
        let operator = OperatorSources { status, store: Arc::clone(&store) };
        let load = LoadSources { store: Arc::clone(&store), engines: Arc::clone(&engines) };
        let metrics = Metrics::new(&resources.measures, resources.role, shared.is_some());
        let metrics = MetricSources { metrics: Arc::new(metrics), store, engines, room, neighbours: others };
        Self { dialects, readiness: Arc::new(Readiness::new(needs)), metrics, operator, load, loras, storage_claim }
    }

    /// What fetches the pictures of jobs that lie elsewhere.
    pub fn fetch_parts(&self) -> FetchParts {
        let submitter = &self.dialects.sync.submitter;
        let limits = FetchLimits { parallel: POOL, ..FetchLimits::default() };
        FetchParts {
            store: Arc::clone(&submitter.store),
            blobs: submitter.blobs.clone(),
            storage: StorageGate::new(submitter.blobs.clone()),
            hints: Arc::clone(&submitter.hints),
            room: Arc::clone(&submitter.room),
            pictures: self.dialects.intake.pictures.clone(),
            fetcher: Fetcher::new(submitter.outbound.clone(), limits),
        }
    }
}
