//! The tensors of one component: a single file, or shards with an index.

use super::file_kind::FileKind;
use super::gguf::GgufFile;
use super::safetensors::SafetensorsFile;
use super::tensor_file::{TensorFile, TensorInfo};
use crate::bundle::{Bundle, map};
use afterimage_core::{Error, Result};
use afterimage_tensors::SharedBytes;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// File names without their ending: diffusers' first, then transformers'.
const STEMS: [&str; 2] = ["diffusion_pytorch_model", "model"];

/// Variants that are taken when there is no plain file. The names are diffusers' `variant` arguments.
const VARIANTS: [&str; 2] = ["bf16", "fp16"];

/// Endings of files that can be read.
const READABLE_ENDINGS: [&str; 2] = [".safetensors", ".gguf"];

/// How the name of an index of shards ends.
const INDEX_ENDING: &str = ".safetensors.index.json";

/// Endings of files that hold weights as pickles.
const PICKLE_ENDINGS: [&str; 4] = [".bin", ".pt", ".pth", ".ckpt"];

/// All tensors of a component by the names that its files use.
#[derive(Debug)]
pub struct Component {
    path: PathBuf,
    files: Vec<Box<dyn TensorFile>>,
    /// Tensor name to the file that holds it.
    index: BTreeMap<String, usize>,
}

impl Component {
    /// Opens the weights in a component folder such as `transformer/`: `diffusion_pytorch_model` or `model`, single or
    /// sharded, plain or a `bf16` or `fp16` variant, else the only `.safetensors` or `.gguf` file of the folder.
    ///
    /// # Errors
    /// [`Error::ModelFile`] or [`Error::Tensor`] when files are missing, damaged or contradict their index.
    pub fn open(folder: &Bundle) -> Result<Self> {
        for (name, sharded) in candidates() {
            if folder.has(&name) {
                return if sharded { Self::open_sharded(folder, &name) } else { Self::open_in(folder, &name) };
            }
        }
        let names = folder.file_names();
        let readable = |name: &&String| READABLE_ENDINGS.iter().any(|ending| name.ends_with(ending));
        let weights: Vec<&String> = names.iter().filter(readable).collect();
        match weights[..] {
            [name] => Self::open_in(folder, name),
            [] => Err(Error::model_file(folder.path(""), nothing_there(folder, &names))),
            _ => Err(Error::model_file(
                folder.path(""),
                format!(
                    "has {} weights files and no way to tell which one to use; expected {}",
                    weights.len(),
                    expected()
                ),
            )),
        }
    }

