//! Headers of safetensors and GGUF files.

use afterimage_tensors::Element;
use serde_json::{Map, Value, json};

/// How GGUF files align tensors.
const ALIGNMENT: usize = 32;

/// A tensor that will be written.
#[derive(Clone, Debug)]
pub(super) struct Outline {
    pub name: String,
    pub shape: Vec<usize>,
    pub element: Element,
}

impl Outline {
    pub fn new(name: String, shape: Vec<usize>, element: Element) -> Self {
        Self { name, shape, element }
    }

    pub fn numbers(&self) -> usize {
        self.shape.iter().product()
    }

    pub fn bytes(&self) -> u64 {
        (self.numbers() / self.element.block() * self.element.block_bytes()) as u64
    }
}

/// Length and JSON, padded so that the data start at a multiple of 8.
pub(super) fn safetensors(outlines: &[Outline]) -> Vec<u8> {
    let mut entries = Map::new();
    let mut start = 0;
    for outline in outlines {
        let end = start + outline.bytes();
        let dtype = match outline.element {
            Element::Bf16 => "BF16",
            Element::F16 => "F16",
            Element::F8E4M3 => "F8_E4M3",
            Element::F8E5M2 => "F8_E5M2",
            _ => "F32",
        };
        let entry = json!({"dtype": dtype, "shape": outline.shape, "data_offsets": [start, end]});
        entries.insert(outline.name.clone(), entry);
        start = end;
    }
    let mut text = Value::Object(entries).to_string();
    text.extend(std::iter::repeat_n(' ', text.len().next_multiple_of(8) - text.len()));
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// Everything in front of the data, and how tensors are aligned.
pub(super) fn gguf(outlines: &[Outline]) -> (Vec<u8>, u64) {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat();
    let is_t5 = outlines.iter().any(|outline| outline.name.starts_with("enc."));
    let mut header = b"GGUF".to_vec();
    header.extend(3_u32.to_le_bytes());
    header.extend((outlines.len() as u64).to_le_bytes());
    header.extend(1_u64.to_le_bytes());
    header.extend(text("general.architecture"));
    // The type of a text.
    header.extend(8_u32.to_le_bytes());
    header.extend(text(if is_t5 { "t5encoder" } else { "flux" }));
    let mut offset = 0_u64;
    for outline in outlines {
        header.extend(text(&outline.name));
        header.extend((outline.shape.len() as u32).to_le_bytes());
        header.extend(outline.shape.iter().rev().flat_map(|side| (*side as u64).to_le_bytes()));
        header.extend(ggml_number(outline.element).to_le_bytes());
        header.extend(offset.to_le_bytes());
        offset = (offset + outline.bytes()).next_multiple_of(ALIGNMENT as u64);
    }
    header.resize(header.len().next_multiple_of(ALIGNMENT), 0);
    (header, ALIGNMENT as u64)
}

/// The number that GGML has for a type (`ggml_type` in `ggml.h`).
fn ggml_number(element: Element) -> u32 {
    match element {
        Element::F16 => 1,
        Element::Q4_0 => 2,
        Element::Q4_1 => 3,
        Element::Q5_0 => 6,
        Element::Q5_1 => 7,
        Element::Q8_0 => 8,
        Element::Q2K => 10,
        Element::Q3K => 11,
        Element::Q4K => 12,
        Element::Q5K => 13,
        Element::Q6K => 14,
        Element::Iq4Nl => 20,
        Element::Bf16 => 30,
        // Types of 8 bits are not written to GGUF files.
        Element::F32 | Element::F8E4M3 | Element::F8E5M2 => 0,
    }
}

/// The index of shards, `name` being that of each file.
pub(super) fn shard_index(shards: &[Vec<Outline>], name: impl Fn(usize) -> String) -> String {
    let mut places = Map::new();
    for (number, shard) in shards.iter().enumerate() {
        places.extend(shard.iter().map(|outline| (outline.name.clone(), Value::from(name(number)))));
    }
    let total: u64 = shards.iter().flatten().map(Outline::bytes).sum();
    json!({"metadata": {"total_size": total}, "weight_map": places}).to_string()
}
