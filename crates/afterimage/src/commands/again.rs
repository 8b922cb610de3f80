//! `afterimage again`: a result made once more from what its file says.

use crate::failure::{CommandFailure, describe};
use crate::flags::{ModelFlags, OutputFlags};
use crate::generate::{Making, Sources, WantedPictures};
use crate::hub_files::HubFlags;
use crate::many_flags::ManyFlags;
use crate::origin::{Origin, Origins};
use crate::safety_flags::CheckerFlags;
use afterimage_core::{FileReading, GenerationRequest, OutputFormat, PictureLimits, PictureRole, Task, limits};
use afterimage_engine::{CacheThreshold, DtypeChoice, Engine, EngineOptions, Recorded, picture_digest};
use afterimage_imaging::{PictureFormat, read_file_as, read_parameters};
use clap::{Args, ValueEnum};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Make a result again from the parameters in its own file
///
/// PNG and JPEG files that this program wrote hold prompt, seed, size and settings (unless --metadata said otherwise), but
/// not the picture that they were made of: give it again. The same version on the same machine with the same models and
/// numbers makes the same file. Models are not in it either, only their name: a warning says when that is another one.
#[derive(Args, Debug)]
pub struct Again {
    /// The result: PNG or JPEG
    #[arg(value_name = "RESULT")]
    result: PathBuf,

    /// The pictures and masks that it was made of; none for text-to-image
    ///
    /// The file knows them by their pixels, so their order does not matter, and a warning names one that it does not know.
    #[arg(value_name = "IMAGE", num_args = 0..)]
    images: Vec<PathBuf>,

    #[command(flatten)]
    models: ModelFlags,

    #[command(flatten)]
    hub: HubFlags,

    #[command(flatten)]
    safety: CheckerFlags,

    #[command(flatten)]
    output: OutputFlags,
}

impl Again {
    /// Runs the command.
    pub fn run(&self, origins: &Origins) -> Result<(), CommandFailure> {
        let (recorded, format) = read(&self.result)?;
        self.check(&recorded, origins)?;
        let wanted = WantedPictures {
            // LoRAs that flags name belong to the model.
            requests: vec![GenerationRequest { loras: Vec::new(), ..recorded.request.clone() }],
            grid: None,
            beside: Vec::new(),
        };
        let output = OutputFlags { output: self.output.output.clone(), format: self.format(format), ..self.output };
        let making = Making {
            many: &ManyFlags::default(),
            output: &output,
            models: &self.models,
            hub: self.hub,
            safety: &self.safety,
            origins,
        };
        // Results are called after the result that is made again, whatever the pictures are called.
        let sources = || Sources::Together { paths: self.matched(&recorded), named_after: self.result.clone() };
        making.run(sources, &wanted, "again", &|options| open(&making, &recorded, options, origins))
    }

    /// The pictures in the order of `recorded`; says which of them it does not know.
    fn matched(&self, recorded: &Recorded) -> Vec<PathBuf> {
        let Matched { paths, strangers } = matched(&self.images, recorded);
        // What cannot be read at all is an error soon.
        let can_be_read = |path: &PathBuf| read_file_as(path, &PictureLimits::default(), FileReading::Picture).is_ok();
        for path in strangers.iter().filter(|path| can_be_read(path)) {
            let (path, result) = (path.display(), self.result.display());
            let _ = writeln!(io::stderr().lock(), "warning: {path} is none of the pictures that {result} was made of");
        }
        paths
    }

    /// The result's own format, unless flags say otherwise.
    fn format(&self, own: OutputFormat) -> Option<OutputFormat> {
        let names_file = self.output.output.as_deref().is_some_and(|path| path != Path::new("-") && !path.is_dir());
        self.output.format.or_else(|| (!names_file).then_some(own))
    }

    /// Refuses what would be another picture.
    fn check(&self, recorded: &Recorded, origins: &Origins) -> Result<(), CommandFailure> {
        let request = &recorded.request;
        let (given, result) = (self.images.len(), self.result.display());
        let needed = match recorded.inputs.len() {
            0 | 1 => needed_pictures(request),
            _ if !request.roles.is_empty() => needed_pictures(request),
            pictures => format!("{pictures} pictures"),
        };
        let fits = match &request.task {
            _ if !recorded.inputs.is_empty() => given == recorded.inputs.len(),
            _ if !request.roles.is_empty() => given == request.roles.len(),
            Task::TextToImage => given == 0,
            Task::ImageToImage { .. } | Task::Inpaint(_) => given == 1,
            Task::Variation(settings) => {
                limits::SOURCES.contains(&given)
                    && (settings.image_weights.is_empty() || settings.image_weights.len() == given)
            }
        };
        if !fits {
            let problem = format!("{given} given, but {result} was made of {needed}");
            return Err(CommandFailure::bad_input("IMAGE", problem));
        }
        if let Some(lora) = request.loras.first().filter(|_| self.models.options().loras.is_empty()) {
            let problem = format!("{result} was made with the LoRA {} at {}; name its file", lora.name, lora.scale);
            return Err(CommandFailure::bad_input(origins.subject("lora"), problem));
        }
        Ok(())
    }
}

