//! What narrow numbers and cached steps do to pictures, as figures. A measurement, not a check of every build: run by
//! `bench/quality.py`, which writes the tables.
//!
//! | file | what |
//! |---|---|
//! | `pictures.rs` | whole pictures beside those of f32 |
//! | `layers.rs` | the residual stream behind each block beside that of f32 |
//! | `perceptual.rs` | a distance of pictures that is nearer to what people see than levels are |
//! | `known_changes.rs` | changes to read that distance by |

mod known_changes;
mod layers;
mod perceptual;
mod pictures;

use super::{ModelFiles, Networks};
use crate::options::{CacheThreshold, DtypeChoice, EngineOptions};
use crate::safety::Safety;
use afterimage_core::{Picture, PictureLimits};
use afterimage_device::{Cpu, Narrow};
use afterimage_imaging::read_file;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;

/// Names the file for the figures.
const OUTPUT: &str = "AFTERIMAGE_QUALITY_OUTPUT";

/// One way to compute.
struct Variant {
    name: &'static str,
    dtype: DtypeChoice,
    narrow: Narrow,
    cache_threshold: f64,
}

const EXACT: Variant = Variant {
    name: "f32",
    dtype: DtypeChoice::F32,
    narrow: Narrow { integers: false, bf16: false },
    cache_threshold: 0.0,
};

/// All of them, whatever instructions the processor has: products that it has none for are computed by conversion, which
/// gives the same numbers, slowly.
const NARROW: [Variant; 4] = [
    Variant { name: "bf16 weights", dtype: DtypeChoice::Bf16, ..EXACT },
    Variant {
        name: "bf16 products",
        dtype: DtypeChoice::Bf16,
        narrow: Narrow { integers: false, bf16: true },
        ..EXACT
    },
    Variant { name: "int8", dtype: DtypeChoice::Int8, narrow: Narrow { integers: true, bf16: false }, ..EXACT },
    Variant {
        name: "int8, bf16 elsewhere",
        dtype: DtypeChoice::Int8,
        narrow: Narrow { integers: true, bf16: true },
        ..EXACT
    },
];

const CACHED: [Variant; 4] = [
    Variant { name: "cache 0.05", cache_threshold: 0.05, ..EXACT },
    Variant { name: "cache 0.1", cache_threshold: 0.1, ..EXACT },
    Variant { name: "cache 0.15", cache_threshold: 0.15, ..EXACT },
    Variant { name: "cache 0.2", cache_threshold: 0.2, ..EXACT },
];

impl Variant {
    /// The embedded model, computed in this way.
    fn networks(&self) -> Networks<Cpu> {
        let cache_threshold = CacheThreshold::try_from(self.cache_threshold).unwrap();
        let options = EngineOptions { dtype: self.dtype, cache_threshold, ..EngineOptions::default() };
        let device = Arc::new(Cpu::detect().with_narrow(self.narrow));
        Networks::new(device, ModelFiles::open(&options).unwrap(), Safety::none()).unwrap()
    }
}

/// Photograph-like pictures, of a kind that the model never saw: the sources at the left of the gallery's strips.
fn photographs() -> Vec<(&'static str, Picture)> {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    let left = |name: &str, width: usize| {
        let path = docs.join("gallery").join(name).with_extension("jpg");
        let strip = read_file(&path, &PictureLimits::default()).unwrap().picture;
        let rows = strip.rgb().chunks_exact(3 * strip.width() as usize);
        let rgb = rows.flat_map(|row| row[..3 * width].to_vec()).collect();
        Picture::from_rgb(width as u32, strip.height(), rgb).unwrap()
    };
    let lake = read_file(&docs.join("photos/lake.jpg"), &PictureLimits::default()).unwrap().picture;
    vec![("lake", lake), ("bay", left("bay", 282)), ("dunes", left("dunes", 235)), ("fruit", left("fruit", 176))]
}

#[test]
#[ignore = "a measurement of many minutes: python3 bench/quality.py"]
fn quality() {
    let path = std::env::var_os(OUTPUT).unwrap_or_else(|| panic!("{OUTPUT} names no file"));
    let photographs = photographs();
    let layers = layers::measure(&photographs);
    // After each picture, so that whoever stops it has what there is.
    let write = |pictures: &[Value]| {
        let report = json!({ "layers": layers, "pictures": pictures });
        std::fs::write(&path, serde_json::to_vec(&report).unwrap()).unwrap();
    };
    pictures::measure(&photographs, &write);
}
