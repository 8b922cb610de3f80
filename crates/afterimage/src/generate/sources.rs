//! Which pictures a command is about: files, folders, patterns.

use crate::failure::{CommandFailure, describe};
use afterimage_imaging::PictureFormat;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes that tell a picture's format.
const FIRST_BYTES: usize = 64;

/// The pictures of a command.
#[derive(Debug, PartialEq, Eq)]
pub enum Sources {
    /// All of them make one result.
    Together {
        /// The pictures.
        paths: Vec<PathBuf>,
        /// What the result is called after; `-` is nothing.
        named_after: PathBuf,
    },
    /// Each makes results of its own.
    Each(Vec<NamedSource>),
}

/// A picture that is taken by itself.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedSource {
    /// The file; `-` is standard input.
    pub path: PathBuf,
    /// What its results are called after; no two have the same.
    pub name: OsString,
    /// Whether it was found in a folder or by a pattern, where results would be found the next time.
    pub is_listed: bool,
}

/// The pictures that `named` are: folders and patterns stand for what is in them, and then, or if `each` says so, every picture
/// is taken by itself.
///
/// # Errors
/// For a folder or a pattern without pictures.
pub fn sources(named: &[PathBuf], each: bool) -> Result<Sources, CommandFailure> {
    let refuse =
        |path: &Path, problem: &str| CommandFailure::bad_input("IMAGE", format_args!("{}: {problem}", path.display()));
    let mut found = Vec::new();
    let mut is_each = each;
    for path in named {
        let listed = if path.is_dir() {
            Some(pictures_in(path).map_err(|error| refuse(path, &describe(&error)))?)
        } else {
            matching(path).map_err(|problem| refuse(path, &problem))?
        };
        match listed {
            Some(pictures) if pictures.is_empty() => {
                let problem = if path.is_dir() {
                    "is a folder without pictures; JPEG, PNG, WebP, GIF, BMP and TIFF are looked for"
                } else {
                    "no such file, and no picture matches it as a pattern"
                };
                return Err(refuse(path, problem));
            }
            Some(pictures) => {
                is_each = true;
                found.extend(pictures.into_iter().map(|picture| (picture, true)));
            }
            None => found.push((path.clone(), false)),
        }
    }
    if !is_each {
        let paths: Vec<PathBuf> = found.into_iter().map(|(path, _)| path).collect();
        let named_after = paths.first().cloned().unwrap_or_else(|| PathBuf::from("-"));
        return Ok(Sources::Together { paths, named_after });
    }
    let names = distinct_names(found.iter().map(|(path, _)| path.as_path()));
    let each = found.into_iter().zip(names).map(|((path, is_listed), name)| NamedSource { path, name, is_listed });
    Ok(Sources::Each(each.collect()))
}

/// The pictures of a folder by their names; hidden files and other folders in it are passed over.
fn pictures_in(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut pictures = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let is_hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if !is_hidden && is_picture(&path) {
            pictures.push(path);
        }
    }
    pictures.sort();
    Ok(pictures)
}

/// The pictures that `pattern` stands for; `None` when it is the name of a file, or would be.
fn matching(pattern: &Path) -> Result<Option<Vec<PathBuf>>, String> {
    let text = pattern.to_str().filter(|text| text.contains(['*', '?', '[']));
    let Some(text) = text.filter(|_| !pattern.exists()) else { return Ok(None) };
    let paths = glob::glob(text).map_err(|error| format!("is no pattern: {error}"))?;
    Ok(Some(paths.filter_map(Result::ok).filter(|path| is_picture(path)).collect()))
}

/// Whether a regular file begins as a picture does.
fn is_picture(path: &Path) -> bool {
    let first_bytes = || -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(path)?.take(FIRST_BYTES as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    // A pipe would wait for somebody to write.
    path.is_file() && first_bytes().is_ok_and(|bytes| PictureFormat::detect(&bytes).is_some())
}

/// What results are called after: the file's name without its extension; where that is taken the whole name; then with a
/// number.
fn distinct_names<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<OsString> {
    let mut names: Vec<OsString> = Vec::new();
    // Some file systems take names for equal that differ in case.
    let mut taken = std::collections::BTreeSet::new();
    for path in paths {
        let stem = path.file_stem().filter(|_| path != Path::new("-")).unwrap_or_default().to_os_string();
        let numbered = (2..).map(|number| {
            let mut name = stem.clone();
            name.push(format!("-{number}"));
            name
        });
        let whole = path.file_name().map(OsString::from);
        let mut free = [stem.clone()].into_iter().chain(whole).chain(numbered);
        let name = free.find(|name| taken.insert(name.to_string_lossy().to_lowercase())).unwrap_or(stem);
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0";

    fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            fs::write(folder.path().join(name), bytes).unwrap();
        }
        folder
    }

    fn names(sources: &Sources) -> Vec<String> {
        match sources {
            Sources::Each(each) => each.iter().map(|source| source.name.to_string_lossy().into_owned()).collect(),
            Sources::Together { paths, .. } => panic!("{paths:?}"),
        }
    }

    #[test]
    fn a_folder_stands_for_its_pictures_in_the_order_of_their_names() {
        let folder =
            folder(&[("b.png", PNG), ("a.jpeg", b"\xff\xd8\xff\xe0 and so on"), ("notes.txt", b"x"), (".c.png", PNG)]);
        fs::create_dir(folder.path().join("inner.png")).unwrap();
        let found = sources(&[folder.path().to_path_buf()], false).unwrap();
        assert_eq!(names(&found), ["a", "b"]);
        assert!(sources(&[folder.path().join("inner.png")], false).is_err(), "nothing is in it");
    }

    #[test]
    fn a_pattern_stands_for_what_matches_unless_a_file_is_called_that() {
        let folder = folder(&[("a1.png", PNG), ("a2.png", PNG), ("b.png", PNG), ("odd[1].png", PNG)]);
        let within = |name: &str| folder.path().join(name);
        assert_eq!(names(&sources(&[within("a*.png")], false).unwrap()), ["a1", "a2"]);
        let itself = |name: &str| Sources::Together { paths: vec![within(name)], named_after: within(name) };
        assert_eq!(sources(&[within("odd[1].png")], false).unwrap(), itself("odd[1].png"));
        assert!(sources(&[within("c*.png")], false).is_err());
        assert!(sources(&[within("***")], false).is_err());
        assert_eq!(sources(&[within("gone.png")], false).unwrap(), itself("gone.png"));
    }

    #[test]
    fn no_two_results_have_one_name() {
        let paths = ["a.png", "a.jpg", "other/a.png", "A.webp", "-"].map(PathBuf::from);
        let found = sources(&paths, true).unwrap();
        let mut names = names(&found);
        assert_eq!(names[..2], ["a".to_owned(), "a.jpg".to_owned()]);
        names.sort_by_key(|name| name.to_lowercase());
        names.dedup_by_key(|name| name.to_lowercase());
        assert_eq!(names.len(), 5, "{names:?}");
    }
}
