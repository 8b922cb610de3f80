//! Jobs that cannot be read. A claim that failed by it would be undone, and the same job would be the next one for ever.

use super::rows::{self, column};
use super::{transition, unavailable};
use crate::state::{Lifecycle, Transition};
use crate::store::endings::{self, Payload};
use crate::{Error, FailureKind, Job, JobId, Result, Timestamp};
use sqlx::SqliteConnection;
use sqlx::sqlite::SqliteRow;

/// The job in `row`, which was claimed by this transaction. `None`: it cannot be read; then it has failed by `fail`, and what could
/// not be read is gone, so that lists of its key can be read again.
pub(super) async fn job_or_end(
    connection: &mut SqliteConnection,
    now: Timestamp,
    row: &SqliteRow,
    fail: impl FnOnce(Lifecycle, FailureKind) -> Transition,
) -> Result<Option<Job>> {
    let error = match rows::job(row) {
        Ok(job) => return Ok(Some(job)),
        Err(error) => error,
    };
    let id = JobId::from(column::<String>(row, "id")?);
    let failure = endings::unreadable();
    let kind = failure.kind;
    if transition::apply(connection, now, &id, Payload::Failure(failure), |job| fail(job, kind)).await?.is_none() {
        return Err(error);
    }
    let inputs = sqlx::query("DELETE FROM job_inputs WHERE seq = ?1").bind(column::<i64>(row, "seq")?);
    inputs.execute(connection).await.map_err(unavailable)?;
    if let Error::Unavailable { what, .. } = &error {
        // Without the reason, which may quote the request.
        tracing::error!(job_id = %id, what, "a job cannot be read and has failed");
    }
    Ok(None)
}
