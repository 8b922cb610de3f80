//! What the server makes of a process that works, dies or hangs.

use crate::waiting::until;
use afterimage_core::{Field, GenerationFacts, GenerationRequest, OutputFormat, Size, Task, VariationSettings};
use afterimage_engine::EngineOptions;
use afterimage_jobs::progress::{Event, Events};
use afterimage_jobs::worker::{Control, Engines, Execution};
use afterimage_jobs::{FailureKind, JobId};
use afterimage_kernels::simd::Isa;
use afterimage_worker::child::ChildSettings;
use afterimage_worker::{EngineCommand, EngineGroup, EngineProcesses, ProcessState, SupervisorLimits, Work};
use bytes::Bytes;
use image::{DynamicImage, ImageFormat, RgbImage};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Longest that anything in here may take; it takes a fraction of it on an idle machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Server {
    processes: Arc<EngineProcesses>,
    events: Events,
}

impl Server {
    async fn start(limits: SupervisorLimits) -> Self {
        let settings = ChildSettings { alive_interval: Duration::from_millis(50), ..ChildSettings::default() };
        let mut command = EngineCommand::this_program(&EngineOptions::default(), &settings).unwrap();
        command.program = env!("CARGO_BIN_EXE_afterimage").into();
        let processes = Arc::new(EngineProcesses::start(vec![EngineGroup::unnamed(&command, 1)], limits));
        let facts = processes.opened().await.unwrap().remove(0);
        // `auto`: what is fast on this machine.
        let dtype = if Isa::detect().has_fast_bf16() { "bf16" } else { "f32" };
        assert_eq!((facts.device.as_str(), facts.dtype.as_str()), ("cpu", dtype));
        Self { processes, events: Events::default() }
    }

    fn pid(&self) -> u32 {
        self.processes.processes()[0].pid.unwrap()
    }

    async fn run(&self, work: Work) -> Execution {
        let attempt = self.events.begin(&JobId::random(), 1);
        timeout(PATIENCE, self.processes.generate(work, &Control::default(), attempt)).await.unwrap()
    }

    /// Starts `work` and waits until its first step is done.
    async fn begin(&self, work: Work, control: &Control) -> tokio::task::JoinHandle<Execution> {
        let job = JobId::random();
        let mut watcher = self.events.watch(&job, false);
        let (processes, attempt, control) = (Arc::clone(&self.processes), self.events.begin(&job, 1), control.clone());
        let running = tokio::spawn(async move { processes.generate(work, &control, attempt).await });
        let first_step = async { while !matches!(watcher.next().await, Some(Event::Step { done: 1.., .. })) {} };
        timeout(PATIENCE, first_step).await.unwrap();
        running
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.pid().to_string()]).status().unwrap().success());
    }
}

fn png(width: u32, height: u32) -> Bytes {
    let picture = RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 5) as u8, (y * 7) as u8, 90]));
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner().into()
}

fn small() -> Work {
    let request = GenerationRequest {
        size: Some(Size::new(64, 64)),
        steps: 2,
        seed: Some(5),
        ..GenerationRequest::new(Task::Variation(VariationSettings::default()))
    };
    Work { tenant: "t".to_owned(), request, format: OutputFormat::Png, sources: vec![png(48, 32)] }
}

/// A job that takes minutes, with short steps.
fn long() -> Work {
    let mut work = small();
    (work.request.size, work.request.steps, work.request.num_images) = (Some(Size::new(256, 256)), 50, 4);
    work
}

