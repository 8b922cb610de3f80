//! What `vary` and `img2img` have in common: from flags to files.

use crate::cancel;
use crate::failure::CommandFailure;
use crate::flags::{ModelFlags, OutputFlags, RequestFlags};
use crate::hub_files::HubFlags;
use crate::origin::Origins;
use crate::output::{OutputPlan, print_text, write_pictures};
use crate::progress::Progress;
use crate::safety_flags::CheckerFlags;
use afterimage_core::{Error, GenerationFacts, GenerationRequest, PictureLimits, Size, Task, Timings};
use afterimage_engine::{Engine, EngineOptions, encode_pictures};
use afterimage_imaging::{SourcePicture, read_file, read_stream};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// One run of a command that makes pictures.
pub struct GenerationRun<'a> {
    /// What to do with the sources.
    pub task: Task,
    /// Input pictures; `-` is standard input.
    pub sources: &'a [PathBuf],
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

/// The object of `--json`.
#[derive(Serialize)]
struct JsonReport<'a> {
    outputs: Vec<String>,
    inputs: Vec<InputFacts>,
    seed: u64,
    width: u32,
    height: u32,
    steps: u32,
    enlarged_from: Option<Size>,
    timings: Timings,
    model: &'a str,
    device: &'a str,
    dtype: &'a str,
    pictures: Vec<PictureReport<'a>>,
}

/// What is known of one result.
#[derive(Serialize)]
struct PictureReport<'a> {
    /// Whether a safety checker objects to it; null: nobody looked.
    flagged: Option<bool>,
    /// What each checker said, by its name.
    scores: BTreeMap<&'a str, f64>,
    /// Steps that were not computed to the end.
    cached_steps: u32,
}

impl<'a> PictureReport<'a> {
    fn of(facts: &'a GenerationFacts, index: usize) -> Self {
        let scores = facts.safety.as_ref().and_then(|safety| safety.scores.get(index)).into_iter().flatten();
        let names = facts.model.checkers.iter().map(String::as_str);
        let picture = facts.pictures.get(index);
        Self {
            flagged: picture.and_then(|picture| picture.flagged),
            scores: names.zip(scores.copied()).collect(),
            cached_steps: picture.map_or(0, |picture| picture.cached_steps),
        }
    }
}

/// What was done to a picture on the way in.
#[derive(Serialize)]
struct InputFacts {
    /// `PROFILE → sRGB` when colours were converted.
    icc: Option<String>,
}

impl InputFacts {
    fn of(source: &SourcePicture) -> Self {
        Self { icc: source.converted_from.as_ref().map(|from| format!("{from} → sRGB")) }
    }
}

