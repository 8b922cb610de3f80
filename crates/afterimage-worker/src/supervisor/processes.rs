//! All engine processes of a server or worker.

use super::assignments::{Senders, channels};
use super::limits::SupervisorLimits;
use super::restarter::Restarter;
use super::run::{Assignment, NotBegun};
use super::state::{OpenFailure, ProcessState, ProcessStatus};
use crate::group::EngineGroup;
use crate::protocol::Work;
use afterimage_core::ModelFacts;
use afterimage_jobs::progress::Attempt;
use afterimage_jobs::worker::{Control, Execution};
use futures_util::future::{select_all, try_join_all};
use std::future::pending;
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Groups of engine processes that are kept alive.
#[derive(Debug)]
pub struct EngineProcesses {
    assignments: Senders,
    groups: Vec<EngineGroup>,
    statuses: Vec<Observed>,
    restarters: TaskTracker,
    /// No new jobs.
    stopping: CancellationToken,
    /// Running jobs are handed back.
    hand_back: CancellationToken,
}

/// What is known of one process.
#[derive(Debug)]
struct Observed {
    /// Number of its group.
    group: usize,
    status: watch::Receiver<ProcessStatus>,
}

impl EngineProcesses {
    /// Starts the processes of all `groups`. Returns at once; [`EngineProcesses::opened`] tells whether it worked.
    /// Must be called within a tokio runtime.
    pub fn start(groups: Vec<EngineGroup>, limits: SupervisorLimits) -> Self {
        let (assignments, receivers) = channels(&groups);
        let (stopping, hand_back) = (CancellationToken::new(), CancellationToken::new());
        let restarters = TaskTracker::new();
        let mut statuses = Vec::new();
        for (number, (group, queues)) in groups.iter().zip(receivers).enumerate() {
            for _ in 0..group.processes {
                let starting = ProcessStatus { pid: None, restarts: 0, state: ProcessState::Starting };
                let (status, observed) = watch::channel(starting);
                let restarter = Restarter {
                    index: statuses.len(),
                    label: group.label().to_owned(),
                    device: group.device(),
                    command: group.command.clone(),
                    limits,
                    queues: queues.clone(),
                    status,
                    stopping: stopping.clone(),
                    hand_back: hand_back.clone(),
                };
                restarters.spawn(restarter.run());
                statuses.push(Observed { group: number, status: observed });
            }
        }
        restarters.close();
        Self { assignments, groups, statuses, restarters, stopping, hand_back }
    }

    /// Every process as it is now, group by group.
    pub fn processes(&self) -> Vec<ProcessStatus> {
        self.with_groups().map(|(_, status)| status).collect()
    }

    /// The same, each with its group.
    pub(crate) fn with_groups(&self) -> impl Iterator<Item = (&EngineGroup, ProcessStatus)> {
        self.statuses.iter().map(|observed| (&self.groups[observed.group], observed.status.borrow().clone()))
    }

    /// Whether process `number` is started again when it dies.
    pub(crate) fn is_kept(&self, number: usize) -> bool {
        let state = |observed: &Observed| matches!(observed.status.borrow().state, ProcessState::GivenUp { .. });
        !self.statuses.get(number).is_some_and(state)
    }

    /// Waits until every process has opened its models; what each runs, group by group.
    ///
    /// # Errors
    /// The first [`OpenFailure`]; the process is started again all the same.
    pub async fn opened(&self) -> Result<Vec<ModelFacts>, OpenFailure> {
        try_join_all(self.statuses.iter().map(|observed| opened(observed.status.clone()))).await
    }

    /// Completes when a process cannot open its models for a reason that starting it again does not change, unless it had
    /// opened them before: its group, and why.
    pub(crate) async fn unusable(&self) -> (&EngineGroup, OpenFailure) {
        if self.statuses.is_empty() {
            return pending().await;
        }
        let failures = self.statuses.iter().map(|observed| {
            Box::pin(async { (&self.groups[observed.group], unusable(observed.status.clone()).await) })
        });
        select_all(failures).await.0
    }

    /// Runs `work` in the next process that is ready, and tells `attempt` how far it is. Dropping the future stops the
    /// job.
    pub async fn generate(&self, work: Work, control: &Control, attempt: Attempt) -> Execution {
        // The process checks the request itself. This check protects the pipe: JSON has no word for the numbers that no
        // range contains, and a message without them would end the process in place of the job.
        let checked = work.request.check(&vec![None; work.sources.len()]);
        if let Err(error) = checked.and_then(|()| self.assignments.check(&work.request.model)) {
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
            self.assignments.send(assignment).await;
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
        if tokio::time::timeout(deadline, self.restarters.wait()).await.is_err() {
            self.hand_back.cancel();
            self.restarters.wait().await;
        }
    }
}

/// What a process runs, once it has opened its models.
async fn opened(mut status: watch::Receiver<ProcessStatus>) -> Result<ModelFacts, OpenFailure> {
    loop {
        match &status.borrow_and_update().state {
            ProcessState::Ready(open) | ProcessState::Busy(open) => return Ok(open.model.clone()),
            ProcessState::Dead { failure, .. } | ProcessState::GivenUp { failure } => return Err(failure.clone()),
            ProcessState::Stopped => return Err(OpenFailure::death("the engine processes are stopped")),
            ProcessState::Starting => {}
        }
        if status.changed().await.is_err() {
            return Err(OpenFailure::death("the engine processes are stopped"));
        }
    }
}

/// Completes when a process that never opened its models has failed to by a flag or file that is wrong.
async fn unusable(mut status: watch::Receiver<ProcessStatus>) -> OpenFailure {
    loop {
        match &status.borrow_and_update().state {
            ProcessState::Dead { failure, .. } if failure.bad_input => return failure.clone(),
            ProcessState::Ready(_) | ProcessState::Busy(_) | ProcessState::GivenUp { .. } | ProcessState::Stopped => {
                break;
            }
            ProcessState::Dead { .. } | ProcessState::Starting => {}
        }
        if status.changed().await.is_err() {
            break;
        }
    }
    pending().await
}
