//! One GGUF file: llama.cpp's format, in which quantised FLUX transformers and T5 encoders are published.
//!
//! | file | what |
//! |---|---|
//! | `header.rs` | the header, read without trust |
//! | `types.rs` | GGML's numbers for types |

mod header;
#[cfg(test)]
mod tests;
mod types;

use super::tensor_file::{TensorFile, TensorInfo};
use afterimage_core::{Error, Result};
use afterimage_tensors::{Element, SharedBytes, StoredTensor, to_f32};
use header::{GgufHeader, ListedTensor, shortened};
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An open GGUF file: its header, checked, and its bytes, mapped.
#[derive(Debug)]
pub struct GgufFile {
    path: PathBuf,
    tensors: BTreeMap<String, GgufTensor>,
    bytes: SharedBytes,
}

/// A tensor and where its numbers are in the file.
#[derive(Debug)]
struct GgufTensor {
    info: TensorInfo,
    bytes: Range<usize>,
}

impl GgufFile {
    /// Checks the header of a file that is in memory already and starts with `GGUF`; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it is of another version, truncated or damaged.
    pub fn parse(path: PathBuf, bytes: &SharedBytes) -> Result<Self> {
        match header::read(bytes).and_then(|header| check(header, bytes.len())) {
            Ok(tensors) => Ok(Self { path, tensors, bytes: bytes.clone() }),
            Err(problem) => Err(Error::ModelFile { path, problem }),
        }
    }
}

impl TensorFile for GgufFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn file_bytes(&self) -> usize {
        self.bytes.len()
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.tensors.keys().map(String::as_str))
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name).map(|tensor| &tensor.info)
    }

    fn tensor(&self, name: &str) -> Option<StoredTensor> {
        let GgufTensor { info, bytes } = self.tensors.get(name)?;
        let (element, bytes) = (info.element?, self.bytes.slice(bytes.clone())?);
        StoredTensor::new(name, info.shape.clone(), element, bytes.clone())
            .or_else(|| decoded(name, &info.shape, element, &bytes))
    }

    fn bytes(&self, name: &str) -> Option<SharedBytes> {
        self.bytes.slice(self.tensors.get(name)?.bytes.clone())
    }
}

/// A tensor whose rows are not whole blocks, because it had another shape when it was quantised, as f32. Only small ones
/// are: FLUX's and T5's matrices are multiples of 256 wide.
fn decoded(name: &str, shape: &[usize], element: Element, bytes: &[u8]) -> Option<StoredTensor> {
    let mut values = vec![0.0; element.numbers(bytes.len())?];
    to_f32(bytes, element, &mut values);
    let bytes: Vec<u8> = values.into_iter().flat_map(f32::to_le_bytes).collect();
    StoredTensor::new(name, shape.to_vec(), Element::F32, SharedBytes::new(bytes))
}

/// Checks sizes against types, and offsets against the file and each other.
fn check(header: GgufHeader, file_bytes: usize) -> Result<BTreeMap<String, GgufTensor>, String> {
    let GgufHeader { mut tensors, alignment, data, original_shapes } = header;
    tensors.sort_by_key(|tensor| tensor.offset);
    let offsets: Vec<u64> = tensors.iter().map(|tensor| tensor.offset).collect();
    let mut checked = BTreeMap::new();
    // Where the next tensor has to start; nobody knows after one whose size is not known.
    let mut expected = Some(data);
    for (number, tensor) in tensors.into_iter().enumerate() {
        let name = tensor.name.clone();
        let next = offsets.get(number + 1).copied();
        let found = place(tensor, data, next, file_bytes).and_then(|tensor| {
            let start = tensor.bytes.start;
            if expected.is_some_and(|expected| start < expected) {
                Err("damaged header: its bytes overlap another tensor's".to_owned())
            } else if expected.is_some_and(|expected| start > expected) || !(start - data).is_multiple_of(alignment) {
                Err(format!("damaged header: its bytes do not start where those before it end ({start})"))
            } else {
                Ok(tensor)
            }
        });
        let mut found = found.map_err(|problem| format!("tensor {}: {problem}", shortened(&name)))?;
        expected = found.info.element.map(|_| found.bytes.end.next_multiple_of(alignment));
        if let Some(shape) = original_shapes.get(&name) {
            reshape(&mut found.info, shape).map_err(|problem| format!("tensor {}: {problem}", shortened(&name)))?;
        }
        if checked.insert(name.clone(), found).is_some() {
            return Err(format!("damaged header: tensor {} is listed twice", shortened(&name)));
        }
    }
    match expected {
        Some(expected) if file_bytes > expected => {
            Err(format!("is damaged: {} bytes behind the last tensor belong to none", file_bytes - expected))
        }
        _ => Ok(checked),
    }
}

/// Type and bytes of a tensor; one of a type whose size is not known ends where the next one starts.
fn place(tensor: ListedTensor, data: usize, next: Option<u64>, file_bytes: usize) -> Result<GgufTensor, String> {
    let ListedTensor { shape, kind, offset, .. } = tensor;
    let (type_name, element) =
        types::ggml_type(kind).ok_or_else(|| format!("damaged header: the unknown type {kind}"))?;
    // Of every type, so that whoever counts the numbers later need not.
    if shape.iter().try_fold(1_usize, |numbers, side| numbers.checked_mul(*side)).is_none() {
        return Err(format!("damaged header: {shape:?} is more than can be counted"));
    }
    let start = usize::try_from(offset).ok().and_then(|offset| data.checked_add(offset));
    let too_long =
        || format!("is truncated or damaged: it ends behind the file's {file_bytes} bytes; download it again");
    let start = start.filter(|start| *start <= file_bytes).ok_or_else(too_long)?;
    let length = match element {
        Some(element) => length(&shape, element)?,
        None => match next {
            Some(next) => next.saturating_sub(offset) as usize,
            None => file_bytes - start,
        },
    };
    let end = start.checked_add(length).filter(|end| *end <= file_bytes).ok_or_else(too_long)?;
    Ok(GgufTensor { info: TensorInfo { shape, type_name: type_name.to_owned(), element }, bytes: start..end })
}

/// Bytes of a tensor.
fn length(shape: &[usize], element: Element) -> Result<usize, String> {
    let row = shape.last().copied().unwrap_or(1);
    if !row.is_multiple_of(element.block()) {
        return Err(format!(
            "damaged header: rows of {row} numbers are not whole blocks of {} ({})",
            element.block(),
            element.name()
        ));
    }
    let rows = shape.iter().rev().skip(1).try_fold(1_usize, |rows, side| rows.checked_mul(*side));
    let length = rows.zip(element.row_bytes(row)).and_then(|(rows, row)| rows.checked_mul(row));
    length.ok_or_else(|| format!("damaged header: {shape:?} is more than can be counted"))
}

/// Gives a tensor the shape that it had before its conversion.
fn reshape(info: &mut TensorInfo, shape: &[usize]) -> Result<(), String> {
    let numbers = shape.iter().try_fold(1_usize, |numbers, side| numbers.checked_mul(*side));
    // Its own product was counted already.
    if numbers != Some(info.shape.iter().product()) {
        return Err(format!("damaged header: {:?} cannot have had the shape {shape:?}", info.shape));
    }
    info.shape = shape.to_vec();
    Ok(())
}
