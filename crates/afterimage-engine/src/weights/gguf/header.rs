//! The header of a GGUF file, read without trust in any of its numbers.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>. All counts are 64-bit in versions 2 and 3; they
//! bound loops that end with the longest header, and nothing is allocated by them.

use std::collections::BTreeMap;

/// Longest name or key that is read; GGML's own limit on names is 64 bytes.
const TEXT_BYTES: u64 = 1 << 16;

/// Longest header. Those of FLUX and T5 have less than 1 MB, with the vocabulary of a language model 10 MB.
pub(super) const HEADER_BYTES: usize = 32 << 20;

/// Most dimensions of a tensor; GGML has 4.
const DIMENSIONS: u32 = 8;

/// Deepest nesting of arrays. Nothing nests them.
const DEPTH: u32 = 4;

/// Most tensors, and most entries. An all-in-one checkpoint of FLUX has 1,500, an entry for each would still be few.
const MOST: u64 = 1 << 16;

/// Fewest bytes of a tensor's entry: length of the name, number of dimensions, type, offset.
const TENSOR_BYTES: u64 = 8 + 4 + 4 + 8;

/// Fewest bytes of a key and its value: length of the key, type, one byte.
const ENTRY_BYTES: u64 = 8 + 4 + 1;

/// How tensors are aligned when the file does not say.
const ALIGNMENT: u64 = 32;

/// Before it, the shape that a tensor had before its rows were cut otherwise to fit whole blocks (city96's converter).
const ORIGINAL_SHAPE: &str = "comfy.gguf.orig_shape.";

/// What is used of a header.
#[derive(Debug)]
pub(super) struct GgufHeader {
    /// Tensors as they are listed.
    pub tensors: Vec<ListedTensor>,
    /// Tensors start at multiples of it.
    pub alignment: usize,
    /// Where the data start in the file.
    pub data: usize,
    /// Shapes that tensors had before conversion, slowest dimension first.
    pub original_shapes: BTreeMap<String, Vec<usize>>,
}

/// A tensor's entry.
#[derive(Debug)]
pub(super) struct ListedTensor {
    pub name: String,
    /// Slowest dimension first, unlike in the file.
    pub shape: Vec<usize>,
    /// GGML's number of the type.
    pub kind: u32,
    /// Where its bytes start, from the start of the data on.
    pub offset: u64,
}

/// Reads the header of `file`, which starts with the format's mark.
pub(super) fn read(file: &[u8]) -> Result<GgufHeader, String> {
    let mut cursor = Cursor { header: &file[..file.len().min(HEADER_BYTES)], at: 4 };
    let version = cursor.u32()?;
    match version {
        2 | 3 => {}
        0x0200_0000 | 0x0300_0000 => {
            return Err("is a big-endian GGUF file; convert it to a little-endian one".to_owned());
        }
        _ => return Err(format!("is a GGUF file of version {version}; expected 2 or 3")),
    }
    let (tensors, entries) = (cursor.u64()?, cursor.u64()?);
    if tensors > MOST || entries > MOST {
        return Err(format!("damaged header: {tensors} tensors and {entries} entries; at most {MOST} are read"));
    }
    let left = (cursor.header.len() - cursor.at) as u64;
    if tensors > left / TENSOR_BYTES || entries > left / ENTRY_BYTES {
        return Err(format!(
            "damaged header: {tensors} tensors and {entries} entries are more than {} bytes can hold",
            cursor.header.len()
        ));
    }
    let (mut alignment, mut original_shapes) = (ALIGNMENT, BTreeMap::new());
    for _ in 0..entries {
        let key = cursor.text()?;
        let value = cursor.value().map_err(|problem| format!("{problem} (entry {})", shortened(&key)))?;
        if key == "general.alignment" {
            alignment = value
                .number
                .filter(|number| number.is_power_of_two() && *number <= 1 << 30)
                .ok_or_else(|| "damaged header: general.alignment: expected a power of two up to 2^30".to_owned())?;
        } else if key == "split.count" && value.number.is_some_and(|count| count > 1) {
            return Err("is one part of a GGUF file in several; merge them first (llama-gguf-split --merge)".to_owned());
        } else if let (Some(name), Some(shape)) = (key.strip_prefix(ORIGINAL_SHAPE), value.sides) {
            original_shapes.insert(name.to_owned(), shape);
        }
    }
    let mut listed = Vec::new();
    for number in 0..tensors {
        let name = cursor.text().map_err(|problem| format!("{problem} (name of tensor {number} of {tensors})"))?;
        listed.push(cursor.tensor(&name).map_err(|problem| format!("tensor {}: {problem}", shortened(&name)))?);
    }
    let alignment = alignment as usize;
    Ok(GgufHeader { tensors: listed, alignment, data: cursor.at.next_multiple_of(alignment), original_shapes })
}

