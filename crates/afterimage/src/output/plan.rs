//! Names of the output files, decided and checked before any model runs.

use crate::failure::{CommandFailure, describe};
use crate::flags::OutputFlags;
use crate::origin::Origins;
use afterimage_core::OutputFormat;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind, IsTerminal};
use std::path::{Path, PathBuf};

/// Extensions of picture formats. Writing one format under the extension of another would mislead every program that
/// opens the file; other extensions (`.tmp`) promise nothing.
const PICTURE_EXTENSIONS: [&str; 13] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "svg"];

/// Where one picture goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputTarget {
    /// Standard output.
    StandardOutput,
    /// A regular file, there or not yet: replaced in one move.
    File {
        /// The path as the user knows it.
        shown: PathBuf,
        /// The path with symbolic links followed, so that a link stays a link.
        real: PathBuf,
    },
    /// A pipe or device that is there: written to as it is, since a move would replace it by a file.
    Special(PathBuf),
}

impl OutputTarget {
    /// The path as the user knows it; `-` for standard output.
    pub fn shown(&self) -> &Path {
        match self {
            Self::StandardOutput => Path::new("-"),
            Self::File { shown, .. } | Self::Special(shown) => shown,
        }
    }
}

/// Format and targets of a command's pictures.
#[derive(Debug)]
pub struct OutputPlan {
    /// File format of all of them.
    pub format: OutputFormat,
    /// One for each picture.
    pub targets: Vec<OutputTarget>,
}

impl OutputPlan {
    /// Decides where `count` results called `name` go, and checks that they can be written there.
    ///
    /// # Errors
    /// A failure with exit code 2 that names `--output` or `--format`.
    pub fn new(
        flags: &OutputFlags,
        name: ResultName<'_>,
        count: u32,
        origins: &Origins,
    ) -> Result<Self, CommandFailure> {
        let refuse = |problem: String| CommandFailure::bad_input(origins.subject("output"), problem);
        let output = flags.output.as_deref();
        if output == Some(Path::new("-")) {
            if count > 1 {
                return Err(refuse(format!("standard output takes one picture; --num-images is {count}")));
            }
            if flags.json {
                return Err(refuse("standard output takes the picture or the JSON object, not both".to_owned()));
            }
            if io::stdout().is_terminal() {
                return Err(refuse("standard output is a terminal; send it to a file or a program".to_owned()));
            }
            return Ok(Self { format: flags.format.unwrap_or_default(), targets: vec![OutputTarget::StandardOutput] });
        }
        if output.is_some_and(|path| path.as_os_str().is_empty()) {
            return Err(refuse("an empty text is no path; expected a file, a folder or -".to_owned()));
        }
        let (path, format) = match output {
            Some(path) if !path.is_dir() => {
                if ends_with_separator(path) {
                    return Err(refuse(format!("{} is not an existing folder", path.display())));
                }
                (path.to_path_buf(), format_of(path, flags.format, "output", origins)?)
            }
            folder => {
                let format = flags.format.unwrap_or_default();
                (folder.unwrap_or(Path::new("")).join(name.with_extension(format)), format)
            }
        };
        let targets = if count == 1 {
            vec![check(path).map_err(refuse)?]
        } else {
            (1..=count).map(|number| check(numbered(&path, number))).collect::<Result<_, _>>().map_err(refuse)?
        };
        Ok(Self { format, targets })
    }

    /// The same for one picture at `path`, the value of the flag `name`.
    ///
    /// # Errors
    /// A failure with exit code 2 that names the flag.
    pub fn file(path: &Path, name: &str, origins: &Origins) -> Result<Self, CommandFailure> {
        if path == Path::new("-") {
            return Err(CommandFailure::bad_input(
                origins.subject(name),
                "standard output is for results; expected a file",
            ));
        }
        let format = format_of(path, None, name, origins)?;
        let target = check(path.to_path_buf());
        let target = target.map_err(|problem| CommandFailure::bad_input(origins.subject(name), problem))?;
        Ok(Self { format, targets: vec![target] })
    }

