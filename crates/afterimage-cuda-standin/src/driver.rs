//! The driver's state, one for the process, and what every call goes through.

use crate::descriptors::LibraryObject;
use crate::handles::Handles;
use crate::memory::StandInMemory;
use crate::pinned::Pinned;
use crate::queue::WorkQueue;
use crate::record::LaunchRecorder;
use crate::report::{self, StandInCardReport, StandInReport};
use crate::settings::StandInSettings;
use crate::status::{CallOutcome, Fault, StandInStatus};
use crate::table::StandInTable;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

/// What has to be before a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CallNeeds {
    Nothing,
    /// `cuInit`
    Start,
    /// A current context that is not broken.
    Context,
}

/// A card's primary context.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct PretendedCard {
    pub(crate) retained: u32,
    pub(crate) flags: u32,
    broken: Option<StandInStatus>,
    leaked_bytes: u64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct StandInDriver {
    pub(crate) settings: StandInSettings,
    /// What could not be understood in the settings.
    problem: Option<String>,
    pub(crate) started: bool,
    pub(crate) table: Option<StandInTable>,
    pub(crate) cards: Vec<PretendedCard>,
    pub(crate) memory: StandInMemory,
    pub(crate) handles: Handles,
    /// What cuBLASLt keeps, by handle.
    pub(crate) library: BTreeMap<usize, LibraryObject>,
    pub(crate) pinned: Pinned,
    pub(crate) queue: WorkQueue,
    pub(crate) recorder: Option<LaunchRecorder>,
    calls: BTreeMap<&'static str, u64>,
    pub(crate) launches: BTreeMap<String, u64>,
    pub(crate) bytes_to_cards: u64,
    pub(crate) bytes_to_host: u64,
    complaints: Vec<String>,
}

static DRIVER: Mutex<Option<StandInDriver>> = Mutex::new(None);

thread_local! {
    /// The card whose context is current, plus one.
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

/// Complaints that are kept.
const MOST_COMPLAINTS: usize = 100;

pub(crate) fn lock() -> MutexGuard<'static, Option<StandInDriver>> {
    DRIVER.lock().unwrap_or_else(PoisonError::into_inner)
}

