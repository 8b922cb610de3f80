//! The order of things: encode, condition, sample, decode.

use super::clock::Clock;
use super::context::{Context, Text, join, known_picture, known_text, variation_text};
use super::latents::{euler_step, noised, pack, picture_of, pixels_of, unpack, usable_size};
use super::models::Models;
use super::preview::{predicted_clean, reduced};
use crate::engine::{Generation, Observer, Stage};
use crate::models::flux::{ConditioningInputs, Grid, Workspace};
use crate::sampling::{TorchGenerator, img2img_start, sigmas, timesteps};
use afterimage_core::{Error, GenerationRequest, Limits, Picture, Result, Size, Task};
use afterimage_imaging::{Filter, resize};
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Instant;

/// Runs `request` on the decoded input pictures.
///
/// # Errors
/// [`Error::Field`] for a request that cannot run, [`Error::Cancelled`], and model file errors from building models.
pub fn generate(
    models: &Models,
    request: &GenerationRequest,
    sources: &[Picture],
    observer: &dyn Observer,
) -> Result<Generation> {
    request.validate(&Limits::default(), sources.len())?;
    let run = Run { models, request, observer, size: output_size(models, request, sources)? };
    let mut clock = Clock::new(models, observer);
    let seed = request.seed.unwrap_or_else(draw_seed);
    let mut generator = TorchGenerator::new(seed);

    let conditions = run.conditions(sources, &mut clock)?;
    let (first_step, image) = run.start(sources, &mut generator, &mut clock)?;
    let (latents, steps_run) =
        run.sample(&conditions.context, first_step, image.as_deref(), &mut generator, &mut clock)?;
    let pictures = run.decode(&latents, &mut clock)?;

    Ok(Generation {
        pictures,
        seed,
        size: run.size,
        steps_run,
        timings: clock.timings(),
        image_cached: conditions.image_cached,
        text_cached: conditions.text_cached,
        model: models.name(),
        device: models.device().to_owned(),
        dtype: models.dtype().to_owned(),
    })
}

/// The size that `request` ends up with.
fn output_size(models: &Models, request: &GenerationRequest, sources: &[Picture]) -> Result<Size> {
    let size = match (request.size, &request.task, sources.first()) {
        (Some(size), ..) => size,
        (None, Task::ImageToImage { .. }, Some(source)) => {
            let size = Size::new(source.width(), source.height());
            let allowed = Limits::default().side;
            if !allowed.contains(&size.width) || !allowed.contains(&size.height) {
                let problem = format!(
                    "missing; the picture's {size} is out of range ({} to {} pixels a side), so name a size",
                    allowed.start(),
                    allowed.end()
                );
                return Err(Error::field("size", problem));
            }
            size
        }
        (None, ..) => models.native_size(),
    };
    usable_size(size, models.size_step())
}

/// A seed that nobody chose: 32 bits, all that torch's generator looks at.
fn draw_seed() -> u64 {
    u64::from(RandomState::new().hash_one(Instant::now()) as u32)
}

/// What a request is conditioned on, and what of it was known before.
struct Conditions {
    context: Context,
    image_cached: bool,
    text_cached: bool,
}

/// One request under way.
struct Run<'a> {
    models: &'a Models,
    request: &'a GenerationRequest,
    observer: &'a dyn Observer,
    size: Size,
}

