//! A weight matrix, wherever it is.

use super::kind::Layout;
use super::stream::{ArrivedBytes, StreamedWeight};
use crate::driver::Address;
use crate::memory::CardMemory;
use afterimage_core::Result;
use afterimage_device::MatrixShape;

/// A weight matrix as a device keeps it.
pub struct CudaWeight {
    pub(crate) rows: usize,
    pub(crate) cols: usize,
    pub(crate) layout: Layout,
    pub(crate) place: WeightPlace,
}

/// Where a weight is.
pub(crate) enum WeightPlace {
    /// In the card's memory.
    Resident(CardMemory),
    /// In pinned memory of the host.
    Streamed(StreamedWeight),
}

impl MatrixShape for CudaWeight {
    fn rows(&self) -> usize {
        self.rows
    }

    fn cols(&self) -> usize {
        self.cols
    }
}

/// The addresses of a weight's parts; 0 for those it has not.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WeightParts {
    pub values: Address,
    pub factors: Address,
    pub offsets: Address,
    pub row_scales: Address,
}

impl WeightParts {
    /// Of a weight that starts at `address`.
    pub fn at(address: Address, layout: &Layout) -> Self {
        let part = |start: Option<usize>| start.map_or(0, |start| address + start as u64);
        Self {
            values: address,
            factors: part(layout.factors),
            offsets: part(layout.offsets),
            row_scales: part(layout.row_scales),
        }
    }
}

/// A weight that may be worked with until this is dropped.
pub(crate) enum WeightInUse<'a> {
    Resident(WeightParts),
    Arrived(WeightParts, ArrivedBytes<'a>),
}

impl CudaWeight {
    /// The weight in the card's memory, for work that is asked for while the answer lives.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Device`].
    pub(crate) fn in_use(&self) -> Result<WeightInUse<'_>> {
        Ok(match &self.place {
            WeightPlace::Resident(memory) => WeightInUse::Resident(WeightParts::at(memory.address(), &self.layout)),
            WeightPlace::Streamed(streamed) => {
                let arrived = streamed.bring()?;
                WeightInUse::Arrived(WeightParts::at(arrived.address(), &self.layout), arrived)
            }
        })
    }
}

impl WeightInUse<'_> {
    pub fn parts(&self) -> WeightParts {
        match self {
            Self::Resident(parts) | Self::Arrived(parts, _) => *parts,
        }
    }

    /// To be called after the work was asked for.
    ///
    /// # Errors
    /// [`afterimage_core::Error::Device`].
    pub fn done(self) -> Result<()> {
        match self {
            Self::Resident(_) => Ok(()),
            Self::Arrived(_, arrived) => arrived.done(),
        }
    }
}
