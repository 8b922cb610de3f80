//! This dialect's word for jobs: tasks, and how they are shown.

use super::DIALECT;
use super::prediction::Prediction;
use crate::dialects::own_job;
use crate::files::ResultFiles;
use crate::refusal::Refusal;
use afterimage_jobs::{ApiKey, Job, Store};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

/// `job` as this dialect shows it, with the results themselves where base64 was asked for.
pub async fn render(files: &ResultFiles, job: &Job, base: &str) -> Result<Prediction, Refusal> {
    let mut prediction = Prediction::new(job, base, &files.links);
    let inline = job.input.get("enable_base64_output").and_then(Value::as_bool) == Some(true);
    if let Some(result) = job.result.as_ref().filter(|_| inline) {
        prediction.outputs.clear();
        for file in &result.files {
            prediction.outputs.push(STANDARD.encode(files.read(file).await?));
        }
    }
    Ok(prediction)
}

/// The task `id` of `key`.
pub async fn own_task(store: &dyn Store, key: &ApiKey, id: &str) -> Result<Job, Refusal> {
    own_job(store, key, DIALECT, "prediction", id).await
}
