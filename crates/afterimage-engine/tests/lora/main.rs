//! LoRA files of every form against what PEFT computes (`make.py`), and what becomes of them in an engine.

#![allow(clippy::unwrap_used, reason = "helper functions of tests may panic as tests do")]

#[path = "../forms/write.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod write;

mod engine;
mod medium;
mod refusals;

use afterimage_core::{Error, Result};
use afterimage_device::Cpu;
use afterimage_engine::config::FluxConfig;
use afterimage_engine::inspect::wanted;
use afterimage_engine::models::flux::{ConditioningInputs, FluxTransformer, Grid};
use afterimage_engine::models::{ClipTextConfig, ClipTextModel, T5Config, T5Encoder};
use afterimage_engine::weights::lora::{AppliedLoras, LoraPart, LoraTargets, LoraWeights, MergedLoras, UsedLora};
use afterimage_engine::weights::{Bundle, Component, LayoutSource, Scope, TensorSource, layout};
use afterimage_tensors::Element;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const FORMS: [&str; 7] = ["peft", "kohya", "ai-toolkit", "comfyui", "bfl", "xlabs", "fal"];

const TOLERANCE: f32 = 1e-4;

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lora")
}

fn file(form: &str) -> PathBuf {
    here().join(format!("{form}.safetensors"))
}

fn base() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/bundles/dev/base")
}

fn folder(name: &str) -> Bundle {
    Bundle::open(base().join(name)).unwrap()
}

fn source(name: &str, layout: fn(Arc<Component>) -> Result<LayoutSource>) -> Scope {
    layout(Arc::new(Component::open(&folder(name)).unwrap())).unwrap().scope()
}

fn flux_config() -> FluxConfig {
    FluxConfig::read(&folder("transformer")).unwrap()
}

fn targets(part: LoraPart) -> Result<Arc<LoraTargets>> {
    let (wanted, ended) = match part {
        LoraPart::Transformer => wanted::flux(&flux_config()),
        LoraPart::Clip => wanted::clip(ClipTextConfig::read(&folder("text_encoder"))?),
        LoraPart::T5 => wanted::t5(T5Config::read(&folder("text_encoder_2"))?),
    };
    ended.map(|()| Arc::new(LoraTargets::new(part, &wanted)))
}

fn read(path: &Path) -> Result<LoraWeights> {
    LoraWeights::read(path, &targets)
}

fn used(form: &str, scale: f32, is_merged: bool) -> UsedLora {
    UsedLora { weights: Arc::new(read(&file(form)).unwrap()), scale, is_merged }
}

/// What PEFT computed.
struct Recorded(Component);

impl Recorded {
    fn open() -> Self {
        Self(Component::open_file(&file("recorded")).unwrap())
    }

    fn tensor(&self, name: &str) -> Vec<f32> {
        write::values(&self.0.file_of(name).unwrap().tensor(name).unwrap())
    }
}

/// Largest difference as a share of the largest expected number.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    assert!(found.iter().all(|value| value.is_finite()));
    differences.fold(0.0, f32::max) / largest
}

fn transformer(scope: &Scope) -> FluxTransformer<Cpu> {
    FluxTransformer::load(&Arc::new(Cpu::detect()), scope, flux_config()).unwrap()
}

fn merged(scope: &Scope, used: &[UsedLora]) -> Scope {
    scope.over(|source| Arc::new(MergedLoras::new(source, used, LoraPart::Transformer)) as Arc<dyn TensorSource>)
}

fn velocity(transformer: &FluxTransformer<Cpu>, recorded: &Recorded) -> Vec<f32> {
    let (context, pooled) = (recorded.tensor("context"), recorded.tensor("pooled"));
    let inputs = ConditioningInputs {
        context: &context,
        pooled: &pooled,
        timesteps: &recorded.tensor("timestep"),
        guidance: recorded.tensor("guidance")[0],
        grid: Grid { rows: 3, columns: 2 },
        bias: None,
    };
    let conditioning = transformer.condition(&inputs).unwrap();
    let mut workspace = transformer.workspace(&conditioning).unwrap();
    let latents = recorded.tensor("latents");
    let mut velocity = vec![0.0; latents.len()];
    transformer.forward(&conditioning, 0, &latents, &mut workspace, &mut velocity).unwrap();
    velocity
}

