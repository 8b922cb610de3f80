//! Self-tests that every kernel passed, kept in the user's cache folder: a process that opens the same card by the same driver with
//! the same kernels need not try them again.
//!
//! A file holds its whole key, so that one of another card, driver or program is none. Whatever is odd about it, that it is damaged or
//! somebody else's, makes it none as well: the kernels are tried.

use afterimage_cuda::{Cuda, SelfTest};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{Read, Write as _};
use std::path::{Path, PathBuf};

/// Longest file that is read.
const MAX_BYTES: u64 = 64 << 10;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct KeptSelfTest {
    /// What was tried, on what.
    key: String,
    /// Kernels that gave the right numbers; all did.
    passed: usize,
    /// Products of NVIDIA's library among them: others are not asked for.
    #[serde(default)]
    library: Vec<String>,
}

/// Whether every kernel of this card was tried before and gave the right numbers, and how many they were.
pub(crate) fn find(cuda: &Cuda) -> Option<usize> {
    let kept = read(&path(&folder()?, &cuda.kernels_key()), &cuda.kernels_key())?;
    cuda.trust_library(kept.library.iter().map(String::as_str));
    Some(kept.passed)
}

/// Keeps that all kernels gave the right numbers. Where there is no place for it, they are tried again.
pub(crate) fn keep(cuda: &Cuda, test: &SelfTest) {
    let library = test.library_products().map(str::to_owned).collect();
    let kept = KeptSelfTest { key: cuda.kernels_key(), passed: test.passed.len(), library };
    let Some(folder) = folder() else { return };
    if let Err(error) = write(&folder, &kept) {
        tracing::debug!(%error, folder = %folder.display(), "the self-test is not kept");
    }
}

/// What was kept of this card is no longer so.
pub(crate) fn forget(cuda: &Cuda) {
    if let Some(folder) = folder() {
        let _ = fs::remove_file(path(&folder, &cuda.kernels_key()));
    }
}

/// Where they are kept: `afterimage/self-tests` in the user's cache folder.
fn folder() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = if cfg!(windows) {
        named("LOCALAPPDATA")
    } else {
        named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))
    };
    caches.filter(|folder| folder.is_absolute()).map(|folder| folder.join("afterimage").join("self-tests"))
}

fn path(folder: &Path, key: &str) -> PathBuf {
    let name = Sha256::digest(key.as_bytes()).iter().take(16).fold(String::new(), |mut name, byte| {
        let _ = write!(name, "{byte:02x}");
        name
    });
    folder.join(name + ".json")
}

fn read(path: &Path, key: &str) -> Option<KeptSelfTest> {
    let file = File::open(path).ok().filter(is_ours)?;
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    let kept: KeptSelfTest = serde_json::from_str(&text).ok()?;
    (kept.key == key && kept.passed > 0).then_some(kept)
}

/// Whether nobody else can have written it.
#[cfg(unix)]
fn is_ours(file: &File) -> bool {
    use std::os::unix::fs::MetadataExt;
    // Of Linux; elsewhere the mode alone decides.
    let own = fs::metadata("/proc/self").ok().map(|process| process.uid());
    let Ok(found) = file.metadata() else { return false };
    found.is_file() && found.mode() & 0o022 == 0 && own.is_none_or(|own| own == found.uid())
}

#[cfg(not(unix))]
fn is_ours(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.is_file())
}

/// In one move: who reads at the same time finds a whole file or none.
fn write(folder: &Path, kept: &KeptSelfTest) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let target = path(folder, &kept.key);
    let part = target.with_extension(format!("{}.part", std::process::id()));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(&part).and_then(|mut file| file.write_all(&serde_json::to_vec(kept)?));
    let moved = written.and_then(|()| fs::rename(&part, target));
    if moved.is_err() {
        let _ = fs::remove_file(part);
    }
    moved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_damaged_or_of_another_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let kept = KeptSelfTest {
            key: "card 1, driver 13000".to_owned(),
            passed: 93,
            library: vec!["cublaslt.bf16.bf16.store".to_owned()],
        };
        write(folder.path(), &kept).unwrap();
        let file = path(folder.path(), &kept.key);
        let found = || read(&file, &kept.key);
        assert_eq!(found().as_ref(), Some(&kept));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left of writing");
        let whole = fs::read_to_string(&file).unwrap();
        for damaged in
            ["", "{}", &whole[..whole.len() - 1], &whole.replace("driver", "other"), &whole.replace("93", "0")]
        {
            fs::write(&file, damaged).unwrap();
            assert_eq!(found(), None, "{damaged}");
        }
        fs::write(&file, &whole).unwrap();
        assert_eq!((found().as_ref(), read(&file, "another")), (Some(&kept), None));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
            assert_eq!(found(), None, "anybody could have written it");
        }
        assert_eq!(read(folder.path(), &kept.key), None, "a folder");
    }
}
