//! Matrix products with every kind of weight, and rows of tables.

use crate::args;
use crate::support::*;

/// A weight as bytes, and its numbers by the contract.
pub struct Weight {
    pub bytes: Vec<u8>,
    pub factors: Vec<f32>,
    pub offsets: Vec<f32>,
    pub row_scales: Vec<f32>,
    /// Without the rows' scales.
    pub numbers: Vec<f64>,
}

/// A weight of a kind.
pub fn weight(kind: &str, rows: usize, cols: usize, with_offsets: bool) -> Weight {
    let group = match kind {
        "i8" => 16,
        "u4" => 32,
        _ => 0,
    };
    let groups = (rows * cols).checked_div(group).unwrap_or(0);
    let bytes = match kind {
        "f32" | "bf16" => encode(kind, &noise(kind, rows * cols, 1)),
        "u4" => bytes(rows * cols / 2, 1),
        // No NaN, all else.
        "f8" | "f8f8" => bytes(rows * cols, 1).iter().map(|byte| if byte & 0x7f == 0x7f { 0 } else { *byte }).collect(),
        _ => bytes(rows * cols, 1),
    };
    let factors: Vec<f32> = noise("f16", groups, 2).iter().map(|factor| factor / 64.0).collect();
    let factors = decode("f16", &encode("f16", &factors));
    let offsets = if with_offsets { noise("f16", groups, 3) } else { vec![0.0; groups] };
    let stored = match kind {
        "f32" | "bf16" => decode(kind, &bytes),
        "f8" | "f8f8" => decode("f8", &bytes),
        "u4" => {
            let of = |place: usize| {
                let byte = bytes[place / 32 * 16 + place % 16];
                f32::from(if place % 32 < 16 { byte & 15 } else { byte >> 4 })
            };
            (0..rows * cols).map(of).collect()
        }
        _ => decode("i8", &bytes),
    };
    let numbers = stored.iter().enumerate().map(|(place, value)| match place.checked_div(group) {
        Some(group) => f64::from(factors[group]) * f64::from(*value) - f64::from(offsets[group]),
        None => f64::from(*value),
    });
    let numbers = numbers.collect();
    Weight { bytes, factors, offsets, row_scales: noise("f32", rows, 4), numbers }
}

fn gelu(y: f64) -> f64 {
    0.5 * y * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (y + 0.044_715 * y.powi(3))).tanh())
}

/// One product, with its finish, and perhaps everything that can be added.
fn check(name: &str, rows: usize, outputs: usize, inputs: usize, finish: usize, with_all: bool) {
    let parts: Vec<&str> = name.split('.').collect();
    let (x_kind, kind, out_kind) = (parts[1], parts[2], parts[3]);
    let card = PretendedCard::new("strict", &[name]);
    let (x_stride, out_stride) = (inputs + 16, outputs.next_multiple_of(16) + 16);
    let narrow = if kind == "f32" { "f32" } else { "bf16" };

    let x_numbers = if x_kind == "f8" { Vec::new() } else { noise(x_kind, rows * x_stride, 5) };
    let x_bytes = if x_kind == "f8" {
        bytes(rows * x_stride, 5).iter().map(|byte| if byte & 0x7f == 0x7f { 1 } else { *byte }).collect()
    } else {
        encode(x_kind, &x_numbers)
    };
    let x_values = decode(x_kind, &x_bytes);
    let integers = x_kind == "i8" || x_kind == "f8";
    let x_scales = noise("f32", rows, 6);
    let weight = weight(kind, outputs, inputs, with_all);
    let rank = if with_all { 5 } else { 0 };
    let (low, up) = (noise(narrow, rows * rank, 7), noise(narrow, outputs * rank, 8));
    let (bias, gate) = (noise("f32", outputs, 9), noise("f32", outputs, 10));
    let before = noise(out_kind, rows * out_stride, 11);

    let mut expected = Vec::new();
    for row in 0..rows {
        for output in 0..outputs {
            let mut y: f64 = (0..inputs)
                .map(|i| {
                    let x = f64::from(x_values[row * x_stride + i]);
                    let w = weight.numbers[output * inputs + i];
                    if kind == "f32" || integers { x * w } else { round_bf16(x) * round_bf16(w) }
                })
                .sum();
            if kind != "f32" && kind != "bf16" {
                y *= f64::from(weight.row_scales[output]);
            }
            if integers {
                y *= f64::from(x_scales[row]);
            }
            y += (0..rank).map(|i| f64::from(low[row * rank + i]) * f64::from(up[output * rank + i])).sum::<f64>();
            y += if with_all { f64::from(bias[output]) } else { 0.0 };
            let old = f64::from(before[row * out_stride + output]);
            expected.push(match finish {
                0 => y,
                1 => gelu(y),
                2 => old + y,
                _ => old + f64::from(gate[output]) * y,
            });
        }
    }
    let out_bytes = rows * out_stride * width(out_kind);
    let out = if finish >= 2 { card.numbers(out_kind, &before) } else { card.room(out_bytes) };
    let some = |kind: &str, values: &[f32]| if values.is_empty() { 0 } else { card.numbers(kind, values) };
    let scaled = kind != "f32" && kind != "bf16";
    let arguments = args![
        x: at card.upload(&x_bytes), weight: at card.upload(&weight.bytes), factors: at some("f16", &weight.factors),
        offsets: at if with_all { some("f16", &weight.offsets) } else { 0 },
        row_scales: at if scaled { card.numbers("f32", &weight.row_scales) } else { 0 },
        x_scales: at if integers { card.numbers("f32", &x_scales) } else { 0 },
        bias: at if with_all { card.numbers("f32", &bias) } else { 0 },
        gate: at if finish == 3 { card.numbers("f32", &gate) } else { 0 },
        low: at some(narrow, &low), up: at some(narrow, &up), out: at out, rows: rows, outputs: outputs, inputs: inputs,
        x_stride: x_stride, out_stride: out_stride, rank: rank, has_offsets: usize::from(with_all),
        has_bias: usize::from(with_all), finish: finish
    ];
    let grid = [rows.div_ceil(TILE) * outputs.div_ceil(TILE), 1];
    assert_eq!(card.launch(name, grid, &arguments), 0, "{name}: {}", card.complaint());
    let found = card.read(out_kind, out, rows * out_stride);
    // Sums of products of large numbers: as a share of the largest.
    let largest = expected.iter().fold(1.0_f64, |largest, value| largest.max(value.abs()));
    let tolerance = if out_kind == "bf16" { 1.0 / 200.0 } else { 2e-5 };
    for (row, numbers) in found.chunks(out_stride).enumerate() {
        for (output, found) in numbers[..outputs].iter().enumerate() {
            let expected = expected[row * outputs + output];
            let allowed = tolerance * largest;
            assert!(
                (f64::from(*found) - expected).abs() <= allowed,
                "{name} {row} {output}: {found}, expected {expected}"
            );
        }
        let gap = &numbers[outputs..];
        let kept = if finish >= 2 { &before[row * out_stride + outputs..][..gap.len()] } else { &[] };
        assert!(if finish >= 2 { gap == kept } else { gap.iter().all(|value| value.is_nan()) }, "{name}: gaps");
    }
}

