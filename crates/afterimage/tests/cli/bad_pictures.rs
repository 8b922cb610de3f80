//! Pictures that cannot be read: exit code 2 and one line that names the file.

use crate::context::{Context, encoded, picture, repository};
use image::ImageFormat;
use std::fs;

#[test]
fn paths_that_are_no_files() {
    let context = Context::new();
    context.vary_refuses(&["missing.jpg"], &["missing.jpg"]);
    context.vary_refuses(&["out"], &["out", "folder"]);
    context.vary_refuses(&["photo.png/inside.png"], &["photo.png/inside.png"]);
    context.vary_refuses(&[""], &[]);
    context.vary_refuses(&["line\nbreak\u{1b}[31m.png"], &["line"]);
    context.vary_refuses(&[&"n".repeat(300)], &["nnn"]);
}

#[test]
fn files_that_are_no_pictures() {
    let context = Context::new();
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"10\" height=\"10\"/>";
    for (name, bytes, part) in [
        ("empty.png", &b""[..], "empty"),
        ("drawing.svg", svg.as_bytes(), "SVG"),
        ("renamed.png", svg.as_bytes(), "SVG"),
        ("notes.jpg", b"these are not pixels", "text"),
        ("page.png", b"<!DOCTYPE html><html></html>", "HTML"),
        ("archive.png", b"PK\x03\x04....", "ZIP"),
    ] {
        context.write(name, bytes);
        context.vary_refuses(&[name], &[name, part]);
        context.refuses(&["img2img", name, "--prompt", "x", "--output", "out"], &[name, part]);
    }
}

#[test]
fn damaged_files() {
    let context = Context::new();
    let encoded = |name: &'static str, format| (name, encoded(picture(120, 100), format));
    let tiff = repository().join("crates/afterimage-imaging/tests/fixtures/inputs/rgb-8-be.tif");
    for (name, bytes) in [
        encoded("cut.png", ImageFormat::Png),
        encoded("cut.jpg", ImageFormat::Jpeg),
        encoded("cut.gif", ImageFormat::Gif),
        encoded("cut.webp", ImageFormat::WebP),
        encoded("cut.bmp", ImageFormat::Bmp),
        ("cut.tiff", fs::read(tiff).unwrap()),
    ] {
        for length in [1, 20, bytes.len() / 2] {
            context.write(name, &bytes[..length]);
            context.vary_refuses(&[name], &[name]);
        }
    }
}

#[test]
fn standard_input() {
    let context = Context::new();
    for bytes in [&b""[..], b"no picture", b"\x89PNG\r\n\x1a\n"] {
        context.run_with_input(&["vary", "-", "--output", "out"], bytes).refused(&["standard input"]);
    }
    assert!(context.names_in("out").is_empty());
}

/// A PNG's signature and header chunk, which promises more than any machine holds.
#[test]
fn absurd_headers() {
    let context = Context::new();
    let header = |width: u32, height: u32| {
        let mut bytes = encoded(picture(1, 1), ImageFormat::Png);
        bytes[16..20].copy_from_slice(&width.to_be_bytes());
        bytes[20..24].copy_from_slice(&height.to_be_bytes());
        let checksum = crc32(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&checksum.to_be_bytes());
        bytes
    };
    for (width, height) in [(65_535, 65_535), (1, u32::MAX >> 1), (u32::MAX >> 1, 1), (0, 5), (20_000, 20_000)] {
        context.write("large.png", header(width, height));
        context.vary_refuses(&["large.png"], &["large.png"]);
    }
}

#[test]
fn files_that_are_too_long() {
    let context = Context::new();
    // Sparse: takes no room on the disk.
    fs::File::create(context.path("long.png")).and_then(|file| file.set_len(60_000_000)).unwrap();
    context.vary_refuses(&["long.png"], &["long.png", "50000000"]);
}

#[cfg(target_os = "linux")]
#[test]
fn devices_are_not_waited_for() {
    let context = Context::new();
    context.vary_refuses(&["/dev/zero"], &["/dev/zero"]);
    context.vary_refuses(&["/dev/null"], &["/dev/null"]);
}

fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _: u32| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
