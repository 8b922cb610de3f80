//! Steps that reuse earlier ones, beside the same formula over blocks that are computed one by one.

use super::{ModelFiles, Networks};
use crate::engine::Engine;
use crate::generation::Generation;
use crate::models::flux::{Conditioning, ConditioningInputs, FluxTransformer, Grid};
use crate::observer::{Observer, Silent};
use crate::options::{CacheThreshold, EngineOptions};
use crate::parity::{Case, cases};
use crate::safety::Safety;
use crate::sampling::TorchGenerator;
use afterimage_core::{Enlarge, GenerationRequest, Picture, Size, Task, VariationSettings};
use afterimage_device::Cpu;
use std::sync::Arc;

const STEPS: usize = 8;
const GRID: Grid = Grid { rows: 3, columns: 5 };

fn case(name: &str) -> Case {
    cases().into_iter().find(|case| case.name == name).unwrap()
}

fn options(case: &Case, threshold: f64) -> EngineOptions {
    let folder = |part: &str| Some(case.folder(part).path(""));
    let cache_threshold = CacheThreshold::try_from(threshold).unwrap();
    EngineOptions { base: folder("base"), redux: folder("redux"), cache_threshold, ..EngineOptions::default() }
}

fn transformer(case: &Case) -> Arc<FluxTransformer<Cpu>> {
    let files = ModelFiles::open(&options(case, 0.0)).unwrap();
    let networks = Networks::new(Arc::new(Cpu::detect()), files, Safety::none()).unwrap();
    networks.transformer(networks.fixed()).unwrap()
}

fn conditioning(transformer: &FluxTransformer<Cpu>, generator: &mut TorchGenerator) -> Conditioning<Cpu> {
    let config = transformer.config();
    let context = generator.randn_f32(7 * config.joint_attention_dim);
    let pooled = generator.randn_f32(config.pooled_projection_dim);
    let timesteps: Vec<f32> = (0..STEPS).map(|step| 1.0 - step as f32 / STEPS as f32).collect();
    let (context, pooled, timesteps) = (&context[..], &pooled[..], &timesteps[..]);
    let inputs = ConditioningInputs { context, pooled, timesteps, guidance: 3.5, grid: GRID, bias: None };
    transformer.condition(&inputs).unwrap()
}

/// Latents that move, at first much, later little.
fn moving_latents(numbers: usize, generator: &mut TorchGenerator) -> Vec<Vec<f32>> {
    let mut latents = generator.randn_f32(numbers);
    let step = |step| {
        let movement = generator.randn_f32(numbers);
        latents.iter_mut().zip(movement).for_each(|(latent, by)| *latent += by / (1 + step * step) as f32);
        latents.clone()
    };
    (0..STEPS).map(step).collect()
}

/// One step of the oracle: its velocity, whether it was reused, and how far from it it was.
struct Step {
    velocity: Vec<f32>,
    is_cached: bool,
    change: f64,
}

fn difference(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a - b).collect()
}

fn mean_magnitude(numbers: &[f32]) -> f64 {
    numbers.iter().map(|number| f64::from(number.abs())).sum::<f64>() / numbers.len() as f64
}

/// The formula, over streams between blocks.
fn oracle(
    transformer: &FluxTransformer<Cpu>,
    conditioning: &Conditioning<Cpu>,
    latents: &[Vec<f32>],
    threshold: f64,
) -> Vec<Step> {
    let mut workspace = transformer.workspace(conditioning).unwrap();
    let mut kept: Option<[Vec<f32>; 2]> = None;
    let step = |(step, latents): (usize, &Vec<f32>)| {
        let streams = transformer.image_streams(conditioning, step, latents, &mut workspace).unwrap();
        let (start, first, end) = (&streams[0], &streams[1], streams.last().unwrap());
        let head = difference(first, start);
        let change = kept
            .as_ref()
            .map_or(f64::INFINITY, |[before, _]| mean_magnitude(&difference(&head, before)) / mean_magnitude(before));
        let is_cached = change <= threshold && step > 0 && step + 1 < STEPS;
        let image = match &kept {
            Some([_, tail]) if is_cached => first.iter().zip(tail).map(|(first, tail)| first + tail).collect(),
            _ => {
                kept = Some([head, difference(end, first)]);
                end.clone()
            }
        };
        let mut velocity = vec![0.0; latents.len()];
        transformer.velocity_of(conditioning, step, &image, &mut workspace, &mut velocity).unwrap();
        Step { velocity, is_cached, change }
    };
    latents.iter().enumerate().map(step).collect()
}

/// The same by the code that is tested, of every picture of a batch.
fn cached(
    transformer: &FluxTransformer<Cpu>,
    conditioning: &Conditioning<Cpu>,
    pictures: &[&[Vec<f32>]],
    threshold: f64,
) -> Vec<Vec<(Vec<f32>, bool)>> {
    let mut workspace = transformer.workspace(conditioning).unwrap();
    let mut caches = transformer.step_caches(conditioning, pictures.len(), threshold as f32).unwrap();
    let mut steps = vec![Vec::new(); pictures.len()];
    for step in 0..STEPS {
        for (index, latents) in pictures.iter().enumerate() {
            let mut velocity = vec![0.0; latents[step].len()];
            let cache = caches.picture(index);
            let is_cached = transformer
                .forward_cached(conditioning, step, &latents[step], &mut workspace, cache, &mut velocity)
                .unwrap();
            steps[index].push((velocity, is_cached));
        }
    }
    steps
}

fn bits(numbers: &[f32]) -> Vec<u32> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

