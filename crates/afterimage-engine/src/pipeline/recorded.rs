//! The whole pipeline at FLUX.1-dev's true size on a device that owns no numbers, with weights that nobody stored.

use super::encodings::Encodings;
use super::generate::generate;
use super::model_files::ModelFiles;
use super::networks::{ImageEncoders, Networks, TextEncoders};
use super::order::Order;
use crate::config::{FluxConfig, SchedulerConfig, VaeConfig};
use crate::generation::Generation;
use crate::models::flux::FluxTransformer;
use crate::models::vae::{Autoencoder, Tensor3};
use crate::models::{ClipTextModel, ReduxConfig, ReduxEmbedder, SiglipPreprocessor, SiglipVisionModel, T5Encoder};
use crate::observer::Silent;
use crate::options::{CacheThreshold, EngineOptions};
use crate::safety::Safety;
use crate::tokenizers::{ClipTokenizer, T5Tokenizer};
use crate::weights::{Bundle, Scope, record};
use afterimage_core::{Enlarge, GenerationRequest, Picture, Result, Size, Task, VariationSettings};
use afterimage_device::{CountedDevice, DeviceLimits, Record, Recording, Tally};
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const LIMITS: DeviceLimits = DeviceLimits { activation_bytes: 5 << 30, wide_rows: 2304, memory_bytes: None };

/// What `build` makes of tensors that are all zeros and take no memory.
fn built<T>(build: impl FnOnce(&Scope) -> Result<T>) -> T {
    let mut made = None;
    let (_, result) = record(|scope| {
        made = Some(build(scope)?);
        Ok(())
    });
    result.unwrap();
    made.unwrap()
}

fn dev() -> FluxConfig {
    FluxConfig { guidance_embeds: true, ..FluxConfig::default() }
}

/// What the device has been asked to take over: numbers of matrices and of vectors.
fn taken_over(tally: &Tally) -> u64 {
    let uploads = tally.records.iter().filter(|record| record.operation == "upload");
    tally.weight_numbers + uploads.map(|record| record.cols as u64).sum::<u64>()
}

/// A device of its own for each network, to count its weights.
fn device() -> Arc<Recording> {
    Arc::new(Recording::new(0.5, LIMITS))
}

fn text_encoders(t5_device: &Arc<Recording>, clip_device: &Arc<Recording>) -> TextEncoders<Recording> {
    let demo = Bundle::embedded(afterimage_demo::NAME, afterimage_demo::FILES);
    let t5 = r#"{"d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64,
        "feed_forward_proj": "gated-gelu"}"#;
    let clip = r#"{"hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}"#;
    TextEncoders {
        t5_tokenizer: Arc::new(T5Tokenizer::open(&demo.folder("tokenizer_2")).unwrap()),
        t5: built(|scope| T5Encoder::load(t5_device, scope, serde_json::from_str(t5).unwrap())),
        clip_tokenizer: Arc::new(ClipTokenizer::open(&demo.folder("tokenizer"), 77).unwrap()),
        clip: built(|scope| ClipTextModel::load(clip_device, scope, serde_json::from_str(clip).unwrap())),
    }
}

fn image_encoders(siglip_device: &Arc<Recording>, redux_device: &Arc<Recording>) -> ImageEncoders<Recording> {
    let redux = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/bundles/dev/redux/feature_extractor");
    let siglip = r#"{"hidden_size": 1152, "intermediate_size": 4304, "num_hidden_layers": 27, "num_attention_heads": 16,
        "image_size": 384, "patch_size": 14}"#;
    ImageEncoders {
        preprocessor: SiglipPreprocessor::read(&Bundle::open(redux).unwrap(), 384).unwrap(),
        siglip: built(|scope| SiglipVisionModel::load(siglip_device, scope, serde_json::from_str(siglip).unwrap())),
        redux: built(|scope| ReduxEmbedder::load(redux_device, scope, ReduxConfig::default())),
    }
}

/// FLUX.1-dev and Redux, all on one device.
fn networks(device: &Arc<Recording>) -> Networks<Recording> {
    networks_with(device, EngineOptions::default())
}

/// The same with other options than models.
fn networks_with(device: &Arc<Recording>, options: EngineOptions) -> Networks<Recording> {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, json: String| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, json).unwrap();
    };
    write("transformer/config.json", serde_json::to_string(&dev()).unwrap());
    write("vae/config.json", serde_json::to_string(&VaeConfig::flux()).unwrap());
    write("scheduler/scheduler_config.json", serde_json::to_string(&SchedulerConfig::flux_dev()).unwrap());
    write("image_embedder/config.json", "{}".to_owned());
    let options = EngineOptions { base: Some(folder.path().to_owned()), ..options };
    let networks = Networks::new(Arc::clone(device), ModelFiles::open(&options).unwrap(), Safety::none()).unwrap();
    networks.transformer.get(|| Ok(built(|scope| FluxTransformer::load(device, scope, dev())))).unwrap();
    networks.autoencoder.get(|| Ok(built(|scope| Autoencoder::load(device, scope, VaeConfig::flux(), true)))).unwrap();
    networks.text.get(|| Ok(text_encoders(device, device))).unwrap();
    networks.image.get(|| Ok(image_encoders(device, device))).unwrap();
    networks
}

