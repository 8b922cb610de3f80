//! `afterimage vary`: variations with FLUX Redux.

use crate::control_flags::VariationFlags;
use crate::failure::CommandFailure;
use crate::flags::{ModelFlags, OutputFlags, RequestFlags};
use crate::generate::GenerationRun;
use crate::hub_files::HubFlags;
use crate::many_flags::ManyFlags;
use crate::origin::Origins;
use crate::safety_flags::CheckerFlags;
use crate::values;
use afterimage_core::{EmptyPrompt, Task, VariationSettings};
use clap::Args;
use std::path::PathBuf;

/// Make variations of one or several pictures with FLUX Redux
///
/// Redux turns each picture into tokens that stand beside the prompt's, so the result resembles the input without being
/// a copy of it. With several pictures the tokens are added up, weighted by --image-weight.
#[derive(Args, Debug)]
pub struct Vary {
    /// Picture to vary, or several to mix: JPEG, PNG, WebP, GIF (first frame), BMP or TIFF; a folder of them; `-` is standard input
    ///
    /// The pictures of a folder or a pattern are not mixed but taken each by itself, as all are with --each.
    /// At most 50 MB and 100 megapixels each. Orientation from EXIF or XMP is applied, colours of an ICC profile become
    /// sRGB, transparency becomes white. The aspect ratio does not matter: the picture is seen as a square.
    #[arg(value_name = "IMAGE", required = true, num_args = 1..)]
    images: Vec<PathBuf>,

    /// Weight of each IMAGE, -10 to 10, in their order; repeated or separated by commas
    ///
    /// Text and image tokens are multiplied by the weights and added, as diffusers does; give one weight for each picture.
    /// Default: 1 for one picture, 1/n each for n. Weights that do not add up to 1 change the contrast of the condition.
    #[arg(
        long,
        env = "AFTERIMAGE_IMAGE_WEIGHT",
        hide_env_values = true,
        value_name = "F",
        value_delimiter = ',',
        value_parser = values::image_weight
    )]
    image_weight: Vec<f64>,

    #[command(flatten)]
    controls: VariationFlags,

    /// What an absent prompt feeds into the model
    #[arg(
        long,
        env = "AFTERIMAGE_EMPTY_PROMPT",
        hide_env_values = true,
        hide_short_help = true,
        value_name = "WHAT",
        default_value = "encode"
    )]
    empty_prompt: EmptyPrompt,

    #[command(flatten)]
    request: RequestFlags,

    #[command(flatten)]
    models: ModelFlags,

    #[command(flatten)]
    hub: HubFlags,

    #[command(flatten)]
    safety: CheckerFlags,

    #[command(flatten)]
    output: OutputFlags,

    #[command(flatten)]
    many: ManyFlags,
}

impl Vary {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        self.controls.check(origins)?;
        let settings = VariationSettings {
            image_weights: self.image_weight.clone(),
            empty_prompt: self.empty_prompt,
            ..self.controls.settings(origins)
        };
        GenerationRun {
            task: Task::Variation(settings),
            sources: &self.images,
            beside: self.controls.beside(),
            many: &self.many,
            request: &self.request,
            models: &self.models,
            hub: self.hub,
            safety: &self.safety,
            output: &self.output,
            origins,
        }
        .run()
    }
}
