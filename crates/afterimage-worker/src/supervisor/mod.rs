//! Keeps engine processes alive and hands them jobs.
//!
//! One task for each process (`keeper.rs`) starts it, waits for its models, takes jobs from a common queue and starts
//! it again when it dies (`life.rs` is one such life, `run.rs` one job in it). A job therefore always goes to a process that is ready, if there
//! is one.

mod keeper;
mod life;
mod run;
mod state;

pub use state::{OpenFailure, ProcessState, ProcessStatus};

use crate::launch::EngineCommand;
use crate::protocol::Work;
use afterimage_core::ModelFacts;
use afterimage_jobs::progress::Attempt;
use afterimage_jobs::worker::{Control, Execution};
use keeper::Keeper;
use run::{Assignment, NotBegun};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How patient the supervisor is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// A process that gives no sign of life for this long is killed. It gives one every second.
    pub silence: Duration,
    /// A process that does not stop a cancelled job within this time, or ten times its last step if that is longer,
    /// is killed.
    pub cancel: Duration,
    /// Pause before a process that died is started again. It doubles with each death without a finished job.
    pub first_pause: Duration,
    /// Longest such pause.
    pub longest_pause: Duration,
    /// At shutdown, what a process may take to stop before it is killed.
    pub stop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            silence: Duration::from_secs(10),
            cancel: Duration::from_secs(30),
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(10),
            stop: Duration::from_secs(3),
        }
    }
}

/// A number of engine processes that are kept alive.
#[derive(Debug)]
pub struct EngineProcesses {
    assignments: mpsc::Sender<Assignment>,
    statuses: Vec<watch::Receiver<ProcessStatus>>,
    keepers: TaskTracker,
    /// No new jobs.
    stopping: CancellationToken,
    /// Running jobs are handed back.
    hand_back: CancellationToken,
}

impl EngineProcesses {
    /// Starts `count` processes by `command`. Returns at once; [`EngineProcesses::opened`] tells whether it worked.
    /// Must be called within a tokio runtime.
    pub fn start(command: &EngineCommand, limits: Limits, count: usize) -> Self {
        let (assignments, queue) = mpsc::channel(1);
        let queue = Arc::new(Mutex::new(queue));
        let (stopping, hand_back) = (CancellationToken::new(), CancellationToken::new());
        let keepers = TaskTracker::new();
        let statuses = (0..count)
            .map(|index| {
                let (status, observed) =
                    watch::channel(ProcessStatus { pid: None, restarts: 0, state: ProcessState::Starting });
                let keeper = Keeper {
                    index,
                    command: command.clone(),
                    limits,
                    queue: Arc::clone(&queue),
                    status,
                    stopping: stopping.clone(),
                    hand_back: hand_back.clone(),
                };
                keepers.spawn(keeper.run());
                observed
            })
            .collect();
        keepers.close();
        Self { assignments, statuses, keepers, stopping, hand_back }
    }

    /// Every process as it is now.
    pub fn processes(&self) -> Vec<ProcessStatus> {
        self.statuses.iter().map(|status| status.borrow().clone()).collect()
    }

    /// Waits until the first process has opened its models, or has failed to.
    ///
    /// # Errors
    /// [`OpenFailure`]; the process is started again all the same.
    pub async fn opened(&self) -> Result<ModelFacts, OpenFailure> {
        let mut status =
            self.statuses.first().ok_or_else(|| OpenFailure::death("there are no engine processes"))?.clone();
        loop {
            match &status.borrow_and_update().state {
                ProcessState::Ready(model) | ProcessState::Busy(model) => return Ok(model.clone()),
                ProcessState::Dead { failure, .. } => return Err(failure.clone()),
                ProcessState::Stopped => return Err(OpenFailure::death("the engine processes are stopped")),
                ProcessState::Starting => {}
            }
            if status.changed().await.is_err() {
                return Err(OpenFailure::death("the engine processes are stopped"));
            }
        }
    }

    /// Runs `work` in the next process that is ready, and tells `attempt` how far it is. Dropping the future stops the
    /// job.
    pub async fn generate(&self, work: Work, control: &Control, attempt: Attempt) -> Execution {
        // The process checks the request itself. This check protects the pipe: JSON has no word for the numbers that no
        // range contains, and a message without them would end the process in place of the job.
        if let Err(error) = work.request.check(&vec![None; work.sources.len()]) {
            return Execution::Failed(error.into());
        }
        let again = match self.assign(work, control, attempt).await {
            Ok(outcome) => return outcome,
            Err(again) => again,
        };
        // Once may be bad luck. A second time the job itself is suspect: its pictures may be what the process dies of
        // before it can say that it begins.
        match self.assign(again.work, control, again.attempt).await {
            Ok(outcome) => outcome,
            Err(NotBegun { reason, .. }) => Execution::Crashed { message: reason },
        }
    }

    async fn assign(&self, work: Work, control: &Control, attempt: Attempt) -> Result<Execution, NotBegun> {
        let (reply, mut outcome) = oneshot::channel();
        let taken = CancellationToken::new();
        let assignment = Assignment { work, control: control.clone(), attempt, taken: taken.clone(), reply };
        let handed_over = async {
            // Fails when the supervisor stops, which drops the assignment and thereby ends `outcome`.
            let _ = self.assignments.send(assignment).await;
            taken.cancelled().await;
        };
        // A process that is ready takes the job at once and listens itself from then on. While there is none, the job
        // must still be cancellable.
        tokio::select! {
            biased;
            () = control.cancel.cancelled() => return Ok(Execution::Cancelled),
            () = control.abandon.cancelled() => return Ok(Execution::HandedBack),
            ended = &mut outcome => return ended.unwrap_or(Ok(Execution::HandedBack)),
            () = handed_over => {}
        }
        outcome.await.unwrap_or(Ok(Execution::HandedBack))
    }

    /// Lets running jobs finish until `deadline` has passed, hands the rest back, and ends all processes. Jobs that
    /// were not begun are handed back at once.
    pub async fn stop(&self, deadline: Duration) {
        self.stopping.cancel();
        if tokio::time::timeout(deadline, self.keepers.wait()).await.is_err() {
            self.hand_back.cancel();
            self.keepers.wait().await;
        }
    }
}
