//! Yahoo's `open_nsfw` (2016): a residual network of 50 layers (He et al., 2015) with half the filters, its batch norms
//! folded into the convolutions. As in Caffe's ResNet-50, a stage's first 1×1 convolution has the stride, not its 3×3.

use super::feature_map::FeatureMap;
use super::vae::Tensor3;
use crate::layers::{Linear, vector};
use crate::weights::Scope;
use afterimage_core::{Error, Result};
use afterimage_device::{
    Activation, Convolution, Dense, Device, Finish, MatrixShape, Movement, Planes, Precision, Prelude, View, ViewMut,
};
use afterimage_tensors::Matrix;
use std::sync::Arc;

/// Blocks of each stage, and the width inside them; what leaves a block is four times as wide.
const STAGES: [(usize, usize); 4] = [(3, 32), (4, 64), (6, 128), (3, 256)];

/// Width of what enters the first stage.
const STEM: usize = 64;

/// Pixels of the square picture's side.
pub const OPEN_NSFW_SIDE: usize = 224;

/// Answers whether to stop; asked between blocks.
type Interrupted<'a> = &'a dyn Fn() -> Result<()>;

/// The network.
pub struct OpenNsfw<D: Device> {
    device: Arc<D>,
    stem: ConvolutionLayer<D>,
    blocks: Vec<BottleneckBlock<D>>,
    /// `[1, pixels]`: the mean of the last maps.
    mean: D::Weight,
    classifier: Linear<D>,
}

impl<D: Device> OpenNsfw<D> {
    /// Takes the tensors from `scope`: `NAME.weight` `[out, in, kernel, kernel]` and `NAME.bias` `[out]`.
    ///
    /// # Errors
    /// [`Error::Tensor`] for one that is missing or has another shape, and those of the device.
    pub fn load(device: &Arc<D>, scope: &Scope) -> Result<Self> {
        let mut blocks = Vec::new();
        let mut inputs = STEM;
        for (stage, (count, width)) in STAGES.into_iter().enumerate() {
            for number in 0..count {
                let scope = scope.at(format!("stage{}", stage + 1)).at(format!("block{}", number + 1));
                let movement = if number == 0 && stage > 0 { Movement::Strided } else { Movement::Same };
                blocks.push(BottleneckBlock::load(
                    device.as_ref(),
                    &scope,
                    inputs,
                    width,
                    (number == 0).then_some(movement),
                )?);
                inputs = 4 * width;
            }
        }
        // Halved by the stem, by its pool and by all stages but the first.
        let pixels = (OPEN_NSFW_SIDE >> (STAGES.len() + 1)).pow(2);
        Ok(Self {
            device: Arc::clone(device),
            stem: ConvolutionLayer::load(device.as_ref(), &scope.at("conv1"), [3, STEM], 7, Movement::Strided)?,
            blocks,
            mean: device.weight(&Matrix::from_f32(&vec![1.0 / pixels as f32; pixels], 1, pixels))?,
            classifier: Linear::load(device.as_ref(), &scope.at("fc"), inputs, 2)?,
        })
    }

    /// The logits of harmless and of not safe for work, of `pixels`: planes `[3, side, side]` of blue, green and red, the
    /// levels less 104, 117 and 123; `side` is [`OPEN_NSFW_SIDE`].
    ///
    /// # Errors
    /// [`Error::Internal`] when `pixels` has another length, what `interrupted` answers, and those of the device.
    pub fn logits(&self, pixels: Vec<f32>, interrupted: Interrupted) -> Result<[f32; 2]> {
        if pixels.len() != 3 * OPEN_NSFW_SIDE * OPEN_NSFW_SIDE {
            return Err(Error::internal(format!("{} numbers for 3 planes of {}", pixels.len(), OPEN_NSFW_SIDE)));
        }
        let device = self.device.as_ref();
        let picture = Tensor3 { data: pixels, channels: 3, height: OPEN_NSFW_SIDE, width: OPEN_NSFW_SIDE };
        let mut x = self.pooled_stem(picture)?;
        for block in &self.blocks {
            interrupted()?;
            x = block.run(device, x)?;
        }
        let mut features = device.allocate(x.channels, Precision::Exact)?;
        let mean = Dense { weight: &self.mean, bias: None, low_rank: None };
        device.product(x.view(), mean, Finish::Store, ViewMut::new(&mut features, x.channels, 1))?;
        let features = View::vector(&features, 0, x.channels);
        let logits = self.classifier.apply(device, features, Finish::Store, Precision::Exact)?;
        let mut values = [0.0; 2];
        device.read(View::vector(&logits, 0, 2), &mut values)?;
        Ok(values)
    }

