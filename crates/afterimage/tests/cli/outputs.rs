//! Where results go, and that nothing half-written remains.

use crate::context::{Context, Outcome, SMALL, bundle, dimensions, encoded, finish, picture};
use image::ImageFormat;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;

fn vary(context: &Context, arguments: &[&str]) -> Outcome {
    let all: Vec<&str> = ["vary"].iter().chain(arguments).chain(&SMALL).copied().collect();
    context.run(&all)
}

#[test]
fn the_default_name_is_the_inputs_in_the_working_directory() {
    let context = Context::new();
    fs::create_dir(context.path("in")).unwrap();
    fs::rename(context.path("photo.png"), context.path("in/holiday.snap.png")).unwrap();
    assert_eq!(vary(&context, &["in/holiday.snap.png"]).succeeded().text(), "holiday.snap-variation.png\n");
    assert_eq!(dimensions(&context.path("holiday.snap-variation.png")), (64, 64));
    assert_eq!(context.names_in("."), ["holiday.snap-variation.png", "in", "out"]);
}

#[test]
fn several_pictures_are_numbered() {
    let context = Context::new();
    let outcome = vary(&context, &["photo.png", "--num-images", "2", "--output", "out/a.jpg"]);
    assert_eq!(outcome.succeeded().text(), "out/a-1.jpg\nout/a-2.jpg\n");
    assert_eq!(context.names_in("out"), ["a-1.jpg", "a-2.jpg"]);
    assert!(fs::read(context.path("out/a-1.jpg")).unwrap().starts_with(b"\xff\xd8\xff"));
    assert_ne!(fs::read(context.path("out/a-1.jpg")).unwrap(), fs::read(context.path("out/a-2.jpg")).unwrap());
}

#[test]
fn the_first_of_several_is_the_only_one_of_one() {
    let context = Context::new();
    vary(&context, &["photo.png", "--num-images", "2", "--output", "out/several.png"]).succeeded();
    vary(&context, &["photo.png", "--output", "out/one.png"]).succeeded();
    let pixels = |name: &str| image::open(context.path(name)).unwrap().to_rgb8();
    assert!(pixels("out/several-1.png") == pixels("out/one.png"));
}

#[test]
fn files_are_replaced_and_runs_repeat_byte_by_byte() {
    let context = Context::new();
    context.write("out/a.png", "old");
    vary(&context, &["photo.png", "--output", "out/a.png"]).succeeded();
    let first = fs::read(context.path("out/a.png")).unwrap();
    vary(&context, &["photo.png", "--output", "out/a.png"]).succeeded();
    assert!(first == fs::read(context.path("out/a.png")).unwrap());
    assert_eq!(context.names_in("out"), ["a.png"]);
}

#[test]
fn pipes_at_both_ends() {
    let context = Context::new();
    let input = encoded(picture(1, 1), ImageFormat::Png);
    let arguments: Vec<&str> = ["vary", "-", "--output", "-", "--format", "jpeg"].into_iter().chain(SMALL).collect();
    let outcome = context.run_with_input(&arguments, &input);
    assert!(outcome.succeeded().stdout.starts_with(b"\xff\xd8\xff"));
    let arguments: Vec<&str> = ["vary", "-"].into_iter().chain(SMALL).collect();
    assert_eq!(context.run_with_input(&arguments, &input).succeeded().text(), "variation.png\n");
    assert_eq!(context.names_in("."), ["out", "photo.png", "variation.png"]);
}

#[test]
fn json_has_exactly_the_promised_fields() {
    let context = Context::new();
    let outcome = vary(&context, &["photo.png", "--json", "--output", "out"]);
    let report: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(
        keys(&report),
        [
            "device",
            "dtype",
            "enlarged_from",
            "height",
            "inputs",
            "model",
            "outputs",
            "pictures",
            "seed",
            "steps",
            "timings",
            "width"
        ]
    );
    assert!(report["enlarged_from"].is_null());
    assert_eq!(
        keys(&report["timings"]),
        ["decode_ms", "denoise_ms", "image_encode_ms", "load_ms", "safety_ms", "text_encode_ms", "total_ms"]
    );
    assert_eq!((report["seed"].as_u64(), report["width"].as_u64()), (Some(1), Some(64)));
    let output = report["outputs"][0].as_str().unwrap();
    assert_eq!(Path::new(output), Path::new("out").join("photo-variation.png"));
    assert_eq!(report["inputs"], serde_json::json!([{ "icc": null }]));
    assert_eq!(outcome.stderr, "");
}

