//! A folder of its own for each test, and the program run in it.

use image::{DynamicImage, ImageFormat, RgbImage};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Flags that make the demo model's smallest and fastest picture.
pub const SMALL: [&str; 6] = ["--size", "64x64", "--steps", "1", "--seed", "1"];

/// A temporary folder that holds `photo.png` and an empty folder `out`.
pub struct Context {
    folder: TempDir,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Context {
    pub fn new() -> Self {
        let context = Self { folder: tempfile::tempdir().unwrap() };
        fs::create_dir(context.path("out")).unwrap();
        picture(48, 32).save_with_format(context.path("photo.png"), ImageFormat::Png).unwrap();
        context
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The program in this folder, without anybody's settings.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = program();
        // A cache of its own, in which nothing is.
        command.current_dir(self.folder.path()).env("HF_HOME", self.path("hf")).args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Outcome {
        finish(self.command(arguments).stdin(Stdio::null()), &[])
    }

    pub fn run_with_input(&self, arguments: &[&str], input: &[u8]) -> Outcome {
        finish(self.command(arguments).stdin(Stdio::piped()), input)
    }

    pub fn run_with_variable(&self, arguments: &[&str], name: &str, value: &str) -> Outcome {
        finish(self.command(arguments).env(name, value).stdin(Stdio::null()), &[])
    }

    /// Names in the folder `name`, sorted.
    pub fn names_in(&self, name: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(name)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// Runs with `arguments` and asserts a refusal: exit code 2, nothing on standard output, nothing in `out`, one line on
    /// standard error that holds all of `parts`. Returns the line.
    #[track_caller]
    pub fn refuses(&self, arguments: &[&str], parts: &[&str]) -> String {
        let before = self.names_in(".");
        let line = self.run(arguments).refused(parts);
        assert_eq!(self.names_in("out"), [""; 0], "{arguments:?} left something behind");
        assert_eq!(self.names_in("."), before, "{arguments:?} left something behind");
        line
    }

    /// As [`Self::refuses`], for `vary` with the default arguments for a small picture.
    #[track_caller]
    pub fn vary_refuses(&self, arguments: &[&str], parts: &[&str]) -> String {
        let all: Vec<&str> = ["vary", "--output", "out"].iter().chain(arguments).copied().collect();
        self.refuses(&all, parts)
    }
}

impl Outcome {
    #[track_caller]
    pub fn succeeded(&self) -> &Self {
        assert_eq!(self.code, Some(0), "{}", self.stderr);
        self
    }

    #[track_caller]
    pub fn refused(&self, parts: &[&str]) -> String {
        self.failed(2, parts)
    }

    /// Asserts the exit code and one line on standard error that holds all of `parts`; returns the line.
    #[track_caller]
    pub fn failed(&self, code: i32, parts: &[&str]) -> String {
        let line = self.stderr.trim_end_matches('\n').to_owned();
        assert_eq!(self.code, Some(code), "{line}");
        assert_eq!(self.stderr.matches('\n').count(), 1, "one line: {:?}", self.stderr);
        assert!(!line.chars().any(char::is_control), "{line:?}");
        assert!(line.len() < 500, "{line}");
        assert!(self.stdout.is_empty(), "{:?}", self.text());
        for part in parts {
            assert!(line.contains(part), "{line:?} should mention {part:?}");
        }
        line
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// The program, without the settings of whoever runs the tests.
pub fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["AFTERIMAGE_", "HF_", "HUGGING"].iter().any(|start| text.starts_with(start)) {
            command.env_remove(name);
        }
    }
    // The help is wrapped to the terminal's width.
    command.env_remove("COLUMNS");
    command
}

pub fn finish(command: &mut Command, input: &[u8]) -> Outcome {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let writer = child.stdin.take().map(|mut stdin| {
        let input = input.to_vec();
        // The program may end without having read everything.
        std::thread::spawn(move || drop(stdin.write_all(&input)))
    });
    let output = child.wait_with_output().unwrap();
    if let Some(writer) = writer {
        writer.join().unwrap();
    }
    Outcome {
        code: output.status.code(),
        stdout: output.stdout,
        stderr: String::from_utf8(output.stderr).expect("messages are UTF-8"),
    }
}

/// A picture with a gradient.
pub fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| image::Rgb([(x * 5) as u8, (y * 7) as u8, 90]))
}

/// `picture` as a file of `format`.
pub fn encoded(picture: RgbImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// The parity kit's model folders.
pub fn bundle(name: &str) -> PathBuf {
    repository().join("crates/afterimage-engine/tests/parity/bundles").join(name)
}

/// The workspace's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Width and height of a picture file.
pub fn dimensions(path: &Path) -> (u32, u32) {
    image::image_dimensions(path).unwrap()
}
