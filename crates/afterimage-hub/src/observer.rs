//! Who watches a transfer.

use crate::file_path::FilePath;
use crate::licence::Licence;
use crate::repository_name::RepositoryName;
use std::time::Duration;

/// Is told how a transfer goes, and may end it.
pub trait PullObserver {
    /// The licence under which `repository` is fetched.
    fn licence(&self, _repository: &RepositoryName, _licence: &Licence) {}
    /// `files` files of `bytes` bytes in all are missing and will be fetched.
    fn planned(&self, _repository: &RepositoryName, _files: usize, _bytes: u64) {}
    /// `bytes` more are there: received, or found from an earlier try.
    fn advanced(&self, _bytes: u64) {}
    /// `bytes` that were counted have to be fetched once more.
    fn lost(&self, _bytes: u64) {}
    /// `file` of `bytes` bytes is complete and has its checksum.
    fn finished(&self, _file: &FilePath, _bytes: u64) {}
    /// Something failed that is tried once more after `pause`.
    fn trying_again(&self, _problem: &str, _pause: Duration) {}
    /// Whether to stop.
    fn is_cancelled(&self) -> bool {
        false
    }
}

/// Nobody.
impl PullObserver for () {}
