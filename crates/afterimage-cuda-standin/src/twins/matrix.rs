//! Matrices among the parameters.

use crate::frame::LaunchFrame;
use crate::memory::AddressExtent;
use crate::status::Fault;

/// Rows of a matrix whose stride is a parameter.
pub(super) fn matrix(frame: &LaunchFrame, rows: &str, cols: &str, stride: &str) -> Result<AddressExtent, Fault> {
    let extent = AddressExtent::strided(frame.size(rows)?, frame.size(cols)?, frame.size(stride)?);
    if extent.stride < extent.cols && extent.rows > 1 {
        return Err(Fault::invalid(format!("{stride}: {} for rows of {} numbers", extent.stride, extent.cols)));
    }
    Ok(extent)
}
