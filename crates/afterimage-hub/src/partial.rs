//! A file that arrives: written, added up, and given its name when it is what it should be.

use crate::cache::create_parent;
use crate::checksum::RunningChecksum;
use crate::error::HubError;
use crate::facts::FileFacts;
use crate::observer::PullObserver;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Bytes that are read at once.
const BLOCK: usize = 4 << 20;

/// The first part of a file.
pub(crate) struct PartialFile {
    path: PathBuf,
    file: File,
    length: u64,
    checksum: RunningChecksum,
    facts: FileFacts,
}

impl PartialFile {
    /// Opens `path`, and adds up what an earlier try left there.
    pub async fn open(path: PathBuf, facts: FileFacts, observer: &dyn PullObserver) -> Result<Self, HubError> {
        create_parent(&path)?;
        let opened = File::options().create(true).truncate(false).read(true).write(true).open(&path);
        let file = opened.map_err(|error| HubError::io(&path, error))?;
        let mut partial = Self { path, file, length: 0, checksum: facts.checksum.begin(facts.size), facts };
        let found = partial.file.metadata().map_err(|error| partial.failed(error))?.len();
        if found > facts.size {
            partial.restart(observer)?;
            return Ok(partial);
        }
        let mut block = vec![0; BLOCK.min(found as usize)];
        while partial.length < found {
            let read = partial.file.read(&mut block).map_err(|error| partial.failed(error))?;
            if read == 0 {
                break;
            }
            partial.checksum.update(&block[..read]);
            partial.length += read as u64;
            observer.advanced(read as u64);
            // Others may go on, and whoever watches may stop it.
            tokio::task::yield_now().await;
        }
        Ok(partial)
    }

    /// How many bytes are there.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether all bytes are there.
    pub fn is_complete(&self) -> bool {
        self.length == self.facts.size
    }

    /// Appends `bytes`, which must not be more than are missing.
    pub fn append(&mut self, bytes: &[u8], observer: &dyn PullObserver) -> Result<(), HubError> {
        self.file.write_all(bytes).map_err(|error| self.failed(error))?;
        self.checksum.update(bytes);
        self.length += bytes.len() as u64;
        observer.advanced(bytes.len() as u64);
        Ok(())
    }

    /// Forgets what is there.
    pub fn restart(&mut self, observer: &dyn PullObserver) -> Result<(), HubError> {
        observer.lost(self.length);
        let emptied = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        emptied.map_err(|error| self.failed(error))?;
        self.length = 0;
        self.checksum = self.facts.checksum.begin(self.facts.size);
        Ok(())
    }

    /// Gives the complete file its name. One whose checksum is wrong is removed: `Err(Some(found))`.
    pub fn finish(self, name: &Path) -> Result<Result<(), String>, HubError> {
        if let Some(found) = self.checksum.mismatch() {
            fs::remove_file(&self.path).map_err(|error| HubError::io(&self.path, error))?;
            return Ok(Err(found));
        }
        // On the disk before the name says so: a power cut must not leave a file of zeros behind.
        self.file.sync_all().map_err(|error| HubError::io(&self.path, error))?;
        fs::rename(&self.path, name).map_err(|error| HubError::io(name, error))?;
        Ok(Ok(()))
    }

    fn failed(&self, error: std::io::Error) -> HubError {
        HubError::io(&self.path, error)
    }
}