#[test]
fn every_form_is_worth_what_peft_makes_of_it_beside_the_weights_and_merged() {
    let (recorded, scope) = (Recorded::open(), source("transformer", layout::flux));
    let plain = transformer(&scope);
    let before = velocity(&plain, &recorded);
    assert!(difference(&before, &recorded.tensor("velocity")) < TOLERANCE, "without any");
    for form in FORMS {
        let expected = recorded.tensor(&format!("velocity.{form}"));
        let beside = [used(form, 1.0, false)];
        let with = plain.with_loras(AppliedLoras::new(&beside, LoraPart::Transformer)).unwrap();
        let beside = difference(&velocity(&with, &recorded), &expected);
        let within = [used(form, 1.0, true)];
        let with = transformer(&merged(&scope, &within));
        // What is merged is not added again; biases are added here.
        let with = with.with_loras(AppliedLoras::new(&within, LoraPart::Transformer)).unwrap();
        let within = difference(&velocity(&with, &recorded), &expected);
        println!("{form}: beside {beside:.1e}, merged {within:.1e}");
        assert!(beside < TOLERANCE && within < TOLERANCE, "{form}: {beside} and {within}");
    }
    assert_eq!(velocity(&plain, &recorded), before, "the transformer itself stays as it is");
}

#[test]
fn several_add_up_by_their_scales_and_none_changes_nothing() {
    let (recorded, scope) = (Recorded::open(), source("transformer", layout::flux));
    let plain = transformer(&scope);
    let with = |used: &[UsedLora]| {
        velocity(&plain.with_loras(AppliedLoras::new(used, LoraPart::Transformer)).unwrap(), &recorded)
    };
    let expected = recorded.tensor("velocity.xlabs");
    assert!(difference(&with(&[used("xlabs", 0.75, false), used("xlabs", 0.25, false)]), &expected) < TOLERANCE);
    let there_and_back = with(&[used("fal", 0.5, false), used("xlabs", 1.0, false), used("fal", -0.5, false)]);
    assert!(difference(&there_and_back, &expected) < TOLERANCE);
    let halves = [used("peft", 0.5, true), used("kohya", -0.5, true)];
    let beside: Vec<UsedLora> = halves.iter().map(|used| UsedLora { is_merged: false, ..used.clone() }).collect();
    let within = velocity(&transformer(&merged(&scope, &halves)), &recorded);
    assert!(difference(&with(&beside), &within) < TOLERANCE);
    assert_eq!(with(&[used("text-kohya", 1.0, false)]), with(&[]), "it changes other networks");
}

/// The transformer's weights, those of the matrices in `elements` by turns, and the same numbers in f32.
fn stored_as(elements: &[Element]) -> (write::Weights, write::Weights) {
    let scope = source("transformer", layout::flux);
    let (mut stored, mut plain) = (write::Weights::new(), write::Weights::new());
    for (index, wanted) in wanted::flux(&flux_config()).0.into_iter().enumerate() {
        let values = scope.values(&wanted.name, &wanted.shape).unwrap();
        let is_matrix = wanted.shape.len() == 2 && wanted.name.contains("_blocks.");
        let element = if is_matrix { elements[index % elements.len()] } else { Element::F32 };
        let tensor = match element {
            Element::Q8_0 | Element::Q4_0 => write::random_blocks(&wanted.name, &wanted.shape, element, index as u64),
            _ => write::plain(&wanted.name, &wanted.shape, element, &values),
        };
        let decoded = write::plain(&wanted.name, &wanted.shape, Element::F32, &write::values(&tensor));
        plain.insert(wanted.name.clone(), decoded);
        stored.insert(wanted.name, tensor);
    }
    (stored, plain)
}

