//! What operators look at: the server, its queues, what failed lately, and what keys had made.

use super::load::ModelLoad;
use super::queue_gauges::with_idle;
use super::status::{ServerStatus, StatusSources};
use crate::cost::dollars;
use crate::dialects::time_text::date;
use crate::error_shape::{Neutral, ShapedRefusal};
use crate::refusal::Refusal;
use afterimage_jobs::{
    ApiKey, Clock, Day, DayUse, FailedJob, FailureKind, KeyRole, NamedKey, Store, SystemClock, UseCounts,
};
use axum::extract::State;
use axum::routing::get;
use axum::{Extension, Json, Router};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// Days that are told, today included.
const DAYS: i64 = 30;

/// Keys that are told apart; a page with more is for nobody.
const MOST_KEYS: u32 = 20;

/// Failures that are told.
const MOST_FAILURES: u32 = 50;

/// What an operator may know.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub struct OperatorStatus {
    /// When this was read: milliseconds since 1970.
    at: i64,
    /// What every key may know: engines, processes, safety checkers.
    server: ServerStatus,
    /// What there is to do, by set of models.
    queues: Vec<ModelLoad>,
    /// Jobs that failed, the last first: 50 at most, of the 5,000 that ended last.
    failures: Vec<ShownFailure>,
    /// What keys had made.
    usage: ShownUse,
}

/// A job that failed. What was asked for is not told.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = RecentFailure)]
struct ShownFailure {
    /// The task's id.
    id: String,
    /// The model's id in the API that it came by.
    model: String,
    /// That API: `wavespeed`, `fal`, `openai` or another one.
    dialect: String,
    /// Id of its key.
    key: String,
    /// What people call that key; may be empty.
    key_name: String,
    /// The kind of failure, such as `bad_input` or `engine`.
    #[schema(value_type = String)]
    kind: FailureKind,
    /// What its owner was told.
    message: String,
    /// When it ended: milliseconds since 1970.
    finished_at: i64,
}

/// What keys had made in the last 30 days, by the day of UTC on which it ended.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = ServerUsage)]
struct ShownUse {
    /// The first day.
    since: String,
    /// The last day, today.
    until: String,
    /// The 20 keys with the most tasks, most first.
    keys: Vec<KeyUse>,
    /// All others together.
    others: Vec<DayCounts>,
}

/// What a key had made.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = KeyUsage)]
struct KeyUse {
    /// Its id.
    key: String,
    /// What people call it; may be empty.
    name: String,
    /// The days on which anything of it ended.
    days: Vec<DayCounts>,
}

/// What ended on a day.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[schema(as = DayUsage)]
struct DayCounts {
    /// Such as `2026-11-30`.
    day: String,
    /// Tasks that succeeded.
    jobs: u64,
    /// Pictures that they made.
    pictures: u64,
    /// Tasks that failed.
    failures: u64,
    /// What the former cost, in dollars.
    cost: f64,
}

impl From<FailedJob> for ShownFailure {
    fn from(job: FailedJob) -> Self {
        let FailedJob { id, key: NamedKey { id: key, name }, dialect, model, kind, message, finished_at } = job;
        Self {
            id: id.to_string(),
            model,
            dialect,
            key: key.to_string(),
            key_name: name,
            kind,
            message,
            finished_at: finished_at.0,
        }
    }
}

impl DayCounts {
    fn of(day: Day, counts: UseCounts) -> Self {
        let UseCounts { jobs, pictures, failures, cost_micros } = counts;
        Self { day: date(day.start()), jobs, pictures, failures, cost: dollars(cost_micros) }
    }
}

impl ShownUse {
    fn of(since: Day, until: Day, uses: Vec<DayUse>) -> Self {
        let mut keys = BTreeMap::<NamedKey, Vec<DayCounts>>::new();
        let mut others = Vec::new();
        for DayUse { day, key, counts } in uses {
            let days = key.map_or(&mut others, |key| keys.entry(key).or_default());
            days.push(DayCounts::of(day, counts));
        }
        let shown = |(NamedKey { id, name }, days)| KeyUse { key: id.to_string(), name, days };
        let mut keys: Vec<KeyUse> = keys.into_iter().map(shown).collect();
        keys.sort_by_key(|key| std::cmp::Reverse(key.days.iter().map(|day| day.jobs + day.failures).sum::<u64>()));
        Self { since: date(since.start()), until: date(until.start()), keys, others }
    }
}

/// What it is read from. Clones share all of it.
#[derive(Clone)]
pub struct OperatorSources {
    /// What every key may know.
    pub status: StatusSources,
    /// Jobs and keys.
    pub store: Arc<dyn Store>,
}

impl OperatorSources {
    async fn read(&self) -> Result<OperatorStatus, Refusal> {
        let now = SystemClock.now();
        let until = Day::of(now);
        let since = Day(until.0 - (DAYS - 1));
        let served = self.status.engines.statuses().into_iter().flat_map(|engine| engine.queues);
        let (loads, failures, uses, server) = tokio::join!(
            self.store.loads(),
            self.store.recent_failures(MOST_FAILURES),
            self.store.daily_use(since, MOST_KEYS),
            self.status.status(),
        );
        Ok(OperatorStatus {
            at: now.0,
            server,
            queues: with_idle(&loads?, served).values().map(ModelLoad::from).collect(),
            failures: failures?.into_iter().map(ShownFailure::from).collect(),
            usage: ShownUse::of(since, until, uses?),
        })
    }
}

/// Engines, queues, failures and usage, for operators
///
/// Only with a key whose role is `operator`. A page shows the same, at `/status` in a browser.
#[utoipa::path(get, path = "/api/status", tag = "operations", responses((status = 200, description = "What an operator may know", body = OperatorStatus)))]
#[expect(clippy::missing_errors_doc, reason = "the comment is what the API's description says")]
pub async fn operator_status(
    State(sources): State<OperatorSources>,
    Extension(key): Extension<ApiKey>,
) -> Result<Json<OperatorStatus>, ShapedRefusal<Neutral>> {
    match key.role {
        KeyRole::Operator => Ok(Json(sources.read().await?)),
        KeyRole::User => Err(Refusal::NotOperator(key.id).into()),
    }
}

/// The route, for those who have a key.
pub fn router(sources: OperatorSources) -> Router {
    Router::new().route("/api/status", get(operator_status)).with_state(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn usage_is_told_by_key_the_busiest_first_and_the_rest_together() {
        let key = |id: &str| Some(NamedKey { id: id.into(), name: format!("name of {id}") });
        let counts = |jobs, failures| UseCounts { jobs, pictures: 2 * jobs, failures, cost_micros: 1_500_000 };
        let used = |day, key, counts| DayUse { day: Day(day), key, counts };
        let uses = vec![
            used(20_453, None, counts(9, 0)),
            used(20_453, key("a"), counts(1, 0)),
            used(20_454, key("a"), counts(1, 0)),
            used(20_454, key("b"), counts(1, 3)),
        ];
        let shown = ShownUse::of(Day(20_425), Day(20_454), uses);
        assert_eq!((shown.since.as_str(), shown.until.as_str()), ("2025-12-03", "2026-01-01"));
        let keys: Vec<_> = shown.keys.iter().map(|key| (key.key.as_str(), key.name.as_str(), key.days.len())).collect();
        assert_eq!(keys, [("b", "name of b", 1), ("a", "name of a", 2)]);
        let day = DayCounts { day: "2025-12-31".to_owned(), jobs: 9, pictures: 18, failures: 0, cost: 1.5 };
        assert_eq!(shown.others, [day]);
    }
}
