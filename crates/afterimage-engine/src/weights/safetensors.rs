//! One safetensors file.
//!
//! Format: a little-endian 64-bit length, a JSON header of that length, then the tensors' bytes without gaps
//! (<https://github.com/huggingface/safetensors#format>). The header decides which bytes are handed out, so every
//! claim in it is checked against the file before anything else is done.

use super::file_kind::FileKind;
use super::fp8_scales::{self, Scales};
use super::tensor_file::{TensorFile, TensorInfo};
use afterimage_core::{Error, Result};
use afterimage_tensors::{Element, SharedBytes, StoredTensor};
use safetensors::tensor::{Dtype, Metadata, TensorInfo as RawInfo};
use serde::Deserialize;
use serde::de::{Deserializer, Error as _, IntoDeserializer, MapAccess, Visitor};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Less than the reference implementation's limit of 100 MB, since a header is taken apart in up to 15 times its memory.
/// FLUX.1-dev's header has 0.1 MB, that of a LoRA with all tags of its training pictures some MB.
const HEADER_BYTES: u64 = 16 << 20;

/// Most dimensions of a tensor. Convolutions of videos have 5.
const DIMENSIONS: usize = 8;

/// An open safetensors file: its header, checked, and its bytes, mapped.
#[derive(Debug)]
pub struct SafetensorsFile {
    path: PathBuf,
    tensors: BTreeMap<String, TensorEntry>,
    metadata: HashMap<String, String>,
    data: SharedBytes,
    file_bytes: usize,
}

/// A tensor and where its numbers are.
#[derive(Debug)]
struct TensorEntry {
    info: TensorInfo,
    bytes: Range<usize>,
    /// What all numbers are to be multiplied with.
    scale: Option<f32>,
    /// Whether it only says something of another tensor.
    aside: bool,
}

impl SafetensorsFile {
    /// Checks the header of a file that is in memory already; `path` is for messages.
    ///
    /// # Errors
    /// [`Error::ModelFile`] when it is of another format, truncated or damaged.
    pub fn parse(path: PathBuf, bytes: &SharedBytes) -> Result<Self> {
        let file = parse(bytes).and_then(|(header, data)| {
            let tensors = header.tensors.into_iter().map(|(name, info)| (name, TensorEntry::new(info))).collect();
            let mut file =
                Self { path: path.clone(), tensors, metadata: header.metadata, data, file_bytes: bytes.len() };
            let scales = fp8_scales::find(&file, &file.metadata)?;
            file.apply(scales)?;
            Ok(file)
        });
        file.map_err(|problem| Error::ModelFile { path, problem })
    }

    /// Puts each scale to its tensor.
    fn apply(&mut self, scales: Scales) -> Result<(), String> {
        let Scales { factors, aside, renamed } = scales;
        for (stored, name) in renamed {
            if let Some(entry) = self.tensors.remove(&stored)
                && self.tensors.insert(name.clone(), entry).is_some()
            {
                return Err(format!("tensor {stored}: there is {name} as well"));
            }
        }
        for (name, factor) in factors {
            if let Some(entry) = self.tensors.get_mut(&name) {
                entry.scale = Some(factor);
            }
        }
        for name in aside {
            if let Some(entry) = self.tensors.get_mut(&name) {
                entry.aside = true;
            }
        }
        Ok(())
    }

    /// The header's `__metadata__`.
    pub fn metadata(&self) -> &HashMap<String, String> {
        &self.metadata
    }
}

impl TensorFile for SafetensorsFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn file_bytes(&self) -> usize {
        self.file_bytes
    }

    fn names(&self) -> Box<dyn Iterator<Item = &str> + '_> {
        Box::new(self.tensors.iter().filter(|(_, entry)| !entry.aside).map(|(name, _)| name.as_str()))
    }

    fn info(&self, name: &str) -> Option<&TensorInfo> {
        self.tensors.get(name).map(|entry| &entry.info)
    }

    fn tensor(&self, name: &str) -> Option<StoredTensor> {
        let TensorEntry { info, bytes, scale, .. } = self.tensors.get(name)?;
        let stored = StoredTensor::new(name, info.shape.clone(), info.element?, self.data.slice(bytes.clone())?)?;
        Some(match scale {
            Some(scale) => stored.with_scale(*scale),
            None => stored,
        })
    }

    fn bytes(&self, name: &str) -> Option<SharedBytes> {
        self.data.slice(self.tensors.get(name)?.bytes.clone())
    }
}

impl TensorEntry {
    fn new(info: RawInfo) -> Self {
        let (start, end) = info.data_offsets;
        let type_name = info.dtype.to_string().to_lowercase();
        let info = TensorInfo { shape: info.shape, type_name, element: element(info.dtype) };
        Self { info, bytes: start..end, scale: None, aside: false }
    }
}

