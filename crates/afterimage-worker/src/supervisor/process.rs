//! One engine process from start to end.

use super::limits::SupervisorLimits;
use super::state::OpenFailure;
use crate::frame::{Frame, FrameCodec, FrameError};
use crate::launch::EngineCommand;
use crate::protocol::{Command, JobNumber, PROTOCOL_VERSION, Report};
use afterimage_core::ModelFacts;
use futures_util::StreamExt;
use std::process::ExitStatus;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior, interval, timeout};
use tokio_util::codec::FramedRead;

/// Ticks without a sign of life after which a process counts as hung. Counting ticks instead of comparing times
/// forgives a server that was itself stopped for a while: it then hears first what has been said meanwhile.
const SILENT_TICKS: u32 = 5;

/// Longest line of the process's standard error that is logged in one piece.
const MAX_LOG_LINE: u64 = 8 * 1024;

/// How long a process that closed its output may take to exit.
const EXIT_TIME: Duration = Duration::from_secs(2);

/// A running engine process. It dies when this is dropped.
pub struct RunningEngine {
    child: Child,
    reports: FramedRead<ChildStdout, FrameCodec<Report>>,
    /// To the task that writes, so that a process that does not read blocks nobody. Closing it ends the process.
    commands: mpsc::UnboundedSender<Frame<Command>>,
    ticks: Interval,
    silent_ticks: u32,
    silence: Duration,
    last_ticket: JobNumber,
}

/// Why a process ends.
#[derive(Debug)]
pub enum EndCause {
    /// It closed its output: it exited or was killed.
    Exit,
    /// It gave no sign of life.
    Silence,
    /// It sent something else than reports.
    Garbage(FrameError),
    /// It did not stop a job in time.
    CancelIgnored(Duration),
    /// It is another version than this server.
    Version(u32),
    /// It said itself why it cannot run.
    CannotOpen(OpenFailure),
    /// Its device failed, as it says.
    DeviceLost(String),
}

/// How a process ended.
#[derive(Debug)]
pub struct End {
    pub failure: OpenFailure,
    /// It exited by its own decision and without an error, as it does when the system asks it to.
    pub orderly: bool,
    /// Its device failed.
    pub device_lost: bool,
}

