//! Inpainting: what is worked on, what is kept of it, and results put back into the picture. As diffusers'
//! `FluxInpaintPipeline` (`src/diffusers/pipelines/flux/pipeline_flux_inpaint.py`), but for `keep_outside`, which it leaves
//! to its callers.

use super::latents::pack;
use crate::models::flux::Grid;
use afterimage_core::{Error, Field, InpaintSettings, Picture, Result, Size};
use afterimage_imaging::{Filter, MaskRegion, blend, fill_resize, gaussian_blur, luma, paste, resize};
use std::borrow::Cow;
use std::sync::Arc;

/// From this brightness on a pixel of the mask is painted anew: diffusers' threshold of 0.5.
const PAINTED: u8 = 128;

/// Pixels of the largest mask that is blurred as it is: 4096 × 4096, the largest result.
const MOST_BLURRED: u64 = 1 << 24;

/// A picture and what is painted anew of it.
pub(super) struct Painting {
    /// As it came.
    original: Picture,
    /// What of it is worked on, where that is a part.
    region: Option<(MaskRegion, Picture)>,
    /// Over the whole picture.
    mask: Picture,
    /// Over what is worked on, at the size of the results.
    worked_mask: Picture,
    keep_outside: bool,
    size: Size,
}

impl Painting {
    /// `asked` is the size that was asked for, whose shape a cropped part gets as far as it can; `size` is that of the
    /// results before they are put back.
    ///
    /// # Errors
    /// [`Error::Field`] `mask` when a part is to be cropped and the mask is black.
    pub fn new(
        picture: &Picture,
        mask: &Picture,
        settings: &InpaintSettings,
        [asked, size]: [Size; 2],
    ) -> Result<Self> {
        let mask = blurred(mask, settings.mask_blur, MOST_BLURRED)?;
        let keep_outside = settings.keep_outside;
        let original = picture.clone();
        let Some(padding) = settings.crop_padding else {
            let worked_mask = resize(&mask, size, Filter::Lanczos)?;
            return Ok(Self { original, region: None, mask, worked_mask, keep_outside, size });
        };
        // The region is one of both.
        let mask = resize(&mask, picture.size(), Filter::Lanczos)?;
        let region = MaskRegion::around(&mask, asked, padding).ok_or_else(|| {
            Error::field(Field::Mask, "it is black, so that there is no part to work on; white is painted anew")
        })?;
        let part = fill_resize(&region.of(picture)?, size, Filter::Lanczos)?;
        let worked_mask = fill_resize(&region.of(&mask)?, size, Filter::Lanczos)?;
        Ok(Self { original, region: Some((region, part)), mask, worked_mask, keep_outside, size })
    }

    /// What is worked on, of any size.
    pub fn picture(&self) -> &Picture {
        self.region.as_ref().map_or(&self.original, |(_, part)| part)
    }

    /// Which of the latents of `grid` are painted anew, of [`Self::picture`] at `size`: one for each packed number. As
    /// torch's nearest interpolation of the mask, each latent is what the first pixel of its square is.
    pub fn painted(&self, size: Size, grid: Grid, channels: usize) -> Result<Vec<bool>> {
        let mask = if size == self.size {
            Cow::Borrowed(&self.worked_mask)
        } else {
            Cow::Owned(resize(&self.worked_mask, size, Filter::Lanczos)?)
        };
        let brightness = luma(&mask);
        let (rows, columns) = (2 * grid.rows, 2 * grid.columns);
        let (width, height) = (size.width as usize, size.height as usize);
        let at = |row: usize, column: usize| brightness[row * height / rows * width + column * width / columns];
        let plane = (0..rows * columns).map(|cell| f32::from(u8::from(at(cell / columns, cell % columns) >= PAINTED)));
        let plane: Vec<f32> = plane.collect();
        Ok(pack(&plane.repeat(channels), channels, grid).into_iter().map(|value| value > 0.5).collect())
    }

    /// A result, of the size of the last pass, as it is handed out.
    pub fn put_back(&self, result: &Picture) -> Result<Picture> {
        match &self.region {
            Some((region, _)) => blend(&self.original, &paste(&self.original, result, *region)?, &luma(&self.mask)),
            None if self.keep_outside => {
                let below = resize(&self.original, result.size(), Filter::Lanczos)?;
                blend(&below, result, &luma(&self.worked_mask))
            }
            None => Ok(result.clone()),
        }
    }
}

/// `mask` with its edge softened. A blur takes as long as the mask has pixels, and a file of some kilobytes may have a hundred
/// millions: a mask of more than `most` is made smaller first, and the radius with it.
fn blurred(mask: &Picture, radius: f64, most: u64) -> Result<Picture> {
    let size = mask.size();
    if radius <= 0.0 || size.pixels() <= most {
        return Ok(gaussian_blur(mask, radius));
    }
    let smaller = size.shrunk_to(most, 1);
    let scale = (smaller.pixels() as f64 / size.pixels() as f64).sqrt();
    Ok(gaussian_blur(&resize(mask, smaller, Filter::Lanczos)?, radius * scale))
}