    /// Whether all of it is there.
    pub fn is_there(&self) -> bool {
        self.targets.iter().all(|target| matches!(target, OutputTarget::File { real, .. } if real.is_file()))
    }
}

/// What results are called where nobody names the file.
#[derive(Clone, Copy, Debug)]
pub struct ResultName<'a> {
    /// After what: the input's name without its extension; may be empty.
    pub stem: &'a OsStr,
    /// What they are: `variation`, `grid`.
    pub kind: &'a str,
}

impl<'a> ResultName<'a> {
    /// After the file `source`; standard input, `-`, has no name.
    pub fn after(source: &'a Path, kind: &'a str) -> Self {
        let stem = source.file_stem().filter(|_| source != Path::new("-"));
        Self { stem: stem.unwrap_or_default(), kind }
    }

    /// `photo-variation.png`; `variation.png` where there is no name.
    fn with_extension(self, format: OutputFormat) -> OsString {
        let mut name = self.stem.to_os_string();
        if !name.is_empty() {
            name.push("-");
        }
        name.push(self.kind);
        name.push(".");
        name.push(format.extension());
        name
    }
}

/// The format that `--format` or the extension of `path`, the value of the flag `name`, asks for.
fn format_of(
    path: &Path,
    flag: Option<OutputFormat>,
    name: &str,
    origins: &Origins,
) -> Result<OutputFormat, CommandFailure> {
    let extension = path.extension().and_then(OsStr::to_str).map(str::to_lowercase).unwrap_or_default();
    let by_extension = match extension.as_str() {
        "png" => Some(OutputFormat::Png),
        "jpg" | "jpeg" | "jpe" | "jfif" => Some(OutputFormat::Jpeg),
        _ => None,
    };
    let is_picture = PICTURE_EXTENSIONS.contains(&extension.as_str());
    match flag {
        Some(format) if is_picture && by_extension != Some(format) => {
            let (name, right) = match format {
                OutputFormat::Png => ("png", ".png"),
                OutputFormat::Jpeg => ("jpeg", ".jpg"),
            };
            Err(CommandFailure::bad_input(
                origins.subject("format"),
                format_args!(
                    "{name} contradicts --output {}; name it {right} or leave one of them out",
                    path.display()
                ),
            ))
        }
        None if is_picture && by_extension.is_none() => Err(CommandFailure::bad_input(
            origins.subject(name),
            format_args!("{}: .{extension} cannot be written; .png, .jpg and .jpeg can", path.display()),
        )),
        _ => Ok(flag.or(by_extension).unwrap_or_default()),
    }
}

/// `image-2.png` for `image.png`.
fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_os_string();
    name.push(format!("-{number}"));
    if let Some(extension) = path.extension() {
        name.push(".");
        name.push(extension);
    }
    path.with_file_name(name)
}

fn ends_with_separator(path: &Path) -> bool {
    path.as_os_str().as_encoded_bytes().last().is_some_and(|byte| std::path::is_separator(char::from(*byte)))
}

/// What kind of target `shown` is, or why nothing can be written there.
fn check(shown: PathBuf) -> Result<OutputTarget, String> {
    let refuse = |problem: &str| Err(format!("{}: {problem}", shown.display()));
    let real = match fs::metadata(&shown) {
        Ok(existing) if existing.is_dir() => return refuse("is a folder; expected a file name"),
        Ok(existing) if !existing.is_file() => return Ok(OutputTarget::Special(shown)),
        Ok(existing) if is_write_protected(&existing) => return refuse("is write-protected"),
        Ok(_) => match fs::canonicalize(&shown) {
            Ok(real) => real,
            Err(error) => return refuse(&describe(&error)),
        },
        Err(error) if error.kind() == ErrorKind::NotFound => shown.clone(),
        Err(error) => return refuse(&describe(&error)),
    };
    // A file without a name on file systems that can do that, so a crash here leaves nothing.
    match tempfile::tempfile_in(folder_of(&real)) {
        Ok(_) => Ok(OutputTarget::File { shown, real }),
        Err(error) if error.kind() == ErrorKind::NotFound => refuse("its folder does not exist"),
        Err(error) => refuse(&format!("its folder cannot be written to ({})", describe(&error))),
    }
}

