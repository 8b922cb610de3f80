//! Faults of all kinds, one after the other and over each other, while clients go on: 12 in the short form, 300 with
//! `AFTERIMAGE_LONG_TESTS`. The seed is printed, and taken from `AFTERIMAGE_FAULTS_SEED` where that is set.

mod client;
mod lab;
mod random;
mod verdict;

use crate::unsteady_proxy::Line;
use crate::waiting::{eventually, until};
use afterimage_jobs::JobStore;
use client::Client;
use lab::{Files, Lab};
use random::Random;
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::time::sleep;

#[derive(Clone, Copy, Debug)]
enum Fault {
    WorkerKilled,
    WorkerFrozen,
    WorkerCut,
    WorkerStalled,
    WorkerUnheard,
    WorkerDeaf,
    WorkerDrained,
    ApiKilled,
    PoolerKilled,
    StorageAway,
    DatabaseKilled,
    DatabaseUnreachable,
}

const ALL: [Fault; 12] = [
    Fault::WorkerKilled,
    Fault::WorkerFrozen,
    Fault::WorkerCut,
    Fault::WorkerStalled,
    Fault::WorkerUnheard,
    Fault::WorkerDeaf,
    Fault::WorkerDrained,
    Fault::ApiKilled,
    Fault::PoolerKilled,
    Fault::StorageAway,
    Fault::DatabaseKilled,
    Fault::DatabaseUnreachable,
];

#[tokio::test(flavor = "multi_thread")]
async fn whatever_fails_each_job_ends_once() {
    let rounds = if std::env::var_os("AFTERIMAGE_LONG_TESTS").is_some() { 300 } else { 12 };
    let given = std::env::var("AFTERIMAGE_FAULTS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs());
    println!("{rounds} rounds of faults, AFTERIMAGE_FAULTS_SEED={seed}");
    Box::pin(run(rounds, seed)).await;
}

async fn run(rounds: usize, seed: u64) {
    let Some(mut lab) = Box::pin(Lab::start()).await else { return };
    let key = lab.api.key().await;
    let api = Arc::new(Mutex::new(lab.api.store.clone()));
    let client = Client::start(&api, &key, seed);
    let some_run = async || lab.direct.queue_depth().await.is_ok_and(|depth| depth.running >= 4);
    until("jobs run", Duration::from_secs(30), some_run).await;
    let mut random = Random::of(seed ^ 1);
    let start = Instant::now();
    let mut bag: Vec<Fault> = Vec::new();
    for round in 1..=rounds {
        // Each kind comes once in twelve rounds, in any order.
        if bag.is_empty() {
            bag.extend(ALL);
            random.shuffle(&mut bag);
        }
        let Some(fault) = bag.pop() else { continue };
        println!("{:6.1} s: round {round}: {fault:?}", start.elapsed().as_secs_f64());
        Box::pin(strike(&mut lab, fault, &mut random)).await;
        *api.lock().unwrap() = lab.api.store.clone();
        // Real time: what comes of it, before the next one.
        sleep(random.between(300, 1700)).await;
    }
    client.stop_submitting();
    // Real time: the longest fault that is still on ends by itself.
    sleep(LONGEST).await;
    lab.heal();
    let settled = settle(&lab).await;
    let acknowledged: HashSet<_> = client.notes.lock().unwrap().acknowledged.keys().cloned().collect();
    client.all_are_told(&acknowledged).await;
    for worker in &mut lab.workers {
        worker.drain().await;
    }
    let notes = std::mem::take(&mut *client.notes.lock().unwrap());
    let blobs = lab.files.open().await;
    let verdict = Box::pin(verdict::judge(&lab, &notes, &blobs)).await;
    println!(
        "{rounds} rounds, seed {seed}, in {:.0} s, settled {:.1} s after the last: {} acknowledged, {verdict}; {} requests refused",
        start.elapsed().as_secs_f64(),
        settled.as_secs_f64(),
        notes.acknowledged.len(),
        notes.refused
    );
    assert!(verdict.succeeded > verdict.jobs / 2, "{verdict}");
}

/// Waits until every job has ended; how long that took. A backlog takes its time, but jobs must go on ending.
async fn settle(lab: &Lab) -> Duration {
    let start = Instant::now();
    let mut open = u64::MAX;
    while open > 0 {
        let before = open;
        let moves = eventually(STANDSTILL, async || {
            let depth = lab.direct.queue_depth().await.map_err(|error| error.to_string())?;
            let now = depth.queued + depth.running;
            if now < before { Ok(now) } else { Err(format!("{depth:?}")) }
        });
        open = moves.await;
    }
    start.elapsed()
}

/// How long no job may end while some are open and nothing fails.
const STANDSTILL: Duration = Duration::from_secs(45);

/// The longest time that something fails.
const LONGEST: Duration = Duration::from_secs(20);

/// Mostly shorter than a lease, sometimes longer.
const fn time(random: &mut Random) -> Duration {
    if random.below(3) == 0 { random.between(13_000, LONGEST.as_millis() as u64) } else { random.between(500, 5000) }
}

async fn strike(lab: &mut Lab, fault: Fault, random: &mut Random) {
    let number = random.below(lab.workers.len());
    let worker = &mut lab.workers[number];
    match fault {
        Fault::WorkerKilled => {
            worker.kill();
            worker.start().await;
        }
        Fault::WorkerDrained => {
            worker.drain().await;
            worker.start().await;
        }
        Fault::WorkerFrozen => worker.freeze(time(random)),
        Fault::WorkerCut => for_a_while(worker.line.clone(), Line::Cut, time(random)),
        Fault::WorkerStalled => for_a_while(worker.line.clone(), Line::Stalled, time(random)),
        Fault::WorkerUnheard => for_a_while(worker.line.clone(), Line::Unheard, time(random)),
        Fault::WorkerDeaf => for_a_while(worker.line.clone(), Line::Deaf, time(random)),
        Fault::ApiKilled => lab.replace_api().await,
        Fault::PoolerKilled => {
            if let Some(pooler) = &mut lab.pooler {
                pooler.kill();
                // Real time: it is away for so long.
                sleep(random.between(100, 3000)).await;
                pooler.run().await;
            }
        }
        Fault::StorageAway => {
            let line = if random.below(2) == 0 { Line::Cut } else { Line::Stalled };
            if let Files::Bucket { line: way, .. } = &lab.files {
                for_a_while(way.clone(), line, time(random));
            }
        }
        Fault::DatabaseKilled => {
            lab.server.kill_hard();
            // Real time: as above.
            sleep(random.between(100, 5000)).await;
            lab.server.run();
        }
        Fault::DatabaseUnreachable => {
            lab.set_lines(Line::Stalled);
            // Real time: as above.
            sleep(random.between(1000, 6000)).await;
            lab.set_lines(Line::Steady);
        }
    }
}

/// Makes a line bad; others fail meanwhile.
fn for_a_while(way: Arc<crate::unsteady_proxy::UnsteadyProxy>, line: Line, time: Duration) {
    way.set(line);
    tokio::spawn(async move {
        // Real time: how long the fault lasts.
        sleep(time).await;
        way.set(Line::Steady);
    });
}
