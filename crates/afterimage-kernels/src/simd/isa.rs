//! Which instruction sets this machine has, as values that cannot be had for one that it has not.

use std::fmt;
use std::sync::OnceLock;

/// An instruction set that this machine has. A value is the proof of its detection, so operations that take one are safe;
/// it comes from [`Isa::detect`] or [`Isa::available`] and from nowhere else.
///
/// ```
/// use afterimage_kernels::simd::Isa;
/// assert!(Isa::available().contains(&Isa::detect()));
/// ```
///
/// Nobody can name one that was not detected:
///
/// ```compile_fail,E0603
/// let isa = afterimage_kernels::simd::isa::Isa(afterimage_kernels::simd::isa::Unit::Avx512);
/// ```
/// ```compile_fail,E0599
/// let isa = afterimage_kernels::simd::Isa::Avx512;
/// ```
/// ```compile_fail,E0599
/// let isa = afterimage_kernels::simd::Isa::NeonBf16;
/// ```
/// ```compile_fail,E0277
/// let isa: afterimage_kernels::simd::Isa = Default::default();
/// ```
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Isa(Unit);

/// The instruction sets that operations are compiled for, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Portable,
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// With dot products of 8-bit integers, on processors without AVX-512.
    #[cfg(target_arch = "x86_64")]
    Avx2Vnni,
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// With dot products of 8-bit integers.
    #[cfg(target_arch = "x86_64")]
    Avx512Vnni,
    /// With those, and dot products of bf16.
    #[cfg(target_arch = "x86_64")]
    Avx512Bf16,
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// With dot products of 8-bit integers.
    #[cfg(target_arch = "aarch64")]
    NeonDot,
    /// With those, and dot products of bf16.
    #[cfg(target_arch = "aarch64")]
    NeonBf16,
}

impl Isa {
    /// The best instruction set of this machine; `AFTERIMAGE_ISA` with a [name](Isa::name) picks a lesser one of those that
    /// were detected. A name that is not among them changes nothing.
    pub fn detect() -> Self {
        static BEST: OnceLock<Isa> = OnceLock::new();
        *BEST.get_or_init(|| Self::pick(std::env::var("AFTERIMAGE_ISA").ok().as_deref()))
    }

    fn pick(wanted: Option<&str>) -> Self {
        let found = Self::available();
        let named = found.iter().find(|isa| wanted == Some(isa.name()));
        named.or(found.last()).copied().unwrap_or(Self(Unit::Portable))
    }

