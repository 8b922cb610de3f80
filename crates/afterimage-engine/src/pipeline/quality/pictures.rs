//! Whole pictures beside those of f32.

use super::known_changes::{blurred, jpeg};
use super::perceptual::Perceptual;
use super::{CACHED, EXACT, NARROW, Variant};
use crate::observer::Silent;
use crate::pipeline::Networks;
use crate::pipeline::encodings::Encodings;
use crate::pipeline::generate::generate;
use crate::pipeline::order::Order;
use afterimage_core::{Enlarge, GenerationRequest, Picture, Size, Task, VariationSettings};
use afterimage_device::Cpu;
use serde_json::{Value, json};

/// Sides and seeds of each photograph: seeds of no test, no setting and no picture of the gallery.
const ROUNDS: [(u32, u64); 4] = [(256, 7001), (512, 7001), (256, 7002), (256, 7003)];
const STEPS: u32 = 28;

/// Every picture by every way, one after the other, so that times of one run can be compared. `write` gets all rows so far.
pub(super) fn measure(photographs: &[(&'static str, Picture)], write: &dyn Fn(&[Value])) {
    let variants: Vec<&Variant> = [&EXACT].into_iter().chain(&NARROW).chain(&CACHED).collect();
    let made: Vec<Maker> = variants.iter().map(|variant| Maker::new(variant)).collect();
    let perceptual = Perceptual::new();
    let mut rows = Vec::new();
    for (side, seed) in ROUNDS {
        for (name, photo) in photographs {
            for figures in
                beside_exact(&variants, &made, &perceptual, &|maker, seed| maker.make(photo, side, seed), seed)
            {
                println!("{side} {name} {seed} {figures}");
                rows.push(json!({ "side": side, "photograph": name, "seed": seed, "figures": figures }));
            }
            write(&rows);
        }
    }
}

/// The first variant's picture of `seed` beside those of the others, and beside known changes of itself.
fn beside_exact(
    variants: &[&Variant],
    makers: &[Maker],
    perceptual: &Perceptual,
    make: &dyn Fn(&Maker, u64) -> Made,
    seed: u64,
) -> Vec<Value> {
    let exact = make(&makers[0], seed);
    assert!(perceptual.distance(&exact.picture, &exact.picture) <= 0.0);
    let beside = |what: &str, picture: &Picture| {
        let distance = perceptual.distance(picture, &exact.picture);
        json!({ "name": what, "psnr": psnr(picture, &exact.picture), "distance": distance })
    };
    let mut rows = Vec::new();
    for (variant, maker) in variants.iter().zip(makers).skip(1) {
        let made = make(maker, seed);
        let mut row = beside(variant.name, &made.picture);
        row["cached_steps"] = json!(made.cached_steps);
        row["denoise_ms"] = json!(made.denoise_ms);
        row["f32_denoise_ms"] = json!(exact.denoise_ms);
        rows.push(row);
    }
    let known = [
        ("JPEG, quality 90", jpeg(&exact.picture, 90)),
        ("JPEG, quality 50", jpeg(&exact.picture, 50)),
        ("blur of 1 pixel", blurred(&exact.picture, 1.0)),
        ("another seed", make(&makers[0], seed + 1000).picture),
    ];
    rows.extend(known.iter().map(|(what, changed)| beside(what, changed)));
    rows
}

/// The model in one way, with what it encoded.
struct Maker {
    networks: Networks<Cpu>,
    encodings: Encodings,
}

/// A picture and how it was made.
struct Made {
    picture: Picture,
    cached_steps: u32,
    denoise_ms: f64,
}

impl Maker {
    fn new(variant: &Variant) -> Self {
        Self { networks: variant.networks(), encodings: Encodings::default() }
    }

    fn make(&self, photo: &Picture, side: u32, seed: u64) -> Made {
        let mut request = GenerationRequest::new(Task::Variation(VariationSettings::default()));
        (request.size, request.steps, request.seed) = (Some(Size::new(side, side)), STEPS, Some(seed));
        // One pass: all steps at the size that is measured.
        request.enlarge = Enlarge::Off;
        let (sources, encodings) = (std::slice::from_ref(photo), &self.encodings);
        let order = Order { tenant: "", request: &request, sources, observer: &Silent, encodings };
        let mut generation = generate(&self.networks, &order).unwrap();
        Made {
            picture: generation.pictures.remove(0),
            cached_steps: generation.facts.pictures[0].cached_steps,
            denoise_ms: generation.facts.timings.denoise_ms,
        }
    }
}

/// Peak signal to noise ratio in dB; `None` for equal pictures.
fn psnr(one: &Picture, other: &Picture) -> Option<f64> {
    let square = |(one, other): (&u8, &u8)| (f64::from(*one) - f64::from(*other)).powi(2);
    let squares: f64 = one.rgb().iter().zip(other.rgb()).map(square).sum();
    (squares > 0.0).then(|| 10.0 * (255.0_f64.powi(2) * one.rgb().len() as f64 / squares).log10())
}
