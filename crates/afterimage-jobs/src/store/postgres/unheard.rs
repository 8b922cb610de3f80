//! Jobs that were claimed by a worker that never heard of it: the transaction was committed, and its answer was lost.

use super::{Claims, PostgresStore, transition};
use crate::store::endings::Payload;
use crate::store::sql::rows::column;
use crate::{Lease, Result, WorkerId};

/// Hands back what the database says is `worker`'s. Whether nothing can show any more: a transaction that a server still works on when
/// its client has given up shows later, if at all.
pub(super) async fn release(store: &PostgresStore, worker: &WorkerId) -> Result<bool> {
    if !store.claims.is_doubtful(worker) {
        return Ok(true);
    }
    let name = worker.clone();
    let released = store
        .database
        .write(move |session| {
            let worker = name.clone();
            Box::pin(async move {
                let held = sqlx::query("SELECT id, attempt FROM jobs WHERE state = 'running' AND worker = $1");
                let row = session.optional(held.bind(worker.as_str().to_owned())).await?;
                let Some(row) = row else { return Ok(None) };
                let lease =
                    Lease { job: column::<String>(&row, "id")?.into(), attempt: column(&row, "attempt")?, worker };
                transition::apply_fenced(session, &lease, &Payload::Nothing, |job, _| job.release(&lease)).await?;
                Ok(Some(lease.job))
            })
        })
        .await?;
    let Some(job) = released else { return Ok(false) };
    tracing::info!(job_id = %job, "a job whose claim was not heard of was handed back");
    store.claims.forget_doubt(worker);
    Ok(true)
}

impl Claims {
    fn forget_doubt(&self, worker: &WorkerId) {
        self.doubtful.lock().unwrap_or_else(std::sync::PoisonError::into_inner).remove(worker);
    }
}
