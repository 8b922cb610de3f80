//! Launches as files that Triton's interpreter can run: what a host really passes, and what its twin makes of it.
//!
//! The format is that of `afterimage-cuda/kernels/interpret/README.md`. So the kernels' own sources are compared with the twins, which the
//! device suite compares with the plain device.

use crate::frame::{Argument, Launch};
use crate::memory::StandInMemory;
use crate::numbers::StandInNumber;
use crate::written::Written;
use serde_json::{Map, Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

/// Launches of a variant that are kept.
const KEPT: usize = 1;
/// Buffers beyond this are no case for an interpreter.
const MOST_BYTES: usize = 1 << 20;

/// Where cases go, and how many there are of each variant.
#[derive(Debug)]
pub(crate) struct LaunchRecorder {
    folder: PathBuf,
    kept: HashMap<String, usize>,
}

/// A launch before it ran: every buffer that a parameter points into.
pub(crate) struct Before {
    /// Parameter, its type, the buffer's address, the parameter's address, the bytes.
    buffers: Vec<(String, String, u64, u64, Vec<u8>)>,
}

impl LaunchRecorder {
    pub(crate) fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into(), kept: HashMap::new() }
    }

    /// What has to be known before a launch; `None` for one that is not kept.
    pub(crate) fn before(&self, launch: &Launch, memory: &StandInMemory) -> Option<Before> {
        // What a library does is no kernel of ours.
        let is_ours = !launch.variant.targets.is_empty();
        if !is_ours || self.kept.get(&launch.variant.name).is_some_and(|kept| *kept >= KEPT) {
            return None;
        }
        let mut buffers = Vec::new();
        for ((name, kind), argument) in launch.variant.params.iter().zip(&launch.arguments) {
            let Argument::Pointer(address) = *argument else { continue };
            if address == 0 {
                continue;
            }
            let (start, bytes) = memory.whole(address)?;
            if bytes.len() > MOST_BYTES {
                return None;
            }
            buffers.push((name.clone(), kind.trim_start_matches('*').to_owned(), start, address, bytes.to_vec()));
        }
        Some(Before { buffers })
    }

    /// Writes the case. A file that cannot be written is told, and the launch goes on.
    pub(crate) fn after(&mut self, launch: &Launch, before: &Before, written: &[Written], memory: &StandInMemory) {
        let name = &launch.variant.name;
        let kept = self.kept.entry(name.clone()).or_default();
        *kept += 1;
        let path = self.folder.join(format!("{name}-{kept}.case"));
        let case = case(launch, before, written, memory);
        if let Err(error) = fs::create_dir_all(&self.folder).and_then(|()| fs::write(&path, case)) {
            eprintln!("CUDA stand-in: {}: {error}", path.display());
        }
    }
}

/// Bytes of a number of a parameter's type.
fn width(kind: &str) -> usize {
    match kind {
        "f32" | "i32" => 4,
        "bf16" | "f16" => 2,
        _ => 1,
    }
}

fn case(launch: &Launch, before: &Before, written: &[Written], memory: &StandInMemory) -> Vec<u8> {
    let (mut data, mut arguments) = (Vec::new(), Map::new());
    let (mut expected, mut touched) = (Map::new(), Map::new());
    for ((name, _), argument) in launch.variant.params.iter().zip(&launch.arguments) {
        let value = match *argument {
            Argument::Pointer(_) => Value::Null,
            Argument::Integer(value) => json!(value),
            Argument::Float(value) => json!(f64::from(value)),
        };
        arguments.insert(name.clone(), value);
    }
    for (name, kind, start, address, bytes) in &before.buffers {
        let numbers = bytes.len() / width(kind);
        let first = (address - start) as usize / width(kind);
        arguments.insert(name.clone(), json!({"type": kind, "at": data.len(), "numbers": numbers, "start": first}));
        data.extend_from_slice(&bytes[..numbers * width(kind)]);
    }
    for output in written {
        let Some((_, _, start, _, bytes)) = before.buffers.iter().find(|(name, ..)| name == output.name) else {
            continue;
        };
        let Some((_, after)) = memory.whole(*start) else { continue };
        let width = output.number.bytes();
        let numbers = bytes.len() / width;
        let mut values = vec![0.0; numbers];
        output.number.decode(&after[..numbers * width], &mut values);
        let mut mask = vec![0_u8; numbers];
        let first = (output.address - start) as usize / width;
        for row in 0..output.rows {
            let at = first + row * output.stride;
            mask[at..at + output.cols].fill(1);
        }
        expected.insert(output.name.to_owned(), json!({"at": data.len(), "numbers": numbers}));
        data.extend(values.iter().flat_map(|value| f64::from(*value).to_le_bytes()));
        touched.insert(output.name.to_owned(), json!({"at": data.len(), "numbers": numbers}));
        data.extend(mask);
    }
    // What only the grid tells.
    let [x, y, _] = launch.grid;
    let name = &launch.variant.name;
    if name.starts_with("attention.") {
        arguments.insert("heads".to_owned(), json!(y));
    } else if name.starts_with("group_norm.partial.") {
        arguments.insert("groups".to_owned(), json!(x));
    }
    let header = json!({
        "case": "a host's launch", "variant": name, "tolerance": tolerance(name, written),
        "arguments": arguments, "expected": expected, "touched": touched,
    });
    let mut file = header.to_string().into_bytes();
    file.push(b'\n');
    file.extend(data);
    file
}

/// Twin and kernel round the same sums in another order: a unit in the last place of what is written.
fn tolerance(name: &str, written: &[Written]) -> f64 {
    let rounds = written.iter().any(|output| output.number != StandInNumber::F32);
    match (name.starts_with("attention."), rounds) {
        (_, false) => 1e-4,
        (true, true) => 2e-2,
        (false, true) => 1.0 / 64.0,
    }
}
