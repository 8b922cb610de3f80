//! The layers of a network under all the names that files have for them.

use super::key::LoraPart;
use crate::weights::layout::diffusers_rows;
use crate::weights::recorder::Wanted;
use std::collections::HashMap;
use std::ops::Range;

/// A layer, or some outputs of one, that a file can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LoraTarget {
    /// Canonical name, without `.weight`.
    pub layer: String,
    /// The outputs of the layer that it is, without gaps.
    pub rows: Range<usize>,
    /// Rows of the file's matrix in the order in which the layer has them.
    pub pieces: Vec<Range<usize>>,
    /// Inputs of the layer.
    pub cols: usize,
}

/// What a file can change in one network.
#[derive(Debug, Default)]
pub struct LoraTargets {
    targets: Vec<LoraTarget>,
    names: HashMap<String, usize>,
}

impl LoraTargets {
    /// The layers among the tensors that the network `part` asks for.
    pub fn new(part: LoraPart, wanted: &[Wanted]) -> Self {
        let mut targets = Self::default();
        for Wanted { name, shape } in wanted {
            let (Some(layer), [rows, cols]) = (name.strip_suffix(".weight"), &shape[..]) else { continue };
            let is_table = layer == "shared" || layer.contains("embeddings.") || layer.ends_with("attention_bias");
            if !is_table {
                targets.add_layer(part, layer, *rows, *cols);
            }
        }
        targets
    }

    fn add_layer(&mut self, part: LoraPart, layer: &str, rows: usize, cols: usize) {
        let target = |rows: Range<usize>, piece: Range<usize>| LoraTarget {
            layer: layer.to_owned(),
            rows,
            pieces: std::iter::once(piece).collect(),
            cols,
        };
        let whole = target(0..rows, 0..rows);
        match part {
            LoraPart::T5 => self.add([layer.to_owned()], whole),
            // transformers wrote a prefix before version 5.
            LoraPart::Clip => self.add([layer.to_owned(), format!("text_model.{layer}")], whole),
            LoraPart::Transformer => {
                let mut parts: Vec<(String, LoraTarget)> = Vec::new();
                for (name, here, there) in diffusers_rows(&format!("{layer}.weight"), rows) {
                    let name = name.strip_suffix(".weight").unwrap_or(&name).to_owned();
                    match parts.last_mut().filter(|(last, _)| *last == name) {
                        Some((_, target)) => {
                            target.rows.end = here.end;
                            target.pieces.push(there);
                        }
                        None => parts.push((name, target(here, there))),
                    }
                }
                for (name, target) in parts {
                    self.add([name], target);
                }
                self.add([layer.to_owned()], whole.clone());
                if let Some((name, rows)) = xlabs_name(layer, rows) {
                    self.add([name], target(rows.clone(), rows));
                }
            }
        }
    }

    /// Adds `target` under `names`, with dots and with underscores.
    fn add<const N: usize>(&mut self, names: [String; N], target: LoraTarget) {
        for name in names {
            self.names.insert(name.replace('.', "_"), self.targets.len());
            self.names.insert(name, self.targets.len());
        }
        self.targets.push(target);
    }

    /// The layer that a file calls `name`.
    pub(super) fn find(&self, name: &str) -> Option<&LoraTarget> {
        self.targets.get(*self.names.get(name)?)
    }
}

/// XLabs' name of a layer's attention, and the outputs that it is (`DoubleStreamBlockLoraProcessor` and
/// `SingleStreamBlockLoraProcessor` of x-flux).
fn xlabs_name(layer: &str, rows: usize) -> Option<(String, Range<usize>)> {
    /// Queries, keys and values among the parts of `linear1`, whose MLP counts four.
    const PARTS: [usize; 2] = [3, 7];
    let (blocks, rest) = layer.split_once('.')?;
    let (number, module) = rest.split_once('.')?;
    let (name, rows) = match (blocks, module) {
        ("double_blocks", "img_attn.qkv") => ("qkv_lora1", rows),
        ("double_blocks", "img_attn.proj") => ("proj_lora1", rows),
        ("double_blocks", "txt_attn.qkv") => ("qkv_lora2", rows),
        ("double_blocks", "txt_attn.proj") => ("proj_lora2", rows),
        ("single_blocks", "linear1") => ("qkv_lora", rows / PARTS[1] * PARTS[0]),
        ("single_blocks", "linear2") => ("proj_lora", rows),
        _ => return None,
    };
    Some((format!("{blocks}.{number}.processor.{name}"), 0..rows))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(name: &str, shape: [usize; 2]) -> Wanted {
        Wanted { name: name.to_owned(), shape: shape.to_vec() }
    }

    #[test]
    fn separate_projections_are_rows_of_the_fused_one() {
        let wanted = [
            wanted("double_blocks.1.txt_attn.qkv.weight", [12, 4]),
            wanted("single_blocks.0.linear1.weight", [28, 4]),
            wanted("final_layer.adaLN_modulation.1.weight", [8, 4]),
        ];
        let targets = LoraTargets::new(LoraPart::Transformer, &wanted);
        let rows = |name: &str| targets.find(name).map(|target| (target.rows.clone(), target.pieces.clone()));
        for (name, expected) in [
            ("double_blocks.1.txt_attn.qkv", 0..12),
            ("double_blocks_1_txt_attn_qkv", 0..12),
            ("double_blocks.1.processor.qkv_lora2", 0..12),
            ("transformer_blocks.1.attn.add_v_proj", 8..12),
            ("transformer_blocks_1_attn_add_k_proj", 4..8),
            ("single_transformer_blocks.0.proj_mlp", 12..28),
            ("single_blocks.0.processor.qkv_lora", 0..12),
        ] {
            assert_eq!(rows(name).unwrap().0, expected, "{name}");
        }
        assert_eq!(rows("norm_out.linear"), Some((0..8, vec![4..8, 0..4])));
        let (all, pieces) = rows("final_layer_adaLN_modulation_1").unwrap();
        assert_eq!((all, pieces.len(), pieces[0].clone()), (0..8, 1, 0..8));
        assert_eq!(rows("double_blocks.2.txt_attn.qkv"), None);
    }

    #[test]
    fn tables_are_no_layers() {
        let encoder = [
            wanted("shared.weight", [9, 4]),
            wanted("encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight", [9, 4]),
            wanted("encoder.block.0.layer.0.SelfAttention.q.weight", [4, 4]),
        ];
        let targets = LoraTargets::new(LoraPart::T5, &encoder);
        assert_eq!(targets.targets.len(), 1);
        assert!(targets.find("encoder_block_0_layer_0_SelfAttention_q").is_some());
    }
}
