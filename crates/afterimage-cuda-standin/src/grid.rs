//! How many blocks a launch has to have.

use crate::family::Family;
use crate::frame::LaunchFrame;
use crate::status::Fault;

/// Refuses a grid that does not cover the work, or more than it.
pub(crate) fn check(family: Family, frame: &LaunchFrame) -> Result<(), Fault> {
    let wanted = wanted(family, frame)?;
    let [x, y, z] = frame.launch.grid;
    if [u64::from(x), u64::from(y), u64::from(z)] == [wanted[0], wanted[1], 1] {
        return Ok(());
    }
    let [wanted_x, wanted_y] = wanted;
    Err(Fault::invalid(format!("grid {x} x {y} x {z}, expected {wanted_x} x {wanted_y} x 1")))
}

/// The grid of the contract.
fn wanted(family: Family, frame: &LaunchFrame) -> Result<[u64; 2], Fault> {
    let size = |name: &str| frame.size(name).map(|size| size as u64);
    let launch = frame.launch;
    let tiles = |count: u64, tile: &str| match launch.variant.tile(&launch.architecture, tile) {
        Some(tile) => Ok(count.div_ceil(u64::from(tile))),
        None => Err(Fault::invalid(format!("the table has no tile of {tile}"))),
    };
    Ok(match family {
        Family::Product { .. } => [tiles(size("rows")?, "rows")? * tiles(size("outputs")?, "outputs")?, 1],
        Family::Attention { .. } => {
            // One row of blocks a head; how many heads there are, only the grid tells.
            [tiles(size("queries")?, "rows")?, u64::from(launch.grid[1])]
        }
        Family::Norm { .. } | Family::Quantise { .. } | Family::MagnitudesPartial { .. } => [size("rows")?, 1],
        Family::RotateHeads { .. } => [size("tokens")?, tiles(size("heads")?, "heads")?],
        Family::Convolve { .. } => {
            let pixels = size("out_height")? * size("out_width")?;
            [tiles(pixels, "pixels")?, tiles(size("outputs")?, "outputs")?]
        }
        // How many groups there are, only the grid tells.
        Family::GroupPartial { .. } => [u64::from(launch.grid[0]), size("splits")?],
        Family::GroupFinish => [size("channels")?.div_ceil(size("channels_a_group")?.max(1)), 1],
        Family::MaxPool { .. } => {
            let pooled = size("channels")? * (size("height")? / 2) * (size("width")? / 2);
            [tiles(pooled, "numbers")?, 1]
        }
        Family::Transpose { .. } => [tiles(size("rows")?, "rows")?, tiles(size("cols")?, "cols")?],
        Family::Gather { .. }
        | Family::Copy { .. }
        | Family::Activate { .. }
        | Family::Combine { .. }
        | Family::Dequantise { .. } => [size("rows")?, tiles(size("cols")?, "cols")?],
        Family::MagnitudesFinish => [1, 1],
    })
}
