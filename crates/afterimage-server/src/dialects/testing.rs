//! Jobs as they come out of the store, for tests of what is said about them.

use super::fal;
use afterimage_core::{
    GenerationFacts, GenerationRequest, ModelFacts, OnFlag, OutputFormat, SafetyFacts, Size, Task, Timings,
};
use afterimage_jobs::{
    Failure, FailureKind, Job, JobId, JobResult, JobSpec, JobState, KeyId, OutputSpec, Priority, ResultFile, Timestamp,
};
use serde_json::Value;

/// What the file of each picture of [`checked_job`] holds, where a test reads it.
pub const PICTURE: &[u8] = b"\x89PNG";

/// A job that waits.
pub fn job() -> Job {
    let mut request = GenerationRequest::new(Task::TextToImage);
    request.prompt = Some("a quay".to_owned());
    Job {
        id: JobId::from("b1946ac9-2492-4347-9c6f-235b7d261965"),
        key: KeyId::from("key-1"),
        dialect: fal::DIALECT.to_owned(),
        model: "fal-ai/flux/dev/redux".to_owned(),
        input: Value::Null,
        spec: JobSpec {
            request,
            sources: Vec::new(),
            output: OutputSpec { format: OutputFormat::Png },
            public_url: "http://h".to_owned(),
            rates: None,
            trace: None,
        },
        webhook: None,
        priority: Priority::Normal,
        user: None,
        cost_micros: 12_000,
        input_bytes: 0,
        kept_for: None,
        start_by: None,
        state: JobState::Queued,
        attempt: 0,
        retries: 0,
        unclean_ends: 0,
        cancel_requested: false,
        created_at: Timestamp(1_749_999_990_000),
        started_at: None,
        finished_at: None,
        result: None,
        failure: None,
        quarantined: false,
        deleted: false,
    }
}

/// A job that made a picture for each of `flags`, which checkers gave them under the policy `on_flag`; they could not look
/// at a picture without one.
pub fn checked_job(on_flag: OnFlag, flags: &[Option<bool>]) -> Job {
    let size = Size::new(64, 48);
    let model = ModelFacts {
        name: String::new(),
        native_size: size,
        device: String::new(),
        dtype: String::new(),
        checkers: vec!["test".to_owned()],
    };
    let timings = Timings { total_ms: 1500.0, ..Timings::default() };
    let mut facts = GenerationFacts { timings, ..GenerationFacts::new(7, size, flags.len(), model) };
    let score = |flag: &Option<bool>| flag.map(|flagged| if flagged { 0.9 } else { 0.1 }).into_iter().collect();
    facts.safety = Some(SafetyFacts {
        on_flag,
        scores: flags.iter().map(score).collect(),
        failure: flags.contains(&None).then(|| "test: it broke".to_owned()),
    });
    for (picture, flag) in facts.pictures.iter_mut().zip(flags) {
        picture.flagged = *flag;
    }
    let file = ResultFile {
        blob: "results/x".to_owned(),
        content_type: "image/png".to_owned(),
        bytes: 1234,
        sha256: String::new(),
    };
    let result = JobResult { facts, files: vec![file; flags.len()], run_ms: None };
    Job { state: JobState::Succeeded, result: Some(result), finished_at: Some(Timestamp(1_750_000_000_000)), ..job() }
}

/// A job that made `pictures` that nobody looked at.
pub fn unchecked_job(pictures: usize) -> Job {
    let mut job = checked_job(OnFlag::default(), &vec![None; pictures]);
    if let Some(result) = &mut job.result {
        result.facts.safety = None;
        result.facts.model.checkers.clear();
    }
    job
}

/// A job that failed.
pub fn failed_job(kind: FailureKind) -> Job {
    let failure = Some(Failure::new(kind, "the reason"));
    Job { state: JobState::Failed, failure, finished_at: Some(Timestamp(1_750_000_000_000)), ..job() }
}
