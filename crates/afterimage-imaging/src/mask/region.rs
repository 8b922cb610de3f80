//! A masked region taken out of a picture and put back, as diffusers' `padding_mask_crop` does it (`get_crop_region`,
//! `_resize_and_fill` and `apply_overlay` of `src/diffusers/image_processor.py`).

use super::luma;
use crate::resize::{Filter, resize};
use afterimage_core::{Error, Picture, Result, Size};
use std::ops::Range;

/// A rectangle of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaskRegion {
    /// First column.
    pub left: u32,
    /// First row.
    pub top: u32,
    /// Columns and rows, each at least 1.
    pub size: Size,
}

/// A side's first pixel and the one behind its last.
type Span = [i64; 2];

impl MaskRegion {
    /// The smallest rectangle around everything in `mask` that is not black, with `padding` pixels around it, grown where
    /// the picture allows it to the shape of `target`. `None` when all is black.
    pub fn around(mask: &Picture, target: Size, padding: u32) -> Option<Self> {
        let (width, height) = (mask.width() as usize, mask.height() as usize);
        let brightness = luma(mask);
        let rows: Vec<bool> = brightness.chunks_exact(width).map(|row| row.iter().any(|grey| *grey > 0)).collect();
        let columns: Vec<bool> =
            (0..width).map(|x| brightness.iter().skip(x).step_by(width).any(|grey| *grey > 0)).collect();
        let padded = |named: &[bool], side: usize| {
            let (first, last) = (named.iter().position(|it| *it)?, named.iter().rposition(|it| *it)?);
            let padding = i64::from(padding);
            Some([(first as i64 - padding).max(0), (last as i64 + 1 + padding).min(side as i64)])
        };
        let (mut x, mut y) = (padded(&columns, width)?, padded(&rows, height)?);
        let ratio = f64::from(target.width) / f64::from(target.height);
        let length = |span: Span| (span[1] - span[0]) as f64;
        if length(x) / length(y) > ratio {
            y = grown(y, (length(x) / ratio - length(y)) as i64, height as i64);
        } else {
            x = grown(x, (length(y) * ratio - length(x)) as i64, width as i64);
        }
        let size = Size::new((x[1] - x[0]) as u32, (y[1] - y[0]) as u32);
        Some(Self { left: x[0] as u32, top: y[0] as u32, size })
    }

    /// This part of `picture`.
    ///
    /// # Errors
    /// [`Error::Internal`] when it reaches beyond it.
    pub fn of(&self, picture: &Picture) -> Result<Picture> {
        let (rows, columns) = self.ranges(picture)?;
        let stride = 3 * picture.width() as usize;
        let rgb = rows.flat_map(|row| &picture.rgb()[row * stride..][columns.clone()]).copied().collect();
        Picture::from_rgb(self.size.width, self.size.height, rgb)
            .ok_or_else(|| Error::internal("a part of a picture is none"))
    }

    /// Its rows, and its bytes of each.
    fn ranges(&self, picture: &Picture) -> Result<(Range<usize>, Range<usize>)> {
        let Self { left, top, size } = *self;
        let end = |first: u32, length: u32, side: u32| first.checked_add(length).filter(|end| *end <= side);
        let (right, bottom) = (end(left, size.width, picture.width()), end(top, size.height, picture.height()));
        let (Some(right), Some(bottom)) = (right, bottom) else {
            return Err(Error::internal(format!("{size} from {left}, {top} on reach beyond {}", picture.size())));
        };
        Ok((top as usize..bottom as usize, 3 * left as usize..3 * right as usize))
    }
}

/// `span` longer by `more`, half of it to each side, moved and cut to lie within `side` pixels.
fn grown([mut start, mut end]: Span, more: i64, side: i64) -> Span {
    start -= more.div_euclid(2);
    end += more - more.div_euclid(2);
    if end >= side {
        start -= end - side;
        end = side;
    }
    if start < 0 {
        end -= start;
        start = 0;
    }
    [start, end.min(side)]
}

/// Resizes to `size` without changing the shape; what that leaves empty is filled from the edges. Where a side is cut to
/// whole pixels, the picture is in the middle.
///
/// # Errors
/// [`Error::Field`] `size` when a side of it, or of the picture within it, is 0.
pub fn fill_resize(picture: &Picture, size: Size, filter: Filter) -> Result<Picture> {
    let inner = shaped(picture.size(), size, Fit::Within);
    let resized = resize(picture, inner, filter)?;
    let corner = centred(inner, size);
    let mut out = canvas(size, &resized, corner)?;
    let [left, top] = corner.map(|side| side.max(0) as usize);
    let (width, height) = (size.width as usize, size.height as usize);
    let (inner_width, inner_height) = (inner.width as usize, inner.height as usize);
    let ratio = |size: Size| f64::from(size.width) / f64::from(size.height);
    // As many lines are filled behind the picture as before it; a last one of an odd number stays black.
    let behind = |before: usize, inner: usize, side: usize| (before + inner)..(2 * before + inner).min(side);
    if ratio(size) < ratio(picture.size()) {
        for y in (0..top).chain(behind(top, inner_height, height)) {
            for x in 0..width {
                let pixel =
                    beyond(&resized, inner_height, |depth| [x, if y < top { depth } else { inner_height - 1 - depth }]);
                out[3 * (y * width + x)..][..3].copy_from_slice(&pixel);
            }
        }
    } else {
        for x in (0..left).chain(behind(left, inner_width, width)) {
            for y in 0..height {
                let pixel =
                    beyond(&resized, inner_width, |depth| [if x < left { depth } else { inner_width - 1 - depth }, y]);
                out[3 * (y * width + x)..][..3].copy_from_slice(&pixel);
            }
        }
    }
    Picture::from_rgb(size.width, size.height, out).ok_or_else(|| Error::internal("a filled picture is none"))
}

