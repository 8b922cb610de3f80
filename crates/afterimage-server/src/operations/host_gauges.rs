//! Which program this process is, and what it knows of the database that it shares with others.

use crate::internal::Neighbours;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::sync::atomic::AtomicU64;

/// Gauges of this process among others.
#[derive(Debug, Default)]
pub struct HostGauges {
    /// Only where others share the database.
    echo_age: Gauge<f64, AtomicU64>,
    oldest_snapshot: Gauge<f64, AtomicU64>,
    dead_rows: Gauge,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BuildLabels {
    version: &'static str,
    role: &'static str,
}

/// What a process does: `api`, `worker`, or `both`.
pub const fn role(answers: bool, runs: bool) -> &'static str {
    match (answers, runs) {
        (true, true) => "both",
        (true, false) => "api",
        (false, _) => "worker",
    }
}

impl HostGauges {
    /// Gauges that `registry` tells, and `of_database` those that the database says; the latter only where it is `shared`.
    pub fn registered(registry: &mut Registry, of_database: &mut Registry, role: &'static str, shared: bool) -> Self {
        let build = Family::<BuildLabels, Gauge>::default();
        build.get_or_create(&BuildLabels { version: env!("CARGO_PKG_VERSION"), role }).set(1);
        registry.register("build_info", "Version of the program, and what this process does", build);
        let gauges = Self::default();
        if shared {
            let help = "Time since this process last heard its own word on the database's channel";
            registry.register_with_unit("listener_echo_age", help, Unit::Seconds, gauges.echo_age.clone());
            let help =
                "Age of the oldest snapshot that somebody holds in the database: what died since then stays in the way";
            of_database.register_with_unit(
                "database_oldest_snapshot",
                help,
                Unit::Seconds,
                gauges.oldest_snapshot.clone(),
            );
            let help = "Dead rows of the table of jobs, as the database estimates them";
            of_database.register("database_dead_rows", help, gauges.dead_rows.clone());
        }
        gauges
    }

    /// How long this process has not heard itself on the database's channel.
    pub fn note_echo(&self, neighbours: &Neighbours) {
        self.echo_age.set(neighbours.heard.age().as_secs_f64());
    }

    /// Reads what the database says of itself.
    ///
    /// # Errors
    /// When the database does not say how it is.
    pub async fn read(&self, neighbours: &Neighbours) -> afterimage_jobs::Result<()> {
        let health = neighbours.store.health().await?;
        self.oldest_snapshot.set(health.oldest_snapshot.map_or(0.0, |age| age.as_secs_f64()));
        self.dead_rows.set(health.dead_rows as i64);
        Ok(())
    }
}
