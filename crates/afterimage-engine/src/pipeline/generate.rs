//! The order of things: encode, condition, sample, decode.

use super::clock::StageClock;
use super::context::{Context, join};
use super::encode::Encoder;
use super::encodings::{Encodings, Text};
use super::latents::usable_size;
use super::loras::LoraSelection;
use super::model_files::ModelFiles;
use super::networks::Networks;
use super::pass::{Pass, Sampling};
use super::plan::Plan;
use super::residence::{Extent, Network};
use crate::generation::Generation;
use crate::observer::Observer;
use crate::safety::Review;
use crate::sampling::{TorchGenerator, img2img_start, refining_sigmas, sigmas};
use afterimage_core::{Error, GenerationFacts, GenerationRequest, Picture, PictureFacts, Result, Size, Stage, Task};
use afterimage_device::Device;
use afterimage_imaging::{Filter, resize};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Instant;

/// What is asked of a pipeline.
pub(crate) struct Order<'a> {
    /// Whose request it is, an opaque name.
    pub tenant: &'a str,
    pub request: &'a GenerationRequest,
    /// The decoded input pictures.
    pub sources: &'a [Picture],
    pub observer: &'a dyn Observer,
    /// What earlier requests encoded.
    pub encodings: &'a Encodings,
}

/// Runs a request.
///
/// # Errors
/// Those of [`GenerationRequest::check`], [`afterimage_core::Error::Cancelled`], and model file errors from building models or
/// when a model makes no numbers.
pub(super) fn generate<D: Device>(networks: &Networks<D>, order: &Order) -> Result<Generation> {
    let Order { request, sources, .. } = *order;
    let files = networks.files();
    let sizes: Vec<_> = sources.iter().map(|source| Some(source.size())).collect();
    request.check(&sizes)?;
    let size = output_size(files, request, sources)?;
    let loras = networks.select(&request.loras)?;
    let plan = Plan::new(request, size, files.size_step(), files.enlarge());
    let review = networks.safety.review(request);
    let veiled = review.as_ref().map(|review| review.veil(order.observer));
    let observer = veiled.as_ref().map_or(order.observer, |veiled| veiled as &dyn Observer);
    let order = &Order { observer, ..*order };
    let unchanged = unchanged_source(request, sources);
    if unchanged.is_none() {
        let memory = networks.memory_plan(extent(&plan, size, order))?;
        observer.memory(&memory);
        networks.adopt(&memory);
    }
    let run = Run { networks, order, plan, loras };
    let mut clock = StageClock::new(observer);
    let interrupted = || if observer.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) };
    if let Some(review) = review.as_ref().filter(|review| review.wants_inputs()) {
        clock.time(Stage::Safety, |t| &mut t.safety_ms, || review.inputs(sources, &interrupted))?;
    }
    let seed = request.seed.unwrap_or_else(draw_seed);
    let mut generator = TorchGenerator::new(seed);

    let mut made = match unchanged {
        Some(source) => Made {
            pictures: vec![resize(source, size, Filter::Lanczos)?; request.num_images as usize],
            ..Made::default()
        },
        None => run.make(&mut generator, &mut clock)?,
    };
    let look = |review: Review| {
        clock.time(Stage::Safety, |t| &mut t.safety_ms, || review.results(&mut made.pictures, &interrupted))
    };
    let reviewed = review.map(look).transpose()?;
    let flagged = |index: usize| reviewed.as_ref().and_then(|reviewed| reviewed.flagged[index]);
    let facts_of = |(index, picture): (usize, &Picture)| PictureFacts {
        size: picture.size(),
        flagged: flagged(index),
        cached_steps: made.cached_steps.get(index).copied().unwrap_or(0),
    };
    let pictures = made.pictures.iter().enumerate().map(facts_of).collect();
    let facts = GenerationFacts {
        seed,
        size,
        steps_run: made.steps_run,
        enlarge: run.plan.enlarge(),
        enlarged_from: run.plan.refinement.map(|_| run.plan.first_size),
        timings: clock.timings(),
        files_ms: None,
        image_cached: made.image_cached,
        text_cached: made.text_cached,
        model: networks.facts(),
        cache_threshold: files.options().cache_threshold.get(),
        loras: run.loras.choices(),
        pictures,
        safety: reviewed.map(|reviewed| reviewed.facts),
    };
    Ok(Generation { pictures: made.pictures, facts })
}

