//! [`Outbox`] in memory.

use super::{MemoryStore, StoredDelivery, Tables};
use crate::{Delivery, Fenced, Job, JobId, NextTry, Outbox, Result, Timestamp};
use async_trait::async_trait;
use std::time::Duration;

#[async_trait]
impl Outbox for MemoryStore {
    async fn due_deliveries(&self, limit: u32, lease: Duration) -> Result<Vec<Delivery>> {
        let now = self.clock.now();
        let mut tables = self.tables();
        let mut due: Vec<&mut StoredDelivery> =
            tables.deliveries.iter_mut().filter(|stored| !stored.finished && stored.next_at <= now).collect();
        due.sort_by_key(|stored| (stored.next_at, stored.delivery.id));
        due.truncate(limit as usize);
        let mut taken: Vec<Delivery> = Vec::with_capacity(due.len());
        for stored in due {
            stored.delivery.attempt += 1;
            stored.next_at = now.plus(lease);
            taken.push(stored.delivery.clone());
        }
        taken.sort_by_key(|delivery| delivery.id);
        Ok(taken)
    }

    async fn delivered(&self, id: i64, attempt: u32) -> Result<Fenced> {
        Ok(self.tables().settle_delivery(id, attempt, |stored| stored.finished = true))
    }

    async fn delivery_failed(&self, id: i64, attempt: u32, next: NextTry, _error: &str) -> Result<Fenced> {
        let now = self.clock.now();
        Ok(self.tables().settle_delivery(id, attempt, |stored| {
            stored.failed_before = true;
            match next {
                NextTry::After(delay) => stored.next_at = now.plus(delay),
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
            url: webhook.url.clone(),
            dialect: webhook.dialect.clone(),
            attempt: 0,
            created_at: now,
        };
        self.deliveries.push(StoredDelivery { delivery, next_at: now, finished: false, failed_before: false });
    }

    /// Makes deliveries due whose sender is gone.
    pub(super) fn free_deliveries(&mut self, now: Timestamp) {
        for stored in &mut self.deliveries {
            if !stored.finished && !stored.failed_before {
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
