//! The functions that the library exports, under NVIDIA's names and with their parameters
//! (CUDA driver API reference); handles are numbers here.
//!
//! | file | what |
//! |---|---|
//! | `cards.rs` | the library itself, cards |
//! | `contexts.rs` | primary contexts |
//! | `allocations.rs` | device memory, pinned host memory |
//! | `copies.rs` | copies and fills |
//! | `streams.rs` | streams and events |
//! | `modules.rs` | cubins and their functions |
//! | `launch.rs` | `cuLaunchKernel` |
//! | `cublaslt.rs` | NVIDIA's library for products |
//! | `refused.rs` | what is not pretended: 801 |

/// Exported functions. Each is called through [`crate::driver::enter`], which counts it, lets it fail, and looks whether
/// it has what it needs.
macro_rules! entries {
    ($($(#[$doc:meta])* $needs:ident $name:ident($($argument:ident: $type:ty),* $(,)?)
        |$driver:pat_param, $card:pat_param| $body:block)*) => {$(
        $(#[$doc])*
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($argument: $type),*) -> i32 {
            crate::driver::enter(stringify!($name), crate::driver::CallNeeds::$needs, |$driver, $card| $body)
        }
    )*};
}

mod allocations;
mod cards;
mod contexts;
mod copies;
mod cublaslt;
mod launch;
mod modules;
mod refused;
mod streams;

pub use allocations::*;
pub use cards::*;
pub use contexts::*;
pub use copies::*;
pub use cublaslt::*;
pub use launch::*;
pub use modules::*;
pub use refused::*;
pub use streams::*;
