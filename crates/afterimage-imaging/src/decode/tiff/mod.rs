//! TIFF as scanners, cameras, printers and science write it; of several pages the first.
//!
//! Own code over the compression libraries, because what a sample means (palette, white is zero, bits from the lowest
//! on, subsampled colour, opacity multiplied in) has to match Pillow's reading, and because everything that is taken
//! for memory has to be checked against the header first.

mod color;
mod compression;
mod expansion;
mod fax;
mod jpeg_pieces;
mod layout;
mod numbers;
mod predictor;
mod raw;
mod rows;
mod sample_format;
mod ycbcr;

use super::defect::Defect;
use super::limits::{check_size, working_memory};
use super::samples::{Decoded, Samples};
use afterimage_core::PictureLimits;
use color::Colors;
use compression::Compression;
use expansion::expand;
use layout::{PageLayout, Photometric, Piece};
pub(super) use raw::camera_raw;
use std::borrow::Cow;

pub(super) fn decode(bytes: &[u8], limits: &PictureLimits) -> Result<Decoded, Defect> {
    let layout = PageLayout::read(bytes, limits)?;
    check_memory(&layout, limits)?;
    let samples = match layout.compression {
        Compression::OldJpeg => jpeg_pieces::old_style(&layout, bytes, limits)?,
        Compression::Jpeg => Colors::new(&layout)?.finish(read_jpeg(&layout, limits)?, &layout),
        _ if layout.photometric == Photometric::YCbCr => ycbcr::read(&layout)?,
        _ if layout.sample_format.is_wide() => numbers::to_samples(&layout, &read_numbers(&layout)?)?,
        _ => Colors::new(&layout)?.finish(read_bytes(&layout)?, &layout),
    };
    Ok(Decoded { width: layout.width, height: layout.height, samples })
}

/// Width and height of the first page, from its directory.
pub(super) fn size(bytes: &[u8]) -> Result<(u32, u32), Defect> {
    layout::size(&layout::first_directory(bytes)?)
}

/// The picture and its largest piece are held at once.
fn check_memory(layout: &PageLayout, limits: &PictureLimits) -> Result<(), Defect> {
    check_size(layout.width, layout.height, limits)?;
    let pixels = u64::from(layout.width) * u64::from(layout.height);
    let kept_bytes = if layout.sample_format.is_wide() { 4 } else { 1 };
    let picture = pixels.saturating_mul(layout.kept_channels() as u64 * kept_bytes);
    if picture.saturating_add(layout.most_piece_bytes()) > working_memory(limits) {
        return Err("needs too much memory to decode".to_owned());
    }
    Ok(())
}

/// The unpacked bytes of a piece.
fn piece_bytes<'a>(layout: &PageLayout<'a>, piece: &Piece<'a>) -> Result<Cow<'a, [u8]>, Defect> {
    let expected = layout.row_bytes() * piece.rows as usize;
    let mut bytes = expand(layout, piece, expected)?;
    if layout.predictor != 1 {
        predictor::undo(layout, bytes.to_mut())?;
    }
    Ok(bytes)
}

/// All samples but the superfluous ones, as 8 bits each.
fn read_bytes(layout: &PageLayout) -> Result<Vec<u8>, Defect> {
    let channels = layout.kept_channels();
    let mut picture = vec![0; layout.width as usize * layout.height as usize * channels];
    let mut unpacked = Vec::new();
    for piece in layout.pieces() {
        let bytes = piece_bytes(layout, &piece)?;
        for (y, row) in (piece.y..).zip(bytes.chunks_exact(layout.row_bytes())) {
            rows::unpack(row, layout, &mut unpacked);
            rows::place(&unpacked, layout, &piece, y, &mut picture);
        }
    }
    Ok(picture)
}

/// The same for floating point and other numbers whose range is not that of a colour.
fn read_numbers(layout: &PageLayout) -> Result<Vec<f32>, Defect> {
    let channels = layout.kept_channels();
    let mut picture = vec![0.0; layout.width as usize * layout.height as usize * channels];
    let mut unpacked = Vec::new();
    for piece in layout.pieces() {
        let bytes = piece_bytes(layout, &piece)?;
        for (y, row) in (piece.y..).zip(bytes.chunks_exact(layout.row_bytes())) {
            numbers::unpack(row, layout, &mut unpacked);
            rows::place(&unpacked, layout, &piece, y, &mut picture);
        }
    }
    Ok(picture)
}

/// Strips or tiles that are JPEG files of their own.
fn read_jpeg(layout: &PageLayout, limits: &PictureLimits) -> Result<Vec<u8>, Defect> {
    let mut picture = vec![0; layout.width as usize * layout.height as usize * layout.kept_channels()];
    for piece in layout.pieces() {
        let decoded = jpeg_pieces::decode(layout, &piece, limits)?;
        let channels = layout.samples_in_piece();
        let stored = match decoded.samples {
            Samples::Grey(samples) if channels == 1 => samples,
            Samples::Rgb(samples) if channels == 3 => samples,
            Samples::Cmyk(samples) if channels == 4 => samples,
            _ => return Err("damaged (a JPEG inside has other colours than the file says)".to_owned()),
        };
        let visible = piece.rows.min(layout.height - piece.y);
        if decoded.width < layout.width.min(layout.piece_width) || decoded.height < visible {
            return Err("damaged (a JPEG inside is smaller than its place)".to_owned());
        }
        for (y, row) in (piece.y..).zip(stored.chunks_exact(decoded.width as usize * channels)) {
            rows::place(row, layout, &piece, y, &mut picture);
        }
    }
    Ok(picture)
}
