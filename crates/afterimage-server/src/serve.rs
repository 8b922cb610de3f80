//! Putting the parts together: start, run, stop.

use crate::app::App;
use crate::auth::{GuessGuard, KnownKeys};
use crate::decode::DecodePool;
use crate::dialects::{fal, openai, wavespeed};
use crate::fetch::{FetchLimits, Fetcher, Outbound, OutboundOptions};
use crate::fetchers::{Fetchers, POOL};
use crate::files::{BeingSent, FileLinks, Signer, UploadsInParts};
use crate::free_space::Disks;
use crate::http::{BodyReader, PublicUrl, TrustedProxies};
use crate::listen::{ConnectionLimits, ListenError, Listener};
use crate::operations::metrics::{Metrics, admin_router};
use crate::operations::{Counted, Readiness};
use crate::options::ServeOptions;
use crate::router::{paths, routes, served};
use crate::storage_room::StorageRoom;
use crate::webhooks::{Deliverer, Render};
use afterimage_core::PictureLimits;
use afterimage_jobs::progress::Events;
use afterimage_jobs::retention::Retention;
use afterimage_jobs::worker::{Hints, UnusableEngine, WorkerOptions, Workers};
use afterimage_jobs::{
    Blobs, DataFolderLock, DatabaseLock, Error as StoreError, JobStore, KeyStore, NewKey, Queue, Secret, SettingsStore,
    SqliteStore, StorageClaim, Store, Sweeper, SystemClock, is_open_to_others,
};
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Memory that pictures under inspection may take together.
const DECODE_BUDGET: u64 = 1 << 30;

/// Pictures under inspection at once: the rest of the machine belongs to the engine.
const DECODE_THREADS: usize = 4;

/// Connections to the metrics at once.
const ADMIN_CONNECTIONS: usize = 64;

