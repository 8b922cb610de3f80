//! Pictures as cameras, scanners, printers and old programs write them, against what Pillow reads (`make_inputs.py`).

#![allow(clippy::unwrap_used)]

use afterimage_imaging::{PictureLimits, SourcePicture, decode, decode_source, read_header};
use std::fmt::Write;
use std::path::PathBuf;

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "inputs"].iter().collect()
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(name)).unwrap()
}

fn read(name: &str) -> SourcePicture {
    decode_source(&bytes(name), name, &PictureLimits::default()).unwrap()
}

/// File, expected pixels and levels by which they may differ.
fn manifest() -> Vec<(String, String, u8)> {
    let text = std::fs::read_to_string(folder().join("manifest.txt")).unwrap();
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[0].to_owned(), words[1].to_owned(), words[2].parse().unwrap())
    };
    text.lines().map(line).collect()
}

#[test]
fn every_input_is_read_as_pillow_reads_it() {
    let limits = PictureLimits::default();
    let mut wrong = String::new();
    let mut right = 0;
    for (name, expected, levels) in manifest() {
        let expected = read(&format!("expected/{expected}")).picture;
        let file = bytes(&name);
        let picture = match decode(&file, &name, &limits) {
            Ok(picture) => picture,
            Err(error) => {
                writeln!(wrong, "{error}").unwrap();
                continue;
            }
        };
        let sizes = [(picture.width(), picture.height()), (expected.width(), expected.height())];
        if sizes[0] != sizes[1] {
            writeln!(wrong, "{name}: {sizes:?}").unwrap();
            continue;
        }
        let difference = picture.rgb().iter().zip(expected.rgb()).map(|(one, other)| one.abs_diff(*other)).max();
        if difference > Some(levels) {
            writeln!(wrong, "{name}: {} levels", difference.unwrap()).unwrap();
            continue;
        }
        // The program decodes under what the header claims.
        let header = read_header(&file, &name, &limits).unwrap();
        assert_eq!(decode(&file, &name, &header.limits()).unwrap(), picture, "{name}");
        right += 1;
    }
    assert!(wrong.is_empty(), "{right} right, wrong:\n{wrong}");
    assert!(right > 500, "{right} files");
}

#[test]
fn conversions_are_reported() {
    for (name, profile) in [
        ("icc-display-p3.png", Some("Display P3")),
        ("icc-adobe-rgb.jpg", Some("Adobe RGB (1998)")),
        ("icc-cmyk.jpg", Some("Printer")),
        ("icc-grey-18.tif", Some("Gray Gamma 1.8")),
        ("icc-ignored-srgb.png", None),
        ("icc-ignored-broken.png", None),
        ("rgb-8-le.tif", None),
    ] {
        assert_eq!(read(name).converted_from.as_deref(), profile, "{name}");
    }
}

#[test]
fn a_raw_file_with_its_preview_first_is_refused() {
    let file = bytes("p13-preview-first.dng");
    let limits = PictureLimits::default();
    for refused in [decode(&file, "p13", &limits).map(|_| ()), read_header(&file, "p13", &limits).map(|_| ())] {
        let message = refused.unwrap_err().to_string();
        assert!(message.starts_with("p13: looks like a camera raw file (DNG); develop it first"), "{message}");
    }
}