fn run(networks: &Networks<Recording>, task: Task, enlarge: Enlarge) -> Generation {
    let source = Picture::from_rgb(64, 48, vec![100; 64 * 48 * 3]).unwrap();
    let sources = if matches!(task, Task::TextToImage) { &[][..] } else { &[source][..] };
    let request = GenerationRequest {
        prompt: Some("a lake".to_owned()),
        size: Some(Size::new(1024, 1024)),
        enlarge,
        ..GenerationRequest::new(task)
    };
    let order = Order { tenant: "", request: &request, sources, observer: &Silent, encodings: &Encodings::default() };
    generate(networks, &order).unwrap()
}

#[test]
fn networks_take_over_what_the_published_files_hold() {
    let [t5, clip, siglip, redux, flux, vae] = std::array::from_fn(|_| device());
    text_encoders(&t5, &clip);
    image_encoders(&siglip, &redux);
    built(|scope| FluxTransformer::load(&flux, scope, dev()));
    built(|scope| Autoencoder::load(&vae, scope, VaeConfig::flux(), true));
    let found = [t5, clip, siglip, redux, flux, vae].map(|device| taken_over(&device.tally()));
    // T5's table of distances, 32 buckets × 64 heads, stays on the host, where it becomes the bias of a length.
    let t5 = 4_762_310_656 - 32 * 64;
    assert_eq!(found, [t5, 123_060_480, 412_987_248, 64_503_808, 11_901_408_320, 83_819_683]);
}

#[test]
fn every_task_runs_at_full_size_without_weights() {
    let start = Instant::now();
    let device = device();
    let networks = networks(&device);
    let resident = device.tally().live_bytes;
    let variation = Task::Variation(VariationSettings::default());
    let tasks = [
        (variation.clone(), Enlarge::Off, 28),
        (Task::ImageToImage { strength: 0.5 }, Enlarge::Off, 14),
        (Task::TextToImage, Enlarge::Off, 28),
        (variation, Enlarge::FromPixels(512 * 512), 28 + 10),
    ];
    for (task, enlarge, steps) in tasks {
        let before = device.tally().records.len();
        let generation = run(&networks, task, enlarge);
        assert_eq!((generation.facts.steps_run, generation.facts.model.device.as_str()), (steps, "recording"));
        assert_eq!(generation.pictures[0].rgb().len(), 3 * 1024 * 1024);
        let tally = device.tally();
        let records = &tally.records[before..];
        // 19 double blocks in which every stream, and 38 single blocks in which all tokens are normed and rotated.
        let rotations = records.iter().filter(|record| record.operation == "rotate_heads").count();
        assert_eq!(rotations, steps as usize * (19 * 2 + 38) * 2);
        assert_eq!(tally.live_bytes, resident, "a request leaves nothing behind");
    }
    let peak = (device.tally().peak_bytes - resident) >> 20;
    println!("four requests in {:?}, at most {peak} MiB of activations", start.elapsed());
}

#[test]
fn reused_steps_run_one_block_and_read_two_numbers() {
    use crate::memory;
    let device = device();
    // Whatever is read is 0.5: a change of 0.5 of 0.5.
    let options = EngineOptions { cache_threshold: CacheThreshold::try_from(1.0).unwrap(), ..EngineOptions::default() };
    let networks = networks_with(&device, options);
    let resident = device.tally().live_bytes;
    let generation = run(&networks, Task::TextToImage, Enlarge::Off);
    assert_eq!((generation.facts.steps_run, generation.facts.pictures[0].cached_steps), (28, 26));
    let tally = device.tally();
    assert_eq!(tally.live_bytes, resident, "a request leaves nothing behind");
    // Two steps of all blocks, and the first block of the others.
    assert_eq!(tally.count("rotate_heads"), 2 * (2 * (19 * 2 + 38) + 26 * 2));
    assert_eq!(tally.count("magnitudes"), 26);
    let read = |record: &&Record| record.operation == "read" && record.rows * record.cols == 2;
    assert_eq!(tally.records.iter().filter(read).count(), 26);

    let transformer = networks.transformer(networks.fixed()).unwrap();
    let grid = crate::models::flux::Grid { rows: 64, columns: 64 };
    let (context, pooled) = (vec![0.0; 512 * 4096], vec![0.0; 768]);
    let (context, pooled) = (&context[..], &pooled[..]);
    let inputs =
        crate::models::flux::ConditioningInputs { context, pooled, timesteps: &[1.0], guidance: 3.5, grid, bias: None };
    let conditioning = transformer.condition(&inputs).unwrap();
    let before = device.tally().live_bytes;
    let caches = transformer.step_caches(&conditioning, 3, 0.1).unwrap();
    let held = device.tally().live_bytes - before;
    drop(caches);
    // Beside the two numbers.
    assert_eq!(held - 2 * 4, memory::step_caches(&dev(), 64 * 64, 3));
}

