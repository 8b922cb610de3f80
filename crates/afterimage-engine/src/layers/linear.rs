//! Linear layers, on the host as they are stored and on a device.

use super::adapter::{Adapter, Additions, LayerPlace};
use crate::weights::Scope;
use crate::weights::lora::AppliedLoras;
use afterimage_core::{Error, Result};
use afterimage_device::{Dense, Device, Finish, MatrixShape, Precision, View, ViewMut};
use afterimage_tensors::Matrix;
use std::ops::Range;
use std::sync::Arc;

/// A linear layer as its file holds it. Stacking and cutting copy nothing.
#[derive(Clone, Debug)]
pub struct StoredLinear {
    weight: Matrix,
    bias: Option<Vec<f32>>,
    /// Where its outputs come from, in their order.
    places: Vec<LayerPlace>,
}

impl StoredLinear {
    /// Reads `weight` `[outputs, inputs]` and `bias` `[outputs]`.
    ///
    /// # Errors
    /// [`Error::Tensor`] when one is missing or different.
    pub fn read(scope: &Scope, inputs: usize, outputs: usize) -> Result<Self> {
        let weight = scope.matrix("weight", outputs, inputs)?;
        Ok(Self::new(scope, weight, Some(scope.vector("bias", outputs)?)))
    }

    /// Reads `weight` `[outputs, inputs]`; there is no bias.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or different.
    pub fn read_without_bias(scope: &Scope, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self::new(scope, scope.matrix("weight", outputs, inputs)?, None))
    }

    /// Reads `weight` of `shape`, the kernel of a convolution that moves by its own size, and `bias` if there is to be one: a
    /// linear layer over unfolded patches.
    ///
    /// # Errors
    /// [`Error::Tensor`] when one is missing or different.
    pub fn read_patches(scope: &Scope, shape: &[usize], with_bias: bool) -> Result<Self> {
        let weight = scope.kernel("weight", shape)?;
        let bias = with_bias.then(|| scope.vector("bias", weight.rows())).transpose()?;
        Ok(Self::new(scope, weight, bias))
    }

    fn new(scope: &Scope, weight: Matrix, bias: Option<Vec<f32>>) -> Self {
        let layer = scope.full_name("").trim_end_matches('.').to_owned();
        let places = vec![LayerPlace { layer, rows: 0..weight.rows(), is_f32: weight.is_f32() }];
        Self { weight, bias, places }
    }

    /// The outputs of `layers`, which read the same input, side by side: one product instead of several.
    ///
    /// # Errors
    /// [`Error::Internal`] when their inputs differ.
    pub fn stack(layers: &[Self]) -> Result<Self> {
        let weights: Vec<Matrix> = layers.iter().map(|layer| layer.weight.clone()).collect();
        let weight = Matrix::stack(&weights).ok_or_else(|| Error::internal("layers of different inputs"))?;
        let bias: Option<Vec<&[f32]>> = layers.iter().map(|layer| layer.bias.as_deref()).collect();
        let places = layers.iter().flat_map(|layer| layer.places.clone()).collect();
        Ok(Self { weight, bias: bias.map(|parts| parts.concat()), places })
    }

    /// The layer that computes only the outputs in `range`.
    #[must_use]
    pub fn outputs(&self, range: Range<usize>) -> Self {
        let (mut places, mut first) = (Vec::new(), 0);
        for place in &self.places {
            let (start, end) = (range.start.max(first), range.end.min(first + place.rows.len()));
            if start < end {
                let rows = place.rows.start + start - first..place.rows.start + end - first;
                places.push(LayerPlace { rows, ..place.clone() });
            }
            first += place.rows.len();
        }
        let bias = self.bias.as_ref().map(|bias| bias[range.clone()].to_vec());
        Self { weight: self.weight.row_range(range), bias, places }
    }

    /// The layer on a device.
    ///
    /// # Errors
    /// Those of the device.
    pub fn upload<D: Device>(self, device: &D) -> Result<Linear<D>> {
        let bias = self.bias.map(|bias| device.upload(bias).map(Arc::new)).transpose()?;
        Ok(Linear { weight: Arc::new(device.weight(&self.weight)?), bias, adapter: None, places: self.places.into() })
    }
}

