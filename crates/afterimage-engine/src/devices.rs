//! Which device a choice means: the only place that knows all of them.

use crate::options::DeviceChoice;
use afterimage_core::{Error, Result};
use afterimage_device::{Cpu, Device};
use std::sync::Arc;

/// Work that is the same on every device.
pub(crate) trait OnDevice {
    /// What it leaves.
    type Output;

    /// Does it.
    ///
    /// # Errors
    /// Its own.
    fn run<D: Device>(self, device: Arc<D>) -> Result<Self::Output>;
}

/// Does `work` on the device that `choice` means.
///
/// # Errors
/// [`Error::Device`] when there is no such device, and those of `work`.
pub(crate) fn on_device<W: OnDevice>(choice: DeviceChoice, work: W) -> Result<W::Output> {
    match choice {
        DeviceChoice::Auto | DeviceChoice::Cpu => work.run(Arc::new(Cpu::detect())),
        DeviceChoice::Cuda(_) | DeviceChoice::Metal => Err(Error::Device {
            device: choice.to_string(),
            problem: "this build computes on the processor only; use cpu or auto".to_owned(),
        }),
    }
}