fn done(outcome: Execution) -> (GenerationFacts, Vec<Bytes>) {
    match outcome {
        Execution::Succeeded(produced) => (produced.facts, produced.files),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn files_are_those_of_the_command_line() {
    let server = Server::start(SupervisorLimits::default()).await;
    let (facts, files) = done(server.run(small()).await);
    assert_eq!((facts.seed, facts.size, facts.steps_run), (5, Size::new(64, 64), 2));
    assert!(facts.timings.total_ms > 0.0);

    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("photo.png"), png(48, 32)).unwrap();
    let arguments = ["vary", "photo.png", "--size", "64x64", "--steps", "2", "--seed", "5", "--output", "out.png"];
    let status =
        Command::new(env!("CARGO_BIN_EXE_afterimage")).args(arguments).current_dir(&folder).output().unwrap().status;
    assert!(status.success());
    assert_eq!(files, [Bytes::from(std::fs::read(folder.path().join("out.png")).unwrap())]);

    let (_, jpegs) = done(server.run(Work { format: OutputFormat::Jpeg, ..small() }).await);
    assert!(jpegs[0].starts_with(b"\xff\xd8"));
}

#[tokio::test]
async fn models_are_loaded_once_and_known_inputs_are_not_encoded_again() {
    let server = Server::start(SupervisorLimits::default()).await;
    let (first, files) = done(server.run(small()).await);
    assert!(first.timings.load_ms > 0.0 && !first.image_cached && !first.text_cached);
    let (second, same_files) = done(server.run(small()).await);
    assert!(second.timings.load_ms == 0.0 && second.image_cached && second.text_cached, "{second:?}");
    assert_eq!(files, same_files);
    let (other, _) = done(server.run(Work { sources: vec![png(9, 9)], ..small() }).await);
    assert!(!other.image_cached && other.text_cached);
    let (stranger, _) = done(server.run(Work { tenant: "other".to_owned(), ..small() }).await);
    assert!(!stranger.image_cached && !stranger.text_cached, "what another tenant encoded is not told");
    assert_eq!(server.processes.processes()[0].restarts, 0);
}

#[tokio::test]
async fn a_set_of_models_that_nobody_has_is_refused() {
    let server = Server::start(SupervisorLimits::default()).await;
    let mut work = small();
    work.request.model = Some("srpo".parse().unwrap());
    let Execution::Failed(failure) = server.run(work).await else { panic!("it ran") };
    assert_eq!((failure.kind, failure.field), (FailureKind::BadInput, Some(Field::Model)));
    assert!(failure.message.starts_with("`srpo` is not known"), "{failure:?}");
}

/// Each process has the threads that it was given, whatever the machine has.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn processes_have_the_threads_that_they_are_given() {
    let options = EngineOptions { threads: std::num::NonZeroUsize::new(3), ..EngineOptions::default() };
    let mut command = EngineCommand::this_program(&options, &ChildSettings::default()).unwrap();
    command.program = env!("CARGO_BIN_EXE_afterimage").into();
    let processes = EngineProcesses::start(vec![EngineGroup::unnamed(&command, 2)], SupervisorLimits::default());
    processes.opened().await.unwrap();
    let all_run = async || processes.processes().iter().all(|status| matches!(status.state, ProcessState::Ready(_)));
    until("all run", PATIENCE, all_run).await;
    for status in processes.processes() {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", status.pid.unwrap())).unwrap();
        let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
        assert_eq!(names.filter(|name| name.starts_with("kernels-")).count(), 3);
    }
}

#[tokio::test]
async fn previews_are_made_only_while_somebody_watches_them() {
    let server = Server::start(SupervisorLimits::default()).await;
    let job = JobId::random();
    let (mut uninterested, attempt) = (server.events.watch(&job, false), server.events.begin(&job, 1));
    let (processes, control) = (Arc::clone(&server.processes), Control::default());
    let running = tokio::spawn({
        let control = control.clone();
        async move { processes.generate(long(), &control, attempt).await }
    });
    // The job runs already when somebody begins to watch.
    while !matches!(uninterested.next().await, Some(Event::Step { done: 1.., .. })) {}
    let mut watcher = server.events.watch(&job, true);
    let preview = async {
        loop {
            if let Some(Event::Preview(jpeg)) = watcher.next().await {
                return jpeg;
            }
        }
    };
    let jpeg = timeout(PATIENCE, preview).await.unwrap();
    let size = image::load_from_memory_with_format(&jpeg, ImageFormat::Jpeg).unwrap();
    assert!(size.width() <= 256 && size.width() == size.height());
    drop(watcher);
    control.cancel.cancel();
    assert_eq!(running.await.unwrap(), Execution::Cancelled);
    while let Some(event) = uninterested.next().await {
        assert!(!matches!(event, Event::Preview(_)));
    }
    drop(uninterested);
    assert!(server.events.is_empty());
}

#[tokio::test]
async fn bad_input_fails_the_job_and_names_the_field() {
    type Spoil = fn(&mut Work);
    let server = Server::start(SupervisorLimits::default()).await;
    let cases: [(Field, Spoil); 4] = [
        (Field::Image, |work| work.sources = vec![Bytes::from_static(b"no picture")]),
        (Field::Image, |work| work.sources = vec![png(8, 8).slice(..40)]),
        (Field::Steps, |work| work.request.steps = 0),
        (Field::Guidance, |work| work.request.guidance = f64::NAN),
    ];
    for (field, spoil) in cases {
        let mut work = small();
        spoil(&mut work);
        let Execution::Failed(failure) = server.run(work).await else { panic!("{field}") };
        assert_eq!((failure.kind, failure.field), (FailureKind::BadInput, Some(field)));
        assert!(!failure.message.is_empty());
    }
    assert_eq!(server.processes.processes()[0].restarts, 0);
    done(server.run(small()).await);
}

