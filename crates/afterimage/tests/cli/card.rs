//! NVIDIA's cards, on a stand-in for their driver: what is used, what is refused, what becomes of failures.

use crate::context::{Context, Outcome, finish};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// A folder with the stand-in driver in it.
pub struct Machine {
    pub context: Context,
    runs: AtomicUsize,
}

impl Machine {
    pub fn new() -> Self {
        Self::without(&[])
    }

    /// A driver that lacks functions.
    pub fn without(functions: &[&str]) -> Self {
        let context = Context::new();
        afterimage_cuda_standin::install(&context.path("driver"), functions).unwrap();
        Self { context, runs: AtomicUsize::new(0) }
    }

    /// With NVIDIA's library for products as well, which lacks functions.
    pub fn with_cublaslt(missing: &[&str]) -> Self {
        let machine = Self::without(missing);
        afterimage_cuda_standin::install_cublaslt(&machine.context.path("driver")).unwrap();
        machine
    }

    /// A run that tries its kernels.
    pub fn run(&self, settings: &str, arguments: &[&str]) -> Outcome {
        let cache = format!("caches/{}", self.runs.fetch_add(1, Ordering::Relaxed));
        self.run_with(&cache, settings, arguments)
    }

    /// One that finds what earlier ones with the same folder kept.
    pub fn run_with(&self, cache: &str, settings: &str, arguments: &[&str]) -> Outcome {
        let mut command = self.command(settings, arguments);
        let outcome = finish(command.env("XDG_CACHE_HOME", self.context.path(cache)), &[]);
        // The stand-in says on the same channel what it was told to do wrong.
        let lines = outcome.stderr.split_inclusive('\n').filter(|line| !line.starts_with("CUDA stand-in: "));
        Outcome { stderr: lines.collect(), ..outcome }
    }

    /// The program on this machine; what it keeps is the user's.
    pub fn command(&self, settings: &str, arguments: &[&str]) -> Command {
        let mut command = self.context.command(arguments);
        command
            .env("LD_LIBRARY_PATH", self.context.path("driver"))
            .env("CUDA_STANDIN", settings)
            .env("XDG_CACHE_HOME", self.context.path("cache"))
            .env("CUDA_STANDIN_REPORT", self.context.path("report.json"))
            .env("CUDA_STANDIN_TABLE", concat!(env!("CARGO_MANIFEST_DIR"), "/../afterimage-cuda/kernels/table.json"))
            .stdin(Stdio::null());
        command
    }

    /// What happened in the driver of the last run.
    pub fn report(&self) -> afterimage_cuda_standin::StandInReport {
        serde_json::from_slice(&std::fs::read(self.context.path("report.json")).unwrap()).unwrap()
    }

    pub fn picture(&self, name: &str) -> image::RgbImage {
        image::open(self.context.path(name)).unwrap().to_rgb8()
    }

    /// A small variation of the demo model's as `name`.
    pub fn vary(&self, settings: &str, name: &str, arguments: &[&str]) -> Outcome {
        let always = ["vary", "photo.png", "--size", "128x96", "--steps", "4", "--seed", "1", "-o", name];
        self.run(settings, &[&always[..], arguments].concat())
    }
}

pub fn psnr(one: &image::RgbImage, other: &image::RgbImage) -> f64 {
    assert_eq!(one.dimensions(), other.dimensions());
    let squares: f64 = one.iter().zip(other.iter()).map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2)).sum();
    let mean = squares / one.len() as f64;
    if mean == 0.0 { f64::INFINITY } else { 10.0 * (255.0_f64.powi(2) / mean).log10() }
}

#[test]
fn the_card_makes_the_processors_picture() {
    let machine = Machine::new();
    machine.vary("", "cpu.png", &["--device", "cpu", "--dtype", "f32"]).succeeded();
    // Lazy: work happens when somebody waits, as late as it can on a card.
    machine.vary("lazy,strict", "f32.png", &["--device", "cuda", "--dtype", "f32"]).succeeded();
    let report = machine.report();
    assert_eq!(report.complaints, [""; 0]);
    assert_eq!(report.cards[0].leaked_bytes, 0);
    assert!(report.launches.values().sum::<u64>() > 500, "{:?}", report.launches);
    let found = psnr(&machine.picture("cpu.png"), &machine.picture("f32.png"));
    assert!(found >= 45.0, "{found} dB");
    machine.vary("lazy", "auto.png", &[]).succeeded();
    let found = psnr(&machine.picture("cpu.png"), &machine.picture("auto.png"));
    assert!(found >= 38.0, "bf16: {found} dB");
}

