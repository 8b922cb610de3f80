//! `open_nsfw`: the embedded checker, and files of the same names.

use super::probability::softmax;
use super::scaled_integers::ScaledIntegers;
use crate::models::{OPEN_NSFW_SIDE, OpenNsfw};
use crate::weights::{Component, LayoutSource, SafetensorsFile, Scope, layout};
use afterimage_core::{Picture, Result, Size};
use afterimage_device::Device;
use afterimage_imaging::{Filter, resize_part};
use afterimage_tensors::SharedBytes;
use std::path::PathBuf;
use std::sync::Arc;

pub(super) use afterimage_open_nsfw::NAME;

/// Every picture is squashed to this square, of which the network sees the middle.
const SQUARE: u32 = 256;

/// What is taken from the levels of blue, green and red: the means of the pictures that Caffe's models were trained on.
const MEAN: [f32; 3] = [104.0, 117.0, 123.0];

pub(super) struct OpenNsfwChecker<D: Device>(OpenNsfw<D>);

impl<D: Device> OpenNsfwChecker<D> {
    /// The embedded one.
    pub fn embedded(device: &Arc<D>) -> Result<Self> {
        embedded_network(device).map(Self)
    }

    /// A file's: the weights are of 8 bits with scales, of f16 or of f32.
    pub fn load(device: &Arc<D>, source: LayoutSource) -> Result<Self> {
        network(device, source).map(Self)
    }

    /// The probability of "not safe for work".
    pub fn score(&self, picture: &Picture, interrupted: &dyn Fn() -> Result<()>) -> Result<f64> {
        Ok(softmax(&self.0.logits(planes(picture)?, interrupted)?, 1))
    }
}

/// The embedded network.
///
/// # Errors
/// Those of the device.
pub(crate) fn embedded_network<D: Device>(device: &Arc<D>) -> Result<OpenNsfw<D>> {
    let bytes = SharedBytes::new(afterimage_open_nsfw::WEIGHTS);
    let file = SafetensorsFile::parse(PathBuf::from("<open_nsfw>"), &bytes)?;
    let (_, source) = layout::checker(Arc::new(Component::single(Box::new(file))?))?;
    network(device, source)
}

fn network<D: Device>(device: &Arc<D>, source: LayoutSource) -> Result<OpenNsfw<D>> {
    OpenNsfw::load(device, &Scope::new(Arc::new(ScaledIntegers(source))))
}

/// The network's input. Yahoo's script has a JPEG round trip behind the resizing; left out, since it depends on the codec.
fn planes(picture: &Picture) -> Result<Vec<f32>> {
    let side = OPEN_NSFW_SIDE as u32;
    let corner = [(SQUARE - side) / 2; 2];
    let middle = resize_part(picture, Size::new(SQUARE, SQUARE), corner, Size::new(side, side), Filter::Bilinear)?;
    let channels = [2, 1, 0].into_iter().zip(MEAN);
    Ok(channels
        .flat_map(|(channel, mean)| {
            middle.rgb().iter().skip(channel).step_by(3).map(move |level| f32::from(*level) - mean)
        })
        .collect())
}
