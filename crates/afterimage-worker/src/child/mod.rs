//! The engine process itself: what the hidden command runs.
//!
//! | thread | does |
//! |---|---|
//! | main | waits for the first reason to end |
//! | compute | opens the models, then one job after another |
//! | reader | takes commands from standard input; its end means that the server is gone, and so is the process |
//! | heartbeat | tells the server every second that the computing thread moves |
//! | signals | ignores Ctrl-C, which the terminal sends to the whole group; SIGTERM stops the process in good order |

mod outbox;
mod pulse;
mod work;

use super::frame::{Frame, FrameError, FrameReader};
use super::protocol::{Command, PROTOCOL_VERSION, Report, Work};
use afterimage_core::Error;
use afterimage_engine::{Engine, EngineOptions, MetadataLevel, check_weights};
use afterimage_jobs::{Failure, FailureKind};
use outbox::ReportSender;
use pulse::Pulse;
use std::io::{self, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;
use work::{Reporter, Switches};

/// How the engine process watches over itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ChildSettings {
    /// Time between two signs of life.
    pub alive_interval: Duration,
    /// Signs of life stop when the computing thread works but has made no progress for this long. A transformer step
    /// and the building of a model count as one piece of progress each.
    pub stall_limit: Duration,
    /// How much results say of themselves.
    pub metadata: MetadataLevel,
}

impl Default for ChildSettings {
    /// A sign of life every second; stuck after ten minutes, which the largest model's step on a slow processor does
    /// not reach.
    fn default() -> Self {
        Self {
            alive_interval: Duration::from_secs(1),
            stall_limit: Duration::from_mins(10),
            metadata: MetadataLevel::Full,
        }
    }
}

