//! The database's clock, between two looks at it.

use crate::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::Instant;

/// What time it is at the database, the one clock that all hosts have in common: their own may be minutes apart. Clones
/// share it.
#[derive(Clone, Debug, Default)]
pub struct DatabaseTime(Arc<Mutex<Option<(Timestamp, Instant)>>>);

impl DatabaseTime {
    /// Notes what the database said just now.
    pub fn note(&self, said: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((said, Instant::now()));
    }

    /// Now, up to how long the answer took; `None` before the first one.
    pub fn now(&self) -> Option<Timestamp> {
        let (said, heard) = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        let since = i64::try_from(heard.elapsed().as_millis()).unwrap_or(i64::MAX);
        Some(Timestamp(said.0.saturating_add(since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_between_answers() {
        let time = DatabaseTime::default();
        assert_eq!(time.now(), None);
        time.note(Timestamp(1_000));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(time.now(), Some(Timestamp(3_000)));
        time.note(Timestamp(500));
        assert_eq!(time.now(), Some(Timestamp(500)), "what it says is believed, also when it was set back");
    }
}
