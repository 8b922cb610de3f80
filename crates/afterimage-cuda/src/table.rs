//! The table of kernels that `kernels/build.py` wrote: which variants there are, and for which cards.

use afterimage_core::{Error, Result};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::OnceLock;

const TABLE: &str = include_str!("../kernels/table.json");

/// The archives of cubins, deflated one after the other, best first among those that a card can run.
const ARCHIVES: [(KernelTarget, &[u8]); 6] = [
    (KernelTarget::Sm120a, include_bytes!("../kernels/cubins/sm_120a.bin")),
    (KernelTarget::Sm100a, include_bytes!("../kernels/cubins/sm_100a.bin")),
    (KernelTarget::Sm90a, include_bytes!("../kernels/cubins/sm_90a.bin")),
    (KernelTarget::Sm89, include_bytes!("../kernels/cubins/sm_89.bin")),
    (KernelTarget::Sm80, include_bytes!("../kernels/cubins/sm_80.bin")),
    (KernelTarget::Ptx, include_bytes!("../kernels/cubins/ptx.bin")),
];

/// What kernels were compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize)]
pub enum KernelTarget {
    /// Ampere, and Ada where nothing of its own is needed: 8.0 to 8.9.
    #[serde(rename = "sm_80")]
    Sm80,
    /// Ada: what `sm_80` has not, 8-bit floats.
    #[serde(rename = "sm_89")]
    Sm89,
    /// Hopper, and no other.
    #[serde(rename = "sm_90a")]
    Sm90a,
    /// Blackwell for servers, and no other.
    #[serde(rename = "sm_100a")]
    Sm100a,
    /// Blackwell for workstations and players, and no other.
    #[serde(rename = "sm_120a")]
    Sm120a,
    /// Text that the driver compiles, for cards that nothing else is for.
    #[serde(rename = "ptx")]
    Ptx,
}

impl KernelTarget {
    /// Whether a card of this compute capability runs it. Cubins run within a generation, from their own revision on;
    /// those whose names end in `a` on one capability alone (CUDA C++ programming guide, binary compatibility).
    fn runs_on(self, capability: (u32, u32)) -> bool {
        match self {
            // Not the embedded 8.7, which shares no binaries with cards.
            Self::Sm80 => capability.0 == 8 && capability.1 != 7,
            Self::Sm89 => capability == (8, 9),
            Self::Sm90a => capability == (9, 0),
            Self::Sm100a => capability == (10, 0),
            Self::Sm120a => capability == (12, 0),
            Self::Ptx => capability >= (8, 0),
        }
    }
}

/// What a kernel wants for a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParameterKind {
    /// An address.
    Pointer,
    /// 32 bits, signed.
    Integer,
    /// f32.
    Float,
}

/// How large the parts are that a block works on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct Tile {
    /// Rows of the output, or queries.
    pub rows: u32,
    /// Outputs of a layer.
    pub outputs: u32,
    /// Columns.
    pub cols: u32,
    /// Pixels.
    pub pixels: u32,
    /// Heads.
    pub heads: u32,
    /// Numbers.
    pub numbers: u32,
}

#[derive(Deserialize)]
struct KernelTable {
    variants: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    entry: String,
    params: Vec<(String, String)>,
    /// Parameters that have to be multiples of something; pointers are then multiples of 16.
    #[serde(default)]
    multiples: HashMap<String, u64>,
    targets: HashMap<String, Built>,
}

/// One compiled variant for one target.
#[derive(Clone, Copy, Debug, Deserialize)]
pub(crate) struct Built {
    offset: usize,
    length: usize,
    size: usize,
    pub warps: u32,
    pub shared: u32,
    #[serde(default)]
    pub tile: Tile,
}

/// A variant that a card can run.
#[derive(Clone, Debug)]
pub(crate) struct KernelVariant {
    pub name: &'static str,
    pub entry: &'static str,
    pub parameters: Vec<ParameterKind>,
    /// What each argument has to be a multiple of, where this is a kernel for aligned operands.
    pub multiples: Vec<u64>,
    pub target: KernelTarget,
    pub built: Built,
}

fn table() -> Result<&'static [Listed]> {
    static PARSED: OnceLock<std::result::Result<KernelTable, String>> = OnceLock::new();
    let parsed = PARSED.get_or_init(|| serde_json::from_str(TABLE).map_err(|error| error.to_string()));
    match parsed {
        Ok(table) => Ok(&table.variants),
        Err(problem) => Err(Error::internal(format!("table of kernels: {problem}"))),
    }
}

