//! What `vary` and `img2img` have in common: from flags to files.
//!
//! | file | what |
//! |---|---|
//! | `sources.rs`, `read.rs` | which pictures a command is about; reading them |
//! | `beside.rs` | masks, and what a variation starts from |
//! | `grid.rs` | tables over one setting or two |
//! | `wanted.rs`, `items.rs` | what is made of which pictures, and where it goes |
//! | `maker.rs` | making it |
//! | `report.rs` | saying so |

mod beside;
pub mod grid;
mod items;
mod maker;
mod read;
mod report;
mod sources;
mod wanted;

pub use read::{check_standard_input, read_picture};
pub use sources::Sources;
pub use wanted::WantedPictures;

use crate::beside_pictures::BesidePictures;
use crate::failure::CommandFailure;
use crate::flags::{ModelFlags, OutputFlags, RequestFlags};
use crate::hub_files::HubFlags;
use crate::many_flags::ManyFlags;
use crate::origin::Origins;
use crate::safety_flags::CheckerFlags;
use afterimage_core::{GenerationRequest, PictureRole, Task};
use afterimage_engine::{Engine, EngineOptions};
use grid::{GridAxis, SettingsGrid};
use items::Items;
use maker::PictureMaker;
use sources::sources;
use std::path::PathBuf;

/// One run of a command that makes pictures.
pub struct GenerationRun<'a> {
    /// What to do with the sources.
    pub task: Task,
    /// Input pictures; `-` is standard input.
    pub sources: &'a [PathBuf],
    /// Tables, folders, sheets.
    pub many: &'a ManyFlags,
    /// Masks, and what is started from.
    pub beside: BesidePictures,
    /// Common settings.
    pub request: &'a RequestFlags,
    /// Models and device.
    pub models: &'a ModelFlags,
    /// What becomes of models that are missing.
    pub hub: HubFlags,
    /// Who looks at the results.
    pub safety: &'a CheckerFlags,
    /// Where the result goes.
    pub output: &'a OutputFlags,
    /// Where each flag's value came from.
    pub origins: &'a Origins,
}

/// How pictures are made, whatever is asked for.
pub struct Making<'a> {
    /// Folders, sheets.
    pub many: &'a ManyFlags,
    /// Where the result goes.
    pub output: &'a OutputFlags,
    /// Models and device.
    pub models: &'a ModelFlags,
    /// What becomes of models that are missing.
    pub hub: HubFlags,
    /// Who looks at the results.
    pub safety: &'a CheckerFlags,
    /// Where each flag's value came from.
    pub origins: &'a Origins,
}

impl Making<'_> {
    /// Makes what is `wanted` of `sources`, and calls it `kind`; `open` opens the models that flags ask for.
    ///
    /// # Errors
    /// Whatever can be known to be wrong before the models run, then everything else.
    pub fn run(
        &self,
        sources: impl FnOnce() -> Sources,
        wanted: &WantedPictures,
        kind: &str,
        open: &dyn Fn(EngineOptions) -> Result<Engine, CommandFailure>,
    ) -> Result<(), CommandFailure> {
        // Before pictures are read: their decoders compute on all threads that there are.
        self.models.take_threads()?;
        let sources = sources();
        let count = match &sources {
            Sources::Together { paths, .. } => paths.len(),
            Sources::Each(_) => 1 + wanted.beside.len(),
        };
        for request in &wanted.requests {
            let checked = request.check(&vec![None; count]);
            checked.map_err(|error| CommandFailure::from_error(&error, self.origins))?;
        }
        let items = Items::plan(sources, (wanted, kind), self.output, self.many, self.origins)?;
        let maker = PictureMaker {
            wanted,
            output: self.output,
            names_memory: self.models.names_memory(),
            origins: self.origins,
        };
        maker.run(items, &|| {
            let safety = self.safety.options(&[], self.origins)?;
            open(EngineOptions { safety, ..self.models.engine_options(self.origins)? })
        })
    }

    /// Opens the models of `options`, fetched if need be.
    ///
    /// # Errors
    /// When they cannot be opened.
    pub fn open(&self, options: EngineOptions) -> Result<Engine, CommandFailure> {
        let options = self.hub.resolved(options, self.output.quiet, &|flag| self.origins.of_flag(flag))?;
        Engine::open(&options).map_err(|error| CommandFailure::from_error(&error, self.origins))
    }
}

impl GenerationRun<'_> {
    /// Checks everything that can be checked first, then generates and writes.
    pub fn run(self) -> Result<(), CommandFailure> {
        let (named, axes) = self.sources_and_axes();
        let (sources, roles, beside) = self.beside.laid_out(sources(&named, self.many.each)?, self.origins)?;
        let wanted = WantedPictures { beside, ..self.wanted(&axes, roles)? };
        let kind = if wanted.grid.is_some() { "grid" } else { "variation" };
        let Self { many, output, models, hub, safety, origins, .. } = self;
        let making = Making { many, output, models, hub, safety, origins };
        making.run(|| sources, &wanted, kind, &|options| making.open(options))
    }

    /// Of what stands where pictures do, `--grid strength=0.3,0.6 seed=1..4` means the second setting, too, unless there is
    /// such a file.
    fn sources_and_axes(&self) -> (Vec<PathBuf>, Vec<GridAxis>) {
        let mut axes = self.many.grid.clone();
        let mut pictures = Vec::new();
        for path in self.sources {
            let axis =
                path.to_str().filter(|_| !axes.is_empty() && !path.exists()).and_then(|text| grid::axis(text).ok());
            match axis {
                Some(axis) => axes.push(axis),
                None => pictures.push(path.clone()),
            }
        }
        (pictures, axes)
    }

    fn wanted(&self, axes: &[GridAxis], roles: Vec<PictureRole>) -> Result<WantedPictures, CommandFailure> {
        let refuse = |problem: String| CommandFailure::bad_input(self.origins.subject("grid"), problem);
        let request = GenerationRequest { roles, ..self.request() };
        let Some(grid) = SettingsGrid::new(axes).map_err(refuse)? else {
            return Ok(WantedPictures { requests: vec![request], grid: None, beside: Vec::new() });
        };
        if request.num_images > 1 {
            let problem = format!("a cell is one picture; --num-images is {}", request.num_images);
            return Err(refuse(problem));
        }
        Ok(WantedPictures { requests: grid.requests(&request).map_err(refuse)?, grid: Some(grid), beside: Vec::new() })
    }

    fn request(&self) -> GenerationRequest {
        GenerationRequest {
            prompt: self.request.prompt.clone(),
            size: self.request.size,
            steps: self.request.steps,
            guidance: self.request.guidance,
            seed: self.request.seed.0,
            variation_seed: self.request.near.variation_seed(),
            num_images: self.request.num_images,
            enlarge: self.request.enlarge,
            ..GenerationRequest::new(self.task.clone())
        }
    }
}
