//! One safetensors file.
//!
//! Format: a little-endian 64-bit length, a JSON header of that length, then the tensors' bytes without gaps
//! (<https://github.com/huggingface/safetensors#format>). The header decides which bytes are handed out, so every
//! claim in it is checked against the file before anything else is done.

use super::bundle::map;
use super::file_kind::FileKind;
use super::source::StoredTensor;
use afterimage_core::{Error, Result};
use afterimage_kernels::bytes::SharedBytes;
use afterimage_kernels::matrix::Element;
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::path::{Path, PathBuf};

/// The same limit as the reference implementation's. FLUX.1-dev's header has 0.1 MB.
const HEADER_BYTES: u64 = 100_000_000;

/// Number types that models can use, for messages.
pub(crate) const USABLE_TYPES: &str = "f32, bf16 or f16";

/// An open safetensors file: its header, checked, and its bytes, mapped.
#[derive(Debug)]
pub struct SafetensorsFile {
    path: PathBuf,
    tensors: BTreeMap<String, TensorInfo>,
    metadata: HashMap<String, String>,
    data: SharedBytes,
    file_bytes: usize,
}

impl SafetensorsFile {
    /// Maps the file `path` and checks its header.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it is missing, of another format, truncated or damaged; [`Error::Io`].
    pub fn open(path: &Path) -> Result<Self> {
        Self::parse(path.to_path_buf(), map(path)?)
    }

    /// Checks the header of a file that is in memory already; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it is of another format, truncated or damaged.
    pub fn parse(path: PathBuf, bytes: SharedBytes) -> Result<Self> {
        match parse(&bytes) {
            Ok((header, data)) => {
                Ok(Self { path, tensors: header.tensors, metadata: header.metadata, data, file_bytes: bytes.len() })
            }
            Err(problem) => Err(Error::ModelFile { path, problem }),
        }
    }

    /// The file, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Length of the file in bytes.
    pub fn file_bytes(&self) -> usize {
        self.file_bytes
    }

    /// The header's `__metadata__`.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }

    /// All tensors, sorted by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &TensorInfo)> {
        self.tensors.iter().map(|(name, info)| (name.as_str(), info))
    }

    /// Type and shape of a tensor.
    pub fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name)
    }

    /// The tensor `name`, `None` when it is missing or its type is not one that models can use.
    pub fn tensor(&self, name: &str) -> Option<StoredTensor> {
        let info = self.tensors.get(name)?;
        let (start, end) = info.data_offsets;
        Some(StoredTensor {
            shape: info.shape.clone(),
            element: element(info.dtype)?,
            bytes: self.data.slice(start..end)?,
        })
    }
}

/// The matching type of numbers that models can use.
pub(crate) fn element(dtype: Dtype) -> Option<Element> {
    match dtype {
        Dtype::F32 => Some(Element::F32),
        Dtype::BF16 => Some(Element::Bf16),
        Dtype::F16 => Some(Element::F16),
        _ => None,
    }
}

struct Header {
    metadata: HashMap<String, String>,
    tensors: BTreeMap<String, TensorInfo>,
}

