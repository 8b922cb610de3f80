//! NVIDIA cards as a [`Device`](afterimage_device::Device).
//!
//! The driver's library is loaded when the program runs, so that one program starts everywhere. Kernels are embedded, compiled
//! ahead of time from `kernels/*.py`; see `kernels/README.md` for what host and kernels agree on.
//!
//! | file | what |
//! |---|---|
//! | `driver/` | the driver's functions, one card's context, streams, modules |
//! | `table.rs` | which kernels there are, for which cards |
//! | `kernel_name.rs` | names of kernels in parts |
//! | `kernels.rs` | kernels loaded on a card, and their launches |
//! | `times.rs` | what each of them takes |
//! | `memory.rs` | the card's memory in pieces that are used again |
//! | `buffer.rs`, `weight/` | numbers and weights there |
//! | `cublaslt/` | products by NVIDIA's own library, where it is installed |
//! | `library_functions.rs` | how functions of libraries are found |
//! | `cuda.rs` | the device: a card that is open |
//! | `operations/` | each operation as launches |
//! | `selftest/` | every kernel against the plain device, on the user's own card |

mod buffer;
mod cublaslt;
mod cuda;
mod driver;
mod failure;
mod kernel_name;
mod kernels;
mod library_functions;
mod memory;
mod operations;
mod selftest;
mod table;
mod times;
mod weight;

pub use buffer::CudaBuffer;
pub use cuda::{Arithmetic, Cuda, CudaOptions};
pub use driver::{Card, Driver, DriverError};
pub use operations::{CudaQuantised, CudaRotary};
pub use selftest::{SelfTest, StruckKernel};
pub use table::KernelTarget;
pub use weight::CudaWeight;
