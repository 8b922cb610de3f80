//! One job in one process: sent, followed, stopped when somebody wants its end.

use super::limits::SupervisorLimits;
use super::process::{End, EndCause, RunningEngine};
use crate::frame::Frame;
use crate::protocol::{Command, JobNumber, Report, Work};
use afterimage_jobs::JobId;
use afterimage_jobs::progress::{Attempt, Event};
use afterimage_jobs::worker::{Control, Execution, Produced};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// A cancelled job's process may take this many steps' time, when that is longer than its fixed limit.
const CANCEL_STEPS: u32 = 10;

/// What clients are told when a device fails again and again.
const DEVICE_FAILED: &str = "the device that made the picture failed";

/// A job on its way to a process.
#[derive(Debug)]
pub struct Assignment {
    pub work: Work,
    pub control: Control,
    pub attempt: Attempt,
    /// Cancelled when a process takes the job.
    pub taken: CancellationToken,
    pub reply: oneshot::Sender<Result<Execution, NotBegun>>,
}

/// A job that comes back, since its process died before it began. It had no part in that.
#[derive(Debug)]
pub struct NotBegun {
    pub work: Work,
    pub attempt: Attempt,
    /// How the process died.
    pub reason: String,
}

/// Why a job is being stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StopReason {
    Cancel,
    HandBack,
}

/// One job while a process has it.
pub struct JobRun<'a> {
    limits: &'a SupervisorLimits,
    /// The supervisor's time is up.
    hand_back: &'a CancellationToken,
    assignment: Assignment,
    ticket: JobNumber,
    begun: bool,
    stop: Option<StopReason>,
    last_step: Option<Instant>,
    step_time: Duration,
}

impl<'a> JobRun<'a> {
    /// Sends the job to the process.
    pub fn begin(
        process: &mut RunningEngine,
        assignment: Assignment,
        limits: &'a SupervisorLimits,
        hand_back: &'a CancellationToken,
    ) -> Self {
        assignment.taken.cancel();
        let ticket = process.next_ticket();
        let (mut work, previews) = (assignment.work.clone(), assignment.attempt.previews_wanted());
        // A process has one set of models; how this server calls it is nothing that a result should say of itself.
        work.request.model = None;
        let attachments = work.sources.clone();
        process.send(Frame { message: Command::Generate { ticket, work: Box::new(work), previews }, attachments });
        let (last_step, step_time) = (None, Duration::ZERO);
        Self { limits, hand_back, assignment, ticket, begun: false, stop: None, last_step, step_time }
    }

    /// Follows the job to its end.
    ///
    /// # Errors
    /// Why the process has to end with it; [`JobRun::end_with`] comes next.
    pub async fn follow(&mut self, process: &mut RunningEngine) -> Result<Execution, EndCause> {
        let mut patience = Box::pin(sleep(Duration::MAX));
        let mut waited = Duration::ZERO;
        let mut hurried = false;
        loop {
            let Assignment { control, attempt, reply, .. } = &mut self.assignment;
            let unstopped = self.stop.is_none();
            let wanted = tokio::select! {
                biased;
                report = process.next() => match self.note(report?) {
                    Some(outcome) => return Ok(outcome),
                    None => continue,
                },
                () = control.cancel.cancelled(), if unstopped => StopReason::Cancel,
                () = control.abandon.cancelled(), if unstopped => StopReason::HandBack,
                // Nobody waits for the outcome any more.
                () = reply.closed(), if unstopped => StopReason::HandBack,
                // Also hurries a job that is being cancelled.
                () = self.hand_back.cancelled(), if !hurried => {
                    hurried = true;
                    StopReason::HandBack
                }
                () = attempt.previews_changed(), if unstopped => {
                    process.send(Command::WatchPreviews { ticket: self.ticket, on: attempt.previews_wanted() });
                    continue;
                }
                () = &mut patience, if !unstopped => return Err(EndCause::CancelIgnored(waited)),
            };
            if unstopped {
                process.send(Command::Cancel { ticket: self.ticket });
                self.stop = Some(wanted);
            }
            waited = if hurried { self.limits.stop } else { self.limits.cancel.max(self.step_time * CANCEL_STEPS) };
            patience = Box::pin(sleep(waited));
        }
    }

