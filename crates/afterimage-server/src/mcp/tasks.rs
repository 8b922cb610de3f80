//! The tools about tasks that are there already. Somebody else's look like none.

use super::call::ToolCall;
use super::progress::wait_for;
use super::shown::{ShownAs, shown};
use super::tools::{TASK_ID, to_cancel, to_watch};
use crate::cancel::cancel;
use crate::dialects::own_job;
use crate::dialects::wavespeed::{DIALECT, Prediction, predictions};
use crate::http::layers::note_job;
use crate::parameters::{Values, parse};
use crate::refusal::Refusal;
use crate::text::cut;
use afterimage_jobs::{Job, Page};
use rmcp::model::{CallToolResult, ContentBlock};

/// Characters of a prompt that a list shows.
const SHOWN_PROMPT: usize = 80;

async fn named(call: &ToolCall<'_>, values: &Values) -> Result<Job, Refusal> {
    own_job(call.parts.store.as_ref(), call.key, DIALECT, "task", values.text(TASK_ID).unwrap_or_default()).await
}

/// Waits for the end of a task as long as the client of `call` wants, and shows it.
///
/// # Errors
/// [`Refusal::Field`] for an argument that cannot be used; [`Refusal::NotFound`] and [`Refusal::Gone`]; those of the store.
pub async fn watch(mut call: ToolCall<'_>) -> Result<CallToolResult, Refusal> {
    let values = parse(&to_watch(), &call.arguments.object)?;
    let job = named(&call, &values).await?;
    note_job(job.id.as_str());
    let wait = call.patience(&values);
    let job = wait_for(&call.parts.sync.follower, &job.id, wait, call.teller.as_mut()).await?;
    shown(call.parts, &job, &call.base(), ShownAs::of(&values)).await
}

/// Cancels a task.
///
/// # Errors
/// As [`watch`].
pub async fn stop(call: &ToolCall<'_>) -> Result<CallToolResult, Refusal> {
    let values = parse(&to_cancel(), &call.arguments.object)?;
    let job = named(call, &values).await?;
    note_job(job.id.as_str());
    let follower = &call.parts.sync.follower;
    cancel(follower.store.as_ref(), &follower.hints, call.key, &job.id).await?;
    shown(call.parts, &named(call, &values).await?, &call.base(), ShownAs::Links).await
}

/// Lists tasks.
///
/// # Errors
/// [`Refusal::Field`] for an argument that cannot be used; those of the store.
pub async fn list(call: &ToolCall<'_>) -> Result<CallToolResult, Refusal> {
    let filter = predictions::filter(&call.arguments.object)?;
    let page = call.parts.store.list(&call.key.id, &filter).await?;
    let lines: Vec<String> = page.jobs.iter().map(|job| line(call, job)).collect();
    Ok(CallToolResult::success(vec![ContentBlock::text(headline(&page, filter.page) + &lines.concat())]))
}

fn headline(page: &Page, number: u32) -> String {
    match page.total {
        0 => "There are no such tasks.".to_owned(),
        1 => "There is 1 task:".to_owned(),
        total if page.jobs.len() as u64 == total => format!("There are {total} tasks, newest first:"),
        total => format!("There are {total} tasks; page {number}, newest first:"),
    }
}

fn line(call: &ToolCall<'_>, job: &Job) -> String {
    let task = Prediction::new(job, &job.spec.public_url, &call.parts.results.links);
    // Tools find those of this dialect only.
    let elsewhere = if job.dialect == DIALECT { "" } else { " (through another API)" };
    let prompt = job.spec.request.prompt.as_deref().unwrap_or_default();
    let prompt = prompt.split_whitespace().collect::<Vec<_>>().join(" ");
    let prompt = if prompt.is_empty() { prompt } else { format!(", {:?}", cut(&prompt, SHOWN_PROMPT)) };
    format!("\n{}: {}, {}, {}{elsewhere}{prompt}", task.id, task.status, task.model, task.created_at)
}
