//! The tools that make pictures: tasks of the `WaveSpeed` dialect, by the same way as its own requests.

use super::call::ToolCall;
use super::message::ToolArguments;
use super::progress::wait_for;
use super::shown::{ShownAs, shown};
use super::tools::{settings, to_make};
use crate::dialects::wavespeed::{CheckedFields, submission_of};
use crate::dialects::{Model, field_name};
use crate::follow::CancelOnDrop;
use crate::http::idempotency;
use crate::http::layers::note_job;
use crate::parameters::parse;
use crate::refusal::Refusal;
use crate::submit::submit;
use afterimage_jobs::Idempotency;
use axum::http::request::Parts;
use rmcp::model::CallToolResult;

/// Has `model` make what `call` asks for, and waits for it as long as its client wants. A client that hangs up meanwhile
/// cancels it, see [`CancelOnDrop`].
///
/// # Errors
/// [`Refusal::Field`] for an argument that cannot be used; those of submitting and waiting.
pub async fn make(mut call: ToolCall<'_>, model: &'static Model) -> Result<CallToolResult, Refusal> {
    let (intake, sync, base) = (&call.parts.intake, &call.parts.sync, call.base());
    let ToolArguments { object, body } = &call.arguments;
    let values = parse(&to_make(model), object)?;
    let (wait, delivery) = (call.patience(&values), ShownAs::of(&values));
    let fields = CheckedFields { model, parameters: &settings(model), object, values: &values, body };
    let mut submission = submission_of(intake, &call.key.id, &fields, base.clone()).await?;
    submission.idempotency = repetition(call.head, model, &call.arguments)?;
    // Who waits keeps nothing of what was sent.
    drop((std::mem::take(&mut call.arguments), values));
    let is_repeatable = submission.idempotency.is_some();
    let job = submit(&sync.submitter, call.key, submission, field_name).await?.into_job();
    note_job(job.id.as_str());
    let guard = CancelOnDrop::new(&sync.follower, call.key, &job.id, is_repeatable);
    if let Some(teller) = &mut call.teller {
        // A stream begins with it, which then lives as long as the task takes.
        teller.tell(0, format!("task {}", job.id)).await;
    }
    let job = wait_for(&sync.follower, &job.id, wait, call.teller.as_mut()).await?;
    guard.disarm();
    shown(call.parts, &job, &base, delivery).await
}

/// What tells a repeated call from a new one: the header `Idempotency-Key`, and what it is asked for. The id of the message
/// is another one in every try.
fn repetition(head: &Parts, model: &Model, arguments: &ToolArguments) -> Result<Option<Idempotency>, Refusal> {
    if !head.headers.contains_key("idempotency-key") {
        return Ok(None);
    }
    let asked = serde_json::to_vec(&(model.id, &arguments.object)).map_err(|_| Refusal::Internal)?;
    idempotency(&head.headers, &head.uri, &asked)
}
