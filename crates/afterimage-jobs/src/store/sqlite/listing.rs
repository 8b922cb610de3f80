//! Lists of a key's jobs. Count and order come from one covering index; only the page's rows are read in full.

use super::rows::{self, column, name_of};
use super::unavailable;
use crate::{KeyId, ListFilter, Page, Result};
use sqlx::{QueryBuilder, Sqlite, SqlitePool};

/// A page and the total, of one moment.
pub(super) async fn list(readers: &SqlitePool, key: &KeyId, filter: &ListFilter) -> Result<Page> {
    let mut snapshot = readers.begin().await.map_err(unavailable)?;

    let mut count = QueryBuilder::new("SELECT COUNT(*) AS total FROM jobs");
    push_condition(&mut count, key, filter)?;
    let row = count.build().fetch_one(&mut *snapshot).await.map_err(unavailable)?;
    let total = column::<i64>(&row, "total")?.unsigned_abs();

    let (skip, size) = filter.window();
    let mut page = QueryBuilder::new(rows::select_jobs!("WHERE jobs.seq IN (SELECT seq FROM jobs"));
    push_condition(&mut page, key, filter)?;
    page.push(" ORDER BY created_at DESC, seq DESC LIMIT ")
        .push_bind(size as i64)
        .push(" OFFSET ")
        .push_bind(i64::try_from(skip).unwrap_or(i64::MAX))
        .push(") ORDER BY jobs.created_at DESC, jobs.seq DESC");
    let rows = page.build().fetch_all(&mut *snapshot).await.map_err(unavailable)?;
    Ok(Page { jobs: rows.iter().map(rows::job).collect::<Result<_>>()?, total })
}

fn push_condition(query: &mut QueryBuilder<Sqlite>, key: &KeyId, filter: &ListFilter) -> Result<()> {
    query.push(" WHERE NOT deleted AND key_id = ").push_bind(key.as_str().to_owned());
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