/// Why a server did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The address cannot be listened on, or its certificate cannot be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The data folder cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The models cannot be opened, and trying again will not help.
    #[error(transparent)]
    Engine(#[from] UnusableEngine),
    /// The platform's certificate authorities cannot be read.
    #[error("certificate authorities: {0}")]
    Authorities(#[from] rustls::Error),
}

/// What a person should be told when the server is up.
#[derive(Clone, Debug)]
pub struct Started {
    /// Address of the API and the playground, with its scheme.
    pub url: String,
    /// Address of the metrics.
    pub admin_address: Option<SocketAddr>,
    /// The key that was made because there was none yet.
    pub first_key: Option<Secret>,
    /// Paths of all routes of the API, parameters in braces.
    pub paths: Vec<String>,
}

/// Runs a server until `stop`, then ends it in good order: no new connections, running jobs finish or go back to the
/// queue within [`ServeOptions::stop_within`]. `started` is called when requests are answered.
///
/// # Errors
/// [`ServeError`] when it cannot start.
pub async fn serve(
    options: ServeOptions,
    stop: CancellationToken,
    started: impl FnOnce(&Started),
) -> Result<(), ServeError> {
    // Both listeners first: a port that is taken should be told before anything is made.
    let listener = Listener::bind(options.listen, options.tls.as_ref()).await?;
    let admin = match options.admin_listen {
        Some(address) => Some(Listener::bind(address, None).await?),
        None => None,
    };
    let lock = DataFolderLock::acquire(&options.data_dir)?;
    let in_folder = options.data_dir.join(SqliteStore::FILE_NAME);
    let database = options.database.as_ref().unwrap_or(&in_folder);
    // A database elsewhere has locks of its own: another server may come to it from another data folder.
    let _folder_lock = match database.parent().filter(|folder| *folder != options.data_dir) {
        Some(folder) => Some(DataFolderLock::acquire(folder)?),
        None => None,
    };
    let _database_lock = DatabaseLock::acquire(database)?;
    let sqlite = SqliteStore::open_file(database, Arc::new(SystemClock)).await?;
    for job in sqlite.expire_leases(&lock).await? {
        tracing::warn!(job_id = %job, "the server ended while this job ran; that attempt counts as unclean");
    }
    warn_of_unserved_jobs(&sqlite, options.models.queues()).await?;
    let first_key = provide_key(&sqlite, options.api_key.clone()).await?;
    let storage = options.storage.as_ref().unwrap_or(&options.data_dir);
    let storage_claim = claim_storage(storage, &sqlite).await?;
    let folders = [database.parent(), Some(storage)];
    for folder in folders.into_iter().flatten().collect::<BTreeSet<_>>() {
        warn_of_open_folder(folder);
    }
    let disks = [("database", database.parent()), ("storage", Some(storage.as_path()))];
    let disks = disks.into_iter().filter_map(|(name, folder)| Some((name, folder?.to_owned())));
    let links = FileLinks::new(Signer::new(sqlite.server_secret().await?), options.retention);
    let store: Arc<dyn Store> = Arc::new(sqlite);
    let outbound = Outbound::system(&OutboundOptions {
        allow_private_networks: options.allow_private_networks,
        ..OutboundOptions::default()
    })?;
    let closing = CancellationToken::new();
    let proxies = TrustedProxies::from(options.trusted_proxies.clone());
    let app = Arc::new(App {
        store,
        blobs: Blobs::local(storage)?,
        storage_claim: Arc::new(storage_claim),
        room: Arc::new(StorageRoom::new(options.quota, Disks::of(disks.collect()))),
        readiness: Readiness::default(),
        hints: Arc::new(Hints::default()),
        models: options.models,
        engines: options.engines.start(options.workers),
        events: Events::default(),
        outbound,
        decode: DecodePool::new(PictureLimits::default(), DECODE_BUDGET, DECODE_THREADS),
        bodies: BodyReader::default(),
        being_sent: BeingSent::default(),
        in_parts: UploadsInParts::default(),
        links,
        public_url: PublicUrl::new(options.public_url.as_ref(), listener.address().to_string(), options.tls.is_some()),
        known_keys: KnownKeys::default(),
        guesses: GuessGuard::default(),
        proxies: proxies.clone(),
        rates: options.rates,
        metrics: Arc::new(Metrics::default()),
        sync_timeout: options.sync_timeout,
        stopping: closing.clone(),
    });
    let routes = routes(&app);
    let announced = Started {
        url: format!("{}://{}", if options.tls.is_some() { "https" } else { "http" }, listener.address()),
        admin_address: admin.as_ref().map(Listener::address),
        first_key,
        paths: paths(&routes),
    };

    let background = CancellationToken::new();
    let mut tasks = JoinSet::new();
    tasks.spawn(clean_up(Arc::clone(&app), options.retention, background.clone()));
    let renderers: HashMap<String, Arc<dyn Render>> = HashMap::from([
        (wavespeed::DIALECT.to_owned(), Arc::new(wavespeed::WebhookRenderer(app.links.clone())) as _),
        (fal::DIALECT.to_owned(), Arc::new(fal::webhook::WebhookRenderer(app.links.clone())) as _),
        (openai::DIALECT.to_owned(), Arc::new(openai::WebhookRenderer(app.blobs.clone())) as _),
    ]);
    let deliverer = Deliverer::new(Arc::clone(&app.store), renderers, app.outbound.clone());
    tasks.spawn(deliverer.run(background.clone()));
    // Also without workers: what is submitted here may run elsewhere, and its pictures need not wait for that.
    let fetchers = Fetchers {
        store: Arc::clone(&app.store),
        blobs: app.blobs.clone(),
        hints: Arc::clone(&app.hints),
        room: Arc::clone(&app.room),
        decode: app.decode.clone(),
        fetcher: Fetcher::new(app.outbound.clone(), FetchLimits { parallel: POOL, ..FetchLimits::default() }),
    };
    tasks.spawn(fetchers.run(background.clone()));
    let executor = Arc::clone(&app.engines).executor(app.blobs.clone(), app.events.clone());
    let executor = Counted { executor, metrics: Arc::clone(&app.metrics) };
    // A slot for each engine process: no job is claimed that has to wait for one that is busy.
    let slots = app.engines.statuses().into_iter().map(|engine| engine.queues).collect();
    let workers = Workers::start(
        Arc::clone(&app.store),
        app.blobs.clone(),
        Arc::new(executor),
        Arc::clone(&app.hints),
        WorkerOptions { slots, ..WorkerOptions::default() },
    );

    let mut servers = JoinSet::new();
    let limits = options.connections.granted();
    servers.spawn(listener.serve(served(routes), limits, proxies.clone(), closing.clone(), options.stop_within));
    if let Some(admin) = admin {
        let limits = ConnectionLimits { total: limits.total.min(ADMIN_CONNECTIONS), ..limits };
        let routes = admin_router(Arc::clone(&app));
        servers.spawn(admin.serve(routes, limits, proxies, closing.clone(), options.stop_within));
    }
    started(&announced);

    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(()),
        failure = app.engines.unusable() => Err(ServeError::Engine(failure)),
    };
    tracing::info!("stopping: running jobs finish or go back to the queue");
    // Also tells whoever waits for a job that waits itself.
    closing.cancel();
    workers.stop().await;
    app.engines.shut_down(options.stop_within).await;
    background.cancel();
    while servers.join_next().await.is_some() {}
    while tasks.join_next().await.is_some() {}
    if let Err(error) = app.store.forget_deleted().await {
        tracing::warn!(%error, "what was deleted is not out of the database's log yet; the next start sees to it");
    }
    outcome
}

