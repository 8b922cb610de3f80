//! Weights from the Hugging Face hub.
//!
//! Files are fetched into the cache that Python's `huggingface_hub` uses, in its layout, so that either finds what the
//! other fetched. Nothing has its final name before its length and checksum are what the hub says. This crate knows
//! nothing of tensors and command lines.

mod cache;
mod cached;
mod catalogue;
mod checksum;
mod client;
mod environment;
mod error;
mod facts;
mod file_path;
mod known;
mod licence;
mod listing;
mod observer;
mod partial;
mod pull;
mod reference;
mod refusal;
mod repository_name;
mod room;
mod selection;
mod token;
mod transfer;

pub use cache::HubCache;
pub use cached::{CachedRepository, DamagedFile, Verified};
pub use client::{HubClient, TransferPatience};
pub use environment::HubEnvironment;
pub use error::HubError;
pub use file_path::FilePath;
pub use known::{KnownModel, ModelPart, ModelRole};
pub use licence::Licence;
pub use observer::PullObserver;
pub use pull::{PullRequest, Pulled, pull};
pub use reference::HubReference;
pub use repository_name::{RepositoryName, Revision};
pub use room::gigabytes;
pub use token::AccessToken;

pub use catalogue::KNOWN_MODELS;
