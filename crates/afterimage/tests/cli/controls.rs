//! Masks, starts and second seeds on the command line, and results of them made again.

use crate::context::{Context, SMALL};
use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use std::fs;

/// A folder with the masks `half.png`, white on the right, and `black.png`.
fn with_masks() -> Context {
    let context = Context::new();
    let half = GrayImage::from_fn(48, 32, |x, _| Luma([if x < 24 { 0 } else { 255 }]));
    half.save_with_format(context.path("half.png"), ImageFormat::Png).unwrap();
    GrayImage::new(3, 3).save_with_format(context.path("black.png"), ImageFormat::Png).unwrap();
    context
}

fn with_small<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    arguments.iter().copied().chain(SMALL).collect()
}

fn read(context: &Context, name: &str) -> Vec<u8> {
    fs::read(context.path(name)).unwrap()
}

#[test]
fn every_control_is_in_the_file_that_it_made() {
    let context = with_masks();
    for (name, arguments, sources) in [
        ("masked.png", &["--image-mask", "half.png"][..], &["photo.png", "half.png"][..]),
        ("started.png", &["--init", "half.png", "--strength", "0.7"], &["photo.png", "half.png"]),
        ("balanced.png", &["--balance", "even"], &["photo.png"]),
        ("spans.png", &["--redux-strength", "0.9,0.2@0.5:1"], &["photo.png"]),
        ("near.png", &["--variation-seed", "9", "--variation-strength", "0.3"], &["photo.png"]),
        (
            "all.png",
            &["--image-mask", "half.png", "--init", "photo.png", "--variation-strength", "0.3"],
            &["photo.png", "half.png", "photo.png"],
        ),
    ] {
        let vary = with_small(&[&["vary", "photo.png", "-o", name], arguments].concat());
        context.run(&vary).succeeded();
        context.run(&[&["again", name, "-o", "again.png"], sources].concat()).succeeded();
        assert!(read(&context, name) == read(&context, "again.png"), "{name}");
    }
    let paint = [
        "img2img",
        "photo.png",
        "--mask",
        "half.png",
        "--prompt",
        "red",
        "--steps",
        "3",
        "--seed",
        "7",
        "--dtype",
        "f32",
        "--keep-outside",
        "-o",
        "painted.png",
    ];
    context.run(&paint).succeeded();
    context.run(&["again", "painted.png", "photo.png", "half.png", "-o", "again.png"]).succeeded();
    assert!(read(&context, "painted.png") == read(&context, "again.png"));
    let pixels = |name: &str| -> RgbImage { image::open(context.path(name)).unwrap().into_rgb8() };
    let (painted, photo) = (pixels("painted.png"), pixels("photo.png"));
    assert!(photo.enumerate_pixels().filter(|(x, ..)| *x < 24).all(|(x, y, pixel)| painted.get_pixel(x, y) == pixel));
    context.run(&["again", "painted.png", "photo.png"]).refused(&["IMAGE", "a picture, a mask"]);
}

#[test]
fn a_result_knows_what_it_was_made_of() {
    let context = with_masks();
    RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 * 6, y as u8 * 8, 90])).save(context.path("other.png")).unwrap();
    let made = ["vary", "photo.png", "other.png", "--image-mask", "half.png,none", "-o", "made.png"];
    context.run(&with_small(&made)).succeeded();
    // In any order, and under any name.
    fs::copy(context.path("half.png"), context.path("mask.png")).unwrap();
    for sources in [["photo.png", "half.png", "other.png"], ["photo.png", "other.png", "mask.png"]] {
        let again = context.run(&[&["again", "made.png", "-o", "again.png"][..], &sources].concat());
        assert!(!again.succeeded().stderr.contains("warning"), "{sources:?}");
        assert!(read(&context, "made.png") == read(&context, "again.png"), "{sources:?}");
    }
    let stranger = context.run(&["again", "made.png", "half.png", "half.png", "other.png", "-o", "again.png"]);
    let warning = "warning: half.png is none of the pictures that made.png was made of";
    assert!(stranger.succeeded().stderr.contains(warning), "{}", stranger.stderr);

    context.run(&with_small(&["vary", "photo.png", "-o", "one.png"])).succeeded();
    context.run(&["again", "one.png", "photo.png", "other.png"]).refused(&["IMAGE", "2 given"]);
    let other = context.run(&["again", "one.png", "other.png", "-o", "again.png"]);
    assert!(other.succeeded().stderr.contains("warning: other.png"), "{}", other.stderr);
    // What nobody writes to is not waited for.
    context.run(&["again", "."]).refused(&["RESULT", "is no file"]);
}

