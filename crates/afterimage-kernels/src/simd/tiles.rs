//! AMX: tiles of bf16 numbers that are multiplied whole (Intel, Architecture Instruction Set Extensions Programming Reference,
//! chapter 3).
//!
//! No machine of this work has it, and no emulator at hand does. So everything but the instructions is tried with a twin of
//! theirs in plain Rust, and a processor that offers them has to agree with the twin once before they are used.

/// Rows of a tile, and numbers of f32 in one of its rows.
pub const SIDE: usize = 16;
/// Rows of what is multiplied at once: two tiles.
pub const ROWS: usize = 2 * SIDE;

/// Multiplies tiles of bf16.
pub trait TileUnit: Copy + Send + Sync + 'static {
    /// `sums[i][j] = Σ_k a[i][k] · b[k][j]` for [`ROWS`] rows and `width` columns; `k` counts units of two numbers, of which
    /// both products are summed. `a` has `units` of them a row, `b` `width` a unit of depth, `sums` `width` numbers a row.
    ///
    /// # Safety
    /// The machine has the instructions, the pointers are valid for what is named, `units` is a multiple of [`SIDE`], and
    /// `width` is 16 or 32, with instructions 32.
    unsafe fn multiply(units: usize, a: *const u32, b: *const u32, width: usize, sums: *mut f32);
}

/// What the instructions do, in plain Rust.
#[derive(Clone, Copy)]
pub struct PlainTiles;

impl TileUnit for PlainTiles {
    unsafe fn multiply(units: usize, a: *const u32, b: *const u32, width: usize, sums: *mut f32) {
        for row in 0..ROWS {
            for column in 0..width {
                let mut sum = 0.0_f32;
                for unit in 0..units {
                    // SAFETY: the caller's promise.
                    let (x, y) = unsafe { (*a.add(row * units + unit), *b.add(unit * width + column)) };
                    sum += to_float(x) * to_float(y);
                    sum += to_float(x >> 16) * to_float(y >> 16);
                }
                // SAFETY: the caller's promise.
                unsafe { *sums.add(row * width + column) = sum };
            }
        }
    }
}

/// The number of bf16 that is the lower half of `unit`.
#[inline(always)]
fn to_float(unit: u32) -> f32 {
    f32::from_bits(unit << 16)
}

/// Whether this process may use the instructions and they do what the twin does; asked once.
pub fn available() -> bool {
    #[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
    {
        static AVAILABLE: std::sync::OnceLock<bool> = std::sync::OnceLock::new();
        // SAFETY: the instructions are there and allowed when they are tried.
        *AVAILABLE.get_or_init(|| amx::is_offered() && amx::is_allowed() && unsafe { agrees::<amx::Amx>() })
    }
    #[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
    false
}

/// Whether a unit multiplies as its twin does.
///
/// # Safety
/// The machine has its instructions.
#[cfg_attr(
    not(all(target_arch = "x86_64", target_os = "linux", not(miri))),
    allow(dead_code, reason = "only tests have something to try")
)]
unsafe fn agrees<T: TileUnit>() -> bool {
    const UNITS: usize = 3 * SIDE;
    const WIDTH: usize = 2 * SIDE;
    // Small integers in both halves: their products and sums are exact, in any order.
    let unit = |index: usize| {
        let number = |seed: usize| (((index * 37 + seed) % 15) as f32 - 7.0).to_bits() >> 16;
        number(3) | number(11) << 16
    };
    let a: Vec<u32> = (0..ROWS * UNITS).map(unit).collect();
    let b: Vec<u32> = (0..UNITS * WIDTH).map(|index| unit(index * 5 + 1)).collect();
    let (mut found, mut expected) = (vec![f32::NAN; ROWS * WIDTH], vec![0.0; ROWS * WIDTH]);
    // SAFETY: the buffers have the sizes; the instructions are the caller's promise.
    unsafe {
        T::multiply(UNITS, a.as_ptr(), b.as_ptr(), WIDTH, found.as_mut_ptr());
        PlainTiles::multiply(UNITS, a.as_ptr(), b.as_ptr(), WIDTH, expected.as_mut_ptr());
    }
    found == expected
}

/// What multiplies where tiles are [`available`].
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
pub type NativeTiles = amx::Amx;
/// Nothing does here.
#[cfg(not(all(target_arch = "x86_64", target_os = "linux", not(miri))))]
pub type NativeTiles = PlainTiles;

/// The instructions. Rust has none for them that are stable (rust-lang/rust#126622).
#[cfg(all(target_arch = "x86_64", target_os = "linux", not(miri)))]
mod amx {
    use super::{SIDE, TileUnit};
    use std::arch::asm;

    /// AMX-BF16.
    #[derive(Clone, Copy)]
    pub struct Amx;

    /// `tile_config`: palette 1; eight tiles of 16 rows of 64 bytes.
    #[repr(C, align(64))]
    struct TileConfig {
        palette: u8,
        start_row: u8,
        reserved: [u8; 14],
        row_bytes: [u16; 16],
        rows: [u8; 16],
    }

    static CONFIG: TileConfig = TileConfig {
        palette: 1,
        start_row: 0,
        reserved: [0; 14],
        row_bytes: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
        rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
    };

