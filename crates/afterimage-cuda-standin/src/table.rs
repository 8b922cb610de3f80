//! The table of kernels that the build of the kernels writes, and how a cubin is known again.

use crate::status::{Fault, StandInStatus};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::sync::Arc;

/// A kernel for certain types and tiles.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StandInVariant {
    pub(crate) name: String,
    /// The function's name in the cubin.
    pub(crate) entry: String,
    /// Names and types, `*bf16` or `i32`, in order.
    pub(crate) params: Vec<(String, String)>,
    #[serde(default)]
    tile: BTreeMap<String, u32>,
    /// What integers have to be multiples of.
    #[serde(default)]
    pub(crate) multiples: BTreeMap<String, i32>,
    /// By architecture: `sm_90a`; `ptx` is text that the driver compiles.
    pub(crate) targets: BTreeMap<String, StandInTarget>,
}

/// A variant compiled for one architecture.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct StandInTarget {
    /// Of the cubin, before it was compressed.
    sha256: String,
    pub(crate) warps: u32,
    /// Bytes of dynamic shared memory.
    pub(crate) shared: u32,
    /// Where tiles differ between architectures.
    #[serde(default)]
    tile: Option<BTreeMap<String, u32>>,
}

impl StandInVariant {
    /// What stands for a product of a library: no cubin, and one block for all of it.
    pub(crate) fn of_library(name: String, params: Vec<(String, String)>) -> Self {
        let tile = ["rows", "outputs"].map(|side| (side.to_owned(), u32::MAX)).into();
        Self { name, entry: String::new(), params, tile, multiples: BTreeMap::new(), targets: BTreeMap::new() }
    }

    /// Whether pointers have to be multiples of 16 bytes, and integers of what `multiples` says.
    pub(crate) fn is_aligned(&self) -> bool {
        self.name.ends_with(".aligned")
    }

    /// How many of something a block works on.
    pub(crate) fn tile(&self, architecture: &str, what: &str) -> Option<u32> {
        let own = self.targets.get(architecture).and_then(|target| target.tile.as_ref());
        own.unwrap_or(&self.tile).get(what).copied().filter(|size| *size > 0)
    }
}

/// All variants, found by their cubins.
#[derive(Debug, Default)]
pub(crate) struct StandInTable {
    cubins: HashMap<String, (Arc<StandInVariant>, String)>,
}

#[derive(Deserialize)]
struct File {
    variants: Vec<StandInVariant>,
}

impl StandInTable {
    /// Reads a table's JSON.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let file: File = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let mut cubins = HashMap::new();
        // Where variants came out the same, the one that asks for less stands for all.
        let (aligned, others): (Vec<_>, Vec<_>) = file.variants.into_iter().partition(StandInVariant::is_aligned);
        for variant in aligned.into_iter().chain(others) {
            let variant = Arc::new(variant);
            for (architecture, target) in &variant.targets {
                let place = (Arc::clone(&variant), architecture.clone());
                cubins.insert(target.sha256.to_ascii_lowercase(), place);
            }
        }
        Ok(Self { cubins })
    }

    /// The variant whose cubin these bytes are, and its architecture, if a card of that `capability` runs it.
    pub(crate) fn identify(
        &self,
        image: &[u8],
        capability: (u32, u32),
    ) -> Result<(Arc<StandInVariant>, String), Fault> {
        let hash = hexadecimal(image);
        let Some((variant, architecture)) = self.cubins.get(&hash) else {
            let message = format!("a module of {} bytes is in no table (SHA-256 {hash})", image.len());
            return Err(Fault::new(StandInStatus::INVALID_IMAGE, message));
        };
        if !runs_on(architecture, capability) {
            let (major, minor) = capability;
            let message = format!("{} for {architecture} on a card of {major}.{minor}", variant.name);
            return Err(Fault::new(StandInStatus::NO_BINARY_FOR_GPU, message));
        }
        Ok((Arc::clone(variant), architecture.clone()))
    }
}

/// SHA-256 of some bytes.
pub fn hexadecimal(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Whether a card of a compute capability runs what was compiled for an architecture: the same generation and no older
/// member of it; `sm_90a` runs on 9.0 alone.
fn runs_on(architecture: &str, (major, minor): (u32, u32)) -> bool {
    if architecture == "ptx" {
        // Compiled for the oldest cards that the kernels know.
        return major >= 8;
    }
    let digits = architecture.trim_start_matches("sm_");
    let number = digits.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let Ok(compiled) = number.parse::<u32>() else { return false };
    let (compiled_major, compiled_minor) = (compiled / 10, compiled % 10);
    let exact = digits.ends_with('a');
    compiled_major == major && if exact { compiled_minor == minor } else { compiled_minor <= minor }
}

/// Bytes of an ELF file, of whose first 64 bytes (`header`) and tables the last reaches furthest; `None` when it is none.
/// `read` gives the bytes from an offset on.
pub(crate) fn image_length(read: impl Fn(usize, usize) -> Vec<u8>) -> Option<usize> {
    let header = read(0, 64);
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let wide = |bytes: &[u8], at: usize| {
        bytes.get(at..at + 8).map(|b| b.iter().rev().fold(0, |n, b| n << 8 | usize::from(*b)))
    };
    let short = |at: usize| usize::from(header[at]) | usize::from(header[at + 1]) << 8;
    let (programs, sections) = (wide(&header, 32)?, wide(&header, 40)?);
    let (program_bytes, section_bytes) = (short(54) * short(56), short(58) * short(60));
    let mut end = 64.max(programs + program_bytes).max(sections + section_bytes);
    for section in read(sections, section_bytes).chunks_exact(short(58).max(64)) {
        /// A section that takes no room in the file.
        const NO_BITS: u8 = 8;
        if section[4] != NO_BITS {
            end = end.max(wide(section, 24)? + wide(section, 32)?);
        }
    }
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cubins_run_on_their_generation() {
        assert!(runs_on("sm_80", (8, 0)) && runs_on("sm_80", (8, 9)) && runs_on("sm_89", (8, 9)));
        assert!(!runs_on("sm_89", (8, 6)) && !runs_on("sm_80", (9, 0)));
        assert!(runs_on("sm_90a", (9, 0)) && !runs_on("sm_90a", (10, 0)) && !runs_on("sm_120a", (12, 1)));
        assert!(runs_on("sm_120f", (12, 1)) && runs_on("sm_100a", (10, 0)) && !runs_on("other", (9, 0)));
        assert!(runs_on("ptx", (12, 1)) && !runs_on("ptx", (7, 5)));
    }
}
