//! The tensors of a file, sorted by the layers that they change.

use super::alpha::HeaderAlphas;
use super::key::{LoraForm, LoraPart, LoraRole, LoraTensorName, read_name};
use crate::bundle::map;
use crate::weights::file_kind::FileKind;
use crate::weights::safetensors::SafetensorsFile;
use crate::weights::tensor_file::{TensorFile, TensorInfo};
use afterimage_core::{Error, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Largest rank. Published ones have up to 512.
const MOST_RANK: usize = 1 << 14;

/// A LoRA's file, its names understood and its pairs of matrices checked against each other.
#[derive(Debug)]
pub struct LoraPairs {
    file: SafetensorsFile,
    header: HeaderAlphas,
    forms: BTreeSet<LoraForm>,
    pairs: BTreeMap<(LoraPart, String), LoraPair>,
}

/// The tensors of one layer by their names in the file.
#[derive(Debug)]
pub(super) struct LoraPair {
    pub down: String,
    pub up: String,
    pub alpha: Option<String>,
    pub up_bias: Option<String>,
    pub rank: usize,
}

#[derive(Default)]
struct Found {
    down: Option<String>,
    up: Option<String>,
    alpha: Option<String>,
    up_bias: Option<String>,
}

impl LoraPairs {
    /// Opens a file and sorts its tensors.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it is no safetensors file, and those of [`LoraPairs::read`].
    pub fn open(path: &Path) -> Result<Self> {
        if path.is_dir() {
            return Err(Error::model_file(path, "is a folder; expected a LoRA's safetensors file"));
        }
        let bytes = map(path)?;
        if FileKind::detect(&bytes) == FileKind::Gguf {
            return Err(Error::model_file(path, "is a GGUF file; LoRAs are read from safetensors files"));
        }
        Self::read(SafetensorsFile::parse(path.to_path_buf(), &bytes)?)
    }

    /// Sorts the tensors of `file`.
    ///
    /// # Errors
    /// [`Error::Tensor`] for the first tensor that belongs to no pair or to another kind of adapter, whose rank is not its
    /// partner's, or that is no matrix; [`Error::ModelFile`] for a header that cannot be used.
    pub fn read(file: SafetensorsFile) -> Result<Self> {
        let header = HeaderAlphas::read(file.metadata()).map_err(|problem| Error::model_file(file.path(), problem))?;
        if header.is_dora() {
            let problem = "is a DoRA (weights split into magnitude and direction), which is not supported";
            return Err(Error::model_file(file.path(), problem));
        }
        let mut found: BTreeMap<(LoraPart, String), Found> = BTreeMap::new();
        let mut forms = BTreeSet::new();
        for name in file.names() {
            let expected = "a pair of low rank (lora_A and lora_B, or lora_down and lora_up)";
            let said = read_name(name).map_err(|kind| refuse(file.path(), name, expected, kind))?;
            let LoraTensorName { part, form, module, role } = said;
            forms.insert(form);
            let layer = found.entry((part, module)).or_default();
            let place = match role {
                LoraRole::Down => &mut layer.down,
                LoraRole::Up => &mut layer.up,
                LoraRole::Alpha => &mut layer.alpha,
                LoraRole::UpBias => &mut layer.up_bias,
            };
            if let Some(other) = place.replace(name.to_owned()) {
                return Err(refuse(
                    file.path(),
                    name,
                    "one tensor of its kind for a layer",
                    &format!("{other} as well"),
                ));
            }
        }
        if found.is_empty() {
            return Err(Error::model_file(file.path(), "holds no tensors"));
        }
        let mut pairs = BTreeMap::new();
        for (layer, found) in found {
            pairs.insert(layer, pair(&file, found)?);
        }
        Ok(Self { file, header, forms, pairs })
    }

    /// The file.
    pub fn file(&self) -> &SafetensorsFile {
        &self.file
    }

    /// Whose names the file has; some have several.
    pub fn forms(&self) -> impl Iterator<Item = LoraForm> {
        self.forms.iter().copied()
    }

    /// How many layers of each network it changes.
    pub fn layers(&self) -> BTreeMap<LoraPart, usize> {
        let mut layers = BTreeMap::new();
        for (part, _) in self.pairs.keys() {
            *layers.entry(*part).or_default() += 1;
        }
        layers
    }

    /// Smallest and largest rank.
    pub fn ranks(&self) -> [usize; 2] {
        let ranks = || self.pairs.values().map(|pair| pair.rank);
        [ranks().min().unwrap_or(0), ranks().max().unwrap_or(0)]
    }

    pub(super) fn pairs(&self) -> impl Iterator<Item = (LoraPart, &str, &LoraPair)> {
        self.pairs.iter().map(|((part, module), pair)| (*part, module.as_str(), pair))
    }

    /// alpha / rank of a layer's update: by the tensor beside it, else by the header, else 1, as PEFT has it.
    ///
    /// # Errors
    /// [`Error::Tensor`] when alpha is no finite number.
    pub(super) fn factor(&self, part: LoraPart, module: &str, pair: &LoraPair) -> Result<f32> {
        let factor = match &pair.alpha {
            Some(name) => {
                let values = values(&self.file, name)?;
                let [alpha] = values[..] else {
                    let found = format!("{} numbers", values.len());
                    return Err(refuse(self.file.path(), name, "one number", &found));
                };
                f64::from(alpha) / pair.rank as f64
            }
            None => self.header.factor(part, module, pair.rank).unwrap_or(1.0),
        };
        Ok(factor as f32)
    }
}

/// An [`Error::Tensor`].
pub(super) fn refuse(path: &Path, tensor: &str, expected: &str, found: &str) -> Error {
    Error::Tensor {
        path: path.to_path_buf(),
        tensor: tensor.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

/// The numbers of a tensor.
///
/// # Errors
/// [`Error::Tensor`] when they are not finite, or of a type that models cannot use.
pub(super) fn values(file: &SafetensorsFile, name: &str) -> Result<Vec<f32>> {
    let Some(tensor) = file.tensor(name) else {
        let found = file.info(name).map_or_else(|| "nothing".to_owned(), TensorInfo::to_string);
        return Err(refuse(file.path(), name, "numbers in f32, bf16, f16 or fp8", &found));
    };
    let mut values = vec![0.0; tensor.numbers()];
    tensor.read(&mut values);
    if values.iter().all(|value| value.is_finite()) {
        Ok(values)
    } else {
        Err(refuse(file.path(), name, "finite numbers", "NaN or infinity"))
    }
}

/// The sides of a matrix; convolutions have more of them.
fn sides(file: &SafetensorsFile, name: &str) -> Result<[usize; 2]> {
    let info = file.info(name).ok_or_else(|| Error::internal(format!("{name} is listed and not there")))?;
    match info.shape[..] {
        [rows, cols] => Ok([rows, cols]),
        [_, _, _, _] => Err(refuse(file.path(), name, "a matrix", &format!("{info}, a convolution's"))),
        _ => Err(refuse(file.path(), name, "a matrix", &info.to_string())),
    }
}

fn pair(file: &SafetensorsFile, found: Found) -> Result<LoraPair> {
    let (down, up) = match (found.down, found.up) {
        (Some(down), Some(up)) => (down, up),
        (Some(alone), None) | (None, Some(alone)) => {
            return Err(refuse(file.path(), &alone, "the other matrix of its pair beside it", "none"));
        }
        (None, None) => {
            let alone = found.alpha.or(found.up_bias).unwrap_or_default();
            return Err(refuse(file.path(), &alone, "a pair of matrices beside it", "none"));
        }
    };
    let ([rank, _], [_, other]) = (sides(file, &down)?, sides(file, &up)?);
    if rank != other {
        return Err(refuse(file.path(), &up, &format!("rank {rank}, as {down} has"), &format!("rank {other}")));
    }
    if !(1..=MOST_RANK).contains(&rank) {
        return Err(refuse(file.path(), &down, &format!("a rank of 1 to {MOST_RANK}"), &format!("rank {rank}")));
    }
    Ok(LoraPair { down, up, alpha: found.alpha, up_bias: found.up_bias, rank })
}
