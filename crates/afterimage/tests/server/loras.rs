//! `LoRA`s by name: what each dialect takes and refuses, and what becomes of the pictures.

use crate::fal_files::database;
use crate::hostile_dialects::{NATIVE, QUEUE, REDUX as FAL, refused, stored_requests};
use crate::isolation::second_key;
use crate::lora_files::write_lora;
use crate::openai::{self, file, inlined, text};
use crate::support::{REDUX, Server, answer, data_uri, embedded, engines, picture};
use crate::validation::stored_files;
use afterimage_core::LoraFolder;
use afterimage_engine::EngineOptions;
use afterimage_jobs::{JobId, JobStore};
use afterimage_server::loras::LoraFolders;
use afterimage_server::options::ServeOptions;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use image::RgbImage;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

const VARIATIONS: &str = "/v1/openai/images/variations";
const EDITS: &str = "/v1/openai/images/edits";

/// Every way in, by its path; what each calls a small request's settings is in [`send`].
const WAYS: [&str; 7] = [REDUX, FAL, QUEUE, "/gateway/fal-ai/flux-1/dev/redux", NATIVE, VARIATIONS, EDITS];

/// A folder with the LoRAs `film` and `ink`.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_lora(&folder.path().join("film.safetensors"), 1);
    write_lora(&folder.path().join("ink.safetensors"), 2);
    folder
}

/// Has a server find LoRAs in `folder`.
fn with_folder(options: &mut ServeOptions, folder: &Path) {
    options.engines = engines(&EngineOptions { lora_dir: Some(folder.to_owned()), ..embedded() });
    options.loras = LoraFolders::new([(None, LoraFolder::open(folder).unwrap())]);
}

async fn serving(folder: &Path) -> Server {
    Server::start(|options| {
        options.workers = 1;
        with_folder(options, folder);
    })
    .await
}

fn source() -> Vec<u8> {
    picture(64, 64)
}

/// A small request with `loras` in the way of `path`: a form where the route takes forms only, else JSON.
async fn send(server: &Server, path: &str, loras: &Value) -> (StatusCode, Value) {
    let source = source();
    if path == VARIATIONS {
        let list = loras.to_string();
        let settings = [text("num_inference_steps", "2"), text("seed", "7"), text("size", "256x256")];
        let mut parts = vec![file("image", &source), text("loras", &list)];
        parts.extend(settings);
        return openai::send(server, path, &parts).await;
    }
    let image = data_uri(&source);
    let mut body = json!({
        "prompt": "a lake", "num_inference_steps": 2, "seed": 7, "output_format": "png", "loras": loras,
        "image_size": {"width": 64, "height": 64}, "width": 256, "height": 256, "enable_sync_mode": true, "sync_mode": true,
    });
    if path == EDITS {
        body["images"] = json!([{"image_url": image}]);
    } else {
        body["size"] = json!("256*256");
        body["image"] = json!(image);
        body["image_url"] = json!(image);
    }
    let request = server.request(Method::POST, path).header("content-type", "application/json");
    answer(request.body(body.to_string()).send().await.unwrap()).await
}

