//! Files that are broken, lie about their size, or are no pictures at all.

#![allow(clippy::unwrap_used)]

use afterimage_imaging::{Error, OutputFormat, OutputMetadata, Picture, PictureLimits, decode, encode};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Files by their names.
type Files = Vec<(String, Vec<u8>)>;

/// One file or a few of each format.
static FIXTURES: LazyLock<Files> = LazyLock::new(|| files("decode"));

/// Hundreds of kinds, see `inputs.rs`.
static INPUTS: LazyLock<Files> = LazyLock::new(|| files("inputs"));

fn files(folder: &str) -> Files {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", folder].iter().collect();
    let entries = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let read = |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(&path).unwrap());
    entries.map(read).collect()
}

fn fixture(name: &str) -> Vec<u8> {
    FIXTURES.iter().find(|(known, _)| known == name).unwrap().1.clone()
}

/// The message that refuses `bytes`.
fn refusal(bytes: &[u8]) -> String {
    match decode(bytes, "input", &PictureLimits::default()) {
        Err(error @ Error::Picture { .. }) => error.to_string(),
        Err(other) => panic!("not a picture error: {other}"),
        Ok(picture) => panic!("read as {picture:?}"),
    }
}

fn picture(bytes: &[u8]) -> Picture {
    decode(bytes, "input", &PictureLimits::default()).unwrap()
}

/// A picture whose files are tens of KiB long.
fn noise() -> Picture {
    let mut state = 1_u32;
    let levels = (0..120 * 100 * 3).map(|_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    });
    Picture::from_rgb(120, 100, levels.collect()).unwrap()
}

fn encoded_with_image(format: image::ImageFormat) -> Vec<u8> {
    let mut file = std::io::Cursor::new(Vec::new());
    let picture = noise();
    let color = image::ExtendedColorType::Rgb8;
    image::write_buffer_with_format(&mut file, picture.rgb(), picture.width(), picture.height(), color, format)
        .unwrap();
    file.into_inner()
}

/// Directory first, then one strip without compression.
fn plain_tiff(picture: &Picture) -> Vec<u8> {
    const STRIP: u32 = 8 + 2 + 8 * 12 + 4 + 6;
    let entries = [
        (256_u16, 4_u16, 1_u32, picture.width()),
        (257, 4, 1, picture.height()),
        (258, 3, 3, STRIP - 6),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, STRIP),
        (277, 3, 1, 3),
        (279, 4, 1, picture.rgb().len() as u32),
    ];
    let mut file = b"II*\0\x08\0\0\0\x08\0".to_vec();
    for (tag, kind, count, value) in entries {
        file.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        file.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    file.extend([0, 0, 0, 0, 8, 0, 8, 0, 8, 0]);
    file.extend(picture.rgb());
    file
}

#[test]
fn a_file_cut_at_any_kibibyte_is_refused() {
    let metadata = OutputMetadata::new("{}");
    let files = [
        encode(&noise(), OutputFormat::Jpeg, &metadata).unwrap(),
        encode(&noise(), OutputFormat::Png, &metadata).unwrap(),
        encoded_with_image(image::ImageFormat::WebP),
        encoded_with_image(image::ImageFormat::Bmp),
        plain_tiff(&noise()),
    ];
    for file in files {
        decode(&file, "whole", &PictureLimits::default()).unwrap();
        for end in (1024..file.len()).step_by(1024) {
            refusal(&file[..end]);
        }
    }
}

#[test]
fn small_files_cut_anywhere_are_refused() {
    // The last bytes of these hold no pixels: a trailer or padding.
    const LAST_BYTES: usize = 3;
    let limits = PictureLimits::default();
    for (name, file) in FIXTURES.iter() {
        let whole = decode(file, name, &limits).unwrap();
        for end in (0..file.len() - LAST_BYTES).step_by(13) {
            match decode(&file[..end], "input", &limits) {
                Err(Error::Picture { .. }) => {}
                // Cut exactly between two frames: a GIF without its trailer, of which the first frame is whole.
                Ok(picture) if name == "animated.gif" && picture == whole => {}
                other => panic!("{name} cut to {end} of {} bytes: {other:?}", file.len()),
            }
        }
    }
}

