//! Sheets of many pictures: a table over one or two settings, and the contact sheet of a folder.

mod canvas;

use crate::{Filter, resize};
use afterimage_core::{Picture, Result, Size};
use canvas::{Canvas, LINE_HEIGHT, text_width};

/// Pixels of a sheet, at most; its pictures are made smaller when there would be more.
const MOST_PIXELS: f64 = 100e6;

/// Pixels of a sheet's side, at most: many viewers open no longer ones.
const LONGEST_SIDE: f64 = 16_384.0;

/// Between cells, and around text.
const GAP: u32 = 8;

/// The side of a contact sheet's pictures, at most.
const THUMBNAIL: u32 = 256;

/// Pictures side by side on a contact sheet, about.
const COLUMNS: usize = 8;

/// A picture and what stands below it.
#[derive(Clone, Debug)]
pub struct CaptionedPicture {
    /// One line; what does not fit is cut off.
    pub caption: String,
    /// The picture.
    pub picture: Picture,
}

/// A table of `cells`, row by row: above each column its name, in front of each row its name. Names that are empty take no
/// room. Cells keep their size unless the sheet would become larger than programs can open.
///
/// # Errors
/// Those of [`resize`].
pub fn picture_table(columns: &[String], rows: &[String], cells: &[Picture]) -> Result<Picture> {
    let cell = cells.iter().fold(Size::new(1, 1), |largest, picture| {
        Size::new(largest.width.max(picture.width()), largest.height.max(picture.height()))
    });
    let (across, down) = (columns.len().max(1) as u32, rows.len().max(1) as u32);
    let cell = within_limits(cell, across, down);
    let front = rows.iter().map(|name| text_width(name)).max().filter(|width| *width > 0).map_or(0, |it| it + 2 * GAP);
    let above = if columns.iter().all(String::is_empty) { 0 } else { LINE_HEIGHT + GAP };
    let step = Size::new(cell.width + GAP, cell.height + GAP);
    let mut canvas = Canvas::new(Size::new(front + GAP + across * step.width, above + GAP + down * step.height));
    for (index, name) in columns.iter().enumerate() {
        canvas.write_centred(name, [front + GAP + index as u32 * step.width, GAP / 2], cell.width);
    }
    for (index, name) in rows.iter().enumerate() {
        let middle = (cell.height.saturating_sub(LINE_HEIGHT)) / 2;
        canvas.write(name, [GAP, above + GAP + index as u32 * step.height + middle], front.saturating_sub(GAP));
    }
    for (index, picture) in cells.iter().enumerate().take((across * down) as usize) {
        let (column, row) = (index as u32 % across, index as u32 / across);
        let corner = [front + GAP + column * step.width, above + GAP + row * step.height];
        canvas.paste_centred(&fitted(picture, cell)?, corner, cell);
    }
    Ok(canvas.into_picture())
}

/// A contact sheet of `groups`, such as an input and its results, which stay side by side; each picture with its caption.
///
/// # Errors
/// Those of [`resize`].
pub fn contact_sheet(groups: &[Vec<CaptionedPicture>]) -> Result<Picture> {
    let longest = groups.iter().map(Vec::len).max().unwrap_or(0).max(1);
    let beside = (COLUMNS / longest).clamp(1, groups.len().max(1));
    let (across, down) = ((beside * longest) as u32, groups.len().div_ceil(beside).max(1) as u32);
    let cell = within_limits(Size::new(THUMBNAIL, THUMBNAIL + LINE_HEIGHT + GAP), across, down);
    let side = Size::new(cell.width, cell.height.saturating_sub(LINE_HEIGHT + GAP).max(1));
    let step = Size::new(cell.width + GAP, cell.height + GAP);
    let mut canvas = Canvas::new(Size::new(GAP + across * step.width, GAP + down * step.height));
    for (index, group) in groups.iter().enumerate() {
        let (first, row) = ((index % beside * longest) as u32, (index / beside) as u32);
        for (place, CaptionedPicture { caption, picture }) in group.iter().enumerate() {
            let corner = [GAP + (first + place as u32) * step.width, GAP + row * step.height];
            canvas.paste_centred(&fitted(picture, side)?, corner, side);
            canvas.write_centred(caption, [corner[0], corner[1] + side.height + GAP / 2], side.width);
        }
    }
    Ok(canvas.into_picture())
}

/// A thumbnail as [`contact_sheet`] shows it, so that nobody has to keep the whole picture until the sheet is made.
///
/// # Errors
/// Those of [`resize`].
pub fn thumbnail(picture: &Picture) -> Result<Picture> {
    fitted(picture, Size::new(THUMBNAIL, THUMBNAIL))
}

