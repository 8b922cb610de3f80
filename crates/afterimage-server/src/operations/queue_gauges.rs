//! What there is to do, by queue: what workers of a set of models are started and stopped by.

use super::checks::DEFAULT;
use afterimage_core::ModelName;
use afterimage_jobs::{Queue, QueueLoad};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeMap;
use std::sync::atomic::AtomicU64;

/// Gauges of each queue.
#[derive(Debug, Default)]
pub struct QueueGauges {
    waiting: Family<QueueLabels, Gauge>,
    running: Family<QueueLabels, Gauge>,
    oldest_wait: Family<QueueLabels, Gauge<f64, AtomicU64>>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct QueueLabels {
    model: String,
}

/// What people call a queue: the name of its set of models.
pub fn name_of(queue: &Queue) -> &str {
    queue.as_ref().map_or(DEFAULT, ModelName::as_str)
}

/// `loads`, and that there is nothing to do in the others of `served`.
pub fn with_idle(loads: &[QueueLoad], served: impl IntoIterator<Item = Queue>) -> BTreeMap<Queue, QueueLoad> {
    let idle = served.into_iter().map(|queue| (queue.clone(), QueueLoad { queue, ..QueueLoad::default() }));
    let mut all: BTreeMap<Queue, QueueLoad> = idle.collect();
    all.extend(loads.iter().map(|load| (load.queue.clone(), load.clone())));
    all
}

impl QueueGauges {
    /// Gauges that `registry` tells.
    pub fn registered(registry: &mut Registry) -> Self {
        let gauges = Self::default();
        let help = "Jobs that a worker could take now, by their set of models; where hosts share a database at most 10,000 of each";
        registry.register("queue_waiting_jobs", help, gauges.waiting.clone());
        registry.register("queue_running_jobs", "Jobs that run, by their set of models", gauges.running.clone());
        registry.register_with_unit(
            "queue_oldest_wait",
            "How long the job has waited that may start and was accepted first, by its set of models",
            Unit::Seconds,
            gauges.oldest_wait.clone(),
        );
        gauges
    }

    /// Shows `loads`, and that there is nothing to do in the others of `served`.
    pub fn show(&self, loads: &[QueueLoad], served: impl IntoIterator<Item = Queue>) {
        let all = with_idle(loads, served);
        // Cleared, because queues come and go.
        self.waiting.clear();
        self.running.clear();
        self.oldest_wait.clear();
        for load in all.values() {
            let labels = QueueLabels { model: name_of(&load.queue).to_owned() };
            self.waiting.get_or_create(&labels).set(load.waiting as i64);
            self.running.get_or_create(&labels).set(load.running as i64);
            let wait = load.oldest_wait.map_or(0.0, |wait| wait.as_secs_f64());
            self.oldest_wait.get_or_create(&labels).set(wait);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use prometheus_client::encoding::text::encode;
    use std::time::Duration;

    #[test]
    fn queues_with_nothing_to_do_are_shown_and_those_that_are_gone_are_not() {
        let mut registry = Registry::default();
        let gauges = QueueGauges::registered(&mut registry);
        let shown = || {
            let mut text = String::new();
            encode(&mut text, &registry).unwrap();
            text
        };
        let dev: Queue = Some("dev".parse().unwrap());
        let load = QueueLoad { queue: dev, waiting: 3, running: 1, oldest_wait: Some(Duration::from_millis(1500)) };
        gauges.show(&[load], [None]);
        for line in [
            "queue_waiting_jobs{model=\"dev\"} 3",
            "queue_running_jobs{model=\"dev\"} 1",
            "queue_oldest_wait_seconds{model=\"dev\"} 1.5",
            "queue_waiting_jobs{model=\"default\"} 0",
            "queue_oldest_wait_seconds{model=\"default\"} 0.0",
        ] {
            assert!(shown().contains(line), "{line} is not in {}", shown());
        }
        gauges.show(&[], [None]);
        assert!(!shown().contains("dev"), "{}", shown());
    }
}
