//! Engines that make no pictures: each prompt says what checkers are to have said about them. So one request can have one
//! flagged picture among four, or a checker that breaks.

use afterimage_core::{GenerationFacts, ModelFacts, OnFlag, SafetyFacts, Size, Timings};
use afterimage_jobs::progress::Events;
use afterimage_jobs::worker::{
    Control, EngineStatus, Engines, Execution, Executor, Produced, StartEngines, UnusableEngine,
};
use afterimage_jobs::{Blobs, Failure, FailureKind, Job, UNNAMED};
use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// What the engine is to say. As JSON it is a prompt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Script {
    /// For each picture; `None`: the checker broke.
    pub flags: Vec<Option<bool>>,
    /// The policy.
    pub on_flag: OnFlag,
    /// Whether requests cannot go without the check, and fail when it breaks.
    pub required: bool,
    /// Whether the input is looked at and flagged.
    pub rejects_input: bool,
}

impl Script {
    pub fn new(on_flag: OnFlag, flags: &[Option<bool>]) -> Self {
        Self { flags: flags.to_vec(), on_flag, required: false, rejects_input: false }
    }

    pub fn prompt(&self) -> String {
        serde_json::to_string(self).unwrap()
    }
}

/// Pictures of the engine have this size in what is told of them.
pub const SIZE: Size = Size::new(64, 48);

/// What stands in the file of a picture that can be seen.
pub const SEEN: &[u8] = b"seen";

/// What stands in the file of one that is withheld.
pub const HIDDEN: &[u8] = b"hidden";

/// The engines, and how many jobs they ran.
#[derive(Clone, Debug, Default)]
pub struct Scripted {
    ran: Arc<AtomicUsize>,
}

impl Scripted {
    /// Jobs that were run.
    pub fn ran(&self) -> usize {
        self.ran.load(Ordering::SeqCst)
    }
}

impl StartEngines for Scripted {
    fn start(&self, _: usize) -> Arc<dyn Engines> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl Engines for Scripted {
    fn executor(self: Arc<Self>, _: Blobs, _: Events) -> Arc<dyn Executor> {
        self
    }

    fn statuses(&self) -> Vec<EngineStatus> {
        let engine = EngineStatus {
            model: "default".to_owned(),
            device: "none".to_owned(),
            queues: UNNAMED.to_vec(),
            is_open: true,
            is_given_up: false,
            restarts: 0,
            checkers: vec!["scripted".to_owned()],
            memory: None,
        };
        vec![engine; 2]
    }

    async fn unusable(&self) -> UnusableEngine {
        std::future::pending().await
    }

    async fn shut_down(&self, _: Duration) {}
}

#[async_trait]
impl Executor for Scripted {
    async fn execute(&self, job: &Job, _: &Control) -> Execution {
        self.ran.fetch_add(1, Ordering::SeqCst);
        let request = &job.spec.request;
        let script: Script = serde_json::from_str(request.prompt.as_deref().unwrap()).unwrap();
        assert_eq!(script.flags.len(), request.num_images as usize);
        if script.rejects_input {
            let message = "rejected by the safety checker";
            return Execution::Failed(Failure::about_image(FailureKind::ContentRejected, message));
        }
        if script.required && script.flags.contains(&None) {
            return Execution::Failed(Failure::new(FailureKind::SafetyChecker, "the safety checker failed"));
        }
        let facts = facts(&script, request.check_safety || script.required);
        let file = |index| Bytes::from_static(if facts.is_hidden(index) { HIDDEN } else { SEEN });
        let files = (0..script.flags.len()).map(file).collect();
        Execution::Succeeded(Box::new(Produced { facts, files }))
    }
}

fn facts(script: &Script, checked: bool) -> GenerationFacts {
    let model = ModelFacts {
        name: "scripted".to_owned(),
        native_size: SIZE,
        device: "none".to_owned(),
        dtype: "none".to_owned(),
        checkers: vec!["scripted".to_owned()],
    };
    let timings = Timings { safety_ms: if checked { 0.5 } else { 0.0 }, total_ms: 1.0, ..Timings::default() };
    let mut facts = GenerationFacts { timings, ..GenerationFacts::new(7, SIZE, script.flags.len(), model) };
    if checked {
        let score = |flag: &Option<bool>| flag.map(|flagged| if flagged { 0.875 } else { 0.125 }).into_iter().collect();
        facts.safety = Some(SafetyFacts {
            on_flag: script.on_flag,
            scores: script.flags.iter().map(score).collect(),
            failure: script.flags.contains(&None).then(|| "scripted: it broke".to_owned()),
        });
        for (picture, flag) in facts.pictures.iter_mut().zip(&script.flags) {
            picture.flagged = *flag;
        }
    }
    facts
}
