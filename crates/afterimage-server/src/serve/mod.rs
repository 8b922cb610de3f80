//! One server from start to stop.

mod background;
mod data;

use crate::app::{App, Resources};
use crate::fetch::{Outbound, OutboundOptions};
use crate::files::{FileLinks, Signer};
use crate::free_space::Disks;
use crate::http::{PublicUrl, TrustedProxies};
use crate::listen::{ConnectionLimits, ListenError, Listener};
use crate::operations::health::{healthz, readyz};
use crate::operations::{load, metrics, status};
use crate::options::ServeOptions;
use crate::router::{paths, routes, served};
use crate::storage_room::StorageRoom;
use afterimage_jobs::worker::{Hints, UnusableEngine};
use afterimage_jobs::{Error as StoreError, Secret};
use axum::Router;
use axum::routing::get;
use background::{remote_hosts, start_background, start_workers};
use data::Data;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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
    /// Address of the API and the playground, with its scheme; `None` for a worker.
    pub url: Option<String>,
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
    let listeners = Listeners::bind(&options).await?;
    // What opens the data is large and done within a moment; what serves lives as long as the process.
    let (data, _locks) = Box::pin(Data::open(&options)).await?;
    let first_key = data.first_key.clone();
    let closing = CancellationToken::new();
    let shared = data.shared.clone();
    let (hints, outlet) = if shared.is_some() {
        let (hints, outlet) = Hints::with_outlet();
        (hints, Some(outlet))
    } else {
        (Hints::default(), None)
    };
    let resources = Box::pin(resources(&options, data, hints, listeners.api.as_ref(), closing.clone())).await?;
    let app = App::new(resources);
    let routes = routes(&app);
    let announced = listeners.announced(&options, first_key, paths(&routes));
    let background = CancellationToken::new();
    let mut tasks = match options.listen {
        Some(_) => start_background(&app, options.retention, &background),
        None => JoinSet::new(),
    };
    if let Some((store, outlet)) = shared.zip(outlet) {
        tasks.spawn(remote_hosts(&app, store, outlet, options.listen.is_none()).run(background.clone()));
    }
    let workers = start_workers(&app, options.finish_within);
    let mut servers = listeners.serve(&options, routes, admin_routes(&app), &closing);
    started(&announced);

    let engines = Arc::clone(&app.metrics.engines);
    let outcome = tokio::select! {
        () = stop.cancelled() => Ok(()),
        failure = engines.unusable() => Err(ServeError::Engine(failure)),
    };
    tracing::info!("stopping: running jobs finish or go back to the queue");
    // Also tells whoever waits for a job that waits itself.
    closing.cancel();
    workers.stop().await;
    engines.shut_down(options.stop_within).await;
    background.cancel();
    while servers.join_next().await.is_some() {}
    while tasks.join_next().await.is_some() {}
    if let Err(error) = app.dialects.store.forget_deleted().await {
        tracing::warn!(%error, "what was deleted is not out of the database's log yet; the next start sees to it");
    }
    outcome
}

/// The admin listener's routes: they need no key, so that whatever starts processes can ask a worker, too.
fn admin_routes(app: &App) -> Router {
    let health = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Arc::clone(&app.readiness));
    metrics::router(app.metrics.clone())
        .merge(status::router(app.status.clone()))
        .merge(load::router(app.load.clone()))
        .merge(health)
}

/// The bound addresses of a server.
struct Listeners {
    api: Option<Listener>,
    /// Metrics.
    admin: Option<Listener>,
}

impl Listeners {
    async fn bind(options: &ServeOptions) -> Result<Self, ListenError> {
        let api = match options.listen {
            Some(address) => Some(Listener::bind(address, options.tls.as_ref()).await?),
            None => None,
        };
        let admin = match options.admin_listen {
            Some(address) => Some(Listener::bind(address, None).await?),
            None => None,
        };
        Ok(Self { api, admin })
    }

    fn announced(&self, options: &ServeOptions, first_key: Option<Secret>, paths: Vec<String>) -> Started {
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        Started {
            url: self.api.as_ref().map(|api| format!("{scheme}://{}", api.address())),
            admin_address: self.admin.as_ref().map(Listener::address),
            first_key,
            paths,
        }
    }

    /// Answers requests until `closing`.
    fn serve(
        self,
        options: &ServeOptions,
        api: Router,
        admin: Router,
        closing: &CancellationToken,
    ) -> JoinSet<io::Result<()>> {
        let mut servers = JoinSet::new();
        let proxies = TrustedProxies::from(options.trusted_proxies.clone());
        let limits = options.connections.granted();
        let within = options.stop_within;
        if let Some(listener) = self.api {
            servers.spawn(listener.serve(served(api), limits, proxies.clone(), closing.clone(), within));
        }
        if let Some(listener) = self.admin {
            let limits = ConnectionLimits { total: limits.total.min(ADMIN_CONNECTIONS), ..limits };
            servers.spawn(listener.serve(admin, limits, proxies, closing.clone(), within));
        }
        servers
    }
}

/// What the server's parts are made of.
async fn resources(
    options: &ServeOptions,
    data: Data,
    hints: Hints,
    listener: Option<&Listener>,
    stopping: CancellationToken,
) -> Result<Resources, ServeError> {
    let links = FileLinks::new(Signer::new(data.store.server_secret().await?), options.retention);
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
        shared: data.shared,
        hints: Arc::new(hints),
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
    })
}
