//! Written files: their pixels and what they say about themselves.

#![allow(clippy::unwrap_used)]

use afterimage_imaging::{Error, OutputFormat, OutputMetadata, Picture, PictureLimits, decode, encode};

fn gradient(width: u32, height: u32) -> Picture {
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [(x * 4) as u8, (y * 5) as u8, 128]));
    Picture::from_rgb(width, height, pixels.collect()).unwrap()
}

fn contains(file: &[u8], text: &str) -> bool {
    file.windows(text.len()).any(|window| window == text.as_bytes())
}

#[test]
fn png_keeps_every_pixel() {
    let picture = gradient(61, 47);
    let file = encode(&picture, OutputFormat::Png, &OutputMetadata::new("{}")).unwrap();
    assert_eq!(decode(&file, "result", &PictureLimits::default()).unwrap(), picture);
}

#[test]
fn jpeg_stays_close() {
    let picture = gradient(61, 47);
    let file = encode(&picture, OutputFormat::Jpeg, &OutputMetadata::new("{}")).unwrap();
    let read = decode(&file, "result", &PictureLimits::default()).unwrap();
    let difference = picture.rgb().iter().zip(read.rgb()).map(|(one, other)| one.abs_diff(*other)).max().unwrap();
    assert!(difference <= 6, "{difference} levels");
}

#[test]
fn files_say_that_they_are_generated() {
    let parameters = r#"{"prompt":"a lighthouse","seed":7}"#;
    for format in [OutputFormat::Png, OutputFormat::Jpeg] {
        let file = encode(&gradient(8, 8), format, &OutputMetadata::new(parameters)).unwrap();
        for text in ["AI generated; afterimage ", "AI generated picture", "trainedAlgorithmicMedia", parameters] {
            assert!(contains(&file, text), "{format:?} lacks {text}");
        }
    }
}

#[test]
fn text_chunks_are_read_back() {
    let parameters = "{\"prompt\":\"ein Bär, 熊 \u{1f43b}\"}";
    let file = encode(&gradient(8, 8), OutputFormat::Png, &OutputMetadata::new(parameters)).unwrap();
    let reader = png::Decoder::new(std::io::Cursor::new(&file)).read_info().unwrap();
    let info = reader.info();
    let plain = |keyword: &str| info.uncompressed_latin1_text.iter().find(|chunk| chunk.keyword == keyword);
    let international = |keyword: &str| info.utf8_text.iter().find(|chunk| chunk.keyword == keyword);
    assert!(plain("Software").unwrap().text.starts_with("AI generated; afterimage "));
    assert_eq!(international("parameters").unwrap().get_text().unwrap(), parameters);
    assert!(international("XML:com.adobe.xmp").is_some());
    assert!(info.exif_metadata.is_some());
}

#[test]
fn long_and_strange_texts_do_not_break_the_file() {
    let picture = gradient(8, 8);
    for parameters in ["x".repeat(70_000), "\0\u{1}\u{7f}\u{80}".to_owned(), "ä".repeat(40_000), String::new()] {
        for format in [OutputFormat::Png, OutputFormat::Jpeg] {
            let metadata = OutputMetadata { software: "a\0\"<&>ü".to_owned(), ..OutputMetadata::new(&*parameters) };
            let file = encode(&picture, format, &metadata).unwrap();
            decode(&file, "result", &PictureLimits::default()).unwrap();
            if parameters.starts_with('x') && format == OutputFormat::Jpeg {
                assert!(contains(&file, &"x".repeat(60_000)));
            }
        }
    }
}

#[test]
fn a_side_too_long_for_jpeg_is_refused() {
    let picture = Picture::from_rgb(70_000, 1, vec![0; 210_000]).unwrap();
    let metadata = OutputMetadata::new("{}");
    assert!(encode(&picture, OutputFormat::Png, &metadata).is_ok());
    assert!(matches!(encode(&picture, OutputFormat::Jpeg, &metadata), Err(Error::Field { field: "size", .. })));
}
