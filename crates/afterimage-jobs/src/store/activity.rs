//! What keys have made and what failed lately: for whoever runs the server.

use crate::{FailureKind, JobId, JobResult, JobState, KeyId, Result, Timestamp};
use async_trait::async_trait;

/// A day of UTC, counted from 1970-01-01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(pub i64);

impl Day {
    const MILLISECONDS: i64 = 24 * 60 * 60 * 1000;

    /// The day that `time` is on.
    pub const fn of(time: Timestamp) -> Self {
        Self(time.0.div_euclid(Self::MILLISECONDS))
    }

    /// When it begins.
    pub const fn start(self) -> Timestamp {
        Timestamp(self.0.saturating_mul(Self::MILLISECONDS))
    }
}

/// A key, and what people call it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NamedKey {
    /// Public part.
    pub id: KeyId,
    /// For people; may be empty.
    pub name: String,
}

/// What ended on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UseCounts {
    /// Jobs that succeeded.
    pub jobs: u64,
    /// Pictures that they made.
    pub pictures: u64,
    /// Jobs that failed.
    pub failures: u64,
    /// What the former cost, in millionths of a dollar.
    pub cost_micros: i64,
}

impl UseCounts {
    /// What the end of one job adds; `None` for an end that counts as neither success nor failure.
    pub(super) fn of_end(state: JobState, result: Option<&JobResult>, cost_micros: i64) -> Option<Self> {
        let pictures = result.map_or(0, |result| result.files.len() as u64);
        match state {
            JobState::Succeeded => Some(Self { jobs: 1, pictures, failures: 0, cost_micros }),
            JobState::Failed => Some(Self { failures: 1, ..Self::default() }),
            JobState::Queued | JobState::Running | JobState::Cancelled => None,
        }
    }

    pub(super) const fn add(&mut self, other: &Self) {
        self.jobs += other.jobs;
        self.pictures += other.pictures;
        self.failures += other.failures;
        self.cost_micros += other.cost_micros;
    }
}

/// What a key had made on a day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayUse {
    /// When it ended.
    pub day: Day,
    /// Whose it was; `None`: of all keys that are not told apart.
    pub key: Option<NamedKey>,
    /// How much.
    pub counts: UseCounts,
}

/// A job that failed. What it was asked for and what it was given are left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedJob {
    /// Which.
    pub id: JobId,
    /// Whose.
    pub key: NamedKey,
    /// The API that it came by.
    pub dialect: String,
    /// The model's id in that API.
    pub model: String,
    /// The kind of failure.
    pub kind: FailureKind,
    /// What its owner was told.
    pub message: String,
    /// When it ended.
    pub finished_at: Timestamp,
}

/// Failures are looked for among so many of the jobs that ended last: what that costs does not grow with the table.
pub const FAILURES_AMONG: u32 = 5_000;

/// What is asked again and again by people who watch. No answer takes longer the more jobs there are or were.
#[async_trait]
pub trait ActivityStore: Send + Sync + 'static {
    /// What keys had made on each day from `since` on, in the order of days, then of keys: the `most_keys` with the most ends
    /// each by itself, the others as one, which comes first. Days and keys with nothing are left out. Jobs that a program ended
    /// that did not count by days yet are missing.
    async fn daily_use(&self, since: Day, most_keys: u32) -> Result<Vec<DayUse>>;

    /// At most `most` failed jobs of those that their owners did not delete, the last first: of the [`FAILURES_AMONG`] jobs
    /// that ended last.
    async fn recent_failures(&self, most: u32) -> Result<Vec<FailedJob>>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_from_midnight_to_midnight() {
        let noon = Timestamp(1_767_225_600_000 + 43_200_000);
        assert_eq!(Day::of(noon), Day(20_454));
        assert_eq!(Day::of(noon).start(), Timestamp(1_767_225_600_000));
        assert_eq!(Day::of(Timestamp(1_767_225_599_999)), Day(20_453));
        assert_eq!(Day::of(Timestamp(-1)), Day(-1));
    }
}
