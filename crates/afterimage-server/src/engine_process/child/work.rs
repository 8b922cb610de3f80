//! One job in the engine process: sources in, files out, progress on the way.

use super::outbox::Outbox;
use super::pulse::Pulse;
use crate::engine_process::frame::Frame;
use crate::engine_process::protocol::{GenerationFailure, Report, Summary, Ticket};
use afterimage_core::{Error, GenerationRequest, Picture, PictureLimits, Result};
use afterimage_engine::{Engine, Observer, Stage, encode_pictures};
use afterimage_imaging::{OutputFormat, decode};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A job as the server sent it.
pub struct Work {
    pub request: GenerationRequest,
    pub format: OutputFormat,
    pub sources: Vec<Bytes>,
    pub switches: Arc<Switches>,
}

/// What the server may change about a job while it runs.
pub struct Switches {
    pub ticket: Ticket,
    pub cancelled: AtomicBool,
    pub previews: AtomicBool,
}

/// Passes the engine's progress on to the server, and the server's wishes on to the engine.
pub struct Reporter<'a> {
    pub switches: &'a Switches,
    /// The whole process should end.
    pub stopping: &'a AtomicBool,
    pub pulse: &'a Pulse,
    pub outbox: &'a Outbox,
}

impl Work {
    /// Runs the job; the result is the report that ends it.
    pub fn run(self, engine: &Engine, reporter: &Reporter) -> Frame<Report> {
        let ticket = self.switches.ticket;
        match self.generate(engine, reporter) {
            Ok(frame) => frame,
            Err(Error::Cancelled) => Report::Cancelled { ticket }.into(),
            Err(error) => Report::Failed { ticket, failure: GenerationFailure::from(error) }.into(),
        }
    }

    fn generate(self, engine: &Engine, reporter: &Reporter) -> Result<Frame<Report>> {
        let start = Instant::now();
        let sources = self.decode_sources(reporter)?;
        let decoded = start.elapsed();
        let generation = engine.generate(&self.request, &sources, reporter)?;
        let generated = Instant::now();
        let files = encode_pictures(&self.request, &generation, self.format)?;
        let summary = Summary {
            seed: generation.seed,
            size: generation.size,
            steps_run: generation.steps_run,
            timings: generation.timings,
            files_ms: milliseconds(decoded + generated.elapsed()),
            model: engine.facts(),
        };
        let message = Report::Done { ticket: self.switches.ticket, summary };
        Ok(Frame { message, attachments: files.into_iter().map(Bytes::from).collect() })
    }

    fn decode_sources(&self, reporter: &Reporter) -> Result<Vec<Picture>> {
        let several = self.sources.len() > 1;
        let decode_one = |(index, bytes): (usize, &Bytes)| {
            if reporter.is_cancelled() {
                return Err(Error::Cancelled);
            }
            let name = if several { format!("picture {}", index + 1) } else { String::new() };
            decode(bytes, &name, &PictureLimits::default())
        };
        self.sources.iter().enumerate().map(decode_one).collect()
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

impl Observer for Reporter<'_> {
    fn stage(&self, stage: Stage) {
        self.report(Report::Stage { ticket: self.switches.ticket, stage });
    }

    fn step(&self, done: u32, total: u32) {
        self.report(Report::Step { ticket: self.switches.ticket, done, total });
    }

    fn is_cancelled(&self) -> bool {
        self.pulse.beat();
        self.switches.cancelled.load(Ordering::Relaxed) || self.stopping.load(Ordering::Relaxed)
    }
}

impl Reporter<'_> {
    fn report(&self, frame: impl Into<Frame<Report>>) {
        self.pulse.beat();
        // A server that is gone is noticed by the thread that reads from it.
        let _ = self.outbox.send(frame);
    }
}
