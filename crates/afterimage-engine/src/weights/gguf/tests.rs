use super::*;
use proptest::prelude::*;

/// A file in the making: entries and tensors as they will stand in it.
#[derive(Clone, Debug, Default)]
struct Draft {
    version: Option<u32>,
    entries: Vec<Vec<u8>>,
    /// Name, sides with the fastest first, type, bytes.
    tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)>,
    alignment: Option<u32>,
    /// Changes offsets after they were worked out.
    moved: Vec<(usize, u64)>,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

fn entry(key: &str, kind: u32, value: &[u8]) -> Vec<u8> {
    [&text(key), &kind.to_le_bytes()[..], value].concat()
}

impl Draft {
    fn with(mut self, name: &str, sides: &[u64], kind: u32, length: usize) -> Self {
        let bytes = (0..length).map(|index| index as u8 & 0x3f).collect();
        self.tensors.push((name.to_owned(), sides.to_vec(), kind, bytes));
        self
    }

    fn bytes(&self) -> Vec<u8> {
        let mut entries = self.entries.clone();
        if let Some(alignment) = self.alignment {
            entries.push(entry("general.alignment", 4, &alignment.to_le_bytes()));
        }
        let alignment = self.alignment.unwrap_or(32) as usize;
        let mut file = b"GGUF".to_vec();
        file.extend(self.version.unwrap_or(3).to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((entries.len() as u64).to_le_bytes());
        file.extend(entries.concat());
        let mut offset = 0;
        for (number, (name, sides, kind, bytes)) in self.tensors.iter().enumerate() {
            file.extend(text(name));
            file.extend((sides.len() as u32).to_le_bytes());
            file.extend(sides.iter().flat_map(|side| side.to_le_bytes()));
            file.extend(kind.to_le_bytes());
            let moved = self.moved.iter().find(|(moved, _)| *moved == number).map(|(_, to)| *to);
            file.extend(moved.unwrap_or(offset as u64).to_le_bytes());
            offset = (offset + bytes.len()).next_multiple_of(alignment);
        }
        for (_, _, _, bytes) in &self.tensors {
            file.resize(file.len().next_multiple_of(alignment), 0);
            file.extend(bytes);
        }
        file
    }
}

fn parse_bytes(bytes: Vec<u8>) -> Result<GgufFile, String> {
    GgufFile::parse(PathBuf::from("x.gguf"), &SharedBytes::new(bytes)).map_err(|error| error.to_string())
}

fn problem(bytes: Vec<u8>) -> String {
    let message = parse_bytes(bytes).unwrap_err();
    assert!(message.starts_with("x.gguf: ") && !message.contains('\n') && message.len() < 400, "{message}");
    message
}

#[test]
fn files_of_both_versions_and_any_alignment_are_read() {
    for (version, alignment) in [(2, None), (3, None), (3, Some(64)), (2, Some(1)), (3, Some(4096))] {
        let names = ["general.architecture", "tokens", "flag"];
        let array = [&8_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &text("a"), &text("bc")].concat();
        let entries = vec![entry(names[0], 8, &text("flux")), entry(names[1], 9, &array), entry(names[2], 7, &[1])];
        let draft = Draft { version: Some(version), alignment, entries, ..Draft::default() };
        let file = draft.with("a", &[64, 2], 8, 136).with("b", &[3], 0, 12).with("c", &[], 30, 2).bytes();
        let file = parse_bytes(file).unwrap();
        let names: Vec<&str> = file.names().collect();
        assert_eq!(names, ["a", "b", "c"]);
        let tensor = file.tensor("a").unwrap();
        assert_eq!((tensor.shape(), tensor.element()), (&[2, 64][..], Element::Q8_0));
        assert_eq!(tensor.bytes()[..3], [0, 1, 2]);
        assert_eq!(file.info("b").unwrap().to_string(), "[3] in f32");
        assert_eq!(file.bytes("b").unwrap()[..], (0..12).collect::<Vec<u8>>());
        assert_eq!(file.tensor("c").unwrap().numbers(), 1);
    }
}

#[test]
fn a_tensor_may_have_had_another_shape() {
    let shape = [&5_u32.to_le_bytes()[..], &2_u64.to_le_bytes(), &4_i32.to_le_bytes(), &128_i32.to_le_bytes()].concat();
    let entries = vec![entry("comfy.gguf.orig_shape.a", 9, &shape)];
    let draft = Draft { entries, ..Draft::default() };
    let file = parse_bytes(draft.clone().with("a", &[256, 2], 12, 288).bytes()).unwrap();
    let (tensor, stored) = (file.tensor("a").unwrap(), file.bytes("a").unwrap());
    assert_eq!((tensor.shape(), tensor.element()), (&[4, 128][..], Element::F32));
    let (mut values, mut expected) = (vec![0.0; 512], vec![0.0; 512]);
    tensor.read(&mut values);
    to_f32(&stored, Element::Q4K, &mut expected);
    assert_eq!(values, expected);
    let message = problem(draft.with("a", &[256, 3], 12, 432).bytes());
    assert!(message.contains("tensor a: damaged header: [3, 256] cannot have had the shape [4, 128]"), "{message}");
}

#[test]
fn types_that_models_cannot_use_are_listed_but_not_handed_out() {
    let file = Draft::default().with("a", &[256], 23, 136).with("b", &[2], 1, 4).bytes();
    let file = parse_bytes(file).unwrap();
    assert_eq!(file.info("a").unwrap().to_string(), "[256] in the unsupported type iq4_xs");
    assert!(file.tensor("a").is_none() && file.tensor("b").is_some() && file.tensor("c").is_none());
    assert_eq!(file.bytes("a").unwrap().len(), 160);
}

#[test]
fn damaged_headers_are_named() {
    let two = || Draft::default().with("a", &[32], 8, 34).with("b", &[8], 0, 32);
    let moved = |moved| Draft { moved, ..two() }.bytes();
    let kind = |kind| Draft::default().with("a", &[32], kind, 34).with("b", &[64], 0, 256).bytes();
    let sides = |sides: &[u64]| Draft::default().with("a", sides, 8, 34).bytes();
    let entries = |entry: Vec<u8>| Draft { entries: vec![entry], ..two() }.bytes();
    let mut counts = two().bytes();
    counts[8..16].copy_from_slice(&(1_u64 << 60).to_le_bytes());
    let mut trailing = two().bytes();
    trailing.extend([0; 100]);
    for (bytes, expected) in [
        (moved(vec![(1, 32)]), "tensor b: damaged header: its bytes overlap another tensor's"),
        (moved(vec![(1, 0)]), "overlap"),
        (moved(vec![(0, 64), (1, 0)]), "tensor a: is truncated or damaged: it ends behind the file's"),
        (moved(vec![(1, 1 << 63)]), "tensor b: is truncated or damaged"),
        (moved(vec![(1, u64::MAX)]), "tensor b: is truncated or damaged"),
        (moved(vec![(1, 65)]), "tensor b: is truncated or damaged"),
        // A type that is larger, and one that is smaller than the bytes that are there.
        (kind(0), "tensor b: damaged header: its bytes overlap another tensor's"),
        (kind(2), "tensor b: damaged header: its bytes do not start where those before it end"),
        (kind(10), "tensor a: damaged header: rows of 32 numbers are not whole blocks of 256 (q2_k)"),
        (kind(77), "tensor a: damaged header: the unknown type 77"),
        (sides(&[33]), "tensor a: damaged header: rows of 33 numbers are not whole blocks of 32"),
        (sides(&[1 << 40, 1 << 40]), "is more than can be counted"),
        (sides(&[0, 1 << 40, 1 << 40]), "is more than can be counted"),
        (sides(&[1 << 40]), "tensor a: is truncated or damaged"),
        (sides(&[32; 9]), "tensor a: damaged header: 9 dimensions"),
        (Draft::default().with("a", &[32], 8, 34).with("a", &[32], 8, 34).bytes(), "tensor a is listed twice"),
        (counts, "1152921504606846976 tensors and 0 entries; at most 65536 are read"),
        (trailing, "bytes behind the last tensor belong to none"),
        (entries(entry("general.alignment", 4, &3_u32.to_le_bytes())), "general.alignment: expected a power of two"),
        (entries(entry("split.count", 2, &3_u16.to_le_bytes())), "is one part of a GGUF file in several"),
        (entries(entry("x", 13, &[])), "an entry of the unknown type 13 (entry x)"),
        (entries(entry("x", 8, &u64::MAX.to_le_bytes())), "is truncated: the header goes on after its"),
        (entries([&8_u64.to_le_bytes()[..], &[0xff; 8]].concat()), "a name that is not UTF-8"),
        (Draft { version: Some(1), ..two() }.bytes(), "of version 1; expected 2 or 3"),
        (Draft { version: Some(3 << 24), ..two() }.bytes(), "big-endian"),
    ] {
        let message = problem(bytes);
        assert!(message.contains(expected), "{expected}: {message}");
    }
    let nested = [9_u32.to_le_bytes().to_vec(), 1_u64.to_le_bytes().to_vec()].concat().repeat(1000);
    assert!(problem(entries(entry("x", 9, &nested))).contains("arrays within arrays"));
}

#[test]
fn every_truncation_is_an_error() {
    let shape = [&5_u32.to_le_bytes()[..], &1_u64.to_le_bytes(), &32_i32.to_le_bytes()].concat();
    let entries = vec![entry("comfy.gguf.orig_shape.a", 9, &shape), entry("y", 12, &[0; 8])];
    let whole = Draft { entries, ..Draft::default() }.with("a", &[32], 8, 34).with("b", &[8], 0, 32).bytes();
    for length in 4..whole.len() {
        problem(whole[..length].to_vec());
    }
    assert_eq!(parse_bytes(whole).unwrap().tensor("a").unwrap().shape(), [32]);
}

fn drafts() -> impl Strategy<Value = Draft> {
    let kinds = prop::sample::select(&[0_u32, 1, 2, 3, 6, 7, 8, 10, 11, 12, 13, 14, 20, 30][..]);
    let tensor = (kinds, 0_u64..3, prop::collection::vec(0_u64..4, 0..3)).prop_map(|(kind, blocks, rows)| {
        let element = types::ggml_type(kind).and_then(|(_, element)| element).unwrap();
        let sides: Vec<u64> = [blocks * element.block() as u64].into_iter().chain(rows).collect();
        let numbers: u64 = sides.iter().product();
        let length = element.row_bytes(numbers as usize).unwrap();
        (sides, kind, (0..length).map(|index| index as u8).collect::<Vec<u8>>())
    });
    (prop::collection::btree_map("[a-z.]{0,9}", tensor, 0..6), 0_u32..8).prop_map(|(tensors, alignment)| Draft {
        tensors: tensors.into_iter().map(|(name, (sides, kind, bytes))| (name, sides, kind, bytes)).collect(),
        alignment: Some(1 << alignment),
        ..Draft::default()
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(draft in drafts()) {
        let file = parse_bytes(draft.bytes()).unwrap();
        prop_assert_eq!(file.names().count(), draft.tensors.len());
        for (name, sides, _, bytes) in &draft.tensors {
            let tensor = file.tensor(name).unwrap();
            prop_assert!(tensor.shape().iter().rev().map(|side| *side as u64).eq(sides.iter().copied()));
            prop_assert_eq!(&tensor.bytes()[..], &bytes[..]);
        }
    }

    #[test]
    fn corrupted_files_never_panic(
        draft in drafts(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in 0_usize..4,
    ) {
        let mut bytes = draft.bytes();
        for (index, byte) in changes {
            // The mark was looked at before.
            let index = 4 + index.index(bytes.len() - 4);
            bytes[index] = byte;
        }
        bytes.truncate(bytes.len() - cut);
        if let Ok(file) = parse_bytes(bytes) {
            for name in file.names() {
                if let Some(tensor) = file.tensor(name) {
                    let numbers: usize = file.info(name).unwrap().shape.iter().product();
                    prop_assert_eq!(tensor.numbers(), numbers);
                }
            }
        }
    }
}

/// A hole at the end of a file takes no room on the disk, so a file may be as long as its counts ask for: what is read of it
/// has a bound of its own.
#[test]
fn counts_are_bounded_however_long_the_file_is() {
    use std::time::{Duration, Instant};
    let file = |tensors: u64, entries: u64, rest: &[u8]| {
        let mut file = [&b"GGUF\x03\0\0\0"[..], &tensors.to_le_bytes(), &entries.to_le_bytes(), rest].concat();
        file.resize(header::HEADER_BYTES + (1 << 20), 0);
        file
    };
    let array = |kind: u32, count: u64| [&9_u32.to_le_bytes()[..], &kind.to_le_bytes(), &count.to_le_bytes()].concat();
    let one_entry = |value: Vec<u8>| file(1, 1, &[text("a"), value].concat());
    for (bytes, expected) in [
        (file(1_000_000, 0, &[]), "1000000 tensors and 0 entries; at most 65536 are read"),
        (file(0, 1_000_000, &[]), "0 tensors and 1000000 entries; at most 65536 are read"),
        (one_entry(array(0, 1 << 62)), "it goes on after 33554432 bytes"),
        (one_entry(array(8, 3_000_000_000)), "it goes on after 33554432 bytes"),
        (one_entry(array(9, 2_000_000_000)), "it goes on after 33554432 bytes"),
    ] {
        let start = Instant::now();
        let message = parse_bytes(bytes).unwrap_err();
        assert!(message.contains(expected), "{message}");
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}: {message}", start.elapsed());
    }
}
