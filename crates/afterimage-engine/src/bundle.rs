//! A model folder: on disk, or embedded in the program.

use crate::hub_cache;
use afterimage_core::{Error, Result};
use afterimage_kernels::mapping::map_file;
use afterimage_tensors::SharedBytes;
use serde::de::DeserializeOwned;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Relative paths (separated by `/`) with their contents.
pub type EmbeddedFiles = &'static [(&'static str, &'static [u8])];

/// Largest configuration or vocabulary file that is read into memory. T5's `tokenizer.json` has 2.4 MB.
const TEXT_BYTES: u64 = 64 * 1024 * 1024;

/// A folder of model files. Relative paths are separated by `/`.
#[derive(Clone, Debug)]
pub struct Bundle {
    root: Root,
}

#[derive(Clone, Debug)]
enum Root {
    Folder(PathBuf),
    Embedded { name: &'static str, files: EmbeddedFiles, prefix: String },
}

impl Bundle {
    /// The folder `path`; of a model's folder in the Hugging Face hub's cache the snapshot that it stands for.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when there is no such folder, or a file of that name.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        match fs::metadata(path) {
            Ok(metadata) if metadata.is_dir() => {
                Ok(Self { root: Root::Folder(hub_cache::resolve(path)?.into_owned()) })
            }
            Ok(_) => Err(Error::model_file(
                path,
                "is a file; expected a model folder in the diffusers layout (a file with all parts is named by \
                 --transformer, beside a --base folder with the tokenizers)",
            )),
            Err(error) => Err(unreadable(path, error, "no such folder")),
        }
    }

    /// The embedded `files`; messages call the folder `<name>`.
    pub fn embedded(name: &'static str, files: EmbeddedFiles) -> Self {
        Self { root: Root::Embedded { name, files, prefix: String::new() } }
    }

    /// The folder `name` inside this one, which need not exist.
    #[must_use]
    pub fn folder(&self, name: &str) -> Self {
        let root = match &self.root {
            Root::Folder(path) => Root::Folder(path.join(name)),
            Root::Embedded { name: bundle, files, prefix } => {
                Root::Embedded { name: bundle, files, prefix: format!("{prefix}{name}/") }
            }
        };
        Self { root }
    }

    /// Whether the folder itself exists.
    pub fn exists(&self) -> bool {
        match &self.root {
            Root::Folder(path) => path.is_dir(),
            Root::Embedded { files, prefix, .. } => files.iter().any(|(path, _)| path.starts_with(prefix.as_str())),
        }
    }

    /// Whether there is a file `relative`.
    pub fn has(&self, relative: &str) -> bool {
        match &self.root {
            Root::Folder(path) => path.join(relative).is_file(),
            Root::Embedded { .. } => self.embedded_file(relative).is_some(),
        }
    }

    /// Names of the files directly in this folder, sorted; none when the folder cannot be read.
    pub fn file_names(&self) -> Vec<String> {
        let mut names: Vec<String> = match &self.root {
            Root::Folder(path) => fs::read_dir(path)
                .into_iter()
                .flatten()
                .flatten()
                .filter(|entry| entry.path().is_file())
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect(),
            Root::Embedded { files, prefix, .. } => files
                .iter()
                .filter_map(|(path, _)| path.strip_prefix(prefix.as_str()))
                .filter(|name| !name.contains('/'))
                .map(str::to_owned)
                .collect(),
        };
        names.sort();
        names
    }

    /// Names of what lies directly in this folder and is neither a file nor can be followed to one, sorted: folders, pipes,
    /// links that lead nowhere.
    pub fn odd_names(&self) -> Vec<String> {
        let Root::Folder(path) = &self.root else { return Vec::new() };
        let entries = fs::read_dir(path).into_iter().flatten().flatten().filter(|entry| !entry.path().is_file());
        let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
        names.sort();
        names
    }

    /// Whether the file `relative` is a link to a file that belongs neither to this folder nor to the hub's cache.
    pub fn leads_outside(&self, relative: &str) -> bool {
        let Root::Folder(folder) = &self.root else { return false };
        match (folder.canonicalize(), folder.join(relative).canonicalize()) {
            (Ok(folder), Ok(file)) => !file.starts_with(folder) && !hub_cache::is_blob(&file),
            _ => false,
        }
    }

    /// How messages call the file `relative`, or with `""` the folder itself. A real path unless embedded.
    pub fn path(&self, relative: &str) -> PathBuf {
        let mut path = match &self.root {
            Root::Folder(path) => path.clone(),
            Root::Embedded { name, prefix, .. } => {
                let mut path = PathBuf::from(format!("<{name}>"));
                path.extend(prefix.split('/').filter(|part| !part.is_empty()));
                path
            }
        };
        path.extend(relative.split('/').filter(|part| !part.is_empty()));
        path
    }

    /// The contents of a small file: configurations, vocabularies.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it is missing, not a regular file or larger than 64 MB; [`Error::Io`].
    pub fn read(&self, relative: &str) -> Result<Vec<u8>> {
        let path = self.path(relative);
        let too_large = || Error::model_file(&path, "is larger than 64 MB; expected a small text file");
        match &self.root {
            Root::Folder(_) => {
                let (file, length) = open_regular(&path)?;
                if length > TEXT_BYTES {
                    return Err(too_large());
                }
                let mut contents = Vec::with_capacity(length as usize);
                // The file may grow between the two calls, so the limit is applied to the reading as well.
                file.take(TEXT_BYTES + 1).read_to_end(&mut contents).map_err(|error| Error::io(&path, error))?;
                if contents.len() as u64 > TEXT_BYTES { Err(too_large()) } else { Ok(contents) }
            }
            Root::Embedded { .. } => {
                self.embedded_file(relative).map(<[u8]>::to_vec).ok_or_else(|| Error::model_file(&path, "no such file"))
            }
        }
    }

    /// The JSON file `relative` as `T`.
    ///
    /// # Errors
    /// Those of [`Bundle::read`], and [`Error::ModelFile`] naming field and line when the contents do not fit `T`.
    pub fn json<T: DeserializeOwned>(&self, relative: &str) -> Result<T> {
        let contents = self.read(relative)?;
        // A structure would take an array's members for its fields, and an empty one for all of its defaults.
        if contents.trim_ascii_start().first() == Some(&b'[') {
            return Err(Error::model_file(self.path(relative), "is a JSON array; expected an object"));
        }
        let mut parser = serde_json::Deserializer::from_slice(&contents);
        let value = serde_path_to_error::deserialize(&mut parser).map_err(|error| {
            let field = error.path().to_string();
            let problem = error.into_inner().to_string();
            // Syntax errors at the top level have no field; "." is how the library spells that.
            if field == "." {
                Error::model_file(self.path(relative), problem)
            } else {
                Error::model_file(self.path(relative), format!("{field}: {problem}"))
            }
        })?;
        parser.end().map_err(|error| Error::model_file(self.path(relative), error.to_string()))?;
        Ok(value)
    }

    /// The contents of a file of any size: mapped, or the embedded bytes themselves.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it is missing, not a regular file or empty; [`Error::Io`].
    pub fn bytes(&self, relative: &str) -> Result<SharedBytes> {
        match &self.root {
            Root::Folder(_) => map(&self.path(relative)),
            Root::Embedded { .. } => self
                .embedded_file(relative)
                .map(SharedBytes::new)
                .ok_or_else(|| Error::model_file(self.path(relative), "no such file")),
        }
    }

    fn embedded_file(&self, relative: &str) -> Option<&'static [u8]> {
        let Root::Embedded { files, prefix, .. } = &self.root else {
            return None;
        };
        files
            .iter()
            .find_map(|(path, contents)| (path.strip_prefix(prefix.as_str()) == Some(relative)).then_some(*contents))
    }
}