#[test]
fn a_picture_is_reshaped_with_its_metadata() {
    let machine = Machine::new();
    let arguments = [
        "img2img",
        "photo.png",
        "--prompt",
        "a lake",
        "--strength",
        "0.6",
        "--steps",
        "4",
        "--seed",
        "1",
        "--size",
        "128x96",
    ];
    for (device, dtype) in [("cpu", "f32"), ("cuda:0", "f32"), ("cuda:0", "fp8"), ("cuda:0", "int8")] {
        let name = format!("{}-{dtype}.png", &device[..3]);
        let more = ["--device", device, "--dtype", dtype, "-o", &name];
        let outcome = machine.run("cards=1", &[&arguments[..], &more, &["--json"]].concat());
        let report: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
        assert_eq!(report["device"], device, "{report}");
    }
    let exact = machine.picture("cpu-f32.png");
    assert!(psnr(&exact, &machine.picture("cud-f32.png")) >= 45.0);
    let found = psnr(&exact, &machine.picture("cud-fp8.png"));
    assert!(found >= 30.0, "fp8: {found} dB");
    let found = psnr(&exact, &machine.picture("cud-int8.png"));
    assert!(found >= 30.0, "int8: {found} dB");
    // The last run: the transformer's blocks were multiplied as integers.
    let integers = |name: &str| name.starts_with("product.i8.i8i8.");
    let launches = machine.report().launches;
    assert!(
        launches.iter().filter(|(name, _)| integers(name)).map(|(_, count)| count).sum::<u64>() > 100,
        "{launches:?}"
    );
}

#[test]
fn what_cannot_be_used_is_refused_in_one_line() {
    let machine = Machine::new();
    let refused = |settings: &str, arguments: &[&str], parts: &[&str]| {
        machine.vary(settings, "x.png", arguments).refused(parts);
    };
    refused("cards=2", &["--device", "cuda:2"], &["--device", "no such card", "cuda:1 (Stand-in)"]);
    refused("capability=7.5", &["--device", "cuda"], &["compute capability 7.5", "expected 8.0", "--device cpu"]);
    refused("driver=11080", &["--device", "cuda"], &["CUDA 11.8", "expected 12.0", "525"]);
    refused("driver=12040", &["--device", "cuda"], &["Stand-in", "CUDA 13.0 (driver 580)", "offers 12.4"]);
    refused("capability=12.1,driver=12080", &["--device", "cuda"], &["CUDA 12.9", "offers 12.8"]);
    refused("cards=0", &["--device", "cuda"], &["--device"]);
    Machine::without(&["cuMemHostAlloc"])
        .vary("", "x.png", &["--device", "cuda"])
        .refused(&["cuMemHostAlloc", "driver"]);
    refused("cards=2", &["--device", "cuda:0,cuda:1"], &["--device: only `serve`", "such as cuda:0"]);
    refused("cards=2", &["--device", "cuda:all"], &["--device: only `serve`"]);
    // No driver at all: nobody puts one in the way.
    machine.context.run(&["vary", "photo.png", "--device", "cuda"]).refused(&["no NVIDIA driver", "libcuda"]);
    machine.context.run(&["vary", "photo.png", "--device", "cpu", "--dtype", "fp8"]).refused(&["8-bit floats", "int8"]);
}

#[test]
fn auto_takes_the_processor_where_the_card_cannot_be_used() {
    let machine = Machine::new();
    for settings in ["capability=7.5", "driver=11080", "driver=12040", "cards=0", "fail=cuInit:999@1", "memory=520MiB"]
    {
        let outcome = machine.vary(settings, "x.png", &["--json"]);
        let report: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
        assert_eq!(report["device"], "cpu", "{settings}");
        assert!(outcome.stderr.contains("card"), "{settings}: why is told: {:?}", outcome.stderr);
    }
}

