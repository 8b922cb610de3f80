//! Counters and histograms, served as OpenMetrics text on the admin listener only.

use super::checks::CheckCounters;
use super::host_gauges::HostGauges;
use super::queue_gauges::QueueGauges;
use crate::http::layers::RouteName;
use crate::internal::Neighbours;
use crate::storage_room::StorageRoom;
use afterimage_jobs::worker::{EngineStatus, Engines, RecordedEnd};
use afterimage_jobs::{Job, Measures, Store};
use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// All metrics of one server.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// What the database says. It is left out while the database does not answer: old figures would be taken for new ones.
    of_database: Registry,
    database_up: Gauge,
    requests: Family<RequestLabels, Counter>,
    request_seconds: Family<RouteLabels, Histogram, fn() -> Histogram>,
    jobs: Family<StateLabels, Counter>,
    inference_seconds: Histogram,
    queue: Family<StateLabels, Gauge>,
    queues: QueueGauges,
    hosts: HostGauges,
    open_webhooks: Gauge,
    ready_engines: Gauge,
    engine_restarts: Gauge,
    model_ready_engines: Family<ModelLabels, Gauge>,
    model_engine_restarts: Family<ModelLabels, Gauge>,
    model_checkers: Family<CheckerLabels, Gauge>,
    checks: CheckCounters,
    stored: Family<KeyLabels, Gauge>,
    disk_free: Family<DiskLabels, Gauge>,
    disk_kept_free: Family<DiskLabels, Gauge>,
}

/// Keys whose bytes are told one by one; the others are one sum.
const LARGEST_KEYS: u32 = 20;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct KeyLabels {
    key: String,
}

/// Name of a set of models; `default` for the one without a name.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ModelLabels {
    model: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct CheckerLabels {
    model: String,
    checker: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct DiskLabels {
    disk: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

impl Metrics {
    /// Metrics of a process that is a `role` (see [`super::host_gauges::role`]), with those of the queue; `shared`: others use its database.
    pub fn new(measures: &Measures, role: &'static str, shared: bool) -> Self {
        let mut registry = Registry::with_prefix("afterimage");
        let mut of_database = Registry::with_prefix("afterimage");
        measures.register(&mut registry, shared);
        let database_up = Gauge::default();
        registry.register("database_up", "Whether the database answered when this was read", database_up.clone());
        let hosts = HostGauges::registered(&mut registry, &mut of_database, role, shared);
        let queues = QueueGauges::registered(&mut of_database);
        let requests = Family::default();
        registry.register("http_requests", "Answered requests", requests.clone());
        let request_seconds: Family<RouteLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 2.0, 16)));
        registry.register_with_unit(
            "http_request_duration",
            "Time to the answer",
            Unit::Seconds,
            request_seconds.clone(),
        );
        let jobs = Family::default();
        of_database.register("jobs_ended", "Jobs that ended since the database was made, by their end", jobs.clone());
        let inference_seconds = Histogram::new(exponential_buckets(0.05, 2.0, 16));
        registry.register_with_unit("inference", "Time in the engine", Unit::Seconds, inference_seconds.clone());
        let queue = Family::default();
        of_database.register("queue_jobs", "Jobs waiting and running", queue.clone());
        let open_webhooks = Gauge::default();
        of_database.register("webhooks_open", "Webhooks neither delivered nor given up", open_webhooks.clone());
        let ready_engines = Gauge::default();
        registry.register("engines_ready", "Engine processes that can take a job", ready_engines.clone());
        let engine_restarts = Gauge::default();
        registry.register("engine_restarts", "Deaths of engine processes since the start", engine_restarts.clone());
        let model_ready_engines = Family::default();
        let help = "Engine processes that can take a job, by their set of models";
        registry.register("model_engines_ready", help, model_ready_engines.clone());
        let model_engine_restarts = Family::default();
        let help = "Deaths of engine processes since the start, by their set of models";
        registry.register("model_engine_restarts", help, model_engine_restarts.clone());
        let model_checkers = Family::default();
        let help = "Engine processes whose results a safety checker looks at, by their set of models";
        registry.register("model_checkers", help, model_checkers.clone());
        let checks = CheckCounters::registered(&mut registry);
        let stored = Family::default();
        of_database.register_with_unit(
            "stored",
            "Inputs, results and uploads on disk, by the keys that keep most; `other` is the rest",
            Unit::Bytes,
            stored.clone(),
        );
        let disk_free = Family::default();
        registry.register_with_unit("disk_free", "Room that is left", Unit::Bytes, disk_free.clone());
        let disk_kept_free = Family::default();
        registry.register_with_unit(
            "disk_kept_free",
            "Room below which nothing new is accepted",
            Unit::Bytes,
            disk_kept_free.clone(),
        );
        Self {
            registry,
            of_database,
            database_up,
            requests,
            request_seconds,
            jobs,
            inference_seconds,
            queue,
            queues,
            hosts,
            open_webhooks,
            ready_engines,
            engine_restarts,
            model_ready_engines,
            model_engine_restarts,
            model_checkers,
            checks,
            stored,
            disk_free,
            disk_kept_free,
        }
    }

    /// Notes the end of `job`.
    pub fn ended(&self, job: &Job, end: RecordedEnd<'_>) {
        if let RecordedEnd::Succeeded(result) = end {
            self.inference_seconds.observe(Duration::from_millis(result.inference_ms()).as_secs_f64());
        }
        self.checks.note(job, end);
    }

    /// Notes how the engines of each set of models are.
    fn count_engines(&self, engines: &[EngineStatus]) {
        for model in engines.iter().map(|engine| &engine.model).collect::<BTreeSet<_>>() {
            let of_model = || engines.iter().filter(|engine| engine.model == *model);
            let labels = ModelLabels { model: model.clone() };
            let ready = of_model().filter(|engine| engine.is_open).count();
            self.model_ready_engines.get_or_create(&labels).set(ready as i64);
            let restarts = of_model().map(|engine| engine.restarts).sum::<u64>();
            self.model_engine_restarts.get_or_create(&labels).set(restarts as i64);
        }
        // Cleared, because a process that ends takes its checkers with it.
        self.model_checkers.clear();
        for engine in engines {
            for checker in &engine.checkers {
                let labels = CheckerLabels { model: engine.model.clone(), checker: checker.clone() };
                self.model_checkers.get_or_create(&labels).inc();
            }
        }
    }
}

