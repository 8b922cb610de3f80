//! Which device a choice means: the only place that knows all of them.

use crate::options::{DeviceChoice, DtypeChoice};
use afterimage_core::{Error, Result};
use afterimage_device::{Cpu, Device, Narrow};
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

/// Does `work` on the device that `choice` means, with what `dtype` allows it to round.
///
/// # Errors
/// [`Error::Device`] when there is no such device, and those of `work`.
pub(crate) fn on_device<W: OnDevice>(choice: DeviceChoice, dtype: DtypeChoice, work: W) -> Result<W::Output> {
    match choice {
        DeviceChoice::Auto | DeviceChoice::Cpu => work.run(Arc::new(processor(dtype))),
        DeviceChoice::Cuda(_) | DeviceChoice::Metal => Err(Error::Device {
            device: choice.to_string(),
            problem: "this build computes on the processor only; use cpu or auto".to_owned(),
        }),
    }
}

/// The processor. bf16 products only where they are faster than f32. Integers where they are much faster, and where they
/// were asked for by name, since they say what the weights are.
fn processor(dtype: DtypeChoice) -> Cpu {
    let cpu = Cpu::detect();
    let (integers, bf16) = match dtype {
        DtypeChoice::F32 => (false, false),
        DtypeChoice::Auto => (cpu.has_integer_dots(), cpu.has_fast_bf16()),
        DtypeChoice::Bf16 => (false, cpu.has_fast_bf16()),
        DtypeChoice::Int8 => (true, cpu.has_fast_bf16()),
    };
    cpu.with_narrow(Narrow { integers, bf16 })
}
