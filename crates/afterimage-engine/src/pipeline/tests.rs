//! The pipeline against what diffusers recorded on its way through the parity cases.

use super::clock::StageClock;
use super::context::{PictureTokens, join};
use super::encode::{Encoder, encode_picture};
use super::encodings::{Encodings, Text};
use super::latents::{pack, pixels_of, unpack, usable_size};
use super::pass::{Latents, Pass, Sampling};
use super::{ModelFiles, Networks};
use crate::engine::Engine;
use crate::models::flux::{Conditioning, ConditioningInputs, Grid};
use crate::observer::{Observer, Silent};
use crate::options::{DtypeChoice, EngineOptions};
use crate::parity::{Case, Recorded, cases, relative_difference};
use crate::safety::Safety;
use crate::sampling::{TorchGenerator, img2img_start, refining_sigmas, sigmas};
use afterimage_core::{
    EmptyPrompt, Enlarge, Error, GenerationRequest, Picture, PictureLimits, Size, Task, Timings, VariationSettings,
};
use afterimage_device::{Cpu, Device, Plain};
use afterimage_imaging::{Filter, read_file, resize};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

const TOLERANCE: f32 = 1e-4;

fn options(case: &Case) -> EngineOptions {
    let folder = |part: &str| Some(case.folder(part).path(""));
    // As `Cpu::detect` computes.
    let dtype = DtypeChoice::F32;
    EngineOptions { base: folder("base"), redux: folder("redux"), dtype, ..EngineOptions::default() }
}

pub(super) fn networks(case: &Case) -> Networks<Cpu> {
    networks_on(Cpu::detect(), case)
}

fn networks_on<D: Device>(device: D, case: &Case) -> Networks<D> {
    Networks::new(Arc::new(device), ModelFiles::open(&options(case)).unwrap(), Safety::none()).unwrap()
}

pub(super) fn engine(case: &Case) -> Engine {
    Engine::open(&options(case)).unwrap()
}

fn variation_text<D: Device>(networks: &Networks<D>, prompt: Option<&str>, empty: EmptyPrompt) -> Text {
    let (encodings, mut clock) = (Encodings::default(), StageClock::new(&Silent));
    let mut encoder =
        Encoder { networks, loras: networks.fixed(), encodings: &encodings, tenant: "", clock: &mut clock };
    Arc::unwrap_or_clone(encoder.variation_text(prompt, empty).unwrap().value)
}

pub(super) fn input(case: &Case) -> Picture {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity/cases").join(&case.name);
    let path = ["input.png", "input.jpg"].map(|name| folder.join(name)).into_iter().find(|path| path.exists());
    read_file(&path.unwrap(), &PictureLimits::default()).unwrap().picture
}

fn grid_of(noise: &Recorded) -> Grid {
    Grid { rows: noise.shape[2] / 2, columns: noise.shape[3] / 2 }
}

fn number<T: std::str::FromStr>(case: &Case, flag: &str, default: T) -> T {
    case.flag(flag).map_or(default, |text| text.parse().ok().unwrap())
}

/// The case's conditioning, computed by our own encoders, with the sigmas diffusers recorded.
fn conditioning<D: Device>(case: &Case, networks: &Networks<D>, text: Option<Text>) -> Conditioning<D> {
    let sigmas = &case.tensor("sigmas").unwrap().values;
    let prompt = case.flag("--prompt");
    let empty = if case.flag("--empty-prompt") == Some("zeros") { EmptyPrompt::Zeros } else { EmptyPrompt::Encode };
    let text = text.unwrap_or_else(|| variation_text(networks, prompt, empty));
    let variation = case.flag("--strength").is_none();
    let settings = VariationSettings::default();
    let pictures = if variation && number(case, "--redux-strength", 1.0) > 0.0 {
        vec![PictureTokens::whole(encode_picture(networks, &input(case)).unwrap())]
    } else {
        Vec::new()
    };
    let context = join(networks.files().flux().joint_attention_dim, text, &pictures, &settings);
    let inputs = ConditioningInputs {
        context: &context.tokens,
        pooled: &context.pooled,
        timesteps: &sigmas[..sigmas.len() - 1],
        guidance: number(case, "--guidance", 3.5),
        grid: grid_of(case.tensor("noise").unwrap()),
        bias: context.bias(0..sigmas.len() as u32 - 1, sigmas.len() as u32 - 1),
    };
    networks.transformer(networks.fixed()).unwrap().condition(&inputs).unwrap()
}

