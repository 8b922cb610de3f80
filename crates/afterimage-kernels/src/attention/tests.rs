use super::*;
use crate::gemm::tests::noise;
use crate::plain;
use proptest::prelude::*;

/// bf16, as a number.
fn rounded(number: f32) -> f32 {
    half::bf16::from_f32(number).to_f32()
}

fn compare(isa: Isa, shape: &AttentionShape, bias: &AttentionBias, what: &str) {
    for bf16 in [false, true] {
        compare_in(isa, Narrow { integers: false, bf16 }, shape, bias, what);
    }
}

fn compare_in(isa: Isa, narrow: Narrow, shape: &AttentionShape, bias: &AttentionBias, what: &str) {
    let width = shape.heads * shape.head_dim;
    // Queries, keys and values side by side in one buffer, as a fused projection leaves them.
    let stride = 3 * width + 5;
    let tokens = shape.queries.max(shape.keys);
    let buffer: Vec<f32> = noise(tokens * stride, 21).iter().map(|value| 2.0 * value).collect();
    let view = |offset| Tokens { data: &buffer, row_stride: stride, offset };
    let inputs = AttentionInputs { queries: view(0), keys: view(width), values: view(2 * width + 5) };
    // The twin of bf16 gets operands that are rounded already; what is left is the rounding of the softmax's weights, each
    // by at most 2⁻⁹ of itself, and values are below 2.
    let (operands, scaled, tolerance) = if narrow.bf16 {
        let number = |at: usize, number: f32| {
            let factor = if at % stride < width { shape.scale } else { 1.0 };
            rounded(number * factor)
        };
        let operands: Vec<f32> = buffer.iter().enumerate().map(|(at, value)| number(at, *value)).collect();
        (operands, AttentionShape { scale: 1.0, ..*shape }, 2.0 / 512.0)
    } else {
        (buffer.clone(), *shape, 2e-5)
    };
    let view = |offset| Tokens { data: &operands, row_stride: stride, offset };
    let expected = plain::attention(&scaled, view(0), view(width), view(2 * width + 5), bias);
    let out_stride = width + 3;
    let mut out = vec![7.0; shape.queries * out_stride];
    attention_on(isa, narrow, shape, inputs, bias, RowsMut { data: &mut out[2..], stride: out_stride });
    for (row, expected) in out.chunks_exact(out_stride).zip(expected.chunks_exact(width)) {
        let gaps = [row[0], row[1], row[width + 2]];
        assert!(gaps.iter().all(|value| value.to_bits() == 7.0_f32.to_bits()), "{what}: gaps are left alone");
        for (got, expected) in row[2..].iter().zip(expected) {
            let error = (got - expected).abs();
            assert!(error < tolerance, "{isa:?} {narrow:?} {what} {shape:?}: {got}, expected {expected}");
        }
    }
}

fn shape(queries: usize, keys: usize, heads: usize, head_dim: usize) -> AttentionShape {
    AttentionShape { queries, keys, heads, head_dim, scale: 1.0 / (head_dim as f32).sqrt() }
}

#[test]
fn odd_sizes_agree_with_the_whole_softmax() {
    for isa in Isa::available() {
        for (queries, keys, heads, head_dim) in
            [(1, 1, 1, 1), (3, 5, 2, 4), (33, 265, 2, 72), (129, 700, 1, 32), (65, 77, 3, 20), (40, 530, 1, 128)]
        {
            compare(isa, &shape(queries, keys, heads, head_dim), &AttentionBias::None, "no bias");
        }
    }
}

#[test]
fn biases_agree_with_the_whole_softmax() {
    let shape = shape(77, 300, 2, 16);
    let (offset, gated) = (noise(shape.keys, 22), noise(shape.keys, 23));
    let gate: Vec<f32> = (0..shape.queries).map(|query| f32::from(u8::from(query % 3 == 0))).collect();
    let shared = noise(shape.keys * shape.queries, 24);
    let per_head = noise(shape.heads * shape.keys * shape.queries, 25);
    for isa in Isa::available() {
        compare(isa, &shape, &AttentionBias::Keys { offset: &offset, gated: &gated, gate: &gate }, "keys");
        compare(isa, &shape, &AttentionBias::Pairs { values: &shared, per_head: false }, "pairs");
        compare(isa, &shape, &AttentionBias::Pairs { values: &per_head, per_head: true }, "pairs per head");
    }
}

