//! Which files of a repository are fetched.

use crate::error::HubError;
use crate::file_path::FilePath;
use crate::known::{KnownModel, WEIGHTS};
use crate::repository_name::RepositoryName;

/// Endings of files that models consist of. Pickles are never read, so they are never fetched.
const ENDINGS: [&str; 5] = [".json", ".txt", ".model", ".safetensors", ".gguf"];

/// What a pipeline of folders says of itself; some have none.
const INDEX: &str = "model_index.json";

/// Starts of names that hold the terms, which go along with the weights.
const TERMS: [&str; 3] = ["licen", "notice", "use_policy"];

/// Other names of parts, as flags and people call them, and the folders that are meant. An encoder is of no use without
/// its tokenizer.
const OTHER_NAMES: [(&str, &[&str]); 5] = [
    ("t5", &["text_encoder_2", "tokenizer_2"]),
    ("clip", &["text_encoder", "tokenizer"]),
    ("redux", &["image_embedder"]),
    ("siglip", &["image_encoder", "feature_extractor"]),
    ("image-encoder", &["image_encoder", "feature_extractor"]),
];

/// The files of `listed` that are wanted: those that a known model needs, else those that look like a model; or the parts
/// that `only` names. Files with the terms come along. A known model whose files are called otherwise by now is taken for
/// what it looks like, as any other.
///
/// # Errors
/// [`HubError::Name`] for a part that the repository does not have, or when it has several weights that may be meant.
pub(crate) fn select(
    repository: &RepositoryName,
    known: Option<&KnownModel>,
    listed: &[FilePath],
    only: &[String],
) -> Result<Vec<FilePath>, HubError> {
    let mut wanted: Vec<FilePath> = match (only, known) {
        ([], Some(known)) => all_of(known.files(), listed).map_or_else(|| plausible(repository, listed), Ok)?,
        ([], None) => plausible(repository, listed)?,
        (only, _) => {
            let mut wanted = Vec::new();
            for part in only {
                wanted.extend(part_files(repository, known, listed, part)?);
            }
            wanted
        }
    };
    wanted.extend(listed.iter().filter(|file| holds_terms(file)).cloned());
    wanted.sort();
    wanted.dedup();
    Ok(wanted)
}

/// The files `names`, if all of them are listed.
fn all_of(names: impl Iterator<Item = &'static str>, listed: &[FilePath]) -> Option<Vec<FilePath>> {
    names.map(|name| listed.iter().find(|file| file.as_str() == name).cloned()).collect()
}

/// A known model's part, a folder by its own or another name, a file, or a pattern with `*`.
fn part_files(
    repository: &RepositoryName,
    known: Option<&KnownModel>,
    listed: &[FilePath],
    part: &str,
) -> Result<Vec<FilePath>, HubError> {
    let folders: &[&str] =
        OTHER_NAMES.iter().find(|(name, _)| *name == part).map_or(std::slice::from_ref(&part), |(_, folders)| *folders);
    let mut found = Vec::new();
    for folder in folders {
        let exact = known.and_then(|known| known.parts.iter().find(|known| known.name == *folder));
        match exact.and_then(|part| all_of(part.files.iter().copied(), listed)) {
            Some(files) => found.extend(files),
            None => found.extend(listed.iter().filter(|file| is_meant(folder, file)).cloned()),
        }
    }
    if found.is_empty() {
        let parts = match known {
            Some(known) => known.parts.iter().map(|part| part.name.to_owned()).collect::<Vec<_>>(),
            None => listed.iter().filter(|file| is_of_a_model(file)).map(ToString::to_string).collect(),
        };
        let problem = format!("is no part of {repository}; it has {}", afterimage_core::shortened(&parts.join(", ")));
        return Err(HubError::Name { name: part.to_owned(), problem });
    }
    Ok(found)
}

/// Whether `part`, a folder, a file or a pattern, means `file`.
fn is_meant(part: &str, file: &FilePath) -> bool {
    let name = file.as_str();
    let is_inside = name.strip_prefix(part.trim_end_matches('/')).is_some_and(|rest| rest.starts_with('/'));
    matches(part, name) || (is_inside && is_of_a_model(file))
}

/// Whether `name` is `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let mut pieces = pattern.split('*');
    let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let mut pieces = pieces.peekable();
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}

/// What a repository that nobody knows by heart is taken to be: a pipeline of folders, or a folder with one model.
fn plausible(repository: &RepositoryName, listed: &[FilePath]) -> Result<Vec<FilePath>, HubError> {
    let is_pipeline = listed.iter().map(FilePath::as_str).any(|name| name == INDEX || name.starts_with("transformer/"));
    let of_model = listed.iter().filter(|file| is_of_a_model(file));
    let wanted: Vec<FilePath> =
        of_model.filter(|file| !is_pipeline || !file.is_at_the_top() || file.as_str() == INDEX).cloned().collect();
    let weights: Vec<&str> = wanted.iter().filter(|file| is_weights(file)).map(FilePath::as_str).collect();
    let has_index = wanted.iter().any(|file| file.as_str().ends_with(".safetensors.index.json"));
    let refuse = |problem: String| Err(HubError::Name { name: repository.to_string(), problem });
    match weights[..] {
        [] => refuse("has no weights that can be read; expected safetensors or GGUF".to_owned()),
        [_] => Ok(wanted),
        _ if is_pipeline || has_index => Ok(wanted),
        _ => refuse(format!(
            "has {} weights files; --only names the one to fetch: {}",
            weights.len(),
            afterimage_core::shortened(&weights.join(", "))
        )),
    }
}

