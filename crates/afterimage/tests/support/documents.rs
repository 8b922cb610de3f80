//! The documents that people read, and the fenced blocks in them.

use std::fs;
use std::path::{Path, PathBuf};

/// A Markdown file of the repository.
pub struct Document {
    /// Relative to the repository's root.
    pub name: PathBuf,
    pub text: String,
}

impl Document {
    pub fn read(name: impl AsRef<Path>) -> Self {
        let name = name.as_ref().to_owned();
        let text = fs::read_to_string(root().join(&name)).unwrap_or_else(|error| panic!("{}: {error}", name.display()));
        Self { name, text }
    }

    /// The contents of the fenced blocks in `language`.
    pub fn blocks(&self, language: &str) -> Vec<String> {
        let fence = format!("\n```{language}\n");
        let rest = self.text.split(&fence).skip(1);
        rest.filter_map(|rest| Some(rest.split_once("```")?.0.to_owned())).collect()
    }
}

/// All documents: those at the root, in `docs/` and beside what they are about.
pub fn documents() -> Vec<Document> {
    let mut names = Vec::new();
    for folder in ["", "bench", "crates/afterimage-engine/tests/parity", "demo-model", "docs", "docs/decisions", "fuzz"]
    {
        let entries = fs::read_dir(root().join(folder)).unwrap();
        let files = entries.map(|entry| Path::new(folder).join(entry.unwrap().file_name()));
        names.extend(files.filter(|name| name.extension().is_some_and(|extension| extension == "md")));
    }
    names.sort();
    names.into_iter().map(Document::read).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}