#[test]
fn inputs_cut_in_their_pixels_are_refused() {
    let limits = PictureLimits::default();
    for (name, file) in INPUTS.iter().filter(|(name, _)| name.contains(".tif")) {
        // The script writes the pixels before the directory, so every cut takes something that matters.
        if let Ok(picture) = decode(file, name, &limits) {
            for end in (0..file.len() / 2).step_by(31) {
                let cut = decode(&file[..end], "input", &limits);
                assert!(matches!(cut, Err(Error::Picture { .. })), "{name} cut to {end}: {cut:?}, whole {picture:?}");
            }
        }
    }
}

#[test]
fn tiles_and_strips_that_unfold_without_end_are_refused() {
    let file = INPUTS.iter().find(|(name, _)| name == "rgb-8-deflate-tiles-be.tif").unwrap().1.clone();
    // Tile width and height, as written by the script: tag, kind, one number.
    let width = [0x01, 0x42, 0, 3, 0, 0, 0, 1, 0, 16];
    let height = [0x01, 0x43, 0, 3, 0, 0, 0, 1, 0, 16];
    let huge = |entry: &[u8]| [&entry[..8], &[0xff, 0xff]].concat();
    let bomb = patched(&patched(&file, &width, &huge(&width)), &height, &huge(&height));
    let message = refusal(&bomb);
    assert!(message.contains("too much for its size") || message.contains("too much memory"), "{message}");
}

