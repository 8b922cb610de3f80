//! Making what was planned: one engine, picture after picture.

use super::items::{Item, Items};
use super::read::{read_picture, read_pictures};
use super::report::{InputFacts, report, report_grid, warn_of_flags};
use super::wanted::WantedPictures;
use crate::cancel;
use crate::failure::CommandFailure;
use crate::flags::OutputFlags;
use crate::origin::Origins;
use crate::output::{OutputPlan, OutputTarget, write_pictures};
use crate::progress::Progress;
use afterimage_core::{Error, GenerationFacts, GenerationRequest, Picture, VariationSeed};
use afterimage_engine::{Engine, Generation, MetadataLevel, encode_pictures};
use afterimage_imaging::{CaptionedPicture, OutputMetadata, SourcePicture, contact_sheet, encode, thumbnail};
use std::cell::OnceCell;
use std::io::{self, Write};
use std::path::Path;

/// What it takes to make pictures.
pub struct PictureMaker<'a> {
    /// What of each picture.
    pub wanted: &'a WantedPictures,
    /// How to say and write it.
    pub output: &'a OutputFlags,
    /// Whether somebody wants to know of the memory.
    pub names_memory: bool,
    /// Where each flag's value came from.
    pub origins: &'a Origins,
}

/// What came of the items.
#[derive(Default)]
struct BatchTally {
    made: usize,
    there: usize,
    /// Names of inputs that could not be used.
    unusable: Vec<String>,
}

/// Opens the models.
type Opener<'a> = &'a dyn Fn() -> Result<Engine, CommandFailure>;

impl PictureMaker<'_> {
    /// Makes all of `items`, then the contact sheet.
    ///
    /// # Errors
    /// Of a single item its own. Of several those that would end the next one, too; in the end, when some inputs could not be
    /// used, one that says how many.
    pub fn run(&self, items: Items, open: Opener<'_>) -> Result<(), CommandFailure> {
        let Items { all: items, is_batch, sheet } = items;
        let engine = OnceCell::new();
        let mut tally = BatchTally::default();
        let mut groups = Vec::new();
        let count = items.len();
        for (index, item) in items.iter().enumerate() {
            if item.is_done {
                tally.there += 1;
                groups.extend(sheet.is_some().then(|| thumbnails_of_files(item)).flatten());
                continue;
            }
            let title = if is_batch { format!("{}/{count} {}", index + 1, name_of(item)) } else { String::new() };
            // The cells of a table differ in settings, not in what their pictures are for.
            let Some(request) = self.wanted.requests.first() else { continue };
            let made = match read_pictures(&item.sources, request, self.origins) {
                Ok(sources) => self.make(item, sources, &title, opened(&engine, open)?),
                Err(failure) => Err(failure),
            };
            match made {
                Ok(pictures) => {
                    tally.made += 1;
                    if sheet.is_some() {
                        groups.push(thumbnails(item, &pictures).map_err(|error| self.failed(&error))?);
                    }
                }
                Err(failure) if is_batch && failure.is_bad_input() && !cancel::requested() => {
                    failure.print();
                    tally.unusable.push(name_of(item));
                }
                Err(failure) => return Err(failure),
            }
        }
        if let Some(plan) = sheet.filter(|_| !groups.is_empty()) {
            let picture = contact_sheet(&groups).map_err(|error| self.failed(&error))?;
            self.write_sheet(&plan, &picture)?;
        }
        if is_batch { self.summary(&tally) } else { Ok(()) }
    }

    /// Makes `item` of its pictures; returns these and the results.
    fn make(
        &self,
        item: &Item,
        sources: Vec<SourcePicture>,
        title: &str,
        engine: &Engine,
    ) -> Result<Vec<Picture>, CommandFailure> {
        let inputs: Vec<_> = sources.iter().map(InputFacts::of).collect();
        let mut pictures: Vec<_> = sources.into_iter().map(|source| source.picture).collect();
        let progress = Progress::new(self.output.quiet).telling_memory(self.names_memory);
        let results = if let Some(grid) = &self.wanted.grid {
            let (cells, facts) = self.cells(engine, &pictures, title)?;
            let sheet = grid.sheet(&cells).map_err(|error| self.failed(&error))?;
            self.write_sheet(&item.plan, &sheet)?;
            facts.iter().for_each(warn_of_flags);
            report_grid(self.output, &item.plan, &facts)?;
            vec![sheet]
        } else if let [request] = self.wanted.requests.as_slice() {
            let generation = self.generate(engine, request, &pictures, &progress.titled(title))?;
            let level = self.output.metadata.metadata;
            let files = encode_pictures(request, &generation, item.plan.format, level);
            write_pictures(&item.plan.targets, &files.map_err(|error| self.failed(&error))?)?;
            warn_of_flags(&generation.facts);
            report(self.output, &item.plan, &inputs, &generation.facts)?;
            generation.pictures
        } else {
            Vec::new()
        };
        pictures.extend(results);
        Ok(pictures)
    }

    /// The pictures of all cells and what is known of each. A seed that is left open is drawn for the first one.
    fn cells(
        &self,
        engine: &Engine,
        pictures: &[Picture],
        title: &str,
    ) -> Result<(Vec<Picture>, Vec<GenerationFacts>), CommandFailure> {
        let (mut cells, mut facts) = (Vec::new(), Vec::<GenerationFacts>::new());
        let count = self.wanted.requests.len();
        for (index, request) in self.wanted.requests.iter().enumerate() {
            let first = facts.first();
            let variation_seed = request.variation_seed.map(|variation| VariationSeed {
                seed: variation.seed.or_else(|| first.and_then(|first| first.variation_seed)),
                ..variation
            });
            let seed = request.seed.or_else(|| first.map(|first| first.seed));
            let request = GenerationRequest { seed, variation_seed, ..request.clone() };
            let cell = format!("{title}{}cell {}/{count}", if title.is_empty() { "" } else { ", " }, index + 1);
            let progress =
                Progress::new(self.output.quiet).telling_memory(self.names_memory && index == 0).titled(cell);
            let generation = self.generate(engine, &request, pictures, &progress)?;
            cells.extend(generation.pictures);
            facts.push(generation.facts);
        }
        Ok((cells, facts))
    }

    fn generate(
        &self,
        engine: &Engine,
        request: &GenerationRequest,
        pictures: &[Picture],
        progress: &Progress,
    ) -> Result<Generation, CommandFailure> {
        let outcome = engine.generate(request, pictures, progress);
        progress.clear();
        outcome.map_err(|error| self.failed(&error))
    }

    fn write_sheet(&self, plan: &OutputPlan, sheet: &Picture) -> Result<(), CommandFailure> {
        let metadata = (self.output.metadata.metadata != MetadataLevel::None).then(OutputMetadata::minimal);
        let file = encode(sheet, plan.format, metadata.as_ref()).map_err(|error| self.failed(&error))?;
        write_pictures(&plan.targets, &[file])
    }

    fn summary(&self, tally: &BatchTally) -> Result<(), CommandFailure> {
        let BatchTally { made, there, unusable } = tally;
        if !self.output.quiet {
            // Results of other settings look like an answer, too; the file's name does not tell.
            let kept =
                if *there > 0 { format!(", {there} there already (--replace makes all again)") } else { String::new() };
            let _ = writeln!(io::stderr().lock(), "{made} of {} made{kept}", made + there + unusable.len());
        }
        match unusable.as_slice() {
            [] => Ok(()),
            [first, rest @ ..] => {
                let others = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
                Err(CommandFailure::bad_input(
                    "IMAGE",
                    format_args!("{first}{others} could not be used; the reasons stand above"),
                ))
            }
        }
    }

    fn failed(&self, error: &Error) -> CommandFailure {
        CommandFailure::from_error(error, self.origins)
    }
}

