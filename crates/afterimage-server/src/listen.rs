//! Listening: plain or TLS, with limits on what a connection may hold up.

mod admission;
mod descriptors;
mod limits;
mod opening;

use crate::http::TrustedProxies;
use admission::Admission;
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use hyper_util::rt::TokioTimer;
pub use limits::ConnectionLimits;
use opening::Opening;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use std::{fs, io};
use tokio_util::sync::CancellationToken;

/// Bytes of a request's headers.
const HEADER_BYTES: usize = 64 * 1024;

/// Requests that one HTTP/2 connection may have open.
const STREAMS: u32 = 64;

/// Why an address cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Taken, not ours, or not allowed.
    #[error("cannot listen on {address}: {reason}")]
    Address {
        /// The address as asked for.
        address: SocketAddr,
        /// What would be right.
        reason: String,
    },
    /// The certificate or key cannot be used.
    #[error("{}: {problem}", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

/// Files of a TLS listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificate chain, PEM.
    pub certificate: PathBuf,
    /// Private key, PEM.
    pub key: PathBuf,
}

/// A bound address.
#[derive(Debug)]
pub struct Listener {
    socket: std::net::TcpListener,
    address: SocketAddr,
    tls: Option<RustlsConfig>,
}

impl Listener {
    /// Binds `address`.
    ///
    /// # Errors
    /// [`ListenError`].
    pub async fn bind(address: SocketAddr, tls: Option<&TlsFiles>) -> Result<Self, ListenError> {
        let refused = |error: &io::Error| ListenError::Address { address, reason: reason(error) };
        let socket = std::net::TcpListener::bind(address).map_err(|error| refused(&error))?;
        socket.set_nonblocking(true).map_err(|error| refused(&error))?;
        let address = socket.local_addr().map_err(|error| refused(&error))?;
        let tls = match tls {
            Some(files) => Some(certificate(files).await?),
            None => None,
        };
        Ok(Self { socket, address, tls })
    }

    /// The address that was bound, with the port that the system chose for port 0.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests by `router` until `stop`; then no new connections, and those that work on a request may end it
    /// within `grace`. Connections beyond `limits` are closed; those of `proxies` count only as a whole.
    ///
    /// # Errors
    /// When the socket fails.
    pub async fn serve(
        self,
        router: Router,
        limits: ConnectionLimits,
        proxies: TrustedProxies,
        stop: CancellationToken,
        grace: Duration,
    ) -> io::Result<()> {
        let handle = Handle::new();
        let stopper = handle.clone();
        let watcher = tokio::spawn(async move {
            stop.cancelled().await;
            stopper.graceful_shutdown(Some(grace));
        });
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        let mut server = axum_server::from_tcp(self.socket)?.handle(handle);
        let builder = server.http_builder();
        builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header_time).max_buf_size(HEADER_BYTES);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADER_BYTES as u32)
            .keep_alive_interval(Duration::from_secs(20))
            .keep_alive_timeout(Duration::from_secs(20));
        let admission = Admission::new(limits, proxies);
        let served = match self.tls {
            Some(config) => {
                let tls = RustlsAcceptor::new(config).acceptor(admission);
                server.acceptor(Opening::new(tls, limits.header_time)).serve(service).await
            }
            None => server.acceptor(Opening::new(admission, limits.header_time)).serve(service).await,
        };
        watcher.abort();
        served
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "another program uses this port; name another with --listen".to_owned(),
        io::ErrorKind::AddrNotAvailable => "this machine does not have that address".to_owned(),
        io::ErrorKind::PermissionDenied => "not allowed; ports below 1024 need privileges".to_owned(),
        _ => error.to_string(),
    }
}

async fn certificate(files: &TlsFiles) -> Result<RustlsConfig, ListenError> {
    for path in [&files.certificate, &files.key] {
        if let Err(error) = fs::metadata(path) {
            return Err(ListenError::Certificate { path: path.clone(), problem: error.to_string() });
        }
    }
    RustlsConfig::from_pem_chain_file(&files.certificate, &files.key).await.map_err(|error| ListenError::Certificate {
        path: files.certificate.clone(),
        problem: format!("not a usable PEM certificate chain with its key: {error}"),
    })
}
