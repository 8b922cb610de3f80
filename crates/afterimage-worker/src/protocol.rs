//! What server and engine process say to each other.

use afterimage_core::{GenerationFacts, GenerationRequest, ModelFacts, OutputFormat, Stage};
use afterimage_jobs::Failure;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Raised whenever a message changes its meaning. Both sides are the same binary, unless somebody replaced it while the
/// server was running.
pub const PROTOCOL_VERSION: u32 = 7;

/// Tells one job from the next within the life of a process.
pub type JobNumber = u64;

/// What an engine process is to do, on both sides of the pipe.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Work {
    /// Whose it is, an opaque name: what one tenant's jobs encoded is not used for another's.
    pub tenant: String,
    /// What to make.
    pub request: GenerationRequest,
    /// File format of the results.
    pub format: OutputFormat,
    /// The source pictures as encoded files. They cross the pipe as attachments.
    #[serde(skip)]
    pub sources: Vec<Bytes>,
}

/// From the server to the engine process.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Make pictures. Attachments: [`Work::sources`].
    Generate {
        /// What later messages call the job.
        ticket: JobNumber,
        /// What to do.
        work: Box<Work>,
        /// Whether somebody watches already.
        previews: bool,
    },
    /// Stop at the next step.
    Cancel {
        /// The job.
        ticket: JobNumber,
    },
    /// Previews cost time: they are made only while somebody watches.
    WatchPreviews {
        /// The job.
        ticket: JobNumber,
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
        /// What becomes of its networks' memory, for people.
        memory: String,
    },
    /// The models cannot be opened; the process exits.
    FailedToOpen {
        /// One line that names the file.
        message: String,
        /// Whether a flag or file is to blame, which trying again does not change.
        bad_input: bool,
    },
    /// The device failed so that nothing works in this process any more; it exits, and another may try.
    DeviceLost {
        /// One line that names the device.
        message: String,
    },
    /// The computing thread moves. Not sent when it is stuck.
    Alive {
        /// Signs of progress so far.
        progress: u64,
    },
    /// The job begins. A process that dies before this did not die of the job.
    Started {
        /// The job.
        ticket: JobNumber,
    },
    /// A stage begins.
    Stage {
        /// The job.
        ticket: JobNumber,
        /// The stage.
        stage: Stage,
    },
    /// `done` of `total` steps are finished.
    Step {
        /// The job.
        ticket: JobNumber,
        /// Steps finished.
        done: u32,
        /// Steps in all.
        total: u32,
    },
    /// A small picture of how far it is. Attachment: JPEG.
    Preview {
        /// The job.
        ticket: JobNumber,
    },
    /// The job is finished. Attachments: the files.
    Done {
        /// The job.
        ticket: JobNumber,
        /// About the pictures in them.
        facts: Box<GenerationFacts>,
    },
    /// The job cannot be done; the process goes on.
    Failed {
        /// The job.
        ticket: JobNumber,
        /// Why.
        failure: Failure,
    },
    /// The job was stopped.
    Cancelled {
        /// The job.
        ticket: JobNumber,
    },
}

#[cfg(test)]
mod tests;