    impl TileUnit for Amx {
        /// Four tiles of sums, two of each operand: every tile that is read is multiplied twice.
        #[inline(always)]
        unsafe fn multiply(units: usize, a: *const u32, b: *const u32, width: usize, sums: *mut f32) {
            debug_assert_eq!(width, 2 * SIDE);
            let row_bytes = units * size_of::<u32>();
            // SAFETY: the caller promises the instructions, whole tiles, and pointers that are valid for all that is read and
            // written: 32 rows of `row_bytes` of `a`, `units` rows of 128 bytes of `b`, 32 rows of 128 bytes of `sums`. The
            // tiles are configured and released here, and nothing else of this program uses them.
            unsafe {
                asm!(
                    "ldtilecfg [{config}]",
                    "tilezero tmm0",
                    "tilezero tmm1",
                    "tilezero tmm2",
                    "tilezero tmm3",
                    "2:",
                    "tileloadd tmm4, [{a} + {a_stride}*1]",
                    "tileloadd tmm5, [{lower} + {a_stride}*1]",
                    "tileloadd tmm6, [{b} + {b_stride}*1]",
                    "tileloadd tmm7, [{b} + {b_stride}*1 + 64]",
                    "tdpbf16ps tmm0, tmm4, tmm6",
                    "tdpbf16ps tmm1, tmm4, tmm7",
                    "tdpbf16ps tmm2, tmm5, tmm6",
                    "tdpbf16ps tmm3, tmm5, tmm7",
                    "add {a}, 64",
                    "add {lower}, 64",
                    "add {b}, 2048",
                    "dec {steps}",
                    "jnz 2b",
                    "tilestored [{sums} + {b_stride}*1], tmm0",
                    "tilestored [{sums} + {b_stride}*1 + 64], tmm1",
                    "add {sums}, 2048",
                    "tilestored [{sums} + {b_stride}*1], tmm2",
                    "tilestored [{sums} + {b_stride}*1 + 64], tmm3",
                    "tilerelease",
                    config = in(reg) &raw const CONFIG,
                    a = inout(reg) a => _,
                    lower = inout(reg) a.byte_add(SIDE * row_bytes) => _,
                    a_stride = in(reg) row_bytes,
                    b = inout(reg) b => _,
                    b_stride = in(reg) 128_usize,
                    steps = inout(reg) units / SIDE => _,
                    sums = inout(reg) sums => _,
                    out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                    out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                    options(nostack),
                );
            }
        }
    }

    /// Whether processor and system offer tiles and products of bf16 in them.
    pub fn is_offered() -> bool {
        /// Leaf 7, EDX: AMX-BF16 and AMX-TILE.
        const FEATURES: u32 = 1 << 22 | 1 << 24;
        /// XCR0: the system saves the tiles' configuration and data.
        const SAVED: u32 = 1 << 17 | 1 << 18;
        /// Leaf 1, ECX: XCR0 can be read.
        const OSXSAVE: u32 = 1 << 27;
        let (most, first) = (std::arch::x86_64::__cpuid(0).eax, std::arch::x86_64::__cpuid(1));
        if most < 7 || first.ecx & OSXSAVE == 0 {
            return false;
        }
        let features = std::arch::x86_64::__cpuid_count(7, 0).edx;
        let saved: u32;
        // SAFETY: OSXSAVE says that the instruction is there; it writes these two registers only.
        unsafe {
            asm!("xgetbv", in("ecx") 0, out("eax") saved, out("edx") _, options(nomem, nostack, preserves_flags));
        };
        features & FEATURES == FEATURES && saved & SAVED == SAVED
    }

    /// Asks the system for the tiles' data, which it saves only for processes that did (Linux, `arch_prctl`).
    pub fn is_allowed() -> bool {
        const ARCH_REQ_XCOMP_PERM: i64 = 0x1023;
        const XFEATURE_XTILEDATA: i64 = 18;
        const SYS_ARCH_PRCTL: i64 = 158;
        let answer: i64;
        // SAFETY: the call changes nothing of this process but what it may use; a system call overwrites rcx and r11.
        unsafe {
            asm!(
                "syscall",
                inout("rax") SYS_ARCH_PRCTL => answer,
                in("rdi") ARCH_REQ_XCOMP_PERM,
                in("rsi") XFEATURE_XTILEDATA,
                out("rcx") _,
                out("r11") _,
                options(nostack),
            );
        }
        answer == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_that_multiplies_wrongly_is_found_out() {
        /// Forgets the upper numbers of the units.
        #[derive(Clone, Copy)]
        struct Wrong;
        impl TileUnit for Wrong {
            unsafe fn multiply(units: usize, a: *const u32, b: *const u32, width: usize, sums: *mut f32) {
                for index in 0..ROWS * width {
                    let (row, column) = (index / width, index % width);
                    let product = |unit: usize| {
                        // SAFETY: the caller's promise.
                        unsafe { to_float(*a.add(row * units + unit)) * to_float(*b.add(unit * width + column)) }
                    };
                    // SAFETY: the caller's promise.
                    unsafe { *sums.add(index) = (0..units).map(product).sum() };
                }
            }
        }
        // SAFETY: plain Rust.
        unsafe { assert!(agrees::<PlainTiles>() && !agrees::<Wrong>()) };
        println!("tiles: {}", available());
    }
}
