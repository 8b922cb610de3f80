//! Name layouts: from canonical tensor names to those that a file uses.
//!
//! A layout is recognised by one tensor that every file of it has (its anchor), behind one of the prefixes that
//! exporters put in front. Models only ever see canonical names; messages use the file's spelling.

mod checkers;
mod encoders;
mod flux;
mod naming;
mod vae;
mod written;

pub use checkers::{CheckerKind, checker};
pub use encoders::{clip, redux, siglip, t5};
pub use flux::{diffusers_rows, flux};
pub use vae::vae;
pub use written::WrittenLayout;

use super::component::Component;
use super::source::{Scope, TensorSource};
use super::tensor_file::USABLE_TYPES;
use crate::config::{Beyond, Depth, beyond};
use afterimage_core::{Error, Result};
use afterimage_tensors::StoredTensor;
use naming::{Naming, Take, TensorPart};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A component whose layout is known: finds canonical tensors under the names that its files use.
pub struct LayoutSource {
    component: Arc<Component>,
    naming: Box<dyn Naming>,
    layout: &'static str,
    prefix: String,
}

impl LayoutSource {
    /// What a model's constructor takes.
    pub fn scope(self) -> Scope {
        Scope::new(Arc::new(self))
    }

    /// Name of the layout: `BFL`, `diffusers`, `transformers`.
    pub fn layout(&self) -> &'static str {
        self.layout
    }

    /// What stands in front of the layout's names in this file, with its dot; often nothing.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The files behind it.
    pub fn component(&self) -> &Arc<Component> {
        &self.component
    }

    /// A block that the files have and none of `depths` counts.
    pub fn beyond(&self, depths: &[Depth]) -> Option<Beyond> {
        let names: Vec<&str> =
            self.component.names().filter_map(|name| name.strip_prefix(self.prefix.as_str())).collect();
        beyond(&names, depths).map(|beyond| Beyond { tensor: format!("{}{}", self.prefix, beyond.tensor), ..beyond })
    }

    /// Refuses files with a block that none of `depths` counts: half a model would run. `config` is the file that counts.
    ///
    /// # Errors
    /// [`Error::ModelFile`] naming field and tensor.
    pub fn check_depths(&self, config: &Path, depths: &[Depth]) -> Result<()> {
        match self.beyond(depths) {
            Some(beyond) => Err(Error::model_file(config, beyond.to_string())),
            None => Ok(()),
        }
    }

    /// Shape of the canonical tensor `name`, put together from its parts; `None` when a part is missing.
    pub fn shape(&self, name: &str) -> Option<Vec<usize>> {
        let mut whole: Option<Vec<usize>> = None;
        for (part, info) in self.parts(name).iter().map(|part| (part, self.component.info(&part.name))) {
            let shape = &info?.shape;
            match &mut whole {
                None => whole = Some(shape.clone()),
                // The second half of a tensor that was counted already.
                Some(_) if part.take != Take::All => {}
                Some(whole) => *whole.first_mut()? = whole.first()?.checked_add(*shape.first()?)?,
            }
        }
        whole
    }

    /// The files' names for the canonical tensor `name`.
    pub fn file_names(&self, name: &str) -> BTreeSet<String> {
        self.parts(name).into_iter().map(|part| part.name).collect()
    }

    fn parts(&self, name: &str) -> Vec<TensorPart> {
        let mut parts = self.naming.parts(name);
        for part in &mut parts {
            part.name.insert_str(0, &self.prefix);
        }
        parts
    }

    /// One part of a canonical tensor, `expected` being the shape it should have in the file.
    fn part(&self, part: &TensorPart, expected: &[usize]) -> Result<StoredTensor> {
        let found = |path: PathBuf, found: String| Error::Tensor {
            path,
            tensor: part.name.clone(),
            expected: format!("{expected:?} in {USABLE_TYPES}"),
            found,
        };
        let Some(file) = self.component.file_of(&part.name) else {
            return Err(found(self.path(), "nothing".to_owned()));
        };
        let tensor = match (file.info(&part.name), file.tensor(&part.name)) {
            (Some(info), Some(tensor)) if same_shape(&info.shape, expected) => tensor,
            (Some(info), _) => return Err(found(file.path().to_path_buf(), info.to_string())),
            (None, _) => return Err(found(file.path().to_path_buf(), "nothing".to_owned())),
        };
        let rows = expected.first().copied().unwrap_or(1);
        let range = match part.take {
            Take::All => return Ok(tensor),
            Take::FirstHalf => 0..rows / 2,
            Take::SecondHalf => rows / 2..rows,
        };
        tensor
            .part(range)
            .filter(|_| rows % 2 == 0)
            .ok_or_else(|| Error::internal(format!("{} cannot be halved", part.name)))
    }
}

