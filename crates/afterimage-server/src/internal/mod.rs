//! What processes of one database ask each other directly: how far a job is that one of them runs, while a client of
//! another one watches. On a listener of its own, with passes that only holders of the database's secret can make.
//!
//! Nothing is decided by it. A process that cannot be reached costs its watchers previews, and steps that are seconds old.

mod client;
mod pass;
mod routes;
mod wire;

pub use client::HttpAsk;
pub use pass::Passes;
pub use routes::router;

use crate::network::sender_towards;
use afterimage_jobs::progress::Noted;
use afterimage_jobs::remote::{AskProcess, DatabaseTime, LastHeard};
use afterimage_jobs::{JobId, PostgresStore, ProcessId};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::lookup_host;

/// This process among those of its database. Clones share all of it.
#[derive(Clone)]
pub struct Neighbours {
    /// This process.
    pub process: ProcessId,
    /// What all have in common.
    pub store: PostgresStore,
    /// Reaches the others.
    pub ask: Arc<dyn AskProcess>,
    /// The clock by which passes are valid.
    pub time: DatabaseTime,
    /// Makes and checks passes.
    pub passes: Passes,
    /// When news of the others were last known to arrive.
    pub heard: LastHeard,
}

impl Neighbours {
    /// What happened to `job`, as the process says that runs or ran it; `None` when that is this one, or cannot be asked.
    pub async fn history(&self, job: &JobId) -> Option<Vec<Noted>> {
        let seen = self.store.look_at(std::slice::from_ref(job)).await;
        let place = seen.ok()?.pop()?.place.filter(|place| place.process != self.process)?;
        let history = self.ask.history(&place, job).await;
        history.inspect_err(|error| tracing::debug!(job_id = %job, %error, "no history of a job")).ok()
    }
}

/// Where others reach a listener bound to `bound`: for one on all addresses, the one that this machine uses towards
/// `database` (host and port).
pub async fn announced_address(bound: SocketAddr, database: Option<(String, u16)>) -> SocketAddr {
    if !bound.ip().is_unspecified() {
        return bound;
    }
    let database = match database {
        Some(database) => lookup_host(database).await.ok().and_then(|mut addresses| addresses.next()),
        None => None,
    };
    let own = database.and_then(|database| sender_towards(database).ok());
    let loopback = if bound.is_ipv4() { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
    SocketAddr::new(own.unwrap_or(loopback), bound.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_on_all_addresses_is_announced_by_one() {
        let database = || Some(("127.0.0.1".to_owned(), 5432));
        let named: SocketAddr = "10.0.0.7:9091".parse().unwrap();
        assert_eq!(announced_address(named, database()).await, named);
        let all: SocketAddr = "0.0.0.0:9091".parse().unwrap();
        assert_eq!(announced_address(all, database()).await.to_string(), "127.0.0.1:9091");
        assert_eq!(announced_address(all, None).await.to_string(), "127.0.0.1:9091", "a database by a socket's path");
    }
}
