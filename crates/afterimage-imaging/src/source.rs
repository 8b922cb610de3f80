//! Reading picture files and streams without trusting their size.

use crate::decode::{SourcePicture, decode_as, too_many_bytes};
use afterimage_core::{Error, FileReading, PictureLimits, Result};
use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read};
use std::path::Path;

/// Reads and decodes a picture file.
///
/// # Errors
/// [`Error::Picture`], named by the path, for anything that is not a readable picture within `limits`: a missing file,
/// a folder, a device or pipe (never opened, since opening a pipe waits for its writer), an empty or too large file, and
/// everything that [`crate::decode`] refuses. [`Error::Io`] when the machine fails.
pub fn read_file(path: &Path, limits: &PictureLimits) -> Result<SourcePicture> {
    read_file_as(path, limits, FileReading::Picture)
}

/// [`read_file`] of a file that is read as `reading` says.
///
/// # Errors
/// As for [`read_file`]; also for a mask without the transparency that is to be read.
pub fn read_file_as(path: &Path, limits: &PictureLimits, reading: FileReading) -> Result<SourcePicture> {
    let name = path.display().to_string();
    let metadata = std::fs::metadata(path).map_err(|source| open_error(path, source))?;
    check_kind(&name, &metadata)?;
    let file = File::open(path).map_err(|source| open_error(path, source))?;
    // Asked again of the open file: the path may have been replaced in between.
    let metadata = file.metadata().map_err(|source| Error::io(path, source))?;
    check_kind(&name, &metadata)?;
    if metadata.len() > limits.file_bytes {
        return Err(too_many_bytes(&name, Some(metadata.len()), limits));
    }
    let bytes = read_limited(file, limits)
        .map_err(|source| Error::io(path, source))?
        .ok_or_else(|| too_many_bytes(&name, None, limits))?;
    decode_as(&bytes, &name, limits, reading)
}

/// Reads and decodes a picture from a stream such as standard input, as `reading` says. `source_name` is what messages call
/// it.
///
/// # Errors
/// [`Error::Picture`] when the stream is empty, longer than the limit (reading stops there), breaks off, or holds
/// something that [`crate::decode`] refuses.
pub fn read_stream(
    stream: impl Read,
    source_name: &str,
    limits: &PictureLimits,
    reading: FileReading,
) -> Result<SourcePicture> {
    let bytes = read_limited(stream, limits)
        .map_err(|source| Error::picture(source_name, format!("cannot be read: {source}")))?
        .ok_or_else(|| too_many_bytes(source_name, None, limits))?;
    decode_as(&bytes, source_name, limits, reading)
}

/// `None` when the stream is longer than the limit.
fn read_limited(stream: impl Read, limits: &PictureLimits) -> std::io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    stream.take(limits.file_bytes.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limits.file_bytes).then_some(bytes))
}

fn check_kind(name: &str, metadata: &Metadata) -> Result<()> {
    if metadata.is_dir() {
        return Err(Error::picture(name, "is a folder; name a picture file"));
    }
    if !metadata.is_file() {
        return Err(Error::picture(
            name,
            "is a device, pipe or socket; name a picture file, or use - for standard input",
        ));
    }
    Ok(())
}

fn open_error(path: &Path, source: std::io::Error) -> Error {
    let problem = match source.kind() {
        ErrorKind::NotFound => "no such file",
        ErrorKind::PermissionDenied => "permission denied",
        ErrorKind::NotADirectory => "a part of the path is not a folder",
        ErrorKind::InvalidFilename | ErrorKind::InvalidInput => "not a valid file name",
        _ => return Error::io(path, source),
    };
    Error::picture(path.display().to_string(), problem)
}
