//! Flags that say which part of a picture counts, where a run starts, and how picture and prompt are weighed.

use crate::beside_pictures::BesidePictures;
use crate::failure::CommandFailure;
use crate::origin::{Origin, Origins};
use crate::values::{self, ReduxStrength, Seed};
use afterimage_core::{InpaintSettings, MaskReading, PictureBalance, Task, VariationSeed, VariationSettings};
use clap::Args;
use std::path::PathBuf;

/// How far a variation moves from the picture that it starts from, unless said otherwise.
const START_STRENGTH: f64 = 0.8;

const BALANCE: &str = "balance";

/// What [`PictureBalance`] stands for, and gives way to where these come from nearer by.
const NUMBERS: [&str; 2] = ["redux_strength", "redux_downsample"];

/// Controls of `vary`.
#[derive(Args, Debug)]
#[command(next_help_heading = "Controls")]
pub struct VariationFlags {
    /// Picture and prompt in one word: sets --redux-strength and --redux-downsample
    #[arg(long, env = "AFTERIMAGE_BALANCE", hide_env_values = true, value_name = "LEVEL")]
    balance: Option<PictureBalance>,

    /// Weight of the picture against the prompt, 0 to 1; `F@START:END` for a part of the run
    ///
    /// Attention to the image tokens is multiplied by it. 0 drops them: text-to-image, where the picture has no effect.
    /// Parts of the run can have a weight of their own, as shares of its steps and separated by commas: `1@0:0.3,0.4@0.3:1`
    /// lets the picture set the composition and the prompt the rest. Between the parts a number of its own holds, else 1.
    #[arg(
        long,
        env = "AFTERIMAGE_REDUX_STRENGTH",
        hide_env_values = true,
        value_name = "F",
        default_value = "1",
        value_parser = values::redux_strength
    )]
    redux_strength: ReduxStrength,

    /// How coarsely to see the picture, 1 to 9
    ///
    /// The side of the token grid (27 for SigLIP 384/14) is divided by it. Higher values keep mood and palette, leave
    /// composition to the prompt, and make steps faster; 3 is a good start for restyling.
    #[arg(
        long,
        env = "AFTERIMAGE_REDUX_DOWNSAMPLE",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "F",
        default_value = "1",
        value_parser = values::downsample
    )]
    redux_downsample: f64,

    /// A mask for each IMAGE, of any size: white speaks, black does not; `none` for no mask
    ///
    /// One for each picture, in their order; repeated or separated by commas. It is laid over the whole picture; greys count
    /// in proportion. What the encoder saw of the rest still colours the tokens that speak.
    #[arg(long, env = "AFTERIMAGE_IMAGE_MASK", hide_env_values = true, value_name = "FILE", value_delimiter = ',')]
    image_mask: Vec<PathBuf>,

    /// Start from this picture instead of noise
    ///
    /// The result has its composition in the likeness of IMAGE. It may be IMAGE itself: the same composition, restyled by the prompt. The result has its size unless --size says
    /// otherwise. How much of it stays is --strength.
    #[arg(long, env = "AFTERIMAGE_INIT", hide_env_values = true, value_name = "FILE")]
    init: Option<PathBuf>,

    /// How far to move away from --init, 0 to 1; default: 0.8
    ///
    /// The share of --steps that runs. 1 ignores it; 0 runs none and gives it back at the output size.
    #[arg(
        long,
        env = "AFTERIMAGE_STRENGTH",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "F",
        value_parser = values::strength
    )]
    strength: Option<f64>,
}

impl VariationFlags {
    /// The settings, but for weights and what an absent prompt feeds.
    pub fn settings(&self, origins: &Origins) -> VariationSettings {
        let ReduxStrength { whole, spans } = self.redux_strength.clone();
        let own = (whole, self.redux_downsample);
        let balance =
            self.balance.filter(|_| NUMBERS.iter().all(|name| !origins.of(name).precedes(&origins.of(BALANCE))));
        let (redux_strength, redux_downsample) = balance.map_or(own, PictureBalance::settings);
        VariationSettings {
            redux_strength,
            redux_downsample,
            redux_spans: if balance.is_some() { Vec::new() } else { spans },
            // One that a file or the environment has for `img2img` does not make a start of nothing.
            start_strength: self.init.as_ref().map(|_| self.strength.unwrap_or(START_STRENGTH)),
            ..VariationSettings::default()
        }
    }

