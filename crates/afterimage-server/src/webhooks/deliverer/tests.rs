//! Webhooks to receivers that misbehave.

use super::*;
use crate::fetch::testing::{Answer, Names, Received, TestServer, outbound_to, response};
use crate::waiting::until;
use crate::webhooks::RenderError;
use afterimage_core::{GenerationRequest, OutputFormat, Task};
use afterimage_jobs::{
    Failure, FailureKind, Job, JobId, JobSpec, JobStore, KeyStore, MemoryStore, NewJob, NewKey, Outbox, OutputSpec,
    Priority, Timestamp, Webhook, WorkerId,
};
use async_trait::async_trait;
use axum::http::HeaderMap;
use std::net::SocketAddr;
use std::time::Instant;

/// Sends the job's id.
struct JobIds;

#[async_trait]
impl Render for JobIds {
    async fn render(&self, job: &Job, delivery: &Delivery, sent_at: Timestamp) -> Result<Message, RenderError> {
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", HeaderValue::from(delivery.id));
        headers.insert("webhook-timestamp", HeaderValue::from(sent_at.unix_seconds()));
        Ok(Message { body: job.id.to_string().into(), headers })
    }

    fn schedule(&self) -> Schedule {
        Schedule { attempts: 6, first_pause: Duration::from_millis(2), response_limit: Duration::from_millis(400) }
    }
}

struct World {
    store: Arc<MemoryStore>,
    stop: CancellationToken,
}

impl World {
    fn start(names: Arc<Names>, permitted: &[SocketAddr]) -> Self {
        Self::start_with(outbound_to(names, permitted))
    }

    fn start_with(outbound: Outbound) -> Self {
        Self::start_with_places(outbound, HELD)
    }

    fn start_with_places(outbound: Outbound, places: u32) -> Self {
        let store = Arc::new(MemoryStore::new(Arc::new(SystemClock)));
        let renderers: HashMap<String, Arc<dyn Render>> = HashMap::from([("test".to_owned(), Arc::new(JobIds) as _)]);
        let stop = CancellationToken::new();
        let deliverer = Deliverer::new(Arc::clone(&store) as Arc<dyn Store>, renderers, outbound);
        *deliverer.sender.places() = Places::new(places);
        tokio::spawn(deliverer.run(stop.clone()));
        Self { store, stop }
    }

    async fn key(&self) -> KeyId {
        self.store.create_key(NewKey::default()).await.unwrap().0.id
    }

    /// Submits a job and fails it, which puts its webhook into the outbox.
    async fn finished_job(&self, url: &str) -> JobId {
        self.finished_job_of(&self.key().await, url).await
    }

    async fn finished_job_of(&self, key: &KeyId, url: &str) -> JobId {
        let id = JobId::random();
        let webhook = Webhook { url: url.to_owned(), dialect: "test".to_owned() };
        let job = NewJob {
            id: id.clone(),
            key: key.clone(),
            dialect: "test".to_owned(),
            model: "model".to_owned(),
            input: serde_json::Value::Null,
            spec: JobSpec {
                request: GenerationRequest::new(Task::TextToImage),
                sources: Vec::new(),
                output: OutputSpec { format: OutputFormat::Png },
                public_url: String::new(),
                rates: None,
                trace: None,
            },
            webhook: Some(webhook),
            idempotency: None,
            priority: Priority::Normal,
            user: None,
            cost_micros: 0,
            input_bytes: 0,
            start_within: None,
            kept_for: None,
        };
        self.store.submit(job).await.unwrap();
        let worker = WorkerId::random();
        let claimed =
            self.store.claim(&worker, &afterimage_jobs::UNNAMED, Duration::from_mins(1)).await.unwrap().unwrap();
        let failure = Failure::new(FailureKind::Engine, "no");
        self.store.fail(&claimed.lease(&worker), failure).await.unwrap();
        id
    }

