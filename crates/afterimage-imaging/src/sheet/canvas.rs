//! A white picture that others are pasted into, with lines of text.

use afterimage_core::{Picture, Size};
use embedded_graphics::Drawable as _;
use embedded_graphics::Pixel;
use embedded_graphics::draw_target::DrawTarget;
use embedded_graphics::geometry::{OriginDimensions, Point, Size as Extent};
use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_10X20;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::text::renderer::TextRenderer as _;
use embedded_graphics::text::{Baseline, Text};
use std::convert::Infallible;

/// Pixels of a line of text, top to bottom.
pub(super) const LINE_HEIGHT: u32 = 20;

/// Pixels of a letter, left to right.
const LETTER_WIDTH: u32 = 10;

/// The colour of text.
pub(super) const INK: [u8; 3] = [32, 33, 36];

/// Pixels that `text` takes, left to right.
pub(super) fn text_width(text: &str) -> u32 {
    text.chars().count() as u32 * LETTER_WIDTH
}

/// A white picture that others are pasted into.
pub(super) struct Canvas {
    size: Size,
    rgb: Vec<u8>,
}

impl Canvas {
    /// White; a side of 0 counts as 1.
    pub(super) fn new(size: Size) -> Self {
        let size = Size::new(size.width.max(1), size.height.max(1));
        Self { size, rgb: vec![255; 3 * size.width as usize * size.height as usize] }
    }

    /// Puts `picture` into the middle of the `room` from `corner` on; what does not fit into the canvas is cut off.
    pub(super) fn paste_centred(&mut self, picture: &Picture, [left, top]: [u32; 2], room: Size) {
        let left = left + room.width.saturating_sub(picture.width()) / 2;
        let top = top + room.height.saturating_sub(picture.height()) / 2;
        let shown = picture.width().min(self.size.width.saturating_sub(left)) as usize;
        let rows = picture.rgb().chunks_exact(3 * picture.width() as usize);
        for (row, pixels) in rows.enumerate().take(self.size.height.saturating_sub(top) as usize) {
            let start = 3 * ((top as usize + row) * self.size.width as usize + left as usize);
            self.rgb[start..start + 3 * shown].copy_from_slice(&pixels[..3 * shown]);
        }
    }

    /// Writes as much of `text` as fits into `width` from the `corner` on. Letters beyond Western Europe's become question
    /// marks: the font is a small one.
    pub(super) fn write(&mut self, text: &str, [left, top]: [u32; 2], width: u32) {
        let text = cut(text, width);
        let style = MonoTextStyle::new(&FONT_10X20, Rgb888::new(INK[0], INK[1], INK[2]));
        debug_assert_eq!(style.line_height(), LINE_HEIGHT);
        let place = Point::new(left as i32, top as i32);
        let Ok(_) = Text::with_baseline(&text, place, style, Baseline::Top).draw(self);
    }

    /// The same in the middle of `width`.
    pub(super) fn write_centred(&mut self, text: &str, [left, top]: [u32; 2], width: u32) {
        let text = cut(text, width);
        let indent = width.saturating_sub(text_width(&text)) / 2;
        self.write(&text, [left + indent, top], width);
    }

    /// What was drawn.
    pub(super) fn into_picture(self) -> Picture {
        let Size { width, height } = self.size;
        // The length fits by construction; one white pixel otherwise.
        Picture::from_rgb(width, height, self.rgb).unwrap_or_else(|| Canvas::new(Size::new(1, 1)).into_picture())
    }
}

/// `text` in one line of at most `width` pixels, with two dots where something is missing.
fn cut(text: &str, width: u32) -> String {
    let letters = (width / LETTER_WIDTH) as usize;
    let line = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    if text.chars().count() <= letters {
        return line.collect();
    }
    line.take(letters.saturating_sub(2)).chain(std::iter::repeat_n('.', letters.min(2))).collect()
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Extent {
        Extent::new(self.size.width, self.size.height)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I: IntoIterator<Item = Pixel<Self::Color>>>(&mut self, pixels: I) -> Result<(), Infallible> {
        for Pixel(place, _) in pixels {
            let (Ok(x), Ok(y)) = (u32::try_from(place.x), u32::try_from(place.y)) else { continue };
            if x < self.size.width && y < self.size.height {
                let start = 3 * (y as usize * self.size.width as usize + x as usize);
                self.rgb[start..start + 3].copy_from_slice(&INK);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_and_a_control_character_is_a_space() {
        assert_eq!(cut("strength", 80), "strength");
        assert_eq!(cut("strength", 70), "stren..");
        assert_eq!(cut("a\nb", 100), "a b");
        assert_eq!((cut("abc", 19).as_str(), cut("abc", 9).as_str()), (".", ""));
    }

    #[test]
    fn text_stays_within_its_line() {
        let mut canvas = Canvas::new(Size::new(100, 60));
        canvas.write("Ägypten €", [10, 20], 90);
        let inked = |rows: std::ops::Range<usize>| {
            canvas.rgb[rows.start * 300..rows.end * 300].iter().any(|level| *level != 255)
        };
        assert!(!inked(0..20) && inked(20..40) && !inked(40..60));
    }

    #[test]
    fn nothing_is_drawn_beyond_the_edge() {
        let mut canvas = Canvas::new(Size::new(20, 10));
        canvas.write("wide", [10, 5], 100);
        let picture = Picture::from_rgb(30, 30, vec![7; 2700]).unwrap();
        canvas.paste_centred(&picture, [15, 8], Size::new(1, 1));
        let drawn = canvas.into_picture();
        assert_eq!(drawn.size(), Size::new(20, 10));
        assert_eq!(drawn.rgb().iter().map(|level| usize::from(*level == 7)).sum::<usize>(), 5 * 2 * 3);
    }
}
