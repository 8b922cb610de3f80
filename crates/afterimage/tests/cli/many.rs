//! Many pictures by one command: folders, patterns, tables, contact sheets.

use crate::context::{Context, Outcome, SMALL, dimensions, picture};
use image::ImageFormat;
use serde_json::Value;
use std::fs;
use std::time::SystemTime;

/// A folder `in` with two pictures and something else.
fn with_folder() -> Context {
    let context = Context::new();
    fs::create_dir(context.path("in")).unwrap();
    for (name, width) in [("lake.png", 40), ("bay.jpg", 24)] {
        picture(width, 32).save_with_format(context.path(&format!("in/{name}")), ImageFormat::Png).unwrap();
    }
    context.write("in/notes.txt", "no picture");
    context
}

fn vary(context: &Context, arguments: &[&str]) -> Outcome {
    let all: Vec<&str> = ["vary"].iter().chain(arguments).chain(&SMALL).copied().collect();
    context.run(&all)
}

fn modified(context: &Context, name: &str) -> SystemTime {
    fs::metadata(context.path(name)).unwrap().modified().unwrap()
}

#[test]
fn each_picture_of_a_folder_makes_a_result() {
    let context = with_folder();
    let outcome = vary(&context, &["in", "-o", "results"]);
    assert_eq!(outcome.succeeded().text(), "results/bay-variation.png\nresults/lake-variation.png\n");
    assert!(outcome.stderr.ends_with("2 of 2 made\n"), "{}", outcome.stderr);
    vary(&context, &["in/lake.png", "-o", "out/alone.png"]).succeeded();
    let pixels = |name: &str| image::open(context.path(name)).unwrap().to_rgb8();
    assert!(pixels("out/alone.png") == pixels("results/lake-variation.png"), "as by itself");
}

#[test]
fn a_command_that_is_given_again_makes_what_is_missing() {
    let context = with_folder();
    vary(&context, &["in", "-o", "results"]).succeeded();
    let kept = modified(&context, "results/lake-variation.png");
    fs::remove_file(context.path("results/bay-variation.png")).unwrap();
    let again = vary(&context, &["in", "-o", "results"]);
    assert_eq!(again.succeeded().text(), "results/bay-variation.png\n");
    assert!(again.stderr.ends_with("1 of 2 made, 1 there already (--replace makes all again)\n"), "{}", again.stderr);
    assert_eq!(modified(&context, "results/lake-variation.png"), kept);
    let replaced = vary(&context, &["in", "-o", "results", "--replace"]);
    assert_eq!(replaced.succeeded().text().lines().count(), 2);
    assert_ne!(modified(&context, "results/lake-variation.png"), kept);
}

#[test]
fn a_picture_that_cannot_be_read_keeps_no_other_from_being_made() {
    let context = with_folder();
    context.write("in/broken.png", b"\x89PNG\r\n\x1a\n and nothing else of a picture, which is some bytes long");
    let outcome = vary(&context, &["in", "-o", "results"]);
    assert_eq!(outcome.code, Some(2), "{}", outcome.stderr);
    assert_eq!(outcome.text(), "results/bay-variation.png\nresults/lake-variation.png\n");
    let lines: Vec<&str> = outcome.stderr.lines().collect();
    assert!(lines.iter().any(|line| line.contains("broken.png") && line.contains("PNG")), "{lines:?}");
    assert!(lines.contains(&"2 of 3 made") && lines.last().unwrap().starts_with("IMAGE: broken.png could not be used"));
}

#[test]
fn patterns_and_pictures_by_themselves() {
    let context = with_folder();
    let outcome = vary(&context, &["in/*.png", "-o", "results", "--json"]);
    let report: Value = serde_json::from_str(&outcome.succeeded().text()).unwrap();
    assert_eq!(report["outputs"], serde_json::json!(["results/lake-variation.png"]));
    let both = vary(&context, &["photo.png", "in/bay.jpg", "--each", "-o", "out", "--num-images", "2"]);
    assert_eq!(both.succeeded().text().lines().count(), 4);
    assert_eq!(
        context.names_in("out"),
        ["bay-variation-1.png", "bay-variation-2.png", "photo-variation-1.png", "photo-variation-2.png"]
    );
}

#[test]
fn several_pictures_of_image_to_image_are_taken_each_by_itself() {
    let context = with_folder();
    let arguments =
        ["img2img", "in", "--prompt", "a lake", "-o", "out", "--steps", "2", "--strength", "0.5", "--seed", "1"];
    context.run(&arguments).succeeded();
    assert_eq!(context.names_in("out"), ["bay-variation.png", "lake-variation.png"]);
    context.run(&["img2img", "photo.png", "photo.png", "--prompt", "x"]).refused(&["IMAGE", "2 pictures"]);
}

