//! What connections may hold up.

use super::descriptors;
use std::time::Duration;

/// What connections may hold up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionLimits {
    /// Connections at once; fewer where the system does not grant as many file descriptors.
    pub total: usize,
    /// Connections at once from one public address.
    pub per_address: usize,
    /// Time to open a connection, for a request's headers, and for a kept connection without a next request.
    /// Slow-loris senders end here.
    pub header_time: Duration,
    /// How long a peer may take nothing of an answer.
    pub stalled_time: Duration,
}

impl Default for ConnectionLimits {
    /// 8,192 connections, 1,024 from one address, 30 seconds and a minute.
    fn default() -> Self {
        Self {
            total: 8192,
            per_address: 1024,
            header_time: Duration::from_secs(30),
            stalled_time: Duration::from_mins(1),
        }
    }
}

impl ConnectionLimits {
    /// Limits for which there are file descriptors; raises this process's limit on them.
    #[must_use]
    pub fn granted(self) -> Self {
        let total = descriptors::connections(self.total);
        if total < self.total {
            tracing::warn!(connections = total, wanted = self.total, "fewer connections: too few open files allowed");
        }
        Self { total, ..self }
    }
}
