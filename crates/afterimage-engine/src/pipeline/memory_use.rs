//! What a request takes of memory, and the networks that leave it.

use super::model_files::ModelFiles;
use super::networks::Networks;
use super::residence::{Extent, KnownNeeds, Network};
use crate::inspect::wanted;
use crate::memory::{self, MemoryNeeds, MemoryPlan, PartNeeds, Residency, gigabytes, usable_memory};
use crate::models::T5Config;
use crate::models::flux::is_used_once;
use crate::weights::lora::LoraPart;
use crate::weights::{Footprint, Scope, Wanted, footprint};
use afterimage_core::{Error, Field, Result, Size};
use afterimage_device::Device;

/// Text tokens of T5 where no tokenizer says it: FLUX.1-dev's.
const TEXT_TOKENS: usize = 512;

/// Sides of the smallest picture that anybody would want of a model: one that cannot make it is not opened.
const SMALLEST: u32 = 256;

impl<D: Device> Networks<D> {
    /// What a request of this extent takes, the fastest way that fits.
    ///
    /// # Errors
    /// [`Error::Field`] when a smaller picture would fit, [`Error::ModelFile`] when none would.
    pub(super) fn memory_plan(&self, extent: Extent) -> Result<MemoryPlan> {
        let needs = self.needs(extent);
        let plan = MemoryPlan::new(&needs, self.residence.budget).map_err(|least| {
            let smallest = Extent { size: Size::new(SMALLEST, SMALLEST), ..extent };
            let small = MemoryPlan::new(&self.needs(smallest), self.residence.budget);
            shortage(&self.files, extent.size, &least, small.err().as_deref())
        })?;
        let host = MemoryPlan::host_bytes(&needs, &plan);
        match usable_memory() {
            // Pinned memory stays in memory, unlike pages of a file.
            Some(usable) if self.device.limits().memory_bytes.is_some() && host > usable => {
                let problem = format!(
                    "does not fit {}: {} of weights would have to stay in the host's memory, and {} are to be had{}",
                    self.device.name(),
                    gigabytes(host),
                    gigabytes(usable),
                    self.files.memory_advice()
                );
                Err(Error::model_file(self.files.part("transformer"), problem))
            }
            _ => Ok(plan),
        }
    }

    /// Refuses models of which not even small pictures can be made in the memory there is.
    ///
    /// # Errors
    /// [`Error::ModelFile`] saying what would be needed.
    pub(super) fn check_memory(&self) -> Result<()> {
        let extent = Extent { size: Size::new(SMALLEST, SMALLEST), steps: 1, pictures: 1, picture_bytes: 0 };
        self.memory_plan(extent).map(drop)
    }

    /// The plan of a picture of the native size in 28 steps.
    ///
    /// # Errors
    /// As [`Networks::memory_plan`].
    pub(super) fn native_memory_plan(&self) -> Result<MemoryPlan> {
        self.memory_plan(Extent { size: self.files.native_size(), steps: 28, pictures: 1, picture_bytes: 0 })
    }

    /// Has the networks fit a picture of `size` in `steps` steps, outside of a request.
    ///
    /// # Errors
    /// As [`Networks::memory_plan`].
    pub(crate) fn keep_within_budget(&self, size: Size, steps: u32) -> Result<()> {
        // The picture that goes in, and the one that comes out.
        let picture_bytes = 2 * 3 * size.pixels();
        self.adopt(&self.memory_plan(Extent { size, steps, pictures: 1, picture_bytes })?);
        Ok(())
    }

    /// Makes the networks that are in memory fit `plan`.
    pub(super) fn adopt(&self, plan: &MemoryPlan) {
        // Not under the lock of the plan: a network that is being built asks it how.
        for network in self.residence.adopt(plan) {
            self.release(network);
        }
    }

    /// To be called when a request needs `network` no more: its memory goes when the plan says so.
    pub(crate) fn done_with(&self, network: Network) {
        if self.residence.residency(network) == Residency::Released {
            self.release(network);
        }
    }

    fn release(&self, network: Network) {
        match network {
            Network::Text => self.release_text_encoders(),
            Network::Image => self.image.release(),
            Network::Transformer => self.release_transformer(),
            Network::Autoencoder => {
                self.decoder.release();
                self.autoencoder.release();
            }
        }
    }

