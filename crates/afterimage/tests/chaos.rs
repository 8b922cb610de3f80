//! The server and its engine process are killed at random moments while clients of two keys submit, cancel and poll, and
//! each key tries to cancel, delete and read what is the other's. Whatever was acknowledged has to end exactly once, as
//! its own key wanted.
//!
//! `AFTERIMAGE_CHAOS_ROUNDS` sets the number of kills (default 6; 500 for the long form, about 20 minutes),
//! `AFTERIMAGE_CHAOS_SEED` repeats the moments of an earlier run, and `AFTERIMAGE_CHAOS_SUMMARY` names a file for the
//! figures, which are printed anyway.

#![cfg(target_os = "linux")]
#![expect(
    clippy::unwrap_used,
    reason = "a failure anywhere in a test should end it; clippy's exception covers only the test functions"
)]

#[path = "chaos/aftermath.rs"]
mod aftermath;
#[path = "chaos/blows.rs"]
mod blows;
#[path = "chaos/clients.rs"]
mod clients;
#[path = "chaos/ledger.rs"]
mod ledger;
#[path = "support/processes.rs"]
mod processes;
#[path = "chaos/receiver.rs"]
mod receiver;
#[path = "support/server.rs"]
mod server;
#[path = "../../afterimage-jobs/tests/support/waiting.rs"]
mod waiting;

use crate::waiting::until;
use afterimage_jobs::{KeyStore, NewKey, Secret, SqliteStore, SystemClock};
use blows::{Blow, Round};
use clients::{World, poll_all, poll_some, submit_tasks, trespass};
use processes::{marked, signal};
use serde_json::json;
use server::{Installation, PATIENCE, Server, png};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// Tasks of each key that submit at once.
const CLIENTS: u64 = 2;

/// Names of the keys: the one that servers are started with, and another.
const NAMES: [&str; 2] = ["from the command line", "second"];

/// The other key.
const SECOND_KEY: &str = "another-key-for-tests";

