//! `images/edits` with `stream`: previews, then the result, as server-sent events.

use super::error::{ErrorFacts, Failed, HandlerError};
use super::output::created;
use super::run::{form_field_name, not_done, shown_result};
use crate::files::ResultFiles;
use crate::follow::{FollowedJob, JobUpdate, SyncRunner, event_stream};
use crate::intake::RequestPicture;
use crate::refusal::Refusal;
use crate::submit::Submission;
use afterimage_core::{OutputFormat, PictureLimits, Size};
use afterimage_imaging::{OutputMetadata, decode, encode};
use afterimage_jobs::progress::Event as Progress;
use afterimage_jobs::{ApiKey, Clock, Job, SystemClock};
use axum::response::Response;
use axum::response::sse::Event;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::stream::unfold;
use serde::Serialize;
use utoipa::ToSchema;

/// An event of a stream. Its name is the same as its `type`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenAiStreamEvent)]
#[serde(tag = "type")]
pub enum StreamEvent {
    /// What the result will be about like; smaller than it.
    #[serde(rename = "image_edit.partial_image")]
    Partial {
        /// The preview.
        #[serde(flatten)]
        image: StreamedImage,
        /// How many came before.
        partial_image_index: u32,
    },
    /// The result. Nothing comes after it.
    #[serde(rename = "image_edit.completed")]
    Completed {
        /// The result.
        #[serde(flatten)]
        image: StreamedImage,
        /// Always zero.
        usage: Usage,
    },
    /// Why there is no result. Nothing comes after it.
    #[serde(rename = "error")]
    Failed {
        /// What is wrong.
        error: ErrorFacts,
    },
}

/// A picture of a stream.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenAiStreamedImage)]
pub struct StreamedImage {
    /// The file in base64.
    pub b64_json: String,
    /// When it was made, in seconds since 1970.
    pub created_at: i64,
    /// Pixels of the result, `WIDTHxHEIGHT`; `auto` until they are known.
    pub size: String,
    /// `auto`: the number of steps decides.
    pub quality: &'static str,
    /// `opaque`.
    pub background: &'static str,
    /// `png` or `jpeg`.
    pub output_format: &'static str,
}

/// What the service would charge for. Here a request's price does not depend on tokens, so all are zero.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = OpenAiUsage)]
pub struct Usage {
    /// Of picture and prompt.
    pub input_tokens: u64,
    /// The same apart.
    pub input_tokens_details: UsageDetails,
    /// Of the result.
    pub output_tokens: u64,
    /// Of both.
    pub total_tokens: u64,
}

/// Tokens by kind.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = OpenAiUsageDetails)]
pub struct UsageDetails {
    /// Of the picture.
    pub image_tokens: u64,
    /// Of the prompt.
    pub text_tokens: u64,
}

impl StreamEvent {
    const fn name(&self) -> &'static str {
        match self {
            Self::Partial { .. } => "image_edit.partial_image",
            Self::Completed { .. } => "image_edit.completed",
            Self::Failed { .. } => "error",
        }
    }

    /// As it is sent. The SDKs go by the data alone: an object with `error` is raised, and nothing is repeated.
    fn sent(&self) -> Event {
        let event = Event::default().event(self.name());
        event.json_data(self).unwrap_or_else(|_| Event::default().comment("an event was lost"))
    }
}

/// A stream whose last event has not been sent.
struct EditStream {
    sync: SyncRunner,
    files: ResultFiles,
    key: ApiKey,
    following: FollowedJob,
    format: OutputFormat,
    size: Option<Size>,
    /// Previews to send at most.
    wanted: u32,
    sent: u32,
    /// Steps done, and in all.
    steps: (u32, u32),
}