fn first_velocity<D: Device>(case: &Case, networks: &Networks<D>, conditioning: &Conditioning<D>) -> Vec<f32> {
    let start = case.tensor("latents_start").unwrap();
    let mut velocities = vec![0.0; start.values.len()];
    let per_picture = start.shape[1] * start.shape[2];
    let transformer = networks.transformer(networks.fixed()).unwrap();
    let mut workspace = transformer.workspace(conditioning).unwrap();
    for (latents, velocity) in start.values.chunks(per_picture).zip(velocities.chunks_mut(per_picture)) {
        transformer.forward(conditioning, 0, latents, &mut workspace, velocity).unwrap();
    }
    velocities
}

#[test]
fn first_velocities_are_those_of_diffusers() {
    for case in cases() {
        let networks = networks(&case);
        let velocity = first_velocity(&case, &networks, &conditioning(&case, &networks, None));
        let difference = relative_difference(&velocity, &case.tensor("velocity_first").unwrap().values);
        println!("{}: first velocity {difference:.1e}", case.name);
        assert!(difference < TOLERANCE, "{}: {difference}", case.name);
    }
}

/// The models' code itself: with the oracle under it no kernel takes part, and reading what nobody wrote gives NaN.
#[test]
fn models_on_the_plain_device_are_those_of_diffusers() {
    let case = cases().into_iter().find(|case| case.name == "vary-prompt").unwrap();
    let networks = networks_on(Plain, &case);
    let velocity = first_velocity(&case, &networks, &conditioning(&case, &networks, None));
    let difference = relative_difference(&velocity, &case.tensor("velocity_first").unwrap().values);
    println!("plain first velocity {difference:.1e}");
    assert!(difference < TOLERANCE, "{difference}");

    let (plain, fast) = (networks.autoencoder().unwrap(), super::tests::networks(&case));
    let pixels = pixels_of(&resize(&input(&case), Size::new(48, 32), Filter::Lanczos).unwrap());
    let [slow, fast] =
        [plain.encode(pixels.clone(), &|| Ok(())), fast.autoencoder().unwrap().encode(pixels, &|| Ok(()))]
            .map(|posterior| posterior.unwrap().mean);
    assert!(relative_difference(&fast.data, &slow.data) < TOLERANCE);
    let decoded = plain.decode(&slow, &|| Ok(())).unwrap();
    assert!(decoded.data.iter().all(|value| value.is_finite()));
}

#[test]
fn noise_sigmas_and_packed_starts_are_those_of_diffusers() {
    for case in cases() {
        let networks = networks(&case);
        let recorded = case.tensor("noise").unwrap();
        let grid = grid_of(recorded);
        let mut generator = TorchGenerator::new(number(&case, "--seed", 0));
        let steps = number(&case, "--steps", 28);
        let schedule = sigmas(networks.files().scheduler(), grid.tokens(), steps);
        let first = case.flag("--strength").map_or(0, |strength| img2img_start(steps, strength.parse().unwrap()));
        let schedule = &schedule[first as usize..];
        assert!(relative_difference(schedule, &case.tensor("sigmas").unwrap().values) < TOLERANCE, "{}", case.name);
        if let Some(mean) = case.tensor("vae_mean") {
            let drawn = generator.randn_f32(mean.values.len());
            if let Some(expected) = case.tensor("vae_sample_noise") {
                assert!(relative_difference(&drawn, &expected.values) < TOLERANCE, "{}: posterior noise", case.name);
            }
        }
        let noise = generator.randn_f32(recorded.values.len());
        assert!(relative_difference(&noise, &recorded.values) < TOLERANCE, "{}: noise", case.name);
        if case.tensor("vae_mean").is_none() {
            let per_picture = noise.len() / recorded.shape[0];
            let packed: Vec<f32> =
                noise.chunks(per_picture).flat_map(|noise| pack(noise, recorded.shape[1], grid)).collect();
            let start = &case.tensor("latents_start").unwrap().values;
            assert!(relative_difference(&packed, start) < TOLERANCE, "{}: packed start", case.name);
        }
    }
}

