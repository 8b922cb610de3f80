//! [`ActivityStore`] in memory: adds everything up.

use super::{MemoryStore, Tables};
use crate::{
    ActivityStore, Day, DayUse, FAILURES_AMONG, FailedJob, Job, JobState, KeyId, NamedKey, Result, Timestamp, UseCounts,
};
use async_trait::async_trait;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

#[async_trait]
impl ActivityStore for MemoryStore {
    async fn daily_use(&self, since: Day, most_keys: u32) -> Result<Vec<DayUse>> {
        let tables = self.tables();
        let recent = || tables.uses.iter().filter(move |((day, _), _)| *day >= since);
        let mut ends = BTreeMap::<&KeyId, u64>::new();
        for ((_, key), counts) in recent() {
            *ends.entry(key).or_default() += counts.jobs + counts.failures;
        }
        let mut busiest: Vec<(&KeyId, u64)> = ends.into_iter().collect();
        busiest.sort_by_key(|(key, ends)| (Reverse(*ends), *key));
        let shown: BTreeSet<&KeyId> = busiest.into_iter().take(most_keys as usize).map(|(key, _)| key).collect();
        let mut sums = BTreeMap::<(Day, Option<NamedKey>), UseCounts>::new();
        for ((day, key), counts) in recent() {
            let key = shown.contains(key).then(|| tables.named(key));
            sums.entry((*day, key)).or_default().add(counts);
        }
        Ok(sums.into_iter().map(|((day, key), counts)| DayUse { day, key, counts }).collect())
    }

    async fn recent_failures(&self, most: u32) -> Result<Vec<FailedJob>> {
        let tables = self.tables();
        let mut ended: Vec<(Timestamp, u64, &Job)> = tables
            .jobs
            .iter()
            .filter(|(_, stored)| !stored.job.deleted)
            .filter_map(|(number, stored)| Some((stored.job.finished_at?, *number, &stored.job)))
            .collect();
        ended.sort_by_key(|(finished_at, number, _)| Reverse((*finished_at, *number)));
        let failed = ended
            .into_iter()
            .take(FAILURES_AMONG as usize)
            .filter(|(.., job)| job.state == JobState::Failed)
            .filter_map(|(finished_at, _, job)| {
                let failure = job.failure.clone()?;
                Some(FailedJob {
                    id: job.id.clone(),
                    key: tables.named(&job.key),
                    dialect: job.dialect.clone(),
                    model: job.model.clone(),
                    kind: failure.kind,
                    message: failure.message,
                    finished_at,
                })
            });
        Ok(failed.take(most as usize).collect())
    }
}

impl Tables {
    fn named(&self, key: &KeyId) -> NamedKey {
        let known = self.keys.iter().find(|(known, _)| known.id == *key);
        NamedKey { id: key.clone(), name: known.map(|(known, _)| known.name.clone()).unwrap_or_default() }
    }
}