/// The folder that `path` is in, in a form that can be opened.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn is_write_protected(file: &Metadata) -> bool {
    file.permissions().readonly()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flags::MetadataFlag;

    fn flags(output: Option<&Path>, format: Option<OutputFormat>) -> OutputFlags {
        OutputFlags {
            output: output.map(Path::to_path_buf),
            format,
            metadata: MetadataFlag::default(),
            json: false,
            quiet: false,
        }
    }

    fn names(output: &Path, format: Option<OutputFormat>, count: u32) -> Vec<String> {
        let plan = OutputPlan::new(
            &flags(Some(output), format),
            ResultName::after(Path::new("in/photo.jpg"), "variation"),
            count,
            &Origins::default(),
        )
        .unwrap_or_else(|failure| panic!("{failure:?}"));
        let name = |target: &OutputTarget| target.shown().file_name().unwrap().to_string_lossy().into_owned();
        plan.targets.iter().map(name).collect()
    }

    fn problem(output: &Path, format: Option<OutputFormat>) -> String {
        let name = ResultName::after(Path::new("photo.jpg"), "variation");
        format!("{:?}", OutputPlan::new(&flags(Some(output), format), name, 1, &Origins::default()))
    }

    #[test]
    fn names_follow_the_input() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(names(folder.path(), None, 1), ["photo-variation.png"]);
        assert_eq!(names(folder.path(), Some(OutputFormat::Jpeg), 1), ["photo-variation.jpg"]);
        assert_eq!(names(folder.path(), None, 2), ["photo-variation-1.png", "photo-variation-2.png"]);
        assert_eq!(names(&folder.path().join("a.b.jpeg"), None, 2), ["a.b-1.jpeg", "a.b-2.jpeg"]);
        assert_eq!(names(&folder.path().join("plain"), None, 2), ["plain-1", "plain-2"]);
        assert_eq!(ResultName::after(Path::new("-"), "grid").with_extension(OutputFormat::Png), "grid.png");
    }

    #[test]
    fn the_extension_decides_and_may_not_contradict() {
        let folder = tempfile::tempdir().unwrap();
        let format = |name: &str, flag| format_of(&folder.path().join(name), flag, "output", &Origins::default());
        assert!(matches!(format("a.JPG", None), Ok(OutputFormat::Jpeg)));
        assert!(matches!(format("a", None), Ok(OutputFormat::Png)));
        assert!(matches!(format("a.tmp", Some(OutputFormat::Jpeg)), Ok(OutputFormat::Jpeg)));
        for (name, flag) in [("a.jpg", Some(OutputFormat::Png)), ("a.webp", Some(OutputFormat::Png)), ("a.webp", None)]
        {
            assert!(format(name, flag).is_err(), "{name}");
        }
        let text = problem(&folder.path().join("a.jpg"), Some(OutputFormat::Png));
        assert!(text.contains("--format") && text.contains("--output"), "{text}");
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file.png");
        fs::write(&file, b"x").unwrap();
        assert!(problem(&folder.path().join("no/a.png"), None).contains("does not exist"));
        assert!(problem(&folder.path().join("no/"), None).contains("not an existing folder"));
        assert!(problem(&file.join("a.png"), None).contains("--output"));
        assert!(problem(&folder.path().join(format!("{}.png", "n".repeat(300))), None).contains("--output"));
        let mut permissions = fs::metadata(&file).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&file, permissions).unwrap();
        assert!(problem(&file, None).contains("write-protected"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "the check leaves nothing behind");
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file.png"), folder.path().join("link.png"));
        fs::write(&file, b"x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let Ok(OutputTarget::File { shown, real }) = check(link.clone()) else { panic!("a regular file") };
        assert_eq!((shown, real), (link, fs::canonicalize(file).unwrap()));
    }
}
