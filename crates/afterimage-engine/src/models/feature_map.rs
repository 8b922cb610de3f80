//! Activations in planes on a device.

use super::vae::Tensor3;
use afterimage_core::Result;
use afterimage_device::{Device, Planes, Precision, View, ViewMut};

/// `[channels, height, width]` without gaps.
pub(super) struct FeatureMap<D: Device> {
    pub data: D::Buffer,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

impl<D: Device> FeatureMap<D> {
    pub fn allocate(device: &D, channels: usize, height: usize, width: usize) -> Result<Self> {
        let data = device.allocate(channels * height * width, Precision::Working)?;
        Ok(Self { data, channels, height, width })
    }

    pub fn upload(device: &D, tensor: Tensor3) -> Result<Self> {
        let Tensor3 { data, channels, height, width } = tensor;
        Ok(Self { data: device.upload(data)?, channels, height, width })
    }

    /// Waits for the device.
    pub fn read(&self, device: &D) -> Result<Tensor3> {
        let mut tensor = Tensor3::zeros(self.channels, self.height, self.width);
        device.read(self.view(), &mut tensor.data)?;
        Ok(tensor)
    }

    /// Pixels of a plane.
    pub fn pixels(&self) -> usize {
        self.height * self.width
    }

    pub fn planes(&self) -> Planes<'_, D::Buffer> {
        Planes { buffer: &self.data, channels: self.channels, height: self.height, width: self.width }
    }

    /// `[channels, pixels]`
    pub fn view(&self) -> View<'_, D::Buffer> {
        self.planes().view()
    }

    /// `[channels, pixels]`
    pub fn view_mut(&mut self) -> ViewMut<'_, D::Buffer> {
        let (channels, pixels) = (self.channels, self.pixels());
        ViewMut::new(&mut self.data, channels, pixels)
    }
}