#[test]
fn what_does_not_fit_together_is_refused_by_its_flag() {
    let context = with_masks();
    for (arguments, parts) in [
        (&["photo.png", "--image-mask", "half.png,half.png"][..], &["--image-mask", "2 masks for 1 pictures"][..]),
        (&["photo.png", "--image-mask", "black.png"], &["--image-mask", "black"]),
        (&["photo.png", "--image-mask", "none.png"], &["none.png", "no such file"]),
        (&["photo.png", "--balance", "fair"], &["--balance", "more-picture"]),
        (&["photo.png", "--balance", "even", "--redux-downsample", "2"], &["--balance", "--redux-downsample"]),
        (&["photo.png", "--redux-strength", "1@0:2"], &["--redux-strength", "STRENGTH@START:END"]),
        (&["photo.png", "--redux-strength", "1@0:0.6,0@0.5:1"], &["--redux-strength", "overlaps"]),
        (&["photo.png", "--variation-strength", "1.5"], &["--variation-strength", "0 to 1"]),
        (&["photo.png", "--init", "gone.png"], &["gone.png", "no such file"]),
        (&["-", "--init", "-"], &["standard input can be read only once"]),
    ] {
        context.vary_refuses(arguments, parts);
    }
    let painting = |more: &[&'static str]| [&["img2img", "photo.png", "--prompt", "p", "-o", "out"], more].concat();
    context.refuses(&painting(&["--mask", "black.png", "--mask-crop", "4"]), &["--mask", "black"]);
    context.refuses(&painting(&["--mask", "half.png", "--mask-blur", "300"]), &["--mask-blur", "0 to 256"]);
    context.refuses(&painting(&["--mask-crop", "4"]), &["--mask-crop", "--mask"]);
    context.refuses(&painting(&["--keep-outside"]), &["--keep-outside", "--mask"]);
}

#[test]
fn masks_go_with_every_picture_of_a_folder() {
    let context = with_masks();
    fs::create_dir(context.path("in")).unwrap();
    for name in ["a.png", "b.png"] {
        fs::copy(context.path("photo.png"), context.path("in").join(name)).unwrap();
    }
    let vary = with_small(&["vary", "in", "--image-mask", "half.png", "-o", "made"]);
    context.run(&vary).succeeded();
    assert_eq!(context.names_in("made").len(), 2);
    let one = with_small(&["vary", "photo.png", "--image-mask", "half.png", "-o", "one.png"]);
    context.run(&one).succeeded();
    let pixels = |name: &str| image::open(context.path(name)).unwrap().into_rgb8();
    assert!(pixels("made/a-variation.png") == pixels("one.png"));
}

#[test]
fn a_level_gives_way_to_numbers_from_nearer_by_and_the_other_way_round() {
    let context = with_masks();
    context.write("level.toml", b"[vary]\nbalance = \"even\"\n[img2img]\nmask-blur = 3\nkeep-outside = true\n");
    context.write("number.toml", b"[vary]\nredux-strength = 0.5\n");
    let made = |arguments: &[&str]| {
        context.run(&with_small(&[&["vary", "photo.png", "-o", "made.png"][..], arguments].concat())).succeeded();
        read(&context, "made.png")
    };
    let (level, number) = (made(&["--balance", "even"]), made(&["--redux-strength", "0.5"]));
    assert!(level != number);
    assert!(made(&["--config", "level.toml"]) == level);
    assert!(made(&["--config", "level.toml", "--redux-strength", "0.5"]) == number);
    assert!(made(&["--config", "number.toml", "--balance", "even"]) == level);
    // What is said of masks is for when there is one.
    let plain = ["img2img", "photo.png", "--config", "level.toml", "--prompt", "red", "-o", "plain.png"];
    context.run(&with_small(&plain)).succeeded();
}