    /// Waits until nothing is left to send.
    async fn settled(&self) {
        let settled = async || self.store.open_deliveries().await.unwrap() == 0;
        until("no webhook is open", Duration::from_secs(10), settled).await;
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Sends one webhook to a server until it is delivered or given up; returns the requests that arrived.
async fn send_to(answer: impl Fn(usize, &Received) -> Answer + Send + Sync + 'static) -> Vec<Received> {
    let server = TestServer::start(answer).await;
    let world = World::start(Names::new([]), &[server.address]);
    world.finished_job(&server.url("/hook?token=1")).await;
    world.settled().await;
    server.received()
}

#[tokio::test]
async fn a_webhook_is_posted_once_when_it_is_taken() {
    let server = TestServer::start(|_, _| response("204 No Content", "", b"")).await;
    let world = World::start(Names::new([("good.example", &["127.0.0.1"][..])]), &[server.address]);
    let id = world.finished_job(&format!("http://good.example:{}/hook?token=1", server.port())).await;
    world.settled().await;
    let received = server.received();
    assert_eq!(received.len(), 1);
    assert!(received[0].head.starts_with("POST /hook?token=1 HTTP/1.1\r\n"), "{}", received[0].head);
    assert_eq!(received[0].header("content-type"), Some("application/json"));
    assert_eq!(received[0].header("host"), Some(&*format!("good.example:{}", server.port())));
    assert_eq!(received[0].body, id.as_str().as_bytes());
}

#[tokio::test]
async fn a_receiver_that_fails_five_times_is_tried_a_sixth_time() {
    let received = send_to(|earlier, _| match earlier {
        0..5 => response("500 Oops", "", b""),
        _ => response("200 OK", "", b""),
    })
    .await;
    assert_eq!(received.len(), 6);
    // All attempts are about the same delivery.
    assert!(received.iter().all(|request| request.header("webhook-id") == received[0].header("webhook-id")));
}

#[tokio::test]
async fn attempts_end() {
    assert_eq!(send_to(|_, _| response("503 Busy", "", b"")).await.len(), 6);
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_left_alone() {
    assert_eq!(send_to(|_, _| response("410 Gone", "", b"")).await.len(), 1);
}

#[tokio::test]
async fn redirects_are_failures_and_not_followed() {
    let private = TestServer::start(|_, _| response("200 OK", "", b"")).await;
    let location = format!("location: {}\r\n", private.url("/"));
    let received = send_to(move |_, _| response("301 Moved", &location, b"")).await;
    assert_eq!(received.len(), 6);
    assert!(private.received().is_empty());
}

#[tokio::test]
async fn giant_answers_do_not_matter() {
    let start = Instant::now();
    let received = send_to(|_, _| Answer::Endless {
        head: b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n".to_vec(),
        piece: [&b"2000\r\n"[..], &[b'x'; 0x2000], b"\r\n"].concat(),
        pause: Duration::ZERO,
    })
    .await;
    assert_eq!(received.len(), 1);
    assert!(start.elapsed() < Duration::from_secs(2));
}

#[tokio::test]
async fn receivers_that_refuse_and_bad_certificates_are_given_up() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    // Its certificate is vouched for by nobody.
    let (server, _) = TestServer::start_tls("good.example", |_, _| response("200 OK", "", b"")).await;
    let names = Names::new([("good.example", &["127.0.0.1"][..])]);
    let world = World::start(names, &[closed, server.address]);
    world.finished_job(&format!("http://{closed}/")).await;
    world.finished_job(&format!("https://good.example:{}/", server.port())).await;
    world.settled().await;
    assert!(server.received().is_empty());
}

#[tokio::test]
async fn a_name_that_has_become_private_is_refused() {
    let server = TestServer::start(|_, _| response("500 Oops", "", b"")).await;
    let names = Names::rebinding("good.example", &["127.0.0.1", "127.0.0.2"]);
    let private = std::net::TcpListener::bind(("127.0.0.2", server.port())).unwrap();
    private.set_nonblocking(true).unwrap();
    let world = World::start(Arc::clone(&names), &[server.address]);
    world.finished_job(&format!("http://good.example:{}/", server.port())).await;
    world.settled().await;
    assert_eq!(server.received().len(), 1);
    assert_eq!(names.lookups(), 6);
    assert!(private.accept().is_err(), "somebody connected");
}

/// Waits until `server` got `count` requests; how long that took.
async fn arrived(server: &TestServer, count: usize) -> Duration {
    until(format!("{count} arrive"), Duration::from_secs(2), async || server.received().len() >= count).await
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_nobody_else() {
    let slow = TestServer::start(|_, _| Answer::Hang).await;
    let quick = TestServer::start(|_, _| response("200 OK", "", b"")).await;
    let names = Names::new([("slow.example", &["127.0.0.1"][..]), ("quick.example", &["127.0.0.1"])]);
    let world = World::start(names, &[slow.address, quick.address]);
    let key = world.key().await;
    let start = Instant::now();
    for _ in 0..50 {
        world.finished_job_of(&key, &format!("http://slow.example:{}/", slow.port())).await;
    }
    for _ in 0..10 {
        world.finished_job_of(&key, &format!("http://quick.example:{}/", quick.port())).await;
    }
    arrived(&quick, 10).await;
    // Nor do many arrive there at once: four hang, and when they were not answered one after the other does.
    arrived(&slow, PARALLEL as usize + 2).await;
    let received = slow.received().len();
    let rounds = start.elapsed().as_millis() as usize / 400;
    assert!(received <= PARALLEL as usize + rounds, "{received} in {rounds} rounds");
}

#[tokio::test]
async fn another_keys_webhook_to_another_port_of_the_same_host_is_not_late() {
    let slow = TestServer::start(|_, _| Answer::Hang).await;
    let quick = TestServer::start(|_, _| response("200 OK", "", b"")).await;
    let names = Names::new([("shared.example", &["127.0.0.1"][..])]);
    let world = World::start(names, &[slow.address, quick.address]);
    let (attacker, other) = (world.key().await, world.key().await);
    for _ in 0..200 {
        world.finished_job_of(&attacker, &format!("http://shared.example:{}/x", slow.port())).await;
    }
    arrived(&slow, 1).await;
    world.finished_job_of(&other, &format!("http://shared.example:{}/", quick.port())).await;
    let took = arrived(&quick, 1).await;
    assert!(took < Duration::from_secs(1), "{took:?}");
    // Nor to the very same receiver: whether it answers this key is between the two.
    world.finished_job_of(&other, &format!("http://shared.example:{}/mine", slow.port())).await;
    let comes = async || slow.received().iter().any(|request| request.head.starts_with("POST /mine "));
    until("it comes before the other's many", Duration::from_secs(1), comes).await;
}

#[tokio::test]
async fn a_key_whose_many_receivers_hang_leaves_places_to_others() {
    const PLACES: u32 = 32;
    let slow = TestServer::start(|_, _| Answer::Hang).await;
    let quick = TestServer::start(|_, _| response("200 OK", "", b"")).await;
    let hosts: Vec<String> = (0..200).map(|number| format!("h{number}.example")).collect();
    let local = &["127.0.0.1"][..];
    let names = hosts.iter().map(|host| (host.as_str(), local)).chain([("quick.example", local)]);
    let outbound = outbound_to(Names::new(names), &[slow.address, quick.address]);
    let world = World::start_with_places(outbound, PLACES);
    let (attacker, other) = (world.key().await, world.key().await);
    for host in &hosts {
        world.finished_job_of(&attacker, &format!("http://{host}:{}/", slow.port())).await;
    }
    arrived(&slow, PLACES as usize / 4).await;
    for round in 1..=5 {
        world.finished_job_of(&other, &format!("http://quick.example:{}/", quick.port())).await;
        let took = arrived(&quick, round).await;
        assert!(took < Duration::from_secs(1), "{took:?}");
    }
    let at_once = PLACES as usize / 2;
    assert!(slow.received().len() >= at_once, "it has its share");
}

#[tokio::test]
async fn what_cannot_be_sent_is_given_up() {
    let world = World::start(Names::new([]), &[]);
    world.finished_job("gopher://good.example/").await;
    world.settled().await;
}
