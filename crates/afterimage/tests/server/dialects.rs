//! The same picture, prompt, seed and settings make the same file, whichever way they come in.

use crate::openai::{self, NATIVE, file, inlined, text};
use crate::support::{PRO, SRPO, Server, data_uri, picture};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::process::Command;

/// The picture that every way gets.
fn source() -> Vec<u8> {
    picture(256, 272)
}

/// The file at an address.
async fn fetched(server: &Server, address: &Value) -> Vec<u8> {
    let response = server.client.get(address.as_str().unwrap()).send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.bytes().await.unwrap().to_vec()
}

/// The file of the command line.
fn by_command(command: &str, flags: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.png"), folder.path().join("out.png"));
    std::fs::write(&input, source()).unwrap();
    let mut program = Command::new(env!("CARGO_BIN_EXE_afterimage"));
    // Servers look unless they are told otherwise, and files say who looked.
    program.arg(command).arg(&input).arg("--output").arg(&output).args(flags).args(["--safety", "builtin"]);
    assert!(program.status().unwrap().success());
    std::fs::read(&output).unwrap()
}

/// Asserts that all files have the pixels of the first, of `width` by `height`.
fn all_alike(files: &[(&str, Vec<u8>)], width: u32, height: u32) {
    let picture = |bytes: &[u8]| image::load_from_memory(bytes).unwrap().into_rgb8();
    let (_, first) = &files[0];
    let expected = picture(first);
    assert_eq!(expected.dimensions(), (width, height));
    for (way, bytes) in files {
        assert_eq!(image::guess_format(bytes).unwrap(), image::ImageFormat::Png, "{way}");
        assert!(picture(bytes) == expected, "{way} differs from {}", files[0].0);
        assert!(bytes == first, "{way}: the same pixels, but another file than {}'s", files[0].0);
    }
}

#[tokio::test]
async fn all_dialects_make_the_same_variation() {
    let server = Server::with_worker().await;
    let source = source();
    // What any of the services calls these settings; each takes what it knows.
    let fields = json!({
        "image_url": data_uri(&source), "image": data_uri(&source), "prompt": "at night", "seed": 5,
        "num_inference_steps": 2, "guidance_scale": 3.5, "output_format": "png",
        "image_size": {"width": 288, "height": 256}, "size": "288*256", "width": 288, "height": 256,
        "enable_sync_mode": true,
    });
    let flags = ["--prompt", "at night", "--seed", "5", "--steps", "2", "--guidance", "3.5", "--size", "288x256"];
    let mut files = vec![("the command line", by_command("vary", &flags))];

    let (status, fal) = server.post("/fal-ai/flux-pro/v1.1/redux", &fields).await;
    assert_eq!(status, 200, "{fal}");
    files.push(("fal", fetched(&server, &fal["images"][0]["url"]).await));
    let (status, wavespeed) = server.post(PRO, &fields).await;
    assert_eq!(status, 200, "{wavespeed}");
    files.push(("WaveSpeed", fetched(&server, &wavespeed["data"]["outputs"][0]).await));
    let (status, native) = server.post(NATIVE, &fields).await;
    assert_eq!(status, 200, "{native}");
    let inline = native["images"][0].as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap();
    files.push(("DeepInfra", STANDARD.decode(inline).unwrap()));
    let parts = [
        file("image", &source),
        text("prompt", "at night"),
        text("seed", "5"),
        text("num_inference_steps", "2"),
        text("guidance_scale", "3.5"),
        text("size", "288x256"),
    ];
    let (status, by_deepinfra) = openai::send(&server, "/v1/openai/images/variations", &parts).await;
    assert_eq!(status, 200, "{by_deepinfra}");
    files.push(("DeepInfra's OpenAI form", inlined(&by_deepinfra).swap_remove(0)));
    let (status, by_openai) = openai::send(&server, "/v1/images/variations", &parts).await;
    assert_eq!(status, 200, "{by_openai}");
    files.push(("OpenAI", fetched(&server, &by_openai["data"][0]["url"]).await));

    all_alike(&files, 288, 256);
}

#[tokio::test]
async fn all_dialects_with_image_to_image_make_the_same_picture() {
    let server = Server::with_worker().await;
    let source = source();
    let fields = json!({
        "image_url": data_uri(&source), "image": data_uri(&source), "prompt": "a red lake", "seed": 9,
        "strength": 0.7, "num_inference_steps": 4, "guidance_scale": 2.5, "output_format": "png",
        "enable_sync_mode": true,
    });
    let flags = ["--prompt", "a red lake", "--seed", "9", "--strength", "0.7", "--steps", "4", "--guidance", "2.5"];
    let mut files = vec![("the command line", by_command("img2img", &flags))];

    let (status, fal) = server.post("/fal-ai/flux-1/srpo/image-to-image", &fields).await;
    assert_eq!(status, 200, "{fal}");
    files.push(("fal", fetched(&server, &fal["images"][0]["url"]).await));
    let (status, wavespeed) = server.post(SRPO, &fields).await;
    assert_eq!(status, 200, "{wavespeed}");
    files.push(("WaveSpeed", fetched(&server, &wavespeed["data"]["outputs"][0]).await));
    let parts = [
        file("image[]", &source),
        text("prompt", "a red lake"),
        text("seed", "9"),
        text("strength", "0.7"),
        text("num_inference_steps", "4"),
        text("guidance_scale", "2.5"),
    ];
    let (status, edit) = openai::send(&server, "/v1/openai/images/edits", &parts).await;
    assert_eq!(status, 200, "{edit}");
    files.push(("OpenAI", inlined(&edit).swap_remove(0)));

    all_alike(&files, 256, 272);
}