    /// Every instruction set of this machine, the best last.
    pub fn available() -> Vec<Self> {
        #[cfg_attr(
            any(miri, not(any(target_arch = "x86_64", target_arch = "aarch64"))),
            expect(unused_mut, reason = "there is only one")
        )]
        let mut found = vec![Self(Unit::Portable)];
        // Miri has no vector units, and knows only some of their instructions.
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
            found.push(Self(Unit::Avx2));
            if is_x86_feature_detected!("avxvnni") {
                found.push(Self(Unit::Avx2Vnni));
            }
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl")
            {
                found.push(Self(Unit::Avx512));
                if is_x86_feature_detected!("avx512vnni") {
                    found.push(Self(Unit::Avx512Vnni));
                    if is_x86_feature_detected!("avx512bf16") {
                        found.push(Self(Unit::Avx512Bf16));
                    }
                }
            }
        }
        #[cfg(all(target_arch = "aarch64", not(miri)))]
        if std::arch::is_aarch64_feature_detected!("neon") {
            found.push(Self(Unit::Neon));
            if std::arch::is_aarch64_feature_detected!("dotprod") {
                found.push(Self(Unit::NeonDot));
                if std::arch::is_aarch64_feature_detected!("bf16") {
                    found.push(Self(Unit::NeonBf16));
                }
            }
        }
        found
    }

    /// `portable`; on x86-64 `avx2`, `avx2vnni`, `avx512`, `avx512vnni` or `avx512bf16`; on ARM of 64 bits `neon`, `neondot` or `neonbf16`.
    /// As `AFTERIMAGE_ISA` takes it.
    pub fn name(self) -> &'static str {
        match self.0 {
            Unit::Portable => "portable",
            #[cfg(target_arch = "x86_64")]
            Unit::Avx2 => "avx2",
            #[cfg(target_arch = "x86_64")]
            Unit::Avx2Vnni => "avx2vnni",
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512Vnni => "avx512vnni",
            #[cfg(target_arch = "x86_64")]
            Unit::Avx512Bf16 => "avx512bf16",
            #[cfg(target_arch = "aarch64")]
            Unit::Neon => "neon",
            #[cfg(target_arch = "aarch64")]
            Unit::NeonDot => "neondot",
            #[cfg(target_arch = "aarch64")]
            Unit::NeonBf16 => "neonbf16",
        }
    }

    /// Whether products of 8-bit integers have instructions of their own, several times as fast as those of f32.
    pub fn has_integer_dots(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return matches!(self.0, Unit::Avx2Vnni | Unit::Avx512Vnni | Unit::Avx512Bf16);
        #[cfg(target_arch = "aarch64")]
        return matches!(self.0, Unit::NeonDot | Unit::NeonBf16);
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        false
    }

    /// Whether there are instructions for products of bf16 numbers.
    pub fn has_bf16(self) -> bool {
        #[cfg(target_arch = "x86_64")]
        return self.0 == Unit::Avx512Bf16;
        #[cfg(target_arch = "aarch64")]
        return self.0 == Unit::NeonBf16;
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        false
    }

    /// Whether products of bf16 numbers are faster than those of f32. AMD's cores begin a `vdpbf16ps` of 512 bits a cycle, twice
    /// the work of their f32 units. Intel's begin one in two cycles, half the work of theirs: on Emerald Rapids (2 cores)
    /// products ran at 156 GFLOP/s, in f32 at 272. What is fast in bf16 there are tiles.
    pub fn has_fast_bf16(self) -> bool {
        self.has_fast_bf16_vectors() || self.has_tiles()
    }

    /// Whether products of vectors of bf16 numbers are faster than those of f32: what attention multiplies.
    pub fn has_fast_bf16_vectors(self) -> bool {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        return self.has_bf16() && !made_by_intel();
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        self.has_bf16()
    }

    /// Whether bf16 numbers are multiplied in whole tiles: AMX, which only Linux is asked for.
    pub fn has_tiles(self) -> bool {
        self.has_bf16() && super::tiles::available()
    }

    pub(super) fn unit(self) -> Unit {
        self.0
    }
}

/// Whether the processor says so.
#[cfg(all(target_arch = "x86_64", not(miri)))]
fn made_by_intel() -> bool {
    let vendor = std::arch::x86_64::__cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"GenuineIntel"
}

impl fmt::Debug for Isa {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_picks_among_the_detected_ones_and_raises_nothing() {
        let available = Isa::available();
        // `.ci/steps/neon.sh` and `.ci/emulate/kernels.sh` read it.
        println!("instruction sets: {available:?}");
        assert_eq!(available[0].name(), "portable");
        for isa in &available {
            assert_eq!(Isa::pick(Some(isa.name())), *isa);
            assert_eq!(isa.has_bf16(), ["avx512bf16", "neonbf16"].contains(&isa.name()), "{isa:?}");
            assert!(isa.has_bf16() || !isa.has_fast_bf16() && !isa.has_tiles(), "{isa:?}");
        }
        let best = *available.last().unwrap();
        for other in [None, Some(""), Some("avx1024"), Some("AVX2")] {
            assert_eq!(Isa::pick(other), best, "{other:?}");
        }
        for name in ["avx512", "neon", "neonbf16"] {
            if !available.iter().any(|isa| isa.name() == name) {
                assert_eq!(Isa::pick(Some(name)), best, "{name}");
            }
        }
    }
}
