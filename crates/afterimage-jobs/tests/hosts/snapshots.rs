//! A transaction that somebody forgot: what is dead cannot be removed for as long as it may be seen, and claims walk past it.

use crate::depth;
use crate::latencies::Quantiles;
use crate::mixture::{Rates, Side};
use crate::postgres::Server;
use sqlx::{Connection, Executor, PgConnection};
use std::time::{Duration, Instant};

/// Jobs that end each second.
const RATE: u32 = 20;

/// Claims are as fast as before again within this time.
const BACK_WITHIN: Duration = Duration::from_mins(1);

#[tokio::test(flavor = "multi_thread")]
async fn an_old_snapshot_slows_claims_a_little_and_not_for_good() {
    let Some(server) = depth::server() else { return };
    Box::pin(hold_a_snapshot(&server)).await;
}

async fn hold_a_snapshot(server: &Server) {
    let side = depth::side(server, 20_000, 0, None).await;
    let before = claims_of(&side, 4).await;
    let mut forgotten = PgConnection::connect(&server.address(&side.database)).await.unwrap();
    forgotten.execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT COUNT(*) FROM keys").await.unwrap();
    if depth::is_long() {
        claims_of(&side, 590).await;
    } else {
        end_many(server, &side, 590 * RATE).await;
    }
    let meanwhile = claims_of(&side, 10).await;
    forgotten.close().await.unwrap();
    let start = Instant::now();
    let mut after = claims_of(&side, 4).await;
    while after.p50 > 1.5 * before.p50 + 2.0 {
        assert!(start.elapsed() < BACK_WITHIN, "{after} against {before}");
        after = claims_of(&side, 4).await;
    }
    println!("claims before: {before}; beside a snapshot of 10 minutes: {meanwhile}; after: {after}");
    // The median of a busy machine; of an idle one also the slowest of a hundred.
    let measured = if depth::is_long() { meanwhile.p99 } else { meanwhile.p50 };
    assert!(measured < 50.0, "{meanwhile}");
}

async fn claims_of(side: &Side, seconds: u32) -> Quantiles {
    side.latencies.take();
    side.run(Rates { submits: RATE, claims: RATE, cancels: 0, looks: 2 }, seconds).await;
    let measured = side.latencies.take();
    println!("submits {}; lists {}", measured["submit"], measured["list"]);
    measured["claim"]
}

/// Has so many of those that are due next run and end, in the many transactions that it takes to leave as many dead rows as
/// minutes of work do.
async fn end_many(server: &Server, side: &Side, jobs: u32) {
    let run = format!(
        "UPDATE jobs SET state = 'running', attempt = 1, worker = 'somebody', started_at = queue_now(), \
             lease_until = queue_now() + 12000 WHERE seq IN (SELECT seq FROM jobs WHERE state = 'queued' ORDER BY due, seq \
             LIMIT {jobs})"
    );
    let end = "UPDATE jobs SET state = 'succeeded', worker = NULL, lease_until = NULL, finished_at = queue_now() \
               WHERE state = 'running' AND worker = 'somebody'";
    server.execute(&side.database, run).await;
    server.execute(&side.database, end.to_owned()).await;
}
