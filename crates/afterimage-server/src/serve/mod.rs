//! One server from start to stop.

mod background;
mod data;

use crate::app::{App, Resources};
use crate::fetch::{Outbound, OutboundOptions};
use crate::files::{FileLinks, Signer};
use crate::free_space::Disks;
use crate::http::{PublicUrl, TrustedProxies};
use crate::listen::{ConnectionLimits, ListenError, Listener};
use crate::operations::{metrics, status};
use crate::options::ServeOptions;
use crate::router::{paths, routes, served};
use crate::storage_room::StorageRoom;
use afterimage_jobs::worker::UnusableEngine;
use afterimage_jobs::{Error as StoreError, Secret, SettingsStore};
use axum::Router;
use background::{start_background, start_workers};
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
    let listeners = Listeners::bind(&options).await?;
    let (data, _locks) = Data::open(&options).await?;
    let first_key = data.first_key.clone();
    let closing = CancellationToken::new();
    let app = App::new(resources(&options, data, &listeners.api, closing.clone()).await?);
    let routes = routes(&app);
    let announced = listeners.announced(&options, first_key, paths(&routes));
    let background = CancellationToken::new();
    let mut tasks = start_background(&app, options.retention, &background);
    let workers = start_workers(&app);
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

/// The admin listener's routes.
fn admin_routes(app: &App) -> Router {
    metrics::router(app.metrics.clone()).merge(status::router(app.status.clone()))
}

/// The bound addresses of a server.
struct Listeners {
    api: Listener,
    /// Metrics.
    admin: Option<Listener>,
}

impl Listeners {
    async fn bind(options: &ServeOptions) -> Result<Self, ListenError> {
        let api = Listener::bind(options.listen, options.tls.as_ref()).await?;
        let admin = match options.admin_listen {
            Some(address) => Some(Listener::bind(address, None).await?),
            None => None,
        };
        Ok(Self { api, admin })
    }

    fn announced(&self, options: &ServeOptions, first_key: Option<Secret>, paths: Vec<String>) -> Started {
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        Started {
            url: format!("{scheme}://{}", self.api.address()),
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
        servers.spawn(self.api.serve(served(api), limits, proxies.clone(), closing.clone(), within));
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
    listener: &Listener,
    stopping: CancellationToken,
) -> Result<Resources, ServeError> {
    let links = FileLinks::new(Signer::new(data.store.server_secret().await?), options.retention);
    let outbound = Outbound::system(&OutboundOptions {
        allow_private_networks: options.allow_private_networks,
        ..OutboundOptions::default()
    })?;
    let (address, has_tls) = (listener.address().to_string(), options.tls.is_some());
    Ok(Resources {
        blobs: data.blobs,
        redirect_downloads: options.redirect_downloads,
        storage_claim: Arc::new(data.claim),
        store: Arc::new(data.store),
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
