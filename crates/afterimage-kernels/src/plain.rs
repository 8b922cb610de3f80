//! The obvious implementation of every fast operation: the oracle of its tests, never the path of a request.

use crate::attention::{AttentionBias, AttentionShape, Tokens};
use crate::conv::{Convolution, Movement, Planes, Prelude};
use afterimage_tensors::Matrix;

/// `x [rows, cols] · weightᵀ + bias`, accumulated in f64.
pub fn linear(x: &[f32], weight: &Matrix, bias: Option<&[f32]>) -> Vec<f32> {
    let values = weight.to_f32();
    let mut out = Vec::new();
    for row in x.chunks_exact(weight.cols()) {
        for (index, weights) in values.chunks_exact(weight.cols()).enumerate() {
            let sum: f64 = row.iter().zip(weights).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            out.push((sum + f64::from(bias.map_or(0.0, |bias| bias[index]))) as f32);
        }
    }
    out
}

/// `softmax(q kᵀ · scale + bias) v` with the whole score row in memory; returns `[queries, heads × head_dim]`.
pub fn attention(shape: &AttentionShape, q: Tokens, k: Tokens, v: Tokens, bias: &AttentionBias) -> Vec<f32> {
    let dim = shape.head_dim;
    let mut out = vec![0.0; shape.queries * shape.heads * dim];
    for head in 0..shape.heads {
        for query in 0..shape.queries {
            let q_row = q.row(query, head, dim);
            let mut scores: Vec<f64> = (0..shape.keys)
                .map(|key| {
                    let products = q_row.iter().zip(k.row(key, head, dim)).map(|(a, b)| f64::from(*a) * f64::from(*b));
                    products.sum::<f64>() * f64::from(shape.scale) + f64::from(bias.at(shape, head, query, key))
                })
                .collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let mut total = 0.0;
            for score in &mut scores {
                *score = (*score - largest).exp();
                total += *score;
            }
            let target = &mut out[(query * shape.heads + head) * dim..][..dim];
            for (index, value) in target.iter_mut().enumerate() {
                let sum: f64 =
                    scores.iter().enumerate().map(|(key, score)| score * f64::from(v.row(key, head, dim)[index])).sum();
                *value = (sum / total) as f32;
            }
        }
    }
    out
}

/// `x` with every span of 512 numbers of a row of `cols` rounded to integers of 8 bits, as the largest of the span allows.
pub fn rounded_to_integers(x: &[f32], cols: usize) -> Vec<f32> {
    let groups = x.chunks(cols).flat_map(|row| row.chunks(512)).flat_map(|group| {
        let largest = group.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        group.iter().map(move |number| (number * inverse).round_ties_even() * (largest / 127.0))
    });
    groups.collect()
}

/// A convolution by its definition, one output number at a time, accumulated in f64.
pub fn convolve(convolution: &Convolution, input: Planes, out: &mut [f32]) {
    let (kernel, outputs) = (convolution.kernel, convolution.weight.rows());
    let weights = convolution.weight.to_f32();
    let (step, before, enlarged) = match convolution.movement {
        Movement::Same => (1, kernel / 2, 1),
        Movement::Halve => (2, 0, 1),
        Movement::Strided => (2, kernel / 2, 1),
        Movement::Double => (1, kernel / 2, 2),
    };
    let (height, width) =
        (convolution.movement.output_side(input.height), convolution.movement.output_side(input.width));
    let read = |channel: usize, y: isize, x: isize| {
        let inside =
            y >= 0 && x >= 0 && y < (input.height * enlarged) as isize && x < (input.width * enlarged) as isize;
        if !inside {
            return 0.0;
        }
        let value = input.data[(channel * input.height + y as usize / enlarged) * input.width + x as usize / enlarged];
        match convolution.prelude {
            Prelude::None => f64::from(value),
            Prelude::AffineSilu { scale, shift } => {
                let value = f64::from(value) * f64::from(scale[channel]) + f64::from(shift[channel]);
                value / (1.0 + (-value).exp())
            }
        }
    };
    for output in 0..outputs {
        for y in 0..height {
            for x in 0..width {
                let mut sum = f64::from(convolution.bias[output]);
                for channel in 0..input.channels {
                    for tap in 0..kernel * kernel {
                        let weight = weights[((output * input.channels) + channel) * kernel * kernel + tap];
                        let (dy, dx) = ((tap / kernel) as isize, (tap % kernel) as isize);
                        let (y, x) =
                            ((y * step) as isize - before as isize + dy, (x * step) as isize - before as isize + dx);
                        sum += f64::from(weight) * read(channel, y, x);
                    }
                }
                let target = &mut out[(output * height + y) * width + x];
                *target = if convolution.add { *target + sum as f32 } else { sum as f32 };
            }
        }
    }
}