/// `cell`, or a smaller one of its shape, so that `across` by `down` of them are a sheet that can be opened.
fn within_limits(cell: Size, across: u32, down: u32) -> Size {
    let (width, height) = (f64::from(cell.width + GAP), f64::from(cell.height + GAP));
    let (whole_width, whole_height) = (width * f64::from(across), height * f64::from(down));
    let by_area = (MOST_PIXELS / (whole_width * whole_height)).sqrt();
    let scale = (LONGEST_SIDE / whole_width).min(LONGEST_SIDE / whole_height).min(by_area);
    if scale >= 1.0 {
        return cell;
    }
    let shrunk = |side: f64| ((side * scale).floor() as u32).saturating_sub(GAP).max(1);
    Size::new(shrunk(width), shrunk(height))
}

/// `picture` within `room`, its shape kept; never enlarged.
fn fitted(picture: &Picture, room: Size) -> Result<Picture> {
    let size = picture.size();
    let scale = (f64::from(room.width) / f64::from(size.width)).min(f64::from(room.height) / f64::from(size.height));
    if scale >= 1.0 {
        return Ok(picture.clone());
    }
    let scaled = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
    resize(picture, Size::new(scaled(size.width), scaled(size.height)), Filter::Lanczos)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RED: [u8; 3] = [200, 10, 10];

    fn flat(width: u32, height: u32, colour: [u8; 3]) -> Picture {
        Picture::from_rgb(width, height, colour.repeat((width * height) as usize)).unwrap()
    }

    fn count(picture: &Picture, colour: [u8; 3]) -> usize {
        picture.rgb().as_chunks::<3>().0.iter().filter(|pixel| **pixel == colour).count()
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_table_shows_each_cell_whole_with_names_at_two_sides() {
        let cells: Vec<Picture> = (0..6).map(|index| flat(40, 30, [index * 20, 0, 255])).collect();
        let sheet = picture_table(&names(&["a", "b", "c"]), &names(&["1", "2"]), &cells).unwrap();
        for index in 0..6 {
            assert_eq!(count(&sheet, [index * 20, 0, 255]), 40 * 30, "cell {index}");
        }
        assert!(count(&sheet, canvas::INK) > 10, "names are drawn");
        let without = picture_table(&names(&["", "", ""]), &names(&["", ""]), &cells).unwrap();
        assert_eq!(count(&without, canvas::INK), 0);
        assert!(without.width() < sheet.width() && without.height() < sheet.height());
    }

    #[test]
    fn cells_are_in_the_order_of_rows() {
        let cells = [flat(8, 8, RED), flat(8, 8, [0, 200, 0]), flat(8, 8, [0, 0, 200]), flat(8, 8, [9, 9, 9])];
        let sheet = picture_table(&names(&["", ""]), &names(&["", ""]), &cells).unwrap();
        let at = |x: u32, y: u32| {
            let start = 3 * (y * sheet.width() + x) as usize;
            [sheet.rgb()[start], sheet.rgb()[start + 1], sheet.rgb()[start + 2]]
        };
        assert_eq!([at(12, 12), at(28, 12), at(12, 28), at(28, 28)], [RED, [0, 200, 0], [0, 0, 200], [9, 9, 9]]);
    }

    #[test]
    fn a_contact_sheet_keeps_groups_together() {
        let group = |count: usize| {
            let picture = CaptionedPicture {
                caption: "a name that is much too long to fit".into(),
                picture: flat(600, 300, RED),
            };
            vec![picture; count]
        };
        let sheet = contact_sheet(&[group(2), group(2), group(1)]).unwrap();
        assert_eq!(sheet.width(), GAP + 6 * (THUMBNAIL + GAP));
        assert_eq!(count(&sheet, RED), 5 * 256 * 128);
        assert!(count(&sheet, canvas::INK) > 100);
        assert!(contact_sheet(&[]).is_ok());
    }

    proptest! {
        #[test]
        fn no_sheet_is_larger_than_programs_open(width in 1_u32..4096, height in 1_u32..4096, across in 1_u32..64, down in 1_u32..64) {
            let cell = within_limits(Size::new(width, height), across, down);
            let (whole_width, whole_height) = (across * (cell.width + GAP), down * (cell.height + GAP));
            // A gap for each cell stays however small that is.
            prop_assert!(whole_width <= 16_384 + across * GAP && whole_height <= 16_384 + down * GAP);
            prop_assert!(f64::from(whole_width) * f64::from(whole_height) <= MOST_PIXELS * 1.1);
            prop_assert!(cell.width <= width && cell.height <= height);
        }
    }
}
