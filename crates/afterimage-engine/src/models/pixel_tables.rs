//! From bytes to the numbers that a picture encoder takes.

use crate::config::check::ConfigCheck;
use afterimage_core::{Picture, Result};
use std::cmp::Ordering;

/// Pixels that a network was trained on are within a few units of 0; numbers beyond this come from a damaged file and would
/// only overflow later, in a place that says less.
const LARGEST: f32 = 1e4;

/// `(byte · factor − mean) / deviation` for every byte, one table a channel.
#[derive(Clone, Debug)]
pub(crate) struct PixelTables([Vec<f32>; 3]);

impl PixelTables {
    /// Checks the numbers as the fields `rescale_factor`, `image_mean` and `image_std` of `check`'s file.
    pub(crate) fn new(check: &ConfigCheck, factor: f64, mean: [f64; 3], deviation: [f64; 3]) -> Result<Self> {
        check.positive("rescale_factor", factor)?;
        for (mean, deviation) in mean.iter().zip(&deviation) {
            check.finite("image_mean", *mean)?;
            check.positive("image_std", *deviation)?;
        }
        let tables: [Vec<f32>; 3] = std::array::from_fn(|channel| {
            let (mean, deviation) = (mean[channel] as f32, deviation[channel] as f32);
            (0..=u8::MAX).map(|byte| ((f64::from(byte) * factor) as f32 - mean) / deviation).collect()
        });
        if let Some(value) =
            tables.iter().flatten().find(|value| value.abs().partial_cmp(&LARGEST) != Some(Ordering::Less))
        {
            let problem = format!(
                "makes pixels of {value}; expected at most {LARGEST} (deviations of published models are near 0.3 or 0.5)"
            );
            return Err(check.refuse("image_std", problem));
        }
        Ok(Self(tables))
    }

    /// Planes `[3, height, width]`.
    pub(crate) fn planes(&self, picture: &Picture) -> Vec<f32> {
        let planes = self.0.iter().enumerate().flat_map(|(channel, table)| {
            picture.rgb().iter().skip(channel).step_by(3).map(|byte| table[usize::from(*byte)])
        });
        planes.collect()
    }
}