/// The picture's latents, and which of them are painted anew.
pub(super) struct Painted {
    /// Packed.
    pub image: Arc<[f32]>,
    /// As many.
    pub is_painted: Arc<[bool]>,
}

/// What one picture keeps while the rest of it is sampled.
pub(super) struct KeptLatents {
    image: Arc<[f32]>,
    /// Packed, what the picture started from.
    noise: Vec<f32>,
    is_painted: Arc<[bool]>,
}

impl KeptLatents {
    /// `noise` is packed as the latents are.
    pub fn new(painted: &Painted, noise: Vec<f32>) -> Self {
        Self { image: Arc::clone(&painted.image), noise, is_painted: Arc::clone(&painted.is_painted) }
    }

    /// Puts what is kept into packed `latents`, at the noise level `sigma`: `sigma · noise + (1 − sigma) · image`.
    pub fn put_back(&self, latents: &mut [f32], sigma: f32) {
        let kept = self.image.iter().zip(&self.noise).map(|(image, noise)| sigma * noise + (1.0 - sigma) * image);
        for ((latent, kept), is_painted) in latents.iter_mut().zip(kept).zip(self.is_painted.iter()) {
            if !is_painted {
                *latent = kept;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: u32, height: u32, of: impl Fn(u32, u32) -> u8) -> Picture {
        let pixels = (0..width * height).flat_map(|index| [of(index % width, index / width); 3]).collect();
        Picture::from_rgb(width, height, pixels).unwrap()
    }

    #[test]
    fn a_latent_is_painted_as_the_first_pixel_of_its_square() {
        let size = Size::new(32, 16);
        // 127 and 128 beside each other, at the first pixel of the second column of latents.
        let mask = grey(32, 16, |x, _| if x < 8 { 127 } else { 128 });
        let settings = InpaintSettings::default();
        let painting = Painting::new(&grey(32, 16, |_, _| 0), &mask, &settings, [size; 2]).unwrap();
        let painted = painting.painted(size, Grid { rows: 1, columns: 2 }, 1).unwrap();
        assert_eq!(painted, [false, true, false, true, true, true, true, true]);
    }

    #[test]
    fn outside_the_mask_the_pictures_own_pixels_stand() {
        let size = Size::new(16, 16);
        let (picture, result) = (grey(16, 16, |x, y| (x * 16 + y) as u8), grey(16, 16, |_, _| 200));
        let mask = grey(16, 16, |x, _| [0, 255][usize::from(x >= 8)]);
        let with = |keep_outside| {
            let settings = InpaintSettings { keep_outside, ..InpaintSettings::default() };
            Painting::new(&picture, &mask, &settings, [size; 2]).unwrap().put_back(&result).unwrap()
        };
        assert_eq!(with(true), grey(16, 16, |x, y| if x < 8 { (x * 16 + y) as u8 } else { 200 }));
        assert_eq!(with(false), result);
    }

    #[test]
    fn a_mask_that_is_blurred_smaller_has_the_same_edge() {
        let mask = grey(160, 120, |x, _| [0, 255][usize::from(x >= 80)]);
        let [whole, smaller] = [u64::MAX, 4800].map(|most| blurred(&mask, 12.0, most).unwrap());
        assert_eq!((whole.size(), smaller.size()), (mask.size(), Size::new(80, 60)));
        let smaller = resize(&smaller, mask.size(), Filter::Lanczos).unwrap();
        let most = luma(&whole).iter().zip(luma(&smaller)).map(|(one, other)| one.abs_diff(other)).max();
        assert!(most.is_some_and(|most| most <= 6), "{most:?}");
        assert_eq!(blurred(&mask, 0.0, 4800).unwrap(), mask, "there is nothing to save");
    }

    #[test]
    fn a_cropped_part_comes_back_into_the_whole() {
        let picture = grey(64, 48, |x, y| (x + y) as u8);
        let mask = grey(64, 48, |x, y| [0, 255][usize::from((20..28).contains(&x) && (20..28).contains(&y))]);
        let settings = InpaintSettings { crop_padding: Some(4), ..InpaintSettings::default() };
        let size = Size::new(32, 32);
        let painting = Painting::new(&picture, &mask, &settings, [size; 2]).unwrap();
        assert_eq!(painting.picture().size(), size);
        let back = painting.put_back(&grey(32, 32, |_, _| 7)).unwrap();
        let inside = |x, y| (20..28).contains(&x) && (20..28).contains(&y);
        assert_eq!(back, grey(64, 48, |x, y| if inside(x, y) { 7 } else { (x + y) as u8 }));
        let black = grey(8, 8, |_, _| 0);
        let error = Painting::new(&picture, &black, &settings, [size; 2]).err().unwrap();
        assert!(matches!(error, Error::Field { field: Field::Mask, .. }), "{error}");
        assert!(Painting::new(&picture, &black, &InpaintSettings::default(), [size; 2]).is_ok(), "nothing to paint");
    }
}
