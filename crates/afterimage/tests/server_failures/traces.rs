//! Traces: what a collector gets of a request that one process accepts and another one runs.

use crate::hosts::{Place, REDUX, task};
use crate::requests::wait_for;
use crate::server::{Client, Installation, KEY, PATIENCE, Server};
use crate::waiting::{eventually, until};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

/// Takes traces and webhooks.
#[derive(Clone, Default)]
struct Collector {
    /// With the role of the process that sent it.
    spans: Arc<Mutex<Vec<(String, Span)>>>,
    hooks: Arc<Mutex<Vec<HeaderMap>>>,
}

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let routes =
            Router::new().route("/v1/traces", post(take)).route("/hook", post(hook)).with_state(collector.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        (collector, address)
    }

    /// Spans of the trace that the client began, by name, with the roles of their processes.
    fn trace(&self) -> Vec<(String, Span)> {
        let spans = self.spans.lock().unwrap();
        spans.iter().filter(|(_, span)| hex::encode(&span.trace_id) == TRACE).cloned().collect()
    }

    fn span(&self, name: &str) -> Option<(String, Span)> {
        self.trace().into_iter().find(|(_, span)| span.name == name)
    }

    async fn has(&self, names: &[&str]) {
        let all = async || {
            let come: Vec<String> = self.spans.lock().unwrap().iter().map(|(_, span)| span.name.clone()).collect();
            if names.iter().all(|name| self.span(name).is_some()) { Ok(()) } else { Err(format!("spans: {come:?}")) }
        };
        eventually(PATIENCE, all).await;
    }
}

async fn take(State(collector): State<Collector>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    for of_process in request.resource_spans {
        let resource = of_process.resource.unwrap().attributes;
        assert_eq!(text(&resource, "service.name").as_deref(), Some("afterimage"));
        let role = text(&resource, "afterimage.role").unwrap();
        let spans = of_process.scope_spans.into_iter().flat_map(|scope| scope.spans);
        collector.spans.lock().unwrap().extend(spans.map(|span| (role.clone(), span)));
    }
    StatusCode::OK
}

async fn hook(State(collector): State<Collector>, headers: HeaderMap) {
    collector.hooks.lock().unwrap().push(headers);
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.as_ref()?.value.as_ref()?;
    match value {
        any_value::Value::StringValue(text) => Some(text.clone()),
        any_value::Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Submits in the trace of a client that wants to hear of the end at `hook`.
async fn submit(client: &Client, hook: &str) -> String {
    let headers = [("traceparent", format!("00-{TRACE}-{PARENT}-01"))];
    let path = if hook.is_empty() { REDUX.to_owned() } else { format!("{REDUX}?webhook={hook}") };
    let answer = client.request(reqwest::Method::POST, &path, &headers, &task(2)).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.body["data"]["id"].as_str().unwrap().to_owned()
}

const SPANS: [&str; 7] = ["POST /api/v3/{*model}", "submit", "attempt", "engine", "store", "record", "webhook"];

/// Every span of the request, each below the right one.
fn check(collector: &Collector, id: &str, runs_on: &str) {
    let get = |name: &str| collector.span(name).unwrap();
    let ((server, request), (_, submitted)) = (get(SPANS[0]), get("submit"));
    assert_eq!(server, "serve");
    assert_eq!(hex::encode(&request.parent_span_id), PARENT, "below the client's span");
    assert_eq!(submitted.parent_span_id, request.span_id);
    assert_eq!(text(&submitted.attributes, "job.id").as_deref(), Some(id));
    let (role, attempt) = get("attempt");
    assert_eq!((role.as_str(), &attempt.parent_span_id), (runs_on, &submitted.span_id));
    assert_eq!(text(&attempt.attributes, "job.end").as_deref(), Some("succeeded"));
    for name in ["engine", "store", "record"] {
        let (role, span) = get(name);
        assert_eq!((role.as_str(), &span.parent_span_id), (runs_on, &attempt.span_id), "{name}");
    }
    let stages: Vec<_> = get("engine").1.events.iter().filter_map(|event| text(&event.attributes, "stage")).collect();
    assert!(stages.iter().any(|stage| stage == "Denoise"), "{stages:?}");
    let (role, webhook) = get("webhook");
    assert_eq!((role.as_str(), &webhook.parent_span_id), ("serve", &submitted.span_id));
    assert_eq!(text(&webhook.attributes, "http.response.status_code").as_deref(), Some("200"));
    let hooks = collector.hooks.lock().unwrap();
    let carried = hooks[0]["traceparent"].to_str().unwrap();
    assert_eq!(carried, format!("00-{TRACE}-{}-01", hex::encode(&webhook.span_id)));
    // Nothing that belongs to nobody else's eyes.
    let all = format!("{:?}", collector.trace());
    assert!(!all.contains(KEY) && !all.contains("base64"), "{all}");
}

#[tokio::test]
async fn one_trace_goes_from_a_request_to_the_worker_of_another_host_and_the_webhook() {
    let Some(mut place) = Place::new().await else { return };
    let (collector, address) = Collector::start().await;
    place.environment =
        vec![("OTEL_EXPORTER_OTLP_ENDPOINT", address.clone()), ("OTEL_BSP_SCHEDULE_DELAY", "100".to_owned())];
    let (installation, _api) = place.api();
    let client = installation.client();
    client.ready().await;
    let worker = place.worker("worker");
    worker.ready(&client).await;
    let id = submit(&client, &format!("{address}/hook")).await;
    wait_for(&installation, &client, &id, "completed").await;
    collector.has(&SPANS).await;
    check(&collector, &id, "worker");
}

#[tokio::test]
async fn one_process_traces_itself_and_sends_the_rest_when_it_stops() {
    let (collector, address) = Collector::start().await;
    let installation = Installation::new();
    let start = |delay: &str| -> Server {
        let mut command = installation.command();
        // An address that ends in a slash is the same.
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("{address}/")).env("OTEL_BSP_SCHEDULE_DELAY", delay);
        installation.start_by(command)
    };
    let mut server = start("3600000");
    let client = installation.client();
    client.ready().await;
    let id = submit(&client, &format!("{address}/hook")).await;
    wait_for(&installation, &client, &id, "completed").await;
    let hooked = async || !collector.hooks.lock().unwrap().is_empty();
    until("the webhook has come", PATIENCE, hooked).await;
    assert!(collector.trace().is_empty());
    server.signal("-TERM");
    server.ended(PATIENCE).await;
    collector.has(&SPANS).await;
    check(&collector, &id, "serve");
    // The log is what it is without traces.
    assert!(!installation.whole_log().contains("otel"), "{}", installation.log());
}

#[tokio::test]
async fn a_dead_collector_costs_nothing() {
    let installation = Installation::new();
    let mut command = installation.command();
    command.env("AFTERIMAGE_OTLP_ENDPOINT", "http://127.0.0.1:9").env("OTEL_BSP_SCHEDULE_DELAY", "50");
    let mut server = installation.start_by(command);
    let client = installation.client();
    client.ready().await;
    let id = submit(&client, "").await;
    wait_for(&installation, &client, &id, "completed").await;
    let told = async || installation.whole_log().contains("the collector does not take traces");
    until("it is told", PATIENCE, told).await;
    assert_eq!(installation.whole_log().matches("the collector does not").count(), 1, "once");
    let start = Instant::now();
    server.signal("-TERM");
    server.ended(PATIENCE).await;
    println!("stopped after {:.1} s", start.elapsed().as_secs_f64());
    assert!(start.elapsed() < Duration::from_secs(8), "{:?}", start.elapsed());
}