/// Checks the shape of a refusal; the field that it names, in one spelling for all dialects, and the whole answer.
fn named(path: &str, status: StatusCode, body: &Value) -> String {
    if path == REDUX {
        assert_eq!((status.as_u16(), &body["code"]), (400, &json!(400)), "{body}");
        return body["message"].as_str().unwrap().split(": ").next().unwrap().to_owned();
    }
    let field = refused(path, status, body);
    let Some(loc) = body["detail"][0]["loc"].as_array() else {
        return field.unwrap_or_else(|| panic!("{path}: {body}"));
    };
    let names: Vec<&str> = loc.iter().skip(1).map(|name| name.as_str().unwrap()).collect();
    match names[..] {
        [list, index, part] => format!("{list}[{index}].{part}"),
        [list, index] => format!("{list}[{index}]"),
        _ => names.join("."),
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_named_in_every_dialect_and_nothing_is_stored() {
    let folder = folder();
    fs::write(folder.path().join("notes.txt"), "x").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("/etc/passwd", folder.path().join("leads-out.safetensors")).unwrap();
    let server = serving(folder.path()).await;
    let twice = json!([{"path": "film"}, {"path": "ink"}, {"path": "film", "scale": 0.5}]);
    let mut cases = vec![
        (json!([{"path": "flim"}]), "loras[0].path", "there are film, ink"),
        (json!([{"path": "film"}, {"path": "Ink", "scale": 2}]), "loras[1].path", "there are film, ink"),
        (json!([{"path": "notes"}]), "loras[0].path", "there are film, ink"),
        (json!([{"path": "film.safetensors"}]), "loras[0].path", "there are film, ink"),
        (json!([{"path": "https://example.com/film.safetensors"}]), "loras[0].path", "not an address or a path"),
        (json!([{"path": "owner/film"}]), "loras[0].path", "not an address or a path"),
        (json!([{"path": "../film"}]), "loras[0].path", "not an address or a path"),
        (json!([{"path": "/etc/passwd"}]), "loras[0].path", "not an address or a path"),
        (json!([{"path": ".."}]), "loras[0].path", "not an address or a path"),
        (json!([{"path": "film\u{0}"}]), "loras[0].path", "not an address or a path"),
        (json!([{"path": ""}]), "loras[0].path", "not an address or a path"),
        (json!([{"scale": 1}]), "loras[0].path", "missing"),
        (json!([{"path": ["film"]}]), "loras[0].path", "is an array"),
        (json!(vec![json!({"path": "film"}); 9]), "loras", "at most 8"),
        (twice, "loras", "film: named more than once"),
        (json!([{"path": "film", "scale": 4.5}]), "loras[0].scale", "-4 to 4"),
        (json!([{"path": "film", "scale": -1e300}]), "loras[0].scale", "-4 to 4"),
        (json!([{"path": "film", "scale": "much"}]), "loras[0].scale", "is a text"),
        (json!([{"path": "film", "scale": [1]}]), "loras[0].scale", "is an array"),
        (json!(["film"]), "loras[0]", "is a text"),
        (json!({"path": "film"}), "loras", "is an object"),
        (json!("film"), "loras", "is a text"),
        (json!(7), "loras", "expected a list"),
        (json!(true), "loras", "expected a list"),
    ];
    if cfg!(unix) {
        cases.push((json!([{"path": "leads-out"}]), "loras[0].path", "leads out of"));
    }
    for path in WAYS {
        for (loras, field, words) in &cases {
            let (status, body) = send(&server, path, loras).await;
            assert_eq!(named(path, status, &body), *field, "{path} {loras}: {body}");
            assert!(body.to_string().contains(words), "{path} {loras}: {body}");
            let own = folder.path().to_str().unwrap();
            assert!(!body.to_string().contains(own) && !body.to_string().contains("root:"), "{path}: {body}");
        }
    }
    assert_eq!((stored_requests(&server).await, stored_files(&server)), (0, 0));
}

#[tokio::test]
async fn a_server_without_a_folder_says_what_its_operator_would_do() {
    let server = Server::with_worker().await;
    for path in WAYS {
        let (status, body) = send(&server, path, &json!([{"path": "film"}])).await;
        assert_eq!(named(path, status, &body), "loras", "{path}: {body}");
        assert!(body.to_string().contains("--lora-dir DIR"), "{path}: {body}");
    }
    assert_eq!((stored_requests(&server).await, stored_files(&server)), (0, 0));
    // Who asks for none asks for nothing.
    for loras in [json!([]), json!(null)] {
        assert_eq!(send(&server, REDUX, &loras).await.0, 200);
    }
    assert_eq!(server.get("/loras").await, (StatusCode::OK, json!({"loras": []})));
}

#[tokio::test]
async fn lists_that_a_form_splits_up_are_not_passed_over() {
    let folder = folder();
    let server = serving(folder.path()).await;
    let source = source();
    for name in ["loras[][path]", "loras[0][path]"] {
        for path in [VARIATIONS, EDITS, NATIVE] {
            let parts = [file("image", &source), text("prompt", "a lake"), text(name, "film")];
            let (status, body) = openai::send(&server, path, &parts).await;
            assert_eq!(named(path, status, &body), "loras", "{body}");
            assert!(body.to_string().contains("JSON text in one field"), "{body}");
        }
    }
    assert_eq!(stored_requests(&server).await, 0);
}

#[tokio::test]
async fn the_names_are_listed_for_those_who_have_a_key() {
    let folder = folder();
    let server = serving(folder.path()).await;
    let list = |names: &[&str]| (StatusCode::OK, json!({"loras": [{"model": "default", "names": names}]}));
    assert_eq!(server.get("/loras").await, list(&["film", "ink"]));
    // Files may come and go.
    write_lora(&folder.path().join("a-third.safetensors"), 3);
    fs::remove_file(folder.path().join("film.safetensors")).unwrap();
    assert_eq!(server.get("/loras").await, list(&["a-third", "ink"]));
    let other = second_key(&server).await;
    let get = |key: &str| server.client.get(format!("{}/loras", server.url)).bearer_auth(key).send();
    assert_eq!(answer(get(&other).await.unwrap()).await, list(&["a-third", "ink"]));
    assert_eq!(get("nobody's").await.unwrap().status(), 401);
}

/// The pixels of the only picture in `body`, the answer to [`send`].
async fn pixels(server: &Server, path: &str, body: &Value) -> RgbImage {
    let inline = |text: &str| STANDARD.decode(text.split_once(";base64,").unwrap().1).unwrap();
    let bytes = match path {
        REDUX => {
            let address = body["data"]["outputs"][0].as_str().unwrap_or_else(|| panic!("{body}"));
            server.client.get(address).send().await.unwrap().bytes().await.unwrap().to_vec()
        }
        VARIATIONS | EDITS => inlined(body).swap_remove(0),
        NATIVE => inline(body["images"][0].as_str().unwrap_or_else(|| panic!("{body}"))),
        _ => {
            let address = body["images"][0]["url"].as_str().unwrap_or_else(|| panic!("{body}"));
            if address.starts_with("data:") {
                inline(address)
            } else {
                server.client.get(address).send().await.unwrap().bytes().await.unwrap().to_vec()
            }
        }
    };
    image::load_from_memory(&bytes).unwrap().into_rgb8()
}

async fn made(server: &Server, path: &str, loras: &Value) -> RgbImage {
    let (status, body) = send(server, path, loras).await;
    assert_eq!(status, 200, "{path} {loras}: {body}");
    pixels(server, path, &body).await
}

#[tokio::test]
async fn pictures_change_with_their_loras_in_every_dialect_and_the_next_one_is_without() {
    let folder = folder();
    let server = serving(folder.path()).await;
    for path in [REDUX, FAL, NATIVE, VARIATIONS, EDITS] {
        let without = made(&server, path, &json!([])).await;
        let film = made(&server, path, &json!([{"path": "film"}])).await;
        assert!(film != without, "{path}: the LoRA changes nothing");
        assert!(made(&server, path, &json!(null)).await == without, "{path}: the LoRA leaked into the next request");
        let ink = made(&server, path, &json!([{"path": "ink", "scale": 1.0}])).await;
        assert!(ink != without && ink != film, "{path}: another LoRA, the same picture");
        let both = json!([{"path": "film", "scale": 0.5}, {"path": "ink", "scale": -0.5}]);
        assert!(![&without, &film, &ink].contains(&&made(&server, path, &both).await), "{path}: two are one");
        assert!(made(&server, path, &json!([{"path": "film", "scale": 0}])).await == without, "{path}: 0 is not used");
        assert!(
            made(&server, path, &json!([{"path": "film", "scale": 1}])).await == film,
            "{path}: not the same twice"
        );
    }
    // Where parameters are shown, so is what was read of the list, and what was used.
    let beside = json!([{"path": "film", "scale": 0.5, "junk": "x".repeat(9999)}, {"path": "ink"}]);
    let (_, body) = send(&server, REDUX, &beside).await;
    let shown = json!([{"path": "film", "scale": 0.5}, {"path": "ink"}]);
    assert_eq!(body["data"]["input"]["loras"], shown, "{body}");
    let used = json!([{"name": "film", "scale": 0.5}, {"name": "ink", "scale": 1.0}]);
    assert_eq!(body["data"]["timings"]["stages"]["loras"], used, "{body}");
    let id = JobId::parse(body["data"]["id"].as_str().unwrap()).unwrap();
    let job = database(&server).await.job(&id).await.unwrap().unwrap();
    assert_eq!(json!(job.spec.request.loras), used);
    assert_eq!(json!(job.result.unwrap().facts.loras), used);
}

#[tokio::test]
async fn a_file_that_goes_while_its_request_waits_fails_the_request_once() {
    let folder = folder();
    let data = tempfile::tempdir().unwrap();
    let start = async |workers| {
        Server::start(|options| {
            options.workers = workers;
            options.data_dir = data.path().to_owned();
            with_folder(options, folder.path());
        })
        .await
    };
    let body = |name: &str| {
        json!({
            "image": data_uri(&source()), "size": "256*256", "num_inference_steps": 1, "loras": [{"path": name}],
        })
    };
    let server = start(0).await;
    let send = async |server: &Server, name: &str, key: &str| {
        let request = server.request(Method::POST, REDUX).header("Idempotency-Key", key);
        answer(request.body(body(name).to_string()).send().await.unwrap()).await
    };
    let (status, first) = send(&server, "film", "k1").await;
    assert_eq!(status, 200, "{first}");
    let id = first["data"]["id"].as_str().unwrap();
    let (_, other) = send(&server, "ink", "k2").await;
    fs::remove_file(folder.path().join("film.safetensors")).unwrap();
    // The repetition asks for nothing new; another list under the same key is another request.
    let (status, again) = send(&server, "film", "k1").await;
    assert_eq!((status, &again["data"]["id"]), (StatusCode::OK, &json!(id)), "{again}");
    assert_eq!(send(&server, "ink", "k1").await.0, 422);
    assert_eq!(send(&server, "film", "k3").await.0, 400);
    server.stop().await;

    let server = start(1).await;
    let task = server.ended(id).await;
    assert_eq!((&task["status"], &task["code"]), (&json!("failed"), &json!(1401)), "{task}");
    let error = task["error"].as_str().unwrap();
    assert!(error.starts_with("loras: ") && error.contains("film"), "{error}");
    assert!(!error.contains(folder.path().to_str().unwrap()) && !error.contains('/'), "{error}");
    let ended = server.ended(other["data"]["id"].as_str().unwrap()).await;
    assert_eq!(ended["status"], "completed", "one request's trouble is no other's: {ended}");
    let store = afterimage_jobs::SqliteStore::open(data.path(), std::sync::Arc::new(afterimage_jobs::SystemClock));
    let job = store.await.unwrap().job(&JobId::parse(id).unwrap()).await.unwrap().unwrap();
    assert_eq!((job.attempt, job.quarantined), (1, false), "it is not tried again");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_fails_its_own_requests_and_nothing_else() {
    let folder = folder();
    fs::write(folder.path().join("broken.safetensors"), "no weights").unwrap();
    let server = serving(folder.path()).await;
    let broken = json!([{"path": "broken"}]);
    let (status, body) = send(&server, REDUX, &broken).await;
    assert_eq!((status, &body["data"]["status"]), (StatusCode::OK, &json!("failed")), "{body}");
    assert_eq!(body["data"]["error"], "the installed model cannot be used with these LoRAs", "{body}");
    for path in [FAL, NATIVE, VARIATIONS, EDITS] {
        let (status, body) = send(&server, path, &broken).await;
        assert_eq!(status, 500, "{path}: {body}");
        assert!(!body.to_string().contains(folder.path().to_str().unwrap()), "{path}: {body}");
        assert_eq!(send(&server, path, &json!([{"path": "film"}])).await.0, 200, "{path}");
    }
}