impl GenerationRun<'_> {
    /// Checks everything that can be checked first, then generates and writes.
    pub fn run(self) -> Result<(), CommandFailure> {
        let failed = |error: Error| CommandFailure::from_error(&error, self.origins);
        let request = self.request();
        request.check(&vec![None; self.sources.len()]).map_err(failed)?;
        let first_source = self.sources.first().map_or(Path::new("-"), PathBuf::as_path);
        let plan = OutputPlan::new(self.output, first_source, request.num_images, self.origins)?;
        // Before pictures are read: their decoders compute on all threads that there are.
        self.models.take_threads()?;
        let sources = read_pictures(self.sources, self.origins)?;
        let inputs = sources.iter().map(InputFacts::of).collect();
        let pictures: Vec<_> = sources.into_iter().map(|source| source.picture).collect();

        cancel::install()?;
        let safety = self.safety.options(&[], self.origins)?;
        let options = EngineOptions { safety, ..self.models.engine_options(self.origins)? };
        let options = self.hub.resolved(options, self.output.quiet, &|flag| self.origins.of_flag(flag))?;
        let engine = Engine::open(&options).map_err(failed)?;
        let progress = Progress::new(self.output.quiet).telling_memory(self.models.names_memory());
        let outcome = engine.generate(&request, &pictures, &progress);
        progress.clear();
        let generation = outcome.map_err(failed)?;

        let files =
            encode_pictures(&request, &generation, plan.format, self.output.metadata.metadata).map_err(failed)?;
        write_pictures(&plan.targets, &files)?;
        warn_of_flags(&generation.facts);
        self.report(&plan, inputs, &generation.facts)
    }

    fn request(&self) -> GenerationRequest {
        GenerationRequest {
            task: self.task.clone(),
            prompt: self.request.prompt.clone(),
            size: self.request.size,
            steps: self.request.steps,
            guidance: self.request.guidance,
            seed: self.request.seed.0,
            num_images: self.request.num_images,
            enlarge: self.request.enlarge,
            model: None,
            loras: Vec::new(),
            check_safety: true,
        }
    }

    /// File names (or JSON) on standard output for the next program, the summary on standard error for the person.
    fn report(
        &self,
        plan: &OutputPlan,
        inputs: Vec<InputFacts>,
        facts: &GenerationFacts,
    ) -> Result<(), CommandFailure> {
        let outputs: Vec<String> = plan.targets.iter().map(|target| target.shown().display().to_string()).collect();
        if !self.output.quiet && !self.output.json {
            let seconds = facts.timings.total_ms / 1000.0;
            let (size, seed, steps) = (facts.size, facts.seed, facts.steps_run);
            let plural = if steps == 1 { "" } else { "s" };
            let from = facts.enlarged_from.map_or(String::new(), |from| format!(" enlarged from {from}"));
            let _ = writeln!(io::stderr().lock(), "{size}{from}, seed {seed}, {steps} step{plural} in {seconds:.1} s");
        }
        if self.output.json {
            let report = JsonReport {
                outputs,
                inputs,
                seed: facts.seed,
                width: facts.size.width,
                height: facts.size.height,
                steps: facts.steps_run,
                enlarged_from: facts.enlarged_from,
                timings: facts.timings,
                model: &facts.model.name,
                device: &facts.model.device,
                dtype: &facts.model.dtype,
                pictures: (0..facts.pictures.len()).map(|index| PictureReport::of(facts, index)).collect(),
            };
            let text = serde_json::to_string(&report).map_err(|error| CommandFailure::other(error.to_string()))?;
            return print_text(&text);
        }
        let to_files = self.output.output.as_deref() != Some(Path::new("-"));
        if to_files && !self.output.quiet { print_text(&outputs.join("\n")) } else { Ok(()) }
    }
}

/// Says on standard error which results are not what was made, whatever else is said.
fn warn_of_flags(facts: &GenerationFacts) {
    let Some(safety) = &facts.safety else { return };
    let mut errors = io::stderr().lock();
    for index in (0..facts.pictures.len()).filter(|index| facts.is_hidden(*index)) {
        let said: Vec<String> =
            PictureReport::of(facts, index).scores.iter().map(|(name, score)| format!("{name} {score:.3}")).collect();
        let number = index + 1;
        let _ = writeln!(errors, "warning: picture {number} was flagged ({}) and is black instead", said.join(", "));
    }
    if let Some(problem) = &safety.failure {
        let _ = writeln!(errors, "warning: a picture could not be checked: {problem}");
    }
}

fn read_pictures(sources: &[PathBuf], origins: &Origins) -> Result<Vec<SourcePicture>, CommandFailure> {
    check_standard_input(sources)?;
    let pictures = sources.iter().map(|source| read_picture(source)).collect::<Result<_, _>>();
    pictures.map_err(|error| CommandFailure::from_error(&error, origins))
}

/// Refuses standard input for more than one picture.
pub fn check_standard_input(sources: &[PathBuf]) -> Result<(), CommandFailure> {
    if sources.iter().filter(|source| *source == Path::new("-")).count() > 1 {
        return Err(CommandFailure::bad_input("IMAGE", "standard input can be read only once; give - for one picture"));
    }
    Ok(())
}

/// Reads a picture from a file, or from standard input for `-`.
pub fn read_picture(source: &Path) -> afterimage_core::Result<SourcePicture> {
    let limits = PictureLimits::default();
    if source == Path::new("-") {
        read_stream(io::stdin().lock(), "standard input", &limits)
    } else {
        read_file(source, &limits)
    }
}
