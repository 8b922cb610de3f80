//! Queues with very many waiting jobs, made within the server: submitting them one by one would take an hour.

use crate::host::{Host, job};
use crate::postgres::Server;
use crate::waiting::until;
use afterimage_jobs::{JobStore, KeyId, KeyStore, NewKey};
use std::time::Duration;

/// What a waiting job has, but its id, its place in line and its time; taken from one that the store accepted.
const SAME: &str = "key_id, dialect, model, engine_model, priority, cost_micros, work, state, protocol, input_bytes";

/// A key that may run `concurrency` jobs at once.
pub async fn limited_key(host: &Host, concurrency: u32) -> KeyId {
    host.store.create_key(NewKey { concurrency: Some(concurrency), ..NewKey::default() }).await.unwrap().0.id
}

/// Has `jobs` wait of each of `keys`, each after the one before by the work of it and all but the first `behind` so many, and the
/// sums say so. The planner is told nothing, as it is not when a crowd comes by itself.
pub async fn fill(server: &Server, database: &str, host: &Host, keys: &[KeyId], jobs: usize, behind: usize) {
    let before = host.store.queue_depth().await.unwrap().queued;
    for key in keys {
        let first = host.store.submit(job(key, 1)).await.unwrap().into_job().id;
        let more = jobs - 1;
        let statement = format!(
            "WITH first AS (SELECT * FROM jobs JOIN job_inputs USING (seq) WHERE id = '{first}'), \
             more AS (INSERT INTO jobs (id, due, created_at, {SAME}) \
                 SELECT gen_random_uuid()::TEXT, due + (number + {behind}) * work, created_at - {more} + number, {SAME} \
                 FROM first, generate_series(1, {more}) AS number RETURNING seq) \
             INSERT INTO job_inputs (seq, input, spec) SELECT more.seq, first.input, first.spec FROM more, first"
        );
        server.execute(database, statement).await;
        // A sum of a million entries would take a minute, ten thousand at a time.
        let fold = format!(
            "WITH noted AS (DELETE FROM journal WHERE key_id = '{key}' RETURNING *), \
             kept AS (INSERT INTO key_bytes (key_id, bytes) SELECT key_id, SUM(bytes) FROM noted GROUP BY key_id \
                 ON CONFLICT (key_id) DO UPDATE SET bytes = key_bytes.bytes + excluded.bytes) \
             INSERT INTO job_counts (key_id, model, state, jobs) SELECT key_id, model, entered, COUNT(*) FROM noted \
                 GROUP BY key_id, model, entered \
                 ON CONFLICT (key_id, model, state) DO UPDATE SET jobs = job_counts.jobs + excluded.jobs"
        );
        server.execute(database, fold).await;
    }
    // Of the journal only: what was deleted from it lies there until then.
    server.execute(database, "VACUUM journal".to_owned()).await;
    let expected = before + (keys.len() * jobs) as u64;
    let all_wait = async || host.store.queue_depth().await.unwrap().queued >= expected;
    until(format!("{expected} jobs wait"), Duration::from_secs(10), all_wait).await;
}
