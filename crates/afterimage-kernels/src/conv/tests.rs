use super::*;
use crate::gemm::tests::noise;
use crate::plain;
use afterimage_tensors::Matrix;

type Method = fn(Isa, &Convolution, Planes, &mut [f32]);

/// Runs `method` with every instruction set and every prelude against the plain convolution.
fn agrees(method: Method, [channels, outputs, kernel, height, width]: [usize; 5], movement: Movement) {
    let data = noise(channels * height * width, 31);
    let input = Planes { data: &data, channels, height, width };
    let depth = channels * kernel * kernel;
    let weight = Matrix::from_f32(&noise(outputs * depth, 32), outputs, depth);
    let (bias, scale, shift) = (noise(outputs, 33), noise(channels, 34), noise(channels, 35));
    for (prelude, add) in [(Prelude::None, true), (Prelude::AffineSilu { scale: &scale, shift: &shift }, false)] {
        let convolution = Convolution { weight: &weight, bias: &bias, kernel, movement, prelude, add };
        let size = outputs * movement.output_side(height) * movement.output_side(width);
        let before = noise(size, 36);
        let mut expected = before.clone();
        plain::convolve(&convolution, input, &mut expected);
        for isa in Isa::available() {
            let mut out = before.clone();
            method(isa, &convolution, input, &mut out);
            for (index, (got, expected)) in out.iter().zip(&expected).enumerate() {
                let allowed = 3e-5 * expected.abs().max(1.0);
                assert!(
                    (got - expected).abs() < allowed,
                    "{isa:?} {movement:?} {channels}x{height}x{width}, number {index}: {got}, expected {expected}"
                );
            }
        }
    }
}

#[test]
fn every_movement_agrees_with_the_plain_convolution() {
    for size @ [_, _, kernel, height, width] in [
        [3, 5, 3, 6, 10],
        [50, 13, 3, 9, 66],
        [7, 25, 1, 5, 131],
        [64, 12, 3, 2, 2],
        [1, 1, 3, 1, 1],
        [49, 3, 5, 4, 70],
        [10, 6, 7, 9, 133],
    ] {
        for movement in [Movement::Same, Movement::Halve, Movement::Strided, Movement::Double] {
            if movement != Movement::Halve || (kernel == 3 && height >= 2 && width >= 2) {
                agrees(direct::convolve, size, movement);
            }
        }
    }
}

#[test]
fn transformed_filters_agree_with_the_plain_convolution() {
    for size in [
        [1, 1, 3, 1, 1],
        [3, 5, 3, 6, 10],
        [5, 13, 3, 4, 4],
        [16, 16, 3, 16, 16],
        [20, 25, 3, 17, 67],
        [33, 7, 3, 70, 29],
        [4, 3, 3, 3, 131],
        [2, 2, 3, 131, 3],
    ] {
        for movement in [Movement::Same, Movement::Double] {
            agrees(winograd::convolve, size, movement);
        }
    }
}

/// Whichever way is taken, and the way that is taken where both are near.
#[test]
fn the_chosen_way_agrees_with_the_plain_convolution() {
    for size in [[15, 16, 3, 16, 16], [16, 16, 3, 16, 15], [16, 16, 3, 16, 16], [16, 16, 3, 8, 8], [17, 15, 3, 9, 40]] {
        for movement in [Movement::Same, Movement::Strided, Movement::Double] {
            agrees(|isa, convolution, input, out| convolution.run_on(isa, input, out), size, movement);
        }
    }
}

/// `(transformed, by definition)`: the errors against sums in f64, root mean square, as parts of the result.
fn errors(isa: Isa) -> (f64, f64) {
    let (channels, outputs, height, width) = (512, 12, 8, 32);
    let data = noise(channels * height * width, 41);
    let input = Planes { data: &data, channels, height, width };
    let weight = Matrix::from_f32(&noise(outputs * channels * 9, 42), outputs, channels * 9);
    let bias = vec![0.0; outputs];
    let prelude = Prelude::None;
    let convolution =
        Convolution { weight: &weight, bias: &bias, kernel: 3, movement: Movement::Same, prelude, add: false };
    let mut exact = vec![0.0; outputs * height * width];
    plain::convolve(&convolution, input, &mut exact);
    let power: f64 = exact.iter().map(|value| f64::from(*value).powi(2)).sum();
    let error = |method: Method| {
        let mut out = vec![0.0; exact.len()];
        method(isa, &convolution, input, &mut out);
        let squares = out.iter().zip(&exact).map(|(out, exact)| f64::from(out - exact).powi(2));
        (squares.sum::<f64>() / power).sqrt()
    };
    (error(winograd::convolve), error(direct::convolve))
}

#[test]
fn transforming_costs_few_bits() {
    for isa in Isa::available() {
        let (transformed, defined) = errors(isa);
        println!("{isa:?}: {transformed:.1e} transformed, {defined:.1e} by definition");
        assert!(transformed < 3e-6 && defined < 2e-6, "{isa:?}: {transformed}, {defined}");
    }
}

/// A task of another size, as more threads ask for, gives the same numbers.
#[test]
fn regions_do_not_matter() {
    let (channels, outputs, height, width) = (16, 16, 40, 72);
    let data = noise(channels * height * width, 51);
    let input = Planes { data: &data, channels, height, width };
    let weight = Matrix::from_f32(&noise(outputs * channels * 9, 52), outputs, channels * 9);
    let bias = noise(outputs, 53);
    let prelude = Prelude::None;
    let convolution =
        Convolution { weight: &weight, bias: &bias, kernel: 3, movement: Movement::Same, prelude, add: false };
    for isa in Isa::available() {
        let [one, many] = [1, 16].map(|threads| {
            let mut out = vec![0.0; outputs * height * width];
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| convolution.run_on(isa, input, &mut out));
            out
        });
        assert_eq!(one, many, "{isa:?}");
    }
}