    /// Takes note of a report; the outcome if it ends the job.
    fn note(&mut self, frame: Frame<Report>) -> Option<Execution> {
        let Frame { message, attachments } = frame;
        let attempt = &self.assignment.attempt;
        match message {
            Report::Started { ticket } if ticket == self.ticket => self.begun = true,
            Report::Stage { ticket, stage } if ticket == self.ticket => attempt.publish(Event::Stage(stage)),
            Report::Step { ticket, done, total } if ticket == self.ticket => {
                let now = Instant::now();
                if let Some(last) = self.last_step.replace(now) {
                    self.step_time = now - last;
                }
                attempt.publish(Event::Step { done, total });
            }
            Report::Preview { ticket } if ticket == self.ticket => {
                for jpeg in attachments {
                    attempt.publish(Event::Preview(jpeg));
                }
            }
            Report::Done { ticket, facts } if ticket == self.ticket => {
                return Some(Execution::Succeeded(Box::new(Produced { facts: *facts, files: attachments })));
            }
            Report::Failed { ticket, failure } if ticket == self.ticket => return Some(Execution::Failed(failure)),
            Report::Cancelled { ticket } if ticket == self.ticket => {
                return Some(match self.stop {
                    Some(StopReason::Cancel) => Execution::Cancelled,
                    // Unasked, the process itself was asked to end by the system.
                    Some(StopReason::HandBack) | None => Execution::HandedBack,
                });
            }
            // Something late about a job before.
            _ => {}
        }
        None
    }

    /// The job.
    pub fn job(&self) -> &JobId {
        self.assignment.attempt.job()
    }

    /// Tells whoever waits how the job ended.
    pub fn reply(self, outcome: Execution) {
        // Nobody waits for a job that was dropped.
        let _ = self.assignment.reply.send(Ok(outcome));
    }

    /// Tells whoever waits that the process died, and what that means for the job.
    pub fn end_with(self, ignored_cancel: bool, end: &End) {
        // What a driver says is for the log, which has it.
        let reason = if end.device_lost { DEVICE_FAILED.to_owned() } else { end.failure.message.clone() };
        let stopped = ignored_cancel || end.orderly || end.device_lost;
        // A wish that came at the same time as the end counts.
        let control = &self.assignment.control;
        let late = control.cancel.is_cancelled().then_some(StopReason::Cancel);
        let outcome = match self.stop.or(late.filter(|_| end.device_lost)) {
            // The job did stop, if not by its own.
            Some(StopReason::Cancel) if stopped => Execution::Cancelled,
            Some(StopReason::HandBack) if stopped => Execution::HandedBack,
            None if !self.begun => {
                let Assignment { work, attempt, reply, .. } = self.assignment;
                let _ = reply.send(Err(NotBegun { work, attempt, reason }));
                return;
            }
            None if end.orderly => Execution::HandedBack,
            _ => Execution::Crashed { message: reason },
        };
        self.reply(outcome);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::state::OpenFailure;
    use afterimage_core::{GenerationRequest, OutputFormat, Task};
    use afterimage_jobs::progress::Events;

    /// What becomes of a job that was cancelled or not when its process ends so.
    fn ends(is_cancelled: bool, device_lost: bool) -> Execution {
        let (limits, hand_back, control) = (SupervisorLimits::default(), CancellationToken::new(), Control::default());
        if is_cancelled {
            control.cancel.cancel();
        }
        let request = GenerationRequest::new(Task::ImageToImage { strength: 0.5 });
        let work = Work { tenant: "t".to_owned(), request, format: OutputFormat::Png, sources: Vec::new() };
        let (reply, mut outcome) = oneshot::channel();
        let attempt = Events::default().begin(&JobId::random(), 1);
        let assignment = Assignment { work, control, attempt, taken: CancellationToken::new(), reply };
        let run = JobRun {
            limits: &limits,
            hand_back: &hand_back,
            assignment,
            ticket: 1,
            begun: true,
            stop: None,
            last_step: None,
            step_time: Duration::ZERO,
        };
        let failure = OpenFailure::death("device cuda:0: cuLaunchKernel: CUDA_ERROR_ILLEGAL_ADDRESS (700)");
        run.end_with(false, &End { failure, orderly: false, device_lost });
        outcome.try_recv().unwrap().unwrap()
    }

    #[test]
    fn a_job_that_was_cancelled_when_its_device_failed_is_cancelled() {
        assert_eq!(ends(true, true), Execution::Cancelled);
        assert_eq!(ends(false, true), Execution::Crashed { message: DEVICE_FAILED.to_owned() });
        assert!(matches!(ends(true, false), Execution::Crashed { message } if message.contains("700")));
    }
}
