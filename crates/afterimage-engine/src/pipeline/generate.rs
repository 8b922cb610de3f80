//! The order of things: encode, condition, sample, decode.

use super::clock::StageClock;
use super::inpaint::Painting;
use super::latents::usable_size;
use super::model_files::ModelFiles;
use super::networks::Networks;
use super::noise::Noise;
use super::order::Order;
use super::plan::Plan;
use super::residence::Extent;
use super::run::{Made, Run};
use crate::generation::Generation;
use crate::observer::Observer;
use crate::picture_digest;
use crate::safety::Review;
use crate::sampling::img2img_start;
use afterimage_core::{
    Error, GenerationFacts, GenerationRequest, InpaintSettings, Picture, PictureFacts, PictureRole, Result, Size,
    Stage, Task,
};
use afterimage_device::Device;
use afterimage_imaging::{Filter, resize};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::time::Instant;

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
    let asked_size = asked_size(files, request, sources);
    let size = usable_size(asked_size, files.size_step())?;
    let loras = networks.select(&request.loras)?;
    let plan = Plan::new(request, size, files.size_step(), files.enlarge());
    let review = networks.safety.review(request);
    let veiled = review.as_ref().map(|review| review.veil(order.observer));
    let observer = veiled.as_ref().map_or(order.observer, |veiled| veiled as &dyn Observer);
    let order = &Order { observer, ..*order };
    let unchanged = unchanged_source(request, sources);
    let painting = match (&request.task, request.start(sources), request.in_role(PictureRole::Mask, sources).next()) {
        (Task::Inpaint(settings), Some(picture), Some(mask)) => {
            Some(Painting::new(picture, mask, settings, [asked_size, size])?)
        }
        _ => None,
    };
    if unchanged.is_none() {
        let memory = networks.memory_plan(extent(&plan, size, order))?;
        observer.memory(&memory);
        networks.adopt(&memory);
    }
    let run = Run { networks, order, plan, loras, painting };
    let mut clock = StageClock::new(observer);
    let interrupted = || if observer.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) };
    if let Some(review) = review.as_ref().filter(|review| review.wants_inputs()) {
        let seen: Vec<_> = (0..).zip(sources).filter(|(index, _)| !request.role(*index).is_mask()).collect();
        let seen = seen.into_iter().map(|(_, picture)| picture);
        clock.time(Stage::Safety, |t| &mut t.safety_ms, || review.inputs(seen, &interrupted))?;
    }
    let seed = request.seed.unwrap_or_else(draw_seed);
    let variation_seed = request.variation_seed.map(|variation| variation.seed.unwrap_or_else(draw_seed));
    let mut noise = Noise::new(seed, request.variation_seed, variation_seed);

    let mut made = match unchanged {
        Some(source) => Made {
            pictures: vec![handed_through(source, request, size)?; request.num_images as usize],
            ..Made::default()
        },
        None => run.make(&mut noise, &mut clock)?,
    };
    // What was handed through is whole already.
    if let Some(painting) = run.painting.as_ref().filter(|_| unchanged.is_none()) {
        let put_back = |picture: &Picture| painting.put_back(picture);
        made.pictures = made.pictures.iter().map(put_back).collect::<Result<_>>()?;
    }
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
        variation_seed,
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
    Ok(Generation { pictures: made.pictures, facts, inputs: sources.iter().map(picture_digest).collect() })
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

/// The size that `request` asks for, before it is rounded.
fn asked_size(files: &ModelFiles, request: &GenerationRequest, sources: &[Picture]) -> Size {
    match (request.size, request.start(sources)) {
        (Some(size), _) => size,
        (None, Some(start)) => start.size(),
        (None, None) => files.native_size(),
    }
}

/// The picture that `request` gives back as it is, if it does: the one to start from when the strength leaves no step.
/// No model sees it, since even an autoencoder alone would change it.
fn unchanged_source<'a>(request: &GenerationRequest, sources: &'a [Picture]) -> Option<&'a Picture> {
    let strength = request.task.strength()?;
    request.start(sources).filter(|_| img2img_start(request.steps, strength) >= request.steps)
}

/// `source` at `size`.
fn handed_through(source: &Picture, request: &GenerationRequest, size: Size) -> Result<Picture> {
    match request.task {
        // Whose results have the size of their picture.
        Task::Inpaint(InpaintSettings { crop_padding: Some(_), .. }) => Ok(source.clone()),
        _ => resize(source, size, Filter::Lanczos),
    }
}

/// A seed that nobody chose: 31 bits, so that every front end that reports it also takes it back, whatever the highest
/// seed of the service is that it speaks for.
fn draw_seed() -> u64 {
    RandomState::new().hash_one(Instant::now()) & 0x7fff_ffff
}
