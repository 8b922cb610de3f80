//! Folders whose pictures an assistant may name by their paths.
//!
//! An assistant does what it is told, also by texts that it reads on the way. So no file is read unless it lies below a folder
//! that the user named, links followed, and nothing leaves a folder that does not begin as a picture does. What is refused
//! sounds the same whether the file is there or not.

use crate::failure::CommandFailure;
use afterimage_imaging::{PictureFormat, PictureLimits};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use url::Url;

/// What every JPEG begins with in base64: no path, though it looks like one.
const JPEG_IN_BASE64: &str = "/9j/";

/// The folders, with their links followed.
#[derive(Debug, Default)]
pub struct PictureFolders(Vec<PathBuf>);

impl PictureFolders {
    /// Those of `--allow-folder`.
    ///
    /// # Errors
    /// For one that is no folder.
    pub fn new(folders: &[PathBuf]) -> Result<Self, CommandFailure> {
        let followed = |folder: &PathBuf| {
            let named = || format!("--allow-folder {}", folder.display());
            match folder.canonicalize() {
                Ok(path) if path.is_dir() => Ok(path),
                Ok(_) => Err(CommandFailure::bad_input(named(), "is no folder")),
                Err(_) => Err(CommandFailure::bad_input(named(), "no such folder")),
            }
        };
        folders.iter().map(followed).collect::<Result<_, _>>().map(Self)
    }

    /// Whether no file at all may be read.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The folders as messages name them.
    pub fn names(&self) -> String {
        let names: Vec<String> = self.0.iter().map(|folder| folder.display().to_string()).collect();
        names.join(", ")
    }

    /// The picture that `text` names by a path or a `file:` address, as a data URI; `None` when it is something else.
    ///
    /// # Errors
    /// What to say when it cannot be had.
    pub fn picture(&self, text: &str) -> Option<Result<String, String>> {
        Some(self.read(&path_in(text)?))
    }

    fn read(&self, named: &Path) -> Result<String, String> {
        if self.is_empty() {
            return Err(
                "files of this machine are not read; `afterimage mcp --allow-folder DIR` allows the pictures below DIR"
                    .to_owned(),
            );
        }
        let limits = PictureLimits::default();
        let path = self.allowed(named).ok_or_else(|| format!("no such file in {}", self.names()))?;
        let failed = |_| format!("{} cannot be read", named.display());
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(failed)?;
        file.take(limits.file_bytes.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
        if bytes.len() as u64 > limits.file_bytes {
            return Err(format!("{} has more than {} MB", named.display(), limits.file_bytes / 1_000_000));
        }
        let Some(format) = PictureFormat::detect(&bytes) else {
            return Err(format!("{} is no picture; JPEG, PNG, WebP, GIF, BMP and TIFF are accepted", named.display()));
        };
        Ok(format!("data:{};base64,{}", format.media_type(), STANDARD.encode(bytes)))
    }

    /// Where the file is that is `named`, if it is one below a folder: never a device or a pipe, which reading would wait for.
    fn allowed(&self, named: &Path) -> Option<PathBuf> {
        let path = named.canonicalize().ok()?;
        let is_below = self.0.iter().any(|folder| path.starts_with(folder));
        (is_below && path.is_file()).then_some(path)
    }
}

/// The file that `text` names: by a full path, since nobody knows in which folder an assistant starts programs, or by an
/// address.
fn path_in(text: &str) -> Option<PathBuf> {
    let is_address = text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("file:"));
    if is_address {
        // One that names another machine names no file of this one.
        return Some(Url::parse(text).ok().and_then(|url| url.to_file_path().ok()).unwrap_or_default());
    }
    let path = Path::new(text);
    (path.is_absolute() && !text.starts_with(JPEG_IN_BASE64)).then(|| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\nrest";

    fn refused(folders: &PictureFolders, path: &Path) -> String {
        folders.picture(path.to_str().unwrap()).unwrap().unwrap_err()
    }

    #[test]
    fn pictures_below_a_folder_are_read_and_nothing_else_is() {
        let place = tempfile::tempdir().unwrap();
        let (allowed, secret) = (place.path().join("pictures"), place.path().join("secret.png"));
        fs::create_dir_all(allowed.join("inner")).unwrap();
        let inner = allowed.join("inner/a b.png");
        for file in [&inner, &secret] {
            fs::write(file, PNG).unwrap();
        }
        fs::write(allowed.join("notes.png"), "no picture").unwrap();
        let folders = PictureFolders::new(std::slice::from_ref(&allowed)).unwrap();

        let data = format!("data:image/png;base64,{}", STANDARD.encode(PNG));
        assert_eq!(folders.picture(inner.to_str().unwrap()).unwrap().unwrap(), data);
        let address = Url::from_file_path(&inner).unwrap();
        assert_eq!(folders.picture(address.as_str()).unwrap().unwrap(), data);

        // One that is there and one that is not sound the same.
        let outside = refused(&folders, &secret);
        assert_eq!(outside, refused(&folders, &place.path().join("nothing.png")));
        assert_eq!(outside, refused(&folders, &allowed.join("inner/../../secret.png")));
        assert_eq!(outside, refused(&folders, &allowed.join("inner")));
        assert_eq!(outside, folders.picture("file://elsewhere.example/a.png").unwrap().unwrap_err());
        assert!(refused(&folders, &allowed.join("notes.png")).contains("is no picture"));
        // A folder's name is no beginning of another's.
        let beside = place.path().join("pictures of others");
        fs::create_dir(&beside).unwrap();
        fs::write(beside.join("a.png"), PNG).unwrap();
        assert_eq!(outside, refused(&folders, &beside.join("a.png")));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_before_they_are_judged() {
        use std::os::unix::fs::symlink;
        let place = tempfile::tempdir().unwrap();
        let (allowed, secret) = (place.path().join("pictures"), place.path().join("secret.png"));
        fs::create_dir(&allowed).unwrap();
        fs::write(&secret, PNG).unwrap();
        symlink(&secret, allowed.join("link.png")).unwrap();
        symlink(&allowed, place.path().join("way")).unwrap();
        fs::write(allowed.join("a.png"), PNG).unwrap();
        // The folder itself may be named by a link.
        let folders = PictureFolders::new(&[place.path().join("way")]).unwrap();
        assert!(refused(&folders, &allowed.join("link.png")).starts_with("no such file in "));
        assert!(folders.picture(place.path().join("way/a.png").to_str().unwrap()).unwrap().is_ok());
    }

    #[test]
    fn what_is_no_path_stays_as_it_is() {
        let folders = PictureFolders::default();
        for text in
            ["https://h/a.png", "data:image/png;base64,AAAA", "iVBORw0KGgo", "/9j/4AAQSkZJRg", "a.png", "", "ä:äää"]
        {
            assert!(folders.picture(text).is_none(), "{text}");
        }
        let path = std::env::temp_dir().join("a.png");
        assert!(refused(&folders, &path).contains("--allow-folder"));
    }

    #[test]
    fn folders_have_to_be_there() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("file"), PNG).unwrap();
        for name in ["nothing", "file"] {
            assert!(PictureFolders::new(&[place.path().join(name)]).is_err(), "{name}");
        }
    }
}