impl TensorSource for LayoutSource {
    fn path(&self) -> PathBuf {
        self.component.path().to_path_buf()
    }

    fn has(&self, name: &str) -> bool {
        self.parts(name).iter().all(|part| self.component.has(&part.name))
    }

    fn rows(&self, name: &str, shape: &[usize]) -> Result<Vec<StoredTensor>> {
        let parts = self.parts(name);
        let rows = shape.first().copied().unwrap_or(1);
        let shares: usize = parts.iter().map(|part| part.share).sum();
        parts
            .iter()
            .map(|part| {
                let mut expected = shape.to_vec();
                if let Some(first) = expected.first_mut()
                    && part.take == Take::All
                {
                    *first = rows / shares * part.share;
                }
                self.part(part, &expected)
            })
            .collect()
    }
}

/// Equal but for leading and trailing dimensions of 1: a 1×1 convolution is a matrix, and some tables are batches of one.
fn same_shape(left: &[usize], right: &[usize]) -> bool {
    fn trimmed(shape: &[usize]) -> &[usize] {
        let start = shape.iter().position(|side| *side != 1).unwrap_or(shape.len());
        let end = shape.iter().rposition(|side| *side != 1).map_or(start, |last| last + 1);
        &shape[start..end]
    }
    trimmed(left) == trimmed(right)
}

/// One layout of a kind of model and the tensors, any of which gives it away.
struct Candidate {
    layout: &'static str,
    anchors: &'static [&'static str],
}

/// Finds the first candidate one of whose anchors is there behind one of `prefixes`, else behind the only other beginning
/// with which one is there: tools put their own module's name in front.
///
/// # Errors
/// [`Error::ModelFile`] that says what was looked for.
fn recognise(
    component: &Component,
    model: &str,
    candidates: &[Candidate],
    prefixes: &[&'static str],
) -> Result<(usize, String)> {
    for prefix in prefixes {
        for (number, candidate) in candidates.iter().enumerate() {
            if candidate.anchors.iter().any(|anchor| component.has(&format!("{prefix}{anchor}"))) {
                return Ok((number, (*prefix).to_owned()));
            }
        }
    }
    if let Some(found) = behind_another(component, candidates) {
        return Ok(found);
    }
    let looked_for: Vec<String> =
        candidates.iter().map(|candidate| format!("{} ({})", candidate.anchors[0], candidate.layout)).collect();
    Err(Error::model_file(
        component.path(),
        format!(
            "is not {model}: looked for {} among its {} tensors, the first of which is {}",
            looked_for.join(" and "),
            component.len(),
            component.names().next().unwrap_or_default()
        ),
    ))
}

/// The candidate behind a beginning that nobody listed, and that beginning, which ends with a dot. `None` when there are
/// several: which of two models is meant would be a guess.
fn behind_another(component: &Component, candidates: &[Candidate]) -> Option<(usize, String)> {
    let mut found = BTreeSet::new();
    for name in component.names() {
        for (number, candidate) in candidates.iter().enumerate() {
            let prefixes = candidate.anchors.iter().filter_map(|anchor| name.strip_suffix(anchor));
            found.extend(prefixes.filter(|prefix| prefix.ends_with('.')).map(|prefix| (number, prefix.to_owned())));
        }
    }
    if found.len() == 1 { found.pop_first() } else { None }
}
