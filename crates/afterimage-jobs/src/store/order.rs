//! The order of the queue: a tag per job, smallest first, given when the job becomes claimable and never changed while
//! it waits.
//!
//! Start-time fair queueing (P. Goyal, H. Vin, H. Cheng, SIGCOMM 1996). Time is virtual: it is the tag of what was
//! claimed last, so it goes on with the work that is done and not with the clock.
//!
//! `start = max(virtual time, end of the key's job claimed last, end of the key's job waiting last)`, where a job ends at
//! `start + work`, and `tag = start − head start`
//!
//! - A key's burst lies in the future, one job's work after the other. A key that sends one job meanwhile gets the
//!   virtual time itself, before all of the burst but its first job, however long the burst waited and whatever the
//!   clock did. Alone in the queue, a burst runs as fast as workers can: a tag says who is next, not when.
//! - Tags only grow with the virtual time, so every job is overtaken by boundedly many: nothing starves.
//! - A head start is worth a fixed amount of work of each other key, for the same reason.
//! - What a key ran long ago does not count: the virtual time has passed its end. What it cancelled never counts.
//! - Chains are per key, priority and whether pictures are awaited. A job that awaits its pictures has a tag for the
//!   order of fetching only; it gets another one when they have come. With its first one it would pass everybody who
//!   came while it was waiting for a slow host.
//!
//! Tags are in the unit of the times that they were once, milliseconds of a minute for each job, so that rows of before
//! keep their order and meaning.

use crate::Priority;
use afterimage_core::{GenerationRequest, Size};

/// The work of a usual job: one picture of 1024×1024 in 28 steps.
pub(crate) const UNIT: i64 = 60_000;

/// What one step of priority is worth.
pub(crate) const HEAD_START: i64 = 10 * UNIT;

/// A job takes a slot, reads pictures and writes files however little it computes. This also bounds how many jobs a
/// head start can let past.
const LEAST_WORK: i64 = UNIT / 4;

/// Pixels and steps tell the work roughly only; one job is not to put its key back by more than this.
const MOST_WORK: i64 = 32 * UNIT;

/// What `request` will roughly keep a worker busy with: pictures × pixels × steps. A size that is not known before a
/// picture is read counts as 1024×1024.
pub(crate) fn work(request: &GenerationRequest) -> i64 {
    const USUAL: f64 = 1024.0 * 1024.0 * 28.0;
    let pixels = request.size.unwrap_or(Size::new(1024, 1024)).pixels() as f64;
    let share = pixels * f64::from(request.steps) * f64::from(request.num_images) / USUAL;
    // The conversion saturates.
    ((share * UNIT as f64) as i64).clamp(LEAST_WORK, MOST_WORK)
}

/// What the tag of a job depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Place {
    /// The largest tag that was claimed.
    pub virtual_time: i64,
    /// [`end`] of the job of the same key and priority that was claimed last.
    pub claimed_end: Option<i64>,
    /// [`end`] of the job of the same chain that waits last.
    pub waiting_end: Option<i64>,
}

impl Place {
    /// The tag of the next job.
    pub(crate) fn tag(self, priority: Priority) -> i64 {
        let ends = self.claimed_end.into_iter().chain(self.waiting_end);
        ends.fold(self.virtual_time, i64::max).saturating_sub(head_start(priority))
    }
}

/// Where the key's next job starts.
pub(crate) const fn end(tag: i64, work: i64, priority: Priority) -> i64 {
    tag.saturating_add(head_start(priority)).saturating_add(work)
}

pub(crate) const fn head_start(priority: Priority) -> i64 {
    match priority {
        Priority::Low => -HEAD_START,
        Priority::Normal => 0,
        Priority::High => HEAD_START,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afterimage_core::Task;

    #[test]
    fn a_burst_is_spread_and_a_newcomer_comes_after_its_first() {
        let mut place = Place { virtual_time: 7, ..Place::default() };
        let mut burst = Vec::new();
        for _ in 0..3 {
            let tag = place.tag(Priority::Normal);
            place.waiting_end = Some(end(tag, UNIT, Priority::Normal));
            burst.push(tag);
        }
        assert_eq!(burst, [7, 7 + UNIT, 7 + 2 * UNIT]);
        let newcomer = Place { virtual_time: 7, ..Place::default() };
        assert_eq!(newcomer.tag(Priority::Normal), 7);
        assert_eq!(newcomer.tag(Priority::High), 7 - HEAD_START);
    }

    #[test]
    fn what_was_claimed_counts_until_the_virtual_time_has_passed_it() {
        let place = |virtual_time| Place { virtual_time, claimed_end: Some(UNIT), waiting_end: None };
        assert_eq!(place(0).tag(Priority::Normal), UNIT);
        assert_eq!(place(5 * UNIT).tag(Priority::Normal), 5 * UNIT);
    }

    #[test]
    fn work_follows_pictures_pixels_and_steps_within_bounds() {
        let request = |side, steps, num_images| GenerationRequest {
            size: Some(Size::new(side, side)),
            steps,
            num_images,
            ..GenerationRequest::new(Task::TextToImage)
        };
        assert_eq!(work(&request(1024, 28, 1)), UNIT);
        assert_eq!(work(&request(1024, 28, 3)), 3 * UNIT);
        assert_eq!(work(&request(2048, 14, 1)), 2 * UNIT);
        assert_eq!(work(&request(16, 1, 1)), LEAST_WORK);
        assert_eq!(work(&request(4096, 50, 4)), MOST_WORK);
        assert_eq!(work(&request(u32::MAX, u32::MAX, u32::MAX)), MOST_WORK);
        assert_eq!(work(&GenerationRequest { size: None, ..request(16, 28, 1) }), UNIT);
    }
}
