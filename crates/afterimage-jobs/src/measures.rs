//! What the queue counts and times on its way, for whoever shows metrics.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::time::{Duration, Instant};

/// Counters and histograms of one process. Clones share them.
#[derive(Clone, Debug)]
pub struct Measures {
    queue_waits: Histogram,
    /// Jobs that were taken from a worker whose lease ran out.
    pub(crate) leases_expired: Counter,
    /// Renewals and ends that were refused since the job is somebody else's.
    pub(crate) leases_lost: Counter,
    storage_calls: Family<OperationLabels, Histogram, fn() -> Histogram>,
    storage_errors: Family<OperationLabels, Counter>,
    database_calls: Family<OperationLabels, Histogram, fn() -> Histogram>,
    connection_waits: Histogram,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
}

/// What is asked of the storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StorageCall {
    Put,
    Copy,
    Get,
    Head,
    Delete,
    List,
}

impl StorageCall {
    const ALL: [Self; 6] = [Self::Put, Self::Copy, Self::Get, Self::Head, Self::Delete, Self::List];

    const fn labels(self) -> OperationLabels {
        let operation = match self {
            Self::Put => "put",
            Self::Copy => "copy",
            Self::Get => "get",
            Self::Head => "head",
            Self::Delete => "delete",
            Self::List => "list",
        };
        OperationLabels { operation }
    }
}

/// A millisecond to half a minute.
fn call_times() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}

impl Default for Measures {
    fn default() -> Self {
        let measures = Self {
            // A tenth of a second to an hour.
            queue_waits: Histogram::new(exponential_buckets(0.1, 2.0, 16)),
            leases_expired: Counter::default(),
            leases_lost: Counter::default(),
            storage_calls: Family::new_with_constructor(call_times),
            storage_errors: Family::default(),
            database_calls: Family::new_with_constructor(call_times),
            connection_waits: call_times(),
        };
        // There from the start: a rate does not see the first error of a series that begins with it.
        for call in StorageCall::ALL {
            drop(measures.storage_errors.get_or_create(&call.labels()));
        }
        measures
    }
}

impl Measures {
    /// Adds all of them to `registry`; those of a database of its own only `with_database`.
    pub fn register(&self, registry: &mut Registry, with_database: bool) {
        let help = "Time from the submit to the first start of jobs that this process started";
        registry.register_with_unit("queue_wait", help, Unit::Seconds, self.queue_waits.clone());
        let help = "Jobs that this process took from workers whose lease had run out";
        registry.register("leases_expired", help, self.leases_expired.clone());
        let help = "Renewals and ends that were refused because the job is somebody else's";
        registry.register("leases_lost", help, self.leases_lost.clone());
        let help = "Time of a call of the storage, with its retries";
        registry.register_with_unit("storage_call", help, Unit::Seconds, self.storage_calls.clone());
        let help = "Calls of the storage that failed after their retries";
        registry.register("storage_errors", help, self.storage_errors.clone());
        if with_database {
            let help = "Time of a call of the database, by the part of the queue that made it";
            registry.register_with_unit("database_call", help, Unit::Seconds, self.database_calls.clone());
            let help = "Time until there was a connection to the database";
            registry.register_with_unit("database_connection_wait", help, Unit::Seconds, self.connection_waits.clone());
        }
    }

    /// Notes how long a job waited that starts for the first time.
    pub(crate) fn waited(&self, wait: Duration) {
        self.queue_waits.observe(wait.as_secs_f64());
    }

    /// Notes a call of the storage that began at `start`.
    pub(crate) fn called_storage(&self, call: StorageCall, start: Instant, has_failed: bool) {
        let labels = call.labels();
        self.storage_calls.get_or_create(&labels).observe(start.elapsed().as_secs_f64());
        if has_failed {
            self.storage_errors.get_or_create(&labels).inc();
        }
    }

    /// Notes a call of the database by the part `operation` of the queue, which began at `start`.
    pub(crate) fn called_database(&self, operation: &'static str, start: Instant) {
        let labels = OperationLabels { operation };
        self.database_calls.get_or_create(&labels).observe(start.elapsed().as_secs_f64());
    }

    /// Notes how long a call of the database waited for a connection, since `start`.
    pub(crate) fn connected(&self, start: Instant) {
        self.connection_waits.observe(start.elapsed().as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;

    #[test]
    fn all_of_it_is_shown() {
        let (measures, mut registry) = (Measures::default(), Registry::default());
        measures.register(&mut registry, true);
        let shown = || {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        assert!(shown().contains("storage_errors_total{operation=\"list\"} 0"), "{}", shown());
        let start = Instant::now();
        measures.waited(Duration::from_secs(2));
        measures.leases_lost.inc();
        measures.called_storage(StorageCall::Put, start, true);
        measures.called_database("claim", start);
        measures.connected(start);
        for line in [
            "queue_wait_seconds_sum 2.0",
            "leases_lost_total 1",
            "leases_expired_total 0",
            "storage_call_seconds_count{operation=\"put\"} 1",
            "storage_errors_total{operation=\"put\"} 1",
            "database_call_seconds_count{operation=\"claim\"} 1",
            "database_connection_wait_seconds_count 1",
        ] {
            assert!(shown().contains(line), "{line} is not in {}", shown());
        }
    }
}
