//! Claims of which the worker never hears, and hosts that vanish within a transaction.

use crate::host::{Host, blobs, database, job};
use crate::postgres::server;
use crate::unsteady_proxy::{Line, UnsteadyProxy};
use crate::waiting::{eventually, until};
use afterimage_jobs::{CancelOutcome, JobState, JobStore, UNNAMED, WorkerId};
use std::time::{Duration, Instant};

/// Makes the commit of each claim take longer than a worker waits for it.
const SLOW_COMMITS: &str = "CREATE FUNCTION slow_down() RETURNS TRIGGER LANGUAGE plpgsql AS \
     $$ BEGIN PERFORM pg_sleep(4.5); RETURN NULL; END $$; \
     CREATE CONSTRAINT TRIGGER slow_commit AFTER UPDATE ON jobs DEFERRABLE INITIALLY DEFERRED FOR EACH ROW \
     WHEN (NEW.state = 'running' AND OLD.state = 'queued') EXECUTE FUNCTION slow_down()";

/// Makes claims take a second before their rows are written.
const SLOW_CLAIMS: &str = "CREATE FUNCTION slow_down() RETURNS TRIGGER LANGUAGE plpgsql AS \
     $$ BEGIN PERFORM pg_sleep(1); RETURN NEW; END $$; \
     CREATE TRIGGER slow_claim BEFORE UPDATE ON jobs FOR EACH ROW \
     WHEN (NEW.state = 'running' AND OLD.state = 'queued') EXECUTE FUNCTION slow_down()";

/// What others wait for at most when a host vanishes within a transaction.
const UNLOCKED_WITHIN: Duration = Duration::from_secs(6);

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_that_stops_hands_back_what_it_never_heard_of() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let api = Host::start(&server.address(&name), &blobs(), 0).await;
    let key = api.key().await;
    let id = api.store.submit(job(&key, 1)).await.unwrap().into_job().id;
    server.execute(&name, SLOW_COMMITS.to_owned()).await;
    let worker = Host::start(&server.address(&name), &blobs(), 1).await;
    // Real time: the claim has begun by then, and is given up by its worker before its transaction is committed.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = Instant::now();
    worker.stop().await;
    let stopped = start.elapsed();
    let after = api.store.job(&id).await.unwrap().unwrap();
    assert_eq!((after.state, after.attempt, after.unclean_ends), (JobState::Queued, 1, 0));
    println!("a claim that nobody heard of was handed back, {:.1} s after the stop began", stopped.as_secs_f64());
    assert!(stopped < Duration::from_secs(12), "{stopped:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_vanishes_within_a_transaction_holds_nobody_up_for_long() {
    let Some(server) = server() else { return };
    let name = database(server).await;
    let line = UnsteadyProxy::before(([127, 0, 0, 1], server.port).into()).await;
    let by_line = server.address(&name).replace(&server.port.to_string(), &line.address.port().to_string());
    let (api, vanishing) =
        (Host::start(&server.address(&name), &blobs(), 0).await, Host::start(&by_line, &blobs(), 0).await);
    let key = api.key().await;
    let id = api.store.submit(job(&key, 1)).await.unwrap().into_job().id;
    server.execute(&name, SLOW_CLAIMS.to_owned()).await;
    let store = vanishing.store.clone();
    tokio::spawn(async move { store.claim(&WorkerId::random(), &UNNAMED, Duration::from_secs(12)).await });
    let others = |what: &str| {
        let those = "FROM pg_stat_activity WHERE datname = current_database() AND";
        format!("SELECT 1 / (SELECT COUNT(*) {those} {what})")
    };
    let (at_it, holding) = (others("wait_event = 'PgSleep'"), others("state = 'idle in transaction'"));
    let begun = async || server.try_execute(&name, at_it.clone()).await.is_ok();
    until("the claim has begun", Duration::from_secs(5), begun).await;
    line.set(Line::Stalled);
    let holds = async || server.try_execute(&name, holding.clone()).await.is_ok();
    until("its row is locked, and nobody is there", Duration::from_secs(5), holds).await;
    let start = Instant::now();
    // A client asks again, as it does after a 503; an answer may have been lost.
    let outcome = eventually(Duration::from_secs(20), async || api.store.cancel(&key, &id).await).await;
    let waited = start.elapsed();
    println!("a row that a vanished host had locked was free {:.1} s later", waited.as_secs_f64());
    assert!(matches!(outcome, CancelOutcome::Cancelled | CancelOutcome::AlreadyFinished), "{outcome:?}");
    assert_eq!(api.store.job(&id).await.unwrap().unwrap().state, JobState::Cancelled);
    assert!(waited < UNLOCKED_WITHIN, "{waited:?}");
}
