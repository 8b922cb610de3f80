//! JPEGs of every kind to the bit as Pillow reads them (`make_jpeg_fixtures.py`), and damaged ones.
//!
//! `compare_jpeg.py` does the same with thousands of random files.

#![allow(clippy::unwrap_used)]

use afterimage_imaging::{Error, Picture, PictureLimits, decode, read_header};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Once};

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "jpeg"].iter().collect()
}

/// All fixtures, by name.
static FIXTURES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let paths = folder().read_dir().unwrap().map(|entry| entry.unwrap().path());
    let files = paths.filter(|path| path.extension() == Some("jpg".as_ref()));
    files.map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read(path).unwrap())).collect()
});

fn fixture(name: &str) -> Vec<u8> {
    FIXTURES.iter().find(|(known, _)| known == name).unwrap().1.clone()
}

fn read(file: &[u8]) -> Result<Picture, Error> {
    decode(file, "input", &PictureLimits::default())
}

/// The message that refuses `file`.
fn refusal(file: &[u8]) -> String {
    match read(file) {
        Err(error @ Error::Picture { .. }) => error.to_string(),
        Err(other) => panic!("not a picture error: {other}"),
        Ok(picture) => panic!("read as {picture:?}"),
    }
}

/// Where in `file` the marker stands.
fn place(file: &[u8], marker: u8) -> usize {
    file.windows(2).position(|pair| pair == [0xff, marker]).unwrap()
}

/// Panics in the decoder, which `decode` would pass off as damage.
static PANICS: AtomicUsize = AtomicUsize::new(0);

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if panic.location().is_some_and(|location| !location.file().ends_with("tests/jpeg.rs")) {
                PANICS.fetch_add(1, Ordering::Relaxed);
            }
            others(panic);
        }));
    });
}

#[test]
fn every_kind_is_read_to_the_bit() {
    for (name, file) in FIXTURES.iter() {
        let picture = read(file).unwrap_or_else(|error| panic!("{name}: {error}"));
        let expected = std::fs::read(folder().join(format!("{name}.png"))).unwrap();
        assert!(picture == read(&expected).unwrap(), "{name} differs");
    }
    assert_eq!(FIXTURES.len(), 25);
}

#[test]
fn what_is_not_read_is_named() {
    let file = fixture("411.jpg");
    let frame = place(&file, 0xc0);
    let with = |at: usize, value: u8| {
        let mut file = file.clone();
        file[at] = value;
        refusal(&file)
    };
    for (message, words) in [
        (with(frame + 1, 0xc3), "lossless coding is not supported; save it as baseline or progressive JPEG"),
        (with(frame + 1, 0xf7), "JPEG-LS is not supported; save it as baseline or progressive JPEG"),
        (with(frame + 1, 0xc5), "hierarchical coding is not supported; save it as baseline or progressive JPEG"),
        (with(frame + 4, 12), "12 bits a sample are not supported; 8 are"),
        // The second of three components; the first is sampled 4x1.
        (with(frame + 14, 0x31), "a colour component sampled 3x1 where another is sampled 4x1 is not supported"),
        (with(frame + 14, 0x01), "damaged (start of frame)"),
        (with(place(&file, 0xdb) + 4, 7), "damaged (quantization table)"),
        (with(place(&file, 0xc4) + 5, 3), "damaged (Huffman table)"),
    ] {
        assert!(message.starts_with("input: JPEG file: ") && message.contains(words), "{message}");
    }
    // A header that cannot be decoded is refused before anything is queued.
    let mut lossless = file.clone();
    lossless[frame + 1] = 0xc3;
    assert!(read_header(&lossless, "input", &PictureLimits::default()).is_err());
}

#[test]
fn files_cut_anywhere_are_refused() {
    count_panics();
    for (name, file) in FIXTURES.iter() {
        for end in 0..file.len() {
            assert!(read(&file[..end]).is_err(), "{name} cut to {end} of {} bytes", file.len());
        }
    }
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}

#[test]
fn an_end_in_the_wrong_place_makes_up_no_pixels() {
    count_panics();
    for (name, file) in FIXTURES.iter() {
        // Arithmetic coding cannot tell: it goes on with zeros behind the end by design.
        if name.contains("arithmetic") {
            continue;
        }
        let scans = file.windows(2).filter(|pair| *pair == [0xff, 0xda]).count();
        let mut read_when_cut = 0;
        for end in 2..file.len() - 2 {
            let cut = [&file[..end], &[0xff, 0xd9]].concat();
            read_when_cut += usize::from(read(&cut).is_ok());
        }
        // A progressive file is whole after any scan, and may have tables for the next one or the beginning of such.
        let is_progressive = name.contains("progressive");
        assert!(
            read_when_cut == 0 || is_progressive && scans > 1 && read_when_cut < file.len() / 2,
            "{name}: {read_when_cut}"
        );
    }
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}

#[test]
fn changed_bytes_keep_the_size_and_never_panic() {
    count_panics();
    let limits = PictureLimits { pixels: 1 << 16, side: 1 << 12, ..PictureLimits::default() };
    for (name, file) in FIXTURES.iter() {
        let mut state = 1_u32;
        for at in 0..file.len() {
            let mut file = file.clone();
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            file[at] ^= (state >> 24) as u8 | 1;
            if let Ok(picture) = decode(&file, "input", &limits) {
                let header = read_header(&file, "input", &limits).unwrap();
                assert_eq!((picture.width(), picture.height()), (header.width, header.height), "{name}, byte {at}");
                assert_eq!(decode(&file, "input", &header.limits()).unwrap(), picture, "{name}, byte {at}");
            }
        }
    }
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}

#[test]
fn components_are_there_once() {
    // Three scans of one component each: without one of them, and with one twice.
    let file = fixture("one-scan-each-420.jpg");
    let scans: Vec<usize> = (0..file.len() - 1).filter(|&at| file[at..at + 2] == [0xff, 0xda]).collect();
    let [_, second, third] = scans[..] else { panic!("{} scans", scans.len()) };
    let without = [&file[..second], &file[third..]].concat();
    assert!(refusal(&without).contains("no data"), "{}", refusal(&without));
    let twice = [&file[..third], &file[second..]].concat();
    assert!(refusal(&twice).contains("two scans of a component"), "{}", refusal(&twice));
}

#[test]
fn restart_markers_have_to_be_the_right_ones() {
    let file = fixture("scans-of-two.jpg");
    let at = place(&file, 0xd1);
    let mut other = file.clone();
    other[at + 1] = 0xd2;
    assert!(refusal(&other).contains("restart marker missing"));
    let without = [&file[..at], &file[at + 2..]].concat();
    assert!(refusal(&without).contains("damaged"));
}