/// Queues `submission` and streams up to `wanted` previews and the result. For clients that hang up see [`FollowedJob`].
///
/// # Errors
/// What can be refused before the stream begins.
pub async fn stream(
    sync: &SyncRunner,
    files: &ResultFiles,
    key: &ApiKey,
    submission: Submission,
    wanted: u32,
) -> Result<Response, HandlerError> {
    let format = submission.format;
    let size = submission.pictures.first().and_then(RequestPicture::size);
    let following = sync.follow(key, submission, form_field_name, wanted > 0).await?;
    let (sync, files, key) = (sync.clone(), files.clone(), key.clone());
    let start = EditStream { sync, files, key, following, format, size, wanted, sent: 0, steps: (0, 0) };
    Ok(event_stream(unfold(Some(start), |events| async {
        let mut events = events?;
        let job = match events.next().await {
            Ok(Next::Preview(event)) => return Some((event.sent(), Some(events))),
            Ok(Next::Over(job)) => Ok(job),
            Err(refusal) => Err(refusal),
        };
        Some((events.end(job).await.sent(), None))
    })))
}

/// What a stream does next.
enum Next {
    /// Sends a preview.
    Preview(StreamEvent),
    /// Sends its last event.
    Over(Box<Job>),
}

impl EditStream {
    async fn next(&mut self) -> Result<Next, Refusal> {
        loop {
            let progress = match self.following.next().await? {
                JobUpdate::Progress(progress) => progress,
                JobUpdate::Over(job) => return Ok(Next::Over(job)),
            };
            match progress {
                Progress::Step { done, total } => self.steps = (done, total),
                Progress::Stage(_) => {}
                Progress::Preview(jpeg) => {
                    if is_due(self.sent, self.wanted, self.steps)
                        && let Some(bytes) = encoded(jpeg, self.format).await
                    {
                        let partial_image_index = self.sent;
                        self.sent += 1;
                        if self.sent == self.wanted {
                            self.following.without_previews();
                        }
                        let size = self.size.map_or_else(|| "auto".to_owned(), |size| rounded(size).to_string());
                        let image = streamed(&bytes, SystemClock.now().unix_seconds(), size, self.format);
                        return Ok(Next::Preview(StreamEvent::Partial { image, partial_image_index }));
                    }
                }
            }
        }
    }

    /// The last event, about a job that is over or cannot be read.
    async fn end(&self, job: Result<Box<Job>, Refusal>) -> StreamEvent {
        let outcome = match job {
            Ok(job) if !job.state.is_terminal() => {
                Err(not_done(&self.sync, &self.key, &job, self.following.is_repeatable()).await)
            }
            Ok(job) => match Failed::of_job(&job, form_field_name) {
                None => completed(&self.files, &job, self.format).await.map_err(Failed::from),
                Some(failed) => Err(failed),
            },
            Err(refusal) => Err(Failed::from_refusal(&refusal)),
        };
        outcome.unwrap_or_else(|failed| StreamEvent::Failed { error: failed.facts() })
    }
}

async fn completed(files: &ResultFiles, job: &Job, format: OutputFormat) -> Result<StreamEvent, HandlerError> {
    let (facts, file) = shown_result(job)?.pictures().next().ok_or(Refusal::Internal)?;
    let bytes = files.read(file).await?;
    let size = facts.size.to_string();
    Ok(StreamEvent::Completed { image: streamed(&bytes, created(job), size, format), usage: Usage::default() })
}

fn streamed(bytes: &[u8], created_at: i64, size: String, format: OutputFormat) -> StreamedImage {
    StreamedImage {
        b64_json: STANDARD.encode(bytes),
        created_at,
        size,
        quality: "auto",
        background: "opaque",
        output_format: match format {
            OutputFormat::Png => "png",
            OutputFormat::Jpeg => "jpeg",
        },
    }
}

/// The result's size for a picture of `size`.
const fn rounded(size: Size) -> Size {
    Size::new(size.width / 16 * 16, size.height / 16 * 16)
}

/// Whether another preview fits after `sent` of `wanted`: they are spread evenly over the steps, the first one as soon
/// as there is one.
const fn is_due(sent: u32, wanted: u32, (done, total): (u32, u32)) -> bool {
    sent < wanted && done as u64 * wanted as u64 >= sent as u64 * total as u64
}