/// The most that `work` holds on `device` beside what is there already.
fn activations(device: &Arc<Recording>, work: impl FnOnce()) -> u64 {
    let before = device.tally();
    work();
    let after = device.tally();
    assert_eq!(after.live_bytes, before.live_bytes);
    assert!(after.peak_bytes > before.peak_bytes, "an earlier peak was higher");
    after.peak_bytes - before.live_bytes
}

/// A plan that counts too little is exceeded, one that counts far too much refuses what would fit.
fn assert_planned(planned: u64, held: u64, what: &str) {
    let ratio = planned as f64 / held as f64;
    assert!((1.0..1.7).contains(&ratio), "{what}: {planned} bytes planned, {held} held");
}

#[test]
fn plans_count_what_networks_hold() {
    use crate::memory;
    use crate::models::flux::{ConditioningInputs, Grid};
    let [text_device, image_device, flux_device, vae_device] = std::array::from_fn(|_| device());
    let text = text_encoders(&text_device, &device());
    let held = activations(&text_device, || drop(text.t5.encode(&[1; 512]).unwrap()));
    assert_planned(memory::t5(text.t5.config(), 512), held, "T5");

    let image = image_encoders(&image_device, &image_device);
    let held = activations(&image_device, || {
        let tokens = image.siglip.encode(&vec![0.0; 3 * 384 * 384]).unwrap();
        image.redux.embed(&tokens).unwrap();
    });
    assert_planned(memory::siglip(image.siglip.config(), 3 * 4096), held, "SigLIP");

    let transformer = built(|scope| FluxTransformer::load(&flux_device, scope, dev()));
    for (side, steps) in [(16, 1), (64, 28), (128, 50)] {
        // Peaks only rise, so from small to large.
        let held = activations(&flux_device, || {
            let grid = Grid { rows: side, columns: side };
            let (context, pooled, timesteps) = (vec![0.0; 1241 * 4096], vec![0.0; 768], vec![1.0; steps]);
            let (context, pooled) = (&context[..], &pooled[..]);
            let inputs = ConditioningInputs { context, pooled, timesteps: &timesteps, guidance: 3.5, grid, bias: None };
            let conditioning = transformer.condition(&inputs).unwrap();
            let mut workspace = transformer.workspace(&conditioning).unwrap();
            let mut velocity = vec![0.0; side * side * 64];
            transformer.forward(&conditioning, 0, &vec![0.0; side * side * 64], &mut workspace, &mut velocity).unwrap();
        });
        let planned = memory::flux(&dev(), 1241, side * side, steps, LIMITS.wide_rows);
        assert_planned(planned, held, &format!("FLUX, {side} tokens a side, {steps} steps"));
    }

    let autoencoder = built(|scope| Autoencoder::load(&vae_device, scope, VaeConfig::flux(), true));
    let held = activations(&vae_device, || {
        let latents = Tensor3 { data: vec![0.0; 16 * 128 * 128], channels: 16, height: 128, width: 128 };
        autoencoder.decode(&latents, &|| Ok(())).unwrap();
    });
    let planes = 4 * 2 * 3 * 1024 * 1024;
    assert_planned(VaeConfig::flux().activation_bytes(1024, 1024) + planes, held, "decoder");
}

#[test]
fn a_step_computes_what_the_benchmark_says() {
    use crate::models::flux::{ConditioningInputs, Grid};
    let device = Arc::new(CountedDevice::new(device()));
    let transformer = built(|scope| FluxTransformer::load(&device, scope, dev()));
    let grid = Grid { rows: 64, columns: 64 };
    let (context, pooled) = (vec![0.0; (512 + 729) * 4096], vec![0.0; 768]);
    let inputs =
        ConditioningInputs { context: &context, pooled: &pooled, timesteps: &[1.0], guidance: 3.5, grid, bias: None };
    let conditioning = transformer.condition(&inputs).unwrap();
    let mut workspace = transformer.workspace(&conditioning).unwrap();
    let mut velocity = vec![0.0; 4096 * 64];
    device.take();
    transformer.forward(&conditioning, 0, &vec![0.0; 4096 * 64], &mut workspace, &mut velocity).unwrap();

    // By hand: every token has its queries, keys, values, output and MLP, and attends to all; the last block and what
    // stands around the blocks have the image's tokens only.
    let (hidden, mlp, image, tokens) = (3072.0, 4.0 * 3072.0, 4096.0, 512.0 + 729.0 + 4096.0);
    let block = |queries: f64| {
        let linear = tokens * 3.0 * hidden * hidden + queries * (hidden * hidden + 2.0 * hidden * mlp);
        2.0 * linear + 4.0 * hidden * queries * tokens
    };
    let expected = f64::from(19 + 37) * block(tokens) + block(image) + 2.0 * image * hidden * (64.0 + 64.0);
    let found = device.take().products as f64;
    assert!((found / expected - 1.0).abs() < 1e-12, "{found:e}, expected {expected:e}");
}
