//! How different two pictures look to a network that learned to see: the distance of Zhang et al., The Unreasonable
//! Effectiveness of Deep Features as a Perceptual Metric (2018), without its learned weights, on the stages of the embedded
//! `open_nsfw`.

use crate::models::OpenNsfw;
use crate::models::vae::Tensor3;
use crate::safety::open_nsfw_network;
use afterimage_core::Picture;
use afterimage_device::Cpu;
use std::sync::Arc;

/// What is taken from the levels of blue, green and red.
const MEAN: [f32; 3] = [104.0, 117.0, 123.0];

pub(super) struct Perceptual(OpenNsfw<Cpu>);

impl Perceptual {
    pub fn new() -> Self {
        Self(open_nsfw_network(&Arc::new(Cpu::detect())).unwrap())
    }

    /// Unit vectors along the channels, their squared differences, the mean over the pixels of a stage, the sum over the
    /// stages: 0 for equal pictures, at most 4 a stage. Sides are multiples of 32.
    pub fn distance(&self, a: &Picture, b: &Picture) -> f64 {
        let [a, b] = [a, b].map(|picture| self.0.stages(planes(picture)).unwrap());
        a.iter().zip(&b).map(|(a, b)| stage_distance(a, b)).sum()
    }
}

fn planes(picture: &Picture) -> Tensor3 {
    let channels = [2, 1, 0].into_iter().zip(MEAN);
    let levels = |(channel, mean): (usize, f32)| {
        picture.rgb().iter().skip(channel).step_by(3).map(move |level| f32::from(*level) - mean)
    };
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    Tensor3 { data: channels.flat_map(levels).collect(), channels: 3, height, width }
}

fn stage_distance(a: &Tensor3, b: &Tensor3) -> f64 {
    let pixels = a.height * a.width;
    let unit = |map: &Tensor3, pixel: usize| {
        let vector: Vec<f64> = map.data[pixel..].iter().step_by(pixels).map(|value| f64::from(*value)).collect();
        let length = vector.iter().map(|value| value * value).sum::<f64>().sqrt() + 1e-10;
        vector.into_iter().map(move |value| value / length)
    };
    let of_pixel = |pixel| unit(a, pixel).zip(unit(b, pixel)).map(|(a, b)| (a - b).powi(2)).sum::<f64>();
    (0..pixels).map(of_pixel).sum::<f64>() / pixels as f64
}