#[test]
fn products_of_every_kind_of_weight_follow_the_formula() {
    let names = [
        "product.f32.f32.f32",
        "product.bf16.bf16.bf16",
        "product.f32.bf16.f32",
        "product.bf16.f8.f32",
        "product.f32.f8.bf16",
        "product.bf16.i8.bf16",
        "product.f32.u4.f32",
        "product.i8.i8i8.f32",
        "product.f8.f8f8.bf16",
    ];
    for name in names {
        for (finish, with_all) in [(0, false), (1, true), (2, false), (3, true)] {
            check(name, 19, 13, 64, finish, with_all);
            check(&format!("{name}.few"), 3, 21, 32, finish, with_all);
        }
        check(&format!("{name}.aligned"), 17, 16, 96, 0, false);
    }
    check("product.f32.f32.f32", 5, 7, 11, 3, true);
}

#[test]
fn rows_of_tables_are_those_of_the_ids() {
    for (kind, with_offsets) in
        [("f32", false), ("bf16", false), ("f8", false), ("i8", true), ("i8", false), ("u4", true)]
    {
        let (table_rows, cols, out_stride) = (7, 64, 67);
        let ids = [3_i32, 0, 6, 3];
        let name = format!("gather.{kind}.f32");
        let card = PretendedCard::new("", &[&name]);
        let table = weight(kind, table_rows, cols, with_offsets);
        let scaled = kind != "f32" && kind != "bf16";
        let expected: Vec<f64> = ids
            .iter()
            .flat_map(|id| {
                let row = *id as usize;
                let scale = if scaled { f64::from(table.row_scales[row]) } else { 1.0 };
                table.numbers[row * cols..][..cols].iter().map(move |value| value * scale)
            })
            .collect();
        let out = card.room(4 * ids.len() * out_stride);
        let some = |kind: &str, values: &[f32]| if values.is_empty() { 0 } else { card.numbers(kind, values) };
        let table_address = card.upload(&table.bytes);
        let ids_of = |ids: &[i32]| card.upload(&ids.iter().flat_map(|id| id.to_le_bytes()).collect::<Vec<_>>());
        let arguments = |ids: u64| {
            args![
                table: at table_address, factors: at some("f16", &table.factors), offsets: at some("f16", &table.offsets),
                row_scales: at card.numbers("f32", &table.row_scales), ids: at ids, out: at out, rows: 4, cols: cols,
                out_stride: out_stride, has_offsets: usize::from(with_offsets)
            ]
        };
        let grid = [ids.len(), cols.div_ceil(TILE)];
        assert_eq!(card.launch(&name, grid, &arguments(ids_of(&ids))), 0, "{}", card.complaint());
        assert_rows("f32", &card.read("f32", out, ids.len() * out_stride), out_stride, cols, &expected, &name);
        assert_eq!(card.launch(&name, grid, &arguments(ids_of(&[0, 7, 0, 0]))), 700, "beyond the table");
    }
}
