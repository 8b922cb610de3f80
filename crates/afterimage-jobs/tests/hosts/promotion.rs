//! A database that dies, and the replica that takes its place.

use crate::host::{Host, blobs, database, job};
use crate::postgres::Server;
use crate::unsteady_proxy::{Line, UnsteadyProxy};
use crate::waiting::until;
use afterimage_jobs::{Error, JobId, JobState, JobStore, KeyId, PostgresStore};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;

/// How long after a promotion writes may still be refused.
const WRITES_WITHIN: Duration = Duration::from_secs(10);

/// How long a write may hang on a server that does not take it.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

/// Two servers, one of which follows the other by a line that may be cut, and who uses them.
struct Pair {
    primary: Server,
    replica: Server,
    line: UnsteadyProxy,
    /// Both.
    address: String,
}

impl Pair {
    async fn start(is_synchronous: bool) -> Option<Self> {
        let primary = Server::start()?;
        let name = database(&primary).await;
        let line = UnsteadyProxy::before(([127, 0, 0, 1], primary.port).into()).await;
        let replica = primary.replica(line.address.port());
        primary.set_synchronous(is_synchronous).await;
        let address = format!("postgres://postgres@127.0.0.1:{},127.0.0.1:{}/{name}", primary.port, replica.port);
        Some(Self { primary, replica, line, address })
    }
}

/// Submits without a break, and notes what was acknowledged.
struct Client {
    acknowledged: Arc<Mutex<Vec<JobId>>>,
    /// The longest that one call took, and when the last one was acknowledged.
    times: Arc<Mutex<(Duration, Instant)>>,
    task: JoinHandle<()>,
}

