//! Tasks as a tool's answer shows them: a line of text, links, and the pictures themselves.

use super::progress::standing;
use super::tools::PICTURES;
use crate::dialects::DialectParts;
use crate::dialects::wavespeed::Prediction;
use crate::files::ResultFiles;
use crate::parameters::Values;
use crate::refusal::Refusal;
use afterimage_jobs::{Job, JobResult, JobState};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rmcp::model::{CallToolResult, ContentBlock};
use std::fmt::Write;

/// Bytes of pictures, together, that are put into an answer; assistants refuse larger ones.
const CONTENT_BYTES: u64 = 4_000_000;

/// How results are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShownAs {
    /// The pictures themselves.
    Content,
    /// Links to them.
    Links,
    /// Both.
    Both,
}

impl ShownAs {
    /// As `values` say.
    pub fn of(values: &Values) -> Self {
        match values.text(PICTURES) {
            Some("content") => Self::Content,
            Some("links") => Self::Links,
            _ => Self::Both,
        }
    }
}

/// `job` as the answer to a client that reaches this server under `base`.
///
/// # Errors
/// Those of the store, and of reading the pictures.
pub async fn shown(parts: &DialectParts, job: &Job, base: &str, delivery: ShownAs) -> Result<CallToolResult, Refusal> {
    let task = Prediction::new(job, base, &parts.results.links);
    let text = match job.state {
        JobState::Succeeded => {
            let Some(result) = &job.result else { return Err(Refusal::Internal) };
            return completed(&parts.results, result, &task, delivery).await;
        }
        JobState::Failed => {
            let text = format!("Task {} failed: {}", task.id, task.error);
            return Ok(CallToolResult::error(vec![ContentBlock::text(text)]));
        }
        JobState::Cancelled => format!("Task {} was cancelled.", task.id),
        JobState::Queued | JobState::Running => {
            let standing = standing(&parts.sync.follower, job).await?;
            format!("Task {} {standing}. watch_task with this task_id waits for its end.", task.id)
        }
    };
    Ok(CallToolResult::success(vec![ContentBlock::text(text)]))
}

async fn completed(
    files: &ResultFiles,
    result: &JobResult,
    task: &Prediction,
    delivery: ShownAs,
) -> Result<CallToolResult, Refusal> {
    let mut text = headline(result, task);
    let fits = result.bytes() <= CONTENT_BYTES;
    if delivery != ShownAs::Links && !fits {
        let _ = write!(text, "\nThey are too large to be shown here, {} bytes; open the links.", result.bytes());
    }
    if delivery != ShownAs::Content || !fits {
        for (index, link) in task.outputs.iter().enumerate() {
            let _ = write!(text, "\nPicture {}: {link}", index + 1);
        }
    }
    let mut content = vec![ContentBlock::text(text)];
    if delivery != ShownAs::Links && fits {
        for file in &result.files {
            content.push(ContentBlock::image(STANDARD.encode(files.read(file).await?), &file.content_type));
        }
    }
    Ok(CallToolResult::success(content))
}

fn headline(result: &JobResult, task: &Prediction) -> String {
    let (facts, count) = (&result.facts, result.files.len());
    let pictures = if count == 1 { "picture" } else { "pictures" };
    let size = facts.pictures.first().map_or(facts.size, |picture| picture.size);
    let seconds = task.execution_time as f64 / 1e3;
    let flagged = flagged(result, &task.has_nsfw_contents);
    format!(
        "Task {} is completed: {count} {pictures} of {size}, seed {}, {seconds:.1} s, {flagged}.",
        task.id, facts.seed
    )
}

/// What safety checkers said. What nobody looked at is not called unflagged.
fn flagged(result: &JobResult, flags: &[bool]) -> String {
    let numbers = flags.iter().enumerate().filter(|(_, flag)| **flag).map(|(index, _)| (index + 1).to_string());
    let numbers: Vec<String> = numbers.collect();
    if numbers.is_empty() {
        let is_checked = result.facts.safety.is_some() && !flags.is_empty();
        return if is_checked { "none flagged" } else { "not checked for safety" }.to_owned();
    }
    let is_hidden = (0..flags.len()).any(|index| result.facts.is_hidden(index));
    let hidden = if is_hidden { " and withheld" } else { "" };
    format!("flagged by the safety checker{hidden}: {}", numbers.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::testing::{PICTURE, checked_job, unchecked_job};
    use crate::files::{FileLinks, Signer};
    use afterimage_core::OnFlag;
    use afterimage_jobs::Blobs;
    use std::time::Duration;

    fn text_of(job: &Job) -> String {
        let links = FileLinks::new(Signer::new([1; 32]), Duration::from_hours(1));
        headline(job.result.as_ref().unwrap(), &Prediction::new(job, "http://h", &links))
    }

    #[test]
    fn flags_are_told_after_a_check_only() {
        let text = text_of(&checked_job(OnFlag::Withhold, &[Some(false), Some(true), Some(true)]));
        assert!(text.contains("3 pictures of 64x48, seed 7, ") && text.ends_with("and withheld: 2, 3."), "{text}");
        let text = text_of(&checked_job(OnFlag::Keep, &[Some(true)]));
        assert!(text.contains("1 picture of") && text.ends_with("flagged by the safety checker: 1."), "{text}");
        assert!(text_of(&checked_job(OnFlag::Withhold, &[Some(false)])).ends_with(", none flagged."));
        for job in [checked_job(OnFlag::Withhold, &[Some(false), None]), unchecked_job(2)] {
            assert!(text_of(&job).ends_with(", not checked for safety."));
        }
        let mut without = unchecked_job(1);
        without.spec.request.check_safety = false;
        assert!(text_of(&without).ends_with(", not checked for safety."));
    }

    #[tokio::test]
    async fn pictures_come_as_they_are_wanted_and_large_ones_by_links() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(folder.path()).unwrap();
        blobs.put("results/x", PICTURE.into()).await.unwrap();
        let links = FileLinks::new(Signer::new([1; 32]), Duration::from_hours(1));
        let files = ResultFiles { links, blobs };
        let mut job = checked_job(OnFlag::Withhold, &[Some(false), Some(false)]);
        for (delivery, bytes, images, has_links) in [
            (ShownAs::Both, 4, 2, true),
            (ShownAs::Content, 4, 2, false),
            (ShownAs::Links, 4, 0, true),
            (ShownAs::Both, CONTENT_BYTES, 0, true),
            (ShownAs::Content, CONTENT_BYTES, 0, true),
        ] {
            let result = job.result.as_mut().unwrap();
            result.files.iter_mut().for_each(|file| file.bytes = bytes);
            let task = Prediction::new(&job, "http://h", &files.links);
            let shown = completed(&files, job.result.as_ref().unwrap(), &task, delivery).await.unwrap();
            let text = &shown.content[0].as_text().unwrap().text;
            assert_eq!(text.matches("http://h/media/results/").count(), if has_links { 2 } else { 0 }, "{text}");
            assert_eq!(text.contains("too large"), bytes > 4 && delivery != ShownAs::Links, "{text}");
            let shown: Vec<_> = shown.content.iter().filter_map(ContentBlock::as_image).collect();
            assert_eq!(shown.len(), images);
            assert!(shown.iter().all(|it| it.mime_type == "image/png" && it.data == STANDARD.encode(PICTURE)));
        }
    }
}