/// The last part of `path` that is a name; of `.` or `..` that of the folder it stands for.
pub(crate) fn last_name(path: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    name(path).or_else(|| name(&path.canonicalize().ok()?)).unwrap_or_else(|| "model".to_owned())
}

/// Maps the file `path` into memory.
///
/// # Errors
/// [`Error::ModelFile`] when it is missing, not a regular file or empty; [`Error::Io`].
pub(crate) fn map(path: &Path) -> Result<SharedBytes> {
    let (file, length) = open_regular(path)?;
    if length == 0 {
        return Err(Error::model_file(path, "is empty; download it again"));
    }
    map_file(&file).map_err(|error| Error::io(path, error))
}

/// Opens a regular file; anything else is refused before opening, since opening a pipe would wait for a writer.
fn open_regular(path: &Path) -> Result<(File, u64)> {
    let metadata = fs::metadata(path).map_err(|error| unreadable(path, error, "no such file"))?;
    if metadata.is_dir() {
        return Err(Error::model_file(path, "is a folder; expected a file"));
    }
    if !metadata.is_file() {
        return Err(Error::model_file(path, "is not a regular file"));
    }
    let file = File::open(path).map_err(|error| unreadable(path, error, "no such file"))?;
    Ok((file, metadata.len()))
}

fn unreadable(path: &Path, error: io::Error, when_missing: &str) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::model_file(path, when_missing),
        // Who names the file can mend these.
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidFilename => {
            Error::model_file(path, format!("cannot be read: {error}"))
        }
        _ if path.is_symlink() => Error::model_file(path, format!("is a link that cannot be followed: {error}")),
        _ => Error::io(path, error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    static FILES: EmbeddedFiles =
        &[("a.json", b"{\"layers\": 3}"), ("sub/b.json", b"{\"layers\":\n \"x\"}"), ("sub/deeper/c.txt", b"c")];

    #[derive(Debug, Deserialize)]
    struct Config {
        layers: u32,
    }

    #[test]
    fn embedded_files_are_found_by_relative_path() {
        let bundle = Bundle::embedded("demo", FILES);
        let sub = bundle.folder("sub");
        assert_eq!(bundle.json::<Config>("a.json").unwrap().layers, 3);
        assert!(bundle.has("sub/b.json") && sub.has("b.json") && !sub.has("a.json") && !bundle.has("sub"));
        assert_eq!(&sub.folder("deeper").bytes("c.txt").unwrap()[..], b"c");
        assert_eq!(sub.path("b.json"), Path::new("<demo>/sub/b.json"));
        assert_eq!(bundle.path(""), Path::new("<demo>"));
        assert_eq!(sub.file_names(), ["b.json"]);
        assert!(sub.exists() && !bundle.folder("su").exists());
    }

    #[test]
    fn json_errors_name_file_field_and_line() {
        let message = Bundle::embedded("demo", FILES).folder("sub").json::<Config>("b.json").unwrap_err().to_string();
        assert!(message.starts_with("<demo>/sub/b.json: layers: invalid type"), "{message}");
        assert!(message.contains("line 2"), "{message}");
    }

    #[test]
    fn what_whoever_named_the_file_can_mend_is_a_fault_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("a.json", folder.path().join("a.json")).unwrap();
        fs::write(folder.path().join("b.json"), " []").unwrap();
        let bundle = Bundle::open(folder.path()).unwrap();
        let message = |name| match bundle.json::<Config>(name).unwrap_err() {
            Error::ModelFile { problem, .. } => problem,
            other => panic!("{other}"),
        };
        assert!(message("a.json").starts_with("is a link that cannot be followed"), "{}", message("a.json"));
        assert_eq!(message("b.json"), "is a JSON array; expected an object");
        assert_eq!(bundle.odd_names(), ["a.json"]);
    }

    #[test]
    fn folders_on_disk_are_checked() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "{}x").unwrap();
        fs::write(folder.path().join("empty"), "").unwrap();
        let message = |result: Result<()>| result.unwrap_err().to_string();

        assert!(message(Bundle::open(folder.path().join("none")).map(drop)).ends_with("none: no such folder"));
        assert!(message(Bundle::open(folder.path().join("file")).map(drop)).contains("is a file; expected a model"));
        let bundle = Bundle::open(folder.path()).unwrap();
        assert!(message(bundle.read("none").map(drop)).ends_with("none: no such file"));
        assert!(message(bundle.bytes("empty").map(drop)).contains("is empty"));
        assert!(message(bundle.folder("x").bytes("").map(drop)).contains("no such file"));
        assert!(message(bundle.bytes("").map(drop)).contains("is a folder"));
        assert!(message(bundle.json::<serde_json::Value>("file").map(drop)).contains("trailing characters"));
        assert_eq!(&bundle.bytes("file").unwrap()[..], b"{}x");
    }
}