    /// What enters the first stage: a quarter of each side.
    fn pooled_stem(&self, picture: Tensor3) -> Result<FeatureMap<D>> {
        let device = self.device.as_ref();
        let stem = self.stem.activated(device, &FeatureMap::upload(device, picture)?)?;
        let mut x = FeatureMap::allocate(device, stem.channels, stem.height / 2, stem.width / 2)?;
        device.max_pool(stem.planes(), x.view_mut())?;
        Ok(x)
    }

    /// What enters the first stage and what leaves each, of a picture as [`OpenNsfw::logits`] takes it, whose sides may be
    /// any multiples of 32.
    #[cfg(test)]
    pub(crate) fn stages(&self, picture: Tensor3) -> Result<Vec<Tensor3>> {
        let device = self.device.as_ref();
        let mut x = self.pooled_stem(picture)?;
        let mut stages = vec![x.read(device)?];
        let mut blocks = self.blocks.iter();
        for (count, _) in STAGES {
            for block in blocks.by_ref().take(count) {
                x = block.run(device, x)?;
            }
            stages.push(x.read(device)?);
        }
        Ok(stages)
    }
}

/// A convolution with a bias.
struct ConvolutionLayer<D: Device> {
    weight: D::Weight,
    bias: D::Buffer,
    kernel: usize,
    movement: Movement,
}

impl<D: Device> ConvolutionLayer<D> {
    fn load(
        device: &D,
        scope: &Scope,
        [inputs, outputs]: [usize; 2],
        kernel: usize,
        movement: Movement,
    ) -> Result<Self> {
        Ok(Self {
            weight: device.convolution_weight(&scope.kernel("weight", &[outputs, inputs, kernel, kernel])?)?,
            bias: vector(device, scope, "bias", outputs)?,
            kernel,
            movement,
        })
    }

    /// A new map.
    fn run(&self, device: &D, x: &FeatureMap<D>) -> Result<FeatureMap<D>> {
        let (height, width) = (self.movement.output_side(x.height), self.movement.output_side(x.width));
        let mut out = FeatureMap::allocate(device, self.weight.rows(), height, width)?;
        self.run_into(device, x, false, &mut out)?;
        Ok(out)
    }

    /// A new map, ReLU applied.
    fn activated(&self, device: &D, x: &FeatureMap<D>) -> Result<FeatureMap<D>> {
        let mut out = self.run(device, x)?;
        device.activate(Activation::Relu, out.view_mut())?;
        Ok(out)
    }

    fn run_into(&self, device: &D, x: &FeatureMap<D>, add: bool, out: &mut FeatureMap<D>) -> Result<()> {
        let (bias, movement) = (View::vector(&self.bias, 0, self.weight.rows()), self.movement);
        let convolution =
            Convolution { weight: &self.weight, bias, kernel: self.kernel, movement, prelude: Prelude::None, add };
        // A 1×1 convolution knows no neighbours: maps of a few pixels a row are one long row for it, which fills vectors.
        let input = if self.kernel == 1 && movement == Movement::Same {
            Planes { buffer: &x.data, channels: x.channels, height: 1, width: x.pixels() }
        } else {
            x.planes()
        };
        device.convolve(convolution, input, out.view_mut())
    }
}

/// 1×1, 3×3 and 1×1 beside a shortcut.
struct BottleneckBlock<D: Device> {
    reduce: ConvolutionLayer<D>,
    middle: ConvolutionLayer<D>,
    expand: ConvolutionLayer<D>,
    /// Of a stage's first block.
    shortcut: Option<ConvolutionLayer<D>>,
}

impl<D: Device> BottleneckBlock<D> {
    /// `first` is how a stage's first block moves; the others keep their input's size.
    fn load(device: &D, scope: &Scope, inputs: usize, width: usize, first: Option<Movement>) -> Result<Self> {
        let layer = |name: &str, sides, kernel, movement| {
            ConvolutionLayer::load(device, &scope.at(name), sides, kernel, movement)
        };
        let movement = first.unwrap_or(Movement::Same);
        Ok(Self {
            reduce: layer("conv1", [inputs, width], 1, movement)?,
            middle: layer("conv2", [width, width], 3, Movement::Same)?,
            expand: layer("conv3", [width, 4 * width], 1, Movement::Same)?,
            shortcut: first.map(|movement| layer("shortcut", [inputs, 4 * width], 1, movement)).transpose()?,
        })
    }

    fn run(&self, device: &D, x: FeatureMap<D>) -> Result<FeatureMap<D>> {
        let inside = self.middle.activated(device, &self.reduce.activated(device, &x)?)?;
        let mut out = match &self.shortcut {
            Some(shortcut) => shortcut.run(device, &x)?,
            None => x,
        };
        self.expand.run_into(device, &inside, true, &mut out)?;
        device.activate(Activation::Relu, out.view_mut())?;
        Ok(out)
    }
}
