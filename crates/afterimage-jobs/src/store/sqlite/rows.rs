//! Jobs as rows.

use super::unavailable;
use crate::{
    Error, Failure, FailureKind, Job, JobResult, JobSpec, JobState, Priority, Queue, Result, Timestamp, Webhook,
};
use afterimage_core::ModelName;
use serde::{Serialize, de::DeserializeOwned};
use sqlx::sqlite::SqliteRow;
use sqlx::{Decode, Row, Sqlite, Type};
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
pub(super) use select_jobs;

/// A column's value.
pub(super) fn column<'r, T>(row: &'r SqliteRow, name: &str) -> Result<T>
where
    T: Decode<'r, Sqlite> + Type<Sqlite>,
{
    row.try_get(name).map_err(unavailable)
}

/// A time that may be absent.
pub(super) fn time(row: &SqliteRow, name: &str) -> Result<Option<Timestamp>> {
    Ok(column::<Option<i64>>(row, name)?.map(Timestamp))
}

/// A duration that may be absent.
pub(super) fn duration(row: &SqliteRow, name: &str) -> Result<Option<Duration>> {
    Ok(column::<Option<i64>>(row, name)?.map(|milliseconds| Duration::from_millis(milliseconds.unsigned_abs())))
}

/// A duration as [`duration`] reads it.
pub(super) fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// An enum's name as serde spells it, so that the database and the wire agree.
pub(super) fn name_of<T: Serialize>(value: &T) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        other => Err(Error::unavailable("database", format!("{other:?} is no name"))),
    }
}

/// The enum with this name.
pub(super) fn named<T: DeserializeOwned>(name: String) -> Result<T> {
    serde_json::from_value(serde_json::Value::String(name)).map_err(|error| Error::unavailable("database", error))
}

/// A value as JSON text.
pub(super) fn to_json<T: Serialize>(value: &T) -> Result<String> {
    serde_json::to_string(value).map_err(|error| Error::unavailable("database", error))
}

pub(super) fn from_json<T: DeserializeOwned>(row: &SqliteRow, name: &str) -> Result<Option<T>> {
    let Some(text) = column::<Option<String>>(row, name)? else { return Ok(None) };
    serde_json::from_str(&text).map(Some).map_err(|error| Error::unavailable(format!("database column {name}"), error))
}

/// Priorities sort by number.
pub(super) const fn priority_number(priority: Priority) -> i64 {
    match priority {
        Priority::Low => -1,
        Priority::Normal => 0,
        Priority::High => 1,
    }
}

pub(super) const fn priority_numbered(number: i64) -> Priority {
    match number {
        ..0 => Priority::Low,
        0 => Priority::Normal,
        1.. => Priority::High,
    }
}

/// How the column `engine_model` calls a queue.
pub(super) fn queue_name(queue: &Queue) -> &str {
    queue.as_ref().map_or("", ModelName::as_str)
}

/// The queue in a row.
pub(super) fn queue(row: &SqliteRow) -> Result<Queue> {
    let name = column::<String>(row, "engine_model")?;
    let named = |name: String| name.parse().map_err(|problem: String| Error::unavailable("database", problem));
    if name.is_empty() { Ok(None) } else { named(name).map(Some) }
}

/// The failure in a row.
pub(super) fn failure(row: &SqliteRow) -> Result<Option<Failure>> {
    let Some(kind) = column::<Option<String>>(row, "failure_kind")? else { return Ok(None) };
    Ok(Some(Failure {
        kind: named::<FailureKind>(kind)?,
        // A name that only another version knows blames nothing.
        field: column::<Option<String>>(row, "failure_field")?.and_then(|name| named(name).ok()),
        message: column::<Option<String>>(row, "failure_message")?.unwrap_or_default(),
    }))
}

/// The job in a row of [`select_jobs`].
pub(super) fn job(row: &SqliteRow) -> Result<Job> {
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
