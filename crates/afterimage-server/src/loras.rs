//! The folders in which requests find `LoRA`s by name. The engine opens the files; here it is only said at once whether
//! they are there.

use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use afterimage_core::{LoraChoice, LoraName};
use afterimage_jobs::Queue;
use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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

/// The folders of a server's sets of models, of those that have one.
#[derive(Clone, Debug, Default)]
pub struct LoraFolders(Arc<HashMap<Queue, LoraFolder>>);

/// Whether a folder has a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    /// As a file of the folder.
    There,
    /// Not at all, or as something else than a file.
    Missing,
    /// As a link to something that is not in the folder.
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
                let is_there = kind.is_file() || (kind.is_symlink() && self.presence(&name) == Presence::There);
                is_there.then_some(name)
            })
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    fn presence(&self, name: &LoraName) -> Presence {
        match self.file(name).canonicalize() {
            Ok(file) if !file.starts_with(&self.path) => Presence::LeadsOut,
            Ok(file) if file.is_file() => Presence::There,
            Ok(_) | Err(_) => Presence::Missing,
        }
    }

    fn file(&self, name: &LoraName) -> PathBuf {
        self.path.join(format!("{name}{ENDING}"))
    }

    /// Why the first of `loras` that cannot be used cannot, and its place in the list.
    fn problem(&self, loras: &[LoraChoice]) -> Option<(usize, String)> {
        loras.iter().enumerate().find_map(|(index, lora)| {
            let name = &lora.name;
            let message = match self.presence(name) {
                Presence::There => return None,
                Presence::Missing => format!("{:?} is not in the server's folder; {}", name.as_str(), self.there_are()),
                Presence::LeadsOut => {
                    let advice = "its operator has to put the file itself there";
                    format!("{:?} is a link that leads out of the server's folder; {advice}", name.as_str())
                }
            };
            Some((index, message))
        })
    }

    fn there_are(&self) -> String {
        let names = self.names().unwrap_or_else(|error| {
            tracing::error!(%error, "the folder of LoRAs cannot be read");
            Vec::new()
        });
        let shown: Vec<&str> = names.iter().take(NAMED).map(LoraName::as_str).collect();
        match names.len() - shown.len() {
            _ if shown.is_empty() => "there are none".to_owned(),
            0 => format!("there are {}", shown.join(", ")),
            more => format!("there are {} and {more} more, see GET /loras", shown.join(", ")),
        }
    }
}

impl LoraFolders {
    /// The folder of each set of models that has one.
    pub fn new(folders: impl IntoIterator<Item = (Queue, LoraFolder)>) -> Self {
        Self(Arc::new(folders.into_iter().collect()))
    }

    /// The folder of the requests of `queue`.
    pub fn of(&self, queue: &Queue) -> Option<&LoraFolder> {
        self.0.get(queue)
    }

    /// Checks that a request of `queue` finds its `loras`, which it has in its field `field`.
    ///
    /// # Errors
    /// [`Refusal::Field`] that names the one that is not there, and what is.
    pub async fn check(&self, queue: &Queue, loras: &[LoraChoice], field: &str) -> Result<(), Refusal> {
        if loras.is_empty() {
            return Ok(());
        }
        let Some(folder) = self.of(queue).cloned() else {
            let message = "this server takes none; its operator can name a folder of them, --lora-dir DIR";
            return Err(Problem::new(field, ProblemKind::OutOfRange, message).into());
        };
        // A folder may be on a disk that is asleep, or in a network.
        let loras = loras.to_vec();
        let problem = tokio::task::spawn_blocking(move || folder.problem(&loras)).await;
        match problem.map_err(|_| Refusal::Internal)? {
            None => Ok(()),
            Some((index, message)) => {
                Err(Problem::new(format!("{field}[{index}].path"), ProblemKind::NotAnOption, message).into())
            }
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

    fn choices(names: &[&str]) -> Vec<LoraChoice> {
        names.iter().map(|text| LoraChoice { name: name(text), scale: 1.0 }).collect()
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
        assert_eq!(folder.problem(&choices(&["film", "ink.v2"])), None);
        for missing in ["Film2", "notes", "outside", "folder", "film.safetensors"] {
            let message = format!("{missing:?} is not in the server's folder; there are film, ink.v2");
            assert_eq!(folder.problem(&choices(&["film", missing])), Some((1, message)));
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
        let of = |text| folder.presence(&name(text));
        assert_eq!(["same", "around"].map(of), [Presence::There; 2]);
        assert_eq!(["absolute", "up", "beside"].map(of), [Presence::LeadsOut; 3]);
        assert_eq!(["nowhere", "itself"].map(of), [Presence::Missing; 2]);
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
            assert_eq!(folder.problem(&choices(&["lora-00000", "lora-09999"])), None);
        }
        assert!(start.elapsed() < Duration::from_millis(500), "{:?} for 100 requests", start.elapsed());
        let start = Instant::now();
        let (_, message) = folder.problem(&choices(&["other"])).unwrap();
        assert!(start.elapsed() < Duration::from_secs(1), "{:?} for one that names none", start.elapsed());
        assert!(message.contains("lora-00000, lora-00001") && message.ends_with("and 9980 more, see GET /loras"));
        assert!(message.len() < 400, "{message}");
    }

    #[tokio::test]
    async fn each_set_of_models_has_its_own() {
        let (_around, first) = folder(&["film.safetensors"]);
        let folders = LoraFolders::new([(Some("dev".parse().unwrap()), first)]);
        let check = async |queue: Option<&str>, loras: &[&str]| {
            let queue = queue.map(|name| name.parse().unwrap());
            folders.check(&queue, &choices(loras), "loras").await.map_err(|refusal| refusal.to_string())
        };
        assert_eq!(check(Some("dev"), &["film"]).await, Ok(()));
        assert_eq!(check(None, &[]).await, Ok(()));
        let said = check(Some("dev"), &["film", "x"]).await.unwrap_err();
        assert_eq!(said, "loras[1].path: \"x\" is not in the server's folder; there are film");
        let said = check(None, &["film"]).await.unwrap_err();
        assert!(said.starts_with("loras: this server takes none") && said.contains("--lora-dir"), "{said}");
    }

    proptest! {
        #[test]
        fn no_name_leaves_the_folder(text in r"(\PC|[./\\:\x00~-]){0,90}|[A-Za-z0-9._-]{1,80}|\.{1,3}[a-z/]{0,5}") {
            let Ok(name) = text.parse::<LoraName>() else { return Ok(()) };
            let folder = LoraFolder { path: PathBuf::from("/srv/loras") };
            let file = folder.file(&name);
            prop_assert_eq!(file.parent(), Some(folder.path.as_path()));
            prop_assert_eq!(file.components().count(), 4);
            let expected = format!("{text}.safetensors");
            prop_assert_eq!(file.file_name().and_then(|name| name.to_str()), Some(expected.as_str()));
        }
    }
}
