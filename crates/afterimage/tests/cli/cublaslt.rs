//! NVIDIA's library for products, as the stand-in pretends it: used where it is found, never needed.

use crate::card::{Machine, psnr};
use serde_json::Value;

/// How many products of a run were the library's.
fn products(machine: &Machine) -> u64 {
    let launches = machine.report().launches;
    launches.get("cublasLtMatmul").copied().unwrap_or(0)
}

/// What `doctor` says of card 0.
fn examined(machine: &Machine, settings: &str, arguments: &[&str]) -> Value {
    let outcome = machine.run(settings, &[&["doctor", "--json"], arguments].concat());
    let report: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
    report["cards"][0].clone()
}

#[test]
fn pictures_are_made_with_it() {
    let machine = Machine::with_cublaslt(&[]);
    machine.vary("", "cpu.png", &["--device", "cpu", "--dtype", "f32"]).succeeded();
    for (dtype, least) in [("bf16", 38.0), ("fp8", 28.0), ("int8", 28.0)] {
        let name = format!("{dtype}.png");
        machine.vary("lazy,strict", &name, &["--device", "cuda", "--dtype", dtype]).succeeded();
        let report = machine.report();
        assert_eq!(report.complaints, [""; 0], "{dtype}");
        assert_eq!((report.library_objects, report.cards[0].leaked_bytes), (0, 0), "{dtype}");
        // About 20 are the self-test's.
        assert!(products(&machine) > 30, "{dtype}: {:?}", report.launches);
        let found = psnr(&machine.picture("cpu.png"), &machine.picture(&name));
        assert!(found >= least, "{dtype}: {found} dB");
    }
    // f32 is for equality, which the library does not promise.
    machine.vary("", "f32.png", &["--device", "cuda", "--dtype", "f32"]).succeeded();
    assert_eq!(products(&machine), 0);
}

#[test]
fn doctor_tells_of_it() {
    let machine = Machine::with_cublaslt(&[]);
    let card = examined(&machine, "", &[]);
    assert_eq!(card["cublaslt"], "13.1.0");
    assert_eq!(card["self_test"]["struck"], Value::Array(Vec::new()), "{card}");
    let text = machine.run("", &["doctor"]).succeeded().text();
    assert!(text.contains("cuBLASLt: 13.1.0, 6 kinds of products\n"), "{text}");
    assert_eq!(examined(&Machine::new(), "", &[])["cublaslt"], "not found");
    assert_eq!(examined(&machine, "", &["--dtype", "f32"])["cublaslt"], "not used for f32");
    // It is the first to do without.
    let full = examined(&machine, "oom_after=40MiB", &[]);
    assert_eq!(full["cublaslt"], "not used: the card has no memory left for it");
    assert_eq!(full["problem"], Value::Null);
}

