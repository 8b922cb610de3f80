//! Resampling against Pillow 13.0, whose results `make_fixtures.py` stored.

#![allow(clippy::unwrap_used)]

use afterimage_imaging::{Filter, Picture, PictureLimits, Size, read_file, resize};
use std::path::Path;

/// The same generator as in `make_fixtures.py`.
fn noise(size: Size) -> Picture {
    let mut state = size.width * 7919 + size.height;
    let levels = (0..size.pixels() * 3).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    Picture::from_rgb(size.width, size.height, levels.collect()).unwrap()
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn filter(name: &str) -> Filter {
    match name {
        "bilinear" => Filter::Bilinear,
        "bicubic" => Filter::Bicubic,
        "lanczos" => Filter::Lanczos,
        _ => panic!("unknown filter {name}"),
    }
}

#[test]
fn pictures_equal_pillows() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/resize");
    let mut compared = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().unwrap() != "png" {
            continue;
        }
        let name = path.file_stem().unwrap().to_str().unwrap();
        let [source, target, filter_name] = name.split('-').collect::<Vec<_>>().try_into().unwrap();
        let resized = resize(&noise(source.parse().unwrap()), target.parse().unwrap(), filter(filter_name)).unwrap();
        assert!(resized == read_file(&path, &PictureLimits::default()).unwrap().picture, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 12);
}

#[test]
fn hashes_equal_pillows() {
    let mut differing = Vec::new();
    for line in include_str!("fixtures/resize/hashes.txt").lines() {
        let [source, target, filter_name, hash] = line.split(' ').collect::<Vec<_>>().try_into().unwrap();
        let resized = resize(&noise(source.parse().unwrap()), target.parse().unwrap(), filter(filter_name)).unwrap();
        if format!("{:016x}", fnv1a(resized.rgb())) != hash {
            differing.push(line);
        }
    }
    assert_eq!(differing, Vec::<&str>::new());
}
