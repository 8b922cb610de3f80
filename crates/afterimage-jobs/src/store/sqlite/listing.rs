//! Lists of a key's jobs. The order comes from an index that covers all filters; only the page's rows are read in full.

use super::rows::{self, column, name_of};
use super::unavailable;
use crate::{KeyId, ListFilter, Page, Result};
use sqlx::{QueryBuilder, Sqlite, SqlitePool};

/// A page and the total, of one moment.
pub(super) async fn list(readers: &SqlitePool, key: &KeyId, filter: &ListFilter) -> Result<Page> {
    let mut snapshot = readers.begin().await.map_err(unavailable)?;

    let mut total = if filter.created_after.is_some() || filter.created_before.is_some() {
        QueryBuilder::new("SELECT COUNT(*) AS total FROM jobs WHERE NOT deleted AND key_id = ")
    } else {
        QueryBuilder::new("SELECT CAST(COALESCE(SUM(jobs), 0) AS BIGINT) AS total FROM job_counts WHERE key_id = ")
    };
    push_filter(&mut total, key, filter)?;
    let row = total.build().fetch_one(&mut *snapshot).await.map_err(unavailable)?;
    let total = column::<i64>(&row, "total")?.unsigned_abs();

    let (skip, size) = filter.window();
    // Nothing is searched for beyond what the total promises.
    let size = size.min(total.saturating_sub(skip));
    if size == 0 {
        return Ok(Page { jobs: Vec::new(), total });
    }
    let mut page = QueryBuilder::new(rows::select_jobs!(
        "WHERE jobs.seq IN (SELECT seq FROM jobs WHERE NOT deleted AND key_id = "
    ));
    push_filter(&mut page, key, filter)?;
    page.push(" ORDER BY created_at DESC, seq DESC LIMIT ")
        .push_bind(size as i64)
        .push(" OFFSET ")
        .push_bind(i64::try_from(skip).unwrap_or(i64::MAX))
        .push(") ORDER BY jobs.created_at DESC, jobs.seq DESC");
    let rows = page.build().fetch_all(&mut *snapshot).await.map_err(unavailable)?;
    Ok(Page { jobs: rows.iter().map(rows::job).collect::<Result<_>>()?, total })
}

fn push_filter(query: &mut QueryBuilder<Sqlite>, key: &KeyId, filter: &ListFilter) -> Result<()> {
    query.push_bind(key.as_str().to_owned());
    if let Some(model) = &filter.model {
        query.push(" AND model = ").push_bind(model.clone());
    }
    if let Some(after) = filter.created_after {
        query.push(" AND created_at >= ").push_bind(after.0);
    }
    if let Some(before) = filter.created_before {
        query.push(" AND created_at <= ").push_bind(before.0);
    }
    if !filter.states.is_empty() {
        query.push(" AND state IN (");
        let mut states = query.separated(", ");
        for state in &filter.states {
            states.push_bind(name_of(state)?);
        }
        query.push(")");
    }
    Ok(())
}