    fn needs(&self, extent: Extent) -> MemoryNeeds {
        let limits = self.device.limits();
        let KnownNeeds { mut needs, text_tokens, picture_tokens } =
            *self.residence.known.get_or_init(|| self.known_needs());
        let (height, width) = (extent.size.height as usize, extent.size.width as usize);
        let step = self.files.size_step().max(1);
        let image = (height / step) * (width / step);
        let context = text_tokens + picture_tokens;
        needs.transformer.activations =
            memory::flux(self.files.flux(), context, image, extent.steps as usize, limits.wide_rows);
        if self.files.options().cache_threshold.get().is_some() {
            needs.transformer.activations += memory::step_caches(self.files.flux(), image, extent.pictures as usize);
        }
        let vae = self.files.vae();
        let whole = vae.activation_bytes(height, width);
        let tiled = whole > self.residence.autoencoder_bytes(limits);
        let side = vae.sample_size;
        // Planes of the picture: the decoder's result, and tiles put together.
        let planes = 4 * 2 * 3 * (height * width) as u64;
        needs.autoencoder.activations = planes + if tiled { vae.activation_bytes(side, side) } else { whole };
        let widest = vae.block_out_channels.iter().copied().max().unwrap_or(0);
        // Kept by the threads from the first picture on.
        let scratch = self.device.convolution_scratch(widest);
        // A device with memory of its own leaves the program in the host's.
        let program = if limits.memory_bytes.is_some() { 0 } else { memory::PROGRAM };
        needs.always = program + self.residence.checkers + self.lora_bytes() + extent.picture_bytes + scratch;
        needs
    }

    /// Weights and encoders' buffers. A part that cannot be opened takes nothing: whoever needs it is told why.
    fn known_needs(&self) -> KnownNeeds {
        let files = &self.files;
        let weights = |scope: Result<Scope>, (wanted, _): (Vec<Wanted>, Result<()>)| {
            let kept = |element, numbers| self.device.kept_bytes(element, numbers);
            scope.map_or_else(|_| Footprint::default(), |scope| footprint(&scope, &wanted, &kept))
        };
        let mut needs = MemoryNeeds::default();
        let rows = self.device.wants_rows_of_integers();
        let transformer = || files.transformer_scope(rows).map(|scope| self.merged(scope, LoraPart::Transformer));
        let (mut wanted_once, told) = wanted::flux(files.flux());
        needs.transformer.weights = weights(transformer(), (wanted_once.clone(), told));
        wanted_once.retain(|wanted| is_used_once(&wanted.name));
        needs.transformer.once = weights(transformer(), (wanted_once, Ok(())));
        needs.autoencoder.weights = weights(files.vae_scope(), wanted::vae(files.vae()));
        let text_tokens = TEXT_TOKENS;
        if let Ok(((clip, clip_scope), (t5, t5_scope))) = files.text_encoders() {
            let activations = memory::clip(&clip).max(memory::t5(&t5, text_tokens)) + encoded_bytes(&t5, text_tokens);
            let weights = weights(Ok(self.merged(t5_scope, LoraPart::T5)), wanted::t5(t5))
                .and(weights(Ok(self.merged(clip_scope, LoraPart::Clip)), wanted::clip(clip)));
            needs.text = PartNeeds { weights, activations, ..PartNeeds::default() };
        }
        let mut picture_tokens = 0;
        if let Ok(((siglip, siglip_scope), (redux, redux_scope))) = files.image_encoders() {
            picture_tokens = siglip.grid_side() * siglip.grid_side();
            let activations = memory::siglip(&siglip, 3 * redux.txt_in_features);
            let weights =
                weights(Ok(siglip_scope), wanted::siglip(siglip)).and(weights(Ok(redux_scope), wanted::redux(redux)));
            needs.image = PartNeeds { weights, activations, ..PartNeeds::default() };
        }
        KnownNeeds { needs, text_tokens, picture_tokens }
    }
}

/// The encoded text.
fn encoded_bytes(config: &T5Config, tokens: usize) -> u64 {
    4 * (config.d_model * tokens) as u64
}

/// What is told when `least`, the least that a picture of `size` takes, is too much. `small`: so is a small picture's.
fn shortage(files: &ModelFiles, size: Size, least: &MemoryPlan, small: Option<&MemoryPlan>) -> Error {
    let budget = gigabytes(least.budget.unwrap_or(0));
    let Some(small) = small else {
        let problem = format!(
            "{size} needs {} of memory, and {budget} are to be had (--memory-budget); expected a smaller size",
            gigabytes(least.peak)
        );
        return Error::field(Field::Size, problem);
    };
    let part = small.largest();
    let problem = format!(
        "needs {} of memory, and {budget} are to be had (--memory-budget): the {} takes {} of weights and {} of buffers{}",
        gigabytes(small.peak),
        part.part,
        gigabytes(part.weight_bytes),
        gigabytes(part.activation_bytes),
        files.memory_advice()
    );
    Error::model_file(files.part("transformer"), problem)
}
