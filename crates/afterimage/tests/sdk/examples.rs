//! What the documents print, run as it is printed.

use crate::packages::{folder, javascript, present, python, python_with, unless_missing};
use crate::printed::{Document, documents};
use crate::process::succeed;
use crate::server::Server;
use crate::{KEY, repository};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the README's first command listens, and so what the examples name.
const ADDRESS: &str = "http://127.0.0.1:8080";

/// What the examples with curl leave.
const OF_CURL: [&str; 4] = ["lake-curl.jpeg", "lake-fal.jpeg", "lake-openai.png", "lake-deepinfra.png"];

/// What the examples with the services' own SDKs leave: of WaveSpeed in both languages, of OpenAI.
const OF_PYTHON: &str = "lake-python.jpeg";
const OF_JAVASCRIPT: &str = "lake-javascript.jpeg";
const OF_PYTHON_OPENAI: &str = "lake-openai-python.png";

/// A shell script that calls the server of the README's first command.
struct Example {
    /// The document that prints it.
    place: PathBuf,
    script: String,
}

/// The examples of all documents.
fn examples() -> Vec<Example> {
    let of = |document: Document| {
        let scripts = document.blocks("sh").into_iter().filter(|block| block.contains(ADDRESS));
        scripts.map(|script| Example { place: document.name.clone(), script }).collect::<Vec<_>>()
    };
    documents().into_iter().flat_map(of).collect()
}

/// Runs the example that makes `picture`, in a folder that has of the repository what it names, and asserts that the
/// picture is on disk afterwards. Only the port differs from what is printed.
fn run_example(picture: &str) {
    let examples: Vec<Example> = examples().into_iter().filter(|example| example.script.contains(picture)).collect();
    let [Example { script, .. }] = &examples[..] else { panic!("{} examples make {picture}", examples.len()) };
    assert!(script.contains(KEY), "{script}");

    // Kept between runs, since the examples install into `target`.
    let (folder, _lock) = folder(&format!("readme-{picture}"));
    let _ = fs::remove_file(folder.join(picture));
    fs::create_dir_all(folder.join("docs/photos")).unwrap();
    fs::copy(repository().join("docs/photos/lake.jpg"), folder.join("docs/photos/lake.jpg")).unwrap();

    let server = Server::start(&[]);
    let script = script.replace(ADDRESS, server.address());
    succeed(Command::new("sh").args(["-e", "-c", &script]).current_dir(&folder));
    assert_is_a_picture(&folder.join(picture));
}

fn assert_is_a_picture(path: &Path) {
    let picture = image::open(path).unwrap().into_rgb8();
    assert_eq!(picture.dimensions(), (256, 256));
    let first = picture.get_pixel(0, 0);
    assert!(picture.pixels().any(|pixel| pixel != first), "{} is empty", path.display());
}

#[test]
fn the_curl_examples_leave_a_picture_each() {
    if unless_missing(present("curl", &["--version"])).is_some() {
        for picture in OF_CURL {
            run_example(picture);
        }
    }
}

#[test]
fn the_python_example_leaves_a_picture() {
    if unless_missing(python()).is_some() {
        run_example(OF_PYTHON);
    }
}

#[test]
fn the_python_example_of_openai_leaves_a_picture() {
    if unless_missing(python_with("openai")).is_some() {
        run_example(OF_PYTHON_OPENAI);
    }
}

#[test]
fn the_javascript_example_leaves_a_picture() {
    if unless_missing(javascript()).is_some() {
        run_example(OF_JAVASCRIPT);
    }
}

/// None is printed that no test above runs.
#[test]
fn every_example_is_run() {
    let run: Vec<&str> = OF_CURL.into_iter().chain([OF_PYTHON, OF_JAVASCRIPT, OF_PYTHON_OPENAI]).collect();
    let examples = examples();
    for Example { place, script } in &examples {
        assert!(run.iter().any(|picture| script.contains(picture)), "{}: no test runs:\n{script}", place.display());
    }
    assert_eq!(examples.len(), run.len());
}

/// The examples fit the command that is printed before them.
#[test]
fn the_first_command_starts_the_server_of_the_examples() {
    let readme = Document::read("README.md").text;
    let first = readme.lines().find_map(|line| line.strip_prefix("$ ")).unwrap();
    assert_eq!(first, format!("AFTERIMAGE_API_KEY={KEY} cargo run --release -- serve"));
    let help = succeed(Command::new(env!("CARGO_BIN_EXE_afterimage")).args(["serve", "--help"]));
    let default = format!("[default: {}]", ADDRESS.trim_start_matches("http://"));
    assert!(help.contains(&default), "{help}");
}

/// The SDK checks verify webhooks by the code that the guide prints.
#[test]
fn the_webhook_code_is_the_one_that_is_tested() {
    let tested = fs::read_to_string(repository().join("tests/sdk/python/webhook_signature.py")).unwrap();
    let (_, code) = tested.split_once("\n\nimport").unwrap();
    let printed = Document::read("docs/wavespeed.md").blocks("python");
    assert!(printed.iter().any(|block| block.trim() == format!("import{code}").trim()), "{printed:?}");
}