/// The method as a label. A client may send any word as one, and every label is kept for ever.
fn method_name(method: &Method) -> &'static str {
    const KNOWN: [Method; 9] = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::DELETE,
        Method::CONNECT,
        Method::OPTIONS,
        Method::TRACE,
        Method::PATCH,
    ];
    const NAMES: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    KNOWN.iter().zip(NAMES).find(|(known, _)| *known == method).map_or("other", |(_, name)| name)
}

/// Counts and times requests by route pattern: paths hold ids, of which there is no end.
pub async fn measure(State(metrics): State<Arc<Metrics>>, request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or_else(|| "unmatched".to_owned(), |path| format!("{} {}", method_name(request.method()), path.as_str()));
    let start = Instant::now();
    let mut response = next.run(request).await;
    response.extensions_mut().insert(RouteName(route.clone()));
    metrics.request_seconds.get_or_create(&RouteLabels { route: route.clone() }).observe(start.elapsed().as_secs_f64());
    metrics.requests.get_or_create(&RequestLabels { route, status: response.status().as_u16() }).inc();
    response
}

/// What the metrics are read from when somebody asks for them. Clones share all of it.
#[derive(Clone)]
pub struct MetricSources {
    /// What was counted on the way.
    pub metrics: Arc<Metrics>,
    /// Jobs, webhooks, stored bytes.
    pub store: Arc<dyn Store>,
    /// What runs jobs.
    pub engines: Arc<dyn Engines>,
    /// The disks.
    pub room: Arc<StorageRoom>,
    /// Other processes of the same database, where there can be some.
    pub neighbours: Option<Neighbours>,
}

impl MetricSources {
    /// Reads what is not counted on the way.
    async fn text(&self) -> Result<String, std::fmt::Error> {
        let metrics = &self.metrics;
        let engines = self.engines.statuses();
        metrics.ready_engines.set(engines.iter().filter(|engine| engine.is_open).count() as i64);
        metrics.engine_restarts.set(engines.iter().map(|engine| engine.restarts).sum::<u64>() as i64);
        metrics.count_engines(&engines);
        if let Some(neighbours) = &self.neighbours {
            metrics.hosts.note_echo(neighbours);
        }
        for (disk, space) in self.room.disks().spaces() {
            metrics.disk_free.get_or_create(&DiskLabels { disk }).set(space.free as i64);
            metrics.disk_kept_free.get_or_create(&DiskLabels { disk }).set(space.floor() as i64);
        }
        let answers = match self.read_database(&engines).await {
            Ok(()) => true,
            Err(error) => {
                tracing::debug!(%error, "metrics without those of the database");
                false
            }
        };
        metrics.database_up.set(i64::from(answers));
        let mut text = String::new();
        encode_registry(&mut text, &metrics.registry)?;
        if answers {
            encode_registry(&mut text, &metrics.of_database)?;
        }
        encode_eof(&mut text)?;
        Ok(text)
    }