#[test]
fn quantised_weights_keep_their_numbers_and_get_the_same_addition() {
    let recorded = Recorded::open();
    let folder = tempfile::tempdir().unwrap();
    let open = |path: &Path| layout::flux(Arc::new(Component::open_file(path).unwrap())).unwrap().scope();
    let (blocks, eight_bits) = (folder.path().join("x.gguf"), folder.path().join("fp8.safetensors"));
    let twins = [folder.path().join("x.safetensors"), folder.path().join("f32.safetensors")];
    let (stored, plain) = stored_as(&[Element::Q8_0, Element::Q4_0, Element::Bf16, Element::F32]);
    write::gguf(&blocks, &stored);
    write::safetensors(&twins[0], &plain, None);
    let (stored, plain) = stored_as(&[Element::F8E4M3, Element::F8E5M2]);
    write::safetensors(&eight_bits, &stored, None);
    write::safetensors(&twins[1], &plain, None);
    for ((kind, path), twin) in [("GGUF", &blocks), ("fp8", &eight_bits)].into_iter().zip(&twins) {
        for form in ["peft", "kohya", "bfl"] {
            let (within, scope) = ([used(form, 1.0, true)], open(path));
            let applied = AppliedLoras::new(&within, LoraPart::Transformer);
            // Merged where numbers are f32, beside the others.
            let found = velocity(&transformer(&merged(&scope, &within)).with_loras(applied).unwrap(), &recorded);
            let twin = transformer(&merged(&open(twin), &within)).with_loras(applied).unwrap();
            let difference = difference(&found, &velocity(&twin, &recorded));
            println!("{form} on {kind}: {difference:.1e}");
            assert!(difference < TOLERANCE, "{form} on {kind}: {difference}");
        }
    }
}

#[test]
fn text_encoders_are_worth_what_peft_makes_of_them() {
    let recorded = Recorded::open();
    let ids = |name: &str| recorded.tensor(name).into_iter().map(|id| id as u32).collect::<Vec<u32>>();
    let device = Arc::new(Cpu::detect());
    let t5 = T5Config::read(&folder("text_encoder_2")).unwrap();
    let t5 = T5Encoder::load(&device, &source("text_encoder_2", layout::t5), t5).unwrap();
    let clip = ClipTextConfig::read(&folder("text_encoder")).unwrap();
    let clip = ClipTextModel::load(&device, &source("text_encoder", layout::clip), clip).unwrap();
    for form in ["kohya", "peft"] {
        let used = [used(&format!("text-{form}"), 1.0, false)];
        let with = t5.with_loras(AppliedLoras::new(&used, LoraPart::T5)).unwrap();
        let states = with.encode(&ids("t5_ids")).unwrap();
        let of_t5 = difference(&states, &recorded.tensor(&format!("t5.{form}")));
        let with = clip.with_loras(AppliedLoras::new(&used, LoraPart::Clip)).unwrap();
        let pooled = with.pooled(&ids("clip_ids")).unwrap();
        // The largest id, at which this configuration pools, is the third.
        let expected = recorded.tensor(&format!("clip.{form}"));
        let of_clip = difference(&pooled, &expected[2 * pooled.len()..3 * pooled.len()]);
        println!("{form}: T5 {of_t5:.1e}, CLIP {of_clip:.1e}");
        assert!(of_t5 < TOLERANCE && of_clip < TOLERANCE, "{form}: {of_t5} and {of_clip}");
        let unchanged = difference(&t5.encode(&ids("t5_ids")).unwrap(), &recorded.tensor(&format!("t5.{form}")));
        assert!(unchanged > 10.0 * TOLERANCE, "the LoRA shows");
    }
}

/// A one-line message about the file.
fn message(error: &Error) -> String {
    let message = error.to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}
