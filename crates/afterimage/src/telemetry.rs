//! Traces, sent to a collector by OTLP over HTTP.

use crate::failure::CommandFailure;
use afterimage_jobs::trace;
use afterimage_server::fetch::platform_tls;
use async_trait::async_trait;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use std::env;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};
use url::Url;

/// How long a collector may take. What does not fit into the queue meanwhile is dropped.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long a stop waits for what was not sent yet.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// Traces on their way to a collector.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Sends traces to `collector` (such as `http://collector:4318`), from a process that is a `role`. Name, further
    /// attributes, headers and sampling are set by the environment variables `OTEL_*`.
    ///
    /// # Errors
    /// Where certificate authorities cannot be read.
    pub fn start(collector: &Url, role: &'static str, runtime: Handle) -> Result<Self, CommandFailure> {
        let failed = |error: &dyn std::fmt::Display| CommandFailure::other(format!("cannot send traces: {error}"));
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(platform_tls().map_err(|error| failed(&error))?)
            .timeout(ANSWER_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| failed(&error))?;
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(RuntimeClient { client, runtime, is_failing: AtomicBool::new(false) })
            .with_endpoint(format!("{}/v1/traces", collector.as_str().trim_end_matches('/')))
            .build()
            .map_err(|error| failed(&error))?;
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource(role)).build();
        Ok(Self { provider })
    }

    /// What takes spans of traces.
    pub fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let only_traces = Targets::new().with_target(trace::TARGET, LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("afterimage"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_filter(only_traces)
    }

    /// Sends what was not sent yet.
    pub fn finish(self) {
        if let Err(error) = self.provider.shutdown_with_timeout(FINISH_WITHIN) {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// `filter` without what belongs to traces.
pub fn without_traces(filter: EnvFilter) -> EnvFilter {
    match format!("{}=off", trace::TARGET).parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    }
}

fn resource(role: &'static str) -> Resource {
    let builder = Resource::builder();
    let builder = match env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => builder,
        None => builder.with_service_name("afterimage"),
    };
    let attributes = [
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("service.instance.id", uuid::Uuid::new_v4().to_string()),
        KeyValue::new("afterimage.role", role),
    ];
    builder.with_attributes(attributes).build()
}

/// Sends from a thread of the exporter's own by the connections of the server's runtime.
#[derive(Debug)]
struct RuntimeClient {
    client: reqwest::Client,
    runtime: Handle,
    /// Whether the last one failed: told once, not every five seconds.
    is_failing: AtomicBool,
}

#[async_trait]
impl HttpClient for RuntimeClient {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move { send(&client, request).await }).await;
        let outcome = sent.map_err(HttpError::from).and_then(|answer| answer);
        let problem = match &outcome {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answered with status {}", answer.status())),
            Err(error) => Some(error.to_string()),
        };
        let was_failing = self.is_failing.swap(problem.is_some(), Ordering::Relaxed);
        if let Some(problem) = problem.filter(|_| !was_failing) {
            tracing::warn!(%problem, "the collector does not take traces; they are lost until it does");
        }
        outcome
    }
}

async fn send(client: &reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
    let answer = client.execute(request.try_into()?).await.map_err(reqwest::Error::without_url)?;
    // What it says beside its status is not used.
    Ok(Response::builder().status(answer.status()).body(Bytes::new())?)
}
