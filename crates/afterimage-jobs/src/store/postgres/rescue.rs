//! Jobs whose worker is gone, by the database's clock.

use super::PostgresStore;
use super::grace::Server;
use super::transition;
use crate::clock_trust::Reading;
use crate::store::endings::{self, Payload};
use crate::store::sql::rows::{self, column};
use crate::{JobId, Result, Timestamp};
use tokio::time::Instant;

/// Which server answered, and its clock.
const SERVER: &str = "SELECT queue_now() AS now, \
     (extract(epoch FROM pg_postmaster_start_time()) * 1000)::BIGINT AS started_at, \
     (SELECT timeline_id::BIGINT FROM pg_control_checkpoint()) AS timeline";

/// By the clock that was found to be right, and by the one now: it may jump between two statements.
const LATE: &str = "SELECT id FROM jobs WHERE state = 'running' AND lease_until < LEAST(queue_now(), $1) \
     ORDER BY seq LIMIT 1000";

/// A lease that ends later than any was ever given is from a clock that was ahead, and would never run out.
const CUT: &str = "UPDATE jobs SET lease_until = queue_now() + $1 WHERE seq IN (SELECT seq FROM jobs \
     WHERE state = 'running' AND lease_until > queue_now() + 2 * $1 FOR NO KEY UPDATE SKIP LOCKED)";

/// Ends or requeues running jobs whose lease ran out.
pub(super) async fn rescue(store: &PostgresStore) -> Result<Vec<JobId>> {
    let mut believed = Timestamp(i64::MAX);
    if let Some(lease) = store.longest_lease {
        let row = store.database.read(|session| Box::pin(session.one(sqlx::query(SERVER)))).await?;
        let server = Server { started_at: column(&row, "started_at")?, timeline: column(&row, "timeline")? };
        let at = Reading { monotonic: Instant::now(), wall: Timestamp(column(&row, "now")?) };
        if !store.grace.allows(server, at, lease) {
            return Ok(Vec::new());
        }
        believed = at.wall;
        let lease = rows::milliseconds(lease);
        store
            .database
            .write(move |session| Box::pin(async move { session.execute(sqlx::query(CUT).bind(lease)).await }))
            .await?;
    }
    // In a transaction where the time of a test has to be told.
    let late = store.database.write(move |session| Box::pin(session.all(sqlx::query(LATE).bind(believed.0)))).await?;
    let mut rescued = Vec::new();
    for row in &late {
        let id = JobId::from(column::<String>(row, "id")?);
        // Each in a transaction of its own, which reads the lease again: it may have been renewed.
        if end_uncleanly(store, id.clone(), believed).await? {
            rescued.push(id);
        }
    }
    Ok(rescued)
}

/// Unless its lease was renewed meanwhile. `believed`: see [`LATE`].
async fn end_uncleanly(store: &PostgresStore, id: JobId, believed: Timestamp) -> Result<bool> {
    let most = store.expired_leases;
    store
        .database
        .write(move |session| {
            let id = id.clone();
            Box::pin(async move {
                let payload = Payload::Failure(endings::quarantine(endings::LEASE_RAN_OUT));
                let after =
                    transition::apply(session, &id, &payload, |job, now| job.rescue(now.min(believed), most)).await?;
                Ok(after.is_some())
            })
        })
        .await
}