#[test]
fn steps_from_the_cache_are_told() {
    let context = Context::new();
    let told = |threshold: &str| {
        let name = format!("out-{threshold}.png");
        let arguments = ["vary", "photo.png", "--size", "64x64", "--steps", "5", "--seed", "1", "--json"];
        let own = ["--cache-threshold", threshold, "--output", &name];
        let arguments: Vec<&str> = arguments.into_iter().chain(own).collect();
        let report: Value = serde_json::from_slice(&context.run(&arguments).succeeded().stdout).unwrap();
        assert_eq!(report["steps"], 5);
        let file = fs::read(context.path(&name)).unwrap();
        let record = |text: &str| file.windows(text.len()).any(|part| part == text.as_bytes());
        (report["pictures"][0]["cached_steps"].as_u64(), record(r#""cache":{"threshold":1.0,"cached_steps":3}"#))
    };
    assert_eq!(told("0"), (Some(0), false));
    assert_eq!(told("1"), (Some(3), true));
}

#[test]
fn json_says_when_a_profile_was_converted() {
    let context = Context::new();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../afterimage-imaging/tests/fixtures/inputs");
    fs::copy(fixtures.join("icc-display-p3.png"), context.path("phone.png")).unwrap();
    let outcome = vary(&context, &["phone.png", "photo.png", "--json", "--output", "out"]);
    let report: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
    assert_eq!(report["inputs"], serde_json::json!([{ "icc": "Display P3 → sRGB" }, { "icc": null }]));
}

#[test]
fn large_pictures_of_the_demo_model_are_enlarged_unless_told_otherwise() {
    let context = Context::new();
    let report = |arguments: &[&str]| -> Value {
        let common =
            ["vary", "photo.png", "--size", "288x256", "--steps", "1", "--seed", "1", "--json", "--output", "out"];
        let all: Vec<&str> = common.iter().chain(arguments).copied().collect();
        serde_json::from_slice(&context.run(&all).succeeded().stdout).unwrap()
    };
    let enlarged = report(&[]);
    assert_eq!((enlarged["steps"].as_u64(), enlarged["width"].as_u64()), (Some(2), Some(288)));
    assert_eq!(enlarged["enlarged_from"], serde_json::json!({"width": 256, "height": 256}));
    let once = report(&["--enlarge", "off"]);
    assert_eq!((once["steps"].as_u64(), &once["enlarged_from"]), (Some(1), &Value::Null));
}

#[test]
fn a_drawn_seed_is_reported_and_repeats_the_picture() {
    let context = Context::new();
    let small = ["--size", "64x64", "--steps", "1", "--json", "--output"];
    let run = |arguments: &[&str]| {
        let all: Vec<&str> = ["vary", "photo.png"].iter().chain(&small).chain(arguments).copied().collect();
        let report: Value = serde_json::from_slice(&context.run(&all).succeeded().stdout).unwrap();
        report["seed"].as_u64().unwrap()
    };
    let seed = run(&["out/drawn.png"]);
    assert_eq!(run(&["out/again.png", "--seed", &seed.to_string()]), seed);
    assert!(fs::read(context.path("out/drawn.png")).unwrap() == fs::read(context.path("out/again.png")).unwrap());
}

#[test]
fn the_file_says_how_it_was_made() {
    let context = Context::new();
    vary(&context, &["photo.png", "--prompt", "an octopus", "--output", "out/a.png"]).succeeded();
    let bytes = fs::read(context.path("out/a.png")).unwrap();
    for part in ["AI generated", "an octopus", "\"seed\":1", "\"steps\":1", "an octopus\nSteps: 1, Sampler: Euler, "] {
        assert!(holds(&bytes, part), "{part}");
    }
}

fn holds(bytes: &[u8], part: &str) -> bool {
    bytes.windows(part.len()).any(|window| window == part.as_bytes())
}

#[test]
fn the_file_says_as_much_as_is_wanted() {
    let context = Context::new();
    for name in ["a.png", "a.jpg"] {
        let path = format!("out/{name}");
        let made = |level: &str| {
            let arguments = ["photo.png", "--prompt", "an octopus", "--output", &path, "--metadata", level];
            vary(&context, &arguments).succeeded();
            fs::read(context.path(&path)).unwrap()
        };
        let (full, minimal, none) = (made("full"), made("minimal"), made("none"));
        assert!(holds(&full, "AI generated") && holds(&full, "\"prompt\":\"an octopus\""), "{name}");
        assert!(holds(&minimal, "AI generated") && !holds(&minimal, "octopus") && !holds(&minimal, "seed"), "{name}");
        assert!(!holds(&none, "AI generated") && !holds(&none, "octopus") && !holds(&none, "fterimage"), "{name}");
        let pixels = |bytes: &[u8]| image::load_from_memory(bytes).unwrap();
        assert!(pixels(&full) == pixels(&none) && pixels(&full) == pixels(&minimal));
    }
    Context::new().vary_refuses(&["photo.png", "--metadata", "some"], &["--metadata", "full"]);
    let outcome = context.run_with_variable(
        &["vary", "photo.png", "--size", "64x64", "--steps", "1", "--output", "out/b.png"],
        "AFTERIMAGE_METADATA",
        "none",
    );
    outcome.succeeded();
    assert!(!holds(&fs::read(context.path("out/b.png")).unwrap(), "fterimage"));
}

/// Results are passed on; the folders of the machine that made them are nobody's business.
#[test]
fn the_file_names_the_model_and_not_where_it_lies() {
    let context = Context::new();
    let (base, redux) = (bundle("dev/base"), bundle("dev/redux"));
    let (base, redux) = (base.to_str().unwrap(), redux.to_str().unwrap());
    for base in [base.to_owned(), format!("{base}/"), format!("{base}/vae/..")] {
        vary(&context, &["photo.png", "--base", &base, "--redux", redux, "--output", "out/a.png"]).succeeded();
        let bytes = fs::read(context.path("out/a.png")).unwrap();
        assert!(holds(&bytes, "\"model\":\"base\"") && holds(&bytes, "Model: base, "), "{base}");
        assert!(!holds(&bytes, "parity"), "{base}");
    }
}

#[test]
fn threads_do_not_change_the_picture() {
    let context = Context::new();
    // The decoder of a large JPEG computes on threads of its own accord.
    let jpeg = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/photos/lake.jpg");
    for (index, photo) in ["photo.png", jpeg].into_iter().enumerate() {
        let output = |threads: &str| format!("out/{index}-{threads}.png");
        for threads in ["1", "3"] {
            vary(&context, &[photo, "--threads", threads, "--output", &output(threads)]).succeeded();
        }
        assert!(
            fs::read(context.path(&output("1"))).unwrap() == fs::read(context.path(&output("3"))).unwrap(),
            "{photo}"
        );
    }
    for wrong in ["0", "-1", "1025", "many"] {
        Context::new().vary_refuses(&["photo.png", "--threads", wrong], &["--threads"]);
    }
    let outcome = context.run(&["bench", "--threads", "2", "--size", "64x64", "--steps", "1", "--json"]);
    let report: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
    assert_eq!(report["threads"], 2);
}

#[test]
fn image_to_image_takes_the_inputs_size() {
    let context = Context::new();
    let arguments = ["img2img", "photo.png", "--prompt", "dusk", "--steps", "2", "--seed", "1", "--output", "out"];
    assert_eq!(context.run(&arguments).succeeded().text(), "out/photo-variation.png\n");
    assert_eq!(dimensions(&context.path("out/photo-variation.png")), (48, 32));
}

#[test]
fn several_inputs_are_mixed() {
    let context = Context::new();
    context.write("other.jpg", encoded(picture(33, 77), ImageFormat::Jpeg));
    vary(&context, &["photo.png", "other.jpg", "--image-weight", "0.7", "--image-weight", "0.3", "-o", "out/a.png"])
        .succeeded();
    vary(&context, &["photo.png", "other.jpg", "--image-weight", "0.7,0.3", "-o", "out/b.png"]).succeeded();
    let pixels = |name: &str| image::open(context.path(name)).unwrap().to_rgb8();
    assert!(pixels("out/a.png") == pixels("out/b.png"));
}

#[test]
fn targets_that_cannot_be_written_are_refused_before_anything_runs() {
    let context = Context::new();
    let protected = context.write("protected.png", "keep");
    let mut permissions = fs::metadata(&protected).unwrap().permissions();
    permissions.set_readonly(true);
    fs::set_permissions(&protected, permissions).unwrap();
    for (arguments, parts) in [
        (&["--output", "nowhere/a.png"][..], &["--output", "nowhere/a.png"][..]),
        (&["--output", "nowhere/"], &["--output", "nowhere/"]),
        (&["--output", "photo.png/a.png"], &["--output", "photo.png/a.png"]),
        (&["--output", "protected.png"], &["--output", "protected.png", "write-protected"]),
        (&["--output", ""], &["--output"]),
        (&["--output", "a.jpg", "--format", "png"], &["--output", "--format", "a.jpg", "png"]),
        (&["--output", "a.png", "--format", "jpeg"], &["--output", "--format", "a.png", "jpeg"]),
        (&["--output", "a.webp"], &["--output", "a.webp", ".png"]),
        (&["--output", "-", "--num-images", "2"], &["--output", "--num-images"]),
        (&["--output", "-", "--json"], &["--output", "JSON"]),
    ] {
        let all: Vec<&str> = ["vary", "photo.png"].iter().chain(arguments).copied().collect();
        context.refuses(&all, parts);
    }
    assert_eq!(fs::read(protected).unwrap(), b"keep");
}

#[cfg(target_os = "linux")]
#[test]
fn folders_of_the_kernel_are_refused() {
    let context = Context::new();
    context.refuses(&["vary", "photo.png", "--output", "/proc/a.png"], &["--output", "/proc/a.png"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_leaves_nothing() {
    let context = Context::new();
    vary(&context, &["photo.png", "--output", "/dev/full"]).failed(1, &["/dev/full", "No space left on device"]);
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let arguments: Vec<&str> = ["vary", "photo.png", "--output", "-"].into_iter().chain(SMALL).collect();
    let child = context.command(&arguments).stdin(Stdio::null()).stdout(full).stderr(Stdio::piped()).spawn().unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(
        String::from_utf8_lossy(&output.stderr).lines().last(),
        Some("standard output: No space left on device")
    );
}

/// The file size limit stands in for a disk that fills up in the middle of the second file.
#[cfg(target_os = "linux")]
#[test]
fn a_write_that_fails_halfway_leaves_nothing() {
    for prepare in ["", "trap '' XFSZ; "] {
        let context = Context::new();
        context.write("out/a-1.png", "old");
        let script = format!("{prepare}ulimit -f 4; exec \"$0\" \"$@\"");
        let mut command = std::process::Command::new("sh");
        command.arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_afterimage")).current_dir(context.path("."));
        command.args(["vary", "photo.png", "--output", "out/a.png", "--num-images", "2"]).args(SMALL);
        finish(command.stdin(Stdio::null()), &[]).failed(1, &["out/a-1.png", "File too large"]);
        assert_eq!(context.names_in("out"), ["a-1.png"]);
        assert_eq!(fs::read(context.path("out/a-1.png")).unwrap(), b"old");
    }
}

/// The reader of `--output - | head -c 1` has gone before the picture is there.
#[cfg(unix)]
#[test]
fn a_reader_that_has_gone_is_one_line() {
    let context = Context::new();
    let arguments: Vec<&str> = ["vary", "photo.png", "--output", "-", "--quiet"].into_iter().chain(SMALL).collect();
    let mut child =
        context.command(&arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "standard output: Broken pipe\n");
}

#[cfg(unix)]
#[test]
fn devices_are_written_to_not_replaced() {
    use std::os::unix::fs::FileTypeExt;
    let context = Context::new();
    vary(&context, &["photo.png", "--output", "/dev/null"]).succeeded();
    assert!(fs::metadata("/dev/null").unwrap().file_type().is_char_device());
}