/// The pictures that were given, as the result's file has them.
struct Matched {
    /// In the order of the request.
    paths: Vec<PathBuf>,
    /// Those that the file does not know.
    strangers: Vec<PathBuf>,
}

/// Puts `given` into the order of `recorded` by their pixels; what it does not know keeps the places that are left.
fn matched(given: &[PathBuf], recorded: &Recorded) -> Matched {
    let knows_all = recorded.inputs.len() == given.len();
    // Standard input can be read only once.
    if !knows_all || given.iter().any(|path| path == Path::new("-")) {
        return Matched { paths: given.to_vec(), strangers: Vec::new() };
    }
    let mut left: Vec<PathBuf> = given.to_vec();
    let mut places = Vec::new();
    for (index, digest) in recorded.inputs.iter().enumerate() {
        let reading = recorded.request.reading(index);
        // What cannot be read is told of when it is read in earnest.
        let is_it = |path: &PathBuf| {
            let read = read_file_as(path, &PictureLimits::default(), reading);
            read.is_ok_and(|source| picture_digest(&source.picture) == *digest)
        };
        places.push(left.iter().position(is_it).map(|found| left.remove(found)));
    }
    let mut strangers = left.clone().into_iter();
    let paths = places.into_iter().filter_map(|place| place.or_else(|| strangers.next())).collect();
    Matched { paths, strangers: left }
}

/// What `request` was made of, for people.
fn needed_pictures(request: &GenerationRequest) -> String {
    if !request.roles.is_empty() {
        let name = |role: &PictureRole| match role {
            PictureRole::Picture => "a picture",
            PictureRole::PictureMask => "its mask",
            PictureRole::Start => "what it started from",
            PictureRole::Mask => "a mask",
        };
        return request.roles.iter().map(name).collect::<Vec<_>>().join(", ");
    }
    match &request.task {
        Task::TextToImage => "no picture",
        Task::ImageToImage { .. } | Task::Inpaint(_) => "one picture",
        Task::Variation(settings) if settings.image_weights.len() > 1 => "as many pictures as it has weights",
        Task::Variation(_) => "the picture that it is a variation of",
    }
    .to_owned()
}

/// Opens the models with the numbers that were used, unless flags name others.
fn open(
    making: &Making<'_>,
    recorded: &Recorded,
    options: EngineOptions,
    origins: &Origins,
) -> Result<Engine, CommandFailure> {
    let is_open = |name| origins.of(name) == Origin::Default;
    let threshold = recorded.cache_threshold.and_then(|threshold| CacheThreshold::try_from(threshold).ok());
    let cache_threshold = threshold.filter(|_| is_open("cache_threshold")).unwrap_or(options.cache_threshold);
    let options = EngineOptions { cache_threshold, ..options };
    let engine = making.open(options.clone())?;
    let facts = engine.facts();
    if facts.name != recorded.model {
        let (before, now) = (&recorded.model, &facts.name);
        let _ = writeln!(io::stderr().lock(), "warning: it was made by {before}; this is {now}");
    }
    // What `auto` takes is not the same everywhere.
    let dtype = DtypeChoice::from_str(&recorded.dtype, true).ok();
    match dtype.filter(|_| is_open("dtype") && facts.dtype != recorded.dtype) {
        Some(dtype) => making.open(EngineOptions { dtype, ..options }),
        None => Ok(engine),
    }
}

/// Opens a file; a pipe would wait for somebody to write.
fn open_file(path: &Path) -> io::Result<File> {
    if std::fs::metadata(path)?.is_file() { File::open(path) } else { Err(io::Error::other("is no file")) }
}

/// What the file `path` says of how it was made, and its format.
fn read(path: &Path) -> Result<(Recorded, OutputFormat), CommandFailure> {
    /// As for pictures that come in.
    const MOST_BYTES: u64 = 50_000_000;
    let shown = path.display();
    let refuse = |problem: String| CommandFailure::bad_input("RESULT", format_args!("{shown}: {problem}"));
    let mut bytes = Vec::new();
    let read = open_file(path).and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes));
    read.map_err(|error| refuse(describe(&error)))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(refuse(format!("is larger than {MOST_BYTES} bytes")));
    }
    let parameters = read_parameters(&bytes, &shown.to_string())
        .map_err(|error| CommandFailure::bad_input("RESULT", error))?
        .ok_or_else(|| {
            let others = "results that this program wrote with --metadata full do, tables and contact sheets do not";
            refuse(format!("does not say how it was made; {others}"))
        })?;
    let recorded =
        Recorded::read(&parameters).map_err(|problem| refuse(format!("its parameters cannot be read: {problem}")))?;
    let is_jpeg = PictureFormat::detect(&bytes) == Some(PictureFormat::Jpeg);
    Ok((recorded, if is_jpeg { OutputFormat::Jpeg } else { OutputFormat::Png }))
}