    /// Opens what a flag such as `--transformer` names: a weights file, an index of shards, or a component folder.
    ///
    /// # Errors
    /// Those of [`Component::open`] and [`Component::open_file`].
    pub fn open_path(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Self::open(&Bundle::open(path)?);
        }
        match (path.parent(), path.file_name().and_then(|name| name.to_str())) {
            (Some(folder), Some(name)) if name.ends_with(INDEX_ENDING) && path.is_file() => {
                let here = folder.as_os_str().is_empty();
                Self::open_sharded(&Bundle::open(if here { Path::new(".") } else { folder })?, name)
            }
            _ => Self::open_file(path),
        }
    }

    /// Whether a folder holds weights that [`Component::open`] would try.
    pub fn is_in(folder: &Bundle) -> bool {
        candidates().iter().any(|(name, _)| folder.has(name))
            || folder.file_names().iter().any(|name| READABLE_ENDINGS.iter().any(|ending| name.ends_with(ending)))
    }

    /// Opens a single weights file.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it is missing, a folder, of another format, truncated or damaged; [`Error::Io`].
    pub fn open_file(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::model_file(path, "is a folder; expected one weights file (safetensors or GGUF)"));
        }
        Self::single(parse(path.to_path_buf(), &map(path)?)?)
    }

    /// A component of one file that is open already.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it holds no tensors.
    pub fn single(file: Box<dyn TensorFile>) -> Result<Self> {
        let index: BTreeMap<String, usize> = file.names().map(|name| (name.to_owned(), 0)).collect();
        if index.is_empty() {
            return Err(Error::model_file(file.path(), "holds no tensors"));
        }
        Ok(Self { path: file.path().to_path_buf(), files: vec![file], index })
    }

    fn open_in(folder: &Bundle, name: &str) -> Result<Self> {
        Self::single(parse(folder.path(name), &folder.bytes(name)?)?)
    }

    fn open_sharded(folder: &Bundle, index_name: &str) -> Result<Self> {
        let ShardIndex { weight_map } = folder.json(index_name)?;
        let index_path = folder.path(index_name);
        if weight_map.is_empty() {
            return Err(Error::model_file(index_path, "weight_map: is empty"));
        }
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut files: Vec<Box<dyn TensorFile>> = Vec::new();
        let mut index = BTreeMap::new();
        for (tensor, shard) in &weight_map {
            let number = if let Some(number) = numbers.get(shard.as_str()) {
                *number
            } else {
                // The index comes from whoever made the model: it must not reach outside its folder.
                if shard.contains(['/', '\\']) || shard == ".." || !shard.ends_with(".safetensors") {
                    return Err(Error::model_file(
                        index_path,
                        format!("weight_map: {tensor}: {shard:?} is not a .safetensors file of this folder"),
                    ));
                }
                if !folder.has(shard) {
                    return Err(Error::model_file(
                        folder.path(shard),
                        format!("no such file, but {index_name} places tensor {tensor} there"),
                    ));
                }
                if folder.leads_outside(shard) {
                    return Err(Error::model_file(
                        folder.path(shard),
                        format!(
                            "is a link out of its folder, where {index_name} places tensor {tensor}; expected a file"
                        ),
                    ));
                }
                files.push(parse(folder.path(shard), &folder.bytes(shard)?)?);
                numbers.insert(shard, files.len() - 1);
                files.len() - 1
            };
            if files[number].info(tensor).is_none() {
                return Err(Error::Tensor {
                    path: files[number].path().to_path_buf(),
                    tensor: tensor.clone(),
                    expected: format!("it in this shard, as {index_name} says"),
                    found: "nothing".to_owned(),
                });
            }
            index.insert(tensor.clone(), number);
        }
        Ok(Self { path: folder.path(""), files, index })
    }

    /// The file, or the folder for shards.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The open files.
    pub fn files(&self) -> &[Box<dyn TensorFile>] {
        &self.files
    }

    /// Number of tensors.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether there are no tensors; never so for a component that could be opened.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.index.keys().map(String::as_str)
    }

    /// Whether there is a tensor of that name.
    pub fn has(&self, name: &str) -> bool {
        self.index.contains_key(name)
    }

    /// The file that holds a tensor.
    pub fn file_of(&self, name: &str) -> Option<&dyn TensorFile> {
        self.files.get(*self.index.get(name)?).map(Box::as_ref)
    }

    /// Type and shape of a tensor.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.file_of(name)?.info(name)
    }
}

/// The file `path` with these contents, in whichever format it is. Formats branch off here, by their first bytes; what is
/// none of them, safetensors' parser refuses with words for each kind.
fn parse(path: PathBuf, bytes: &SharedBytes) -> Result<Box<dyn TensorFile>> {
    Ok(match FileKind::detect(bytes) {
        FileKind::Gguf => Box::new(GgufFile::parse(path, bytes)?),
        _ => Box::new(SafetensorsFile::parse(path, bytes)?),
    })
}

#[derive(Deserialize)]
struct ShardIndex {
    weight_map: BTreeMap<String, String>,
}

/// File names in the order they are tried, and whether they are an index of shards. diffusers prefers an index over a
/// single file, transformers a single file over an index (their `from_pretrained`), which matters in folders where a
/// conversion left both.
fn candidates() -> Vec<(String, bool)> {
    let [diffusers, transformers] = STEMS;
    let mut names = vec![
        (format!("{diffusers}.safetensors.index.json"), true),
        (format!("{diffusers}.safetensors"), false),
        (format!("{transformers}.safetensors"), false),
        (format!("{transformers}.safetensors.index.json"), true),
    ];
    for variant in VARIANTS {
        for stem in STEMS {
            names.push((format!("{stem}.{variant}.safetensors"), false));
            names.push((format!("{stem}.safetensors.index.{variant}.json"), true));
        }
    }
    names
}

