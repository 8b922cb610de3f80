//! Folders of the Hugging Face hub's cache: `models--OWNER--NAME/snapshots/COMMIT/…`, whose files are links into `blobs/`
//! (`huggingface_hub`, "Understand caching").

use afterimage_core::{Error, Result};
use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

/// How a model's folder in the cache begins.
const MODEL: &str = "models--";

/// Longest name of a commit.
const COMMIT_BYTES: u64 = 200;

/// The snapshot that a folder of the cache stands for: the commit that `refs/main` names, or the only one. Any other folder
/// is itself.
///
/// # Errors
/// [`Error::ModelFile`] when `refs/main` names no snapshot, or there are several and it is missing.
pub(crate) fn resolve(path: &Path) -> Result<Cow<'_, Path>> {
    let snapshots = path.join("snapshots");
    if !path.join("refs").is_dir() && !is_cached_model(path) || !snapshots.is_dir() {
        return Ok(Cow::Borrowed(path));
    }
    let main = path.join("refs").join("main");
    let folder = if main.is_file() {
        let small = fs::metadata(&main).is_ok_and(|metadata| metadata.len() <= COMMIT_BYTES);
        let text =
            if small { fs::read_to_string(&main).map_err(|error| Error::io(&main, error))? } else { String::new() };
        let commit = text.trim();
        if commit.is_empty()
            || commit == ".."
            || !commit.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        {
            return Err(Error::model_file(main, "names no commit; download the model again"));
        }
        snapshots.join(commit)
    } else {
        only_folder(&snapshots).ok_or_else(|| {
            Error::model_file(path, "has no refs/main, and not exactly one folder in snapshots/; name one of these")
        })?
    };
    if folder.is_dir() {
        Ok(Cow::Owned(folder))
    } else {
        Err(Error::model_file(folder, "no such folder, though refs/main names it; download the model again"))
    }
}

/// What people call the folder or file `path` of a snapshot: the repository's name, or the file's, unless that is one that
/// all files of its kind have. Nothing when it lies in no snapshot.
pub(crate) fn name(path: &Path) -> Option<String> {
    let is_snapshot =
        |folder: &&Path| folder.parent().and_then(Path::file_name).is_some_and(|name| name == "snapshots");
    let model = match path.ancestors().find(is_snapshot) {
        Some(snapshot) => snapshot.parent()?.parent()?,
        None => path,
    };
    let folder = model.file_name()?.to_string_lossy();
    // OWNER--NAME; neither holds two hyphens in a row.
    let (_, repository) = folder.strip_prefix(MODEL)?.split_once("--")?;
    let stem = path.file_stem().unwrap_or_default();
    let is_telling = path.is_file() && stem != "model" && stem != "diffusion_pytorch_model";
    if is_telling { Some(path.file_name()?.to_string_lossy().into_owned()) } else { Some(repository.to_owned()) }
}

/// Whether `target`, where a link of a model folder leads, is a file of the hub's cache.
pub(crate) fn is_blob(target: &Path) -> bool {
    let blobs = target.parent().filter(|parent| parent.file_name().is_some_and(|name| name == "blobs"));
    // Copies of the folder may be called otherwise.
    let is_cache =
        |model: &Path| is_cached_model(model) || model.join("refs").is_dir() && model.join("snapshots").is_dir();
    blobs.and_then(Path::parent).is_some_and(is_cache)
}

fn is_cached_model(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(MODEL))
}

fn only_folder(path: &Path) -> Option<PathBuf> {
    let mut folders = fs::read_dir(path).ok()?.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
    let first = folders.next()?;
    folders.next().is_none().then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refs_main_tells_the_snapshot() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("models--owner--name");
        let write = |name: &str, text: &str| {
            fs::create_dir_all(model.join(name).parent().unwrap()).unwrap();
            fs::write(model.join(name), text).unwrap();
        };
        fs::create_dir_all(model.join("snapshots/abc")).unwrap();
        assert_eq!(resolve(&model).unwrap(), model.join("snapshots/abc"), "the only one");
        fs::create_dir_all(model.join("snapshots/def")).unwrap();
        let message = |path: &Path| resolve(path).unwrap_err().to_string();
        assert!(message(&model).contains("has no refs/main, and not exactly one folder"), "{}", message(&model));
        write("refs/main", "def\n");
        assert_eq!(resolve(&model).unwrap(), model.join("snapshots/def"));
        assert_eq!(resolve(&model.join("snapshots/abc")).unwrap(), model.join("snapshots/abc"));
        for (text, expected) in
            [("../../x", "names no commit"), ("", "names no commit"), ("fff", "no such folder, though")]
        {
            write("refs/main", text);
            assert!(message(&model).contains(expected), "{}", message(&model));
        }
        assert!(is_blob(&model.join("blobs/0123")) && !is_blob(&model.join("snapshots/0123")));
        assert_eq!(resolve(folder.path()).unwrap(), folder.path());
        let renamed = folder.path().join("flux");
        assert!(!is_blob(&renamed.join("blobs/0123")));
        fs::rename(&model, &renamed).unwrap();
        assert!(is_blob(&renamed.join("blobs/0123")), "a copy by another name");
    }

    #[test]
    fn a_snapshot_is_called_as_its_repository() {
        let folder = tempfile::tempdir().unwrap();
        let model = folder.path().join("models--black-forest-labs--FLUX.1-dev");
        let snapshot = model.join("snapshots/0123");
        fs::create_dir_all(snapshot.join("vae")).unwrap();
        for file in ["diffusion_pytorch_model.safetensors", "flux1-dev-Q8_0.gguf"] {
            fs::write(snapshot.join(file), "").unwrap();
        }
        for path in [&model, &snapshot, &snapshot.join("vae"), &snapshot.join("diffusion_pytorch_model.safetensors")] {
            assert_eq!(name(path).as_deref(), Some("FLUX.1-dev"), "{}", path.display());
        }
        assert_eq!(name(&snapshot.join("flux1-dev-Q8_0.gguf")).as_deref(), Some("flux1-dev-Q8_0.gguf"));
        assert_eq!([name(folder.path()), name(Path::new("/snapshots/x"))], [None, None]);
    }
}