/// What of `order` its memory depends on.
fn extent(plan: &Plan, size: Size, order: &Order) -> Extent {
    let first = plan.first_size;
    let largest = Size::new(first.width.max(size.width), first.height.max(size.height));
    let inputs: u64 = order.sources.iter().map(|source| source.rgb().len() as u64).sum();
    // A picture and what it was resized to; results, and those of a first pass.
    let picture_bytes = 2 * (inputs + 3 * largest.pixels() * u64::from(order.request.num_images));
    let GenerationRequest { steps, num_images, .. } = *order.request;
    Extent { size: largest, steps, pictures: num_images, picture_bytes }
}

/// The size that `request` ends up with.
fn output_size(files: &ModelFiles, request: &GenerationRequest, sources: &[Picture]) -> Result<Size> {
    let size = match (request.size, &request.task, sources.first()) {
        (Some(size), ..) => size,
        (None, Task::ImageToImage { .. }, Some(source)) => source.size(),
        (None, ..) => files.native_size(),
    };
    usable_size(size, files.size_step())
}

/// The picture that `request` gives back as it is, if it does: the one of image-to-image whose strength leaves no step.
/// No model sees it, since even an autoencoder alone would change it.
fn unchanged_source<'a>(request: &GenerationRequest, sources: &'a [Picture]) -> Option<&'a Picture> {
    match request.task {
        Task::ImageToImage { strength } if img2img_start(request.steps, strength) >= request.steps => sources.first(),
        _ => None,
    }
}

/// A seed that nobody chose: 31 bits, so that every front end that reports it also takes it back, whatever the highest
/// seed of the service is that it speaks for.
fn draw_seed() -> u64 {
    RandomState::new().hash_one(Instant::now()) & 0x7fff_ffff
}

/// What came out, and what of its conditions was known before.
#[derive(Default)]
struct Made {
    pictures: Vec<Picture>,
    steps_run: u32,
    /// Of each picture; none where all were computed.
    cached_steps: Vec<u32>,
    image_cached: bool,
    text_cached: bool,
}

/// What a request is conditioned on, and what of it was known before.
struct Conditions {
    context: Context,
    image_cached: bool,
    text_cached: bool,
}

/// One request under way.
struct Run<'a, D: Device> {
    networks: &'a Networks<D>,
    order: &'a Order<'a>,
    plan: Plan,
    loras: LoraSelection,
}

