//! Functions of one number, combinations of two, magnitudes.

use crate::args;
use crate::support::*;

/// The error function by its series, for moderate arguments.
fn erf(x: f64) -> f64 {
    let mut term = x;
    let mut sum = x;
    for n in 1..60 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    sum * 2.0 / std::f64::consts::PI.sqrt()
}

#[test]
fn functions_follow_their_formulas() {
    for kind in ["f32", "bf16"] {
        let name = format!("activate.{kind}");
        for function in 0..5 {
            let card = PretendedCard::new("strict", &[&name]);
            let (rows, cols, stride) = (3, 17, 19);
            let x: Vec<f32> = noise("f32", rows * stride, 1).iter().map(|value| value * 3.0).collect();
            let x = decode(kind, &encode(kind, &x));
            let expected: Vec<f64> = x
                .iter()
                .enumerate()
                .map(|(place, value)| {
                    let x = f64::from(*value);
                    match function {
                        _ if place % stride >= cols => x,
                        0 => x / (1.0 + (-x).exp()),
                        1 => x / (1.0 + (-1.702 * x).exp()),
                        2 => 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt())),
                        3 => {
                            0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3))).tanh())
                        }
                        _ => x.max(0.0),
                    }
                })
                .collect();
            let address = card.numbers(kind, &x);
            let arguments = args![x: at address, rows: rows, cols: cols, stride: stride, function: function];
            assert_eq!(card.launch(&name, [rows, cols.div_ceil(TILE)], &arguments), 0, "{}", card.complaint());
            assert_close(kind, &card.read(kind, address, x.len()), &expected, &format!("function {function}"));
        }
    }
}

#[test]
fn combinations_add_and_multiply_rows_or_one_row() {
    for (how, y_stride) in [(0, 12), (1, 12), (0, 0), (1, 0)] {
        let card = PretendedCard::new("strict", &["combine.bf16.f32"]);
        let (rows, cols, x_stride, factor) = (4, 9, 11, -0.75_f32);
        let (x, y) = (noise("f32", rows * x_stride, 1), noise("bf16", rows * 12, 2));
        let expected: Vec<f64> = x
            .iter()
            .enumerate()
            .map(|(place, x)| {
                let (row, col) = (place / x_stride, place % x_stride);
                let (x, y) = (f64::from(*x), f64::from(y[(row * y_stride + col).min(47)]));
                match how {
                    _ if col >= cols => x,
                    0 => x + f64::from(factor) * y,
                    _ => x * y,
                }
            })
            .collect();
        let address = card.numbers("f32", &x);
        let arguments = args![
            y: at card.numbers("bf16", &y), x: at address, rows: rows, cols: cols, y_stride: y_stride, x_stride: x_stride,
            how: how, factor: float factor
        ];
        assert_eq!(card.launch("combine.bf16.f32", [rows, cols.div_ceil(TILE)], &arguments), 0, "{}", card.complaint());
        assert_close("f32", &card.read("f32", address, x.len()), &expected, "combine");
    }
}

#[test]
fn mean_magnitudes_take_two_steps() {
    let card = PretendedCard::new("strict", &["magnitudes.partial.f32.bf16", "magnitudes.finish"]);
    let (rows, cols, x_stride, y_stride) = (5, 13, 14, 17);
    let (x, y) = (noise("f32", rows * x_stride, 1), noise("bf16", rows * y_stride, 2));
    let pairs = (0..rows * cols).map(|place| {
        let (row, col) = (place / cols, place % cols);
        (f64::from(x[row * x_stride + col]), f64::from(y[row * y_stride + col]))
    });
    let count = (rows * cols) as f64;
    let change = pairs.clone().map(|(x, y)| (x - y).abs()).sum::<f64>() / count;
    let size = pairs.map(|(_, y)| y.abs()).sum::<f64>() / count;
    let (partial, out) = (card.room(8 * rows), card.room(8));
    let arguments = args![
        x: at card.numbers("f32", &x), y: at card.numbers("bf16", &y), partial: at partial, rows: rows, cols: cols,
        x_stride: x_stride, y_stride: y_stride
    ];
    assert_eq!(card.launch("magnitudes.partial.f32.bf16", [rows, 1], &arguments), 0, "{}", card.complaint());
    let arguments = args![partial: at partial, out: at out, rows: rows, count: float count as f32];
    assert_eq!(card.launch("magnitudes.finish", [1, 1], &arguments), 0, "{}", card.complaint());
    assert_close("f32", &card.read("f32", out, 2), &[change, size], "magnitudes");
}
