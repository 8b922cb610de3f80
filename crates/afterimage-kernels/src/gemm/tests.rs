use super::*;
use crate::plain;
use crate::simd::tiles::PlainTiles;
use afterimage_tensors::{Element, SharedBytes};
use half::{bf16, f16};
use proptest::prelude::*;

/// Numbers in −1..1 that look random and are the same every time.
pub fn noise(len: usize, seed: u32) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(12_345);
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn assert_close(got: &[f32], expected: &[f32], tolerance: f32, what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}");
    for (index, (got, expected)) in got.iter().zip(expected).enumerate() {
        let allowed = tolerance * expected.abs().max(1.0);
        assert!((got - expected).abs() <= allowed, "{what}, number {index}: {got}, expected {expected}");
    }
}

#[test]
fn odd_sizes_agree_with_the_plain_product() {
    for isa in Isa::available() {
        for (rows, cols, columns) in [
            (1, 1, 1),
            (2, 7, 5),
            (3, 600, 33),
            (4, 64, 129),
            (13, 65, 31),
            (25, 513, 97),
            (129, 130, 257),
            (65, 1025, 160),
            (14, 3073, 33),
            (5, 6200, 40),
        ] {
            let x = noise(rows * cols, 1);
            let weight = Matrix::from_f32(&noise(columns * cols, 2), columns, cols);
            let bias = noise(columns, 3);
            let mut out = vec![0.0; rows * columns];
            let x_rows = Rows { data: &x, rows, stride: cols };
            linear_on(isa, x_rows, &weight, Some(&bias), Finish::Store, RowsMut { data: &mut out, stride: columns });
            // Rounding grows with the square root of the depth.
            let tolerance = 1e-6 * (cols as f32).sqrt() + 1e-6;
            assert_close(
                &out,
                &plain::linear(&x, &weight, Some(&bias)),
                tolerance,
                &format!("{isa:?} {rows}x{cols}x{columns}"),
            );
        }
    }
}

/// So many that their panels are packed in two goes.
#[test]
fn very_many_rows_agree_with_the_plain_product() {
    let (rows, cols, columns) = (262_161, 32, 3);
    let x = noise(rows * cols, 13);
    let weight = Matrix::from_f32(&noise(columns * cols, 14), columns, cols);
    let mut out = vec![f32::NAN; rows * columns];
    let x_rows = Rows { data: &x, rows, stride: cols };
    linear_into(x_rows, &weight, None, Finish::Store, RowsMut { data: &mut out, stride: columns });
    assert_close(&out, &plain::linear(&x, &weight, None), 1e-5, "very many rows");
}