#[test]
fn what_is_wrong_with_it_stops_nobody() {
    let machine = Machine::with_cublaslt(&[]);
    machine.vary("", "without.png", &["--device", "cpu", "--dtype", "f32"]).succeeded();
    // Each with a picture that is right, and what the library did for it.
    let sound = |machine: &Machine, settings: &str, is_used: bool| {
        machine.vary(settings, "x.png", &["--device", "cuda", "--dtype", "bf16"]).succeeded();
        let found = psnr(&machine.picture("without.png"), &machine.picture("x.png"));
        assert!(found >= 38.0, "{settings}: {found} dB");
        assert_eq!(products(machine) > 60, is_used, "{settings}: {}", products(machine));
    };
    // It gives wrong numbers: what shows them is struck, the rest (sums without a bias) is used.
    let card = examined(&machine, "wrong_library", &[]);
    let struck: Vec<&str> =
        card["self_test"]["struck"].as_array().unwrap().iter().map(|kernel| kernel["name"].as_str().unwrap()).collect();
    assert!(struck.contains(&"cublaslt.bf16.bf16.store") && struck.contains(&"cublaslt.bf16.bf16.gelu"), "{struck:?}");
    assert!(struck.iter().all(|name| name.starts_with("cublaslt.")), "{struck:?}");
    assert_eq!(card["problem"], Value::Null);
    sound(&machine, "wrong_library", false);
    // It fails at what it promised: the reason is its own.
    let card = examined(&machine, "fail=cublasLtMatmul:14@1..", &[]);
    let problem = card["self_test"]["struck"][0]["problem"].as_str().unwrap();
    assert_eq!(problem, "cublasLtMatmul: CUBLAS_STATUS_INTERNAL_ERROR (14)");
    sound(&machine, "fail=cublasLtMatmul:14@1..", false);
    // In the middle of a run, once: this kind is done by our own from there on.
    sound(&machine, "fail=cublasLtMatmul:13@40", true);
    // It has nothing for what is asked: no fault.
    let nothing = "fail=cublasLtMatmulAlgoGetHeuristic:15@1..";
    assert_eq!(examined(&machine, nothing, &[])["self_test"]["struck"], Value::Array(Vec::new()));
    sound(&machine, nothing, false);
    // It had nothing while it was tried, and has something later: that was never tried, now or when it is kept.
    let first: Vec<String> = (1..=40).map(|call| format!("cublasLtMatmulAlgoGetHeuristic:15@{call}")).collect();
    sound(&machine, &format!("wrong_library,fail={}", first.join("+")), false);
    let kept = machine.run_with("kept", &format!("fail={}", first.join("+")), &["doctor"]);
    assert!(kept.succeeded().text().contains("cuBLASLt: 13.1.0\n"), "no kind of product serves");
    let vary = ["vary", "photo.png", "--size", "64x64", "--steps", "1", "--device", "cuda", "-o", "kept.png"];
    machine.run_with("kept", "", &vary).succeeded();
    assert_eq!(products(&machine), 0);
    // It is asked wrongly: told, not passed over.
    let card = examined(&machine, "fail=cublasLtMatmulAlgoGetHeuristic:7@1..", &[]);
    let problem = card["self_test"]["struck"][0]["problem"].as_str().unwrap();
    assert_eq!(problem, "cublasLtMatmulAlgoGetHeuristic: CUBLAS_STATUS_INVALID_VALUE (7)");
    // Rows of 8-bit floats are seen through as well.
    let card = examined(&machine, "wrong_library", &["--dtype", "fp8"]);
    let struck = card["self_test"]["struck"].to_string();
    assert!(struck.contains("cublaslt.f8.bf16.store") && struck.contains("cublaslt.f8.f32.gelu"), "{struck}");
    // It cannot begin.
    let card = examined(&machine, "fail=cublasLtCreate:3@1..", &[]);
    assert_eq!(card["cublaslt"], "not used: cublasLtCreate: CUBLAS_STATUS_ALLOC_FAILED (3)");
    // Another release, or a damaged file.
    let other = Machine::with_cublaslt(&["cublasLtMatmulAlgoGetHeuristic"]);
    let card = examined(&other, "", &[]);
    assert_eq!(card["cublaslt"], "not used: the library has no cublasLtMatmulAlgoGetHeuristic");
    // Rows of 8-bit floats with a scale each: Hopper alone has them.
    let fp8 = |settings: &str| {
        let passed = examined(&machine, settings, &["--dtype", "fp8"])["self_test"]["passed"].to_string();
        passed.contains("cublaslt.f8.")
    };
    assert!(fp8("") && !fp8("capability=8.9") && !fp8("capability=12.0"));
}

#[test]
fn it_can_be_turned_off_or_named() {
    let machine = Machine::with_cublaslt(&[]);
    let found = |variable: &str| {
        let mut command = machine.command("", &["doctor", "--json"]);
        let outcome = crate::context::finish(command.env("AFTERIMAGE_CUBLASLT", variable), &[]);
        let report: Value = serde_json::from_slice(&outcome.succeeded().stdout).unwrap();
        report["cards"][0]["cublaslt"].as_str().unwrap().to_owned()
    };
    assert_eq!(found("off"), "turned off");
    assert_eq!(found(machine.context.path("driver/libcublasLt.so.13").to_str().unwrap()), "13.1.0");
    let missing = found("/nowhere/libcublasLt.so");
    assert!(missing.starts_with("not used: AFTERIMAGE_CUBLASLT: /nowhere/libcublasLt.so: "), "{missing}");
}

#[test]
fn a_card_that_is_lost_in_a_product_is_told() {
    let machine = Machine::with_cublaslt(&[]);
    let on_card = ["--device", "cuda", "--dtype", "bf16"];
    // What the library meets is the driver's to tell, when it is asked next.
    machine.vary("fail=cublasLtMatmul:700@40..", "x.png", &on_card).failed(1, &["700"]);
}
