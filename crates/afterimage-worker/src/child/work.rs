//! One job in the engine process: sources in, files out, progress on the way.

use super::outbox::ReportSender;
use super::pulse::Pulse;
use crate::frame::Frame;
use crate::protocol::{JobNumber, Report, Work};
use afterimage_core::{Error, GenerationFacts, OutputFormat, Picture, PictureLimits, PictureRole, Result, Stage};
use afterimage_engine::{Engine, MetadataLevel, Observer, encode_pictures};
use afterimage_imaging::{OutputMetadata, decode_as, encode};
use afterimage_jobs::{Failure, FailureKind};
use bytes::Bytes;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the server may change about a job while it runs.
pub struct Switches {
    pub ticket: JobNumber,
    pub cancelled: AtomicBool,
    pub previews: AtomicBool,
}

/// Previews may take this share of a job's time: one part of five.
const PREVIEW_SHARE: u32 = 4;

/// Least time between two previews; a watcher could not tell them apart.
const PREVIEW_INTERVAL: Duration = Duration::from_millis(200);

/// When the next preview is due.
#[derive(Default)]
pub struct PreviewClock {
    begun: Option<Instant>,
    due: Option<Instant>,
}

/// Passes the engine's progress on to the server, and the server's wishes on to the engine.
pub struct Reporter<'a> {
    pub switches: &'a Switches,
    /// The whole process should end.
    pub stopping: &'a AtomicBool,
    pub pulse: &'a Pulse,
    pub outbox: &'a ReportSender,
    /// How much results say of themselves.
    pub metadata: MetadataLevel,
    pub previews: Mutex<PreviewClock>,
}

/// Runs `work`; the result is the report that ends it, or the process.
pub fn run(work: &Work, engine: &Engine, reporter: &Reporter) -> Frame<Report> {
    let ticket = reporter.switches.ticket;
    match generate(work, engine, reporter) {
        Ok((facts, files)) => Frame { message: Report::Done { ticket, facts: Box::new(facts) }, attachments: files },
        Err(Error::Cancelled) => Report::Cancelled { ticket }.into(),
        Err(error @ Error::DeviceLost { .. }) => Report::DeviceLost { message: error.to_string() }.into(),
        // The models are open and right; the device lacks memory, say.
        Err(error @ Error::Device { .. }) => {
            Report::Failed { ticket, failure: Failure::new(FailureKind::Engine, error.to_string()) }.into()
        }
        Err(error) => Report::Failed { ticket, failure: error.into() }.into(),
    }
}

fn generate(work: &Work, engine: &Engine, reporter: &Reporter) -> Result<(GenerationFacts, Vec<Bytes>)> {
    let start = Instant::now();
    let sources = decode_sources(work, reporter)?;
    let decoded = start.elapsed();
    let generation = engine.generate_for(&work.tenant, &work.request, &sources, reporter)?;
    let generated = Instant::now();
    let files = encode_pictures(&work.request, &generation, work.format, reporter.metadata)?;
    let files_ms = Some(milliseconds(decoded + generated.elapsed()));
    let facts = GenerationFacts { files_ms, ..generation.facts };
    Ok((facts, files.into_iter().map(Bytes::from).collect()))
}

fn decode_sources(work: &Work, reporter: &Reporter) -> Result<Vec<Picture>> {
    let several = work.sources.len() > 1;
    let decode_one = |(index, bytes): (usize, &Bytes)| {
        if reporter.is_cancelled() {
            return Err(Error::Cancelled);
        }
        let name = match work.request.role(index) {
            PictureRole::Mask => "mask".to_owned(),
            PictureRole::PictureMask => "image mask".to_owned(),
            PictureRole::Start => "the picture to start from".to_owned(),
            PictureRole::Picture if several => format!("picture {}", index + 1),
            PictureRole::Picture => String::new(),
        };
        let reading = work.request.reading(index);
        Ok(decode_as(bytes, &name, &PictureLimits::default(), reading)?.picture)
    };
    work.sources.iter().enumerate().map(decode_one).collect()
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

    fn wants_preview(&self, _done: u32, _total: u32) -> bool {
        let now = Instant::now();
        let mut previews = self.previews.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = self.switches.previews.load(Ordering::Relaxed) && previews.due.is_none_or(|due| due <= now);
        previews.begun = wanted.then_some(now);
        wanted
    }

    fn preview(&self, picture: Picture) {
        // One that cannot be encoded is left out: the job does not need it.
        if let Ok(jpeg) = encode(&picture, OutputFormat::Jpeg, &OutputMetadata::minimal()) {
            let message = Report::Preview { ticket: self.switches.ticket };
            self.report(Frame { message, attachments: vec![jpeg.into()] });
        }
        let mut previews = self.previews.lock().unwrap_or_else(PoisonError::into_inner);
        let cost = previews.begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        previews.due = Some(Instant::now() + (cost * PREVIEW_SHARE).max(PREVIEW_INTERVAL));
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
