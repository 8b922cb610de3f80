//! Finding what a key owns.

use crate::refusal::Refusal;
use afterimage_jobs::{ApiKey, Job, JobId, Store};

/// The job `id` that `key` made in `dialect`; `noun` is the dialect's word for it. Somebody else's job looks like none.
///
/// # Errors
/// [`Refusal::NotFound`], [`Refusal::Gone`], and those of the store.
pub async fn own_job(store: &dyn Store, key: &ApiKey, dialect: &str, noun: &str, id: &str) -> Result<Job, Refusal> {
    let unknown = || Refusal::NotFound(format!("no such {noun}"));
    let id = JobId::parse(id).ok_or_else(unknown)?;
    let job = store.job(&id).await?.filter(|job| job.key == key.id && job.dialect == dialect).ok_or_else(unknown)?;
    if job.deleted { Err(Refusal::Gone(format!("this {noun} was deleted"))) } else { Ok(job) }
}