#[test]
fn other_kinds_of_files_are_named() {
    for (bytes, words) in [
        (&b""[..], "is empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>", "an SVG drawing"),
        (b"<!DOCTYPE html><title>404</title>", "an HTML page"),
        (b"%PDF-1.4\n%\xff\xff\xff\xff", "a PDF document"),
        (b"\0\0\0\x1cftypheic\0\0\0\0mif1heic", "a HEIC picture"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1", "an AVIF picture"),
        (b"\0\0\0\0", "no known picture format"),
    ] {
        let message = refusal(bytes);
        assert!(message.starts_with("input: ") && message.contains(words), "{message}");
        assert!(bytes.is_empty() || message.contains("JPEG, PNG, WebP, GIF, BMP and TIFF are accepted"), "{message}");
    }
}

/// `bytes` with `replacement` in the place where `original` is found.
fn patched(bytes: &[u8], original: &[u8], replacement: &[u8]) -> Vec<u8> {
    let at = bytes.windows(original.len()).position(|window| window == original).unwrap();
    [&bytes[..at], replacement, &bytes[at + original.len()..]].concat()
}

/// Red read as grey and green as opacity would be a wrong picture; Pillow refuses these, too.
#[test]
fn tiffs_whose_colours_are_of_another_kind_are_refused() {
    let rgb = plain_tiff(&noise());
    let kind = [262_u16.to_le_bytes(), 3_u16.to_le_bytes()].concat();
    let entry = |value: u32| [&kind[..], &1_u32.to_le_bytes(), &value.to_le_bytes()].concat();
    for other in [0, 1, 3] {
        let message = refusal(&patched(&rgb, &entry(2), &entry(other)));
        assert!(message.contains("TIFF file: "), "{other}: {message}");
    }
    // Without the tag: another one, which nobody reads, in its place.
    let nameless = patched(&rgb, &entry(2), &[&260_u16.to_le_bytes(), &entry(2)[2..]].concat());
    assert!(refusal(&nameless).contains("3 samples a pixel"), "{}", refusal(&nameless));
}

#[test]
fn sizes_are_checked_before_pixels_are_held() {
    let big_endian = [37_u16, 45].map(u16::to_be_bytes).concat();
    let gif_header = [45_u16, 37].map(u16::to_le_bytes).concat();
    let bmp_header = [45_u32, 37].map(u32::to_le_bytes).concat();
    let png_header = [45_u32, 37].map(u32::to_be_bytes).concat();
    let png_huge = [65_535_u32, 65_535].map(u32::to_be_bytes).concat();
    let mut lossless_webp = fixture("lossless.webp");
    lossless_webp[21..25].copy_from_slice(&[0xff, 0xff, 0xff, 0x0f]);
    for file in [
        patched(&fixture("420.jpg"), &big_endian, &[0xff; 4]),
        patched(&fixture("progressive.jpg"), &big_endian, &[0xff; 4]),
        patched(&fixture("rgb.png"), &png_header, &png_huge),
        patched(&fixture("still.gif"), &gif_header, &[0xff; 4]),
        patched(&fixture("rgb.bmp"), &bmp_header, &[0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]),
        lossless_webp,
    ] {
        let message = refusal(&file);
        assert!(message.contains("pixels are too large; at most 100 megapixels are accepted"), "{message}");
    }
    // Within the limit, but there is nothing behind it.
    for name in ["420.jpg", "progressive.jpg"] {
        let replacement = [10_000_u16, 10_000].map(u16::to_be_bytes).concat();
        assert!(refusal(&patched(&fixture(name), &big_endian, &replacement)).contains("truncated"));
    }
}

#[test]
fn limits_are_those_of_the_caller() {
    let file = fixture("rgb.png");
    let defaults = PictureLimits::default();
    let with = |limits: PictureLimits| decode(&file, "input", &limits).map(|_| ()).map_err(|error| error.to_string());
    assert_eq!(with(PictureLimits { pixels: 45 * 37, side: 45, file_bytes: file.len() as u64 }), Ok(()));
    assert!(
        with(PictureLimits { pixels: 45 * 37 - 1, ..defaults }).unwrap_err().contains("45x37 pixels are too large")
    );
    assert!(with(PictureLimits { side: 44, ..defaults }).unwrap_err().contains("at most 44 per side"));
    assert!(with(PictureLimits { file_bytes: 100, ..defaults }).unwrap_err().contains("at most 100 are accepted"));
}

#[test]
fn thin_pictures_are_read() {
    for (width, height) in [(1, 1), (1, 65_535), (65_535, 1)] {
        let picture = Picture::from_rgb(width, height, vec![200; (width * height * 3) as usize]).unwrap();
        for format in [OutputFormat::Png, OutputFormat::Jpeg] {
            let file = encode(&picture, format, &OutputMetadata::new("{}")).unwrap();
            let read = decode(&file, "input", &PictureLimits::default()).unwrap();
            assert_eq!((read.width(), read.height()), (width, height));
        }
    }
}

fn png_chunk(name: [u8; 4], data: &[u8]) -> Vec<u8> {
    // The decoder does not check sums of chunks that it passes over.
    [&(data.len() as u32).to_be_bytes()[..], &name, data, &[0; 4]].concat()
}

#[test]
fn chunks_that_inflate_are_left_alone() {
    // A stored block that never ends, as a profile and as texts: 30 MB in all, and thousands of chunks.
    let data = [&b"name\0\0"[..], &[0x78, 0x01], &vec![0; 1_000_000]].concat();
    let file = fixture("rgb.png");
    let after_header = 8 + 25;
    let mut bomb = file[..after_header].to_vec();
    for _ in 0..10 {
        for name in [*b"iCCP", *b"zTXt", *b"iTXt"] {
            bomb.extend(png_chunk(name, &data));
        }
    }
    for _ in 0..5_000 {
        bomb.extend(png_chunk(*b"tEXt", b"k\0v"));
    }
    bomb.extend(&file[after_header..]);
    let begin = Instant::now();
    let read = picture(&bomb);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    // What cannot be read beside the pixels counts as absent.
    assert_eq!(read, picture(&file));
}

#[test]
fn thousands_of_chunks_that_unfold_are_not_all_unfolded() {
    // Each holds 8 MiB and a little of zeros in some 8 kB; all of them would take minutes.
    let mut packed = Vec::new();
    let unfolded = vec![0; (8 << 20) + 9];
    let mut encoder = flate2::write::ZlibEncoder::new(&mut packed, flate2::Compression::best());
    std::io::Write::write_all(&mut encoder, &unfolded).unwrap();
    encoder.finish().unwrap();
    let file = fixture("rgb.png");
    let after_header = 8 + 25;
    let mut bomb = file[..after_header].to_vec();
    for _ in 0..600 {
        for (name, keyword) in [(*b"iCCP", &b"x\0\0"[..]), (*b"zTXt", b"Raw profile type exif\0\0")] {
            bomb.extend(png_chunk(name, &[keyword, &packed].concat()));
        }
    }
    bomb.extend(&file[after_header..]);
    let begin = Instant::now();
    let read = picture(&bomb);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(read, picture(&file));
}

#[test]
fn hundreds_of_scans_are_refused() {
    let file = fixture("progressive.jpg");
    let last_scan = file.windows(2).rposition(|window| window == [0xff, 0xda]).unwrap();
    let (body, end) = file.split_at(file.len() - 2);
    let scan = &body[last_scan..];
    let bomb = [body, &scan.repeat(1000), end].concat();
    assert!(refusal(&bomb).contains("scans are too many"));
}

#[test]
fn thousands_of_frames_cost_nothing() {
    let file = fixture("still.gif");
    let frame = b"\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x4c\x01\0";
    let frames = [&file[..file.len() - 1], &frame.repeat(100_000), b";"].concat();
    let limits = PictureLimits::default();
    assert_eq!(decode(&frames, "input", &limits).unwrap(), decode(&file, "input", &limits).unwrap());
}

#[test]
fn a_folder_that_points_to_itself_ends() {
    let mut file = fixture("raw.tif");
    let folder = u32::from_le_bytes(file[4..8].try_into().unwrap()) as usize;
    let entries = usize::from(u16::from_le_bytes(file[folder..folder + 2].try_into().unwrap()));
    let next = folder + 2 + entries * 12;
    file[next..next + 4].copy_from_slice(&(folder as u32).to_le_bytes());
    let begin = Instant::now();
    let read = picture(&file);
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    assert_eq!(read, picture(&fixture("raw.tif")));
}

/// Panics of our own code so far, which `decode` turns into refusals; those of the codecs' crates are not ours to mend.
static PANICS: LazyLock<&AtomicUsize> = LazyLock::new(|| {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.location().is_some_and(|location| is_own(location.file())) {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
        default(panic);
    }));
    &COUNT
});

