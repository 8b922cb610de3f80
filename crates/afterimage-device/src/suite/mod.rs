//! What every device has to pass: each operation on ragged sizes, offsets and strides, compared number by number, gaps
//! included, with the plain device. [`crate::device_suite`] makes a test of each.
//!
//! | file | what |
//! |---|---|
//! | `agreement.rs` | a device beside the plain one |
//! | `placed.rs` | matrices somewhere in a buffer |
//! | `products.rs` | matrix products, attention |
//! | `norms.rs` | norms, rotation, group norms |
//! | `planes.rs` | convolutions, pooling, transpositions |
//! | `moves.rs` | copies, gathers, quantisation, elementwise operations, magnitudes |
//! | `refusals.rs` | what does not fit |

mod agreement;
mod moves;
mod norms;
mod placed;
mod planes;
mod products;
mod refusals;

pub use moves::{activations, combinations, copies, gathers, magnitudes, quantised_rows};
pub use norms::{group_norms, norms, rotations};
pub use planes::{convolutions, poolings, transpositions};
pub use products::{attentions, integer_products, products};
pub use refusals::refusals;

/// A module `$name` with a test of every operation for each device of the expression, a list.
#[macro_export]
macro_rules! device_suite {
    ($name:ident, $devices:expr) => {
        mod $name {
            use super::*;
            use $crate::suite;

            $crate::device_suite!(@tests $devices; copies gathers quantised_rows activations combinations magnitudes
                products integer_products attentions norms rotations group_norms convolutions poolings transpositions refusals);
        }
    };
    (@tests $devices:expr; $($operation:ident)*) => {
        $(
            #[test]
            fn $operation() {
                for device in $devices {
                    suite::$operation(&device);
                }
            }
        )*
    };
}
