//! The residual stream behind each block, and the velocity, beside those of f32: one step, the same latents and the same
//! condition.

use super::{EXACT, NARROW, Variant};
use crate::models::flux::{ConditioningInputs, FluxTransformer, Grid};
use crate::pipeline::context::Context;
use crate::pipeline::encode::{encode_picture, encode_text};
use crate::pipeline::latents::{euler_step, pack};
use crate::pipeline::{Networks, PictureTokens, join};
use crate::sampling::{TorchGenerator, sigmas, timesteps};
use afterimage_core::{Picture, VariationSettings};
use afterimage_device::Cpu;
use serde_json::{Value, json};
use std::sync::Arc;

const STEPS: u32 = 28;
/// 256².
const GRID: Grid = Grid { rows: 16, columns: 16 };
/// Steps that are looked into: nothing but noise, the middle, nearly done.
const LOOKED_INTO: [usize; 3] = [0, 14, 26];
const SEED: u64 = 7001;

/// Of each variant and step, over all photographs: the relative root mean square errors of the stream behind each block,
/// and of the velocity.
pub(super) fn measure(photographs: &[(&'static str, Picture)]) -> Value {
    let exact = EXACT.networks();
    let subjects: Vec<Subject> = photographs.iter().map(|(_, photo)| Subject::new(&exact, photo)).collect();
    let config = exact.files().flux();
    let (double, single) = (config.num_layers, config.num_single_layers);
    let expected = looks(&exact, &subjects);
    let variants = NARROW[..3].iter().map(|variant: &Variant| {
        let found = looks(&variant.networks(), &subjects);
        let steps = LOOKED_INTO.iter().enumerate().map(|(place, step)| {
            let errors = |look: fn(&Look) -> &[Vec<f32>]| -> Vec<f64> {
                let pairs: Vec<_> =
                    found.iter().zip(&expected).map(|(a, b)| (look(&a[place]), look(&b[place]))).collect();
                (0..pairs[0].0.len()).map(|at| relative(pairs.iter().map(|(a, b)| (&a[at][..], &b[at][..])))).collect()
            };
            let (streams, velocity) = (errors(|look| &look.streams), errors(|look| &look.velocity));
            assert!(streams.iter().all(|error| *error < 0.5), "{}, step {step}: {streams:?}", variant.name);
            json!({ "step": step, "streams": streams, "velocity": velocity[0] })
        });
        json!({ "name": variant.name, "steps": steps.collect::<Vec<_>>() })
    });
    json!({
        "double_blocks": double,
        "single_blocks": single,
        "of_steps": STEPS,
        "photographs": photographs.len(),
        "variants": variants.collect::<Vec<_>>(),
    })
}

/// What a photograph conditions, and the latents of the steps that are looked into, both by f32.
struct Subject {
    context: Context,
    latents: Vec<Vec<f32>>,
}

/// What one step computes.
struct Look {
    /// In front of the first block and behind each.
    streams: Vec<Vec<f32>>,
    /// One.
    velocity: Vec<Vec<f32>>,
}

fn schedule(networks: &Networks<Cpu>) -> Vec<f32> {
    sigmas(networks.files().scheduler(), GRID.tokens(), STEPS)
}

/// Calls `each(transformer, conditioning, workspace)`.
macro_rules! conditioned {
    ($networks:expr, $context:expr, |$transformer:ident, $conditioning:ident, $workspace:ident| $each:block) => {{
        let (networks, context): (&Networks<Cpu>, &Context) = ($networks, $context);
        let levels = schedule(networks);
        let $transformer: Arc<FluxTransformer<Cpu>> = networks.transformer(networks.fixed()).unwrap();
        let inputs = ConditioningInputs {
            context: &context.tokens,
            pooled: &context.pooled,
            timesteps: &timesteps(networks.files().scheduler(), &levels[..STEPS as usize]),
            guidance: 3.5,
            grid: GRID,
            bias: context.bias(0..STEPS, STEPS),
        };
        let $conditioning = $transformer.condition(&inputs).unwrap();
        let mut $workspace = $transformer.workspace(&$conditioning).unwrap();
        $each
    }};
}

impl Subject {
    fn new(exact: &Networks<Cpu>, photo: &Picture) -> Self {
        let text = encode_text(exact, exact.fixed(), "").unwrap();
        let tokens = [PictureTokens::whole(encode_picture(exact, photo).unwrap())];
        let width = exact.files().flux().joint_attention_dim;
        let context = join(width, text, &tokens, &VariationSettings::default());
        let channels = exact.files().vae().latent_channels;
        let noise = TorchGenerator::new(SEED).randn_f32(GRID.tokens() * 4 * channels);
        let (mut latents, levels) = (pack(&noise, channels, GRID), schedule(exact));
        let mut velocity = vec![0.0; latents.len()];
        let mut kept = Vec::new();
        conditioned!(exact, &context, |transformer, conditioning, workspace| {
            for step in 0..STEPS as usize {
                if LOOKED_INTO.contains(&step) {
                    kept.push(latents.clone());
                }
                transformer.forward(&conditioning, step, &latents, &mut workspace, &mut velocity).unwrap();
                euler_step(&mut latents, &velocity, levels[step], levels[step + 1]);
            }
        });
        Self { context, latents: kept }
    }
}

/// Of each subject, each step.
fn looks(networks: &Networks<Cpu>, subjects: &[Subject]) -> Vec<Vec<Look>> {
    let of_subject = |subject: &Subject| {
        conditioned!(networks, &subject.context, |transformer, conditioning, workspace| {
            let look = |(step, latents): (&usize, &Vec<f32>)| {
                let streams = transformer.image_streams(&conditioning, *step, latents, &mut workspace).unwrap();
                let mut velocity = vec![0.0; latents.len()];
                transformer.forward(&conditioning, *step, latents, &mut workspace, &mut velocity).unwrap();
                Look { streams, velocity: vec![velocity] }
            };
            LOOKED_INTO.iter().zip(&subject.latents).map(look).collect()
        })
    };
    subjects.iter().map(of_subject).collect()
}

/// √(Σ (a − b)² / Σ b²)
fn relative<'a>(pairs: impl Iterator<Item = (&'a [f32], &'a [f32])>) -> f64 {
    let (mut error, mut size) = (0.0, 0.0);
    for (a, b) in pairs.flat_map(|(a, b)| a.iter().zip(b)) {
        error += (f64::from(*a) - f64::from(*b)).powi(2);
        size += f64::from(*b).powi(2);
    }
    (error / size).sqrt()
}
