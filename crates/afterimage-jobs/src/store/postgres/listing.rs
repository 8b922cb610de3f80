//! Lists of a key's jobs. The order comes from an index; only the page's rows are read in full.

use super::database::Database;
use super::session::Session;
use super::text::stored;
use crate::store::sql::rows::{self, column, name_of};
use crate::{JobState, KeyId, ListFilter, Page, Result};
use sqlx::{Postgres, QueryBuilder};

/// A page and the total, of one moment.
pub(super) async fn list(database: &Database, key: &KeyId, filter: &ListFilter) -> Result<Page> {
    database
        .read_snapshot(|session| {
            let (key, filter) = (key.clone(), filter.clone());
            Box::pin(async move { read(session, &key, &filter).await })
        })
        .await
}

async fn read(session: &mut Session, key: &KeyId, filter: &ListFilter) -> Result<Page> {
    // How much a list reads depends on its values; a plan that is kept knows none of them.
    session.say("SET LOCAL plan_cache_mode = force_custom_plan").await?;
    let total = if filter.created_after.is_some() || filter.created_before.is_some() {
        let mut count = QueryBuilder::new("SELECT COUNT(*) AS total FROM jobs WHERE NOT deleted AND key_id = ");
        push_filter(&mut count, key, filter)?;
        column::<i64>(&session.one(count.build()).await?, "total")?
    } else {
        counted(session, key, filter).await?
    };
    let total = total.max(0).unsigned_abs();
    let (skip, size) = filter.window();
    // Nothing is searched for beyond what the total promises.
    let size = size.min(total.saturating_sub(skip));
    if size == 0 {
        return Ok(Page { jobs: Vec::new(), total });
    }
    let mut page = QueryBuilder::new(rows::select_jobs!(
        "WHERE jobs.seq = ANY (ARRAY(SELECT seq FROM jobs WHERE NOT deleted AND key_id = "
    ));
    push_filter(&mut page, key, filter)?;
    page.push(" ORDER BY created_at DESC, seq DESC LIMIT ")
        .push_bind(size as i64)
        .push(" OFFSET ")
        .push_bind(i64::try_from(skip).unwrap_or(i64::MAX))
        .push(")) ORDER BY jobs.created_at DESC, jobs.seq DESC");
    let rows = session.all(page.build()).await?;
    Ok(Page { jobs: rows.iter().map(rows::job).collect::<Result<_>>()?, total })
}

fn push_filter(query: &mut QueryBuilder<Postgres>, key: &KeyId, filter: &ListFilter) -> Result<()> {
    query.push_bind(key.as_str().to_owned());
    if let Some(model) = &filter.model {
        query.push(" AND model = ").push_bind(stored(model).into_owned());
    }
    if let Some(after) = filter.created_after {
        query.push(" AND created_at >= ").push_bind(after.0);
    }
    if let Some(before) = filter.created_before {
        query.push(" AND created_at <= ").push_bind(before.0);
    }
    if !filter.states.is_empty() {
        query.push(" AND state = ANY (").push_bind(names(&filter.states)?).push(")");
    }
    Ok(())
}

fn names(states: &[JobState]) -> Result<Vec<String>> {
    states.iter().map(name_of).collect()
}

/// Jobs of a key by the sums that are kept: of those that are open, the running ones are counted and the rest waits.
const COUNTED: &str = "SELECT COALESCE(SUM(jobs), 0)::BIGINT AS total FROM ( \
     SELECT model, state, jobs FROM job_counts WHERE key_id = $1 UNION ALL \
     SELECT model, entered, 1 FROM journal WHERE key_id = $1 AND entered IS NOT NULL UNION ALL \
     SELECT model, departed, -1 FROM journal WHERE key_id = $1 AND departed IS NOT NULL UNION ALL \
     SELECT model, change, CASE change WHEN 'open' THEN -1 ELSE 1 END \
         FROM jobs, unnest(ARRAY['open', 'running']) AS change WHERE state = 'running' AND key_id = $1 AND NOT deleted \
     ) AS counts (model, state, jobs) \
     WHERE ($2::TEXT IS NULL OR model = $2) AND ($3::TEXT[] IS NULL OR state = ANY ($3))";

async fn counted(session: &mut Session, key: &KeyId, filter: &ListFilter) -> Result<i64> {
    // What is open and not running is queued.
    let states =
        names(&filter.states)?.into_iter().map(|state| if state == "queued" { "open".to_owned() } else { state });
    let states: Vec<String> = states.collect();
    let query = sqlx::query(COUNTED)
        .bind(key.as_str())
        .bind(filter.model.as_deref().map(stored))
        .bind((!states.is_empty()).then_some(states));
    column(&session.one(query).await?, "total")
}
