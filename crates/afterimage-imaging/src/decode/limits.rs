//! How large a picture may be, in bytes, pixels and working memory.

use super::defect::Defect;
use afterimage_core::{Error, PictureLimits};

/// The error for a file or stream above the limit; `size` in bytes where it is known.
pub(crate) fn too_many_bytes(name: &str, size: Option<u64>, limits: &PictureLimits) -> Error {
    let limit = limits.file_bytes;
    match size {
        Some(size) => Error::picture(name, format!("{size} bytes are too many; at most {limit} are accepted")),
        None => Error::picture(name, format!("too many bytes; at most {limit} are accepted")),
    }
}

/// Refuses a size from a header that is empty or above the limits.
pub(super) fn check_size(width: u32, height: u32, limits: &PictureLimits) -> Result<(), Defect> {
    if width == 0 || height == 0 {
        return Err(format!("{width}x{height} pixels; both sides must be at least 1"));
    }
    if width.max(height) > limits.side {
        return Err(format!("{width}x{height} pixels are too large; at most {} per side are accepted", limits.side));
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > limits.pixels {
        return Err(format!(
            "{width}x{height} pixels are too large; at most {} megapixels are accepted",
            limits.pixels as f64 / 1e6
        ));
    }
    Ok(())
}

/// Bytes that a decoder may take beside the pixels themselves.
pub(super) fn working_memory(limits: &PictureLimits) -> u64 {
    // 16-bit RGBA, read and intermediate, and as much as the file itself.
    limits.pixels.saturating_mul(16).saturating_add(limits.file_bytes.saturating_mul(2))
}
