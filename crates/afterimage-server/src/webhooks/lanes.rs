//! A lane per key and receiver, so that a receiver that hangs holds up only what its own key sends to it.

use afterimage_jobs::KeyId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

/// Attempts in a row without an answer after which a receiver gets one place instead of all.
const SILENCES: u32 = 2;

/// How long a receiver's silence is remembered.
const MEMORY: Duration = Duration::from_mins(10);

/// Silent receivers that are remembered; the oldest are forgotten first.
const REMEMBERED: usize = 4096;

/// Whose webhooks, and where they go.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    key: KeyId,
    host: String,
    port: u16,
}

impl Lane {
    /// The lane of what `key` sends to `url`.
    pub(super) fn of(key: &KeyId, url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default().to_owned();
        Self { key: key.clone(), host, port: url.port_or_known_default().unwrap_or(0) }
    }
}

/// All lanes.
#[derive(Debug)]
pub(super) struct Lanes {
    width: u32,
    waiting: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    open: HashMap<Lane, Weak<Moving>>,
    /// Attempts in a row that were not answered, and the time of the last one.
    silent: HashMap<Lane, (u32, Instant)>,
}

/// Who may move in a lane. Held by its places only, so there are as many as holders; turns hold what is inside.
#[derive(Debug)]
struct Moving(Arc<Semaphore>);

/// A place in a lane, moving or waiting. It is free again when this is dropped.
#[derive(Debug)]
pub(super) struct Place<'a> {
    lanes: &'a Lanes,
    lane: Lane,
    moving: Arc<Moving>,
}

impl Lanes {
    /// Lanes in which `width` webhooks move at once and `waiting` more wait.
    pub(super) fn new(width: u32, waiting: usize) -> Self {
        Self { width, waiting, state: Mutex::default() }
    }

    /// A place in `lane`, `None` when it is full.
    pub(super) fn enter(&self, lane: &Lane) -> Option<Place<'_>> {
        let place = |moving| Place { lanes: self, lane: lane.clone(), moving };
        let mut state = self.state();
        let width = if state.is_silent(lane) { 1 } else { self.width as usize };
        let Some(moving) = state.open.get(lane).and_then(Weak::upgrade) else {
            // Whoever opens a lane clears those that are empty.
            state.open.retain(|_, lane| lane.strong_count() > 0);
            let moving = Arc::new(Moving(Arc::new(Semaphore::new(self.width as usize))));
            state.open.insert(lane.clone(), Arc::downgrade(&moving));
            return Some(place(moving));
        };
        // Every place holds one reference, and `moving` is one too.
        let taken = Arc::strong_count(&moving) - 1;
        (taken < width + self.waiting).then(|| place(moving))
    }

    /// Notes whether the receiver of a lane answered, whatever it said.
    pub(super) fn note(&self, lane: &Lane, answered: bool) {
        let silent = &mut self.state().silent;
        if answered {
            silent.remove(lane);
            return;
        }
        if silent.len() >= REMEMBERED && !silent.contains_key(lane) {
            silent.retain(|_, (_, at)| at.elapsed() < MEMORY);
            let oldest = silent.iter().min_by_key(|(_, (_, at))| *at).map(|(lane, _)| lane.clone());
            if let Some(oldest) = oldest.filter(|_| silent.len() >= REMEMBERED) {
                silent.remove(&oldest);
            }
        }
        let (times, at) = silent.entry(lane.clone()).or_insert((0, Instant::now()));
        (*times, *at) = (times.saturating_add(1), Instant::now());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_silent(&self, lane: &Lane) -> bool {
        self.silent.get(lane).is_some_and(|(times, at)| *times >= SILENCES && at.elapsed() < MEMORY)
    }
}

impl Place<'_> {
    /// Waits until this place may move. `None` never comes, since lanes are never closed.
    pub(super) async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let turn = Arc::clone(&self.moving.0).acquire_owned().await.ok()?;
        // Asked only now: the receiver may have fallen silent while this one waited.
        if !self.lanes.state().is_silent(&self.lane) {
            return Some(turn);
        }
        drop(turn);
        // All of the lane's width, so that one moves at a time.
        Arc::clone(&self.moving.0).acquire_many_owned(self.lanes.width).await.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(key: &str, url: &str) -> Lane {
        Lane::of(&KeyId::from(key), &url.parse().unwrap())
    }

    async fn moves(place: &Place<'_>) -> Option<OwnedSemaphorePermit> {
        tokio::time::timeout(Duration::from_millis(10), place.turn()).await.ok().flatten()
    }

    #[tokio::test]
    async fn a_full_lane_leaves_others_open() {
        let lanes = Lanes::new(2, 1);
        let slow = lane("one", "http://slow.example/a");
        let mut places: Vec<_> = (0..2).map(|_| lanes.enter(&slow).unwrap()).collect();
        // One that moves has one place, not two.
        let first = moves(&places[0]).await.unwrap();
        let _second = moves(&places[1]).await.unwrap();
        places.push(lanes.enter(&slow).unwrap());
        assert!(lanes.enter(&lane("one", "http://slow.example:80/b")).is_none(), "the path makes no difference");
        for other in [
            lane("one", "http://other.example/a"),
            lane("one", "http://slow.example:8080/a"),
            lane("one", "https://slow.example/a"),
            lane("two", "http://slow.example/a"),
        ] {
            assert!(lanes.enter(&other).is_some(), "{other:?}");
        }
        assert!(moves(&places[2]).await.is_none());
        drop(first);
        assert!(moves(&places[2]).await.is_some());
    }

    #[test]
    fn places_are_freed_and_empty_lanes_forgotten() {
        let lanes = Lanes::new(1, 0);
        for index in 0..100 {
            let lane = lane("one", &format!("http://{index}.example/"));
            let place = lanes.enter(&lane).unwrap();
            assert!(lanes.enter(&lane).is_none());
            drop(place);
            assert!(lanes.enter(&lane).is_some());
        }
        assert!(lanes.state().open.len() <= 2);
    }

    #[tokio::test]
    async fn a_receiver_that_did_not_answer_twice_gets_one_place() {
        let lanes = Lanes::new(4, 2);
        let slow = lane("one", "http://slow.example/");
        lanes.note(&slow, false);
        let four: Vec<_> = (0..4).map(|_| lanes.enter(&slow).unwrap()).collect();
        for place in &four {
            assert!(moves(place).await.is_some(), "once is no habit");
        }
        drop(four);
        lanes.note(&slow, false);
        let places: Vec<_> = (0..3).map(|_| lanes.enter(&slow).unwrap()).collect();
        assert!(lanes.enter(&slow).is_none());
        let turn = moves(&places[0]).await.unwrap();
        assert!(moves(&places[1]).await.is_none());
        drop(turn);
        assert!(moves(&places[1]).await.is_some());
        drop(places);
        // An answer, even a bad one, is an answer.
        lanes.note(&slow, true);
        let places: Vec<_> = (0..6).map(|_| lanes.enter(&slow).unwrap()).collect();
        let mut turns = Vec::new();
        for place in &places[..4] {
            turns.push(moves(place).await.unwrap());
        }
    }

    #[test]
    fn only_so_many_silent_receivers_are_remembered() {
        let lanes = Lanes::new(1, 0);
        for index in 0..REMEMBERED + 10 {
            lanes.note(&lane("one", &format!("http://{index}.example/")), false);
        }
        let state = lanes.state();
        assert_eq!(state.silent.len(), REMEMBERED);
        assert!(!state.silent.contains_key(&lane("one", "http://0.example/")), "the oldest goes first");
    }
}
