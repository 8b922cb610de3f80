//! Safety checkers as files, with an answer of their own: the tiny classifier of the engine's tests, its last layer changed.

use std::fs;
use std::path::Path;

/// What a checkpoint answers, whatever it sees.
#[derive(Clone, Copy, Debug)]
pub enum Answers {
    Flagged,
    Clean,
    /// A score that is no number: its weights are numbers, and too large to be added up.
    NoNumber,
}

/// Writes a checkpoint that answers `answers` into the folder `to`, which must not be there.
pub fn write_checkpoint(to: &Path, answers: Answers) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../afterimage-engine/tests/safety/tiny/falconsai");
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    let path = to.join("model.safetensors");
    let mut bytes = fs::read(&path).unwrap();
    let header = usize::try_from(u64::from_le_bytes(bytes[..8].try_into().unwrap())).unwrap();
    let tensors: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let mut fill = |tensor: &str, values: &mut dyn Iterator<Item = f32>| {
        let [start, end] = [0, 1].map(|end| tensors[tensor]["data_offsets"][end].as_u64().unwrap() as usize);
        for slot in bytes[8 + header + start..8 + header + end].chunks_exact_mut(4) {
            slot.copy_from_slice(&values.next().unwrap().to_le_bytes());
        }
    };
    // Its classes are normal and nsfw.
    match answers {
        Answers::Flagged => fill("classifier.bias", &mut [-100.0, 100.0].into_iter()),
        Answers::Clean => fill("classifier.bias", &mut [100.0, -100.0].into_iter()),
        Answers::NoNumber => fill("classifier.weight", &mut std::iter::repeat(f32::MAX)),
    }
    fs::write(path, bytes).unwrap();
}
