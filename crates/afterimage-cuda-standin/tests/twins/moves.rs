//! Copies, transpositions, 8-bit numbers with scales.

use crate::args;
use crate::support::*;

#[test]
fn copies_round_to_nearest_even() {
    for (x_kind, out_kind) in [("f32", "bf16"), ("bf16", "f32"), ("f32", "f32")] {
        let name = format!("copy.{x_kind}.{out_kind}");
        let card = PretendedCard::new("", &[&name]);
        let (rows, cols, x_stride, out_stride) = (3, 11, 13, 12);
        let mut x = noise(x_kind, rows * x_stride, 1);
        // Halfway between two bf16, below and above an odd one.
        x[..2].copy_from_slice(&[1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0]);
        let x = decode(x_kind, &encode(x_kind, &x));
        let out = card.room(rows * out_stride * width(out_kind));
        let arguments = args![
            x: at card.numbers(x_kind, &x), out: at out, rows: rows, cols: cols, x_stride: x_stride, out_stride: out_stride
        ];
        assert_eq!(card.launch(&name, [rows, cols.div_ceil(TILE)], &arguments), 0, "{}", card.complaint());
        let found = card.read(out_kind, out, rows * out_stride);
        for (found, x) in found.chunks(out_stride).zip(x.chunks(x_stride)) {
            assert_eq!(found[..cols], decode(out_kind, &encode(out_kind, &x[..cols])));
            assert!(found[cols..].iter().all(|value| value.is_nan()));
        }
        if out_kind == "bf16" {
            assert_eq!(found[..2], [1.0, 1.015_625]);
        }
    }
}

#[test]
fn transpositions_scale_shift_and_add() {
    for (affine, add) in [(false, false), (true, false), (true, true)] {
        let card = PretendedCard::new("strict", &["transpose.bf16.f32"]);
        let (rows, cols, x_stride, out_stride) = (9, 5, 7, 11);
        let (x, both) = (noise("bf16", rows * x_stride, 1), noise("f32", 2 * rows, 2));
        let old = noise("f32", cols * out_stride, 3);
        let mut expected = Vec::new();
        for col in 0..cols {
            for row in 0..rows {
                let (scale, shift) = if affine { (both[row], both[rows + row]) } else { (1.0, 0.0) };
                let value = f64::from(x[row * x_stride + col]) * f64::from(scale) + f64::from(shift);
                expected.push(value + if add { f64::from(old[col * out_stride + row]) } else { 0.0 });
            }
        }
        let out = if add { card.numbers("f32", &old) } else { card.room(4 * old.len()) };
        let arguments = args![
            x: at card.numbers("bf16", &x), affine: at if affine { card.numbers("f32", &both) } else { 0 }, out: at out,
            rows: rows, cols: cols, x_stride: x_stride, out_stride: out_stride, has_affine: usize::from(affine),
            add: usize::from(add)
        ];
        let grid = [rows.div_ceil(TILE), cols.div_ceil(TILE)];
        assert_eq!(card.launch("transpose.bf16.f32", grid, &arguments), 0, "{}", card.complaint());
        for (col, found) in card.read("f32", out, old.len()).chunks(out_stride).enumerate() {
            assert_close("f32", &found[..rows], &expected[col * rows..][..rows], "transpose");
        }
    }
}

#[test]
fn rows_become_integers_and_numbers_again() {
    let card = PretendedCard::new("strict", &["quantise.bf16.i8", "dequantise.f32"]);
    let (rows, cols, stride, out_stride) = (3, 21, 24, 22);
    let mut x = noise("bf16", rows * stride, 1);
    x[stride..2 * stride].fill(0.0);
    let (integers, scales) = (card.room(rows * cols), card.room(4 * rows));
    let arguments = args![
        x: at card.numbers("bf16", &x), out: at integers, scales: at scales, rows: rows, cols: cols, stride: stride
    ];
    assert_eq!(card.launch("quantise.bf16.i8", [rows, 1], &arguments), 0, "{}", card.complaint());
    let (found, found_scales) = (card.read("i8", integers, rows * cols), card.read("f32", scales, rows));
    let mut expected = Vec::new();
    for (row, x) in x.chunks(stride).enumerate() {
        let largest = x[..cols].iter().fold(0.0_f64, |largest, value| largest.max(f64::from(value.abs())));
        assert!((f64::from(found_scales[row]) - largest / 127.0).abs() < 1e-8);
        for (col, value) in x[..cols].iter().enumerate() {
            let integer = if largest > 0.0 { (f64::from(*value) * 127.0 / largest).round_ties_even() } else { 0.0 };
            assert!((f64::from(found[row * cols + col]) - integer).abs() < 0.5, "{row} {col}");
            expected.push(integer * largest / 127.0);
        }
    }
    let out = card.room(4 * rows * out_stride);
    let arguments =
        args![x: at integers, scales: at scales, out: at out, rows: rows, cols: cols, out_stride: out_stride];
    assert_eq!(card.launch("dequantise.f32", [rows, cols.div_ceil(TILE)], &arguments), 0, "{}", card.complaint());
    assert_rows("f32", &card.read("f32", out, rows * out_stride), out_stride, cols, &expected, "dequantise");
}

#[test]
fn rows_become_floats_of_eight_bits() {
    let card = PretendedCard::new("strict", &["quantise.f32.f8"]);
    let (rows, cols) = (4, 19);
    let x = noise("f32", rows * cols, 1);
    let (out, scales) = (card.room(rows * cols), card.room(4 * rows));
    let arguments =
        args![x: at card.numbers("f32", &x), out: at out, scales: at scales, rows: rows, cols: cols, stride: cols];
    assert_eq!(card.launch("quantise.f32.f8", [rows, 1], &arguments), 0, "{}", card.complaint());
    let (found, scales) = (card.read("f8", out, rows * cols), card.read("f32", scales, rows));
    for (row, (found, x)) in found.chunks(cols).zip(x.chunks(cols)).enumerate() {
        let largest = x.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
        assert!((scales[row] * 448.0 - largest).abs() < 1e-6);
        for (found, x) in found.iter().zip(x) {
            // The nearest of all there are.
            let wanted = x / scales[row];
            let nearest =
                (0..=255).map(f8).filter(|f| !f.is_nan()).map(|f| (f - wanted).abs()).fold(f32::MAX, f32::min);
            assert!((found - wanted).abs() <= nearest * 1.000_1 + 1e-4, "{found} for {wanted}");
        }
    }
}
