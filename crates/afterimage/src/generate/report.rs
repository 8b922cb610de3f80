//! What a command says of what it made.

use crate::failure::CommandFailure;
use crate::flags::OutputFlags;
use crate::output::{OutputPlan, print_json, print_text};
use afterimage_core::{GenerationFacts, Size, Timings};
use afterimage_imaging::SourcePicture;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// The object of `--json`.
#[derive(Serialize)]
struct JsonReport<'a> {
    outputs: Vec<String>,
    inputs: &'a [InputFacts],
    seed: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    variation_seed: Option<u64>,
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
pub struct InputFacts {
    /// `PROFILE → sRGB` when colours were converted.
    icc: Option<String>,
}

impl InputFacts {
    /// Of `source`.
    pub fn of(source: &SourcePicture) -> Self {
        Self { icc: source.converted_from.as_ref().map(|from| format!("{from} → sRGB")) }
    }
}

/// File names (or JSON) on standard output for the next program, the summary on standard error for the person.
///
/// # Errors
/// When standard output cannot be written to.
pub fn report(
    output: &OutputFlags,
    plan: &OutputPlan,
    inputs: &[InputFacts],
    facts: &GenerationFacts,
) -> Result<(), CommandFailure> {
    if !output.quiet && !output.json {
        let seconds = facts.timings.total_ms / 1000.0;
        let (size, seed, steps) = (facts.size, facts.seed, facts.steps_run);
        let plural = if steps == 1 { "" } else { "s" };
        let from = facts.enlarged_from.map_or(String::new(), |from| format!(" enlarged from {from}"));
        let near = facts.variation_seed.map_or(String::new(), |other| format!(" towards {other}"));
        let line = format!("{size}{from}, seed {seed}{near}, {steps} step{plural} in {seconds:.1} s");
        let _ = writeln!(io::stderr().lock(), "{line}");
    }
    if !output.json {
        return print_names(output, plan);
    }
    print_json(&JsonReport {
        outputs: names(plan),
        inputs,
        seed: facts.seed,
        variation_seed: facts.variation_seed,
        width: facts.size.width,
        height: facts.size.height,
        steps: facts.steps_run,
        enlarged_from: facts.enlarged_from,
        timings: facts.timings,
        model: &facts.model.name,
        device: &facts.model.device,
        dtype: &facts.model.dtype,
        pictures: (0..facts.pictures.len()).map(|index| PictureReport::of(facts, index)).collect(),
    })
}

/// The same for a table of pictures, `cells` in its order.
///
/// # Errors
/// When standard output cannot be written to.
pub fn report_grid(output: &OutputFlags, plan: &OutputPlan, cells: &[GenerationFacts]) -> Result<(), CommandFailure> {
    let seconds = cells.iter().map(|facts| facts.timings.total_ms).sum::<f64>() / 1000.0;
    if !output.quiet && !output.json {
        let _ = writeln!(io::stderr().lock(), "{} pictures in {seconds:.1} s", cells.len());
    }
    if !output.json {
        return print_names(output, plan);
    }
    let cells: Vec<_> =
        cells.iter().map(|facts| CellReport { seed: facts.seed, picture: PictureReport::of(facts, 0) }).collect();
    print_json(&GridReport { outputs: names(plan), total_ms: seconds * 1000.0, cells })
}

fn names(plan: &OutputPlan) -> Vec<String> {
    plan.targets.iter().map(|target| target.shown().display().to_string()).collect()
}

fn print_names(output: &OutputFlags, plan: &OutputPlan) -> Result<(), CommandFailure> {
    let to_files = output.output.as_deref() != Some(Path::new("-"));
    if to_files && !output.quiet { print_text(&names(plan).join("\n")) } else { Ok(()) }
}

/// The object of `--json` for a table of pictures.
#[derive(Serialize)]
struct GridReport<'a> {
    outputs: Vec<String>,
    total_ms: f64,
    /// Row by row.
    cells: Vec<CellReport<'a>>,
}

#[derive(Serialize)]
struct CellReport<'a> {
    seed: u64,
    #[serde(flatten)]
    picture: PictureReport<'a>,
}

/// Says on standard error which results are not what was made, whatever else is said.
pub fn warn_of_flags(facts: &GenerationFacts) {
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