fn is_of_a_model(file: &FilePath) -> bool {
    ENDINGS.iter().any(|ending| file.as_str().ends_with(ending))
}

fn is_weights(file: &FilePath) -> bool {
    WEIGHTS.iter().any(|ending| file.as_str().ends_with(ending))
}

fn holds_terms(file: &FilePath) -> bool {
    let name = file.as_str().to_lowercase();
    file.is_at_the_top() && TERMS.iter().any(|start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::by_name;

    fn selected(known: Option<&KnownModel>, listed: &[&str], only: &[&str]) -> Result<Vec<String>, String> {
        let listed: Vec<FilePath> = listed.iter().map(|name| FilePath::parse(name).unwrap()).collect();
        let only: Vec<String> = only.iter().map(ToString::to_string).collect();
        let files = select(&"me/model".parse().unwrap(), known, &listed, &only).map_err(|error| error.to_string())?;
        Ok(files.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn a_known_model_is_fetched_without_what_lies_beside_it() {
        let redux = by_name("redux").unwrap();
        let mut listed: Vec<&str> = redux.files().collect();
        listed.extend(["flux1-redux-dev.safetensors", "README.md", "LICENSE.md", "dev_grid.jpg"]);
        let files = selected(Some(redux), &listed, &[]).unwrap();
        assert_eq!(files.len(), redux.files().count() + 1);
        assert!(files.contains(&"LICENSE.md".to_owned()) && !files.iter().any(|file| file.starts_with("flux1")));
        let encoder = selected(Some(redux), &listed, &["image_encoder"]).unwrap();
        assert_eq!(encoder, ["LICENSE.md", "image_encoder/config.json", "image_encoder/model.safetensors"]);
        let single = selected(Some(redux), &listed, &["flux1-*.safetensors"]).unwrap();
        assert_eq!(single, ["LICENSE.md", "flux1-redux-dev.safetensors"]);
        let message = selected(Some(redux), &listed, &["vae"]).unwrap_err();
        assert!(message.contains("it has index, feature_extractor, image_embedder, image_encoder"), "{message}");
        let siglip = selected(Some(redux), &listed, &["siglip"]).unwrap();
        assert_eq!(siglip.len(), 4, "{siglip:?}");
        // Called otherwise by now: what it looks like.
        let renamed =
            ["image_encoder/a.safetensors", "image_encoder/config.json", "model_index.json", "all.safetensors"];
        assert_eq!(selected(Some(redux), &renamed, &[]).unwrap(), &renamed[..3]);
        assert_eq!(selected(Some(redux), &renamed, &["image_encoder"]).unwrap(), &renamed[..2]);
    }

    #[test]
    fn other_repositories_are_taken_for_what_they_look_like() {
        let pipeline = [
            "model_index.json",
            "all.safetensors",
            "vae/config.json",
            "vae/a.safetensors",
            "vae/a.bin",
            "x/b.safetensors",
        ];
        let expected = ["model_index.json", "vae/a.safetensors", "vae/config.json", "x/b.safetensors"];
        assert_eq!(selected(None, &pipeline, &[]).unwrap(), expected);
        let encoders = ["text_encoder_2/m.safetensors", "tokenizer_2/tokenizer.json", "tokenizer/vocab.json"];
        assert_eq!(selected(None, &encoders, &["t5"]).unwrap(), &encoders[..2]);
        assert!(selected(None, &["model.safetensors"], &["t5"]).unwrap_err().contains("`t5`: is no part of me/model"));
        let single = ["config.json", "model.safetensors", "pytorch_model.bin", "Notice.txt"];
        assert_eq!(selected(None, &single, &[]).unwrap(), ["Notice.txt", "config.json", "model.safetensors"]);
        let several = ["a-Q8_0.gguf", "a-Q4_0.gguf", "README.md"];
        let message = selected(None, &several, &[]).unwrap_err();
        assert!(
            message.contains("has 2 weights files; --only names the one to fetch: a-Q8_0.gguf, a-Q4_0.gguf"),
            "{message}"
        );
        assert_eq!(selected(None, &several, &["a-Q4_0.gguf"]).unwrap(), ["a-Q4_0.gguf"]);
        assert!(selected(None, &["pytorch_model.bin"], &[]).unwrap_err().contains("has no weights that can be read"));
    }

    #[test]
    fn patterns_stand_for_any_text() {
        for (pattern, name, expected) in [
            ("*.gguf", "a/b.gguf", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*c", "acd", false),
            ("a", "ab", false),
            ("*", "anything", true),
            ("ab*ba", "aba", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }
}
