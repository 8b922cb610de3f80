//! The folder in which requests find `LoRA`s by name.

use crate::LoraName;
use std::io;
use std::path::{Path, PathBuf};

/// What a `LoRA`'s file is called after its name.
const ENDING: &str = ".safetensors";

/// Names in a message, at most: a folder may have thousands.
const NAMED: usize = 20;

/// A folder of files `NAME.safetensors`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoraFolder {
    /// Without links.
    path: PathBuf,
}

/// Why a name gives no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    /// The folder has none, or something else than a file.
    Missing,
    /// It is a link to something that is not in the folder.
    LeadsOut,
}

impl LoraFolder {
    /// The folder at `path`.
    ///
    /// # Errors
    /// When there is no folder that can be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        let path = path.canonicalize()?;
        std::fs::read_dir(&path)?;
        Ok(Self { path })
    }

    /// Its names in the order of the alphabet. What could not be used, since it is no file, has no name, or leads out of the
    /// folder, is left out.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn names(&self) -> io::Result<Vec<LoraName>> {
        let entries = std::fs::read_dir(&self.path)?.filter_map(Result::ok);
        let mut names: Vec<LoraName> = entries
            .filter_map(|entry| {
                let file = entry.file_name();
                let name: LoraName = file.to_str()?.strip_suffix(ENDING)?.parse().ok()?;
                let kind = entry.file_type().ok()?;
                let is_there = kind.is_file() || (kind.is_symlink() && self.resolve(&name).is_ok());
                is_there.then_some(name)
            })
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    /// The file of a name, without links: always one of the folder.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the name, and which there are.
    pub fn file(&self, name: &LoraName) -> Result<PathBuf, String> {
        self.resolve(name).map_err(|absence| match absence {
            Absence::Missing => format!("`{name}` is not in the folder of LoRAs; {}", self.there_are()),
            Absence::LeadsOut => {
                format!(
                    "`{name}` is a link that leads out of the folder of LoRAs; expected the file itself in the folder"
                )
            }
        })
    }

    fn resolve(&self, name: &LoraName) -> Result<PathBuf, Absence> {
        match self.path_of(name).canonicalize() {
            Ok(file) if !file.starts_with(&self.path) => Err(Absence::LeadsOut),
            Ok(file) if file.is_file() => Ok(file),
            Ok(_) | Err(_) => Err(Absence::Missing),
        }
    }

    fn path_of(&self, name: &LoraName) -> PathBuf {
        self.path.join(format!("{name}{ENDING}"))
    }

    fn there_are(&self) -> String {
        let names = match self.names() {
            Ok(names) => names,
            Err(error) => return format!("it cannot be read: {error}"),
        };
        let shown: Vec<&str> = names.iter().take(NAMED).map(LoraName::as_str).collect();
        match names.len() - shown.len() {
            _ if shown.is_empty() => "there are none".to_owned(),
            0 => format!("there are {}", shown.join(", ")),
            more => format!("there are {} and {more} more", shown.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs;
    use std::time::{Duration, Instant};
    use tempfile::TempDir;

    fn name(text: &str) -> LoraName {
        text.parse().unwrap()
    }

    /// The name of the file that the name leads to.
    fn found(folder: &LoraFolder, text: &str) -> Result<String, String> {
        folder.file(&name(text)).map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
    }

    fn folder(names: &[&str]) -> (TempDir, LoraFolder) {
        let around = tempfile::tempdir().unwrap();
        let path = around.path().join("loras");
        fs::create_dir(&path).unwrap();
        for name in names {
            fs::write(path.join(name), "weights").unwrap();
        }
        let folder = LoraFolder::open(&path).unwrap();
        (around, folder)
    }

    #[test]
    fn files_of_the_folder_are_found_by_name_and_nothing_else_is() {
        let (around, folder) = folder(&["film.safetensors", "ink.v2.safetensors", "notes.txt", ".hidden.safetensors"]);
        fs::create_dir(folder.path.join("folder.safetensors")).unwrap();
        fs::write(around.path().join("outside.safetensors"), "weights").unwrap();
        let names: Vec<String> = folder.names().unwrap().iter().map(LoraName::to_string).collect();
        assert_eq!(names, ["film", "ink.v2"]);
        assert_eq!(found(&folder, "film").as_deref(), Ok("film.safetensors"));
        assert_eq!(found(&folder, "ink.v2").as_deref(), Ok("ink.v2.safetensors"));
        for missing in ["Film2", "notes", "outside", "folder", "film.safetensors"] {
            let message = format!("`{missing}` is not in the folder of LoRAs; there are film, ink.v2");
            assert_eq!(found(&folder, missing), Err(message));
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_may_lead_through_the_folder_but_not_out_of_it() {
        use std::os::unix::fs::symlink;
        let (around, folder) = folder(&["film.safetensors"]);
        fs::write(around.path().join("outside.safetensors"), "weights").unwrap();
        fs::create_dir(around.path().join("loras-2")).unwrap();
        fs::write(around.path().join("loras-2/a"), "weights").unwrap();
        for (link, target) in [
            ("same", "film.safetensors"),
            ("absolute", "/etc/passwd"),
            ("up", "../outside.safetensors"),
            ("beside", "../loras-2/a"),
            ("around", "../loras/film.safetensors"),
            ("nowhere", "../nothing"),
            ("itself", "itself.safetensors"),
        ] {
            symlink(target, folder.path.join(format!("{link}.safetensors"))).unwrap();
        }
        let of = |text| folder.resolve(&name(text));
        let film = folder.path.join("film.safetensors");
        assert_eq!(["same", "around"].map(of), [Ok(film.clone()), Ok(film)]);
        assert_eq!(["absolute", "up", "beside"].map(of), [const { Err(Absence::LeadsOut) }; 3]);
        assert_eq!(["nowhere", "itself"].map(of), [const { Err(Absence::Missing) }; 2]);
        assert!(found(&folder, "up").unwrap_err().starts_with("`up` is a link that leads out of the folder"));
        let names: Vec<String> = folder.names().unwrap().iter().map(LoraName::to_string).collect();
        assert_eq!(names, ["around", "film", "same"]);
        // The folder itself may be reached through a link.
        let by_link = around.path().join("by-link");
        symlink(&folder.path, &by_link).unwrap();
        assert_eq!(LoraFolder::open(&by_link).unwrap(), folder);
    }

    #[test]
    fn only_a_folder_can_be_opened() {
        let (around, folder) = folder(&["film.safetensors"]);
        assert!(LoraFolder::open(&folder.path.join("film.safetensors")).is_err());
        assert!(LoraFolder::open(&around.path().join("nothing")).is_err());
    }

    #[test]
    fn thousands_of_files_slow_no_request_and_fill_no_message() {
        let many: Vec<String> = (0..10_000).map(|index| format!("lora-{index:05}.safetensors")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let (_around, folder) = folder(&many);
        let start = Instant::now();
        for _ in 0..100 {
            assert!(["lora-00000", "lora-09999"].iter().all(|name| found(&folder, name).is_ok()));
        }
        assert!(start.elapsed() < Duration::from_millis(500), "{:?} for 100 requests", start.elapsed());
        let start = Instant::now();
        let message = found(&folder, "other").unwrap_err();
        assert!(start.elapsed() < Duration::from_secs(1), "{:?} for one that names none", start.elapsed());
        assert!(message.contains("lora-00000, lora-00001") && message.ends_with("and 9980 more"));
        assert!(message.len() < 400, "{message}");
    }

    proptest! {
        #[test]
        fn no_name_leaves_the_folder(text in r"(\PC|[./\\:\x00~-]){0,90}|[A-Za-z0-9._-]{1,80}|\.{1,3}[a-z/]{0,5}") {
            let Ok(name) = text.parse::<LoraName>() else { return Ok(()) };
            let folder = LoraFolder { path: PathBuf::from("/srv/loras") };
            let file = folder.path_of(&name);
            prop_assert_eq!(file.parent(), Some(folder.path.as_path()));
            prop_assert_eq!(file.components().count(), 4);
            let expected = format!("{text}.safetensors");
            prop_assert_eq!(file.file_name().and_then(|name| name.to_str()), Some(expected.as_str()));
        }
    }
}
