//! [`ActivityStore`] in PostgreSQL: the sums, with what their journal still holds.

use super::PostgresStore;
use crate::store::sql::activity::{day_uses, failed_job};
use crate::{ActivityStore, Day, DayUse, FAILURES_AMONG, FailedJob, Result};
use async_trait::async_trait;

const DAILY: &str = "WITH recent AS (SELECT * FROM usage_days WHERE day >= $1 UNION ALL \
         SELECT * FROM usage_journal WHERE day >= $1), \
     busiest AS (SELECT key_id FROM recent GROUP BY key_id ORDER BY SUM(jobs + failures) DESC, key_id LIMIT $2) \
     SELECT recent.day, busiest.key_id, MIN(keys.name) AS name, SUM(recent.jobs)::BIGINT AS jobs, \
     SUM(recent.pictures)::BIGINT AS pictures, SUM(recent.failures)::BIGINT AS failures, \
     SUM(recent.cost_micros)::BIGINT AS cost_micros \
     FROM recent LEFT JOIN busiest ON busiest.key_id = recent.key_id LEFT JOIN keys ON keys.id = busiest.key_id \
     GROUP BY recent.day, busiest.key_id";

const FAILURES: &str = "SELECT ended.*, keys.name AS key_name FROM (SELECT seq, id, key_id, dialect, model, state, \
     failure_kind, failure_message, finished_at FROM jobs WHERE finished_at IS NOT NULL AND NOT deleted \
     ORDER BY finished_at DESC, seq DESC LIMIT $1) AS ended JOIN keys ON keys.id = ended.key_id \
     WHERE ended.state = 'failed' ORDER BY ended.finished_at DESC, ended.seq DESC LIMIT $2";

#[async_trait]
impl ActivityStore for PostgresStore {
    async fn daily_use(&self, since: Day, most_keys: u32) -> Result<Vec<DayUse>> {
        let (since, most) = (since.0, i64::from(most_keys));
        let rows =
            self.database.read(|session| Box::pin(session.all(sqlx::query(DAILY).bind(since).bind(most)))).await?;
        day_uses(&rows)
    }

    async fn recent_failures(&self, most: u32) -> Result<Vec<FailedJob>> {
        let (among, most) = (i64::from(FAILURES_AMONG), i64::from(most));
        let rows =
            self.database.read(|session| Box::pin(session.all(sqlx::query(FAILURES).bind(among).bind(most)))).await?;
        rows.iter().map(failed_job).collect()
    }
}
