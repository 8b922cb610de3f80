//! The run of a benchmark.

use super::ideal::share;
use super::samples::StageShares;
use super::stage::{StageTimes, Stopwatch};
use super::subject::Subject;
use super::{BenchOptions, BenchReport, KernelTime, RandomContext, parts, peak_memory, reset_peak_memory};
use crate::devices::{OnDevice, on_device};
use crate::models::flux::{ConditioningInputs, FluxTransformer, Grid, TokenBias};
use crate::models::vae::{Autoencoder, Tensor3};
use crate::options::CacheThreshold;
use crate::pipeline::{Network, Networks, PictureTokens, encode_picture, encode_text, join, usable_size};
use crate::sampling::{TorchGenerator, sigmas, timesteps};
use afterimage_core::{Error, Field, Picture, Result, Size, VariationSettings};
use afterimage_device::{CountedDevice, Device, WorkTime};
use afterimage_kernels::gemm::{Ceilings, measure_ceilings};
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
    on_device(options.engine.device, options.engine.dtype, &Measure { options, stop })
}

struct Measure<'a> {
    options: &'a BenchOptions,
    stop: &'a (dyn Fn() -> bool + Sync),
}

impl OnDevice for Measure<'_> {
    type Output = BenchReport;

    fn run<D: Device>(&self, device: Arc<D>) -> Result<BenchReport> {
        measure(&Arc::new(CountedDevice::new(device)), self.options, self.stop)
    }
}