/// Why the engine process ends other than in good order.
#[derive(Debug, thiserror::Error)]
pub enum ChildError {
    /// The models cannot be opened. The server has been told.
    #[error(transparent)]
    CannotOpen(#[from] Error),
    /// The device is of no use to this process any more. The server has been told.
    #[error("{0}")]
    DeviceLost(String),
    /// What the server sends cannot be understood, or nothing can be sent to it.
    #[error("engine process: {0}")]
    Pipe(#[from] FrameError),
    /// The operating system refuses something that every process may have.
    #[error("engine process: {0}")]
    System(#[from] io::Error),
}

/// What the computing thread is told.
enum ComputeTask {
    Generate(Box<Work>, Arc<Switches>),
    Stop,
}

/// What all threads share.
struct ChildState {
    outbox: ReportSender,
    pulse: Pulse,
    stopping: AtomicBool,
}

/// Serves generations over standard input and output until the server says otherwise or is gone.
///
/// # Errors
/// [`ChildError`]. On success or failure the caller should leave the process at once: threads may still compute.
pub fn run(options: EngineOptions, settings: ChildSettings) -> Result<(), ChildError> {
    let shared =
        Arc::new(ChildState { outbox: ReportSender::new(), pulse: Pulse::new(), stopping: AtomicBool::new(false) });
    let (tasks, task_queue) = channel();
    let (endings, first_ending) = channel();
    stop_on_signals(Arc::clone(&shared), tasks.clone())?;
    start("heartbeat", &endings, {
        let shared = Arc::clone(&shared);
        move || heartbeat(&shared, settings)
    })?;
    start("reader", &endings, {
        let shared = Arc::clone(&shared);
        move || read_commands(&shared, &tasks)
    })?;
    start("compute", &endings, move || compute(&options, settings.metadata, &task_queue, &shared))?;
    drop(endings);
    // All threads gone without a word cannot happen; it would be an end like any other.
    first_ending.recv().unwrap_or(Ok(()))
}

fn start(
    name: &str,
    endings: &Sender<Result<(), ChildError>>,
    work: impl FnOnce() -> Result<(), ChildError> + Send + 'static,
) -> io::Result<()> {
    let endings = endings.clone();
    thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Nobody listens any more when another thread ended first.
        let _ = endings.send(work());
    })?;
    Ok(())
}

/// Ends with `Ok` when the server closes the pipe, even amid a step: its jobs belong to somebody else by then.
fn read_commands(shared: &ChildState, tasks: &Sender<ComputeTask>) -> Result<(), ChildError> {
    let mut reader = FrameReader::new(io::stdin().lock());
    let mut current: Option<Arc<Switches>> = None;
    while let Some(Frame { message, attachments }) = reader.next_frame()? {
        let named = |ticket| current.as_ref().filter(|switches| switches.ticket == ticket);
        match message {
            Command::Generate { ticket, work, previews } => {
                let switches = Arc::new(Switches {
                    ticket,
                    cancelled: AtomicBool::new(false),
                    previews: AtomicBool::new(previews),
                });
                current = Some(Arc::clone(&switches));
                let work = Box::new(Work { sources: attachments, ..*work });
                // The computing thread is gone only when the process ends.
                let _ = tasks.send(ComputeTask::Generate(work, switches));
            }
            Command::Cancel { ticket } => {
                if let Some(switches) = named(ticket) {
                    switches.cancelled.store(true, Ordering::Relaxed);
                }
            }
            Command::WatchPreviews { ticket, on } => {
                if let Some(switches) = named(ticket) {
                    switches.previews.store(on, Ordering::Relaxed);
                }
            }
            Command::Shutdown => stop(shared, tasks),
        }
    }
    Ok(())
}

fn stop(shared: &ChildState, tasks: &Sender<ComputeTask>) {
    shared.stopping.store(true, Ordering::Relaxed);
    let _ = tasks.send(ComputeTask::Stop);
}

fn compute(
    options: &EngineOptions,
    metadata: MetadataLevel,
    tasks: &Receiver<ComputeTask>,
    shared: &ChildState,
) -> Result<(), ChildError> {
    let mut engine = open(options, shared)?;
    // Native size or not, small pictures fit: the engine is open.
    let memory = engine.memory().map_or_else(|error| error.to_string(), |plan| format!("at most {plan}"));
    shared.outbox.send(Report::Ready { version: PROTOCOL_VERSION, model: engine.facts(), memory })?;
    shared.pulse.rest();
    while let Ok(ComputeTask::Generate(work, switches)) = tasks.recv() {
        shared.pulse.beat();
        shared.outbox.send(Report::Started { ticket: switches.ticket })?;
        let reporter = Reporter {
            switches: &switches,
            stopping: &shared.stopping,
            pulse: &shared.pulse,
            outbox: &shared.outbox,
            metadata,
            previews: Mutex::default(),
        };
        let ended = catch_unwind(AssertUnwindSafe(|| work::run(&work, &engine, &reporter)));
        let panicked = ended.is_err();
        let blames_model = matches!(&ended, Ok(Frame { message: Report::Failed { failure, .. }, .. })
            if failure.kind == FailureKind::Model);
        if let Ok(Frame { message: lost @ Report::DeviceLost { message }, .. }) = &ended {
            shared.outbox.send(lost.clone())?;
            return Err(ChildError::DeviceLost(message.clone()));
        }
        let report = ended.unwrap_or_else(|_| failure_of_the_engine(&switches, "internal error"));
        match shared.outbox.send(report) {
            Err(error @ FrameError::TooLarge { .. }) => {
                shared.outbox.send(failure_of_the_engine(&switches, &error.to_string()))?;
            }
            sent => sent?,
        }
        if panicked {
            // Whatever the panic left half-done goes with the old engine.
            drop(engine);
            engine = open(options, shared)?;
        } else if blames_model {
            // Files that were damaged since they were opened fail every job: a process that cannot open them says so
            // and ends, and is started again until they are whole.
            drop(open(options, shared)?);
        }
        shared.pulse.rest();
        if shared.stopping.load(Ordering::Relaxed) {
            break;
        }
    }
    Ok(())
}

/// Opens the models. Weights are built when a job needs them; whether they are whole is looked at now, so that a process
/// which is ready can do any job.
fn open(options: &EngineOptions, shared: &ChildState) -> Result<Engine, ChildError> {
    check_weights(options).and_then(|()| Engine::open(options)).map_err(|error| {
        let report = match &error {
            Error::DeviceLost { .. } => Report::DeviceLost { message: error.to_string() },
            _ => Report::FailedToOpen { message: error.to_string(), bad_input: error.is_bad_input() },
        };
        // The exit code says the same to a server that is gone.
        let _ = shared.outbox.send(report);
        error.into()
    })
}

fn failure_of_the_engine(switches: &Switches, message: &str) -> Frame<Report> {
    Report::Failed { ticket: switches.ticket, failure: Failure::new(FailureKind::Engine, message) }.into()
}

fn heartbeat(shared: &ChildState, settings: ChildSettings) -> Result<(), ChildError> {
    let mut was_stuck = false;
    loop {
        let is_stuck = shared.pulse.is_stuck(settings.stall_limit);
        if is_stuck && !was_stuck {
            let seconds = settings.stall_limit.as_secs();
            let _ = writeln!(io::stderr(), "no progress for {seconds} s; the signs of life stop");
        }
        if !is_stuck {
            shared.outbox.send(Report::Alive { progress: shared.pulse.beats() })?;
        }
        was_stuck = is_stuck;
        thread::sleep(settings.alive_interval);
    }
}

#[cfg(unix)]
fn stop_on_signals(shared: Arc<ChildState>, tasks: Sender<ComputeTask>) -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM])?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if signal == SIGTERM {
                stop(&shared, &tasks);
            }
        }
    })?;
    Ok(())
}

#[cfg(not(unix))]
fn stop_on_signals(_shared: Arc<ChildState>, _tasks: Sender<ComputeTask>) -> io::Result<()> {
    Ok(())
}
