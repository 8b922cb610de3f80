//! What a model asks of the machine that computes it.
//!
//! A model is written once, against [`Device`]: about fifteen operations over buffers and weights that the device owns.
//! It is no tensor library: every operation is one that a diffusion model spends time in, with what surrounds it fused.
//!
//! | file | what |
//! |---|---|
//! | `device.rs` | the interface |
//! | `view.rs` | parts of buffers that operations read and write |
//! | `operation.rs` | the operations' arguments |
//! | `check.rs` | what fits what; every device asks it before it works |
//! | `host.rs` | buffers in the process's own memory |
//! | `kernel.rs` | arguments as `afterimage-kernels` takes them |
//! | `cpu/` | the processor, by `afterimage-kernels` |
//! | `plain/` | the oracle: obvious loops in f64 (feature `testing`) |
//! | `counted.rs` | another device's work, counted: what it would take at the machine's best speed |
//! | `recording.rs` | no numbers, only shapes, operations and bytes (feature `testing`) |
//! | `suite/` | what every device has to pass, with the plain one as oracle (feature `testing`) |

pub mod check;
mod counted;
mod cpu;
mod device;
mod host;
mod kernel;
mod operation;
mod view;

#[cfg(feature = "testing")]
mod plain;
#[cfg(feature = "testing")]
mod recording;
#[cfg(feature = "testing")]
pub mod suite;

pub use counted::{CountedDevice, WorkTally};
pub use cpu::{Cpu, Narrow};
pub use device::{Device, DeviceLimits, Precision, WorkTime};
pub use host::HostBuffer;
pub use operation::{
    Activation, Attention, AttentionBias, Combine, Convolution, Dense, Finish, GroupNorm, HeadNorm, LowRank, Movement,
    Norm, Prelude, Transpose,
};
pub use view::{DeviceBuffer, MatrixShape, Planes, RotaryShape, View, ViewMut};

#[cfg(feature = "testing")]
pub use plain::Plain;
#[cfg(feature = "testing")]
pub use recording::{Record, Recording, Tally};