#[test]
fn encoded_pictures_are_those_of_diffusers() {
    let mut compared = 0;
    for case in cases() {
        let (Some(mean), Some(log_variance)) = (case.tensor("vae_mean"), case.tensor("vae_logvar")) else { continue };
        let networks = networks(&case);
        let noise = case.tensor("noise").unwrap();
        let size = Size::new(8 * noise.shape[3] as u32, 8 * noise.shape[2] as u32);
        let resized = resize(&input(&case), size, Filter::Lanczos).unwrap();
        let posterior = networks.autoencoder().unwrap().encode(pixels_of(&resized), &|| Ok(())).unwrap();
        // A JPEG decoder may differ by a few levels from libjpeg, which shows here; PNG input must agree exactly.
        let tolerance = if case.name.contains("jpeg") { 0.05 } else { TOLERANCE };
        for (name, found, expected) in
            [("mean", &posterior.mean, mean), ("log variance", &posterior.log_variance, log_variance)]
        {
            let difference = relative_difference(&found.data, &expected.values);
            println!("{}: {name} {difference:.1e}", case.name);
            assert!(difference < tolerance, "{}: {name} {difference}", case.name);
        }
        compared += 1;
    }
    assert_eq!(compared, 2);
}

#[test]
fn decoded_latents_are_those_of_diffusers() {
    let mut compared = 0;
    for case in cases() {
        let Some(expected) = case.tensor("decoded") else { continue };
        let networks = networks(&case);
        let last = case.tensor("latents_final").unwrap();
        let noise = case.tensor("noise").unwrap();
        let decoded: Vec<f32> = last
            .values
            .chunks(last.shape[1] * last.shape[2])
            .flat_map(|latents| {
                let planes = unpack(latents, noise.shape[1], grid_of(noise));
                networks.decoder().unwrap().decode(&planes, &|| Ok(())).unwrap().data
            })
            .collect();
        let difference = relative_difference(&decoded, &expected.values);
        println!("{}: decoded {difference:.1e}", case.name);
        assert!(difference < TOLERANCE, "{}: {difference}", case.name);
        compared += 1;
    }
    assert!(compared >= 3);
}

#[test]
fn one_token_for_many_equal_ones_computes_the_same() {
    let case = cases().into_iter().find(|case| case.name == "vary-zeros").unwrap();
    let networks = networks(&case);
    let collapsed = variation_text(&networks, None, EmptyPrompt::Zeros);
    assert_eq!(collapsed.repeated, 512);
    let whole = Text { tokens: collapsed.tokens.repeat(512), repeated: 1, ..collapsed.clone() };
    let whole = first_velocity(&case, &networks, &conditioning(&case, &networks, Some(whole)));
    let collapsed = first_velocity(&case, &networks, &conditioning(&case, &networks, Some(collapsed)));
    let difference = relative_difference(&collapsed, &whole);
    println!("collapsed against whole: {difference:.1e}");
    assert!(difference < 1e-5, "{difference}");
}

#[test]
fn strength_just_below_one_changes_little_and_small_strength_approaches_none() {
    let case = cases().into_iter().find(|case| case.name == "vary-plain").unwrap();
    let engine = engine(&case);
    let run = |strength: f64| {
        let settings = VariationSettings { redux_strength: strength, ..VariationSettings::default() };
        let mut request = GenerationRequest::new(Task::Variation(settings));
        (request.size, request.steps, request.seed) = (Some(Size::new(64, 64)), 2, Some(1));
        let pictures = engine.generate(&request, &[input(&case)], &Silent).unwrap().pictures;
        pictures[0].rgb().to_vec()
    };
    let largest = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    let (none, tiny, half, nearly, full) = (run(0.0), run(1e-7), run(0.5), run(0.999_999), run(1.0));
    assert!(largest(&nearly, &full) <= 1);
    assert!(largest(&tiny, &none) <= 1);
    assert!(largest(&half, &full) > 1 && largest(&half, &none) > 1);
}

