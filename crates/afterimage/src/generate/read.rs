//! Input pictures as the command line names them.

use crate::failure::CommandFailure;
use crate::origin::Origins;
use afterimage_core::PictureLimits;
use afterimage_imaging::{SourcePicture, read_file, read_stream};
use std::io;
use std::path::{Path, PathBuf};

/// Reads all of `sources`.
///
/// # Errors
/// A failure that names the first one that cannot be used.
pub fn read_pictures(sources: &[PathBuf], origins: &Origins) -> Result<Vec<SourcePicture>, CommandFailure> {
    check_standard_input(sources)?;
    let pictures = sources.iter().map(|source| read_picture(source)).collect::<Result<_, _>>();
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
    let limits = PictureLimits::default();
    if source == Path::new("-") {
        read_stream(io::stdin().lock(), "standard input", &limits)
    } else {
        read_file(source, &limits)
    }
}