    /// Reads what the database counts.
    async fn read_database(&self, engines: &[EngineStatus]) -> afterimage_jobs::Result<()> {
        let metrics = &self.metrics;
        let depth = self.store.queue_depth().await?;
        for (state, count) in [("queued", depth.queued), ("running", depth.running)] {
            metrics.queue.get_or_create(&StateLabels { state }).set(count as i64);
        }
        // The store counts them where it records them: once each, whoever ends a job and however often that is told.
        let ends = self.store.ends().await?;
        for (state, count) in [("succeeded", ends.succeeded), ("failed", ends.failed), ("cancelled", ends.cancelled)] {
            metrics.jobs.get_or_create(&StateLabels { state }).inner().store(count, Ordering::Relaxed);
        }
        let served = engines.iter().flat_map(|engine| engine.queues.clone());
        metrics.queues.show(&self.store.loads().await?, served);
        metrics.open_webhooks.set(self.store.open_deliveries().await? as i64);
        let stored = self.store.storage_use(LARGEST_KEYS).await?;
        let named: u64 = stored.largest.iter().map(|(_, bytes)| bytes).sum();
        let of_keys = stored.largest.into_iter().map(|(key, bytes)| (key.to_string(), bytes));
        // Cleared, because keys come and go from among the largest.
        metrics.stored.clear();
        for (key, bytes) in of_keys.chain([("other".to_owned(), stored.total.saturating_sub(named))]) {
            metrics.stored.get_or_create(&KeyLabels { key }).set(bytes as i64);
        }
        if let Some(neighbours) = &self.neighbours {
            metrics.hosts.read(neighbours).await?;
        }
        Ok(())
    }
}

/// The metrics' route, for the admin listener.
pub fn router(sources: MetricSources) -> Router {
    Router::new().route("/metrics", get(exposition)).with_state(sources)
}

async fn exposition(State(sources): State<MetricSources>) -> Response {
    match sources.text().await {
        Ok(text) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::free_space::Disks;
    use afterimage_jobs::progress::Events;
    use afterimage_jobs::worker::{Executor, UnusableEngine};
    use afterimage_jobs::{Blobs, MemoryStore, SystemClock};
    use async_trait::async_trait;
    use axum::body::Body;
    use tower::ServiceExt;

    /// One that runs nothing.
    #[derive(Debug)]
    struct Idle;

    #[async_trait]
    impl Engines for Idle {
        fn executor(self: Arc<Self>, _: Blobs, _: Events) -> Arc<dyn Executor> {
            unreachable!("nobody runs jobs here")
        }

        fn statuses(&self) -> Vec<EngineStatus> {
            Vec::new()
        }

        async fn unusable(&self) -> UnusableEngine {
            std::future::pending().await
        }

        async fn shut_down(&self, _: Duration) {}
    }

    #[tokio::test]
    async fn without_the_database_the_rest_is_told() {
        let store = MemoryStore::new(Arc::new(SystemClock));
        let sources = MetricSources {
            metrics: Arc::new(Metrics::new(&Measures::default(), "api", false)),
            store: Arc::new(store.clone()),
            engines: Arc::new(Idle),
            room: Arc::new(StorageRoom::new(None, Disks::of(Vec::new()))),
            neighbours: None,
        };
        let told = async || sources.text().await.unwrap();
        let of_database = ["afterimage_queue_jobs{", "afterimage_webhooks_open ", "afterimage_jobs_ended_total{"];
        for (away, up) in [(false, "1"), (true, "0"), (false, "1")] {
            store.set_away(away);
            let text = told().await;
            assert!(text.contains(&format!("afterimage_database_up {up}\n")), "{text}");
            assert!(text.contains("afterimage_build_info{") && text.ends_with("# EOF\n"), "{text}");
            for name in of_database {
                assert_eq!(text.contains(name), !away, "{name} {text}");
            }
        }
    }

    #[tokio::test]
    async fn clients_make_no_labels() {
        let metrics = Arc::new(Metrics::new(&Measures::default(), "both", false));
        let routes = Router::new()
            .route("/item/{id}", get(|| async {}))
            .route_layer(axum::middleware::from_fn_with_state(Arc::clone(&metrics), measure));
        let methods = (0..500).map(|number| format!("M{number}")).chain(["GET".to_owned(), "X".repeat(50_000)]);
        for (number, method) in methods.enumerate() {
            let request = Request::builder().method(method.as_str()).uri(format!("/item/{number}"));
            let _ = routes.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        }
        let mut text = String::new();
        encode_registry(&mut text, &metrics.registry).unwrap();
        assert!(text.contains("other /item/{id}") && text.contains("GET /item/{id}"), "{text}");
        assert!(text.len() < 20_000, "{} bytes", text.len());
    }
}