fn measure<D: Device>(
    device: &Arc<CountedDevice<D>>,
    options: &BenchOptions,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<BenchReport> {
    let check = || if stop() { Err(Error::Cancelled) } else { Ok(()) };
    let ceilings_before = measure_ceilings(CEILING_SIZE);
    reset_peak_memory();
    let start = Instant::now();
    let subject = Subject::open(device, options)?;
    let step = subject.size_step();
    let size = usable_size(options.size, step)?;
    if let Subject::Networks(networks) = &subject {
        networks.keep_within_budget(size, options.steps)?;
    }
    let grid = Grid { rows: size.height as usize / step, columns: size.width as usize / step };
    let mut generator = TorchGenerator::new(0);
    let picture = noise_picture(size, &mut generator)?;
    let mut times = Times::new(device, milliseconds(start));
    let (context, pooled) = times.conditions(&subject, &picture, options, &mut generator, &check)?;
    let context_tokens = context.len() / subject.flux().joint_attention_dim;
    let scheduler = crate::config::SchedulerConfig::flux_dev();
    let schedule = sigmas(&scheduler, grid.tokens(), options.steps);
    let inputs = ConditioningInputs {
        context: &context,
        pooled: &pooled,
        timesteps: &timesteps(&scheduler, &schedule[..options.steps as usize]),
        guidance: GUIDANCE,
        grid,
        bias: options.context.and_then(|random| bias_of(random, context_tokens, options.steps as usize)),
    };
    let what = (size, options.engine.cache_threshold);
    for _ in 0..options.repeat {
        times.run(&subject, &inputs, what, &check, &mut generator)?;
    }
    let peak = peak_memory();
    // Their own buffers are no part of the peak.
    let transformer = times.loading(|| subject.transformer())?;
    let parts = parts::measure(device.as_ref(), &transformer, context_tokens + grid.tokens(), &mut generator)?;
    let step_gflop = times.step.work.products as f64 / 1e9;
    drop(transformer);
    let (model, dtype) = subject.name_and_dtype();
    let step = times.step.samples();
    let ceilings = ceilings_before.or_better(measure_ceilings(CEILING_SIZE));
    let product_ceiling = ceiling_of(dtype, &ceilings);
    Ok(BenchReport {
        model,
        device: device.name().to_owned(),
        dtype: dtype.to_owned(),
        threads: rayon::current_num_threads(),
        instructions: device.hardware().to_owned(),
        width: size.width,
        height: size.height,
        steps: options.steps,
        repeat: options.repeat,
        image_tokens: grid.tokens(),
        context_tokens,
        load_ms: times.load_ms,
        image_encode: times.image_encode.ran(),
        text_encode: times.text_encode.ran(),
        vae_encode: times.vae_encode.samples(),
        condition: times.condition.samples(),
        step,
        cached_step: times.cached_step.ran(),
        cached_steps: times.cached_step.milliseconds.len(),
        decode: times.decode.samples(),
        condition_ms: times.condition.samples().median,
        decode_ms: times.decode.samples().median,
        seconds_per_step: step.median / 1e3,
        step_seconds: times.step.milliseconds.iter().map(|milliseconds| milliseconds / 1e3).collect(),
        ceiling_shares: times.shares(product_ceiling, &ceilings),
        step_processor_seconds: times.step.processor,
        decode_processor_seconds: times.decode.processor,
        product_gflops_per_second: parts.product,
        attention_gflops_per_second: parts.attention,
        step_gflop,
        step_gflops_per_second: step_gflop / (step.median / 1e3),
        gemm_gflops_per_second: product_ceiling,
        gemm_f32_gflops_per_second: ceilings.f32,
        gemm_bf16_gflops_per_second: ceilings.bf16,
        gemm_int8_gflops_per_second: ceilings.int8,
        copy_gbytes_per_second: ceilings.copy,
        peak_memory_bytes: peak,
        kernel_times: kernel_times(device, |times| times.run(&subject, &inputs, what, &check, &mut generator))?,
    })
}

/// What each kernel takes in one more run, where the device can tell.
fn kernel_times<D: Device>(
    device: &CountedDevice<D>,
    run: impl FnOnce(&mut Times<'_, D>) -> Result<()>,
) -> Result<Vec<KernelTime>> {
    if !device.note_times() {
        return Ok(Vec::new());
    }
    run(&mut Times::new(device, 0.0))?;
    let time = |WorkTime { name, runs, milliseconds }| KernelTime { kernel: name, launches: runs, milliseconds };
    Ok(device.noted_times()?.into_iter().map(time).collect())
}

/// The ceiling of the products that `dtype` means.
fn ceiling_of(dtype: &str, ceilings: &Ceilings) -> f64 {
    match dtype {
        "int8" => ceilings.int8,
        "bf16" => ceilings.bf16.unwrap_or(ceilings.f32),
        _ => ceilings.f32,
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

/// Every stage.
struct Times<'a, D> {
    device: &'a CountedDevice<D>,
    /// In all: reading and building, also again after a network had to leave memory.
    load_ms: f64,
    image_encode: StageTimes,
    text_encode: StageTimes,
    vae_encode: StageTimes,
    condition: StageTimes,
    step: StageTimes,
    cached_step: StageTimes,
    decode: StageTimes,
}

/// What makes the first of `tokens` count as often as it stands for others.
fn bias_of(random: RandomContext, tokens: usize, steps: usize) -> Option<TokenBias> {
    (random.first_stands_for > 1).then(|| {
        let mut for_all = vec![0.0; tokens];
        for_all[0] = (random.first_stands_for as f32).ln();
        TokenBias { for_all, redux: tokens..tokens, for_others: vec![0.0; steps] }
    })
}

impl<'a, D: Device> Times<'a, D> {
    fn new(device: &'a CountedDevice<D>, load_ms: f64) -> Self {
        let [image_encode, text_encode, vae_encode, condition, step, cached_step, decode] =
            [(); 7].map(|()| StageTimes::default());
        Self { device, load_ms, image_encode, text_encode, vae_encode, condition, step, cached_step, decode }
    }

    /// The stages' shares of the ceilings; products are of the numbers that have `product_ceiling`.
    fn shares(&self, product_ceiling: f64, ceilings: &Ceilings) -> StageShares {
        let share = |stage: &StageTimes| share(stage.work, &stage.samples(), product_ceiling, ceilings);
        StageShares {
            image_encode: share(&self.image_encode),
            text_encode: share(&self.text_encode),
            vae_encode: share(&self.vae_encode),
            condition: share(&self.condition),
            step: share(&self.step),
            decode: share(&self.decode),
        }
    }

    fn loading<T>(&mut self, load: impl FnOnce() -> Result<T>) -> Result<T> {
        let start = Instant::now();
        let loaded = load();
        self.load_ms += milliseconds(start);
        loaded
    }

    /// What the steps are conditioned on, tokens and pooled vector: a prompt and `picture`, or numbers of their size where
    /// there are no encoders. Encoders leave memory afterwards when the budget asks for it.
    fn conditions(
        &mut self,
        subject: &Subject<CountedDevice<D>>,
        picture: &Picture,
        options: &BenchOptions,
        generator: &mut TorchGenerator,
        check: &dyn Fn() -> Result<()>,
    ) -> Result<(Vec<f32>, Vec<f32>)> {
        let tokens = options.context.map(|random| random.tokens).or(match subject {
            Subject::Networks(_) => None,
            Subject::Random(random) => Some(random.context_tokens),
        });
        let networks = match (subject, tokens) {
            (Subject::Networks(networks), None) => networks,
            (_, tokens) => {
                let config = subject.flux();
                let context = generator.randn_f32(tokens.unwrap_or_default() * config.joint_attention_dim);
                return Ok((context, generator.randn_f32(config.pooled_projection_dim)));
            }
        };
        let mut context = None;
        for _ in 0..options.repeat {
            check()?;
            context = Some(self.context(networks, picture)?);
        }
        networks.done_with(Network::Image);
        networks.done_with(Network::Text);
        context.ok_or_else(|| Error::field(Field::Repeat, "0 is out of range; at least 1"))
    }

    /// Encodes `picture` and a short prompt.
    fn context(&mut self, networks: &Networks<CountedDevice<D>>, picture: &Picture) -> Result<(Vec<f32>, Vec<f32>)> {
        self.loading(|| networks.image_encoders())?;
        self.loading(|| networks.text_encoders(networks.fixed()))?;
        let watch = Stopwatch::start(self.device);
        let image = encode_picture(networks, picture)?;
        watch.stop(&mut self.image_encode);
        let watch = Stopwatch::start(self.device);
        let text =
            encode_text(networks, networks.fixed(), "a red sailing boat on a calm lake, in the style of a woodcut")?;
        watch.stop(&mut self.text_encode);
        let width = networks.files().flux().joint_attention_dim;
        let context = join(width, text, &[PictureTokens::whole(image)], &VariationSettings::default());
        Ok((context.tokens, context.pooled))
    }

    /// All steps, then the autoencoder, each network leaving memory afterwards when the budget asks for it.
    fn run(
        &mut self,
        subject: &Subject<CountedDevice<D>>,
        inputs: &ConditioningInputs,
        (size, threshold): (Size, CacheThreshold),
        check: &(dyn Fn() -> Result<()> + Sync),
        generator: &mut TorchGenerator,
    ) -> Result<()> {
        let transformer = self.loading(|| subject.transformer())?;
        self.steps(&transformer, inputs, threshold, check, generator)?;
        drop(transformer);
        subject.done_with(Network::Transformer);
        let autoencoder = self.loading(|| subject.autoencoder())?;
        self.autoencoder(&autoencoder, inputs.grid, size, check, generator)?;
        drop(autoencoder);
        subject.done_with(Network::Autoencoder);
        Ok(())
    }

    fn steps(
        &mut self,
        transformer: &FluxTransformer<CountedDevice<D>>,
        inputs: &ConditioningInputs,
        threshold: CacheThreshold,
        check: &dyn Fn() -> Result<()>,
        generator: &mut TorchGenerator,
    ) -> Result<()> {
        check()?;
        let watch = Stopwatch::start(self.device);
        let conditioning = transformer.condition(inputs)?;
        watch.stop(&mut self.condition);
        let config = transformer.config();
        let mut latents = generator.randn_f32(inputs.grid.tokens() * config.in_channels);
        let mut velocity = vec![0.0; inputs.grid.tokens() * config.out_channels()];
        let mut workspace = transformer.workspace(&conditioning)?;
        let mut caches = threshold.get().map(|it| transformer.step_caches(&conditioning, 1, it as f32)).transpose()?;
        for step in 0..inputs.timesteps.len() {
            check()?;
            let watch = Stopwatch::start(self.device);
            let cache = caches.as_mut().and_then(|caches| caches.picture(0));
            let is_cached =
                transformer.forward_cached(&conditioning, step, &latents, &mut workspace, cache, &mut velocity)?;
            watch.stop(if is_cached { &mut self.cached_step } else { &mut self.step });
            for (latent, velocity) in latents.iter_mut().zip(&velocity) {
                *latent -= velocity / inputs.timesteps.len() as f32;
            }
        }
        Ok(())
    }

    fn autoencoder(
        &mut self,
        autoencoder: &Autoencoder<CountedDevice<D>>,
        grid: Grid,
        size: Size,
        check: &(dyn Fn() -> Result<()> + Sync),
        generator: &mut TorchGenerator,
    ) -> Result<()> {
        let config = autoencoder.config();
        let (height, width) = (2 * grid.rows, 2 * grid.columns);
        let data = generator.randn_f32(config.latent_channels * height * width);
        let watch = Stopwatch::start(self.device);
        let pixels = autoencoder.decode(&Tensor3 { data, channels: config.latent_channels, height, width }, check)?;
        watch.stop(&mut self.decode);
        debug_assert_eq!((pixels.height, pixels.width), (size.height as usize, size.width as usize));
        let watch = Stopwatch::start(self.device);
        autoencoder.encode(pixels, check)?;
        watch.stop(&mut self.vae_encode);
        Ok(())
    }
}
