//! `LoRA`s for the embedded model, as diffusers names their tensors.

use serde_json::{Map, Value, json};
use std::fs;
use std::path::Path;

/// Columns of A between the two matrices of a layer.
const RANK: usize = 2;

/// Layers of the embedded transformer: name, width in, width out.
const LAYERS: [(&str, usize, usize); 3] = [
    ("transformer_blocks.0.attn.to_q", 192, 192),
    ("single_transformer_blocks.0.attn.to_v", 192, 192),
    ("single_transformer_blocks.3.proj_out", 960, 192),
];

/// Writes one into the file `to`; those of two `variants` change pictures in different ways.
pub fn write_lora(to: &Path, variant: u32) {
    let mut tensors = Map::new();
    let mut data: Vec<u8> = Vec::new();
    // Deterministic and unlike any weights: a linear congruential generator, as in Numerical Recipes.
    let mut state = variant;
    let mut number = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        ((state >> 8) as f32 / (1 << 24) as f32 - 0.5) * 0.4
    };
    for (layer, width_in, width_out) in LAYERS {
        for (matrix, rows, columns) in [("lora_A", RANK, width_in), ("lora_B", width_out, RANK)] {
            let start = data.len();
            data.extend((0..rows * columns).flat_map(|_| number().to_le_bytes()));
            let tensor = json!({"dtype": "F32", "shape": [rows, columns], "data_offsets": [start, data.len()]});
            tensors.insert(format!("transformer.{layer}.{matrix}.weight"), tensor);
        }
    }
    let mut header = Value::Object(tensors).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header);
    file.extend(data);
    fs::write(to, file).unwrap();
}
