//! The task that keeps one engine process alive.

use super::assignments::Receivers;
use super::limits::SupervisorLimits;
use super::losses::DeviceLosses;
use super::process::{End, EndCause, RunningEngine};
use super::run::{Assignment, JobRun};
use super::state::{OpenEngine, OpenFailure, ProcessState, ProcessStatus};
use crate::launch::EngineCommand;
use afterimage_jobs::JobId;
use afterimage_jobs::worker::Execution;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// See the module.
pub struct Restarter {
    pub index: usize,
    /// Name of the set of models, for the log.
    pub label: String,
    /// What it was told to compute on, for the log.
    pub device: String,
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
        let mut losses = DeviceLosses::default();
        while !self.stopping.is_cancelled() {
            let start = Instant::now();
            let Life { finished_jobs, has_worked, mut failure, device_lost, job } =
                match RunningEngine::start(&self.command, &self.limits, self.index) {
                    Ok(process) => self.live(process).await,
                    Err(error) => Life::without_jobs(format!("the engine process cannot be started: {error}")),
                };
            if self.stopping.is_cancelled() {
                break;
            }
            if device_lost {
                losses.note(job, has_worked);
            } else {
                losses = DeviceLosses::default();
            }
            if losses.are_too_many() {
                failure.message.push_str("; it failed twice in a row and is not used until the server starts again");
                tracing::error!(
                    process = self.index,
                    model = self.label,
                    device = self.device,
                    reason = failure.message,
                    "device given up"
                );
                self.status.send_modify(|status| {
                    status.pid = None;
                    status.state = ProcessState::GivenUp { failure };
                });
                self.stopping.cancelled().await;
                break;
            }
            if finished_jobs > 0 || start.elapsed() > self.limits.longest_pause {
                pause = self.limits.first_pause;
            }
            tracing::warn!(
                process = self.index,
                model = self.label,
                device = self.device,
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

    /// One process.
    async fn live(&self, mut process: RunningEngine) -> Life {
        let (mut finished_jobs, mut has_worked) = (0, false);
        self.status.send_modify(|status| (status.pid, status.state) = (process.pid(), ProcessState::Starting));
        let opened = tokio::select! {
            opened = process.opened() => opened,
            () = self.stopping.cancelled() => {
                process.shut_down(Duration::ZERO).await;
                return Life::stopped(finished_jobs);
            }
        };
        let open = match opened {
            Ok((model, memory)) => OpenEngine { model, memory },
            Err(cause) => return Life::ended(finished_jobs, has_worked, process.end(cause).await, None),
        };
        tracing::info!(
            process = self.index,
            model = self.label,
            pid = process.pid(),
            weights = open.model.name,
            device = open.model.device,
            checkers = ?open.model.checkers,
            memory = open.memory,
            "engine process is ready"
        );
        loop {
            self.status.send_modify(|status| status.state = ProcessState::Ready(open.clone()));
            let assignment = tokio::select! {
                biased;
                () = self.stopping.cancelled() => {
                    process.shut_down(self.limits.stop).await;
                    return Life::stopped(finished_jobs);
                }
                // An idle process has nothing to say, but it can die.
                report = process.next() => match report {
                    Ok(_) => continue,
                    Err(cause) => return Life::ended(finished_jobs, has_worked, process.end(cause).await, None),
                },
                assignment = self.next_assignment() => assignment,
            };
            if assignment.reply.is_closed() {
                continue;
            }
            self.status.send_modify(|status| status.state = ProcessState::Busy(open.clone()));
            let mut run = JobRun::begin(&mut process, assignment, &self.limits, &self.hand_back);
            match run.follow(&mut process).await {
                Ok(outcome) => {
                    finished_jobs += 1;
                    has_worked |= matches!(outcome, Execution::Succeeded(_));
                    run.reply(outcome);
                }
                Err(cause) => {
                    let ignored_cancel = matches!(cause, EndCause::CancelIgnored(_));
                    let end = process.end(cause).await;
                    let job = run.job().clone();
                    run.end_with(ignored_cancel, &end);
                    return Life::ended(finished_jobs, has_worked, end, Some(job));
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

/// What became of one process.
struct Life {
    /// Jobs that it ended.
    finished_jobs: u64,
    /// One of them with pictures.
    has_worked: bool,
    /// Why it died itself.
    failure: OpenFailure,
    /// Its device failed.
    device_lost: bool,
    /// What it did when it ended.
    job: Option<JobId>,
}

impl Life {
    fn without_jobs(message: String) -> Self {
        Self {
            finished_jobs: 0,
            has_worked: false,
            failure: OpenFailure::death(message),
            device_lost: false,
            job: None,
        }
    }

    fn stopped(finished_jobs: u64) -> Self {
        Self { finished_jobs, ..Self::without_jobs("the engine processes are stopped".to_owned()) }
    }

    fn ended(finished_jobs: u64, has_worked: bool, end: End, job: Option<JobId>) -> Self {
        Self { finished_jobs, has_worked, failure: end.failure, device_lost: end.device_lost, job }
    }
}
