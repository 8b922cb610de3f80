//! One sender at a time for each upload, in this process: a second one that comes while the first one's picture is being
//! checked is refused before its bytes are. Of two that come to different hosts the database keeps one.

use afterimage_jobs::UploadId;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

/// Uploads whose bytes this process takes.
#[derive(Debug, Default)]
pub struct BeingSent(Mutex<HashSet<UploadId>>);

/// The place of the one sender of an upload, until it is dropped.
#[derive(Debug)]
pub struct Sending<'a> {
    all: &'a BeingSent,
    id: UploadId,
}

impl BeingSent {
    /// The place for `id`, unless somebody has it.
    pub fn enter(&self, id: &UploadId) -> Option<Sending<'_>> {
        let entered = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id.clone());
        entered.then(|| Sending { all: self, id: id.clone() })
    }
}

impl Drop for Sending<'_> {
    fn drop(&mut self) {
        self.all.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sender_at_a_time() {
        let all = BeingSent::default();
        let (id, other) = (UploadId::random(), UploadId::random());
        let first = all.enter(&id);
        assert!(first.is_some() && all.enter(&id).is_none() && all.enter(&other).is_some());
        drop(first);
        assert!(all.enter(&id).is_some());
    }
}