fn expected() -> String {
    format!("{}, or a single file of another name", STEMS.map(|stem| format!("{stem}.safetensors")).join(" or "))
}

fn nothing_there(folder: &Bundle, names: &[String]) -> String {
    if !folder.exists() {
        return format!("no such folder; expected {} in it", expected());
    }
    match names.iter().find(|name| PICKLE_ENDINGS.iter().any(|ending| name.ends_with(ending))) {
        Some(pickle) => format!(
            "has only {pickle}, a PyTorch pickle, which can run code when it is opened and is never read; convert it \
             to safetensors (save_pretrained of diffusers does)"
        ),
        None => {
            match folder.odd_names().iter().find(|name| READABLE_ENDINGS.iter().any(|ending| name.ends_with(ending))) {
                Some(name) => format!("{name} in it is not a regular file that can be read; expected one"),
                None => format!("has no weights; expected {} (safetensors or GGUF)", expected()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{Dtype, TensorView};
    use std::fs;

    /// A file in which each tensor is one f32.
    fn weights(names: &[&str]) -> Vec<u8> {
        let views = names.iter().map(|name| (*name, TensorView::new(Dtype::F32, vec![1], &[0; 4]).unwrap()));
        safetensors::serialize(views, None).unwrap()
    }

    /// Opens a folder with these files and gives the number of tensors or the message without the folder's path.
    fn open(files: &[(&str, &[u8])]) -> Result<usize, String> {
        let folder = tempfile::tempdir().unwrap();
        for (name, contents) in files {
            fs::write(folder.path().join(name), contents).unwrap();
        }
        let result = Component::open(&Bundle::open(folder.path()).unwrap());
        result.map(|component| component.len()).map_err(|error| {
            error
                .to_string()
                .replace(&format!("{}/", folder.path().display()), "")
                .replace(&folder.path().display().to_string(), "FOLDER")
        })
    }

    const INDEX: &str = "model.safetensors.index.json";

    fn index(entries: &str) -> Vec<u8> {
        format!(r#"{{"metadata": {{"total_size": 8}}, "weight_map": {{{entries}}}}}"#).into_bytes()
    }

    #[test]
    fn single_files_are_found_under_all_their_names() {
        let one = weights(&["a"]);
        for name in [
            "diffusion_pytorch_model.safetensors",
            "model.safetensors",
            "model.fp16.safetensors",
            "diffusion_pytorch_model.bf16.safetensors",
            "ae.safetensors",
        ] {
            assert_eq!(open(&[(name, &one), ("config.json", b"{}")]), Ok(1), "{name}");
        }
        let two = weights(&["a", "b"]);
        assert_eq!(open(&[("model.safetensors", &two), ("model.fp16.safetensors", &one)]), Ok(2));
    }

    #[test]
    fn shards_are_joined() {
        let (first, second) = (weights(&["a", "unlisted"]), weights(&["b"]));
        let index = index(r#""a": "1.safetensors", "b": "2.safetensors""#);
        assert_eq!(open(&[(INDEX, &index), ("1.safetensors", &first), ("2.safetensors", &second)]), Ok(2));
    }

    #[test]
    fn contradictions_of_an_index_name_both_files() {
        let shard = weights(&["a"]);
        let cases: [(&str, &str); 7] = [
            (
                r#""a": "1.safetensors", "b": "2.safetensors""#,
                "2.safetensors: no such file, but model.safetensors.index.json places tensor b there",
            ),
            (
                r#""a": "1.safetensors", "b": "1.safetensors""#,
                "1.safetensors: tensor b: expected it in this shard, as model.safetensors.index.json says, found nothing",
            ),
            (
                r#""a": "../1.safetensors""#,
                "weight_map: a: \"../1.safetensors\" is not a .safetensors file of this folder",
            ),
            (r#""a": "/etc/passwd""#, "\"/etc/passwd\" is not a .safetensors file"),
            (r#""a": "model.bin""#, "\"model.bin\" is not a .safetensors file"),
            ("", "model.safetensors.index.json: weight_map: is empty"),
            (r#""a": 3"#, "model.safetensors.index.json: weight_map.a: invalid type: integer `3`, expected a string"),
        ];
        for (entries, expected) in cases {
            let message = open(&[(INDEX, &index(entries)), ("1.safetensors", &shard)]).unwrap_err();
            assert!(message.contains(expected), "{message}");
        }
        let truncated = &shard[..shard.len() - 1];
        let message = open(&[(INDEX, &index(r#""a": "1.safetensors""#)), ("1.safetensors", truncated)]).unwrap_err();
        assert!(message.starts_with("1.safetensors: is truncated"), "{message}");
    }

    #[cfg(unix)]
    #[test]
    fn shards_are_no_links_out_of_the_folder() {
        use std::os::unix::fs::symlink;
        let outside = tempfile::tempdir().unwrap();
        let elsewhere = outside.path().join("elsewhere.safetensors");
        fs::write(&elsewhere, weights(&["a"])).unwrap();
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(INDEX), index(r#""a": "1.safetensors""#)).unwrap();
        let shard = folder.path().join("1.safetensors");
        symlink(&elsewhere, &shard).unwrap();
        let open = || Component::open_path(folder.path()).map(|component| component.len());
        let message = open().unwrap_err().to_string();
        assert!(message.contains("1.safetensors: is a link out of its folder, where"), "{message}");
        // The hub's cache is made of such links.
        let blobs = outside.path().join("models--owner--name/blobs");
        fs::create_dir_all(&blobs).unwrap();
        fs::copy(&elsewhere, blobs.join("0123")).unwrap();
        fs::remove_file(&shard).unwrap();
        symlink(blobs.join("0123"), &shard).unwrap();
        assert_eq!(open().unwrap(), 1);
        // An index may be named itself, and a file may be a link to anywhere.
        assert_eq!(Component::open_path(&folder.path().join(INDEX)).unwrap().len(), 1);
        let link = folder.path().join("link");
        symlink(&elsewhere, &link).unwrap();
        assert_eq!(Component::open_path(&link).unwrap().len(), 1);
    }

    #[test]
    fn folders_without_usable_weights_say_what_to_do() {
        let one = weights(&["a"]);
        let message = open(&[("pytorch_model.bin", b"\x80\x02")]).unwrap_err();
        assert!(message.starts_with("FOLDER: has only pytorch_model.bin, a PyTorch pickle"), "{message}");
        let message = open(&[("config.json", b"{}")]).unwrap_err();
        assert!(message.contains("has no weights; expected diffusion_pytorch_model.safetensors or model"), "{message}");
        let message = open(&[("x.safetensors", &one), ("y.safetensors", &one)]).unwrap_err();
        assert!(message.contains("has 2 weights files and no way to tell"), "{message}");
        assert!(open(&[("model.safetensors", &weights(&[]))]).unwrap_err().contains("holds no tensors"));
        let folder = tempfile::tempdir().unwrap();
        let missing = Bundle::open(folder.path()).unwrap().folder("vae");
        assert!(Component::open(&missing).unwrap_err().to_string().contains("vae: no such folder; expected"));
    }

    #[test]
    fn single_files_are_checked_before_they_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let message = |name: &str, contents: Option<&[u8]>| {
            let path = folder.path().join(name);
            if let Some(contents) = contents {
                fs::write(&path, contents).unwrap();
            }
            Component::open_file(&path).unwrap_err().to_string()
        };
        assert!(message("none.safetensors", None).ends_with("none.safetensors: no such file"));
        assert!(message("", None).contains("is a folder; expected one weights file"));
        assert!(message("empty", Some(b"")).contains("is empty"));
        assert!(message("a.ckpt", Some(b"PK\x03\x04....")).contains("PyTorch pickle"));
        assert!(message("a.gguf", Some(b"GGUF\x03\0\0\0\0\0")).contains("is truncated"));
    }
}
