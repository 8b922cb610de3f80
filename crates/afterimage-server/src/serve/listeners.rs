//! The addresses of a server, and what is answered at each.

use crate::app::App;
use crate::http::TrustedProxies;
use crate::internal::{self, Neighbours};
use crate::listen::{ConnectionLimits, ListenError, Listener};
use crate::operations::health::{healthz, readyz};
use crate::operations::{load, metrics, status};
use crate::options::ServeOptions;
use crate::router::{routes, served};
use afterimage_jobs::Secret;
use axum::Router;
use axum::routing::get;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Connections to the metrics at once.
const ADMIN_CONNECTIONS: usize = 64;

/// The admin listener's routes: they need no key, so that whatever starts processes can ask a worker, too.
fn admin_routes(app: &App) -> Router {
    let health = Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(Arc::clone(&app.readiness));
    metrics::router(app.metrics.clone())
        .merge(status::router(app.operator.status.clone()))
        .merge(load::router(app.load.clone()))
        .merge(health)
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

/// What a server answers, by who asks.
pub struct Routes {
    /// Clients.
    pub api: Router,
    /// Operators.
    admin: Router,
    /// Other processes of the same database.
    internal: Router,
}

impl Routes {
    /// The routes of `app`, which is one process among `neighbours`.
    pub fn of(app: &App, neighbours: Option<&Neighbours>) -> Self {
        let internal = neighbours.map_or_else(Router::new, |neighbours| {
            let events = app.dialects.sync.follower.events.clone();
            internal::router(neighbours.process.clone(), neighbours.passes.clone(), events)
        });
        Self { api: routes(app), admin: admin_routes(app), internal }
    }
}

/// The bound addresses of a server.
pub struct Listeners {
    /// The API.
    pub api: Option<Listener>,
    /// Metrics.
    admin: Option<Listener>,
    /// Questions of other processes.
    pub internal: Option<Listener>,
}

impl Listeners {
    /// Binds all of them.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(options: &ServeOptions) -> Result<Self, ListenError> {
        let bind = async |address: Option<SocketAddr>, tls| match address {
            Some(address) => Listener::bind(address, tls).await.map(Some),
            None => Ok(None),
        };
        Ok(Self {
            api: bind(options.listen, options.tls.as_ref()).await?,
            admin: bind(options.admin_listen, None).await?,
            internal: bind(options.internal_listen, None).await?,
        })
    }

    /// What a person should be told.
    pub fn announced(&self, options: &ServeOptions, first_key: Option<Secret>, paths: Vec<String>) -> Started {
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        Started {
            url: self.api.as_ref().map(|api| format!("{scheme}://{}", api.address())),
            admin_address: self.admin.as_ref().map(Listener::address),
            first_key,
            paths,
        }
    }

    /// Answers clients until `closing`, operators and other processes until `ended`: how it is and how far its jobs are counts
    /// as long as some run.
    pub fn serve(
        self,
        options: &ServeOptions,
        routes: Routes,
        closing: &CancellationToken,
        ended: &CancellationToken,
    ) -> JoinSet<io::Result<()>> {
        let mut servers = JoinSet::new();
        let proxies = TrustedProxies::from(options.trusted_proxies.clone());
        let limits = options.connections.granted();
        let within = options.stop_within;
        if let Some(listener) = self.api {
            servers.spawn(listener.serve(served(routes.api), limits, proxies.clone(), closing.clone(), within));
        }
        if let Some(listener) = self.admin {
            let limits = ConnectionLimits { total: limits.total.min(ADMIN_CONNECTIONS), ..limits };
            servers.spawn(listener.serve(routes.admin, limits, proxies.clone(), ended.clone(), within));
        }
        if let Some(listener) = self.internal {
            servers.spawn(listener.serve(routes.internal, limits, proxies, ended.clone(), within));
        }
        servers
    }
}