/// The engine, opened when the first picture has been read.
fn opened<'a>(engine: &'a OnceCell<Engine>, open: Opener<'_>) -> Result<&'a Engine, CommandFailure> {
    if let Some(engine) = engine.get() {
        return Ok(engine);
    }
    cancel::install()?;
    let opened = open()?;
    Ok(engine.get_or_init(|| opened))
}

fn name_of(item: &Item) -> String {
    item.sources.first().map(|path| shown_name(path)).unwrap_or_default()
}

/// The names of an item's inputs, then of its results.
fn captions(item: &Item) -> impl Iterator<Item = String> {
    let results = item.plan.targets.iter().map(|target| shown_name(target.shown()));
    item.sources.iter().map(|path| shown_name(path)).chain(results)
}

/// `pictures`, those of an item's inputs and then of its results, small and with their names.
fn thumbnails(item: &Item, pictures: &[Picture]) -> afterimage_core::Result<Vec<CaptionedPicture>> {
    captions(item).zip(pictures).map(|(caption, picture)| captioned(caption, picture)).collect()
}

fn captioned(caption: String, picture: &Picture) -> afterimage_core::Result<CaptionedPicture> {
    Ok(CaptionedPicture { caption, picture: thumbnail(picture)? })
}

/// The thumbnails of an item whose results were there; none when a file cannot be read.
fn thumbnails_of_files(item: &Item) -> Option<Vec<CaptionedPicture>> {
    let results = item.plan.targets.iter().map(OutputTarget::shown);
    let paths = item.sources.iter().map(std::path::PathBuf::as_path).chain(results);
    captions(item)
        .zip(paths)
        .map(|(caption, path)| captioned(caption, &read_picture(path).ok()?.picture).ok())
        .collect()
}

/// What a person calls the picture at `path`.
fn shown_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}