/// The pixel beyond the edge of `picture`, so many lines deep there, whose outermost pixel (0) and the one next to it (1)
/// `at` tells.
fn beyond(picture: &Picture, lines: usize, at: impl Fn(usize) -> [usize; 2]) -> [u8; 3] {
    let pixel = |[x, y]: [usize; 2]| -> [u8; 3] {
        let start = 3 * (y * picture.width() as usize + x);
        std::array::from_fn(|channel| picture.rgb()[start + channel])
    };
    let outer = pixel(at(0));
    let next = if lines > 1 { pixel(at(1)) } else { return outer };
    std::array::from_fn(|channel| edge(outer[channel], next[channel]))
}

/// What Pillow's bicubic filter makes of a strip without any height at the edge: the outermost line and the next at half
/// and one and a half pixels from it, whose weights 9/16 and −1/16 become 9/8 and −1/8 in sum 1.
fn edge(outer: u8, next: u8) -> u8 {
    let eighths = 9 * i32::from(outer) - i32::from(next);
    ((eighths + 4) >> 3).clamp(0, 255) as u8
}

/// How one shape is brought into another.
#[derive(Clone, Copy)]
enum Fit {
    /// All of it is seen.
    Within,
    /// All of the other is covered.
    Over,
}

/// `from` in its own shape, with one side that of `to`.
fn shaped(from: Size, to: Size, fit: Fit) -> Size {
    let (ratio, own) = (f64::from(to.width) / f64::from(to.height), f64::from(from.width) / f64::from(from.height));
    let (by_width, by_height) = match fit {
        Fit::Within => (ratio < own, ratio >= own),
        Fit::Over => (ratio > own, ratio <= own),
    };
    let scaled = |side: u32, times: u32, over: u32| (u64::from(side) * u64::from(times) / u64::from(over)) as u32;
    let width = if by_width { to.width } else { scaled(from.width, to.height, from.height) };
    let height = if by_height { to.height } else { scaled(from.height, to.width, from.width) };
    Size::new(width, height)
}

/// Where `inner` begins in the middle of `outer`; before it where `inner` is larger.
fn centred(inner: Size, outer: Size) -> [i64; 2] {
    [(inner.width, outer.width), (inner.height, outer.height)]
        .map(|(inner, outer)| i64::from(outer / 2) - i64::from(inner / 2))
}

/// Black, with `picture` from `corner` on, as far as it fits: RGB of `size`.
fn canvas(size: Size, picture: &Picture, corner: [i64; 2]) -> Result<Vec<u8>> {
    let mut out = vec![0; 3 * size.pixels() as usize];
    let (width, height) = (i64::from(size.width), i64::from(size.height));
    let row_bytes = 3 * picture.width() as usize;
    let columns = corner[0].max(0)..(corner[0] + i64::from(picture.width())).min(width);
    for (row, line) in (corner[1]..).zip(picture.rgb().chunks_exact(row_bytes)) {
        if (0..height).contains(&row) && !columns.is_empty() {
            let count = 3 * (columns.end - columns.start) as usize;
            let from = 3 * (columns.start - corner[0]) as usize;
            let to = 3 * (row * width + columns.start) as usize;
            let source = line.get(from..from + count);
            let target = out.get_mut(to..to + count);
            source
                .zip(target)
                .ok_or_else(|| Error::internal("a row beyond its picture"))
                .map(|(source, target)| target.copy_from_slice(source))?;
        }
    }
    Ok(out)
}

/// `picture` with `part` in place of `region`, brought to its size so that it covers it.
///
/// # Errors
/// [`Error::Internal`] when the region reaches beyond the picture.
pub fn paste(picture: &Picture, part: &Picture, region: MaskRegion) -> Result<Picture> {
    let (rows, columns) = region.ranges(picture)?;
    let covering = shaped(part.size(), region.size, Fit::Over);
    let resized = resize(part, covering, Filter::Lanczos)?;
    let patch = canvas(region.size, &resized, centred(covering, region.size))?;
    let mut rgb = picture.rgb().to_vec();
    let stride = 3 * picture.width() as usize;
    for (row, line) in rows.zip(patch.chunks_exact(columns.len())) {
        rgb[row * stride..][columns.clone()].copy_from_slice(line);
    }
    Picture::from_rgb(picture.width(), picture.height(), rgb)
        .ok_or_else(|| Error::internal("a picture changed its size"))
}
