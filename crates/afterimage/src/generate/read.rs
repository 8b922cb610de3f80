//! Input pictures as the command line names them.

use crate::failure::CommandFailure;
use crate::origin::Origins;
use afterimage_core::{FileReading, GenerationRequest, PictureLimits};
use afterimage_imaging::{SourcePicture, read_file_as, read_stream};
use std::io;
use std::path::{Path, PathBuf};

/// Reads all of `sources`, each for what `request` takes it.
///
/// # Errors
/// A failure that names the first one that cannot be used.
pub fn read_pictures(
    sources: &[PathBuf],
    request: &GenerationRequest,
    origins: &Origins,
) -> Result<Vec<SourcePicture>, CommandFailure> {
    check_standard_input(sources)?;
    let read = |(index, source): (usize, &PathBuf)| read_as(source, request.reading(index));
    let pictures = sources.iter().enumerate().map(read).collect::<Result<_, _>>();
    pictures.map_err(|error| CommandFailure::from_error(&error, origins))
}

/// Refuses standard input for more than one picture.
pub fn check_standard_input(sources: &[PathBuf]) -> Result<(), CommandFailure> {
    if sources.iter().filter(|source| *source == Path::new("-")).count() > 1 {
        return Err(CommandFailure::bad_input("IMAGE", "standard input can be read only once; give - for one picture"));
    }
    Ok(())
}

/// Reads a picture from a file, or from standard input for `-`.
pub fn read_picture(source: &Path) -> afterimage_core::Result<SourcePicture> {
    read_as(source, FileReading::Picture)
}

fn read_as(source: &Path, reading: FileReading) -> afterimage_core::Result<SourcePicture> {
    let limits = PictureLimits::default();
    if source == Path::new("-") {
        read_stream(io::stdin().lock(), "standard input", &limits, reading)
    } else {
        read_file_as(source, &limits, reading)
    }
}
