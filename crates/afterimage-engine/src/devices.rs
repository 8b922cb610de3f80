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
    fn run<D: Device>(&self, device: Arc<D>) -> Result<Self::Output>;
}

/// Does `work` on the device that `choice` means, with what `dtype` allows it to round.
///
/// # Errors
/// [`Error::Device`] when there is no such device, and those of `work`.
pub(crate) fn on_device<W: OnDevice>(choice: DeviceChoice, dtype: DtypeChoice, work: &W) -> Result<W::Output> {
    match choice {
        DeviceChoice::Auto => on_the_best(dtype, work),
        DeviceChoice::Cpu => work.run(Arc::new(processor(dtype)?)),
        #[cfg(feature = "gpu")]
        DeviceChoice::Cuda(number) => work.run(Arc::new(crate::cards::open(number, dtype)?)),
        #[cfg(not(feature = "gpu"))]
        DeviceChoice::Cuda(_) => Err(not_in_this_build(choice)),
        DeviceChoice::Metal => Err(not_in_this_build(choice)),
    }
}

/// A card where there is one that can do the work, else the processor; why not is said once in the log.
fn on_the_best<W: OnDevice>(dtype: DtypeChoice, work: &W) -> Result<W::Output> {
    #[cfg(feature = "gpu")]
    if let Some(card) = crate::cards::best(dtype) {
        let name = card.name().to_owned();
        match work.run(Arc::new(card)) {
            Ok(done) => return Ok(done),
            Err(error @ (Error::Device { .. } | Error::DeviceFailed { .. })) => {
                tracing::warn!(device = name, %error, "the card cannot be used; the processor works instead");
            }
            // Too small a card is one that cannot be used; what else is wrong is so everywhere.
            Err(error @ Error::ModelFile { .. }) => {
                let done = work.run(Arc::new(processor(dtype)?))?;
                tracing::warn!(device = name, %error, "the models do not fit the card; the processor works instead");
                return Ok(done);
            }
            Err(error) => return Err(error),
        }
    }
    work.run(Arc::new(processor(dtype)?))
}

/// The numbers of all cards that can be used, for who wants all of them.
///
/// # Errors
/// When there are none, saying why.
pub fn usable_cards() -> std::result::Result<Vec<usize>, String> {
    #[cfg(feature = "gpu")]
    return crate::cards::usable();
    #[cfg(not(feature = "gpu"))]
    Err("cards are not in this build; use cpu or auto".to_owned())
}

fn not_in_this_build(choice: DeviceChoice) -> Error {
    let problem = "is not in this build; use cpu or auto".to_owned();
    Error::Device { device: choice.to_string(), problem }
}

/// The processor. bf16 products only where they are faster than f32. Integers where they are much faster, and where they
/// were asked for by name, since they say what the weights are.
fn processor(dtype: DtypeChoice) -> Result<Cpu> {
    let cpu = Cpu::detect();
    let (integers, bf16) = match dtype {
        DtypeChoice::F32 => (false, false),
        DtypeChoice::Auto => (cpu.has_integer_dots(), cpu.has_fast_bf16()),
        DtypeChoice::Bf16 => (false, cpu.has_fast_bf16()),
        DtypeChoice::Int8 => (true, cpu.has_fast_bf16()),
        DtypeChoice::Fp8 => {
            let problem = "has no arithmetic of 8-bit floats; --dtype int8 is as narrow".to_owned();
            return Err(Error::Device { device: "cpu".to_owned(), problem });
        }
    };
    Ok(cpu.with_narrow(Narrow { integers, bf16 }))
}