#[test]
fn less_memory_is_less_speed_and_the_same_picture_or_a_refusal() {
    for machine in [Machine::new(), Machine::with_cublaslt(&[])] {
        let on_card = ["--device", "cuda"];
        machine.vary("", "all.png", &on_card).succeeded();
        let peak = || machine.report().cards[0].peak_bytes;
        let (all, most) = (machine.picture("all.png"), peak());
        let (mut refused, mut least) = (0, most);
        // Half a gibibyte stays free, and the library has some for itself.
        for memory in (530..670).step_by(7) {
            let outcome = machine.vary(&format!("memory={memory}MiB"), "less.png", &on_card);
            if outcome.code == Some(0) {
                assert_eq!(machine.picture("less.png"), all, "{memory} MiB");
                assert!(peak() <= (memory - 512) << 20, "{memory} MiB: {}", peak());
                least = least.min(peak());
            } else {
                outcome.refused(&["of memory"]);
                refused += 1;
            }
        }
        // Encoders are not kept where there is no room for them beside the rest.
        assert!(refused > 0 && least + (3 << 20) < most, "{refused} refused, {least} of {most}");
    }
}

#[test]
fn failures_of_the_card_are_told() {
    let machine = Machine::new();
    let on_card = ["--device", "cuda"];
    machine.vary("", "x.png", &on_card).succeeded();
    // One of the last launches: long after the self-test.
    let late = machine.report().calls["cuLaunchKernel"] - 50;
    machine.vary(&format!("fail=cuLaunchKernel:700@{late}.."), "x.png", &on_card).failed(1, &["700"]);
    machine.vary("oom_after=4MiB", "x.png", &on_card).refused(&["out of memory"]);
    // A failure that is nobody's input, after which the card still works.
    machine.vary(&format!("fail=cuLaunchKernel:400@{late}"), "x.png", &on_card).failed(1, &["--device", "400"]);
}

#[test]
fn a_kernel_that_gives_other_numbers_is_not_used() {
    let machine = Machine::new();
    let outcome = machine.run("", &["doctor", "--json"]);
    let report: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
    assert_eq!(report["auto"], "cuda:0");
    let test = &report["cards"][0]["self_test"];
    assert_eq!(test["struck"].as_array().map(Vec::len), Some(0), "{test}");
    let passed = test["passed"].as_array().unwrap().len();
    let text = machine.run("capability=8.6,name=Some card", &["doctor"]).succeeded().text();
    for part in [
        "CUDA 13.0",
        "cuda:0: Some card, compute capability 8.6",
        "run now: ",
        "kernels right, 0 not",
        "auto takes cuda:0",
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
    // The first launches fail: what they were for is struck, and the rest serves.
    let outcome = machine.run("fail=cuModuleLoadData:209@40", &["doctor", "--json"]);
    let report: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
    let test = &report["cards"][0]["self_test"];
    assert_eq!(test["struck"].as_array().map(Vec::len), Some(1), "{test}");
    assert_eq!(test["passed"].as_array().map(Vec::len), Some(passed - 1));
    let text = machine.context.run(&["doctor"]).succeeded().text();
    assert!(text.contains("no NVIDIA driver") && text.contains("auto takes cpu"), "{text}");
}

#[test]
fn a_self_test_that_was_passed_is_kept() {
    let machine = Machine::new();
    let vary =
        ["vary", "photo.png", "--size", "64x64", "--steps", "1", "--seed", "1", "--device", "cuda", "-o", "x.png"];
    let launches = |cache: &str, settings: &str, more: &[&str]| {
        machine.run_with(cache, settings, &[&vary[..], more].concat()).succeeded();
        machine.report().launches.values().sum::<u64>()
    };
    let (tried, kept) = (launches("cache", "", &[]), launches("cache", "", &[]));
    assert!(kept + 300 < tried, "{kept}, {tried}");
    // What else a kernel's numbers depend on.
    for (settings, more) in [("driver=13010", &[][..]), ("name=Other", &[]), ("", &["--dtype", "f32"])] {
        let first = launches("cache", settings, more);
        assert!(first > launches("cache", settings, more) + 50, "{settings} {more:?}");
    }
    // Damaged, or anybody's: tried again, and kept again.
    let folder = machine.context.path("cache").join("afterimage/self-tests");
    for file in std::fs::read_dir(&folder).unwrap() {
        std::fs::write(file.unwrap().path(), "{\"key\":").unwrap();
    }
    assert_eq!(launches("cache", "", &[]), tried);
    assert_eq!(launches("cache", "", &[]), kept);
    // A place where nothing can be kept stops nobody; `doctor` always tries.
    std::fs::write(machine.context.path("file"), "").unwrap();
    assert_eq!(launches("file", "", &[]), tried);
    machine.run_with("cache", "", &["doctor", "--dtype", "auto"]).succeeded();
    assert!(machine.report().launches.values().sum::<u64>() > 300);
}