#[test]
fn a_folder_needs_another_folder_for_its_results() {
    let context = with_folder();
    context.refuses(&["vary", "in"], &["--output", "folder"]);
    context.refuses(&["vary", "in", "-o", "in"], &["--output", "another folder"]);
    context.refuses(&["vary", "in/*.png", "-o", "in"], &["--output", "another folder"]);
    context.refuses(&["vary", "in", "-o", "photo.png"], &["--output", "photo.png"]);
    context.refuses(&["vary", "in", "-o", "-"], &["--output", "folder"]);
    context.refuses(&["vary", "out", "-o", "results"], &["IMAGE", "folder without pictures"]);
    context.refuses(&["vary", "none*.png", "-o", "results"], &["IMAGE", "pattern"]);
    context.refuses(&["vary", "-", "-", "--each", "-o", "out"], &["standard input"]);
}

#[test]
fn a_table_has_a_cell_for_each_pair_of_values() {
    let context = Context::new();
    let small = ["--size", "64x48", "--steps", "1"];
    let run = |arguments: &[&str]| {
        let all: Vec<&str> = ["vary", "photo.png"].iter().chain(arguments).chain(&small).copied().collect();
        context.run(&all)
    };
    let outcome = run(&["--grid", "redux-strength=0.5,1", "seed=1..3", "--json"]);
    let report: Value = serde_json::from_str(&outcome.succeeded().text()).unwrap();
    assert_eq!(report["outputs"], serde_json::json!(["photo-grid.png"]));
    let seeds: Vec<u64> =
        report["cells"].as_array().unwrap().iter().map(|cell| cell["seed"].as_u64().unwrap()).collect();
    assert_eq!(seeds, [1, 1, 2, 2, 3, 3]);
    let (width, height) = dimensions(&context.path("photo-grid.png"));
    assert!(width > 2 * 64 && width < 2 * 64 + 150 && height > 3 * 48 && height < 3 * 48 + 80, "{width}x{height}");

    // Each cell is the picture that the command makes of its values.
    run(&["--redux-strength", "0.5", "--seed", "3", "-o", "out/cell.png"]).succeeded();
    let cell = image::open(context.path("out/cell.png")).unwrap().to_rgb8();
    let sheet = image::open(context.path("photo-grid.png")).unwrap().to_rgb8();
    let is_at =
        |x: u32, y: u32| cell.enumerate_pixels().all(|(dx, dy, pixel)| sheet.get_pixel(x + dx, y + dy) == pixel);
    // Last row, first column.
    let top = height - 48 - 8;
    assert!((0..width - 64 - 64).any(|left| is_at(left, top)), "the cell is in the table");

    let drawn = run(&["--grid", "guidance=1,5", "--json", "-o", "out/drawn.png"]);
    let report: Value = serde_json::from_str(&drawn.succeeded().text()).unwrap();
    assert_eq!(report["cells"][0]["seed"], report["cells"][1]["seed"], "one seed for all cells");
}

#[test]
fn what_is_no_table_is_refused_before_anything_runs() {
    let context = Context::new();
    for (arguments, parts) in [
        (&["--grid", "strength=0.5"][..], &["--grid", "strength"][..]),
        (&["--grid", "seed=1", "--grid", "seed=2"], &["--grid", "twice"]),
        (&["--grid", "seed=1", "--grid", "steps=1", "--grid", "guidance=1"], &["--grid", "3 settings"]),
        (&["--grid", "steps=0,1"], &["--steps", "0"]),
        (&["--grid", "redux-strength=0..2"], &["--redux-strength", "2"]),
        (&["--grid", "seed=1..3", "--num-images", "2"], &["--grid", "--num-images"]),
        (&["--grid", "seed=one"], &["--grid", "one"]),
        (&["--contact-sheet", "out"], &["--contact-sheet", "folder"]),
        (&["--contact-sheet", "-"], &["--contact-sheet", "file"]),
        (&["--contact-sheet", "sheet.webp"], &["--contact-sheet", ".webp"]),
    ] {
        let all: Vec<&str> = ["vary", "photo.png"].iter().chain(arguments).copied().collect();
        context.refuses(&all, parts);
    }
}

#[test]
fn a_contact_sheet_shows_what_was_made_and_what_was_there() {
    let context = with_folder();
    vary(&context, &["in/lake.png", "-o", "out/sheet-of-one.png", "--contact-sheet", "one.jpg"]).succeeded();
    assert!(fs::read(context.path("one.jpg")).unwrap().starts_with(b"\xff\xd8\xff"));
    vary(&context, &["in", "-o", "results", "--contact-sheet", "first.png"]).succeeded();
    vary(&context, &["in", "-o", "results", "--contact-sheet", "again.png"]).succeeded();
    let read = |name: &str| image::open(context.path(name)).unwrap().to_rgb8();
    assert_eq!(read("first.png").dimensions(), (8 + 4 * 264, 8 + 292));
    assert!(read("first.png") == read("again.png"), "results that were there are shown like those that are made");
}