/// Adds the key that was named, or makes one when there is none at all; returns the latter.
async fn provide_key(store: &SqliteStore, named: Option<Secret>) -> Result<Option<Secret>, StoreError> {
    if let Some(secret) = named {
        store
            .create_key(NewKey { name: "from the command line".to_owned(), concurrency: None, secret: Some(secret) })
            .await?;
        return Ok(None);
    }
    if !store.keys().await?.is_empty() {
        return Ok(None);
    }
    let (_, secret) = store.create_key(NewKey { name: "first".to_owned(), ..NewKey::default() }).await?;
    Ok(Some(secret))
}

/// How often files and rows past their time are removed.
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// Removes what is older than `kept`. A tombstone tells "deleted" from "unknown" for as long again.
async fn clean_up(app: Arc<App>, kept: Duration, stop: CancellationToken) {
    let sweeper = Sweeper {
        store: Arc::clone(&app.store),
        blobs: app.blobs.clone(),
        claim: Some(Arc::clone(&app.storage_claim)),
        retention: Retention { jobs: kept, tombstones: 2 * kept, uploads: kept, ..Retention::default() },
        clock: Arc::new(SystemClock),
        interval: SWEEP_EVERY,
    };
    sweeper.run(stop).await;
}

/// Takes the storage folder for this database.
async fn claim_storage(folder: &Path, store: &SqliteStore) -> Result<StorageClaim, StoreError> {
    let claim = StorageClaim::acquire(folder, &store.database_id().await?)?;
    if !claim.is_ours()? {
        tracing::warn!(
            mark = %claim.mark().display(),
            "the storage folder holds files of another database; they stay until that file is removed and the server is \
             started again"
        );
    }
    Ok(claim)
}

/// What was accepted for a set of models that is not there any more is kept, in case that was a mistake.
async fn warn_of_unserved_jobs(store: &SqliteStore, served: &[Queue]) -> Result<(), StoreError> {
    for (queue, jobs) in store.due_by_queue().await? {
        if !served.contains(&queue) {
            tracing::warn!(
                model = queue.as_ref().map(tracing::field::display),
                jobs,
                "jobs wait for a set of models that this server does not have; they wait on, until a server has it or they \
                 are cancelled"
            );
        }
    }
    Ok(())
}

/// What was made before is as open as somebody made it.
fn warn_of_open_folder(folder: &Path) {
    if is_open_to_others(folder).is_ok_and(|open| open) {
        tracing::warn!(
            folder = %folder.display(),
            "other users of this machine may enter the folder; the files in it are readable by this one only, but not \
             their names and sizes (chmod 700 closes it)"
        );
    }
}
