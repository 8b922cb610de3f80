//! Headers agree with what decoding finds, and their limits suffice for decoding.

#![allow(clippy::unwrap_used)]

use afterimage_imaging::{PictureFormat, PictureLimits, decode, read_header};
use std::path::PathBuf;

#[test]
fn headers_tell_the_size_and_what_decoding_needs() {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "decode"].iter().collect();
    let mut formats = Vec::new();
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let name = path.display().to_string();
        let Ok(picture) = decode(&bytes, &name, &PictureLimits::default()) else { continue };
        let header = read_header(&bytes, &name, &PictureLimits::default()).unwrap();
        let mut stored = [header.width, header.height];
        let mut upright = [picture.width(), picture.height()];
        // Orientation may exchange the sides.
        stored.sort_unstable();
        upright.sort_unstable();
        assert_eq!(stored, upright, "{name}");
        assert_eq!(decode(&bytes, &name, &header.limits()).unwrap(), picture, "{name}");
        assert!(header.decoding_memory() >= u64::from(header.width) * u64::from(header.height) * 16, "{name}");
        formats.push(header.format);
    }
    for format in [
        PictureFormat::Jpeg,
        PictureFormat::Png,
        PictureFormat::WebP,
        PictureFormat::Gif,
        PictureFormat::Bmp,
        PictureFormat::Tiff,
    ] {
        assert!(formats.contains(&format), "no fixture of {}", format.name());
    }
}

#[test]
fn headers_above_the_limits_are_refused() {
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec();
    png.extend([60_000_u32, 60_000].map(u32::to_be_bytes).concat());
    let message = read_header(&png, "input", &PictureLimits::default()).unwrap_err().to_string();
    assert_eq!(message, "input: PNG file: 60000x60000 pixels are too large; at most 100 megapixels are accepted");
    let message = read_header(b"<svg/>", "input", &PictureLimits::default()).unwrap_err().to_string();
    assert!(message.contains("an SVG drawing"), "{message}");
    assert!(read_header(b"\xff\xd8\xff\xe0", "input", &PictureLimits::default()).is_err());
}
