//! The task that keeps one engine process alive.

use super::assignments::Receivers;
use super::limits::SupervisorLimits;
use super::process::{EndCause, RunningEngine};
use super::run::{Assignment, JobRun};
use super::state::{OpenFailure, ProcessState, ProcessStatus};
use crate::launch::EngineCommand;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// See the module.
pub struct Restarter {
    pub index: usize,
    /// Name of the set of models, for the log.
    pub label: String,
    pub command: EngineCommand,
    pub limits: SupervisorLimits,
    pub queues: Receivers,
    pub status: watch::Sender<ProcessStatus>,
    pub stopping: CancellationToken,
    pub hand_back: CancellationToken,
}

impl Restarter {
    /// Keeps a process alive until the supervisor stops.
    pub async fn run(self) {
        let mut pause = self.limits.first_pause;
        while !self.stopping.is_cancelled() {
            let start = Instant::now();
            let (finished_jobs, failure) = match RunningEngine::start(&self.command, &self.limits, self.index) {
                Ok(process) => self.live(process).await,
                Err(error) => (0, OpenFailure::death(format!("the engine process cannot be started: {error}"))),
            };
            if self.stopping.is_cancelled() {
                break;
            }
            if finished_jobs > 0 || start.elapsed() > self.limits.longest_pause {
                pause = self.limits.first_pause;
            }
            tracing::warn!(
                process = self.index,
                model = self.label,
                reason = failure.message,
                pause_ms = pause.as_millis() as u64,
                "engine process ended; it will be started again"
            );
            self.status.send_modify(|status| {
                status.pid = None;
                status.restarts += 1;
                status.state = ProcessState::Dead { since: Instant::now(), failure };
            });
            tokio::select! {
                () = sleep(pause) => {}
                () = self.stopping.cancelled() => {}
            }
            pause = (pause * 2).min(self.limits.longest_pause);
        }
        self.status.send_modify(|status| (status.pid, status.state) = (None, ProcessState::Stopped));
    }

    /// One process; the number of jobs that it ended and why it died itself.
    async fn live(&self, mut process: RunningEngine) -> (u64, OpenFailure) {
        let mut finished_jobs = 0;
        self.status.send_modify(|status| (status.pid, status.state) = (process.pid(), ProcessState::Starting));
        let opened = tokio::select! {
            opened = process.opened() => opened,
            () = self.stopping.cancelled() => {
                process.shut_down(Duration::ZERO).await;
                return (finished_jobs, stopped());
            }
        };
        let (model, memory) = match opened {
            Ok(opened) => opened,
            Err(cause) => return (finished_jobs, process.end(cause).await.failure),
        };
        tracing::info!(
            process = self.index,
            model = self.label,
            pid = process.pid(),
            weights = model.name,
            checkers = ?model.checkers,
            memory,
            "engine process is ready"
        );
        loop {
            self.status.send_modify(|status| status.state = ProcessState::Ready(model.clone()));
            let assignment = tokio::select! {
                biased;
                () = self.stopping.cancelled() => {
                    process.shut_down(self.limits.stop).await;
                    return (finished_jobs, stopped());
                }
                // An idle process has nothing to say, but it can die.
                report = process.next() => match report {
                    Ok(_) => continue,
                    Err(cause) => return (finished_jobs, process.end(cause).await.failure),
                },
                assignment = self.next_assignment() => assignment,
            };
            if assignment.reply.is_closed() {
                continue;
            }
            self.status.send_modify(|status| status.state = ProcessState::Busy(model.clone()));
            let mut run = JobRun::begin(&mut process, assignment, &self.limits, &self.hand_back);
            match run.follow(&mut process).await {
                Ok(outcome) => {
                    finished_jobs += 1;
                    run.reply(outcome);
                }
                Err(cause) => {
                    let ignored_cancel = matches!(cause, EndCause::CancelIgnored(_));
                    let end = process.end(cause).await;
                    run.end_with(ignored_cancel, &end);
                    return (finished_jobs, end.failure);
                }
            }
        }
    }

    async fn next_assignment(&self) -> Assignment {
        if let Some(assignment) = self.queues.next().await {
            return assignment;
        }
        // The supervisor was dropped; its processes go with it.
        self.stopping.cancel();
        std::future::pending().await
    }
}

fn stopped() -> OpenFailure {
    OpenFailure::death("the engine processes are stopped")
}
