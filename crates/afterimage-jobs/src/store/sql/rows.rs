//! Jobs, keys, uploads and webhooks as rows. Columns have the same names in both databases.

use super::row::StoredRow;
pub(in crate::store) use super::row::column;
use crate::state::{Lifecycle, Phase};
use crate::store::order;
use crate::{
    ApiKey, Delivery, Error, Failure, FailureKind, Job, JobResult, JobSpec, JobState, KeyId, KeyRole, Priority, Queue,
    QueueLoad, Result, Timestamp, Upload, UploadFacts, UploadState, Webhook, WorkerId,
};
use afterimage_core::ModelName;
use serde::{Serialize, de::DeserializeOwned};
use std::time::Duration;

/// A statement that selects whole jobs.
macro_rules! select_jobs {
    ($condition:literal) => {
        concat!(
            "SELECT jobs.*, job_inputs.input, job_inputs.spec, job_results.result FROM jobs \
             LEFT JOIN job_inputs ON job_inputs.seq = jobs.seq LEFT JOIN job_results ON job_results.seq = jobs.seq ",
            $condition
        )
    };
}
pub(in crate::store) use select_jobs;

/// A statement that selects whole keys.
macro_rules! select_keys {
    ($condition:literal) => {
        concat!(
            "SELECT keys.*, COALESCE(key_roles.role, 'user') AS role FROM keys \
             LEFT JOIN key_roles ON key_roles.key_id = keys.id ",
            $condition
        )
    };
}
pub(in crate::store) use select_keys;

/// What there is to do in a queue.
pub(in crate::store) fn load(row: &impl StoredRow) -> Result<QueueLoad> {
    let count = |name| column::<i64>(row, name).map(i64::unsigned_abs);
    Ok(QueueLoad {
        queue: queue(row)?,
        waiting: count("waiting")?,
        running: count("running")?,
        oldest_wait: duration(row, "wait")?,
    })
}

/// A time that may be absent.
pub(in crate::store) fn time(row: &impl StoredRow, name: &str) -> Result<Option<Timestamp>> {
    Ok(column::<Option<i64>>(row, name)?.map(Timestamp))
}

/// A duration that may be absent.
pub(in crate::store) fn duration(row: &impl StoredRow, name: &str) -> Result<Option<Duration>> {
    Ok(column::<Option<i64>>(row, name)?.map(|milliseconds| Duration::from_millis(milliseconds.unsigned_abs())))
}

/// A duration as [`duration`] reads it.
pub(in crate::store) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// An enum's name as serde spells it, so that the database and the wire agree.
pub(in crate::store) fn name_of<T: Serialize>(value: &T) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        other => Err(Error::unavailable("database", format!("{other:?} is no name"))),
    }
}

/// The enum with this name.
pub(in crate::store) fn named<T: DeserializeOwned>(name: String) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(name)).map_err(|error| Error::unavailable("database", error))
}

/// A value as JSON text.
pub(in crate::store) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::unavailable("database", error))
}

pub(in crate::store) fn from_json<T: DeserializeOwned>(row: &impl StoredRow, name: &str) -> Result<Option<T>> {
    let Some(text) = column::<Option<String>>(row, name)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| Error::unavailable(format!("database column {name}"), error))
}

/// Priorities sort by number.
pub(in crate::store) const fn priority_number(priority: Priority) -> i64 {
    match priority {
        Priority::Low => -1,
        Priority::Normal => 0,
        Priority::High => 1,
    }
}

pub(in crate::store) const fn priority_numbered(number: i64) -> Priority {
    match number {
        ..0 => Priority::Low,
        0 => Priority::Normal,
        1.. => Priority::High,
    }
}

/// How the column `engine_model` calls a queue.
pub(in crate::store) fn queue_name(queue: &Queue) -> &str {
    queue.as_ref().map_or("", ModelName::as_str)
}

/// The queue in a row.
pub(in crate::store) fn queue(row: &impl StoredRow) -> Result<Queue> {
    let name = column::<String>(row, "engine_model")?;
    let named = |name: String| name.parse().map_err(|problem: String| Error::unavailable("database", problem));
    if name.is_empty() { Ok(None) } else { named(name).map(Some) }
}

/// The failure in a row.
pub(in crate::store) fn failure(row: &impl StoredRow) -> Result<Option<Failure>> {
    let Some(kind) = column::<Option<String>>(row, "failure_kind")? else { return Ok(None) };
    Ok(Some(Failure {
        kind: named::<FailureKind>(kind)?,
        // A name that only another version knows blames nothing.
        field: column::<Option<String>>(row, "failure_field")?.and_then(|name| named(name).ok()),
        message: column::<Option<String>>(row, "failure_message")?.unwrap_or_default(),
    }))
}

