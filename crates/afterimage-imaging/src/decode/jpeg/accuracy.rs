//! How much the scans of a progressive file told of the lowest frequencies.

use super::scan::ScanPass;

/// Coefficients that can be estimated, the mean among them.
pub(super) const ESTIMATED: usize = 10;

/// How exactly a component's first coefficients in zigzag order are known: bits that are missing, -1 for all of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Accuracy([i8; ESTIMATED]);

impl Default for Accuracy {
    fn default() -> Self {
        Self([-1; ESTIMATED])
    }
}

impl Accuracy {
    /// Counts a scan in.
    pub(super) fn add(&mut self, pass: ScanPass) {
        let ((start, end), shift) = match pass {
            ScanPass::Sequential => ((0, 63), 0),
            ScanPass::DcFirst { shift } | ScanPass::DcRefinement { shift } => ((0, 0), shift),
            ScanPass::AcFirst { band, shift } | ScanPass::AcRefinement { band, shift } => (band, shift),
        };
        for bits in self.0.iter_mut().take(end + 1).skip(start) {
            *bits = shift as i8;
        }
    }

    /// Whether some scan told the means.
    pub(super) fn has_means(&self) -> bool {
        self.0[0] >= 0
    }

    /// Whether nothing is missing.
    pub(super) fn is_exact(&self) -> bool {
        self.0[1..] == [0; ESTIMATED - 1]
    }

    /// Whether no scan told anything but the means.
    pub(super) fn has_means_alone(&self) -> bool {
        self.0[1..].iter().all(|&bits| bits == -1)
    }

    /// Bits that are missing of the coefficient at place `index` in zigzag order, -1 for all of them.
    pub(super) fn missing_bits(&self, index: usize) -> i8 {
        self.0[index]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scans_add_up_to_exact_coefficients() {
        let mut accuracy = Accuracy::default();
        assert!(!accuracy.has_means());
        accuracy.add(ScanPass::DcFirst { shift: 1 });
        accuracy.add(ScanPass::AcFirst { band: (1, 5), shift: 0 });
        accuracy.add(ScanPass::AcFirst { band: (6, 63), shift: 2 });
        assert!(accuracy.has_means() && !accuracy.is_exact());
        accuracy.add(ScanPass::AcRefinement { band: (6, 63), shift: 1 });
        accuracy.add(ScanPass::AcRefinement { band: (6, 63), shift: 0 });
        assert!(accuracy.is_exact());
    }
}
