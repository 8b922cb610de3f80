//! `afterimage img2img`: image-to-image.

use crate::control_flags::PaintFlags;
use crate::failure::CommandFailure;
use crate::flags::{ModelFlags, OutputFlags, RequestFlags};
use crate::generate::GenerationRun;
use crate::hub_files::HubFlags;
use crate::many_flags::ManyFlags;
use crate::origin::Origins;
use crate::safety_flags::CheckerFlags;
use crate::values;
use clap::Args;
use std::path::PathBuf;

/// Reshape a picture towards a prompt (FLUX.1-dev, FLUX.1-schnell, SRPO)
///
/// The picture is encoded, noise is added, and the last part of the schedule removes it again under the prompt's
/// guidance. Composition and colours survive more the lower --strength is. With --mask only a part is changed.
#[derive(Args, Debug)]
pub struct Img2Img {
    /// Picture to start from: JPEG, PNG, WebP, GIF (first frame), BMP or TIFF; a folder of them; `-` is standard input
    ///
    /// Several are taken each by itself, with --each or as a folder or a pattern. At most 50 MB and 100 megapixels. Orientation from EXIF or XMP is applied, colours of an ICC profile become sRGB,
    /// transparency becomes white. It is resized to --size; when that has another aspect ratio, the picture is stretched.
    #[arg(value_name = "IMAGE", required = true, num_args = 1..)]
    images: Vec<PathBuf>,

    /// How far to move away from the picture, 0 to 1
    ///
    /// The share of --steps that runs: 0.8 of 28 steps runs 23. 1 ignores the picture; 0 runs none and gives the
    /// picture back at the output size.
    #[arg(
        long,
        env = "AFTERIMAGE_STRENGTH",
        hide_env_values = true,
        value_name = "F",
        default_value = "0.8",
        value_parser = values::strength
    )]
    strength: f64,

    #[command(flatten)]
    paint: PaintFlags,

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

impl Img2Img {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        self.paint.check(origins)?;
        GenerationRun {
            task: self.paint.task(self.strength),
            sources: &self.images,
            beside: self.paint.beside(),
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