/// A preview, which is a JPEG, in the format of the result; `None` for one that cannot be had, which is left out.
async fn encoded(jpeg: Bytes, format: OutputFormat) -> Option<Bytes> {
    if format == OutputFormat::Jpeg {
        return Some(jpeg);
    }
    let encoded = tokio::task::spawn_blocking(move || {
        let picture = decode(&jpeg, "preview", &PictureLimits::default())?;
        encode(&picture, OutputFormat::Png, &OutputMetadata::minimal())
    });
    encoded.await.ok()?.ok().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::testing::{PICTURE, checked_job};
    use crate::files::{FileLinks, Signer};
    use afterimage_core::OnFlag;
    use afterimage_jobs::Blobs;
    use serde_json::json;
    use std::time::Duration;

    #[test]
    fn previews_are_spread_over_the_steps() {
        let sent = |wanted: u32| {
            let mut sent = 0;
            (1..12)
                .filter(|&done| {
                    is_due(sent, wanted, (done, 12)) && {
                        sent += 1;
                        true
                    }
                })
                .collect::<Vec<u32>>()
        };
        assert_eq!(sent(0), [0; 0]);
        assert_eq!(sent(1), [1]);
        assert_eq!(sent(2), [1, 6]);
        assert_eq!(sent(3), [1, 4, 8]);
        assert!(!is_due(3, 3, (12, 12)));
    }

    #[test]
    fn events_are_flat_and_named() {
        let image = || streamed(b"x", 7, "512x256".to_owned(), OutputFormat::Png);
        let preview = StreamEvent::Partial { image: image(), partial_image_index: 2 };
        assert_eq!(
            serde_json::to_value(&preview).unwrap(),
            json!({
                "type": preview.name(), "b64_json": "eA==", "created_at": 7, "size": "512x256", "quality": "auto",
                "background": "opaque", "output_format": "png", "partial_image_index": 2,
            })
        );
        let last = StreamEvent::Completed { image: image(), usage: Usage::default() };
        let value = serde_json::to_value(&last).unwrap();
        assert_eq!((value["type"].as_str(), &value["usage"]["total_tokens"]), (Some(last.name()), &json!(0)));
        let failed = StreamEvent::Failed { error: Failed::from_refusal(&Refusal::Internal).facts() };
        let value = serde_json::to_value(&failed).unwrap();
        assert_eq!((value["type"].as_str(), &value["error"]["type"]), (Some(failed.name()), &json!("server_error")));
    }

    #[tokio::test]
    async fn a_preview_has_the_format_of_the_result() {
        let picture = afterimage_core::Picture::from_rgb(2, 1, vec![0; 6]).unwrap();
        let jpeg = Bytes::from(encode(&picture, OutputFormat::Jpeg, &OutputMetadata::new("{}")).unwrap());
        assert_eq!(encoded(jpeg.clone(), OutputFormat::Jpeg).await.unwrap(), jpeg);
        assert!(encoded(jpeg, OutputFormat::Png).await.unwrap().starts_with(b"\x89PNG"));
        assert_eq!(encoded(Bytes::from_static(b"x"), OutputFormat::Png).await, None);
    }

    #[tokio::test]
    async fn a_picture_that_is_withheld_ends_the_stream_with_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::local(folder.path()).unwrap();
        blobs.put("results/x", Bytes::from_static(PICTURE)).await.unwrap();
        let files = ResultFiles { links: FileLinks::new(Signer::new([1; 32]), Duration::from_hours(1)), blobs };
        for (on_flag, flagged, is_shown) in [
            (OnFlag::Withhold, true, false),
            (OnFlag::Blur, true, false),
            (OnFlag::Keep, true, true),
            (OnFlag::Withhold, false, true),
        ] {
            let made = completed(&files, &checked_job(on_flag, &[Some(flagged)]), OutputFormat::Png).await;
            assert_eq!(made.is_ok(), is_shown, "{on_flag:?}, {flagged}");
            let Err(error) = made else { continue };
            let event = json!(StreamEvent::Failed { error: Failed::from(error).facts() });
            assert_eq!(
                (&event["type"], &event["error"]["code"], &event["error"]["param"]),
                (&json!("error"), &json!("moderation_blocked"), &json!(null))
            );
        }
    }
}