impl Run<'_> {
    fn check(&self) -> Result<()> {
        if self.observer.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    fn grid(&self) -> Grid {
        let step = self.models.size_step();
        Grid { rows: self.size.height as usize / step, columns: self.size.width as usize / step }
    }

    /// Numbers of one picture's latents.
    fn latent_numbers(&self) -> usize {
        self.grid().tokens() * 4 * self.models.vae_config().latent_channels
    }

    fn conditions(&self, sources: &[Picture], clock: &mut Clock) -> Result<Conditions> {
        let prompt = self.request.prompt_text();
        match &self.request.task {
            Task::Variation(settings) => {
                // Strength 0 means no image tokens at all, so their encoders need not run.
                let used = if settings.redux_strength > 0.0 { sources } else { &[] };
                let mut image_cached = !used.is_empty();
                let mut pictures = Vec::new();
                for source in used {
                    let known = clock.time(
                        Stage::ImageEncode,
                        |t| &mut t.image_encode_ms,
                        || known_picture(self.models, source, settings.redux_downsample),
                    )?;
                    image_cached &= known.cached;
                    pictures.push(known.value);
                }
                let text = clock.time(
                    Stage::TextEncode,
                    |t| &mut t.text_encode_ms,
                    || variation_text(self.models, prompt, settings.empty_prompt),
                )?;
                let width = self.models.flux_config().joint_attention_dim;
                let context = join(width, Arc::unwrap_or_clone(text.value), &pictures, settings);
                Ok(Conditions { context, image_cached, text_cached: text.cached })
            }
            Task::ImageToImage { .. } | Task::TextToImage => {
                let text = clock.time(
                    Stage::TextEncode,
                    |t| &mut t.text_encode_ms,
                    || known_text(self.models, prompt.unwrap_or_default()),
                )?;
                let Text { tokens, pooled, .. } = Arc::unwrap_or_clone(text.value);
                let context = Context { tokens, pooled, bias: None };
                Ok(Conditions { context, image_cached: false, text_cached: text.cached })
            }
        }
    }

    /// The first step that runs, and for image-to-image the picture's scaled latents in planes. Draws the posterior's
    /// noise, one draw for all pictures of the request, before any other.
    fn start(
        &self,
        sources: &[Picture],
        generator: &mut TorchGenerator,
        clock: &mut Clock,
    ) -> Result<(u32, Option<Vec<f32>>)> {
        let (Task::ImageToImage { strength }, Some(source)) = (&self.request.task, sources.first()) else {
            return Ok((0, None));
        };
        let first_step = img2img_start(self.request.steps, *strength);
        if first_step >= self.request.steps {
            return Err(Error::field(
                "strength",
                format!(
                    "{strength} of {} steps leaves none to run; raise it or the number of steps",
                    self.request.steps
                ),
            ));
        }
        let latents = clock.time(
            Stage::ImageEncode,
            |t| &mut t.image_encode_ms,
            || {
                let resized = resize(source, self.size, Filter::Lanczos)?;
                let autoencoder = self.models.autoencoder()?;
                let posterior = autoencoder.encode(pixels_of(&resized), &|| self.check())?;
                let mut latents = posterior.sample(&generator.randn_f32(posterior.mean.data.len())).data;
                autoencoder.scale(&mut latents);
                Ok(latents)
            },
        )?;
        Ok((first_step, Some(latents)))
    }

    /// Packed latents of every picture after the last step, and the steps that ran.
    fn sample(
        &self,
        context: &Context,
        first_step: u32,
        image: Option<&[f32]>,
        generator: &mut TorchGenerator,
        clock: &mut Clock,
    ) -> Result<(Vec<Vec<f32>>, u32)> {
        let grid = self.grid();
        let channels = self.models.vae_config().latent_channels;
        let schedule = sigmas(self.models.scheduler(), grid.tokens(), self.request.steps);
        let schedule = &schedule[first_step as usize..];
        let steps = schedule.len() as u32 - 1;
        // One draw for all pictures: the stream runs on from one to the next.
        let noise = generator.randn_f32(self.request.num_images as usize * self.latent_numbers());
        let mut latents: Vec<Vec<f32>> = noise
            .chunks_exact(self.latent_numbers())
            .map(|noise| match image {
                Some(image) => pack(&noised(image, noise, schedule[0]), channels, grid),
                None => pack(noise, channels, grid),
            })
            .collect();
        clock.time(
            Stage::Denoise,
            |t| &mut t.denoise_ms,
            || {
                let transformer = self.models.transformer()?;
                let conditioning = transformer.condition(&ConditioningInputs {
                    context: &context.tokens,
                    pooled: &context.pooled,
                    timesteps: &timesteps(self.models.scheduler(), &schedule[..steps as usize]),
                    guidance: self.request.guidance as f32,
                    grid,
                    bias: context.bias.clone(),
                })?;
                let mut workspace = Workspace::default();
                let mut velocity = vec![0.0; self.latent_numbers()];
                self.observer.step(0, steps);
                for step in 0..steps as usize {
                    let (done, mut foreseen) = (step as u32 + 1, None);
                    for (index, latents) in latents.iter_mut().enumerate() {
                        self.check()?;
                        transformer.forward(&conditioning, step, latents, &mut workspace, &mut velocity)?;
                        euler_step(latents, &velocity, schedule[step], schedule[step + 1]);
                        if index == 0 && done < steps && self.observer.wants_preview(done, steps) {
                            foreseen = Some(predicted_clean(latents, &velocity, schedule[step + 1]));
                        }
                    }
                    self.observer.step(done, steps);
                    if let Some(latents) = foreseen {
                        self.observer.preview(self.small_picture(&latents)?);
                    }
                }
                Ok(())
            },
        )?;
        Ok((latents, steps))
    }

    /// The picture of packed `latents`, decoded at a preview's size.
    fn small_picture(&self, latents: &[f32]) -> Result<Picture> {
        let config = self.models.vae_config();
        let planes = reduced(unpack(latents, config.latent_channels, self.grid()), config.spatial_factor());
        picture_of(&self.models.decoder()?.decode(&planes, &|| self.check())?)
    }

    fn decode(&self, latents: &[Vec<f32>], clock: &mut Clock) -> Result<Vec<Picture>> {
        let channels = self.models.vae_config().latent_channels;
        clock.time(
            Stage::Decode,
            |t| &mut t.decode_ms,
            || {
                let decoder = self.models.decoder()?;
                latents
                    .iter()
                    .map(|latents| {
                        picture_of(&decoder.decode(&unpack(latents, channels, self.grid()), &|| self.check())?)
                    })
                    .collect()
            },
        )
    }
}
