//! Rows of what keys had made and of what failed.

use super::row::StoredRow;
use super::rows::{column, named};
use crate::store::activity::{Day, DayUse, FailedJob, NamedKey, UseCounts};
use crate::{Result, Timestamp};

/// Sums of days by key. Rows without a key are those that are not told apart.
pub(in crate::store) fn day_uses<R: StoredRow>(rows: &[R]) -> Result<Vec<DayUse>> {
    let mut uses = rows.iter().map(day_use).collect::<Result<Vec<_>>>()?;
    // Databases do not agree about where an absent key comes.
    uses.sort_by(|one, other| (one.day, &one.key).cmp(&(other.day, &other.key)));
    Ok(uses)
}

fn day_use(row: &impl StoredRow) -> Result<DayUse> {
    let count = |name| column::<i64>(row, name).map(|count| count.max(0).unsigned_abs());
    let id = column::<Option<String>>(row, "key_id")?;
    let name = column::<Option<String>>(row, "name")?.unwrap_or_default();
    Ok(DayUse {
        day: Day(column(row, "day")?),
        key: id.map(|id| NamedKey { id: id.into(), name }),
        counts: UseCounts {
            jobs: count("jobs")?,
            pictures: count("pictures")?,
            failures: count("failures")?,
            cost_micros: column(row, "cost_micros")?,
        },
    })
}

/// A failed job with the name of its key as `key_name`.
pub(in crate::store) fn failed_job(row: &impl StoredRow) -> Result<FailedJob> {
    Ok(FailedJob {
        id: column::<String>(row, "id")?.into(),
        key: NamedKey { id: column::<String>(row, "key_id")?.into(), name: column(row, "key_name")? },
        dialect: column(row, "dialect")?,
        model: column(row, "model")?,
        kind: named(column(row, "failure_kind")?)?,
        message: column::<Option<String>>(row, "failure_message")?.unwrap_or_default(),
        finished_at: Timestamp(column(row, "finished_at")?),
    })
}
