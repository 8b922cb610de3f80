//! Norms of rows and heads, group norms.

use crate::args;
use crate::support::*;

/// Mean and biased variance.
fn moments(x: &[f32]) -> (f64, f64) {
    let count = x.len() as f64;
    let mean = x.iter().map(|value| f64::from(*value)).sum::<f64>() / count;
    (mean, x.iter().map(|value| (f64::from(*value) - mean).powi(2)).sum::<f64>() / count)
}

fn mean_square(x: &[f32]) -> f64 {
    x.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / x.len() as f64
}

#[test]
fn norms_of_rows_follow_their_formulas() {
    for norm in ["layer", "modulated", "rms"] {
        for (x_kind, out_kind) in [("f32", "f32"), ("f32", "bf16"), ("bf16", "bf16")] {
            let name = format!("norm.{norm}.{x_kind}.{out_kind}");
            let (rows, cols, x_stride, out_stride) = (5, 37, 40, 39);
            let card = PretendedCard::new("strict", &[&name]);
            let x: Vec<f32> = noise("f32", rows * x_stride, 1).iter().map(|value| value * 3.0 + 2.0).collect();
            let x = decode(x_kind, &encode(x_kind, &x));
            let (a, b, epsilon) = (noise("f32", cols, 2), noise("f32", cols, 3), 1e-3_f32);
            let mut expected = Vec::new();
            for row in x.chunks(x_stride) {
                let row = &row[..cols];
                let (mean, spread) = if norm == "rms" { (0.0, mean_square(row)) } else { moments(row) };
                for (i, value) in row.iter().enumerate() {
                    let normal = (f64::from(*value) - mean) / (spread + f64::from(epsilon)).sqrt();
                    let (a, b) = (f64::from(a[i]), f64::from(b[i]));
                    expected.push(match norm {
                        "layer" => normal * a + b,
                        "modulated" => normal * (1.0 + a) + b,
                        _ => normal * a,
                    });
                }
            }
            let out = card.room(rows * out_stride * width(out_kind));
            let b = if norm == "rms" { 0 } else { card.numbers("f32", &b) };
            let arguments = args![
                x: at card.numbers(x_kind, &x), a: at card.numbers("f32", &a), b: at b, out: at out, rows: rows, cols: cols,
                x_stride: x_stride, out_stride: out_stride, epsilon: float epsilon
            ];
            assert_eq!(card.launch(&name, [rows, 1], &arguments), 0, "{}", card.complaint());
            assert_rows(out_kind, &card.read(out_kind, out, rows * out_stride), out_stride, cols, &expected, &name);
        }
    }
}

#[test]
fn heads_are_normed_and_rotated_in_place() {
    for kind in ["f32", "bf16"] {
        let name = format!("rotate_heads.{kind}");
        let (tokens, heads, head_dim, stride, first) = (7, 3, 10, 35, 2);
        let card = PretendedCard::new("strict", &[&name]);
        let x = noise(kind, tokens * stride, 1);
        let (weight, epsilon) = (noise("f32", head_dim, 2), 1e-3_f32);
        let half = head_dim / 2;
        let (cosines, sines) = (noise("f32", (tokens + first) * half, 3), noise("f32", (tokens + first) * half, 4));
        let mut expected: Vec<f64> = x.iter().map(|value| f64::from(*value)).collect();
        for token in 0..tokens {
            for head in 0..heads {
                let start = token * stride + head * head_dim;
                let factor = 1.0 / (mean_square(&x[start..][..head_dim]) + f64::from(epsilon)).sqrt();
                for pair in 0..half {
                    let [a, b] =
                        [0, 1].map(|i| f64::from(x[start + 2 * pair + i]) * factor * f64::from(weight[2 * pair + i]));
                    let place = (first + token) * half + pair;
                    let (cosine, sine) = (f64::from(cosines[place]), f64::from(sines[place]));
                    expected[start + 2 * pair] = a * cosine - b * sine;
                    expected[start + 2 * pair + 1] = b * cosine + a * sine;
                }
            }
        }
        let address = card.numbers(kind, &x);
        let mut arguments = args![
            x: at address, weight: at card.numbers("f32", &weight), cosines: at card.numbers("f32", &cosines),
            sines: at card.numbers("f32", &sines), tokens: tokens, heads: heads, head_dim: head_dim, stride: stride,
            epsilon: float epsilon, first_token: first
        ];
        assert_eq!(card.launch(&name, [tokens, heads.div_ceil(TILE)], &arguments), 0, "{}", card.complaint());
        assert_close(kind, &card.read(kind, address, x.len()), &expected, &name);
        arguments.pop();
        arguments.extend(args![first_token: first + 1]);
        assert_eq!(card.launch(&name, [tokens, 1], &arguments), 700, "beyond the table of angles");
        assert!(card.complaint().contains("cosines"), "{}", card.complaint());
    }
}

#[test]
fn group_norms_come_to_a_scale_and_a_shift() {
    for kind in ["f32", "bf16"] {
        let partial = format!("group_norm.partial.{kind}");
        let card = PretendedCard::new("strict", &[&partial, "group_norm.finish"]);
        let (groups, per_group, pixels, splits) = (3, 4, 35, 11);
        let channels = groups * per_group;
        // A large mean shows whether the variance cancels.
        let input: Vec<f32> = noise("f32", channels * pixels, 1).iter().map(|value| value + 50.0).collect();
        let input = decode(kind, &encode(kind, &input));
        let (weight, bias, epsilon) = (noise("f32", channels, 2), noise("f32", channels, 3), 1e-3_f32);
        let parts = card.room(4 * groups * splits * 3);
        let arguments = args![
            input: at card.numbers(kind, &input), partial: at parts, pixels: pixels, channels_a_group: per_group, splits: splits
        ];
        assert_eq!(card.launch(&partial, [groups, splits], &arguments), 0, "{}", card.complaint());
        let out = card.room(4 * 2 * channels);
        let arguments = args![
            partial: at parts, weight: at card.numbers("f32", &weight), bias: at card.numbers("f32", &bias), out: at out,
            channels: channels, channels_a_group: per_group, splits: splits, epsilon: float epsilon
        ];
        assert_eq!(card.launch("group_norm.finish", [groups, 1], &arguments), 0, "{}", card.complaint());
        let found = card.read("f32", out, 2 * channels);
        for channel in 0..channels {
            let group = channel / per_group;
            let (mean, variance) = moments(&input[group * per_group * pixels..][..per_group * pixels]);
            let scale = f64::from(weight[channel]) / (variance + f64::from(epsilon)).sqrt();
            let shift = f64::from(bias[channel]) - mean * scale;
            let close =
                |found: f32, expected: f64| (f64::from(found) - expected).abs() < 1e-5 * expected.abs().max(1.0);
            assert!(close(found[channel], scale) && close(found[channels + channel], shift), "channel {channel}");
        }
    }
}