/// The job in a row of [`select_jobs`].
pub(in crate::store) fn job(row: &impl StoredRow) -> Result<Job> {
    let webhook = match (column(row, "webhook_url")?, column(row, "webhook_dialect")?) {
        (Some(url), Some(dialect)) => Some(Webhook { url, dialect }),
        _ => None,
    };
    Ok(Job {
        id: column::<String>(row, "id")?.into(),
        key: column::<String>(row, "key_id")?.into(),
        dialect: column(row, "dialect")?,
        model: column(row, "model")?,
        input: from_json(row, "input")?.unwrap_or_default(),
        spec: from_json(row, "spec")?.unwrap_or_else(JobSpec::emptied),
        webhook,
        priority: priority_numbered(column(row, "priority")?),
        user: column(row, "user_name")?,
        cost_micros: column(row, "cost_micros")?,
        input_bytes: column::<i64>(row, "input_bytes")?.unsigned_abs(),
        kept_for: duration(row, "kept_for")?,
        start_by: time(row, "start_by")?,
        state: named::<JobState>(column(row, "state")?)?,
        attempt: column(row, "attempt")?,
        retries: column(row, "retries")?,
        unclean_ends: column(row, "unclean_ends")?,
        cancel_requested: column(row, "cancel_requested")?,
        created_at: Timestamp(column(row, "created_at")?),
        started_at: time(row, "started_at")?,
        finished_at: time(row, "finished_at")?,
        result: from_json::<JobResult>(row, "result")?,
        failure: failure(row)?,
        quarantined: column(row, "quarantined")?,
        deleted: column(row, "deleted")?,
    })
}

/// What the state machine reads of the job in a row.
pub(in crate::store) fn lifecycle(row: &impl StoredRow) -> Result<Lifecycle> {
    let phase = match named::<JobState>(column(row, "state")?)? {
        JobState::Queued if column(row, "awaits_sources")? => {
            Phase::AwaitsSources { ready_at: time(row, "ready_at")?, fetch_until: time(row, "fetch_until")? }
        }
        JobState::Queued => Phase::Queued { ready_at: time(row, "ready_at")? },
        JobState::Running => Phase::Running {
            worker: WorkerId::from(column::<Option<String>>(row, "worker")?.unwrap_or_default()),
            lease_until: time(row, "lease_until")?.unwrap_or_default(),
        },
        JobState::Succeeded => Phase::Succeeded,
        JobState::Failed => Phase::Failed(failure(row)?.map_or(FailureKind::Internal, |failure| failure.kind)),
        JobState::Cancelled => Phase::Cancelled,
    };
    Ok(Lifecycle {
        phase,
        attempt: column(row, "attempt")?,
        fetches: column(row, "fetches")?,
        retries: column(row, "retries")?,
        unclean_ends: column(row, "unclean_ends")?,
        cancel_requested: column(row, "cancel_requested")?,
        quarantined: column(row, "quarantined")?,
    })
}

/// Where a waiting job's chain ends: [`order::end`] of the job in a row.
pub(in crate::store) fn chain_end(row: &impl StoredRow, priority: Priority) -> Result<i64> {
    Ok(order::end(column(row, "due")?, column(row, "work")?, priority))
}

/// The key in a row of [`select_keys`].
pub(in crate::store) fn api_key(row: &impl StoredRow) -> Result<ApiKey> {
    Ok(ApiKey {
        id: column::<String>(row, "id")?.into(),
        name: column(row, "name")?,
        concurrency: column(row, "concurrency")?,
        // One that only another version knows sees no more than its own.
        role: column::<String>(row, "role")?.parse().unwrap_or(KeyRole::User),
        created_at: Timestamp(column(row, "created_at")?),
        revoked_at: time(row, "revoked_at")?,
    })
}

/// The upload in a row.
pub(in crate::store) fn upload(row: &impl StoredRow) -> Result<Upload> {
    let state = match column::<Option<String>>(row, "blob")? {
        None => UploadState::Pending,
        Some(blob) => UploadState::Ready(UploadFacts {
            blob,
            content_type: column(row, "content_type")?,
            bytes: column::<i64>(row, "bytes")?.unsigned_abs(),
            width: column(row, "width")?,
            height: column(row, "height")?,
        }),
    };
    Ok(Upload {
        id: column::<String>(row, "id")?.into(),
        key: KeyId::from(column::<String>(row, "key_id")?),
        filename: column(row, "filename")?,
        declared_type: column(row, "declared_type")?,
        state,
        created_at: Timestamp(column(row, "created_at")?),
        kept_for: duration(row, "kept_for")?,
    })
}

/// The webhook in a row, which has the id of its job as `job_id`.
pub(in crate::store) fn delivery(row: &impl StoredRow) -> Result<Delivery> {
    Ok(Delivery {
        id: column(row, "id")?,
        job: column::<String>(row, "job_id")?.into(),
        key: column::<String>(row, "key_id")?.into(),
        url: column(row, "url")?,
        dialect: column(row, "dialect")?,
        attempt: column(row, "attempts")?,
        failures: column(row, "failures")?,
        created_at: Timestamp(column(row, "created_at")?),
    })
}
