//! The folders in which requests find `LoRA`s by name. The engine opens the files; here it is only said at once whether
//! they are there.

use crate::problem::{Problem, ProblemKind};
use crate::refusal::Refusal;
use afterimage_core::{LoraChoice, LoraFolder};
use afterimage_jobs::Queue;
use std::collections::HashMap;
use std::sync::Arc;

/// The folders of a server's sets of models, of those that have one.
#[derive(Clone, Debug, Default)]
pub struct LoraFolders(Arc<HashMap<Queue, LoraFolder>>);

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
        let first_problem = move || {
            let mut names = loras.iter().enumerate();
            names.find_map(|(index, lora)| Some((index, folder.file(&lora.name).err()?)))
        };
        let problem = tokio::task::spawn_blocking(first_problem).await;
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

    fn choices(names: &[&str]) -> Vec<LoraChoice> {
        names.iter().map(|text| LoraChoice { name: text.parse().unwrap(), scale: 1.0 }).collect()
    }

    #[tokio::test]
    async fn each_set_of_models_has_its_own() {
        let around = tempfile::tempdir().unwrap();
        std::fs::write(around.path().join("film.safetensors"), "weights").unwrap();
        let first = LoraFolder::open(around.path()).unwrap();
        let folders = LoraFolders::new([(Some("dev".parse().unwrap()), first)]);
        let check = async |queue: Option<&str>, loras: &[&str]| {
            let queue = queue.map(|name| name.parse().unwrap());
            folders.check(&queue, &choices(loras), "loras").await.map_err(|refusal| refusal.to_string())
        };
        assert_eq!(check(Some("dev"), &["film"]).await, Ok(()));
        assert_eq!(check(None, &[]).await, Ok(()));
        let said = check(Some("dev"), &["film", "x"]).await.unwrap_err();
        assert_eq!(said, "loras[1].path: `x` is not in the folder of LoRAs; there are film");
        let said = check(None, &["film"]).await.unwrap_err();
        assert!(said.starts_with("loras: this server takes none") && said.contains("--lora-dir"), "{said}");
    }
}
