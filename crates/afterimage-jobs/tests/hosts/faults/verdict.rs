//! What must be so when all is over.

use super::client::Notes;
use super::lab::Lab;
use crate::host::picture_of;
use crate::waiting::eventually;
use afterimage_jobs::retention::{Retention, sweep_orphans};
use afterimage_jobs::{Blobs, Clock, FailureKind, Job, JobId, JobState, JobStore, SystemClock};
use sqlx::{Connection, Row};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::time::Duration;

/// How long files may take to be listed.
const LISTED_WITHIN: Duration = Duration::from_mins(3);

/// Sums that are printed.
#[derive(Default)]
pub struct Verdict {
    pub jobs: usize,
    pub succeeded: usize,
    pub cancelled: usize,
    /// Given up for the storage, or for too many deaths.
    pub given_up: usize,
    pub unclean_ends: u32,
    pub most_attempts: u32,
    pub orphans: u64,
}

impl fmt::Display for Verdict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { jobs, succeeded, cancelled, given_up, unclean_ends, most_attempts, orphans } = self;
        write!(
            formatter,
            "{jobs} jobs: {succeeded} succeeded, {cancelled} cancelled, {given_up} given up; {unclean_ends} unclean ends, at most \
             {most_attempts} attempts; {orphans} files without a row were removed"
        )
    }
}

/// Looks at every job and file; all processes have stopped.
pub async fn judge(lab: &Lab, notes: &Notes, blobs: &Blobs) -> Verdict {
    let ends = witnessed_ends(lab).await;
    let all: Vec<JobId> = ends.keys().cloned().collect();
    let mut jobs: HashMap<JobId, Job> = HashMap::new();
    for some in all.chunks(500) {
        jobs.extend(lab.direct.jobs(some).await.unwrap().into_iter().map(|job| (job.id.clone(), job)));
    }
    let mut verdict = Verdict { jobs: jobs.len(), ..Verdict::default() };
    for id in notes.acknowledged.keys() {
        assert!(jobs.contains_key(id), "{id} was acknowledged and has no end");
    }
    let mut kept = BTreeSet::new();
    for (id, job) in &jobs {
        assert_eq!(ends[id], [job.state], "{id} has one end");
        verdict.unclean_ends += job.unclean_ends;
        verdict.most_attempts = verdict.most_attempts.max(job.attempt);
        match job.state {
            JobState::Succeeded => {
                verdict.succeeded += 1;
                kept.insert(judge_result(job, blobs).await);
            }
            JobState::Cancelled => {
                verdict.cancelled += 1;
                assert_eq!(notes.acknowledged.get(id), Some(&true), "nobody asked for the end of {id}");
            }
            _ => {
                verdict.given_up += 1;
                let kind = job.failure.as_ref().map(|failure| failure.kind);
                assert!(matches!(kind, Some(FailureKind::Storage | FailureKind::Crashed)), "{job:#?}");
            }
        }
    }
    let sums = lab.direct.ends().await.unwrap();
    let counted = (sums.succeeded as usize, sums.cancelled as usize, sums.failed as usize);
    assert_eq!(counted, (verdict.succeeded, verdict.cancelled, verdict.given_up), "sums");
    let later = SystemClock.now().plus(Duration::from_hours(48));
    // The bucket's server takes its time for thousands of files, and more than a request may where others compute.
    let sweep = async || sweep_orphans(&lab.direct, blobs, &Retention::default(), later).await;
    verdict.orphans = eventually(LISTED_WITHIN, async || sweep().await.map_err(|error| error.to_string())).await;
    let list = async || blobs.list("results").await.map_err(|error| error.to_string());
    let left: BTreeSet<String> = eventually(LISTED_WITHIN, list).await.into_iter().map(|file| file.path).collect();
    assert_eq!(left, kept, "files are those of results");
    verdict
}

/// The one file of a job, which is its picture and nobody else's.
async fn judge_result(job: &Job, blobs: &Blobs) -> String {
    let result = job.result.as_ref().expect("a result");
    let [file] = result.files.as_slice() else { panic!("{job:#?}") };
    let bytes = blobs.get(&file.blob).await.unwrap().expect("the file of a result");
    assert_eq!(bytes, picture_of(&job.id));
    assert_eq!(Blobs::sha256(&bytes), file.sha256);
    file.blob.clone()
}

async fn witnessed_ends(lab: &Lab) -> HashMap<JobId, Vec<JobState>> {
    let mut connection = sqlx::PgConnection::connect(&lab.server.address(&lab.name)).await.unwrap();
    let rows = sqlx::query("SELECT id, state FROM witnessed_ends").fetch_all(&mut connection).await.unwrap();
    let mut ends: HashMap<JobId, Vec<JobState>> = HashMap::new();
    for row in rows {
        let state = serde_json::from_value(serde_json::Value::String(row.get("state"))).unwrap();
        ends.entry(JobId::from(row.get::<String, _>("id"))).or_default().push(state);
    }
    ends
}
