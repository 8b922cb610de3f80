//! Once through the sampler, at one size.

use super::clock::StageClock;
use super::context::Context;
use super::finite;
use super::inpaint::{KeptLatents, Painted, Painting};
use super::latents::{euler_step, noised, pack, picture_of, pixels_of, unpack};
use super::loras::LoraSelection;
use super::networks::Networks;
use super::preview::{predicted_clean, reduced};
use super::residence::Network;
use crate::models::flux::{ConditioningInputs, Grid};
use crate::observer::Observer;
use crate::sampling::{TorchGenerator, timesteps};
use afterimage_core::{Error, Picture, Result, Size, Stage};
use afterimage_device::Device;

/// A pass of one request.
pub(super) struct Pass<'a, D: Device> {
    pub networks: &'a Networks<D>,
    pub loras: &'a LoraSelection,
    pub observer: &'a dyn Observer,
    /// In pixels, multiples of the model's step.
    pub size: Size,
}

/// What the transformer is to do.
pub(super) struct Sampling<'a> {
    pub context: &'a Context,
    pub guidance: f32,
    /// Falling noise levels, the last of them 0.
    pub schedule: &'a [f32],
    /// Steps of the pass before this one.
    pub steps_before: u32,
    /// Steps of all passes.
    pub steps_in_all: u32,
}

/// One picture on its way through a pass.
pub(super) struct Latents {
    /// Packed: first at the noise level of the schedule's start, in the end clean.
    pub now: Vec<f32>,
    /// What is put back after every step, where only a part is painted.
    pub kept: Option<KeptLatents>,
}

