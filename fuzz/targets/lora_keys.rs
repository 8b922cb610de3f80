//! Names of a LoRA's tensors, one a line with the sides of its matrix, and the header's JSON: what is fitted to a small model.
#![cfg_attr(fuzzing, no_main)]

use afterimage_engine::weights::lora::{LoraPairs, LoraPart, LoraTargets, LoraWeights, is_lora};
use afterimage_engine::weights::{SafetensorsFile, Wanted};
use afterimage_tensors::SharedBytes;
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value, json};
use std::path::PathBuf;
use std::sync::Arc;

/// A layer that names split, one whose halves they exchange, one that they share, and one of each encoder.
const LAYERS: [(LoraPart, &str, [usize; 2]); 6] = [
    (LoraPart::Transformer, "double_blocks.0.img_attn.qkv", [12, 4]),
    (LoraPart::Transformer, "single_blocks.0.linear1", [28, 4]),
    (LoraPart::Transformer, "final_layer.adaLN_modulation.1", [8, 4]),
    (LoraPart::Transformer, "img_in", [4, 4]),
    (LoraPart::Clip, "encoder.layers.0.self_attn.q_proj", [4, 4]),
    (LoraPart::T5, "encoder.block.0.layer.0.SelfAttention.q", [4, 4]),
];

fuzz_target!(|text: &str| {
    let Ok(file) = SafetensorsFile::parse(PathBuf::from("fuzz"), &SharedBytes::new(file(text))) else { return };
    let Ok(pairs) = LoraPairs::read(file) else { return };
    assert!(pairs.layers().values().sum::<usize>() > 0 && pairs.forms().next().is_some());
    let targets = |part| {
        let wanted: Vec<Wanted> = LAYERS
            .iter()
            .filter(|(of, ..)| *of == part)
            .map(|(_, layer, shape)| Wanted { name: format!("{layer}.weight"), shape: shape.to_vec() })
            .collect();
        Ok(Arc::new(LoraTargets::new(part, &wanted)))
    };
    let Ok(weights) = LoraWeights::fit(&pairs, &targets) else { return };
    let mut updates = 0;
    for (part, layer, [rows, cols]) in LAYERS {
        for update in weights.updates(part, layer) {
            assert!(update.rows.end <= rows && !update.rows.is_empty() && update.cols == cols);
            assert_eq!(update.down.len(), update.rank * cols);
            assert_eq!(update.up.len(), update.rows.len() * update.rank);
            assert!(update.bias.as_ref().is_none_or(|bias| bias.len() == update.rows.len()));
            updates += 1;
        }
    }
    assert_eq!(updates, pairs.layers().values().sum::<usize>());
});

/// A file with the tensors that `text` lists: `NAME ROWS COLS` a line, other lines being the header's JSON.
fn file(text: &str) -> Vec<u8> {
    let (mut header, mut length) = (Map::new(), 0_usize);
    for line in text.lines().take(64) {
        let words: Vec<&str> = line.rsplitn(3, ' ').collect();
        let sides: Vec<usize> = words.iter().take(2).rev().filter_map(|word| word.parse().ok()).collect();
        match (&words[..], &sides[..]) {
            ([_, _, name], [rows, cols]) if *rows <= 64 && *cols <= 64 => {
                let _ = is_lora([*name]);
                let bytes = 4 * rows * cols;
                let entry = json!({"dtype": "F32", "shape": sides, "data_offsets": [length, length + bytes]});
                if header.insert((*name).to_owned(), entry).is_none() {
                    length += bytes;
                }
            }
            _ => {
                header.insert("__metadata__".to_owned(), json!({"lora_adapter_metadata": line}));
            }
        }
    }
    let header = Value::Object(header).to_string();
    [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &vec![0; length]].concat()
}
