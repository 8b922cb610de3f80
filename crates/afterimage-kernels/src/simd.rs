//! Vector units: one small trait, an implementation per instruction set, chosen once at run time.
//!
//! An operation is written once, generic over [`Simd`], as a [`Kernel`]. [`dispatch`] runs it compiled for the best
//! instruction set of the machine (the habit of the memchr crate: only the outermost function carries
//! `#[target_feature]`, everything below is `#[inline(always)]`). Closures do not inherit target features, so work that
//! is spread over threads is dispatched inside each task.

mod isa;
#[cfg(target_arch = "aarch64")]
mod neon;
mod portable;
pub(crate) mod tiles;
mod vector;
#[cfg(target_arch = "x86_64")]
mod x86;

pub use isa::Isa;
use isa::Unit;
pub use portable::Portable;
pub(crate) use vector::nearest_bf16;
pub use vector::{Kernel, Simd};

/// Runs `kernel` with the best instruction set of this machine.
#[inline]
pub fn dispatch<K: Kernel>(kernel: K) -> K::Output {
    dispatch_on(Isa::detect(), kernel)
}

/// Runs `kernel` with `isa`; one without [`Kernel::DOTS`] with the next lesser instruction set that has no dot products of
/// narrow numbers, so that it is compiled fewer times.
#[inline]
pub fn dispatch_on<K: Kernel>(isa: Isa, kernel: K) -> K::Output {
    match isa.unit() {
        // SAFETY: plain Rust runs everywhere.
        Unit::Portable => unsafe { kernel.run::<Portable>() },
        #[cfg(target_arch = "x86_64")]
        // SAFETY: an `Isa` exists only for an instruction set that the processor reports, and those with dot products need
        // what the ones without need.
        unit => unsafe {
            match unit {
                Unit::Avx2Vnni if K::DOTS => x86::avx2_vnni(kernel),
                Unit::Avx512Vnni if K::DOTS => x86::avx512_vnni(kernel),
                Unit::Avx512Bf16 if K::DOTS => x86::avx512_bf16(kernel),
                Unit::Portable | Unit::Avx2 | Unit::Avx2Vnni => x86::avx2(kernel),
                Unit::Avx512 | Unit::Avx512Vnni | Unit::Avx512Bf16 => x86::avx512(kernel),
            }
        },
        #[cfg(target_arch = "aarch64")]
        // SAFETY: as there.
        unit => unsafe {
            match unit {
                Unit::NeonDot if K::DOTS => neon::neon_dot(kernel),
                Unit::NeonBf16 if K::DOTS => neon::neon_bf16(kernel),
                Unit::Portable | Unit::Neon | Unit::NeonDot | Unit::NeonBf16 => neon::neon(kernel),
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Evaluate<'a>(&'a [f32], fn_kind::Kind);

    mod fn_kind {
        #[derive(Clone, Copy)]
        pub enum Kind {
            Exp,
            Silu,
            Gelu,
        }
    }

    impl Kernel for Evaluate<'_> {
        type Output = Vec<f32>;

        #[inline(always)]
        unsafe fn run<S: Simd>(self) -> Vec<f32> {
            let mut out = vec![0.0; self.0.len()];
            for start in (0..self.0.len()).step_by(S::LANES) {
                // SAFETY: the tests pass multiples of 16 numbers.
                unsafe {
                    let x = S::load(self.0.as_ptr().add(start));
                    let y = match self.1 {
                        fn_kind::Kind::Exp => S::exp(x),
                        fn_kind::Kind::Silu => S::silu(x),
                        fn_kind::Kind::Gelu => S::gelu_tanh(x),
                    };
                    S::store(out.as_mut_ptr().add(start), y);
                }
            }
            out
        }
    }

    type Function = fn(f64) -> f64;

    #[test]
    fn functions_agree_with_f64() {
        let inputs: Vec<f32> = (0..4096).map(|i| (i as f32 - 2048.0) / 40.0).collect();
        let references: [(fn_kind::Kind, Function); 3] = [
            (fn_kind::Kind::Exp, f64::exp),
            (fn_kind::Kind::Silu, |x| x / (1.0 + (-x).exp())),
            (fn_kind::Kind::Gelu, |x| {
                0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
            }),
        ];
        for isa in Isa::available() {
            for (kind, reference) in references {
                for (x, y) in inputs.iter().zip(dispatch_on(isa, Evaluate(&inputs, kind))) {
                    let expected = reference(f64::from(*x));
                    let error = (f64::from(y) - expected).abs();
                    assert!(error <= 4e-7 * expected.abs() + 1e-6, "{isa:?} f({x}) = {y}, expected {expected}");
                }
            }
        }
    }

    /// Numbers from phases and back.
    struct Phases<'a>(&'a [f32]);

    impl Kernel for Phases<'_> {
        type Output = (Vec<f32>, Vec<f32>);

        #[inline(always)]
        unsafe fn run<S: Simd>(self) -> (Vec<f32>, Vec<f32>) {
            let (mut apart, mut together) = (vec![0.0; 4 * S::LANES], vec![0.0; 4 * S::LANES]);
            // SAFETY: the test hands over 64 numbers, `4 × LANES` at least.
            unsafe {
                let phases = S::deinterleave(self.0.as_ptr());
                for (index, vector) in S::interleave(phases).into_iter().enumerate() {
                    S::store(apart.as_mut_ptr().add(index * S::LANES), phases[index]);
                    S::store(together.as_mut_ptr().add(index * S::LANES), vector);
                }
            }
            (apart, together)
        }
    }

    #[test]
    fn phases_come_apart_and_together() {
        let numbers: Vec<f32> = (0..64_u8).map(f32::from).collect();
        for isa in Isa::available() {
            let (apart, together) = dispatch_on(isa, Phases(&numbers));
            let lanes = apart.len() / 4;
            for (at, number) in apart.iter().enumerate() {
                assert_eq!(number.to_bits(), numbers[4 * (at % lanes) + at / lanes].to_bits(), "{isa:?}, number {at}");
            }
            assert_eq!(together, numbers[..4 * lanes], "{isa:?}");
        }
    }

    /// Sums of one unit's products, a number for each lane; weights and numbers as the instruction set has them side by side.
    struct Units<'a>(&'a [i8], &'a [i8]);

    impl Kernel for Units<'_> {
        type Output = (usize, i32, Vec<f32>);

        #[inline(always)]
        unsafe fn run<S: Simd>(self) -> (usize, i32, Vec<f32>) {
            let unit = |integers: &[i8], shift: i32| {
                let wide = integers.iter().map(|integer| i32::from(*integer) + shift);
                wide.rev().fold(0, |unit, integer| match S::UNIT {
                    4 => unit << 8 | u32::from(integer as u8),
                    _ => unit << 16 | u32::from(integer as u16),
                })
            };
            let numbers = unit(&self.1[..S::UNIT], S::NUMBER_SHIFT);
            let of_weights = self.0.chunks(S::UNIT).take(S::LANES);
            let weights: Vec<u32> = of_weights.map(|weights| unit(weights, 0)).collect();
            let mut out = vec![0.0; S::LANES];
            // SAFETY: the test hands over 64 weights, `4 × LANES` at most.
            unsafe {
                let weights = S::load_units(weights.as_ptr());
                let dots = S::dot(weights, S::splat_unit(numbers), S::splat_sum(1000));
                S::store(out.as_mut_ptr(), S::sum_to_float(dots));
            }
            (S::UNIT, S::NUMBER_SHIFT, out)
        }
    }

    #[test]
    fn products_of_integers_are_exact_to_the_last_of_them() {
        let mut weights: [i8; 64] = std::array::from_fn(|index| (index * 37) as i8);
        weights[..8].fill(-128);
        weights[8..16].fill(127);
        for numbers in [[127_i8; 4], [-127; 4], [127, -127, 127, -127], [-127, -127, 127, 1]] {
            for isa in Isa::available() {
                let (unit, raised, sums) = dispatch_on(isa, Units(&weights, &numbers));
                for (sum, weights) in sums.iter().zip(weights.chunks(unit)) {
                    let products = weights
                        .iter()
                        .zip(numbers)
                        .map(|(weight, number)| i32::from(*weight) * (i32::from(number) + raised));
                    let expected = 1000 + products.sum::<i32>();
                    assert_eq!(*sum as i32, expected, "{isa:?} {weights:?} · {numbers:?}");
                }
            }
        }
    }

    #[test]
    fn exp_of_masked_scores_is_nearly_zero() {
        let inputs = [f32::NEG_INFINITY; 16];
        for isa in Isa::available() {
            assert!(dispatch_on(isa, Evaluate(&inputs, fn_kind::Kind::Exp)).iter().all(|y| (0.0..1e-37).contains(y)));
        }
    }

    #[test]
    fn what_is_no_number_stays_none() {
        for isa in Isa::available() {
            for kind in [fn_kind::Kind::Exp, fn_kind::Kind::Silu, fn_kind::Kind::Gelu] {
                assert!(dispatch_on(isa, Evaluate(&[f32::NAN; 16], kind)).iter().all(|y| y.is_nan()), "{isa:?}");
            }
        }
    }
}
