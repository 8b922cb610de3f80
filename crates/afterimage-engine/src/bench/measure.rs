//! The run of a benchmark.

use super::subject::Subject;
use super::{BenchOptions, BenchReport, TimeSamples, peak_memory, reset_peak_memory};
use crate::devices::{OnDevice, on_device};
use crate::models::flux::{ConditioningInputs, FluxTransformer, Grid};
use crate::models::vae::{Autoencoder, Tensor3};
use crate::pipeline::{Networks, encode_picture, encode_text, join, usable_size};
use crate::sampling::{TorchGenerator, sigmas, timesteps};
use afterimage_core::{Error, Field, Picture, Result, Size, VariationSettings};
use afterimage_device::Device;
use afterimage_kernels::gemm::measure_ceiling;
use std::sync::Arc;
use std::time::Instant;

/// Side of the square product that gives the ceiling: large enough to be bound by arithmetic.
const CEILING_SIZE: usize = 1536;
/// Guidance of the measured steps; their time does not depend on it.
const GUIDANCE: f32 = 3.5;

/// Loads what `options` name, runs every stage and reports. `stop` is asked between stages and steps.
///
/// # Errors
/// Those of loading a model, [`Error::Field`] for a size that is too small, and [`Error::Cancelled`].
pub fn run(options: &BenchOptions, stop: &(dyn Fn() -> bool + Sync)) -> Result<BenchReport> {
    on_device(options.engine.device, Measure { options, stop })
}

struct Measure<'a> {
    options: &'a BenchOptions,
    stop: &'a (dyn Fn() -> bool + Sync),
}

impl OnDevice for Measure<'_> {
    type Output = BenchReport;

    fn run<D: Device>(self, device: Arc<D>) -> Result<BenchReport> {
        measure(&device, self.options, self.stop)
    }
}

fn measure<D: Device>(
    device: &Arc<D>,
    options: &BenchOptions,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<BenchReport> {
    let check = || if stop() { Err(Error::Cancelled) } else { Ok(()) };
    let ceiling_before = measure_ceiling(CEILING_SIZE);
    reset_peak_memory();
    let start = Instant::now();
    let subject = Subject::open(device, options)?;
    let (transformer, autoencoder) = networks(&subject)?;
    let mut load_ms = milliseconds(start);

    let step = 2 * autoencoder.config().spatial_factor();
    let size = usable_size(options.size, step)?;
    let grid = Grid { rows: size.height as usize / step, columns: size.width as usize / step };
    let mut generator = TorchGenerator::new(0);
    let picture = noise_picture(size, &mut generator)?;
    let mut times = Times::default();
    let (context, pooled) = match &subject {
        Subject::Random(random) => {
            let config = transformer.config();
            let context = generator.randn_f32(random.context_tokens * config.joint_attention_dim);
            (context, generator.randn_f32(config.pooled_projection_dim))
        }
        Subject::Networks(networks) => {
            let mut context = None;
            for _ in 0..options.repeat {
                check()?;
                context = Some(times.context(networks, &picture, &mut load_ms)?);
            }
            context.ok_or_else(|| Error::field(Field::Repeat, "0 is out of range; at least 1"))?
        }
    };
    let scheduler = crate::config::SchedulerConfig::flux_dev();
    let schedule = sigmas(&scheduler, grid.tokens(), options.steps);
    for _ in 0..options.repeat {
        let inputs = ConditioningInputs {
            context: &context,
            pooled: &pooled,
            timesteps: &timesteps(&scheduler, &schedule[..options.steps as usize]),
            guidance: GUIDANCE,
            grid,
            bias: None,
        };
        times.steps(&transformer, &inputs, &check, &mut generator)?;
        times.autoencoder(&autoencoder, grid, size, &check, &mut generator)?;
    }
    let peak = peak_memory();
    let (model, dtype) = match &subject {
        Subject::Networks(networks) => (networks.files().name(), networks.files().dtype()),
        Subject::Random(random) => ("medium (random weights)".to_owned(), random.dtype),
    };
    let context_tokens = context.len() / transformer.config().joint_attention_dim;
    let step = TimeSamples::of(&times.step);
    let step_gflop = transformer.step_flops(context_tokens, grid.tokens()) / 1e9;
    Ok(BenchReport {
        model,
        device: device.name().to_owned(),
        dtype: dtype.to_owned(),
        threads: rayon::current_num_threads(),
        instructions: afterimage_kernels::simd::Isa::detect().name().to_owned(),
        width: size.width,
        height: size.height,
        steps: options.steps,
        repeat: options.repeat,
        image_tokens: grid.tokens(),
        context_tokens,
        load_ms,
        image_encode: (!times.image_encode.is_empty()).then(|| TimeSamples::of(&times.image_encode)),
        text_encode: (!times.text_encode.is_empty()).then(|| TimeSamples::of(&times.text_encode)),
        vae_encode: TimeSamples::of(&times.vae_encode),
        condition: TimeSamples::of(&times.condition),
        step,
        decode: TimeSamples::of(&times.decode),
        condition_ms: TimeSamples::of(&times.condition).median,
        decode_ms: TimeSamples::of(&times.decode).median,
        seconds_per_step: step.median / 1e3,
        step_seconds: times.step.iter().map(|milliseconds| milliseconds / 1e3).collect(),
        step_gflop,
        step_gflops_per_second: step_gflop / (step.median / 1e3),
        // The machine may be shared: the better of before and after is the ceiling.
        gemm_gflops_per_second: ceiling_before.max(measure_ceiling(CEILING_SIZE)),
        peak_memory_bytes: peak,
    })
}

/// What is measured step by step.
type Sampled<D> = (Arc<FluxTransformer<D>>, Arc<Autoencoder<D>>);

fn networks<D: Device>(subject: &Subject<D>) -> Result<Sampled<D>> {
    match subject {
        Subject::Networks(networks) => Ok((networks.transformer(networks.fixed())?, networks.autoencoder()?)),
        Subject::Random(random) => Ok((Arc::clone(&random.transformer), Arc::clone(&random.autoencoder))),
    }
}

fn milliseconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64() * 1e3
}