    /// Checks what only several flags together say.
    ///
    /// # Errors
    /// When the command line says how far to move from a picture that it does not name, or the same place gives a level and
    /// the numbers that it stands for.
    pub fn check(&self, origins: &Origins) -> Result<(), CommandFailure> {
        let both = NUMBERS.iter().find(|name| self.balance.is_some() && origins.of(name) == origins.of(BALANCE));
        if let Some(name) = both {
            let (level, number) = (origins.subject(BALANCE), origins.subject(name));
            return Err(CommandFailure::bad_input(level, format_args!("stands for {number}, too; give one of them")));
        }
        if self.strength.is_some() && self.init.is_none() && origins.of("strength") == Origin::Flag {
            return Err(CommandFailure::bad_input(
                "--strength",
                "there is nothing to start from; name a picture by --init",
            ));
        }
        Ok(())
    }

    /// The files.
    pub fn beside(&self) -> BesidePictures {
        BesidePictures { image_masks: self.image_mask.clone(), start: self.init.clone(), mask: None }
    }
}

/// What says how a mask is used.
const OF_MASK: [&str; 3] = ["mask_blur", "mask_crop", "keep_outside"];

/// Which part of a picture `img2img` changes.
#[derive(Args, Debug)]
#[command(next_help_heading = "Inpainting")]
pub struct PaintFlags {
    /// Change only what is white in this mask
    ///
    /// Of any size: it is resized to the result's. A pixel counts as white from half brightness on; what is transparent is
    /// black. Sampling works on squares of 8 pixels, so the change may reach a little beyond the mask.
    #[arg(long, env = "AFTERIMAGE_MASK", hide_env_values = true, value_name = "FILE")]
    mask: Option<PathBuf>,

    /// Blur the mask by this radius in its own pixels, 0 to 256
    #[arg(
        long,
        env = "AFTERIMAGE_MASK_BLUR",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "PIXELS",
        default_value = "0",
        value_parser = values::mask_blur
    )]
    mask_blur: f64,

    /// Work on the masked part alone, enlarged to --size, with this many pixels around it, 0 to 4096
    ///
    /// For small parts of large pictures: the model sees the part at its own size. It is put back by the mask, and the
    /// result has the size of IMAGE.
    #[arg(
        long,
        env = "AFTERIMAGE_MASK_CROP",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "PIXELS",
        value_parser = values::crop_padding
    )]
    mask_crop: Option<u32>,

    /// Keep IMAGE's own pixels where the mask is black; greys blend
    ///
    /// Without it they come out of the autoencoder, nearly the same. With --mask-crop they are always kept.
    #[arg(
        long,
        env = "AFTERIMAGE_KEEP_OUTSIDE",
        hide_env_values = true,
        value_parser = values::switch
    )]
    keep_outside: bool,
}

impl PaintFlags {
    /// What is asked for, moving as far as `strength`.
    pub fn task(&self, strength: f64) -> Task {
        let Some(_) = self.mask else { return Task::ImageToImage { strength } };
        Task::Inpaint(InpaintSettings {
            strength,
            mask_reading: MaskReading::Brightness,
            mask_blur: self.mask_blur,
            crop_padding: self.mask_crop,
            keep_outside: self.keep_outside,
        })
    }

    /// Refuses what the command line says of a mask that there is not. What a file or the environment says is for when there
    /// is one.
    ///
    /// # Errors
    /// A failure that names the flag.
    pub fn check(&self, origins: &Origins) -> Result<(), CommandFailure> {
        let is_given = |name: &&&str| origins.of(name) == Origin::Flag;
        match OF_MASK.iter().find(is_given).filter(|_| self.mask.is_none()) {
            Some(name) => Err(CommandFailure::bad_input(origins.subject(name), "there is no mask; name one by --mask")),
            None => Ok(()),
        }
    }

    /// The mask.
    pub fn beside(&self) -> BesidePictures {
        BesidePictures { mask: self.mask.clone(), ..BesidePictures::default() }
    }
}

/// A second seed.
#[derive(Args, Debug)]
pub struct NearFlags {
    /// A second seed, near whose noise to look for other pictures; -1 draws one
    ///
    /// The noise of --seed is turned towards it by --variation-strength. With several pictures all start from the first
    /// one's noise and each turns towards another.
    #[arg(
        long,
        env = "AFTERIMAGE_VARIATION_SEED",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "N",
        value_parser = values::seed
    )]
    variation_seed: Option<Seed>,

    /// How far to go from --seed to --variation-seed, 0 to 1; default: 0.1 with a second seed
    #[arg(
        long,
        env = "AFTERIMAGE_VARIATION_STRENGTH",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "F",
        value_parser = values::variation_strength
    )]
    variation_strength: Option<f64>,
}

impl NearFlags {
    /// The second seed, if either flag asks for one.
    pub fn variation_seed(&self) -> Option<VariationSeed> {
        const NEAR: f64 = 0.1;
        let is_asked = self.variation_seed.is_some() || self.variation_strength.is_some();
        is_asked.then(|| VariationSeed {
            seed: self.variation_seed.and_then(|seed| seed.0),
            strength: self.variation_strength.unwrap_or(NEAR),
        })
    }
}
