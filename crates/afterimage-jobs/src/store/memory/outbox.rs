//! [`Outbox`] in memory.

use super::{MemoryStore, StoredDelivery, Tables};
use crate::store::outbox::{DueOfKey, in_turn, take_turns};
use crate::{Delivery, Fenced, Job, JobId, KeyId, NextTry, Outbox, Places, Result, Timestamp};
use async_trait::async_trait;
use std::collections::BTreeMap;
use std::time::Duration;

#[async_trait]
impl Outbox for MemoryStore {
    async fn due_deliveries(&self, limit: u32, places: &Places, lease: Duration) -> Result<Vec<Delivery>> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let mut by_key: BTreeMap<KeyId, Vec<&mut StoredDelivery>> = BTreeMap::new();
        for stored in tables.deliveries.iter_mut().filter(|stored| !stored.finished && stored.next_at <= now) {
            by_key.entry(stored.delivery.key.clone()).or_default().push(stored);
        }
        let mut due: Vec<DueOfKey<&mut StoredDelivery>> = by_key
            .into_iter()
            .map(|(key, mut queue)| {
                queue.sort_by_key(|stored| (!stored.postponed, stored.next_at, stored.delivery.id));
                let since = queue.iter().map(|stored| stored.next_at).min().unwrap_or(now);
                DueOfKey { key, since, queue }
            })
            .collect();
        in_turn(&mut due, places);
        let taken = take_turns(due, limit, places).into_iter().map(|stored| {
            stored.delivery.attempt += 1;
            stored.next_at = now.plus(lease);
            stored.delivery.clone()
        });
        Ok(taken.collect())
    }

    async fn delivered(&self, id: i64, attempt: u32) -> Result<Fenced> {
        Ok(self.tables().settle_delivery(id, attempt, |stored| stored.finished = true))
    }

    async fn delivery_failed(&self, id: i64, attempt: u32, next: NextTry, _error: &str) -> Result<Fenced> {
        let now = self.clock.now();
        Ok(self.tables().settle_delivery(id, attempt, |stored| {
            stored.postponed = matches!(next, NextTry::Postponed(_));
            stored.delivery.failures += u32::from(!stored.postponed);
            match next {
                NextTry::After(delay) | NextTry::Postponed(delay) => stored.next_at = now.plus(delay),
                NextTry::GiveUp => stored.finished = true,
            }
        }))
    }

    async fn open_deliveries(&self) -> Result<u64> {
        Ok(self.tables().deliveries.iter().filter(|stored| !stored.finished).count() as u64)
    }
}

impl Tables {
    /// Writes the webhook of a job that ended.
    pub(super) fn note_delivery(&mut self, now: Timestamp, job: &Job) {
        let Some(webhook) = &job.webhook else { return };
        let delivery = Delivery {
            id: self.deliveries.last().map_or(0, |stored| stored.delivery.id) + 1,
            job: job.id.clone(),
            key: job.key.clone(),
            url: webhook.url.clone(),
            dialect: webhook.dialect.clone(),
            attempt: 0,
            failures: 0,
            created_at: now,
        };
        self.deliveries.push(StoredDelivery { delivery, next_at: now, finished: false, postponed: false });
    }

    /// Makes deliveries due that never failed; those that did keep their pause.
    pub(super) fn free_deliveries(&mut self, now: Timestamp) {
        for stored in &mut self.deliveries {
            if !stored.finished && stored.delivery.failures == 0 {
                stored.next_at = stored.next_at.min(now);
            }
        }
    }

    pub(super) fn has_open_delivery(&self, job: &JobId) -> bool {
        self.deliveries.iter().any(|stored| stored.delivery.job == *job && !stored.finished)
    }

    fn settle_delivery(&mut self, id: i64, attempt: u32, change: impl FnOnce(&mut StoredDelivery)) -> Fenced {
        let held = self
            .deliveries
            .iter_mut()
            .find(|stored| stored.delivery.id == id && stored.delivery.attempt == attempt && !stored.finished);
        let Some(stored) = held else { return Fenced::Lost };
        change(stored);
        Fenced::Done
    }
}