/// The variants that a card of this compute capability can run, each for the best target.
///
/// # Errors
/// [`Error::Internal`] when the embedded table is damaged.
pub(crate) fn variants(capability: (u32, u32)) -> Result<Vec<KernelVariant>> {
    let targets: Vec<KernelTarget> =
        ARCHIVES.iter().map(|(target, _)| *target).filter(|t| t.runs_on(capability)).collect();
    let mut variants = Vec::new();
    for listed in table()? {
        let found = targets.iter().find_map(|target| Some((*target, *listed.targets.get(name_of(*target))?)));
        let Some((target, built)) = found else { continue };
        let parameters = listed.params.iter().map(|(_, kind)| match kind.as_str() {
            pointer if pointer.starts_with('*') => Ok(ParameterKind::Pointer),
            "i32" => Ok(ParameterKind::Integer),
            "f32" => Ok(ParameterKind::Float),
            other => Err(Error::internal(format!("table of kernels: {}: a parameter of type {other}", listed.name))),
        });
        let parameters: Vec<ParameterKind> = parameters.collect::<Result<_>>()?;
        let multiples = listed.params.iter().zip(&parameters).map(|((name, _), kind)| {
            let of_pointers = if *kind == ParameterKind::Pointer && !listed.multiples.is_empty() { 16 } else { 1 };
            listed.multiples.get(name).copied().unwrap_or(of_pointers).max(1)
        });
        variants.push(KernelVariant {
            name: &listed.name,
            entry: &listed.entry,
            multiples: multiples.collect(),
            parameters,
            target,
            built,
        });
    }
    Ok(variants)
}

fn name_of(target: KernelTarget) -> &'static str {
    match target {
        KernelTarget::Sm80 => "sm_80",
        KernelTarget::Sm89 => "sm_89",
        KernelTarget::Sm90a => "sm_90a",
        KernelTarget::Sm100a => "sm_100a",
        KernelTarget::Sm120a => "sm_120a",
        KernelTarget::Ptx => "ptx",
    }
}

/// A number for all kernels of this program: the table has the hash of each. FNV-1a of 64 bits: nobody is kept out by it.
pub(crate) fn fingerprint() -> u64 {
    TABLE.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The image of a variant as the driver takes it; PTX ends with a zero.
///
/// # Errors
/// [`Error::Internal`] when an embedded archive is damaged.
pub(crate) fn image(variant: &KernelVariant) -> Result<Vec<u8>> {
    let damaged = || Error::internal(format!("kernel {}: its archive is damaged", variant.name));
    let Built { offset, length, size, .. } = variant.built;
    let archive = ARCHIVES.iter().find(|(target, _)| *target == variant.target).map(|(_, bytes)| *bytes);
    let deflated = archive.and_then(|bytes| bytes.get(offset..offset.checked_add(length)?)).ok_or_else(damaged)?;
    let mut image = Vec::with_capacity(size + 1);
    let mut inflater = flate2::Decompress::new(false);
    inflater.decompress_vec(deflated, &mut image, flate2::FlushDecompress::Finish).map_err(|_| damaged())?;
    if image.len() != size {
        return Err(damaged());
    }
    if variant.target == KernelTarget::Ptx {
        image.push(0);
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variant_of_every_card_can_be_unpacked() {
        for capability in [(8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (12, 0), (12, 1), (13, 0)] {
            let found = variants(capability).unwrap();
            assert!(found.len() > 60, "{capability:?}: {}", found.len());
            for variant in &found {
                let image = image(variant).unwrap();
                let is_elf = image.starts_with(b"\x7fELF");
                assert_eq!(is_elf, variant.target != KernelTarget::Ptx, "{}", variant.name);
            }
        }
    }

    #[test]
    fn cards_get_what_was_made_for_them() {
        let target = |capability, name: &str| {
            variants(capability).unwrap().into_iter().find(|variant| variant.name == name).map(|variant| variant.target)
        };
        let product = "product.bf16.bf16.bf16";
        assert_eq!(target((8, 6), product), Some(KernelTarget::Sm80));
        assert_eq!(target((8, 9), product), Some(KernelTarget::Sm80));
        assert_eq!(target((8, 9), "product.f8.f8f8.bf16"), Some(KernelTarget::Sm89));
        assert_eq!(target((8, 0), "product.f8.f8f8.bf16"), None, "no 8-bit floats there");
        assert_eq!(target((9, 0), product), Some(KernelTarget::Sm90a));
        assert_eq!(target((12, 0), product), Some(KernelTarget::Sm120a));
        assert_eq!(target((12, 1), product), Some(KernelTarget::Ptx), "`a` cubins run on their own capability alone");
        assert_eq!(target((8, 7), product), Some(KernelTarget::Ptx));
        assert_eq!(target((7, 5), product), None);
    }
}
