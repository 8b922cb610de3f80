//! How models ask for their tensors.

use afterimage_core::{Error, Result};
use afterimage_tensors::{Element, Matrix, StoredTensor};
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

/// What weights take of memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// Bytes that are read where their file is mapped.
    pub mapped: u64,
    /// Bytes of numbers that are copied or converted.
    pub copied: u64,
    /// Mapped bytes of the largest tensor.
    pub largest: u64,
}

impl Footprint {
    /// Bytes that are in memory once everything was read.
    pub fn bytes(&self) -> u64 {
        self.mapped + self.copied
    }

    /// Both together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            mapped: self.mapped + other.mapped,
            copied: self.copied + other.copied,
            largest: self.largest.max(other.largest),
        }
    }
}

/// How a device keeps numbers: the bytes of so many that are stored as an element; `None`: as they are stored.
pub type KeptBytes<'a> = &'a dyn Fn(Element, usize) -> Option<u64>;

/// Where a component's tensors come from. Names are canonical: BFL's for the FLUX transformer, diffusers' for the VAE
/// and Redux, transformers' without `text_model.` or `vision_model.` for the encoders.
pub trait TensorSource: Send + Sync {
    /// The file or folder, for messages.
    fn path(&self) -> PathBuf;

    /// Whether the tensor is there.
    fn has(&self, name: &str) -> bool;

    /// The blocks of rows that, stacked along the first dimension, are the canonical tensor `name` of `shape`.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing, or has another shape or an unusable type.
    fn rows(&self, name: &str, shape: &[usize]) -> Result<Vec<StoredTensor>>;

    /// What [`TensorSource::rows`] of `name`, or of a vector [`TensorSource::values`], will take of memory on a device.
    ///
    /// # Errors
    /// Those of [`TensorSource::rows`].
    fn footprint(&self, name: &str, shape: &[usize], kept: KeptBytes<'_>) -> Result<Footprint> {
        let blocks = self.rows(name, shape)?;
        // Vectors are made f32 on the host.
        if shape.len() < 2 {
            let numbers: usize = blocks.iter().map(StoredTensor::numbers).sum();
            return Ok(Footprint { copied: 4 * numbers as u64, ..Footprint::default() });
        }
        let bytes =
            |block: &StoredTensor| kept(block.element(), block.numbers()).unwrap_or_else(|| block.bytes().len() as u64);
        let mapped = blocks.iter().map(bytes).sum();
        Ok(Footprint { mapped, copied: 0, largest: mapped })
    }

    /// The canonical tensor `name` of `shape` as f32, for what is not multiplied as a matrix.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or different, or holds a number that is not finite.
    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        // Asked for first: once the source has such a tensor, the shape is one that fits into memory.
        let blocks = self.rows(name, shape)?;
        let mut values = vec![0.0; shape.iter().product()];
        let mut rest = values.as_mut_slice();
        for block in blocks {
            let (out, behind) = std::mem::take(&mut rest)
                .split_at_mut_checked(block.numbers())
                .ok_or_else(|| Error::internal(format!("{name}: more numbers than {shape:?}")))?;
            block.read(out);
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(Error::internal(format!("{name}: fewer numbers than {shape:?}")));
        }
        if values.iter().fold(false, |none, value| none | !value.is_finite()) {
            return Err(Error::Tensor {
                path: self.path(),
                tensor: name.to_owned(),
                expected: "finite numbers".to_owned(),
                found: "NaN or infinity".to_owned(),
            });
        }
        Ok(values)
    }
}

/// A [`TensorSource`] with a prefix: what a model's constructor takes.
#[derive(Clone)]
pub struct Scope {
    source: Arc<dyn TensorSource>,
    prefix: String,
}

impl Scope {
    /// The root of `source`.
    pub fn new(source: Arc<dyn TensorSource>) -> Self {
        Self { source, prefix: String::new() }
    }

    /// The same scope over what `wrap` makes of its source.
    #[must_use]
    pub fn over(&self, wrap: impl FnOnce(Arc<dyn TensorSource>) -> Arc<dyn TensorSource>) -> Self {
        Self { source: wrap(Arc::clone(&self.source)), prefix: self.prefix.clone() }
    }

    /// The scope `name` inside this one: `scope.at("layers").at(3)` finds `layers.3.…`.
    #[must_use]
    pub fn at(&self, name: impl Display) -> Self {
        Self { source: Arc::clone(&self.source), prefix: format!("{}{name}.", self.prefix) }
    }

    /// The full name of `name` in this scope.
    pub fn full_name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// What the tensor `name` of `shape` will take of memory on a device.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or different.
    pub fn footprint(&self, name: &str, shape: &[usize], kept: KeptBytes<'_>) -> Result<Footprint> {
        self.source.footprint(&self.full_name(name), shape, kept)
    }

    /// Whether the tensor is there.
    pub fn has(&self, name: &str) -> bool {
        self.source.has(&self.full_name(name))
    }

    /// A matrix `[rows, cols]` in its stored type; trailing dimensions of 1 (1×1 convolutions) are ignored.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or different.
    pub fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<Matrix> {
        self.kernel(name, &[rows, cols])
    }

    /// A tensor of `shape` as the matrix `[first side, product of the others]`: the kernel of a convolution `[outputs,
    /// inputs, height, width]`, one row for each output.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or different.
    pub fn kernel(&self, name: &str, shape: &[usize]) -> Result<Matrix> {
        let full_name = self.full_name(name);
        let blocks = self.source.rows(&full_name, shape)?;
        let rows = shape.first().copied().unwrap_or(1);
        let cols: usize = shape.iter().skip(1).product();
        let parts: Option<Vec<Matrix>> = blocks.into_iter().map(|block| block.matrix(cols)).collect();
        parts
            .and_then(|parts| Matrix::stack(&parts))
            .filter(|matrix| matrix.rows() == rows)
            .ok_or_else(|| Error::internal(format!("{full_name}: stored blocks do not make {rows} x {cols}")))
    }

    /// A tensor of any `shape` as f32.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or different.
    pub fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        self.source.values(&self.full_name(name), shape)
    }

    /// A vector of `len` numbers as f32.
    ///
    /// # Errors
    /// [`Error::Tensor`] when it is missing or different.
    pub fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>> {
        self.values(name, &[len])
    }
}
