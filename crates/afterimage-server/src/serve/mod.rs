//! One server from start to stop.

mod background;
mod data;
mod listeners;

use crate::app::{App, Resources};
use crate::fetch::{Outbound, OutboundOptions};
use crate::files::{FileLinks, Signer};
use crate::free_space::Disks;
use crate::http::{PublicUrl, TrustedProxies};
use crate::internal::{HttpAsk, Neighbours, Passes, announced_address};
use crate::listen::{ListenError, Listener};
use crate::operations::host_gauges::role;
use crate::options::ServeOptions;
use crate::router::paths;
use crate::storage_room::StorageRoom;
use afterimage_jobs::remote::{DatabaseTime, LastHeard};
use afterimage_jobs::worker::{Hints, UnusableEngine, WorkerOptions};
use afterimage_jobs::{Error as StoreError, PostgresStore, ProcessId};
use background::{remote_hosts, start_background, start_workers};
use data::Data;
pub use listeners::Started;
use listeners::{Listeners, Routes};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What whoever waits is given beyond the time that jobs have to finish, so that those that just did are told of.
const ANSWERING: Duration = Duration::from_secs(1);

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
    let listeners = Listeners::bind(&options).await?;
    // What opens the data is large and done within a moment; what serves lives as long as the process.
    let (data, _locks) = Box::pin(Data::open(&options)).await?;
    let measures = data.measures.clone();
    let first_key = data.first_key.clone();
    let (closing, leaving) = (CancellationToken::new(), CancellationToken::new());
    let process = ProcessId::random();
    let signer = Signer::new(data.store.server_secret().await?);
    let neighbours = match &data.shared {
        Some(store) => Some(neighbours(process.clone(), store.clone(), signer.clone())?),
        None => None,
    };
    let (hints, outlet) = if neighbours.is_some() {
        let (hints, outlet) = Hints::with_outlet();
        (hints, Some(outlet))
    } else {
        (Hints::default(), None)
    };
    let api = listeners.api.as_ref();
    let ends = (closing.clone(), leaving.clone());
    let resources = resources(&options, data, signer, hints, neighbours.clone(), api, ends)?;
    let app = App::new(resources);
    let routes = Routes::of(&app, neighbours.as_ref());
    let announced = listeners.announced(&options, first_key, paths(&routes.api));
    let background = CancellationToken::new();
    // Whoever waits here for a job that runs elsewhere hears of its end until the last answer is given.
    let hearing = CancellationToken::new();
    let mut tasks = match options.listen {
        Some(_) => start_background(&app, options.retention, &background),
        None => JoinSet::new(),
    };
    if let Some((neighbours, outlet)) = neighbours.zip(outlet) {
        let address = match &listeners.internal {
            Some(listener) => Some(announced_address(listener.address(), neighbours.store.host()).await.to_string()),
            None => None,
        };
        let hosts = remote_hosts(&app, neighbours, outlet, options.listen.is_none(), address);
        tasks.spawn(hosts.run(hearing.clone()));
    }
    let workers = start_workers(
        &app,
        WorkerOptions { process, measures, finish_within: options.finish_within, ..WorkerOptions::default() },
    );
    let ended = CancellationToken::new();
    let mut servers = listeners.serve(&options, routes, &closing, &ended);
    started(&announced);

    let engines = Arc::clone(&app.metrics.engines);
    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(()),
        failure = engines.unusable() => Err(ServeError::Engine(failure)),
    };
    tracing::info!("stopping: running jobs finish or go back to the queue");
    // Also tells whoever waits for a job that waits itself.
    closing.cancel();
    // Jobs may run elsewhere, longer than this server may take.
    let patience = tokio::spawn({
        let within = options.finish_within + ANSWERING;
        async move {
            tokio::time::sleep(within).await;
            leaving.cancel();
        }
    });
    workers.stop().await;
    engines.shut_down(options.stop_within).await;
    background.cancel();
    ended.cancel();
    while servers.join_next().await.is_some() {}
    patience.abort();
    hearing.cancel();
    while tasks.join_next().await.is_some() {}
    if let Err(error) = app.dialects.store.forget_deleted().await {
        tracing::warn!(%error, "what was deleted is not out of the database's log yet; the next start sees to it");
    }
    outcome
}

/// This process among those that use `store`.
fn neighbours(process: ProcessId, store: PostgresStore, signer: Signer) -> Result<Neighbours, rustls::Error> {
    let time = DatabaseTime::default();
    let passes = Passes::new(signer, time.clone());
    let ask = Arc::new(HttpAsk::new(passes.clone())?);
    Ok(Neighbours { process, store, ask, time, passes, heard: LastHeard::default() })
}

/// What the server's parts are made of.
fn resources(
    options: &ServeOptions,
    data: Data,
    signer: Signer,
    hints: Hints,
    neighbours: Option<Neighbours>,
    listener: Option<&Listener>,
    (stopping, leaving): (CancellationToken, CancellationToken),
) -> Result<Resources, ServeError> {
    let links = FileLinks::new(signer, options.retention);
    let outbound = Outbound::system(&OutboundOptions {
        allow_private_networks: options.allow_private_networks,
        ..OutboundOptions::default()
    })?;
    // A worker names no addresses: whoever accepted a job has written down where it is to be found.
    let address = listener.map(|listener| listener.address().to_string()).unwrap_or_default();
    let has_tls = options.tls.is_some();
    Ok(Resources {
        blobs: data.blobs,
        redirect_downloads: options.redirect_downloads,
        storage_claim: Arc::new(data.claim),
        store: data.store,
        neighbours,
        measures: data.measures,
        hints: Arc::new(hints),
        role: role(options.listen.is_some(), options.workers > 0),
        needs_engines: options.workers > 0,
        room: StorageRoom::new(options.quota, Disks::of(data.folders)),
        models: Arc::new(options.models.clone()),
        loras: options.loras.clone(),
        engines: Arc::clone(&options.engines).start(options.workers),
        safety: options.safety,
        outbound,
        links,
        public_url: PublicUrl::new(options.public_url.as_ref(), address, has_tls),
        proxies: TrustedProxies::from(options.trusted_proxies.clone()),
        rates: options.rates,
        sync_timeout: options.sync_timeout,
        stopping,
        leaving,
    })
}
