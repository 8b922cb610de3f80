//! One request under way: encode, condition, sample, decode.

use super::clock::StageClock;
use super::context::{Context, join};
use super::encode::{Encoder, as_requested};
use super::inpaint::Painting;
use super::loras::LoraSelection;
use super::networks::Networks;
use super::noise::Noise;
use super::order::Order;
use super::pass::{Pass, Sampling};
use super::plan::Plan;
use super::residence::Network;
use crate::sampling::{img2img_start, refining_sigmas, sigmas};
use afterimage_core::{Picture, Result, Size, Stage, Task};
use afterimage_device::Device;
use afterimage_imaging::{Filter, resize};
use std::sync::Arc;

/// What came out, and what of its conditions was known before.
#[derive(Default)]
pub(super) struct Made {
    pub pictures: Vec<Picture>,
    pub steps_run: u32,
    /// Of each picture; none where all were computed.
    pub cached_steps: Vec<u32>,
    pub image_cached: bool,
    pub text_cached: bool,
}

/// What a request is conditioned on, and what of it was known before.
struct Conditions {
    context: Context,
    image_cached: bool,
    text_cached: bool,
}

/// One request under way.
pub(super) struct Run<'a, D: Device> {
    pub networks: &'a Networks<D>,
    pub order: &'a Order<'a>,
    pub plan: Plan,
    pub loras: LoraSelection,
    /// Where a part of the picture is painted.
    pub painting: Option<Painting>,
}

impl<D: Device> Run<'_, D> {
    fn pass(&self, size: Size) -> Pass<'_, D> {
        Pass { networks: self.networks, loras: &self.loras, observer: self.order.observer, size }
    }

    /// The finished pictures, at the size of the last pass.
    pub fn make(&self, noise: &mut Noise, clock: &mut StageClock) -> Result<Made> {
        let conditions = self.conditions(clock)?;
        self.networks.done_with(Network::Image);
        self.networks.done_with(Network::Text);
        let made = self.pictures(&conditions.context, noise, clock)?;
        let Conditions { image_cached, text_cached, .. } = conditions;
        Ok(Made { image_cached, text_cached, ..made })
    }

    fn conditions(&self, clock: &mut StageClock) -> Result<Conditions> {
        let Order { tenant, request, sources, encodings, .. } = *self.order;
        let mut encoder = Encoder { networks: self.networks, loras: &self.loras, encodings, tenant, clock };
        let prompt = request.prompt_text();
        match &request.task {
            Task::Variation(settings) => {
                let width = self.networks.files().flux().joint_attention_dim;
                // Without any strength there are no image tokens at all, so their encoders need not run.
                let used = if settings.uses_pictures() { request.pictures_with_masks(sources) } else { Vec::new() };
                let mut image_cached = !used.is_empty();
                let mut pictures = Vec::new();
                for (source, mask) in used {
                    let known = encoder.picture(source)?;
                    image_cached &= known.cached;
                    pictures.push(as_requested(known.value, width, mask, settings.redux_downsample)?);
                }
                let text = encoder.variation_text(prompt, settings.empty_prompt)?;
                let context = join(width, Arc::unwrap_or_clone(text.value), &pictures, settings);
                Ok(Conditions { context, image_cached, text_cached: text.cached })
            }
            Task::ImageToImage { .. } | Task::Inpaint(_) | Task::TextToImage => {
                let text = encoder.text(prompt.unwrap_or_default())?;
                let context = Context::of_text(Arc::unwrap_or_clone(text.value));
                Ok(Conditions { context, image_cached: false, text_cached: text.cached })
            }
        }
    }

    /// The picture whose noised latents are the start, at `size`.
    fn start(&self, size: Size) -> Result<Option<Picture>> {
        let Order { request, sources, .. } = *self.order;
        let source = match &self.painting {
            Some(painting) => Some(painting.picture()),
            None => request.start(sources),
        };
        source.map(|source| resize(source, size, Filter::Lanczos)).transpose()
    }

    /// The finished pictures and how they were sampled.
    fn pictures(&self, context: &Context, noise: &mut Noise, clock: &mut StageClock) -> Result<Made> {
        let request = self.order.request;
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
        let image = match self.start(first.size)? {
            Some(start) => Some(clock.time(
                Stage::ImageEncode,
                |t| &mut t.image_encode_ms,
                || first.encode(&start, Some(noise.own())),
            )?),
            None => None,
        };
        let numbers = [first.latent_numbers(), last.as_ref().map_or(0, |(pass, _)| pass.latent_numbers())];
        let noise = noise.draw(request.num_images as usize, numbers);

        let painted = self.painting.as_ref().zip(image.as_deref());
        let painted = painted.map(|(painting, image)| first.painted(painting, image)).transpose()?;
        let start_of = |noise: &[f32]| first.latents(image.as_deref(), painted.as_ref(), noise, schedule[0]);
        let mut latents: Vec<_> = noise.iter().map(|noise| start_of(&noise.first)).collect();
        let mut cached_steps = vec![0; latents.len()];
        let mut pictures = first.run(&sampling(&schedule, 0), &mut latents, &mut cached_steps, clock)?;
        if let Some((last, _)) = last {
            let mut latents = clock.time(
                Stage::ImageEncode,
                |t| &mut t.image_encode_ms,
                || {
                    // What is kept is the picture's at this size, not the small one's.
                    let painted = self.painting.as_ref().zip(self.start(last.size)?);
                    let painted = painted.map(|(painting, start)| last.painted(painting, &last.encode(&start, None)?));
                    let painted = painted.transpose()?;
                    let starts = pictures.iter().zip(&noise).map(|(picture, noise)| {
                        // The mean: what the posterior's noise would add, the refinement's covers.
                        let image = last.encode(&resize(picture, last.size, Filter::Bicubic)?, None)?;
                        Ok(last.latents(Some(&image), painted.as_ref(), &noise.second, refining[0]))
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
        match request.task.strength() {
            Some(strength) => schedule.split_off(img2img_start(steps, strength) as usize),
            None => schedule,
        }
    }
}
