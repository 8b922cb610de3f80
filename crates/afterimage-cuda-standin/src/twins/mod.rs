//! What the kernels compute, on the host. Tiles do not matter here; bounds, grids and alignment do.
//!
//! | file | kernels |
//! |---|---|
//! | `product.rs` | `product` |
//! | `attention.rs` | `attention` |
//! | `norm.rs` | `norm`, `rotate_heads` |
//! | `group_norm.rs` | `group_norm.partial`, `group_norm.finish` |
//! | `planes.rs` | `convolve`, `max_pool` |
//! | `moves.rs` | `gather`, `copy`, `transpose` |
//! | `elementwise.rs` | `activate`, `combine`, `magnitudes.partial`, `magnitudes.finish` |
//! | `quantise.rs` | `quantise`, `dequantise` |
//!
//! `matrix.rs` is what several of them read parameters with.

mod attention;
mod elementwise;
mod group_norm;
mod matrix;
mod moves;
mod norm;
mod planes;
mod product;
mod quantise;

use crate::family::Family;
use crate::frame::{Launch, LaunchFrame};
use crate::grid;
use crate::memory::StandInMemory;
use crate::status::{Fault, StandInStatus};
use crate::written::Written;

/// Runs a kernel's twin; what it wrote.
pub(crate) fn run(launch: &Launch, memory: &mut StandInMemory, strict: bool) -> Result<Vec<Written>, Fault> {
    let name = &launch.variant.name;
    let named = |fault: Fault| Fault { message: format!("{name}: {}", fault.message), ..fault };
    let Some(family) = Family::of(name) else {
        return Err(named(Fault::new(StandInStatus::NOT_SUPPORTED, "there is no twin of this kernel")));
    };
    let mut frame = LaunchFrame::new(launch, memory, strict);
    grid::check(family, &frame).and_then(|()| frame.check_alignment()).map_err(named)?;
    let frame = &mut frame;
    match family {
        Family::Product { x, weight, few, out } => product::run(frame, x, weight, few, out),
        Family::Attention { x, bias, head } => attention::run(frame, x, bias, head),
        Family::Norm { kind, x, out } => norm::run(frame, kind, x, out),
        Family::RotateHeads { x } => norm::rotate(frame, x),
        Family::Convolve { x, weight, out } => planes::convolve(frame, x, weight, out),
        Family::GroupPartial { x } => group_norm::partial(frame, x),
        Family::GroupFinish => group_norm::finish(frame),
        Family::MaxPool { x } => planes::max_pool(frame, x),
        Family::Gather { weight, out } => moves::gather(frame, weight, out),
        Family::Copy { x, out } => moves::copy(frame, x, out),
        Family::Transpose { x, out } => moves::transpose(frame, x, out),
        Family::Activate { x } => elementwise::activate(frame, x),
        Family::Combine { y, x } => elementwise::combine(frame, y, x),
        Family::MagnitudesPartial { x, y } => elementwise::partial(frame, x, y),
        Family::MagnitudesFinish => elementwise::finish(frame),
        Family::Quantise { x, out } => quantise::quantise(frame, x, out),
        Family::Dequantise { out } => quantise::dequantise(frame, out),
    }
    .map_err(named)?;
    Ok(std::mem::take(&mut frame.written))
}
