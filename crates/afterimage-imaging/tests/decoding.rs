//! Decoding against what Pillow reads from the same files (`make_fixtures.py`).

#![allow(clippy::unwrap_used)]

use afterimage_imaging::{Picture, PictureFormat, PictureLimits, decode, read_file};
use std::path::PathBuf;

fn fixtures(folder: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", folder].iter().collect()
}

fn difference(one: &Picture, other: &Picture) -> u8 {
    assert_eq!((one.width(), one.height()), (other.width(), other.height()));
    one.rgb().iter().zip(other.rgb()).map(|(one, other)| one.abs_diff(*other)).max().unwrap()
}

#[test]
fn every_kind_of_file_is_read_as_pillow_reads_it() {
    let limits = PictureLimits::default();
    let mut read = 0;
    for entry in fixtures("decode").read_dir().unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let picture = read_file(&path, &limits).unwrap().picture;
        let expected = read_file(&fixtures("expected").join(format!("{name}.png")), &limits).unwrap().picture;
        assert!(picture == expected, "{name}: {} levels", difference(&picture, &expected));
        read += 1;
    }
    assert_eq!(read, 47);
}

#[test]
fn orientations_turn_the_picture() {
    let limits = PictureLimits::default();
    let file = |value: u8| fixtures("decode").join(format!("orientation-{value}.jpg"));
    let upright = read_file(&file(1), &limits).unwrap().picture;
    let (width, height) = (upright.width(), upright.height());
    let pixel = |picture: &Picture, x: u32, y: u32| {
        let at = (y * picture.width() + x) as usize * 3;
        <[u8; 3]>::try_from(&picture.rgb()[at..at + 3]).unwrap()
    };
    for value in 1..=8 {
        let turned = read_file(&file(value), &limits).unwrap().picture;
        for y in 0..height {
            for x in 0..width {
                // Where the table of EXIF 2.32 puts the stored pixel (x, y).
                let (to_x, to_y) = match value {
                    1 => (x, y),
                    2 => (width - 1 - x, y),
                    3 => (width - 1 - x, height - 1 - y),
                    4 => (x, height - 1 - y),
                    5 => (y, x),
                    6 => (height - 1 - y, x),
                    7 => (height - 1 - y, width - 1 - x),
                    _ => (y, width - 1 - x),
                };
                assert_eq!(pixel(&turned, to_x, to_y), pixel(&upright, x, y), "orientation {value} at {x}, {y}");
            }
        }
    }
}

#[test]
fn content_decides_whatever_the_name() {
    let bytes = std::fs::read(fixtures("decode").join("lossless.webp")).unwrap();
    assert_eq!(PictureFormat::detect(&bytes), Some(PictureFormat::WebP));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("photo.jpg");
    std::fs::write(&path, &bytes).unwrap();
    let limits = PictureLimits::default();
    assert_eq!(read_file(&path, &limits).unwrap().picture, decode(&bytes, "photo.jpg", &limits).unwrap());
}

#[test]
fn trailing_bytes_do_no_harm() {
    for name in ["420.jpg", "rgb.png", "still.gif", "lossless.webp", "raw.tif", "rgb.bmp"] {
        let mut bytes = std::fs::read(fixtures("decode").join(name)).unwrap();
        let limits = PictureLimits::default();
        let picture = decode(&bytes, name, &limits).unwrap();
        bytes.extend(b"PK\x03\x04<script>alert(1)</script>");
        assert_eq!(decode(&bytes, name, &limits).unwrap(), picture, "{name}");
    }
}
