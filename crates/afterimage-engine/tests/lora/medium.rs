//! What it costs to switch LoRAs on the medium model of `bench`.

use super::write::{Weights, plain, safetensors};
use afterimage_device::Cpu;
use afterimage_engine::config::FluxConfig;
use afterimage_engine::inspect::wanted;
use afterimage_engine::models::flux::{ConditioningInputs, FluxTransformer, Grid};
use afterimage_engine::weights::lora::{AppliedLoras, LoraPart, LoraTargets, LoraWeights, UsedLora};
use afterimage_engine::weights::{RandomWeights, Scope};
use afterimage_tensors::Element;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn medium() -> FluxConfig {
    FluxConfig {
        num_layers: 4,
        num_single_layers: 8,
        num_attention_heads: 8,
        attention_head_dim: 128,
        joint_attention_dim: 4096,
        pooled_projection_dim: 768,
        in_channels: 64,
        guidance_embeds: true,
        axes_dims_rope: [16, 56, 56],
        ..FluxConfig::default()
    }
}

/// A LoRA on every layer.
fn lora(rank: usize) -> Weights {
    let mut tensors = Weights::new();
    for wanted in wanted::flux(&medium()).0 {
        let (Some(layer), [rows, cols]) = (wanted.name.strip_suffix(".weight"), &wanted.shape[..]) else { continue };
        for (ending, shape) in [("lora_A", [rank, *cols]), ("lora_B", [*rows, rank])] {
            let name = format!("{layer}.{ending}.weight");
            let values: Vec<f32> = (0..shape[0] * shape[1]).map(|index| ((index % 7) as f32 - 3.0) * 1e-3).collect();
            tensors.insert(name.clone(), plain(&name, &shape, Element::Bf16, &values));
        }
    }
    tensors
}

/// The fastest of some steps of 256 image and 256 text tokens.
fn step(transformer: &FluxTransformer<Cpu>) -> Duration {
    let (context, pooled) = (vec![0.1; 256 * 4096], vec![0.1; 768]);
    let inputs = ConditioningInputs {
        context: &context,
        pooled: &pooled,
        timesteps: &[0.5],
        guidance: 3.5,
        grid: Grid { rows: 16, columns: 16 },
        bias: None,
    };
    let conditioning = transformer.condition(&inputs).unwrap();
    let mut workspace = transformer.workspace(&conditioning).unwrap();
    let (latents, mut velocity) = (vec![0.5; 256 * 64], vec![0.0; 256 * 64]);
    let time = |_| {
        let start = Instant::now();
        transformer.forward(&conditioning, 0, &latents, &mut workspace, &mut velocity).unwrap();
        start.elapsed()
    };
    (0..5).map(time).min().unwrap()
}

#[test]
#[ignore = "a measurement on a gigabyte of random weights; run it by name with --nocapture"]
fn switching_takes_less_than_a_second() {
    let scope = Scope::new(Arc::new(RandomWeights::new(Element::F32)));
    let plain = FluxTransformer::load(&Arc::new(Cpu::detect()), &scope, medium()).unwrap();
    println!("without: a step takes {:?}", step(&plain));
    let folder = tempfile::tempdir().unwrap();
    for rank in [16, 64] {
        let path = folder.path().join(format!("{rank}.safetensors"));
        safetensors(&path, &lora(rank), None);
        let start = Instant::now();
        let targets = |part| Ok(Arc::new(LoraTargets::new(part, &wanted::flux(&medium()).0)));
        let weights = Arc::new(LoraWeights::read(&path, &targets).unwrap());
        let read = start.elapsed();
        let start = Instant::now();
        let used = [UsedLora { weights, scale: 0.8, is_merged: false }];
        let with = plain.with_loras(AppliedLoras::new(&used, LoraPart::Transformer)).unwrap();
        let switched = start.elapsed();
        println!("rank {rank}: read in {read:?}, switched in {switched:?}, a step takes {:?}", step(&with));
        assert!(read + switched < Duration::from_secs(1), "{read:?} and {switched:?}");
    }
}
