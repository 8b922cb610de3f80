//! Steps and previews of jobs that run elsewhere: the process that runs one is asked while somebody watches.

use crate::host::{Host, blobs, database, job};
use crate::postgres::server;
use crate::waiting::until;
use afterimage_jobs::progress::{Event, Events, Noted};
use afterimage_jobs::remote::{AskProcess, NoAnswer};
use afterimage_jobs::{JobId, JobState, JobStore, PostgresOptions, ProcessId, RunPlace};
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Processes that reach each other without a network. Clones share it.
#[derive(Clone, Default)]
struct Neighbours {
    events: Arc<Mutex<HashMap<String, Events>>>,
    are_apart: Arc<AtomicBool>,
    /// Streams that are open.
    open: Arc<AtomicUsize>,
    opened: Arc<AtomicUsize>,
}

impl Neighbours {
    fn join(&self, (id, events): (&ProcessId, &Events)) -> Arc<dyn AskProcess> {
        self.events.lock().unwrap().insert(id.to_string(), events.clone());
        Arc::new(self.clone())
    }

    fn at(&self, place: &RunPlace) -> Result<Events, NoAnswer> {
        if self.are_apart.load(Ordering::Relaxed) {
            return Err(NoAnswer("no way".to_owned()));
        }
        Ok(self.events.lock().unwrap()[&place.address].clone())
    }
}

/// Counts an open stream until it is dropped.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl AskProcess for Neighbours {
    async fn events(
        &self,
        place: &RunPlace,
        job: &JobId,
        attempt: u32,
        previews: bool,
    ) -> Result<BoxStream<'static, Event>, NoAnswer> {
        let watcher = self.at(place)?.watch_attempt(job, attempt, previews);
        let watcher = watcher.ok_or_else(|| NoAnswer("another attempt".to_owned()))?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.open.fetch_add(1, Ordering::Relaxed);
        let open = Open(Arc::clone(&self.open));
        let counted = move |event| {
            let _ = &open;
            event
        };
        Ok(watcher.into_stream().map(counted).boxed())
    }

    async fn history(&self, place: &RunPlace, job: &JobId) -> Result<Vec<Noted>, NoAnswer> {
        Ok(self.at(place)?.history(job))
    }
}

struct Hosts {
    api: Host,
    worker: Host,
    neighbours: Neighbours,
}

/// One that accepts jobs and one that runs them.
async fn hosts() -> Option<Hosts> {
    let server = server()?;
    let address = server.address(&database(server).await);
    let (files, neighbours) = (blobs(), Neighbours::default());
    let start = async |slots| {
        let ask = |host: (&ProcessId, &Events)| Some(neighbours.join(host));
        Host::start_asking(&address, &files, slots, PostgresOptions::default(), ask).await.unwrap()
    };
    let (worker, api) = (start(1).await, start(0).await);
    // Whoever announced itself after the worker did knows that there is somebody to ask.
    let both = async || api.store.processes().await.unwrap().len() == 2;
    until("both are there", Duration::from_secs(5), both).await;
    Some(Hosts { api, worker, neighbours })
}

impl Hosts {
    async fn submit(&self, steps: u32) -> JobId {
        let key = self.api.key().await;
        let id = self.api.store.submit(job(&key, steps)).await.unwrap().into_job().id;
        self.api.hints.submitted(&None);
        id
    }

    async fn state(&self, id: &JobId) -> JobState {
        self.api.store.job(id).await.unwrap().unwrap().state
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_and_previews_cross_hosts_while_somebody_watches() {
    let Some(hosts) = hosts().await else { return };
    Box::pin(async {
        let id = hosts.submit(400).await;
        let mut plain = hosts.api.events.watch(&id, false);
        let began = async || hosts.worker.events.latest(&id).step.is_some();
        until("the worker sees a step", Duration::from_secs(5), began).await;
        let seen_there = Instant::now();
        let event = tokio::time::timeout(Duration::from_secs(3), plain.next()).await.expect("a step is heard of");
        let after = seen_there.elapsed();
        println!("first step on another host {:.2} s after the worker saw it", after.as_secs_f64());
        assert!(matches!(event, Some(Event::Step { total: 400, .. })), "{event:?}");
        assert!(after < Duration::from_millis(500), "{after:?}");
        // Nobody has asked for previews.
        for _ in 0..20 {
            assert!(matches!(plain.next().await, Some(Event::Step { .. })));
        }
        let mut with = hosts.api.events.watch(&id, true);
        let preview = async { while !matches!(with.next().await, Some(Event::Preview(_))) {} };
        tokio::time::timeout(Duration::from_secs(3), preview).await.expect("a preview comes");
        assert_eq!(hosts.neighbours.open.load(Ordering::Relaxed), 1, "one stream for both");
        drop(with);
        let are_over = async || {
            let steps = hosts.worker.events.previews_wanted(&id).is_none_or(|wanted| *wanted.borrow() == 0);
            steps && hosts.neighbours.open.load(Ordering::Relaxed) == 1
        };
        until("previews are not made any more", Duration::from_secs(2), are_over).await;
        assert_eq!(hosts.neighbours.opened.load(Ordering::Relaxed), 3, "without, with and again without previews");
        drop(plain);
        let is_closed = async || hosts.neighbours.open.load(Ordering::Relaxed) == 0;
        until("nobody is asked for nobody", Duration::from_secs(2), is_closed).await;
        let ended = async || hosts.state(&id).await == JobState::Succeeded;
        until("it ends", Duration::from_secs(20), ended).await;
        // Who ran it is known after its end, too.
        let seen = hosts.api.store.look_at(std::slice::from_ref(&id)).await.unwrap();
        let place = seen[0].place.clone().expect("where it ran");
        let history = hosts.neighbours.history(&place, &id).await.unwrap();
        assert_eq!(history.len(), 400);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_cannot_be_asked_is_read_about_and_never_goes_back() {
    let Some(hosts) = hosts().await else { return };
    Box::pin(async {
        hosts.neighbours.are_apart.store(true, Ordering::Relaxed);
        let id = hosts.submit(1500).await;
        let mut watcher = hosts.api.events.watch(&id, false);
        let mut steps = Vec::new();
        while let Some(event) = watcher.next().await {
            let Event::Step { done, .. } = event else { panic!("{event:?}") };
            steps.push(done);
            if steps.len() == 1 {
                hosts.neighbours.are_apart.store(false, Ordering::Relaxed);
            }
        }
        println!("{} steps, the first was {}", steps.len(), steps[0]);
        assert!(steps[0] > 100, "what renewals say is seconds old: {steps:?}");
        assert!(steps.is_sorted(), "{steps:?}");
        assert!(steps.len() > 200, "the way came back: {}", steps.len());
        assert_eq!(hosts.state(&id).await, JobState::Succeeded);
    })
    .await;
}