/// The checked header and the bytes behind it, or what is wrong.
fn parse(bytes: &SharedBytes) -> Result<(Header, SharedBytes), String> {
    if bytes.is_empty() {
        return Err("is empty; download it again".to_owned());
    }
    if let Some(refusal) = FileKind::detect(bytes).refusal() {
        return Err(refusal.to_owned());
    }
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(format!("has only {} bytes; not a safetensors file", bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    if length > HEADER_BYTES {
        return Err(format!("is not a safetensors file (its header would have {length} bytes)"));
    }
    let header_length = length as usize;
    if header_length > rest.len() {
        return Err(format!(
            "is truncated: the header has {header_length} bytes, the file only {} in all; download it again",
            bytes.len()
        ));
    }
    let mut parser = serde_json::Deserializer::from_slice(&rest[..header_length]);
    let raw = RawHeader::deserialize(&mut parser).and_then(|raw| parser.end().map(|()| raw));
    let raw = raw.map_err(|error| format!("damaged header: {error}"))?;
    let data = bytes.slice(8 + header_length..bytes.len()).unwrap_or_else(|| SharedBytes::new([]));
    let tensors = check(raw.tensors, data.len())?;
    Ok((Header { metadata: raw.metadata, tensors }, data))
}

/// Checks sizes against shapes and offsets against the file and each other.
fn check(mut tensors: Vec<(String, TensorInfo)>, data_bytes: usize) -> Result<BTreeMap<String, TensorInfo>, String> {
    for (name, info) in &tensors {
        let (start, end) = info.data_offsets;
        let bits = info.shape.iter().try_fold(info.dtype.bitsize(), |bits, side| bits.checked_mul(*side));
        let length = bits.filter(|bits| bits % 8 == 0).map(|bits| bits / 8);
        if start > end || length != Some(end - start) {
            return Err(format!(
                "damaged header: tensor {name}: {} numbers of type {} do not fill the bytes {start} to {end}",
                sides(&info.shape),
                info.dtype
            ));
        }
        if end > data_bytes {
            return Err(format!(
                "is truncated or damaged: tensor {name} ends at byte {end} of the data, but there are only \
                 {data_bytes}; download it again"
            ));
        }
    }
    tensors.sort_by(|(_, left), (_, right)| left.data_offsets.cmp(&right.data_offsets));
    let covered = tensors.last().map_or(0, |(_, info)| info.data_offsets.1);
    // The library's own validation: tensors follow each other without overlap or gap.
    let info: Vec<_> = tensors.iter().map(|(name, info)| (name.clone(), clone_info(info))).collect();
    Metadata::new(None, info).map_err(|error| match error {
        safetensors::SafeTensorError::InvalidOffset(name) => {
            format!("damaged header: tensor {name}: its bytes overlap another tensor's or leave a gap before them")
        }
        error => format!("damaged header: {error}"),
    })?;
    if covered != data_bytes {
        return Err(format!("is damaged: {} bytes behind the last tensor belong to none", data_bytes - covered));
    }
    Ok(tensors.into_iter().collect())
}

fn clone_info(info: &TensorInfo) -> TensorInfo {
    TensorInfo { dtype: info.dtype, shape: info.shape.clone(), data_offsets: info.data_offsets }
}

/// `3072 x 64`; `one` for a scalar.
fn sides(shape: &[usize]) -> String {
    if shape.is_empty() {
        return "one".to_owned();
    }
    shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(" x ")
}

/// The header in file order, each name once.
struct RawHeader {
    metadata: HashMap<String, String>,
    tensors: Vec<(String, TensorInfo)>,
}

impl<'de> Deserialize<'de> for RawHeader {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = RawHeader;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("an object with one entry for each tensor")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawHeader, A::Error> {
                let mut header = RawHeader { metadata: HashMap::new(), tensors: Vec::new() };
                let mut seen = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if !seen.insert(name.clone()) {
                        return Err(A::Error::custom(format!("tensor {name} is listed twice")));
                    }
                    if name == "__metadata__" {
                        header.metadata = map.next_value()?;
                        continue;
                    }
                    let entry: RawEntry = map.next_value().map_err(|error| named(&name, &error))?;
                    let dtype = Dtype::deserialize(entry.dtype.as_str().into_deserializer())
                        .map_err(|_: A::Error| named(&name, &format!("unknown type {}", entry.dtype)))?;
                    header
                        .tensors
                        .push((name, TensorInfo { dtype, shape: entry.shape, data_offsets: entry.data_offsets }));
                }
                Ok(header)
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

fn named<E: serde::de::Error>(name: &str, problem: &impl fmt::Display) -> E {
    E::custom(format!("tensor {name}: {problem}"))
}

#[derive(Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: (usize, usize),
}