/// A name that may come from a damaged file.
pub(super) fn shortened(name: &str) -> String {
    afterimage_core::shortened(&name.escape_debug().to_string()).to_string()
}

/// What is used of an entry's value.
#[derive(Default)]
struct EntryValue {
    /// A whole number that is not negative.
    number: Option<u64>,
    /// A short array of such numbers.
    sides: Option<Vec<usize>>,
}

struct Cursor<'a> {
    /// The file, as far as a header may reach.
    header: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn take(&mut self, count: u64) -> Result<&[u8], String> {
        let end = usize::try_from(count).ok().and_then(|count| self.at.checked_add(count));
        let bytes = end.and_then(|end| self.header.get(self.at..end)).ok_or_else(|| match self.header.len() {
            HEADER_BYTES => format!("damaged header: it goes on after {HEADER_BYTES} bytes"),
            length => format!("is truncated: the header goes on after its {length} bytes; download it again"),
        })?;
        self.at += bytes.len();
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    fn u32(&mut self) -> Result<u32, String> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.u64()?;
        if length > TEXT_BYTES {
            return Err(format!("damaged header: a name of {length} bytes"));
        }
        let bytes = self.take(length)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| "damaged header: a name that is not UTF-8".to_owned())
    }

    fn value(&mut self) -> Result<EntryValue, String> {
        match self.u32()? {
            9 => self.values(DEPTH),
            kind => Ok(EntryValue { number: self.scalar(kind)?, sides: None }),
        }
    }

    /// Reads past a value that is no array; the number, when it is whole and not negative.
    fn scalar(&mut self, kind: u32) -> Result<Option<u64>, String> {
        Ok(match kind {
            0 | 7 => Some(u64::from(self.array::<1>()?[0])),
            1 => u64::try_from(self.array().map(i8::from_le_bytes)?).ok(),
            2 => Some(u64::from(self.array().map(u16::from_le_bytes)?)),
            3 => u64::try_from(self.array().map(i16::from_le_bytes)?).ok(),
            4 => Some(u64::from(self.u32()?)),
            5 => u64::try_from(self.array().map(i32::from_le_bytes)?).ok(),
            6 => self.take(4).map(|_| None)?,
            8 => {
                let length = self.u64()?;
                self.take(length).map(|_| None)?
            }
            10 => Some(self.u64()?),
            11 => u64::try_from(self.array().map(i64::from_le_bytes)?).ok(),
            12 => self.take(8).map(|_| None)?,
            _ => return Err(format!("damaged header: an entry of the unknown type {kind}")),
        })
    }

    /// Reads past an array.
    fn values(&mut self, depth: u32) -> Result<EntryValue, String> {
        let (kind, count) = (self.u32()?, self.u64()?);
        if kind == 9 {
            if depth == 0 {
                return Err("damaged header: arrays within arrays".to_owned());
            }
            for _ in 0..count {
                self.values(depth - 1)?;
            }
            return Ok(EntryValue::default());
        }
        let mut sides = Some(Vec::new());
        for _ in 0..count {
            let side = self.scalar(kind)?.and_then(|side| usize::try_from(side).ok());
            sides = match (sides, side) {
                (Some(mut sides), Some(side)) if sides.len() < DIMENSIONS as usize => {
                    sides.push(side);
                    Some(sides)
                }
                _ => None,
            };
        }
        Ok(EntryValue { number: None, sides })
    }

    fn tensor(&mut self, name: &str) -> Result<ListedTensor, String> {
        let dimensions = self.u32()?;
        if dimensions > DIMENSIONS {
            return Err(format!("damaged header: {dimensions} dimensions"));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            let side = self.u64()?;
            shape.push(usize::try_from(side).map_err(|_| format!("damaged header: a side of {side}"))?);
        }
        shape.reverse();
        Ok(ListedTensor { name: name.to_owned(), shape, kind: self.u32()?, offset: self.u64()? })
    }
}
