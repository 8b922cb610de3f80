//! What rounding does to pictures: the embedded model in narrow numbers beside itself in f32.

use super::encodings::Encodings;
use super::generate::generate;
use super::order::Order;
use super::{ModelFiles, Networks};
use crate::observer::Silent;
use crate::options::{DtypeChoice, EngineOptions};
use crate::safety::Safety;
use afterimage_core::{GenerationRequest, Picture, PictureLimits, Size, Task, VariationSettings};
use afterimage_device::{Cpu, Narrow};
use afterimage_imaging::read_file;
use std::path::Path;
use std::sync::Arc;

fn photo() -> Picture {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/photos/lake.jpg");
    read_file(&path, &PictureLimits::default()).unwrap().picture
}

/// Variations of a photograph, one a seed.
fn variations(narrow: Narrow, dtype: DtypeChoice, seeds: &[u64]) -> Vec<Picture> {
    let options = EngineOptions { dtype, ..EngineOptions::default() };
    let device = Arc::new(Cpu::detect().with_narrow(narrow));
    let networks = Networks::new(device, ModelFiles::open(&options).unwrap(), Safety::none()).unwrap();
    let (photo, encodings) = ([photo()], Encodings::default());
    let one = |seed: &u64| {
        let mut request = GenerationRequest::new(Task::Variation(VariationSettings::default()));
        (request.size, request.steps, request.seed) = (Some(Size::new(256, 256)), 12, Some(*seed));
        let order = Order { tenant: "", request: &request, sources: &photo, observer: &Silent, encodings: &encodings };
        generate(&networks, &order).unwrap().pictures.remove(0)
    };
    seeds.iter().map(one).collect()
}

/// Peak signal to noise ratio of two sets of pictures, in dB.
fn agreement(one: &[Picture], other: &[Picture]) -> f64 {
    let pairs = one.iter().zip(other).flat_map(|(one, other)| one.rgb().iter().zip(other.rgb()));
    let (mut squares, mut count) = (0.0, 0.0);
    for (one, other) in pairs {
        squares += (f64::from(*one) - f64::from(*other)).powi(2);
        count += 1.0;
    }
    10.0 * (255.0_f64.powi(2) * count / squares).log10()
}

#[test]
fn pictures_stay_near_those_of_f32() {
    let seeds = [1, 2, 3];
    let exact = variations(Narrow::default(), DtypeChoice::F32, &seeds);
    for (name, narrow, dtype, least) in [
        ("bf16 products", Narrow { integers: false, bf16: true }, DtypeChoice::Bf16, 50.0),
        ("int8 weights, f32 products", Narrow::default(), DtypeChoice::Int8, 48.0),
        ("int8 weights and products", Narrow { integers: true, bf16: false }, DtypeChoice::Int8, 48.0),
        ("int8 weights and products, bf16 elsewhere", Narrow { integers: true, bf16: true }, DtypeChoice::Int8, 48.0),
    ] {
        let found = agreement(&variations(narrow, dtype, &seeds), &exact);
        println!("{name}: {found:.1} dB");
        assert!(found > least, "{name}: {found:.1} dB");
    }
    // What is rounded is rounded: the numbers differ.
    assert!(agreement(&exact, &variations(Narrow::default(), DtypeChoice::F32, &[4, 5, 6])) < 30.0);
}