#[test]
fn one_picture_is_the_first_of_several() {
    let case = cases().into_iter().find(|case| case.name == "vary-two").unwrap();
    let engine = engine(&case);
    let mut request = GenerationRequest::new(Task::Variation(VariationSettings::default()));
    (request.size, request.steps, request.seed, request.num_images) = (Some(Size::new(64, 48)), 2, Some(3), 3);
    let several = engine.generate(&request, &[input(&case)], &Silent).unwrap();
    request.num_images = 1;
    let one = engine.generate(&request, &[input(&case)], &Silent).unwrap();
    assert_eq!((several.pictures.len(), several.facts.seed, several.facts.steps_run), (3, 3, 2));
    assert_eq!(several.pictures[0], one.pictures[0]);
    assert_ne!(several.pictures[1], one.pictures[0]);
}

#[test]
fn without_a_step_the_source_itself_comes_back_at_the_output_size() {
    let case = cases().into_iter().find(|case| case.name == "vary-plain").unwrap();
    let (engine, source) = (engine(&case), input(&case));
    for (strength, size) in [(0.0, None), (0.0, Some(Size::new(64, 48))), (1e-17, Some(Size::new(80, 96)))] {
        let mut request = GenerationRequest::new(Task::ImageToImage { strength });
        (request.prompt, request.size, request.num_images) = (Some("a lake".to_owned()), size, 2);
        let made = engine.generate(&request, std::slice::from_ref(&source), &Silent).unwrap();
        let expected = Size::new(source.width(), source.height());
        let expected = usable_size(size.unwrap_or(expected), networks(&case).files().size_step()).unwrap();
        let resized = resize(&source, expected, Filter::Lanczos).unwrap();
        assert_eq!(
            (made.facts.size, made.facts.steps_run, made.pictures),
            (expected, 0, vec![resized; 2]),
            "{strength} {size:?}"
        );
        let Timings { image_encode_ms, text_encode_ms, denoise_ms, decode_ms, .. } = made.facts.timings;
        assert!(
            [image_encode_ms, text_encode_ms, denoise_ms, decode_ms].iter().all(|time| *time <= 0.0),
            "no model runs"
        );
    }
}

#[test]
fn drawn_seeds_are_taken_back_by_every_service() {
    let case = cases().into_iter().find(|case| case.name == "vary-plain").unwrap();
    let (engine, source) = (engine(&case), input(&case));
    let mut request = GenerationRequest::new(Task::ImageToImage { strength: 0.0 });
    request.prompt = Some("a lake".to_owned());
    let drawn = || engine.generate(&request, std::slice::from_ref(&source), &Silent).unwrap().facts.seed;
    let seeds: Vec<u64> = (0..64).map(|_| drawn()).collect();
    assert!(seeds.iter().all(|seed| *seed <= 0x7fff_ffff), "{seeds:?}");
    assert!(seeds.iter().any(|seed| *seed > 0x3fff_ffff), "the highest bit is drawn, too");
}

#[test]
fn a_cancelled_generation_ends_before_the_next_step() {
    struct StopAfter(u32, AtomicU32);
    impl Observer for StopAfter {
        fn step(&self, done: u32, _total: u32) {
            self.1.store(done, Ordering::Relaxed);
        }
        fn is_cancelled(&self) -> bool {
            self.1.load(Ordering::Relaxed) >= self.0
        }
    }
    let case = cases().into_iter().find(|case| case.name == "vary-two").unwrap();
    let mut request = GenerationRequest::new(Task::Variation(VariationSettings::default()));
    request.size = Some(Size::new(32, 32));
    let observer = StopAfter(2, AtomicU32::new(0));
    let ended = engine(&case).generate(&request, &[input(&case)], &observer);
    assert!(matches!(ended, Err(Error::Cancelled)), "{ended:?}");
    assert_eq!(observer.1.load(Ordering::Relaxed), 2);
}

/// Notes previews; wants them after every step.
#[derive(Default)]
struct Watcher {
    wanted_after: Mutex<Vec<(u32, u32)>>,
    previews: Mutex<Vec<Picture>>,
}