/// The matching type of numbers that models can use.
fn element(dtype: Dtype) -> Option<Element> {
    match dtype {
        Dtype::F32 => Some(Element::F32),
        Dtype::BF16 => Some(Element::Bf16),
        Dtype::F16 => Some(Element::F16),
        Dtype::F8_E4M3 => Some(Element::F8E4M3),
        Dtype::F8_E5M2 => Some(Element::F8E5M2),
        _ => None,
    }
}

struct SafetensorsHeader {
    metadata: HashMap<String, String>,
    tensors: BTreeMap<String, RawInfo>,
}

/// The checked header and the bytes behind it, or what is wrong.
fn parse(bytes: &SharedBytes) -> Result<(SafetensorsHeader, SharedBytes), String> {
    if bytes.is_empty() {
        return Err("is empty; download it again".to_owned());
    }
    if let Some(refusal) = FileKind::detect(bytes).refusal() {
        return Err(refusal.to_owned());
    }
    let Some((length, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(format!("has only {} bytes; not a weights file (safetensors or GGUF)", bytes.len()));
    };
    let length = u64::from_le_bytes(*length);
    if length > HEADER_BYTES {
        return Err(format!(
            "is not a weights file: neither GGUF, nor safetensors (its header would have {length} bytes)"
        ));
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
    Ok((SafetensorsHeader { metadata: raw.metadata, tensors }, data))
}

/// Checks sizes against shapes and offsets against the file and each other.
fn check(mut tensors: Vec<(String, RawInfo)>, data_bytes: usize) -> Result<BTreeMap<String, RawInfo>, String> {
    for (name, info) in &tensors {
        let (start, end) = info.data_offsets;
        if info.shape.len() > DIMENSIONS {
            return Err(format!("damaged header: tensor {name}: {} dimensions", info.shape.len()));
        }
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
    tensors.sort_by_key(|(_, info)| info.data_offsets);
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

fn clone_info(info: &RawInfo) -> RawInfo {
    RawInfo { dtype: info.dtype, shape: info.shape.clone(), data_offsets: info.data_offsets }
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
    tensors: Vec<(String, RawInfo)>,
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
                        .push((name, RawInfo { dtype, shape: entry.shape, data_offsets: entry.data_offsets }));
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use safetensors::tensor::TensorView;

    fn parse_bytes(bytes: Vec<u8>) -> Result<SafetensorsFile, String> {
        SafetensorsFile::parse(PathBuf::from("x.safetensors"), &SharedBytes::new(bytes))
            .map_err(|error| error.to_string())
    }

    fn file(header: &str, data_bytes: usize) -> Vec<u8> {
        let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
        bytes.extend(header.as_bytes());
        bytes.resize(bytes.len() + data_bytes, 1);
        bytes
    }

    fn problem(bytes: Vec<u8>) -> String {
        let message = parse_bytes(bytes).unwrap_err();
        assert!(message.starts_with("x.safetensors: ") && !message.contains('\n'), "{message}");
        message
    }

    #[test]
    fn damaged_headers_are_named() {
        let entry = |name: &str, shape: &str, start: u64, end: u64| {
            format!(r#""{name}":{{"dtype":"F32","shape":{shape},"data_offsets":[{start},{end}]}}"#)
        };
        let header = |entries: &[String]| format!("{{{}}}", entries.join(","));
        for (entries, data, expected) in [
            (vec![entry("a", "[2]", 0, 8), entry("b", "[1]", 4, 8)], 8, "tensor b: its bytes overlap another"),
            (vec![entry("a", "[1]", 0, 4), entry("b", "[1]", 8, 12)], 12, "leave a gap"),
            (vec![entry("a", "[1]", 4, 8)], 8, "leave a gap"),
            (vec![entry("a", "[1]", 0, 4), entry("a", "[1]", 4, 8)], 8, "tensor a is listed twice"),
            (vec![entry("a", "[3]", 0, 12)], 8, "tensor a ends at byte 12 of the data, but there are only 8"),
            (vec![entry("a", "[1]", 1 << 62, (1 << 62) + 4)], 8, "tensor a ends at byte"),
            (vec![entry("a", "[1]", 4, 0)], 8, "tensor a: 1 numbers of type F32 do not fill the bytes 4 to 0"),
            (vec![entry("a", "[2, 2]", 0, 8)], 8, "tensor a: 2 x 2 numbers of type F32 do not fill the bytes 0 to 8"),
            (vec![entry("a", "[4294967296, 4294967296, 4]", 0, 8)], 8, "do not fill the bytes"),
            (vec![entry("a", "[1,1,1,1,1,1,1,1,1]", 0, 4)], 4, "tensor a: 9 dimensions"),
            (vec![entry("a", "[]", 0, 8)], 8, "tensor a: one numbers of type F32 do not fill"),
            (vec![entry("a", "[1]", 0, 4)], 9, "5 bytes behind the last tensor belong to none"),
            (vec![entry("a", "[-1]", 0, 4)], 4, "tensor a: invalid value: integer `-1`"),
            (vec![entry("a", "3", 0, 4)], 4, "tensor a: invalid type"),
            (vec![entry("a", "[1]", 0, 4).replace("F32", "Q4_K")], 4, "tensor a: unknown type Q4_K"),
            (vec![entry("a", "[1]", 0, 4).replace("shape", "shapes")], 4, "tensor a: missing field `shape`"),
            (vec![r#""__metadata__":{"a":1}"#.to_owned()], 0, "invalid type: integer `1`"),
        ] {
            let message = problem(file(&header(&entries), data));
            assert!(message.contains(expected), "{message}");
        }
    }

    #[test]
    fn headers_that_do_not_fit_are_refused() {
        for (bytes, expected) in [
            (vec![], "is empty"),
            (vec![0; 7], "has only 7 bytes; not a weights file (safetensors or GGUF)"),
            (vec![0; 8], "damaged header: EOF"),
            (
                vec![0xff; 100],
                "is not a weights file: neither GGUF, nor safetensors (its header would have 18446744073709551615 bytes)",
            ),
            (file(&" ".repeat((16 << 20) + 1), 0), "its header would have 16777217 bytes"),
            ((1_u64 << 63).to_le_bytes().to_vec(), "its header would have 9223372036854775808 bytes"),
            (1000_u64.to_le_bytes().to_vec(), "is truncated: the header has 1000 bytes, the file only 8 in all"),
            (file("[1, 2]", 0), "damaged header: invalid type: sequence, expected an object"),
            (file("{} {}", 0), "damaged header: trailing characters"),
            (file("not json", 0), "damaged header: expected"),
            (file("{\"\u{0}\":1}", 0), "damaged header: control character"),
            (b"PK\x03\x04archive/data.pkl".to_vec(), "is a PyTorch pickle"),
            (b"\x80\x02}q\x00X\x01\x00\x00\x00a".to_vec(), "is a PyTorch pickle"),
            (b"version https://git-lfs.github.com/spec/v1\noid".to_vec(), "Git LFS pointer"),
            (b"<!doctype html><html>".to_vec(), "is a web page"),
        ] {
            let message = problem(bytes);
            assert!(message.contains(expected), "{message}");
        }
        // Depth is bounded by the parser, not by the stack.
        let deep = format!("{{\"a\":{}", "[".repeat(200_000));
        assert!(problem(file(&deep, 0)).contains("damaged header: tensor a"));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = file(r#"{"a":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]}}"#, 12);
        for length in 0..whole.len() {
            problem(whole[..length].to_vec());
        }
        assert_eq!(parse_bytes(whole).unwrap().tensor("a").unwrap().shape(), [2, 3]);
    }

    #[test]
    fn unusable_types_are_listed_but_not_handed_out() {
        let header = r#"{"__metadata__":{"format":"pt"},"ids":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#;
        let file = parse_bytes(file(header, 8)).unwrap();
        assert_eq!(file.info("ids").unwrap().to_string(), "[1] in the unsupported type i64");
        assert!(file.tensor("ids").is_none() && file.tensor("other").is_none());
        assert_eq!(file.metadata()["format"], "pt");
    }

    type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

    fn tensors() -> impl Strategy<Value = Tensors> {
        let dtype = prop_oneof![Just(Dtype::F32), Just(Dtype::BF16), Just(Dtype::F16)];
        let tensor = (dtype, prop::collection::vec(0_usize..5, 0..4), any::<u8>()).prop_map(|(dtype, shape, byte)| {
            let length = shape.iter().product::<usize>() * dtype.bitsize() / 8;
            (dtype, shape, (0..length).map(|index| byte.wrapping_add(index as u8)).collect())
        });
        prop::collection::btree_map("[a-z.\"\\\\é]{0,12}", tensor, 0..6)
    }

    fn serialise(tensors: &Tensors) -> Vec<u8> {
        let views = tensors.iter().map(|(name, (dtype, shape, bytes))| {
            (name.clone(), TensorView::new(*dtype, shape.clone(), bytes).unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    proptest! {
        #[test]
        fn files_of_the_reference_writer_are_read_back(tensors in tensors()) {
            let file = parse_bytes(serialise(&tensors)).unwrap();
            prop_assert_eq!(file.names().count(), tensors.len());
            for (name, (dtype, shape, bytes)) in &tensors {
                let tensor = file.tensor(name).unwrap();
                prop_assert_eq!(Some(tensor.element()), element(*dtype));
                prop_assert_eq!(tensor.shape(), &shape[..]);
                prop_assert_eq!(&tensor.bytes()[..], &bytes[..]);
            }
        }

        #[test]
        fn corrupted_files_never_panic(
            tensors in tensors(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
            cut in 0_usize..4,
        ) {
            let mut bytes = serialise(&tensors);
            for (index, byte) in changes {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            bytes.truncate(bytes.len() - cut);
            if let Ok(file) = parse_bytes(bytes) {
                for name in file.names() {
                    if let Some(tensor) = file.tensor(name) {
                        let numbers: usize = file.info(name).unwrap().shape.iter().product();
                        prop_assert_eq!(Some(tensor.bytes().len()), tensor.element().row_bytes(numbers));
                    }
                }
            }
        }
    }
}