fn is_own(file: &str) -> bool {
    let mut folders = Path::new(file).iter().rev().skip_while(|folder| *folder != "src").skip(1);
    folders.next().is_some_and(|package| package == "afterimage-imaging")
}

/// The picture, `None` if it is refused.
fn decode_without_panic(bytes: &[u8], limits: &PictureLimits) -> Result<Option<Picture>, TestCaseError> {
    let before = PANICS.load(Ordering::Relaxed);
    let decoded = decode(bytes, "input", limits);
    prop_assert_eq!(PANICS.load(Ordering::Relaxed), before, "panicked");
    Ok(decoded.ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        decode_without_panic(&bytes, &PictureLimits::default())?;
    }

    #[test]
    fn random_bytes_behind_a_signature_never_panic(
        fixture in 0_usize..1000, kept in 2_usize..60, bytes in prop::collection::vec(any::<u8>(), 0..600),
    ) {
        let (_, file) = &FIXTURES[fixture % FIXTURES.len()];
        let bytes = [&file[..kept.min(file.len())], &bytes].concat();
        if let Some(picture) = decode_without_panic(&bytes, &small_limits())? {
            prop_assert!(picture.width() <= 2000 && picture.height() <= 2000);
        }
    }

    #[test]
    fn flipped_bits_never_panic(
        of_many in any::<bool>(), fixture in 0_usize..10_000,
        flips in prop::collection::vec((any::<prop::sample::Index>(), 0_u8..8), 1..8),
    ) {
        let files = if of_many { &*INPUTS } else { &*FIXTURES };
        let (_, file) = &files[fixture % files.len()];
        let mut bytes = file.clone();
        for (at, bit) in flips {
            bytes[at.index(file.len())] ^= 1 << bit;
        }
        if let Some(picture) = decode_without_panic(&bytes, &small_limits())? {
            prop_assert!(picture.width() <= 2000 && picture.height() <= 2000);
        }
    }
}

/// Sizes that flipped bits may ask for and still be decoded quickly.
fn small_limits() -> PictureLimits {
    PictureLimits { pixels: 1_000_000, side: 2000, ..PictureLimits::default() }
}