#[test]
fn steps_are_reused_as_the_formula_says() {
    let transformer = transformer(&case("vary-plain"));
    let mut generator = TorchGenerator::new(1);
    let conditioning = conditioning(&transformer, &mut generator);
    let numbers = GRID.tokens() * transformer.config().in_channels;
    let pictures = [moving_latents(numbers, &mut generator), moving_latents(numbers, &mut generator)];
    let plain = |latents: &[Vec<f32>], step: usize| {
        let mut velocity = vec![0.0; numbers];
        let mut workspace = transformer.workspace(&conditioning).unwrap();
        transformer.forward(&conditioning, step, &latents[step], &mut workspace, &mut velocity).unwrap();
        bits(&velocity)
    };
    let mut counts = Vec::new();
    // So low that nothing is near, in the midst of the changes, and so high that everything is.
    for threshold in [1e-9, 0.05, 0.1, 0.2, 0.4, 1e9] {
        let both = [&pictures[0][..], &pictures[1][..]];
        let found = cached(&transformer, &conditioning, &both, threshold);
        let mut reused = 0;
        for (index, (found, latents)) in found.iter().zip(&pictures).enumerate() {
            let expected = oracle(&transformer, &conditioning, latents, threshold);
            for (step, ((velocity, is_cached), expected)) in found.iter().zip(&expected).enumerate() {
                let what = format!("threshold {threshold}, picture {index}, step {step}, change {}", expected.change);
                assert_eq!(*is_cached, expected.is_cached, "{what}");
                assert_eq!(bits(velocity), bits(&expected.velocity), "{what}");
                // What is computed is what it is without any cache; what is not, is not.
                assert_eq!(bits(velocity) == plain(latents, step), !is_cached, "{what}");
                reused += usize::from(*is_cached);
            }
            // A picture beside another is as it is alone.
            assert_eq!(cached(&transformer, &conditioning, &[&latents[..]], threshold)[0], *found);
        }
        counts.push(reused);
    }
    println!("reused of {}: {counts:?}", 2 * STEPS);
    assert_eq!((counts[0], counts.last()), (0, Some(&(2 * (STEPS - 2)))));
    assert!(counts.is_sorted() && counts.iter().any(|count| (1..2 * (STEPS - 2)).contains(count)), "{counts:?}");
}

/// Asks for previews.
struct Watcher;

impl Observer for Watcher {
    fn wants_preview(&self, _done: u32, _total: u32) -> bool {
        true
    }
}

fn request(seed: u64, num_images: u32) -> GenerationRequest {
    let mut request = GenerationRequest::new(Task::Variation(VariationSettings::default()));
    (request.size, request.steps, request.seed) = (Some(Size::new(64, 48)), 6, Some(seed));
    request.num_images = num_images;
    request
}

fn photo() -> Picture {
    Picture::from_rgb(16, 8, (0..16 * 8 * 3).map(|index| (index * 7 % 256) as u8).collect()).unwrap()
}

fn run(engine: &Engine, request: &GenerationRequest) -> Generation {
    engine.generate(request, &[photo()], &Silent).unwrap()
}

fn cached_steps(generation: &Generation) -> Vec<u32> {
    generation.facts.pictures.iter().map(|picture| picture.cached_steps).collect()
}

#[test]
fn requests_know_nothing_of_each_others_steps() {
    let case = case("vary-plain");
    let open = |threshold| Engine::open(&options(&case, threshold)).unwrap();
    let (off, all) = (open(0.0), open(1.0));
    let exact = run(&off, &request(1, 2));
    assert_eq!((cached_steps(&exact), exact.facts.cache_threshold), (vec![0, 0], None));
    // So little that no step is near: the same pictures.
    let tiny = run(&open(1e-12), &request(1, 2));
    assert_eq!((cached_steps(&tiny), tiny.facts.cache_threshold), (vec![0, 0], Some(1e-12)));
    assert_eq!(tiny.pictures, exact.pictures);

    let first = run(&all, &request(1, 2));
    assert_eq!((cached_steps(&first), first.facts.cache_threshold), (vec![4, 4], Some(1.0)));
    assert_ne!(first.pictures, exact.pictures);
    let other = run(&all, &request(2, 1));
    let again = run(&all, &request(1, 2));
    assert_eq!(again.pictures, first.pictures);
    assert_eq!(run(&open(1.0), &request(2, 1)).pictures, other.pictures);
    assert_eq!(run(&all, &request(1, 1)).pictures[0], first.pictures[0]);

    let watched = all.generate(&request(1, 2), &[photo()], &Watcher).unwrap();
    assert_eq!(watched.pictures, first.pictures);
}

#[test]
fn every_task_and_both_passes_have_a_first_and_a_last_step() {
    let engine = Engine::open(&options(&case("img2img"), 1.0)).unwrap();
    let from = |strength| {
        let mut request = GenerationRequest {
            task: Task::ImageToImage { strength },
            prompt: Some("blue".to_owned()),
            ..request(3, 1)
        };
        request.steps = 6;
        request
    };
    for (strength, ran, reused) in [(0.5, 3, 1), (0.33, 2, 0), (0.16, 1, 0), (0.0, 0, 0)] {
        let generation = run(&engine, &from(strength));
        assert_eq!((generation.facts.steps_run, cached_steps(&generation)), (ran, vec![reused]), "{strength}");
    }
    // 6 steps, then those of the refinement.
    let mut large = request(4, 1);
    (large.size, large.enlarge) = (Some(Size::new(96, 64)), Enlarge::FromPixels(48 * 32));
    let engine = Engine::open(&options(&case("vary-plain"), 1.0)).unwrap();
    let generation = run(&engine, &large);
    let refining = generation.facts.steps_run - 6;
    assert!(refining > 0);
    assert_eq!(cached_steps(&generation), [4 + refining.saturating_sub(2)]);
}