impl<D: Device> Run<'_, D> {
    fn pass(&self, size: Size) -> Pass<'_, D> {
        Pass { networks: self.networks, loras: &self.loras, observer: self.order.observer, size }
    }

    fn make(&self, generator: &mut TorchGenerator, clock: &mut StageClock) -> Result<Made> {
        let conditions = self.conditions(clock)?;
        self.networks.done_with(Network::Image);
        self.networks.done_with(Network::Text);
        let made = self.pictures(&conditions.context, generator, clock)?;
        let Conditions { image_cached, text_cached, .. } = conditions;
        Ok(Made { image_cached, text_cached, ..made })
    }

    fn conditions(&self, clock: &mut StageClock) -> Result<Conditions> {
        let Order { tenant, request, sources, encodings, .. } = *self.order;
        let mut encoder = Encoder { networks: self.networks, loras: &self.loras, encodings, tenant, clock };
        let prompt = request.prompt_text();
        match &request.task {
            Task::Variation(settings) => {
                // Strength 0 means no image tokens at all, so their encoders need not run.
                let used = if settings.redux_strength > 0.0 { sources } else { &[] };
                let mut image_cached = !used.is_empty();
                let mut pictures = Vec::new();
                for source in used {
                    let known = encoder.picture(source, settings.redux_downsample)?;
                    image_cached &= known.cached;
                    pictures.push(known.value);
                }
                let text = encoder.variation_text(prompt, settings.empty_prompt)?;
                let width = self.networks.files().flux().joint_attention_dim;
                let context = join(width, Arc::unwrap_or_clone(text.value), &pictures, settings);
                Ok(Conditions { context, image_cached, text_cached: text.cached })
            }
            Task::ImageToImage { .. } | Task::TextToImage => {
                let text = encoder.text(prompt.unwrap_or_default())?;
                let Text { tokens, pooled, .. } = Arc::unwrap_or_clone(text.value);
                let context = Context { tokens, pooled, bias: None };
                Ok(Conditions { context, image_cached: false, text_cached: text.cached })
            }
        }
    }

    /// The finished pictures and how they were sampled.
    fn pictures(&self, context: &Context, generator: &mut TorchGenerator, clock: &mut StageClock) -> Result<Made> {
        let Order { request, sources, .. } = *self.order;
        let first = self.pass(self.plan.first_size);
        let last = self.plan.refinement.map(|refinement| (self.pass(refinement.size), refinement));
        let schedule = self.schedule(&first);
        let refining = last.as_ref().map_or(Vec::new(), |(_, refinement)| {
            let tokens = first.grid().tokens();
            refining_sigmas(self.networks.files().scheduler(), tokens, request.steps, refinement.strength)
        });
        let steps = [&schedule, &refining].map(|levels| (levels.len() as u32).saturating_sub(1));
        let sampling = |schedule, steps_before| Sampling {
            context,
            guidance: request.guidance as f32,
            schedule,
            steps_before,
            steps_in_all: steps[0] + steps[1],
        };
        if last.is_some() {
            // The refinement needs the whole autoencoder; built first, its decoder serves the small pictures too.
            clock.time(Stage::Load, |t| &mut t.load_ms, || self.networks.autoencoder())?;
        }

        // The posterior's noise, one draw for all pictures, comes before any other.
        let image = match (&request.task, sources.first()) {
            (Task::ImageToImage { .. }, Some(source)) => Some(clock.time(
                Stage::ImageEncode,
                |t| &mut t.image_encode_ms,
                || first.encode(&resize(source, first.size, Filter::Lanczos)?, Some(generator)),
            )?),
            _ => None,
        };
        // One draw for everything else: each picture's passes, then the next picture's, so that the first of several
        // pictures is the only one of one.
        let numbers = [first.latent_numbers(), last.as_ref().map_or(0, |(pass, _)| pass.latent_numbers())];
        let noise = generator.randn_f32(request.num_images as usize * (numbers[0] + numbers[1]));
        let noise: Vec<_> =
            noise.chunks_exact(numbers[0] + numbers[1]).map(|noise| noise.split_at(numbers[0])).collect();

        let mut latents: Vec<_> =
            noise.iter().map(|(noise, _)| first.start(image.as_deref(), noise, schedule[0])).collect();
        let mut cached_steps = vec![0; latents.len()];
        let mut pictures = first.run(&sampling(&schedule, 0), &mut latents, &mut cached_steps, clock)?;
        if let Some((last, _)) = last {
            let mut latents = clock.time(
                Stage::ImageEncode,
                |t| &mut t.image_encode_ms,
                || {
                    let starts = pictures.iter().zip(&noise).map(|(picture, (_, noise))| {
                        // The mean: what the posterior's noise would add, the refinement's covers.
                        let image = last.encode(&resize(picture, last.size, Filter::Bicubic)?, None)?;
                        Ok(last.start(Some(&image), noise, refining[0]))
                    });
                    starts.collect::<Result<Vec<_>>>()
                },
            )?;
            pictures = last.run(&sampling(&refining, steps[0]), &mut latents, &mut cached_steps, clock)?;
        }
        Ok(Made { pictures, steps_run: steps[0] + steps[1], cached_steps, ..Made::default() })
    }

    /// Noise levels of the first pass.
    fn schedule(&self, pass: &Pass<D>) -> Vec<f32> {
        let request = self.order.request;
        let steps = request.steps;
        let mut schedule = sigmas(self.networks.files().scheduler(), pass.grid().tokens(), steps);
        match request.task {
            Task::ImageToImage { strength } => schedule.split_off(img2img_start(steps, strength) as usize),
            Task::Variation(_) | Task::TextToImage => schedule,
        }
    }
}
