//! The parity cases of `tests/parity`, made with Python diffusers, for the tests of every model.

use crate::bundle::Bundle;
use crate::weights::Component;
use safetensors::SafeTensors;
use serde::Deserialize;
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One generation: its command line and what diffusers computed on the way.
pub struct Case {
    pub name: String,
    pub bundle: String,
    args: Vec<String>,
    tensors: HashMap<String, Recorded>,
}

/// A recorded tensor; numbers of all types as f32.
#[derive(Clone)]
pub struct Recorded {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

#[derive(Deserialize)]
struct Description {
    name: String,
    bundle: String,
    args: Vec<String>,
}

impl Case {
    /// The value of the command line's `flag`.
    pub fn flag(&self, flag: &str) -> Option<&str> {
        let at = self.args.iter().position(|arg| arg == flag)?;
        self.args.get(at + 1).map(String::as_str)
    }

    /// A recorded tensor, when the case has it.
    pub fn tensor(&self, name: &str) -> Option<&Recorded> {
        self.tensors.get(name)
    }

    /// The model folder `base` or `redux` of the case.
    pub fn folder(&self, part: &str) -> Bundle {
        Bundle::open(root().join("bundles").join(&self.bundle).join(part)).unwrap()
    }
}

/// The tensors of the model folder `folder`.
pub fn component(folder: &Bundle) -> Arc<Component> {
    Arc::new(Component::open(folder).unwrap())
}

/// All cases.
pub fn cases() -> Vec<Case> {
    let mut folders: Vec<PathBuf> =
        fs::read_dir(root().join("cases")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let cases: Vec<Case> = folders.iter().map(|folder| read(folder)).collect();
    assert!(cases.len() >= 8, "parity cases are missing");
    cases
}

/// Largest difference as a share of the largest expected number.
pub fn relative_difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let largest = expected.iter().fold(f32::MIN_POSITIVE, |largest, value| largest.max(value.abs()));
    let difference = found.iter().zip(expected).fold(0.0_f32, |most, (a, b)| {
        // NaN must not get lost in `max`.
        if (a - b).is_nan() { f32::INFINITY } else { most.max((a - b).abs()) }
    });
    difference / largest
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/parity")
}

fn read(folder: &Path) -> Case {
    let Description { name, bundle, args } =
        serde_json::from_slice(&fs::read(folder.join("case.json")).unwrap()).unwrap();
    let bytes = fs::read(folder.join("tensors.safetensors")).unwrap();
    let stored = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = stored.tensors().into_iter().map(|(name, view)| {
        let values = match view.dtype() {
            safetensors::Dtype::F32 => {
                view.data().as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
            }
            safetensors::Dtype::I32 => {
                view.data().as_chunks::<4>().0.iter().map(|bytes| i32::from_le_bytes(*bytes) as f32).collect()
            }
            safetensors::Dtype::U8 => view.data().iter().map(|byte| f32::from(*byte)).collect(),
            other => panic!("{name}: {other:?}"),
        };
        (name, Recorded { shape: view.shape().to_vec(), values })
    });
    Case { name, bundle, args, tensors: tensors.collect() }
}