/// `y = x · weightᵀ + bias` (torch's `nn.Linear`), and what adapters add to it. Copies share everything.
pub struct Linear<D: Device> {
    weight: Arc<D::Weight>,
    bias: Option<Arc<D::Buffer>>,
    adapter: Option<Arc<Adapter<D>>>,
    places: Arc<[LayerPlace]>,
}

impl<D: Device> Clone for Linear<D> {
    fn clone(&self) -> Self {
        let Self { weight, bias, adapter, places } = self;
        Self { weight: Arc::clone(weight), bias: bias.clone(), adapter: adapter.clone(), places: Arc::clone(places) }
    }
}

impl<D: Device> Linear<D> {
    /// Reads `weight` `[outputs, inputs]` and `bias` `[outputs]`.
    ///
    /// # Errors
    /// [`Error::Tensor`] when one is missing or different, and those of the device.
    pub fn load(device: &D, scope: &Scope, inputs: usize, outputs: usize) -> Result<Self> {
        StoredLinear::read(scope, inputs, outputs)?.upload(device)
    }

    /// The layer with what `loras` add to it, on the same weights. What adapters added before is not there.
    ///
    /// # Errors
    /// Those of the device.
    pub fn with_loras(&self, device: &D, loras: AppliedLoras) -> Result<Self> {
        let additions = Additions::find(&self.places, self.weight.cols(), loras);
        if additions.is_empty() {
            return Ok(Self { adapter: None, ..self.clone() });
        }
        let bias = match &self.bias {
            Some(buffer) => {
                let mut values = vec![0.0; self.weight.rows()];
                device.read(View::vector(buffer, 0, self.weight.rows()), &mut values)?;
                Some(values)
            }
            None => None,
        };
        let bias = match additions.bias(bias) {
            Some(sums) => Some(Arc::new(device.upload(sums)?)),
            None => self.bias.clone(),
        };
        Ok(Self { bias, adapter: additions.adapter(device)?.map(Arc::new), ..self.clone() })
    }

    /// The weights `[outputs, inputs]` on the device.
    pub fn weight(&self) -> &D::Weight {
        &self.weight
    }

    /// `x [rows, inputs]`, finished into `out [rows, outputs]`.
    ///
    /// # Errors
    /// Those of the device.
    pub fn apply_into(
        &self,
        device: &D,
        x: View<D::Buffer>,
        finish: Finish<D::Buffer>,
        out: ViewMut<D::Buffer>,
    ) -> Result<()> {
        let bias = self.bias.as_ref().map(|bias| View::vector(bias.as_ref(), 0, self.weight.rows()));
        let low_rank = self.adapter.as_ref().map(|adapter| adapter.low_rank());
        device.product(x, Dense { weight: self.weight.as_ref(), bias, low_rank }, finish, out)
    }

    /// `x [rows, inputs]`, finished into a new `[rows, outputs]`, which the finish must not read.
    ///
    /// # Errors
    /// Those of the device.
    pub fn apply(
        &self,
        device: &D,
        x: View<D::Buffer>,
        finish: Finish<D::Buffer>,
        precision: Precision,
    ) -> Result<D::Buffer> {
        let outputs = self.weight.rows();
        let mut out = device.allocate(x.rows * outputs, precision)?;
        self.apply_into(device, x, finish, ViewMut::new(&mut out, x.rows, outputs))?;
        Ok(out)
    }

    /// Adds the layer's output for `x [rows, inputs]` to `out [rows, outputs]` without gaps.
    ///
    /// # Errors
    /// Those of the device.
    pub fn add_to(&self, device: &D, x: View<D::Buffer>, out: &mut D::Buffer) -> Result<()> {
        self.apply_into(device, x, Finish::Add, ViewMut::new(out, x.rows, self.weight.rows()))
    }
}