impl<D: Device> Pass<'_, D> {
    pub fn grid(&self) -> Grid {
        let step = self.networks.files().size_step();
        Grid { rows: self.size.height as usize / step, columns: self.size.width as usize / step }
    }

    /// Numbers of one picture's latents.
    pub fn latent_numbers(&self) -> usize {
        self.grid().tokens() * 4 * self.channels()
    }

    /// A picture of the pass's size as scaled latents in planes: drawn from the posterior with noise of `generator`, or
    /// its mean.
    pub fn encode(&self, picture: &Picture, generator: Option<&mut TorchGenerator>) -> Result<Vec<f32>> {
        let autoencoder = self.networks.autoencoder()?;
        let posterior = autoencoder.encode(pixels_of(picture), &|| self.check())?;
        let mut latents = match generator {
            Some(generator) => posterior.sample(&generator.randn_f32(posterior.mean.data.len())).data,
            None => posterior.mean.data,
        };
        autoencoder.scale(&mut latents);
        finite::check(&latents, || self.networks.files().part("vae"), "the autoencoder's encoder")?;
        Ok(latents)
    }

    /// Packed latents at noise level `sigma`: of `image`, or where there is none of nothing but noise.
    pub fn start(&self, image: Option<&[f32]>, noise: &[f32], sigma: f32) -> Vec<f32> {
        match image {
            Some(image) => pack(&noised(image, noise, sigma), self.channels(), self.grid()),
            None => pack(noise, self.channels(), self.grid()),
        }
    }

    /// What is kept of a picture whose latents, in planes, are `image`.
    pub fn painted(&self, painting: &Painting, image: &[f32]) -> Result<Painted> {
        let (grid, channels) = (self.grid(), self.channels());
        let is_painted = painting.painted(self.size, grid, channels)?.into();
        Ok(Painted { image: pack(image, channels, grid).into(), is_painted })
    }

    /// The latents of a picture with `noise`, in planes, at the noise level `sigma`: of `image`, or where there is none
    /// of nothing but noise, with what is kept of a painted one.
    pub fn latents(&self, image: Option<&[f32]>, painted: Option<&Painted>, noise: &[f32], sigma: f32) -> Latents {
        let mut now = self.start(image, noise, sigma);
        let kept = painted.map(|painted| KeptLatents::new(painted, pack(noise, self.channels(), self.grid())));
        if let Some(kept) = &kept {
            kept.put_back(&mut now, sigma);
        }
        Latents { now, kept }
    }

    /// Takes the packed latents of every picture to the end of the schedule and decodes them. Adds to `cached_steps` the
    /// steps of each picture that were taken from earlier ones.
    pub fn run(
        &self,
        sampling: &Sampling,
        latents: &mut [Latents],
        cached_steps: &mut [u32],
        clock: &mut StageClock,
    ) -> Result<Vec<Picture>> {
        clock.time(Stage::Denoise, |t| &mut t.denoise_ms, || self.denoise(sampling, latents, cached_steps))?;
        self.networks.done_with(Network::Transformer);
        clock.time(
            Stage::Decode,
            |t| &mut t.decode_ms,
            || latents.iter().map(|latents| self.decode(&latents.now)).collect(),
        )
    }

    fn denoise(&self, sampling: &Sampling, latents: &mut [Latents], cached_steps: &mut [u32]) -> Result<()> {
        let schedule = sampling.schedule;
        let steps = sampling.steps_before..sampling.steps_before + schedule.len() as u32 - 1;
        let transformer = self.networks.transformer(self.loras)?;
        let conditioning = transformer.condition(&ConditioningInputs {
            context: &sampling.context.tokens,
            pooled: &sampling.context.pooled,
            timesteps: &timesteps(self.networks.files().scheduler(), &schedule[..schedule.len() - 1]),
            guidance: sampling.guidance,
            grid: self.grid(),
            bias: sampling.context.bias(steps, sampling.steps_in_all),
        })?;
        let mut workspace = transformer.workspace(&conditioning)?;
        let threshold = self.networks.files().options().cache_threshold.get();
        let caches = threshold.map(|it| transformer.step_caches(&conditioning, latents.len(), it as f32));
        let mut caches = caches.transpose()?;
        let mut velocity = vec![0.0; self.latent_numbers()];
        let total = sampling.steps_in_all;
        if sampling.steps_before == 0 {
            self.observer.step(0, total);
        }
        for (step, levels) in schedule.windows(2).enumerate() {
            let (done, mut foreseen) = (sampling.steps_before + step as u32 + 1, None);
            for (index, Latents { now: latents, kept }) in latents.iter_mut().enumerate() {
                self.check()?;
                let (conditioning, workspace, velocity) = (&conditioning, &mut workspace, &mut velocity[..]);
                let cache = caches.as_mut().and_then(|caches| caches.picture(index));
                let is_cached = transformer.forward_cached(conditioning, step, latents, workspace, cache, velocity)?;
                cached_steps[index] += u32::from(is_cached);
                euler_step(latents, velocity, levels[0], levels[1]);
                if index == 0 && done < total && self.observer.wants_preview(done, total) {
                    foreseen = Some(predicted_clean(latents, velocity, levels[1]));
                }
                if let Some(kept) = kept {
                    kept.put_back(latents, levels[1]);
                    foreseen.iter_mut().filter(|_| index == 0).for_each(|foreseen| kept.put_back(foreseen, 0.0));
                }
            }
            self.observer.step(done, total);
            // Whatever is no number stays none: the rest of the steps would be for nothing.
            for Latents { now: latents, .. } in latents.iter() {
                finite::check(latents, || self.networks.files().part("transformer"), "the transformer")?;
            }
            if let Some(latents) = foreseen {
                self.observer.preview(self.small_picture(&latents)?);
            }
        }
        Ok(())
    }

    fn decode(&self, latents: &[f32]) -> Result<Picture> {
        let planes = unpack(latents, self.channels(), self.grid());
        let decoded = self.networks.decoder()?.decode(&planes, &|| self.check())?;
        finite::check(&decoded.data, || self.networks.files().part("vae"), "the autoencoder's decoder")?;
        picture_of(&decoded)
    }

    /// The picture of packed `latents`, decoded at a preview's size.
    fn small_picture(&self, latents: &[f32]) -> Result<Picture> {
        let planes = unpack(latents, self.channels(), self.grid());
        let planes = reduced(planes, self.networks.files().vae().spatial_factor());
        picture_of(&self.networks.decoder()?.decode(&planes, &|| self.check())?)
    }

    fn channels(&self) -> usize {
        self.networks.files().vae().latent_channels
    }

    fn check(&self) -> Result<()> {
        if self.observer.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }
}
