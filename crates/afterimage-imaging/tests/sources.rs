//! Files and streams that are not what they seem.

#![allow(clippy::unwrap_used)]

use afterimage_imaging::{Error, FileReading, PictureLimits, read_file, read_stream};
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};

fn fixture() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "fixtures", "decode", "rgb.png"].iter().collect()
}

fn refusal(path: &Path, limits: &PictureLimits) -> String {
    match read_file(path, limits) {
        Err(Error::Picture { source_name, problem }) => {
            assert_eq!(source_name, path.display().to_string());
            problem
        }
        other => panic!("expected a refusal, found {other:?}"),
    }
}

#[test]
fn things_that_are_no_files_are_refused() {
    let limits = PictureLimits::default();
    let folder = tempfile::tempdir().unwrap();
    assert!(refusal(folder.path(), &limits).contains("is a folder"));
    assert_eq!(refusal(&folder.path().join("missing.png"), &limits), "no such file");
    let empty = folder.path().join("empty.png");
    std::fs::write(&empty, b"").unwrap();
    assert_eq!(refusal(&empty, &limits), "is empty");
}

#[cfg(unix)]
#[test]
fn devices_and_pipes_do_not_hang() {
    let limits = PictureLimits::default();
    assert!(refusal(Path::new("/dev/zero"), &limits).contains("device, pipe or socket"));
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe.png");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status();
    if made.is_ok_and(|status| status.success()) {
        assert!(refusal(&pipe, &limits).contains("device, pipe or socket"));
    }
}

#[test]
fn a_large_file_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("huge.png");
    // Sparse: takes no space, but reading it would take minutes.
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let problem = refusal(&path, &PictureLimits::default());
    assert_eq!(problem, "1099511627776 bytes are too many; at most 50000000 are accepted");
}

#[test]
fn streams_are_read_up_to_the_limit() {
    let limits = PictureLimits::default();
    let file = std::fs::read(fixture()).unwrap();
    let from_stream = read_stream(Cursor::new(&file), "standard input", &limits, FileReading::Picture).unwrap().picture;
    assert_eq!(from_stream, read_file(&fixture(), &limits).unwrap().picture);
    let error = read_stream(
        std::io::repeat(0),
        "standard input",
        &PictureLimits { file_bytes: 1000, ..limits },
        FileReading::Picture,
    );
    assert_eq!(error.unwrap_err().to_string(), "standard input: too many bytes; at most 1000 are accepted");
    let error = read_stream(std::io::empty(), "standard input", &limits, FileReading::Picture);
    assert_eq!(error.unwrap_err().to_string(), "standard input: is empty");
}

#[test]
fn a_stream_that_breaks_off_is_refused() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::ConnectionReset.into())
        }
    }
    let error = read_stream(Broken, "upload", &PictureLimits::default(), FileReading::Picture).unwrap_err();
    assert!(error.is_bad_input() && error.to_string().starts_with("upload: cannot be read"), "{error}");
}
