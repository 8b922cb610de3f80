//! Attention with every kind of bias.

use crate::args;
use crate::support::*;

struct Case {
    kind: &'static str,
    bias: &'static str,
    heads: usize,
    head_dim: usize,
    queries: usize,
    keys: usize,
    tables: usize,
}

fn check(case: &Case) {
    let Case { kind, bias, heads, head_dim, queries, keys, tables } = *case;
    let name = format!("attention.{kind}.{bias}.32");
    let card = PretendedCard::new("strict", &[&name]);
    let width = heads * head_dim;
    let strides = [width + 3, width, width + 1, width + 2];
    let [q, k, v] = [(queries, 0), (keys, 1), (keys, 2)].map(|(rows, i)| noise(kind, rows * strides[i], i as u32));
    let (offset, gated, gate) = (noise("f32", keys, 4), noise("f32", keys, 5), noise("f32", queries, 6));
    let pairs_stride = keys * queries + 3;
    let mut pairs = noise("f32", tables.max(1) * pairs_stride, 7);
    for query in 0..queries {
        pairs[(query % (keys - 1)) * queries + query] = f32::NEG_INFINITY;
    }
    let scale = 0.7;
    let mut expected = vec![0.0; queries * width];
    for head in 0..heads {
        for query in 0..queries {
            let scores: Vec<f64> = (0..keys)
                .map(|key| {
                    let product: f64 = (head * head_dim..(head + 1) * head_dim)
                        .map(|d| f64::from(q[query * strides[0] + d]) * f64::from(k[key * strides[1] + d]))
                        .sum();
                    let added = match bias {
                        "keys" => f64::from(offset[key]) + f64::from(gate[query]) * f64::from(gated[key]),
                        "pairs" => f64::from(pairs[(head % tables) * pairs_stride + key * queries + query]),
                        _ => 0.0,
                    };
                    product * f64::from(scale) + added
                })
                .collect();
            let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = scores.iter().map(|score| (score - largest).exp()).sum();
            for d in head * head_dim..(head + 1) * head_dim {
                let sum: f64 = scores
                    .iter()
                    .enumerate()
                    .map(|(key, s)| (s - largest).exp() * f64::from(v[key * strides[2] + d]))
                    .sum();
                expected[query * width + d] = sum / total;
            }
        }
    }
    let [q, k, v] = [q, k, v].map(|values| card.numbers(kind, &values));
    let out = card.room(queries * strides[3] * crate::support::width(kind));
    let arguments = args![
        q: at q, k: at k, v: at v, out: at out,
        offset: at card.numbers("f32", &offset), gated: at card.numbers("f32", &gated), gate: at card.numbers("f32", &gate),
        pairs: at card.numbers("f32", &pairs), queries: queries, keys: keys, head_dim: head_dim, q_stride: strides[0],
        k_stride: strides[1], v_stride: strides[2], out_stride: strides[3],
        pairs_stride: if tables > 1 { pairs_stride } else { 0 }, scale: float scale
    ];
    assert_eq!(card.launch(&name, [queries.div_ceil(TILE), heads], &arguments), 0, "{}", card.complaint());
    assert_rows(kind, &card.read(kind, out, queries * strides[3]), strides[3], width, &expected, &name);
}

#[test]
fn attention_follows_the_formula() {
    for kind in ["f32", "bf16"] {
        for (bias, tables) in [("none", 1), ("keys", 1), ("pairs", 1), ("pairs", 3)] {
            check(&Case { kind, bias, heads: 3, head_dim: 20, queries: 13, keys: 9, tables });
            check(&Case { kind, bias, heads: 3, head_dim: 32, queries: 1, keys: 41, tables });
        }
    }
}