impl Observer for Watcher {
    fn wants_preview(&self, done: u32, total: u32) -> bool {
        self.wanted_after.lock().unwrap().push((done, total));
        true
    }

    fn preview(&self, picture: Picture) {
        self.previews.lock().unwrap().push(picture);
    }
}

/// A variation with two pictures in three steps.
fn small_variation(seed: u64) -> GenerationRequest {
    let mut request = GenerationRequest::new(Task::Variation(VariationSettings::default()));
    (request.size, request.steps, request.seed, request.num_images) = (Some(Size::new(288, 64)), 3, Some(seed), 2);
    request
}

#[test]
fn previews_change_nothing_and_come_after_every_step_but_the_last() {
    let case = cases().into_iter().find(|case| case.name == "vary-two").unwrap();
    let engine = engine(&case);
    let watcher = Watcher::default();
    let unwatched = engine.generate(&small_variation(5), &[input(&case)], &Silent).unwrap();
    let watched = engine.generate(&small_variation(5), &[input(&case)], &watcher).unwrap();
    assert_eq!(watched.pictures, unwatched.pictures);
    assert_eq!(*watcher.wanted_after.lock().unwrap(), [(1, 3), (2, 3)]);
    let previews = watcher.previews.into_inner().unwrap();
    assert_eq!(previews.len(), 2);
    assert!(previews.iter().all(|preview| (preview.width(), preview.height()) == (256, 56)), "{previews:?}");
    // The last preview is one small step away from the first picture, and not from the second.
    let distance = |picture: &Picture| {
        let small = resize(picture, Size::new(256, 56), Filter::Bicubic).unwrap();
        let levels = small.rgb().iter().zip(previews[1].rgb()).map(|(a, b)| u64::from(a.abs_diff(*b)));
        levels.sum::<u64>()
    };
    assert!(distance(&watched.pictures[0]) < distance(&watched.pictures[1]));
}

#[test]
fn large_pictures_are_made_small_enlarged_and_refined() {
    let case = cases().into_iter().find(|case| case.name == "vary-prompt").unwrap();
    let (engine, networks) = (engine(&case), networks(&case));
    let source = [input(&case)];
    let mut request = small_variation(2);
    (request.size, request.num_images) = (Some(Size::new(96, 64)), 1);
    let run =
        |request: &GenerationRequest, observer: &dyn Observer| engine.generate(request, &source, observer).unwrap();
    let once = run(&request, &Silent);
    assert_eq!((once.facts.enlarge, once.facts.enlarged_from, once.facts.steps_run), (Enlarge::Off, None, 3));

    request.enlarge = Enlarge::FromPixels(48 * 32);
    let watcher = Watcher::default();
    let twice = run(&request, &watcher);
    assert_eq!((twice.facts.size, twice.facts.enlarged_from), (Size::new(96, 64), Some(Size::new(48, 32))));
    assert_eq!((twice.facts.enlarge, twice.facts.steps_run), (request.enlarge, 5));
    assert_ne!(twice.pictures, once.pictures);
    // Steps are counted through both passes.
    assert_eq!(*watcher.wanted_after.lock().unwrap(), [(1, 5), (2, 5), (3, 5), (4, 5)]);

    // The small picture is that of the same seed; the noise runs on to its refinement, under the same condition.
    let small = GenerationRequest { size: Some(Size::new(48, 32)), enlarge: Enlarge::Off, ..request.clone() };
    let small = run(&small, &Silent).pictures.remove(0);
    let last = Pass { networks: &networks, loras: networks.fixed(), observer: &Silent, size: Size::new(96, 64) };
    let noise = TorchGenerator::new(2).randn_f32(last.latent_numbers() / 4 * 5);
    let levels = refining_sigmas(networks.files().scheduler(), 3 * 2, 3, 0.35);
    let image = last.encode(&resize(&small, last.size, Filter::Bicubic).unwrap(), None).unwrap();
    let start = last.start(Some(&image), &noise[last.latent_numbers() / 4..], levels[0]);
    let text = variation_text(&networks, None, EmptyPrompt::Encode);
    let tokens = [PictureTokens::whole(encode_picture(&networks, &source[0]).unwrap())];
    let context = join(networks.files().flux().joint_attention_dim, text, &tokens, &VariationSettings::default());
    let sampling = Sampling { context: &context, guidance: 3.5, schedule: &levels, steps_before: 0, steps_in_all: 2 };
    let mut latents = [Latents { now: start, kept: None }];
    let refined = last.run(&sampling, &mut latents, &mut [0], &mut StageClock::new(&Silent)).unwrap();
    assert_eq!(refined, twice.pictures);

    // The first of several is the only one of one.
    request.num_images = 2;
    let several = run(&request, &Silent);
    assert_eq!(several.pictures[0], twice.pictures[0]);
    assert_ne!(several.pictures[1], twice.pictures[0]);
}