#[test]
fn a_causal_mask_hides_later_keys() {
    let shape = shape(300, 300, 1, 8);
    let mut mask = vec![0.0; shape.keys * shape.queries];
    for key in 0..shape.keys {
        for query in 0..key {
            mask[key * shape.queries + query] = f32::NEG_INFINITY;
        }
    }
    for isa in Isa::available() {
        compare(isa, &shape, &AttentionBias::Pairs { values: &mask, per_head: false }, "causal");
    }
}

#[test]
fn one_key_with_bias_ln_n_stands_for_n_equal_keys() {
    let (heads, head_dim, count) = (2, 8, 512);
    let width = heads * head_dim;
    let others = 40;
    let rows = noise((others + 1) * width, 26);
    let (q, v) = (noise(9 * width, 27), noise((others + 1) * width, 28));
    let repeat = |rows: &[f32]| [rows[..width].repeat(count), rows[width..].to_vec()].concat();
    let run = |shape: &AttentionShape, k: &[f32], v: &[f32], bias: &AttentionBias| {
        let view = |data| Tokens { data, row_stride: width, offset: 0 };
        let mut out = vec![0.0; shape.queries * width];
        let inputs = AttentionInputs { queries: view(&q), keys: view(k), values: view(v) };
        attention_on(Isa::detect(), Narrow::default(), shape, inputs, bias, RowsMut { data: &mut out, stride: width });
        out
    };
    let whole = run(&shape(9, count + others, heads, head_dim), &repeat(&rows), &repeat(&v), &AttentionBias::None);
    let mut offset = vec![0.0; others + 1];
    offset[0] = (count as f32).ln();
    let (gated, gate) = (vec![0.0; others + 1], vec![0.0; 9]);
    let bias = AttentionBias::Keys { offset: &offset, gated: &gated, gate: &gate };
    let collapsed = run(&shape(9, others + 1, heads, head_dim), &rows, &v, &bias);
    for (a, b) in whole.iter().zip(&collapsed) {
        assert!((a - b).abs() < 1e-5, "{a} and {b}");
    }
}

#[test]
fn bf16_rounds_and_keeps_what_is_no_number() {
    let shape = shape(40, 70, 1, 16);
    let mut numbers = noise(70 * 16, 29);
    for isa in Isa::available() {
        let run = |numbers: &[f32], bf16: bool| {
            let tokens = Tokens { data: numbers, row_stride: 16, offset: 0 };
            let inputs = AttentionInputs { queries: tokens, keys: tokens, values: tokens };
            let mut out = vec![0.0; 40 * 16];
            let narrow = Narrow { integers: false, bf16 };
            attention_on(isa, narrow, &shape, inputs, &AttentionBias::None, RowsMut { data: &mut out, stride: 16 });
            out
        };
        assert_ne!(run(&numbers, true), run(&numbers, false), "{isa:?}");
        for bad in [f32::NAN, f32::from_bits(0x7fff_ffff), f32::INFINITY] {
            let before = std::mem::replace(&mut numbers[5 * 16 + 3], bad);
            assert!(run(&numbers, true).iter().any(|number| !number.is_finite()), "{isa:?}: {bad}");
            numbers[5 * 16 + 3] = before;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn any_size_agrees(queries in 1_usize..70, keys in 1_usize..300, heads in 1_usize..4, half_dim in 1_usize..40) {
        let shape = shape(queries, keys, heads, 2 * half_dim);
        for isa in Isa::available() {
            compare(isa, &shape, &AttentionBias::None, "random size");
        }
    }
}
