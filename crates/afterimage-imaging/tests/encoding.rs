//! Written files: their pixels and what they say about themselves.

#![allow(clippy::unwrap_used)]

use afterimage_imaging::{Error, Field, OutputFormat, OutputMetadata, Picture, PictureLimits, decode, encode};

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
    assert_eq!(international("afterimage").unwrap().get_text().unwrap(), parameters);
    assert!(international("XML:com.adobe.xmp").is_some());
    assert!(info.exif_metadata.is_some());
}

/// The parts of a JPEG's header that a stranger's reader finds, after the specification alone: its EXIF block's user
/// comment as text, and its comment segments.
fn jpeg_texts(file: &[u8]) -> (Option<String>, String) {
    let (mut user_comment, mut comments, mut rest) = (None, Vec::new(), &file[2..]);
    while let [0xff, marker, high, low, ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let data = &rest[4..2 + length];
        match marker {
            0xda => break,
            0xe1 if data.starts_with(b"Exif\0\0MM\0*") => user_comment = exif_comment(&data[6..]),
            0xfe => comments.extend_from_slice(data),
            _ => {}
        }
        rest = &rest[2 + length..];
    }
    (user_comment, String::from_utf8(comments).unwrap())
}

fn exif_comment(tiff: &[u8]) -> Option<String> {
    let short = |at: usize| usize::from(u16::from_be_bytes([tiff[at], tiff[at + 1]]));
    let long = |at: usize| short(at) << 16 | short(at + 2);
    let entry = |folder: usize, tag: usize| {
        (0..short(folder)).map(|number| folder + 2 + 12 * number).find(|entry| short(*entry) == tag)
    };
    let inner = long(entry(long(4), 0x8769)? + 8);
    let comment = entry(inner, 0x9286)?;
    let (count, start) = (long(comment + 4), long(comment + 8));
    let data = tiff[start..start + count].strip_prefix(b"UNICODE\0")?;
    let units: Vec<u16> = data.chunks_exact(2).map(|unit| u16::from_be_bytes([unit[0], unit[1]])).collect();
    Some(String::from_utf16(&units).unwrap())
}

#[test]
fn text_for_browsers_and_json_for_programs_are_in_fields_of_their_own() {
    let (text, json) = ("ein Bär, 熊\nSteps: 4, Seed: 7", r#"{"prompt":"ein Bär, 熊","seed":7}"#);
    let metadata = OutputMetadata { text: Some(text.to_owned()), ..OutputMetadata::new(json) };
    let jpeg = encode(&gradient(8, 8), OutputFormat::Jpeg, &metadata).unwrap();
    assert_eq!(jpeg_texts(&jpeg), (Some(text.to_owned()), json.to_owned()));
    let png = encode(&gradient(8, 8), OutputFormat::Png, &metadata).unwrap();
    let reader = png::Decoder::new(std::io::Cursor::new(&png)).read_info().unwrap();
    let chunk = |keyword: &str| {
        let chunk = reader.info().utf8_text.iter().find(|chunk| chunk.keyword == keyword).unwrap();
        chunk.get_text().unwrap()
    };
    assert_eq!((chunk("parameters").as_str(), chunk("afterimage").as_str()), (text, json));
    assert_eq!(exif_comment(reader.info().exif_metadata.as_ref().unwrap()).as_deref(), Some(text));
}

#[test]
fn minimal_says_that_it_is_generated_and_none_says_nothing() {
    for format in [OutputFormat::Png, OutputFormat::Jpeg] {
        let minimal = encode(&gradient(8, 8), format, &OutputMetadata::minimal()).unwrap();
        assert!(contains(&minimal, "AI generated; afterimage ") && contains(&minimal, "trainedAlgorithmicMedia"));
        assert!(!contains(&minimal, "parameters") && !contains(&minimal, "UNICODE"));
        let none = encode(&gradient(8, 8), format, None).unwrap();
        for text in ["AI generated", "fterimage", "trainedAlgorithmicMedia", "Exif", "tEXt", "iTXt", "eXIf"] {
            assert!(!contains(&none, text), "{format:?} holds {text}");
        }
        decode(&none, "result", &PictureLimits::default()).unwrap();
    }
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
    assert!(matches!(encode(&picture, OutputFormat::Jpeg, &metadata), Err(Error::Field { field: Field::Size, .. })));
}