fn try_lock() -> Option<MutexGuard<'static, Option<StandInDriver>>> {
    match DRIVER.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(guard)) => Some(guard.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// The last report.
extern "C" fn write_last() {
    // Somebody may be inside a launch, which ends soon or, with the process, never.
    for _ in 0..200 {
        if let Some(state) = try_lock() {
            if let Some(driver) = &*state {
                report::write(|| driver.report());
            }
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The thread's current context, 0 for none.
pub(crate) fn current() -> usize {
    CURRENT.get()
}

pub(crate) fn set_current(context: usize) {
    CURRENT.set(context);
}

/// One call of an entry point: counted, made to fail if that was asked for, and told what it needs.
pub(crate) fn enter(
    name: &'static str,
    needs: CallNeeds,
    body: impl FnOnce(&mut StandInDriver, usize) -> CallOutcome,
) -> i32 {
    let mut state = lock();
    let driver = state.get_or_insert_with(StandInDriver::from_environment);
    let outcome = driver.begin(name, needs).and_then(|card| {
        catch_unwind(AssertUnwindSafe(|| body(driver, card)))
            .unwrap_or_else(|_| Err(Fault::new(StandInStatus::LAUNCH_FAILED, "the stand-in panicked, see above")))
    });
    match outcome {
        Ok(()) => StandInStatus::SUCCESS.0,
        Err(fault) => {
            driver.note(name, current().checked_sub(1), &fault);
            fault.status.0
        }
    }
}

impl StandInDriver {
    fn from_environment() -> Self {
        report::at_exit(write_last);
        Self::new(&std::env::var("CUDA_STANDIN").unwrap_or_default())
    }

    /// A driver that nobody has called yet.
    pub(crate) fn new(settings: &str) -> Self {
        let (settings, problem) = match StandInSettings::parse(settings) {
            Ok(settings) => (settings, None),
            Err(problem) => (StandInSettings::default(), Some(format!("CUDA_STANDIN: {problem}"))),
        };
        let recorder = settings.record.as_ref().map(LaunchRecorder::new);
        Self {
            memory: StandInMemory::new(settings.cards),
            cards: vec![PretendedCard::default(); settings.cards],
            settings,
            problem,
            started: false,
            table: None,
            handles: Handles::default(),
            library: BTreeMap::new(),
            pinned: Pinned::default(),
            queue: WorkQueue::default(),
            recorder,
            calls: BTreeMap::new(),
            launches: BTreeMap::new(),
            bytes_to_cards: 0,
            bytes_to_host: 0,
            complaints: Vec::new(),
        }
    }

    fn begin(&mut self, name: &'static str, needs: CallNeeds) -> Result<usize, Fault> {
        if let Some(problem) = &self.problem {
            return Err(Fault::new(StandInStatus::UNKNOWN, problem.clone()));
        }
        let calls = self.calls.entry(name).or_default();
        *calls += 1;
        if let Some(status) = self.settings.failure(name, *calls, current().checked_sub(1)) {
            return Err(Fault::new(status, format!("call {calls} fails with {} as it was told to", status.0)));
        }
        if self.settings.is_missing(name) {
            return Err(Fault::new(StandInStatus::NOT_FOUND, "missing, as it was told to be"));
        }
        if needs != CallNeeds::Nothing && !self.started {
            return Err(Fault::new(StandInStatus::NOT_INITIALIZED, "before cuInit"));
        }
        if needs != CallNeeds::Context {
            return Ok(0);
        }
        let card = current().checked_sub(1).filter(|card| self.cards.get(*card).is_some_and(|card| card.retained > 0));
        let Some(card) = card else {
            return Err(Fault::new(StandInStatus::INVALID_CONTEXT, "no context is current on this thread"));
        };
        self.working(card)?;
        Ok(card)
    }

    /// Counts a launch; whether it is to run.
    pub(crate) fn count_launch(&mut self, name: &str) -> bool {
        match self.launches.get_mut(name) {
            Some(count) => *count += 1,
            None => drop(self.launches.insert(name.to_owned(), 1)),
        }
        let launches = self.launches.values().sum::<u64>();
        self.settings.skip_after.is_none_or(|some| launches <= some)
    }

    /// Whether a card's context still works.
    pub(crate) fn working(&self, card: usize) -> CallOutcome {
        self.cards.get(card).and_then(|card| card.broken).map_or(Ok(()), |status| Err(status.into()))
    }

    /// Tells of a fault, and breaks the context if it is one after which nothing works.
    pub(crate) fn note(&mut self, name: &str, card: Option<usize>, fault: &Fault) {
        if !fault.message.is_empty() {
            let complaint = format!("{name}: {}", fault.message);
            eprintln!("CUDA stand-in: {complaint}");
            if self.complaints.len() < MOST_COMPLAINTS {
                self.complaints.push(complaint);
            }
        }
        if fault.status.is_sticky()
            && let Some(card) = card.and_then(|card| self.cards.get_mut(card)).filter(|card| card.retained > 0)
        {
            card.broken.get_or_insert(fault.status);
        }
    }

    /// The last user of a card's primary context lets go of it: what it holds goes, and whatever was broken is mended.
    pub(crate) fn release(&mut self, card: usize) {
        let live = self.memory.totals(card).live;
        self.memory.free_all(card);
        self.handles.drop_all(card);
        if let Some(card) = self.cards.get_mut(card) {
            card.leaked_bytes += live;
            card.broken = None;
        }
        report::write(|| self.report());
    }

    pub(crate) fn report(&self) -> StandInReport {
        let cards = self.cards.iter().enumerate().map(|(index, card)| {
            let totals = self.memory.totals(index);
            StandInCardReport {
                live_bytes: totals.live,
                peak_bytes: totals.peak,
                leaked_bytes: card.leaked_bytes,
                live_allocations: totals.live_allocations,
                allocations: totals.allocations,
            }
        });
        let [streams, events, modules] = self.handles.counts();
        StandInReport {
            cards: cards.collect(),
            calls: self.calls.iter().map(|(name, calls)| ((*name).to_owned(), *calls)).collect(),
            launches: self.launches.clone(),
            bytes_to_cards: self.bytes_to_cards,
            bytes_to_host: self.bytes_to_host,
            pinned_bytes: self.pinned.bytes(),
            streams,
            events,
            modules,
            library_objects: self.library.len() as u64,
            complaints: self.complaints.clone(),
        }
    }
}