impl RunningEngine {
    /// Starts a process. `index` names it in the log.
    pub fn start(command: &EngineCommand, limits: &SupervisorLimits, index: usize) -> std::io::Result<Self> {
        let mut child = command.build().spawn()?;
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(std::io::Error::other("a pipe to the engine process is missing"));
        };
        let (commands, queue) = mpsc::unbounded_channel();
        tokio::spawn(write_commands(stdin, queue));
        tokio::spawn(log_lines(stderr, index));
        let mut ticks = interval(limits.silence / SILENT_TICKS);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Ok(Self {
            child,
            reports: FramedRead::new(stdout, FrameCodec::default()),
            commands,
            ticks,
            silent_ticks: 0,
            silence: limits.silence,
            last_ticket: 0,
        })
    }

    /// The operating system's number of the process.
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// A number for the next job.
    pub fn next_ticket(&mut self) -> JobNumber {
        self.last_ticket += 1;
        self.last_ticket
    }

    /// Sends `frame` without waiting. A process that is gone is noticed by [`RunningEngine::next`].
    pub fn send(&self, frame: impl Into<Frame<Command>>) {
        let _ = self.commands.send(frame.into());
    }

    /// Waits until the models are open: what they are, and what they take of memory.
    pub async fn opened(&mut self) -> Result<(ModelFacts, String), EndCause> {
        loop {
            match self.next().await?.message {
                Report::Ready { version: PROTOCOL_VERSION, model, memory } => return Ok((model, memory)),
                Report::Ready { version, .. } => return Err(EndCause::Version(version)),
                _ => {}
            }
        }
    }

    /// The next report other than a mere sign of life. Can be dropped and called again without losing one.
    pub async fn next(&mut self) -> Result<Frame<Report>, EndCause> {
        loop {
            tokio::select! {
                biased;
                frame = self.reports.next() => {
                    self.silent_ticks = 0;
                    match frame {
                        Some(Ok(Frame { message: Report::Alive { .. }, .. })) => {}
                        Some(Ok(Frame { message: Report::FailedToOpen { message, bad_input }, .. })) => {
                            return Err(EndCause::CannotOpen(OpenFailure { message, bad_input }));
                        }
                        Some(Ok(Frame { message: Report::DeviceLost { message }, .. })) => {
                            return Err(EndCause::DeviceLost(message));
                        }
                        Some(Ok(frame)) => return Ok(frame),
                        Some(Err(error)) => return Err(EndCause::Garbage(error)),
                        None => return Err(EndCause::Exit),
                    }
                }
                _ = self.ticks.tick() => {
                    self.silent_ticks += 1;
                    // The first tick may come at once.
                    if self.silent_ticks > SILENT_TICKS {
                        return Err(EndCause::Silence);
                    }
                }
            }
        }
    }

    /// Makes sure that the process is gone and says how it went.
    pub async fn end(mut self, cause: EndCause) -> End {
        let grace = match cause {
            EndCause::Exit | EndCause::CannotOpen(_) | EndCause::DeviceLost(_) => EXIT_TIME,
            _ => Duration::ZERO,
        };
        let exited = timeout(grace, self.child.wait()).await;
        if exited.is_err() {
            // Fails only for a process that is gone.
            let _ = self.child.kill().await;
        }
        let status = exited.ok().and_then(Result::ok);
        let orderly = matches!(cause, EndCause::Exit) && status.is_some_and(|status| status.success());
        let device_lost = matches!(cause, EndCause::DeviceLost(_));
        let failure = match cause {
            EndCause::Exit => OpenFailure::death(
                status.map_or_else(|| "the engine process closed its output without exiting".to_owned(), describe_exit),
            ),
            EndCause::Silence => OpenFailure::death(format!(
                "the engine process gave no sign of life for {} s and was killed",
                self.silence.as_secs_f64()
            )),
            EndCause::Garbage(error) => OpenFailure::death(format!("the engine process was not understood: {error}")),
            EndCause::CancelIgnored(waited) => OpenFailure::death(format!(
                "the engine process did not stop a job within {:.1} s and was killed",
                waited.as_secs_f64()
            )),
            EndCause::Version(version) => OpenFailure::death(format!(
                "the engine process speaks version {version} instead of {PROTOCOL_VERSION}; restart the server"
            )),
            EndCause::CannotOpen(failure) => failure,
            EndCause::DeviceLost(message) => OpenFailure::death(message),
        };
        End { failure, orderly, device_lost }
    }

    /// Asks the process to stop what it does and exit, and kills it when it has not within `grace`.
    pub async fn shut_down(mut self, grace: Duration) {
        self.send(Command::Shutdown);
        let exits = async {
            // Its output has to be read for it to get anywhere.
            while let Some(Ok(_)) = self.reports.next().await {}
            let _ = self.child.wait().await;
        };
        if timeout(grace, exits).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

/// Ends when the supervisor drops its sender or the process no longer reads, and closes the pipe by that.
async fn write_commands(mut stdin: ChildStdin, mut queue: mpsc::UnboundedReceiver<Frame<Command>>) {
    while let Some(frame) = queue.recv().await {
        let head = match frame.head() {
            Ok(head) => head,
            Err(error) => {
                tracing::error!(%error, "a command for the engine process was not sent");
                return;
            }
        };
        if stdin.write_all(&head).await.is_err() {
            return;
        }
        for attachment in &frame.attachments {
            if stdin.write_all(attachment).await.is_err() {
                return;
            }
        }
    }
}

async fn log_lines(stderr: ChildStderr, index: usize) {
    let mut stderr = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        line.clear();
        match (&mut stderr).take(MAX_LOG_LINE).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {
                let line = String::from_utf8_lossy(&line);
                tracing::warn!(process = index, line = line.trim_end(), "engine process says");
            }
        }
    }
}

fn describe_exit(status: ExitStatus) -> String {
    if let Some(code) = status.code() {
        return format!("the engine process exited with code {code}");
    }
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        let meaning = match signal {
            4 => " (illegal instruction)",
            6 => " (aborted)",
            7 | 10 => " (bus error)",
            9 => " (killed, perhaps for want of memory)",
            11 => " (segmentation fault)",
            15 => " (asked to end)",
            _ => "",
        };
        return format!("the engine process was ended by signal {signal}{meaning}");
    }
    "the engine process ended in an unknown way".to_owned()
}
