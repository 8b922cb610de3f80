//! Every kernel's twin against the obvious loops in f64, on ragged sizes.

mod support;

#[path = "twins/attention.rs"]
mod attention;
#[path = "twins/elementwise.rs"]
mod elementwise;
#[path = "twins/moves.rs"]
mod moves;
#[path = "twins/norms.rs"]
mod norms;
#[path = "twins/planes.rs"]
mod planes;
#[path = "twins/products.rs"]
mod products;