impl Client {
    fn start(store: PostgresStore, key: KeyId) -> Self {
        let acknowledged = Arc::new(Mutex::new(Vec::new()));
        let times = Arc::new(Mutex::new((Duration::ZERO, Instant::now())));
        let (noted, task_times) = (acknowledged.clone(), times.clone());
        let task = tokio::spawn(async move {
            for steps in (50..400).step_by(25).cycle() {
                let start = Instant::now();
                let outcome = store.submit(job(&key, steps)).await;
                let took = start.elapsed();
                note_longest(&task_times, took);
                match outcome {
                    Ok(submitted) => {
                        task_times.lock().unwrap().1 = Instant::now();
                        noted.lock().unwrap().push(submitted.into_job().id);
                    }
                    Err(error) => assert!(matches!(error, Error::Unavailable { .. }), "{error}"),
                }
                // Real time: so many requests a second.
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
        });
        Self { acknowledged, times, task }
    }

    fn count(&self) -> usize {
        self.acknowledged.lock().unwrap().len()
    }

    /// Waits for the first acknowledgement from now on.
    async fn writes_again(&self, within: Duration) -> Duration {
        let since = Instant::now();
        until("writes are back", within, async || self.times.lock().unwrap().1 > since).await
    }

    fn longest(&self) -> Duration {
        self.times.lock().unwrap().0
    }

    fn stop(self) -> Vec<JobId> {
        self.task.abort();
        self.acknowledged.lock().unwrap().clone()
    }
}

fn note_longest(times: &Mutex<(Duration, Instant)>, took: Duration) {
    let mut times = times.lock().unwrap();
    times.0 = times.0.max(took);
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Hosts with 8 slots in all.
async fn workers(address: &str) -> Vec<Host> {
    let files = blobs();
    let mut hosts = Vec::new();
    for _ in 0..2 {
        hosts.push(Host::start(address, &files, 4).await);
    }
    hosts
}

/// Waits until everything acknowledged that there is has ended; how many there are not, and how many ended uncleanly.
async fn lost_and_unclean(api: &Host, acknowledged: &[JobId]) -> (usize, u32) {
    let ended = async || {
        let jobs = api.store.jobs(acknowledged).await.unwrap_or_default();
        !jobs.is_empty() && jobs.iter().all(|job| job.state == JobState::Succeeded)
    };
    until("every job is done", Duration::from_mins(1), ended).await;
    let jobs = api.store.jobs(acknowledged).await.unwrap();
    (acknowledged.len() - jobs.len(), jobs.iter().map(|job| job.unclean_ends).sum())
}

async fn fail_over(is_synchronous: bool) -> Option<(usize, u32)> {
    let pair = Pair::start(is_synchronous).await?;
    let api = Host::start(&pair.address, &blobs(), 0).await;
    let hosts = workers(&pair.address).await;
    let client = Client::start(api.store.clone(), api.key().await);
    let many = async || client.count() >= 15;
    until("some jobs are there", Duration::from_secs(20), many).await;
    // The worst moment: what the primary acknowledges now is nowhere else, if it acknowledges it.
    pair.line.set(Line::Cut);
    // Real time: requests of this second are what may be lost.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = client.count();
    pair.primary.kill_hard();
    pair.replica.promote();
    let back = client.writes_again(WRITES_WITHIN).await;
    // Real time: jobs come on the new primary, too.
    tokio::time::sleep(Duration::from_secs(3)).await;
    let longest = client.longest().as_secs_f64();
    let acknowledged = client.stop();
    let (lost, unclean) = lost_and_unclean(&api, &acknowledged).await;
    println!(
        "synchronous: {is_synchronous}: writes back {:.1} s after the promotion; of {} acknowledged jobs \
         ({before} before it) {lost} lost, {unclean} unclean ends; the longest call took {longest:.1} s",
        back.as_secs_f64(),
        acknowledged.len(),
    );
    for host in hosts {
        host.stop().await;
    }
    Some((lost, unclean))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_promoted_has_all_that_was_acknowledged() {
    let Some(outcome) = Box::pin(fail_over(true)).await else { return };
    assert_eq!(outcome, (0, 0), "lost, unclean ends");
}

/// What asynchronous replication loses is not ours to mend; the figure is for the documents.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_nobody_waited_for_is_as_good_as_it_gets() {
    if std::env::var_os("AFTERIMAGE_LONG_TESTS").is_none() {
        return;
    }
    // An end may be lost, too: then the job looks as if it ran, and runs again.
    let _ = Box::pin(fail_over(false)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_stays_with_a_primary_that_was_taken_back() {
    let Some(pair) = Box::pin(Pair::start(false)).await else { return };
    let api = Host::start(&pair.address, &blobs(), 0).await;
    let hosts = workers(&pair.address).await;
    let client = Client::start(api.store.clone(), api.key().await);
    until("some jobs are there", Duration::from_secs(20), async || client.count() >= 10).await;
    // It stays up, answers, and takes no change; first nobody does, then the replica.
    pair.primary.set_read_only(true).await;
    // Real time: for so long there is nobody to go to.
    tokio::time::sleep(Duration::from_secs(4)).await;
    pair.replica.promote();
    let back = client.writes_again(WRITES_WITHIN).await;
    println!("a primary was taken back: writes were back {:.1} s after the promotion", back.as_secs_f64());
    // Whoever listens must have left it, too: it lets listen.
    let heard = async || hosts[0].hints.look_every() == Some(Duration::from_secs(2));
    until("hosts hear each other", Duration::from_secs(15), heard).await;
    let mut listener = api.store.listen().await.unwrap();
    api.store.notify("somebody\n?word".to_owned()).await.unwrap();
    tokio::time::timeout(Duration::from_secs(2), listener.try_recv()).await.expect("news on the new primary").unwrap();
    let longest = client.longest();
    println!("the longest call took {:.1} s", longest.as_secs_f64());
    assert!(longest <= REFUSED_WITHIN, "{longest:?}");
    let acknowledged = client.stop();
    let (lost, unclean) = lost_and_unclean(&api, &acknowledged).await;
    assert_eq!((lost, unclean), (0, 0), "lost, unclean ends");
    for host in hosts {
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_no_changes_for_a_while_is_used_again_by_itself() {
    let Some(server) = Server::start() else { return };
    let name = database(&server).await;
    let api = Host::start(&server.address(&name), &blobs(), 0).await;
    let hosts = workers(&server.address(&name)).await;
    let client = Client::start(api.store.clone(), api.key().await);
    until("some jobs are there", Duration::from_secs(20), async || client.count() >= 5).await;
    server.set_read_only(true).await;
    // Real time: for so long nobody takes changes.
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(api.store.listen().await.is_err(), "nobody says anything on a server that takes no changes");
    server.set_read_only(false).await;
    let back = client.writes_again(REFUSED_WITHIN).await;
    let longest = client.longest();
    println!(
        "read-only for 5 s: writes were back after {:.1} s, the longest call took {:.1} s",
        back.as_secs_f64(),
        longest.as_secs_f64()
    );
    assert!(longest <= REFUSED_WITHIN, "{longest:?}");
    let (lost, unclean) = lost_and_unclean(&api, &client.stop()).await;
    assert_eq!((lost, unclean), (0, 0), "lost, unclean ends");
    for host in hosts {
        host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_that_takes_changes_may_be_any_of_the_list() {
    let Some(primary) = Server::start() else { return };
    let name = database(&primary).await;
    let replica = primary.replica(primary.port);
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listed = [gone, replica.port, primary.port].map(|port| format!("127.0.0.1:{port}")).join(",");
    let start = Instant::now();
    let api = Host::start(&format!("postgres://postgres@{listed}/{name}"), &blobs(), 0).await;
    api.key().await;
    println!("the third host of three was found within {:.1} s", start.elapsed().as_secs_f64());
    assert!(start.elapsed() < REFUSED_WITHIN, "{:?}", start.elapsed());
}