#[tokio::test]
async fn cancelling_takes_effect_within_a_step() {
    let server = Server::start(SupervisorLimits::default()).await;
    let control = Control::default();
    let running = server.begin(long(), &control).await;
    let asked = Instant::now();
    control.cancel.cancel();
    assert_eq!(running.await.unwrap(), Execution::Cancelled);
    assert!(asked.elapsed() < Duration::from_secs(5), "{:?}", asked.elapsed());

    let control = Control::default();
    let running = server.begin(long(), &control).await;
    control.abandon.cancel();
    assert_eq!(running.await.unwrap(), Execution::HandedBack);

    // Nobody waits any more.
    let running = server.begin(long(), &Control::default()).await;
    running.abort();
    done(server.run(small()).await);
    assert_eq!(server.processes.processes()[0].restarts, 0);
}

#[tokio::test]
async fn a_killed_process_costs_its_job_and_nothing_else() {
    let server = Server::start(SupervisorLimits::default()).await;
    let running = server.begin(long(), &Control::default()).await;
    server.signal("-KILL");
    let Execution::Crashed { message: reason } = running.await.unwrap() else { panic!("crashed") };
    assert!(reason.contains("signal 9"), "{reason}");
    done(server.run(small()).await);
    assert_eq!(server.processes.processes()[0].restarts, 1);
    assert!(server.processes.is_open());

    // Also while it has nothing to do.
    let before = server.pid();
    server.signal("-KILL");
    done(server.run(small()).await);
    assert_ne!(server.pid(), before);
}

#[tokio::test]
async fn a_process_that_gives_no_sign_of_life_is_killed() {
    let server =
        Server::start(SupervisorLimits { silence: Duration::from_millis(800), ..SupervisorLimits::default() }).await;
    let running = server.begin(long(), &Control::default()).await;
    server.signal("-STOP");
    let Execution::Crashed { message: reason } = timeout(PATIENCE, running).await.unwrap().unwrap() else {
        panic!("crashed")
    };
    assert!(reason.contains("no sign of life"), "{reason}");
    done(server.run(small()).await);
}

#[tokio::test]
async fn a_process_that_does_not_stop_is_killed() {
    let limits = SupervisorLimits { cancel: Duration::from_millis(100), ..SupervisorLimits::default() };
    let server = Server::start(limits).await;
    let control = Control::default();
    let running = server.begin(long(), &control).await;
    server.signal("-STOP");
    control.cancel.cancel();
    assert_eq!(timeout(PATIENCE, running).await.unwrap().unwrap(), Execution::Cancelled);
    done(server.run(small()).await);
    assert_eq!(server.processes.processes()[0].restarts, 1);
}

#[tokio::test]
async fn a_process_that_the_system_asks_to_end_hands_its_job_back() {
    let server = Server::start(SupervisorLimits::default()).await;
    let running = server.begin(long(), &Control::default()).await;
    server.signal("-TERM");
    assert_eq!(running.await.unwrap(), Execution::HandedBack);
    done(server.run(small()).await);
}

#[tokio::test]
async fn shutting_down_finishes_what_it_can_and_hands_back_the_rest() {
    let server = Server::start(SupervisorLimits::default()).await;
    let running = server.begin(long(), &Control::default()).await;
    let pid = server.pid();
    let waiting = tokio::spawn({
        let (processes, attempt) = (Arc::clone(&server.processes), server.events.begin(&JobId::random(), 1));
        async move { processes.generate(small(), &Control::default(), attempt).await }
    });
    server.processes.stop(Duration::from_millis(100)).await;
    assert_eq!(running.await.unwrap(), Execution::HandedBack);
    assert_eq!(waiting.await.unwrap(), Execution::HandedBack);
    assert!(matches!(server.processes.processes()[0].state, ProcessState::Stopped));
    assert!(!Command::new("kill").args(["-0", &pid.to_string()]).output().unwrap().status.success());
    assert_eq!(server.run(small()).await, Execution::HandedBack);

    let server = Server::start(SupervisorLimits::default()).await;
    let mut work = long();
    (work.request.steps, work.request.num_images) = (3, 1);
    let running = server.begin(work, &Control::default()).await;
    server.processes.stop(PATIENCE).await;
    done(running.await.unwrap());
}

#[tokio::test]
async fn models_that_cannot_be_opened_are_told_and_tried_again() {
    let options = EngineOptions { base: Some("nowhere".into()), ..EngineOptions::default() };
    let mut command = EngineCommand::this_program(&options, &ChildSettings::default()).unwrap();
    command.program = env!("CARGO_BIN_EXE_afterimage").into();
    let processes = EngineProcesses::start(vec![EngineGroup::unnamed(&command, 1)], SupervisorLimits::default());
    let failure = processes.opened().await.unwrap_err();
    assert!(failure.bad_input && failure.message.contains("nowhere"), "{failure:?}");
    assert!(!processes.is_open());
    until("it is tried again", PATIENCE, async || processes.processes()[0].restarts >= 2).await;

    // A job that waits for it can still be cancelled.
    let control = Control::default();
    control.cancel.cancel();
    let attempt = Events::default().begin(&JobId::random(), 1);
    assert_eq!(processes.generate(small(), &control, attempt).await, Execution::Cancelled);
}