fn noise_picture(size: Size, generator: &mut TorchGenerator) -> Result<Picture> {
    let numbers = size.pixels() as usize * 3;
    let rgb = generator.randn_f32(numbers).into_iter().map(|value| (value * 50.0 + 128.0).clamp(0.0, 255.0) as u8);
    Picture::from_rgb(size.width, size.height, rgb.collect()).ok_or_else(|| Error::internal("a picture without pixels"))
}

/// Milliseconds of every stage, one entry a run (or step).
#[derive(Default)]
struct Times {
    image_encode: Vec<f64>,
    text_encode: Vec<f64>,
    vae_encode: Vec<f64>,
    condition: Vec<f64>,
    step: Vec<f64>,
    decode: Vec<f64>,
}

impl Times {
    /// Encodes `picture` and a short prompt: tokens and pooled vector. Building encoders counts as loading.
    fn context<D: Device>(
        &mut self,
        networks: &Networks<D>,
        picture: &Picture,
        load_ms: &mut f64,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let start = Instant::now();
        networks.image_encoders()?;
        networks.text_encoders(networks.fixed())?;
        *load_ms += milliseconds(start);
        let start = Instant::now();
        let image = encode_picture(networks, picture, 1.0)?;
        self.image_encode.push(milliseconds(start));
        let start = Instant::now();
        let text =
            encode_text(networks, networks.fixed(), "a red sailing boat on a calm lake, in the style of a woodcut")?;
        self.text_encode.push(milliseconds(start));
        let width = networks.files().flux().joint_attention_dim;
        let context = join(width, text, &[Arc::new(image)], &VariationSettings::default());
        Ok((context.tokens, context.pooled))
    }

    fn steps<D: Device>(
        &mut self,
        transformer: &FluxTransformer<D>,
        inputs: &ConditioningInputs,
        check: &dyn Fn() -> Result<()>,
        generator: &mut TorchGenerator,
    ) -> Result<()> {
        check()?;
        let start = Instant::now();
        let conditioning = transformer.condition(inputs)?;
        self.condition.push(milliseconds(start));
        let config = transformer.config();
        let mut latents = generator.randn_f32(inputs.grid.tokens() * config.in_channels);
        let mut velocity = vec![0.0; inputs.grid.tokens() * config.out_channels()];
        let mut workspace = transformer.workspace(&conditioning)?;
        for step in 0..inputs.timesteps.len() {
            check()?;
            let start = Instant::now();
            transformer.forward(&conditioning, step, &latents, &mut workspace, &mut velocity)?;
            self.step.push(milliseconds(start));
            for (latent, velocity) in latents.iter_mut().zip(&velocity) {
                *latent -= velocity / inputs.timesteps.len() as f32;
            }
        }
        Ok(())
    }

    fn autoencoder<D: Device>(
        &mut self,
        autoencoder: &Autoencoder<D>,
        grid: Grid,
        size: Size,
        check: &(dyn Fn() -> Result<()> + Sync),
        generator: &mut TorchGenerator,
    ) -> Result<()> {
        let config = autoencoder.config();
        let (height, width) = (2 * grid.rows, 2 * grid.columns);
        let data = generator.randn_f32(config.latent_channels * height * width);
        let start = Instant::now();
        let pixels = autoencoder.decode(&Tensor3 { data, channels: config.latent_channels, height, width }, check)?;
        self.decode.push(milliseconds(start));
        debug_assert_eq!((pixels.height, pixels.width), (size.height as usize, size.width as usize));
        let start = Instant::now();
        autoencoder.encode(pixels, check)?;
        self.vae_encode.push(milliseconds(start));
        Ok(())
    }
}