#[test]
fn finishes_agree_with_what_they_stand_for() {
    let (rows, cols, columns) = (29, 700, 70);
    let x = noise(rows * cols, 4);
    let weights: Vec<f32> = noise(columns * cols, 5).iter().map(|w| w * 0.05).collect();
    let weight = Matrix::from_f32(&weights, columns, cols);
    let (bias, gate, before) = (noise(columns, 6), noise(columns, 7), noise(rows * columns, 8));
    let y = plain::linear(&x, &weight, Some(&bias));
    let gelu = |x: f32| 0.5 * x * (1.0 + ((2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh());
    for isa in Isa::available() {
        for few in [rows, 2] {
            let run = |finish| {
                let mut out = before[..few * columns].to_vec();
                let x = Rows { data: &x, rows: few, stride: cols };
                linear_on(isa, x, &weight, Some(&bias), finish, RowsMut { data: &mut out, stride: columns });
                out
            };
            let expect = |f: &dyn Fn(usize) -> f32| (0..few * columns).map(f).collect::<Vec<_>>();
            assert_close(&run(Finish::Gelu), &expect(&|i| gelu(y[i])), 2e-5, "gelu");
            assert_close(&run(Finish::Add), &expect(&|i| before[i] + y[i]), 2e-5, "add");
            let gated = expect(&|i| before[i] + gate[i % columns] * y[i]);
            assert_close(&run(Finish::AddGated(&gate)), &gated, 2e-5, "gated");
        }
    }
}

#[test]
fn strided_rows_leave_the_gaps_alone() {
    let (rows, cols, columns, stride, out_stride) = (17, 20, 40, 27, 55);
    let x = noise(rows * stride, 9);
    let weight = Matrix::from_f32(&noise(columns * cols, 10), columns, cols);
    let view = Rows { data: &x[3..], rows, stride };
    for isa in Isa::available() {
        let mut out = vec![7.0; rows * out_stride];
        linear_on(isa, view, &weight, None, Finish::Store, RowsMut { data: &mut out[5..], stride: out_stride });
        for row in 0..rows {
            let expected = plain::linear(&x[3 + row * stride..][..cols], &weight, None);
            let line = &out[row * out_stride..][..out_stride];
            assert_close(&line[5..5 + columns], &expected, 1e-5, &format!("{isa:?} row {row}"));
            assert!(line[..5].iter().chain(&line[5 + columns..]).all(|value| value.to_bits() == 7.0_f32.to_bits()));
        }
    }
}

/// Stored numbers of a type, none of them NaN or infinite, with values of moderate size.
fn stored(element: Element, numbers: usize, seed: u32) -> Vec<u8> {
    // Where a block's scales (f16) stand.
    let scales: &[usize] = match element {
        Element::F32 | Element::Bf16 | Element::F16 => unreachable!("tested above"),
        Element::F8E4M3 | Element::F8E5M2 => &[],
        Element::Q8_0 | Element::Q4_0 | Element::Q5_0 | Element::Iq4Nl => &[0],
        Element::Q4_1 | Element::Q5_1 | Element::Q4K | Element::Q5K => &[0, 2],
        Element::Q2K => &[80, 82],
        Element::Q3K => &[108],
        Element::Q6K => &[208],
    };
    let mut bytes: Vec<u8> = noise(element.row_bytes(numbers).unwrap(), seed)
        .into_iter()
        .map(|value| (value * 128.0) as i8 as u8)
        // Exponents below the largest.
        .map(|byte| if scales.is_empty() { byte & 0xb7 } else { byte })
        .collect();
    // 1/128 to 1/64 of the largest scale of a group.
    let high = if element.block() > 32 { 0x0c } else { 0x20 };
    for block in bytes.chunks_exact_mut(element.block_bytes()) {
        for at in scales {
            block[at + 1] = high;
        }
    }
    bytes
}

#[test]
fn quantised_weights_are_multiplied_as_the_numbers_they_stand_for() {
    for element in Element::ALL.into_iter().filter(|element| element.block_bytes() == 1 || element.block() > 1) {
        // Widths whose slabs end inside a block, of whole slabs and of a single block; few rows and many.
        for (rows, cols, columns) in
            [(1, 32, 7), (3, 544, 33), (5, 32, 40), (13, 544, 65), (29, 1056, 70), (40, 512, 33), (6, 3136, 34)]
        {
            let cols = usize::next_multiple_of(cols, element.block());
            let matrix = |rows: usize, seed| {
                let bytes = SharedBytes::new(stored(element, rows * cols, seed));
                Matrix::new(bytes, element, rows, cols).unwrap()
            };
            // Two parts, one with a scale beside it.
            let weight = Matrix::stack(&[matrix(2, 20), matrix(columns - 2, 21).scaled(0.625)]).unwrap();
            let numbers = Matrix::from_f32(&weight.to_f32(), columns, cols);
            let (x, bias) = (noise(rows * cols, 22), noise(columns, 23));
            let expected = plain::linear(&x, &weight, Some(&bias));
            let tolerance = 4e-6 * (cols as f32).sqrt();
            for isa in Isa::available() {
                let run = |weight: &Matrix| {
                    let mut out = vec![0.0; rows * columns];
                    let x = Rows { data: &x, rows, stride: cols };
                    let target = RowsMut { data: &mut out, stride: columns };
                    linear_on(isa, x, weight, Some(&bias), Finish::Store, target);
                    out
                };
                let what = format!("{element:?} {isa:?} {rows}x{cols}x{columns}");
                let found = run(&weight);
                assert_eq!(found, run(&numbers), "{what}");
                assert_close(&found, &expected, tolerance, &what);
            }
        }
    }
}

/// Sums of rounded numbers, with every way to be narrow, every type, few slabs and many, ragged sizes.
#[test]
fn narrow_products_are_those_of_the_rounded_numbers() {
    let blocks = Element::ALL.into_iter().filter(|element| element.block() > 1);
    for element in blocks.chain([Element::F32]) {
        for (rows, cols, columns) in
            [(4, 32, 7), (5, 32, 40), (13, 544, 65), (29, 1056, 70), (40, 512, 33), (7, 3136, 34)]
        {
            let cols = usize::next_multiple_of(cols, element.block());
            let matrix = |rows: usize, seed| {
                let values: Vec<u8> = noise(rows * cols, seed).iter().flat_map(|value| value.to_le_bytes()).collect();
                let bytes = if element == Element::F32 { values } else { stored(element, rows * cols, seed) };
                Matrix::new(SharedBytes::new(bytes), element, rows, cols).unwrap()
            };
            let weight = Matrix::stack(&[matrix(2, 20), matrix(columns - 2, 21).scaled(0.625)]).unwrap();
            let (x, bias, gate) = (noise(rows * cols, 22), noise(columns, 23), noise(columns, 24));
            let before = noise(rows * columns, 25);
            let to_bf16 = |x: &[f32]| x.iter().map(|x| bf16::from_f32(*x).to_f32()).collect::<Vec<_>>();
            let product = if element == Element::F32 {
                let weight = Matrix::from_f32(&to_bf16(&weight.to_f32()), columns, cols);
                plain::linear(&to_bf16(&x), &weight, Some(&bias))
            } else {
                plain::linear(&plain::rounded_to_integers(&x, cols), &weight, Some(&bias))
            };
            let expected: Vec<f32> =
                before.iter().zip(&product).zip(gate.iter().cycle()).map(|((x, y), gate)| x + gate * y).collect();
            for isa in Isa::available() {
                let narrow = Narrow { integers: true, bf16: true };
                let term = Term { x: Rows { data: &x, rows, stride: cols }, weight: &weight };
                let mut out = before.clone();
                let target = RowsMut { data: &mut out, stride: columns };
                sum_on(isa, narrow, &[term], Some(&bias), Finish::AddGated(&gate), target);
                let what = format!("{element:?} {isa:?} {rows}x{cols}x{columns}");
                assert_close(&out, &expected, 4e-6 * (cols as f32).sqrt(), &what);
            }
        }
    }
}

/// Blocks of which some that follow each other have one factor, everywhere or but for a single one.
#[test]
fn blocks_with_one_factor_are_multiplied_as_the_others() {
    let (rows, cols, columns) = (29, 3200, 70);
    let x = noise(rows * cols, 50);
    for odd in [None, Some(37)] {
        let mut bytes = stored(Element::Q8_0, columns * cols, 51);
        for (block, bytes) in bytes.chunks_exact_mut(34).enumerate() {
            bytes[0] = (block / 4) as u8;
            if odd == Some(block) {
                bytes[0] ^= 0x80;
            }
        }
        let weight = Matrix::new(SharedBytes::new(bytes), Element::Q8_0, columns, cols).unwrap();
        let expected = plain::linear(&plain::rounded_to_integers(&x, cols), &weight, None);
        for isa in Isa::available() {
            let term = Term { x: Rows { data: &x, rows, stride: cols }, weight: &weight };
            let mut out = vec![f32::NAN; rows * columns];
            let target = RowsMut { data: &mut out, stride: columns };
            sum_on(isa, Narrow { integers: true, bf16: false }, &[term], None, Finish::Store, target);
            assert_close(&out, &expected, 4e-6 * (cols as f32).sqrt(), &format!("{isa:?} {odd:?}"));
        }
    }
}

/// Whole tiles of bf16 by the twin of their instructions: every instruction set's columns, ragged sizes, several slabs.
#[test]
fn tiles_multiply_as_the_rounded_numbers() {
    for (rows, cols, columns) in [(4, 1, 7), (5, 33, 40), (33, 64, 65), (70, 129, 31), (35, 3140, 33)] {
        let to_bf16 = |x: &[f32]| x.iter().map(|x| bf16::from_f32(*x).to_f32()).collect::<Vec<_>>();
        let (x, weights) = (noise(rows * cols, 40), noise(columns * cols, 41));
        let (bias, gate, before) = (noise(columns, 42), noise(columns, 43), noise(rows * columns, 44));
        let rounded = Matrix::from_f32(&to_bf16(&weights), columns, cols);
        let product = plain::linear(&to_bf16(&x), &rounded, Some(&bias));
        let expected: Vec<f32> =
            before.iter().zip(&product).zip(gate.iter().cycle()).map(|((x, y), gate)| x + gate * y).collect();
        let weight = Matrix::from_f32(&weights, columns, cols);
        for isa in Isa::available() {
            let mut out = before.clone();
            let product = Product {
                isa,
                narrow: Narrow { integers: false, bf16: true },
                terms: &[Term { x: Rows { data: &x, rows, stride: cols }, weight: &weight }],
                rows,
                columns,
                bias: Some(&bias),
                finish: Finish::AddGated(&gate),
                out: SharedOutput(out.as_mut_ptr()),
                out_stride: columns,
            };
            packed::run_with::<PlainTiles>(&product, true);
            assert_close(&out, &expected, 4e-6 * (cols as f32).sqrt(), &format!("{isa:?} {rows}x{cols}x{columns}"));
        }
    }
}

/// A damaged network has to be found out, whatever its numbers are rounded to.
#[test]
fn what_is_no_number_stays_none_when_rounded() {
    let (rows, cols, columns) = (7, 64, 20);
    let blocks = SharedBytes::new(stored(Element::Q8_0, columns * cols, 30));
    let weights = [
        Matrix::new(blocks, Element::Q8_0, columns, cols).unwrap(),
        Matrix::from_f32(&noise(columns * cols, 31), columns, cols),
    ];
    for (weight, odd) in weights.iter().flat_map(|weight| [(weight, f32::NAN), (weight, f32::INFINITY)]) {
        let mut x = noise(rows * cols, 32);
        x[5 * cols + 40] = odd;
        for isa in Isa::available() {
            let narrow = Narrow { integers: true, bf16: true };
            let term = Term { x: Rows { data: &x, rows, stride: cols }, weight };
            let mut out = vec![0.0; rows * columns];
            sum_on(isa, narrow, &[term], None, Finish::Store, RowsMut { data: &mut out, stride: columns });
            for (index, value) in out.iter().enumerate() {
                assert_eq!(value.is_finite(), index / columns != 5, "{isa:?} {odd} {index}: {value}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn stored_types_and_parts_do_not_matter(rows in 1_usize..40, cols in 1_usize..90, columns in 1_usize..80, cut in 0_usize..80) {
        let cut = cut.min(columns);
        let values: Vec<f32> = noise(columns * cols, 11).iter().map(|v| f16::from_f32(*v).to_f32()).collect();
        let upper: Vec<u8> = values[..cut * cols].iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect();
        let lower: Vec<f32> = values[cut * cols..].iter().map(|v| bf16::from_f32(*v).to_f32()).collect();
        let lower_bytes: Vec<u8> = lower.iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect();
        let matrix = Matrix::stack(&[
            Matrix::new(SharedBytes::new(upper), Element::F16, cut, cols).unwrap(),
            Matrix::new(SharedBytes::new(lower_bytes), Element::Bf16, columns - cut, cols).unwrap(),
        ]).unwrap();
        let whole = Matrix::from_f32(&[&values[..cut * cols], &lower[..]].concat(), columns, cols);
        let x = noise(rows * cols, 12);
        for isa in Isa::available() {
            let product = |weight: &Matrix| {
                let mut out = vec![0.0; rows * columns];
                let x = Rows { data: &x, rows, stride: cols };
                linear_on(isa, x, weight, None, Finish::Store, RowsMut { data: &mut out, stride: columns });
                out
            };
            prop_assert_eq!(product(&matrix), product(&whole), "{:?}", isa);
        }
    }
}