/// Longest time from the last kill until every job has ended and every webhook has arrived. A webhook whose sender
/// was killed is sent again when its lease has run out.
const QUIET_WITHIN: Duration = Duration::from_mins(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_ends_exactly_once() {
    let rounds = number_from("AFTERIMAGE_CHAOS_ROUNDS").unwrap_or(6);
    let seed = number_from("AFTERIMAGE_CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("{rounds} rounds, AFTERIMAGE_CHAOS_SEED={seed}");
    let began = Instant::now();

    let installation = Installation::new();
    let server = installation.start();
    let client = installation.client();
    client.ready().await;
    let second = client.with_key(SECOND_KEY);
    make_second_key(&installation).await;
    let mut worlds = Vec::new();
    for client in [&client, &second] {
        let uploaded = client.upload(&png()).await;
        worlds.push(Arc::new(World::new(client.clone(), receiver::start().await, uploaded)));
    }
    let [one, other] = [Arc::clone(&worlds[0]), Arc::clone(&worlds[1])];

    let stop = CancellationToken::new();
    let mut at_work = JoinSet::new();
    for (of_key, world) in (0..).zip(&worlds) {
        for number in 0..CLIENTS {
            let seed = seed.wrapping_add(of_key * CLIENTS + number);
            at_work.spawn(submit_tasks(Arc::clone(world), seed, stop.clone()));
        }
        at_work.spawn(poll_some(Arc::clone(world), stop.clone()));
    }
    at_work.spawn(trespass(Arc::clone(&one), Arc::clone(&other), seed, stop.clone()));
    at_work.spawn(trespass(Arc::clone(&other), Arc::clone(&one), !seed, stop.clone()));

    let (mut server, strikes) = strike(&installation, server, rounds, seed).await;

    stop.cancel();
    while let Some(ended) = at_work.join_next().await {
        ended.unwrap();
    }
    client.ready().await;
    for world in &worlds {
        quiet(world).await;
        check_results(world).await;
    }
    // Whoever changes what has ended would do it now, with nothing else to do.
    sleep(Duration::from_secs(1)).await;
    for world in &worlds {
        poll_all(world).await;
        world.receiver.told().iter().for_each(|id| world.ledger.told(id));
    }
    stopped(&mut server).await;

    let ledgers = [(NAMES[0], &one.ledger), (NAMES[1], &other.ledger)];
    let remains = aftermath::examine(&installation.data(), &ledgers).await;
    let summary = json!({
        "rounds": rounds,
        "seed": seed,
        "seconds": began.elapsed().as_secs(),
        "kills": {"server": strikes.kills[0], "engine": strikes.kills[1], "both": strikes.kills[2]},
        "pauses": strikes.pauses,
        "slowest_end_of_an_orphaned_engine_ms": strikes.slowest_end.as_millis(),
        "jobs": worlds.iter().map(|world| world.ledger.summary()).collect::<Vec<_>>(),
        "webhooks": worlds.iter().map(|world| world.receiver.summary(&world.ledger)).collect::<Vec<_>>(),
        "data_folder": remains.summary(),
    });
    let summary = serde_json::to_string_pretty(&summary).unwrap();
    println!("{summary}");
    if let Ok(path) = std::env::var("AFTERIMAGE_CHAOS_SUMMARY") {
        std::fs::write(path, summary + "\n").unwrap();
    }
    let mut violations = [one.ledger.told_of(&other.ledger), other.ledger.told_of(&one.ledger)].concat();
    for world in &worlds {
        violations.extend(world.ledger.violations());
        violations.extend(world.receiver.violations(&world.ledger));
    }
    violations.extend(remains.violations);
    assert!(violations.is_empty(), "{}\n{}", violations.join("\n"), installation.log());
    for world in &worlds {
        assert!(world.ledger.succeeded() > 0, "nothing succeeded, so nothing was shown");
    }
}

/// What was done to a server.
struct Strikes {
    /// Kills of the server, of its engine process, of both.
    kills: [u64; 3],
    pauses: u64,
    /// Longest time that an engine process outlived its server.
    slowest_end: Duration,
}

/// Kills `server` or its engine process `rounds` times and starts it again; the one that runs in the end.
async fn strike(installation: &Installation, mut server: Server, rounds: u64, seed: u64) -> (Server, Strikes) {
    let mut strikes = Strikes { kills: [0; 3], pauses: 0, slowest_end: Duration::ZERO };
    let mut random = fastrand::Rng::with_seed(seed);
    for number in 0..rounds {
        let round = Round::draw(&mut random, rounds >= 50);
        println!("round {number}: {round:?}");
        sleep(round.after).await;
        if let Some(pause) = round.pause {
            pause.happen(&server).await;
            strikes.pauses += 1;
        }
        strikes.kills[round.blow as usize] += 1;
        if round.blow == Blow::Engine {
            signal("-KILL", &server.engines());
            continue;
        }
        if round.blow == Blow::Both {
            signal("-KILL", &server.engines());
        }
        let mark = server.kill();
        sleep(round.down).await;
        server = installation.start();
        strikes.slowest_end = strikes.slowest_end.max(ended(&mark).await);
    }
    (server, strikes)
}

/// Makes the second key behind the running server's back, as `afterimage keys create` does.
async fn make_second_key(installation: &Installation) {
    let store = SqliteStore::open(&installation.data(), Arc::new(SystemClock)).await.unwrap();
    let secret = Some(Secret::new(SECOND_KEY));
    store.create_key(NewKey { name: NAMES[1].to_owned(), secret, ..NewKey::default() }).await.unwrap();
}

fn number_from(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// How long the processes of a server that was killed outlive it.
async fn ended(mark: &str) -> Duration {
    until("no engine process survives its server", PATIENCE, async || marked(mark).is_empty()).await
}

/// Waits until all acknowledged jobs have ended and their webhooks have arrived.
async fn quiet(world: &World) {
    let start = Instant::now();
    loop {
        poll_all(world).await;
        let (open, missing) = (world.ledger.open(), world.receiver.missing(&world.ledger));
        if open == 0 && missing.is_empty() {
            return;
        }
        if start.elapsed() > QUIET_WITHIN {
            println!("not quiet: {open} jobs have not ended, webhooks missing of {missing:?}");
            return;
        }
        sleep(Duration::from_millis(300)).await;
    }
}

/// Reads every result and makes sure that it is the picture that was asked for.
async fn check_results(world: &World) {
    for (id, addresses) in world.ledger.results() {
        for address in addresses {
            let answer = world.client.http.get(&address).send().await.unwrap();
            let status = answer.status();
            let file = answer.bytes().await.unwrap();
            match image::load_from_memory(&file) {
                Ok(picture) if (picture.width(), picture.height()) == (256, 256) => {}
                Ok(picture) => {
                    world.ledger.violation(&id, &format!("result of {}x{}", picture.width(), picture.height()));
                }
                Err(error) => world.ledger.violation(&id, &format!("{status}, result cannot be read: {error}")),
            }
        }
    }
}

async fn stopped(server: &mut Server) {
    server.signal("-TERM");
    assert!(server.ended(PATIENCE).await.success());
    assert_eq!(server.engines(), [] as [u32; 0]);
}
