//! Jobs that cannot be read. A claim that failed by it would be undone, and the same job would be the next one for ever.

use super::session::Session;
use super::transition;
use crate::state::{Lifecycle, Transition};
use crate::store::endings::{self, Payload};
use crate::store::sql::rows::{self, column};
use crate::{Error, FailureKind, Job, JobId, Result};
use sqlx::postgres::PgRow;

/// The job in `row`, which was claimed by this transaction. `None`: it cannot be read; then it has failed by `fail`, and what could
/// not be read is gone, so that lists of its key can be read again.
pub(super) async fn job_or_end(
    session: &mut Session,
    row: &PgRow,
    fail: impl FnOnce(Lifecycle, FailureKind) -> Transition,
) -> Result<Option<Job>> {
    let error = match rows::job(row) {
        Ok(job) => return Ok(Some(job)),
        Err(error) => error,
    };
    let id = JobId::from(column::<String>(row, "id")?);
    let failure = endings::unreadable();
    let kind = failure.kind;
    if transition::apply(session, &id, &Payload::Failure(failure), |job, _| fail(job, kind)).await?.is_none() {
        return Err(error);
    }
    let seq: i64 = column(row, "seq")?;
    session.execute(sqlx::query("DELETE FROM job_inputs WHERE seq = $1").bind(seq)).await?;
    if let Error::Unavailable { what, .. } = &error {
        // Without the reason, which may quote the request.
        tracing::error!(job_id = %id, what, "a job cannot be read and has failed");
    }
    Ok(None)
}