#[test]
fn a_large_image_to_image_starts_from_the_shrunk_source() {
    let case = cases().into_iter().find(|case| case.name == "img2img").unwrap();
    let engine = engine(&case);
    let mut request = GenerationRequest::new(Task::ImageToImage { strength: 0.9 });
    request.prompt = Some("blue".to_owned());
    (request.size, request.steps, request.seed) = (Some(Size::new(64, 64)), 4, Some(9));
    request.enlarge = Enlarge::FromPixels(32 * 32);
    let run = |request: &GenerationRequest| engine.generate(request, &[input(&case)], &Silent).unwrap();
    let generation = run(&request);
    assert_eq!((generation.facts.enlarged_from, generation.facts.steps_run), (Some(Size::new(32, 32)), 6));
    request.task = Task::ImageToImage { strength: 0.3 };
    assert_eq!(run(&request).facts.enlarged_from, None);
}

#[test]
fn known_prompts_and_pictures_are_not_encoded_again() {
    let case = cases().into_iter().find(|case| case.name == "vary-prompt").unwrap();
    let engine = engine(&case);
    let run = |prompt: &str, source: Picture| {
        let request = GenerationRequest { prompt: Some(prompt.to_owned()), ..small_variation(1) };
        let generation = engine.generate(&request, &[source], &Silent).unwrap();
        (generation.facts.image_cached, generation.facts.text_cached, generation.pictures)
    };
    let other = Picture::from_rgb(16, 8, vec![200; 16 * 8 * 3]).unwrap();
    let (image, text, first) = run("blue", input(&case));
    assert!(!image && !text);
    let (image, text, again) = run("blue", input(&case));
    assert!(image && text);
    assert_eq!(again, first);
    let (image, text, varied) = run("blue", other.clone());
    assert!(!image && text);
    assert_ne!(varied, first);
    let (image, text, _) = run("red", input(&case));
    assert!(image && !text);
    let (image, text, after) = run("blue", other);
    assert!(image && text);
    assert_eq!(after, varied, "pictures are not mixed up");
}

#[test]
fn what_one_tenant_encoded_is_unknown_to_another() {
    let case = cases().into_iter().find(|case| case.name == "vary-prompt").unwrap();
    let engine = engine(&case);
    let run = |tenant: &str| {
        let request = GenerationRequest { prompt: Some("blue".to_owned()), ..small_variation(1) };
        let generation = engine.generate_for(tenant, &request, &[input(&case)], &Silent).unwrap();
        ((generation.facts.image_cached, generation.facts.text_cached), generation.pictures)
    };
    let (_, pictures) = run("a");
    for (tenant, known) in [("b", false), ("a", true), ("b", true), ("", false)] {
        assert_eq!(run(tenant), ((known, known), pictures.clone()), "{tenant}");
    }
}

#[test]
fn a_request_counts_only_the_models_it_built() {
    let case = cases().into_iter().find(|case| case.name == "vary-prompt").unwrap();
    let engine = engine(&case);
    let run = || engine.generate(&small_variation(1), &[input(&case)], &Silent).unwrap().facts.timings;
    let first = run();
    assert!(first.load_ms > 0.0, "{first:?}");
    let later: Vec<_> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..3).map(|_| scope.spawn(run)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for timings in later {
        // Looking whether another thread has built it meanwhile takes less than a microsecond.
        assert!(timings.load_ms < 0.05, "{timings:?}");
    }
}
