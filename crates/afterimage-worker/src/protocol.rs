//! What server and engine process say to each other.

use afterimage_core::{Error, GenerationRequest, ModelFacts, OutputFormat, Size, Stage, Timings};
use serde::{Deserialize, Serialize};

/// Raised whenever a message changes its meaning. Both sides are the same binary, unless somebody replaced it while the
/// server was running.
pub const PROTOCOL_VERSION: u32 = 2;

/// Tells one job from the next within the life of a process.
pub type Ticket = u64;

/// From the server to the engine process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Make pictures. Attachments: the encoded source pictures.
    Generate {
        /// What later messages call the job.
        ticket: Ticket,
        /// Whose it is, an opaque name; see [`afterimage_engine::Engine::generate_for`].
        tenant: String,
        /// What to make.
        request: GenerationRequest,
        /// File format of the results.
        format: OutputFormat,
        /// Whether somebody watches already.
        previews: bool,
    },
    /// Stop at the next step.
    Cancel {
        /// The job.
        ticket: Ticket,
    },
    /// Previews cost time: they are made only while somebody watches.
    WatchPreviews {
        /// The job.
        ticket: Ticket,
        /// Whether to make them from now on.
        on: bool,
    },
    /// Stop what runs and exit.
    Shutdown,
}

/// From the engine process to the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "snake_case")]
pub enum Report {
    /// The models are open; jobs are welcome.
    Ready {
        /// [`PROTOCOL_VERSION`] of the engine process.
        version: u32,
        /// What it runs.
        model: ModelFacts,
    },
    /// The models cannot be opened; the process exits.
    FailedToOpen {
        /// One line that names the file.
        message: String,
        /// Whether a flag or file is to blame, which trying again does not change.
        bad_input: bool,
    },
    /// The computing thread moves. Not sent when it is stuck.
    Alive {
        /// Signs of progress so far.
        progress: u64,
    },
    /// The job begins. A process that dies before this did not die of the job.
    Started {
        /// The job.
        ticket: Ticket,
    },
    /// A stage begins.
    Stage {
        /// The job.
        ticket: Ticket,
        /// The stage.
        stage: Stage,
    },
    /// `done` of `total` steps are finished.
    Step {
        /// The job.
        ticket: Ticket,
        /// Steps finished.
        done: u32,
        /// Steps in all.
        total: u32,
    },
    /// A small picture of how far it is. Attachment: JPEG.
    Preview {
        /// The job.
        ticket: Ticket,
    },
    /// The job is finished. Attachments: the files.
    Done {
        /// The job.
        ticket: Ticket,
        /// About the files.
        summary: Summary,
    },
    /// The job cannot be done; the process goes on.
    Failed {
        /// The job.
        ticket: Ticket,
        /// Why.
        failure: GenerationFailure,
    },
    /// The job was stopped.
    Cancelled {
        /// The job.
        ticket: Ticket,
    },
}

/// What is known about finished pictures beside their files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The seed that was used, given or drawn.
    pub seed: u64,
    /// Size of each picture.
    pub size: Size,
    /// Transformer steps that ran.
    pub steps_run: u32,
    /// Wall-clock milliseconds of the stages.
    pub timings: Timings,
    /// The source pictures' tokens were known from earlier jobs of the tenant.
    pub image_cached: bool,
    /// The prompt was known from an earlier job of the tenant.
    pub text_cached: bool,
    /// Wall-clock milliseconds of decoding the sources and encoding the files, which `timings` does not include.
    pub files_ms: f64,
    /// What ran.
    pub model: ModelFacts,
}

/// Why a job cannot be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GenerationFailure {
    /// Who is to blame.
    pub kind: FailureKind,
    /// The field of [`GenerationRequest`] (or `image`) that is wrong.
    pub field: Option<String>,
    /// What is wrong and what would be right, without the field's name.
    pub message: String,
}

/// Who is to blame for a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The request or its pictures: the same request fails again.
    Request,
    /// The installed models: the operator has to act.
    Model,
    /// The program or the machine.
    Engine,
}

impl From<Error> for GenerationFailure {
    fn from(error: Error) -> Self {
        let failure = |kind, field: Option<&str>, message| Self { kind, field: field.map(str::to_owned), message };
        match error {
            Error::Field { field, problem } => failure(FailureKind::Request, Some(field), problem),
            Error::Picture { source_name, problem } => {
                let message = if source_name.is_empty() { problem } else { format!("{source_name}: {problem}") };
                failure(FailureKind::Request, Some("image"), message)
            }
            Error::ModelFile { .. } | Error::Tensor { .. } | Error::Device { .. } => {
                failure(FailureKind::Model, None, error.to_string())
            }
            other => failure(FailureKind::Engine, None, other.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
