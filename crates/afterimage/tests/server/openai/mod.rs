//! OpenAI's images routes, as their clients use them; DeepInfra's native route is in `native`, streams in `stream`.

mod native;
mod stream;

use crate::fal_files::database;
use crate::support::{KEY, Server, answer, data_uri, picture};
use afterimage_jobs::{JobStore, KeyStore};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Body, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

pub const MODEL: &str = "black-forest-labs/FLUX-1-Redux-dev";
pub const NATIVE: &str = "/v1/inference/black-forest-labs/FLUX-1-Redux-dev";
const BASES: [&str; 2] = ["/v1/openai", "/v1"];

/// One part of a form: its name, its file name, its bytes.
pub type Part<'a> = (&'a str, Option<&'a str>, &'a [u8]);

pub fn text<'a>(name: &'a str, value: &'a str) -> Part<'a> {
    (name, None, value.as_bytes())
}

pub fn file<'a>(name: &'a str, bytes: &'a [u8]) -> Part<'a> {
    (name, Some("upload"), bytes)
}

pub fn form(parts: &[Part<'_>]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, filename, bytes) in parts {
        let filename = filename.map_or_else(String::new, |filename| {
            format!("; filename=\"{filename}\"\r\nContent-Type: application/octet-stream")
        });
        let head = format!("--BOUNDARY\r\nContent-Disposition: form-data; name=\"{name}\"{filename}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--BOUNDARY--\r\n");
    body
}

pub fn post(server: &Server, path: &str, body: impl Into<Body>) -> RequestBuilder {
    server.request(Method::POST, path).header("content-type", "multipart/form-data; boundary=BOUNDARY").body(body)
}

pub async fn send(server: &Server, path: &str, parts: &[Part<'_>]) -> (StatusCode, Value) {
    answer(post(server, path, form(parts)).send().await.unwrap()).await
}

fn size_of(bytes: &[u8]) -> (u32, u32) {
    let picture = image::load_from_memory(bytes).unwrap();
    (picture.width(), picture.height())
}

/// The files of an answer in base64.
pub fn inlined(answer: &Value) -> Vec<Vec<u8>> {
    let data = answer["data"].as_array().unwrap();
    data.iter().map(|item| STANDARD.decode(item["b64_json"].as_str().unwrap()).unwrap()).collect()
}

/// Checks that `body` has the envelope with all four keys.
fn envelope(body: &Value, param: Option<&str>, code: Option<&str>) {
    let error = body["error"].as_object().unwrap_or_else(|| panic!("{body}"));
    let keys: Vec<&str> = error.keys().map(String::as_str).collect();
    assert_eq!(keys.len(), 4, "{keys:?}");
    assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
    assert!(error["type"].is_string(), "{body}");
    assert_eq!(error["param"].as_str(), param, "{body}");
    assert!(error.contains_key("code"), "{body}");
    if code.is_some() {
        assert_eq!(error["code"].as_str(), code, "{body}");
    }
}

#[tokio::test]
async fn variations_come_inlined_or_by_address() {
    let server = Server::with_worker().await;
    let png = picture(64, 48);
    // Texts first, as the Python SDK sends them.
    let parts = [
        text("model", MODEL),
        text("n", "2"),
        text("size", "256x256"),
        text("num_inference_steps", "1"),
        text("seed", "7"),
        text("user", "somebody"),
        file("image", &png),
    ];
    let response = post(&server, "/v1/openai/images/variations", form(&parts)).send().await.unwrap();
    let headers = response.headers().clone();
    let (status, body) = answer(response).await;
    assert_eq!(status, 200, "{body}");
    assert!(body["created"].as_i64().unwrap() > 1_700_000_000);
    let files = inlined(&body);
    assert_eq!(files.len(), 2);
    assert_ne!(files[0], files[1]);
    for bytes in &files {
        assert_eq!(image::guess_format(bytes).unwrap(), image::ImageFormat::Png);
        assert_eq!(size_of(bytes), (256, 256));
    }
    let item = body["data"][0].as_object().unwrap();
    assert!(item["revised_prompt"].is_null() && !item.contains_key("url"), "{:?}", item.keys());

    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert!(!header("x-request-id").is_empty());
    assert!(header("openai-processing-ms").parse::<u64>().unwrap() > 0);
    assert_eq!(header("openai-version"), "2020-10-01");
    assert_eq!(header("x-ratelimit-limit-requests"), "200");
    assert_eq!(header("x-ratelimit-remaining-requests"), "199");
    assert_eq!(header("x-ratelimit-reset-requests"), "0s");
    assert!(headers.get("x-should-retry").is_none());

    // The file first and the body in chunks, as the JavaScript SDK sends it.
    let mut reversed = parts;
    reversed.reverse();
    let path = server.folder.path().join("body");
    std::fs::write(&path, form(&reversed)).unwrap();
    let chunks = tokio::fs::File::open(&path).await.unwrap();
    let (status, body) = answer(post(&server, "/v1/images/variations", chunks).send().await.unwrap()).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(body["data"].as_array().unwrap().len(), 2);
    for (item, expected) in body["data"].as_array().unwrap().iter().zip(&files) {
        assert!(item.get("b64_json").is_none(), "{item}");
        let url = item["url"].as_str().unwrap();
        assert!(url.starts_with(&server.url), "{url}");
        let file = server.client.get(url).send().await.unwrap();
        assert_eq!(file.headers()["content-type"], "image/png");
        assert_eq!(file.bytes().await.unwrap(), expected.as_slice(), "the same seed makes the same picture");
    }

    // Either base makes either format, and sizes may be written in each service's way.
    let few = [text("num_inference_steps", "1"), file("image[]", &png)];
    for (base, format, key, size) in
        [("/v1/openai", "url", "url", "256*272"), ("/v1", "b64_json", "b64_json", " 256X272 ")]
    {
        let mut parts = few.to_vec();
        parts.extend([text("response_format", format), text("output_format", "jpeg"), text("size", size)]);
        let (status, body) = send(&server, &format!("{base}/images/variations"), &parts).await;
        assert_eq!(status, 200, "{body}");
        assert!(body["data"][0][key].is_string(), "{body}");
        if key == "b64_json" {
            let files = inlined(&body);
            assert_eq!(image::guess_format(&files[0]).unwrap(), image::ImageFormat::Jpeg);
            assert_eq!(size_of(&files[0]), (256, 272));
        }
    }
}

#[tokio::test]
async fn addresses_work_for_as_long_as_results_are_kept_and_only_as_they_are() {
    let server = Server::start(|options| {
        options.workers = 1;
        options.retention = Duration::from_hours(2);
    })
    .await;
    let png = picture(64, 64);
    let parts = [file("image", &png), text("size", "256x256"), text("num_inference_steps", "1"), text("n", "4")];
    let (status, body) = send(&server, "/v1/images/variations", &parts).await;
    assert_eq!(status, 200, "{body}");
    let items = body["data"].as_array().unwrap();
    assert_eq!(items.len(), 4);
    for (index, item) in items.iter().enumerate() {
        let address = item["url"].as_str().unwrap();
        let url = Url::parse(address).unwrap();
        let expires: i64 = url.query_pairs().find(|(name, _)| name == "expires").unwrap().1.parse().unwrap();
        let made = body["created"].as_i64().unwrap();
        assert!((expires - made - 7200).abs() <= 1, "{made}, {expires}");
        let later = address.replace(&expires.to_string(), &(expires + 60).to_string());
        let another = address.replace(&format!("/{index}.png"), &format!("/{}.png", (index + 1) % 4));
        for (address, expected) in [(address, 200), (&later, 404), (&another, 404)] {
            assert_eq!(server.client.get(address).send().await.unwrap().status(), expected, "{address}");
        }
    }
}

#[tokio::test]
async fn end_users_are_told_apart() {
    let server = Server::with_worker().await;
    let png = picture(256, 256);
    let image = file("image", &png);
    let few = text("num_inference_steps", "2");
    for (route, more) in [
        ("variations", vec![text("size", "256x256"), text("user", "first")]),
        ("edits", vec![text("prompt", "p"), text("user", "first"), text("safety_identifier", "second")]),
        ("edits", vec![text("prompt", "p"), text("user", "first"), text("safety_identifier", "")]),
    ] {
        let parts = [&[image, few], &more[..]].concat();
        let (status, body) = send(&server, &format!("/v1/openai/images/{route}"), &parts).await;
        assert_eq!(status, 200, "{body}");
    }
    let store = database(&server).await;
    let key = store.keys().await.unwrap().swap_remove(0).id;
    for (user, jobs) in [(None, 3), (Some("first"), 2), (Some("second"), 1), (Some("third"), 0)] {
        assert_eq!(store.spending(&key, user).await.unwrap().jobs, jobs, "{user:?}");
    }
}

#[tokio::test]
async fn edits_keep_the_size_of_their_picture() {
    let server = Server::with_worker().await;
    let png = picture(272, 256);
    let mut made = Vec::new();
    for (base, prompt) in BASES.into_iter().zip(["a red lake", "a green forest"]) {
        let parts = [
            file("image[]", &png),
            text("prompt", prompt),
            text("num_inference_steps", "2"),
            text("strength", "0.9"),
            text("seed", "3"),
            text("size", "auto"),
            text("response_format", "b64_json"),
            text("stream", "false"),
        ];
        let (status, body) = send(&server, &format!("{base}/images/edits"), &parts).await;
        assert_eq!(status, 200, "{body}");
        let files = inlined(&body);
        assert_eq!(files.len(), 1);
        assert_eq!(size_of(&files[0]), (272, 256));
        made.extend(files);
    }
    assert_ne!(made[0], made[1], "the prompt counts");
}

#[tokio::test]
async fn bad_fields_are_named_before_anything_runs() {
    let server = Server::without_workers().await;
    let png = picture(256, 256);
    let image = file("image", &png);
    for (route, parts, param) in [
        ("variations", vec![], "image"),
        ("variations", vec![text("image", "")], "image"),
        ("variations", vec![file("image", b"no picture")], "image"),
        ("variations", vec![file("image", b"")], "image"),
        ("variations", vec![image, image], "image"),
        ("variations", vec![text("image", "http://127.0.0.1/a.png")], "image"),
        ("variations", vec![image, text("n", "0")], "n"),
        ("variations", vec![image, text("n", "5")], "n"),
        ("variations", vec![image, text("n", "two")], "n"),
        ("variations", vec![image, text("n", "1.5")], "n"),
        ("variations", vec![image, text("size", "255x256")], "size"),
        ("variations", vec![image, text("size", "256x1537")], "size"),
        ("variations", vec![image, text("size", "auto")], "size"),
        ("variations", vec![image, text("response_format", "jpeg")], "response_format"),
        ("variations", vec![image, text("output_format", "webp")], "output_format"),
        ("variations", vec![image, text("seed", "x")], "seed"),
        ("variations", vec![image, text("num_inference_steps", "51")], "num_inference_steps"),
        ("variations", vec![image, text("guidance_scale", "NaN")], "guidance_scale"),
        ("variations", vec![image, ("n", None, b"\xff")], "n"),
        ("edits", vec![image], "prompt"),
        ("edits", vec![image, text("prompt", "")], "prompt"),
        ("edits", vec![text("prompt", "p")], "image"),
        ("edits", vec![image, text("prompt", "p"), file("mask", &png)], "mask"),
        ("edits", vec![image, text("prompt", "p"), file("mask", b"no mask")], "mask"),
        ("variations", vec![image, file("mask", &png)], "mask"),
        ("variations", vec![image, text("stream", "true")], "stream"),
        ("edits", vec![image, text("prompt", "p"), text("stream", "maybe")], "stream"),
        (
            "edits",
            vec![image, text("prompt", "p"), text("stream", "true"), text("partial_images", "4")],
            "partial_images",
        ),
        ("edits", vec![image, text("prompt", "p"), text("partial_images", "1")], "partial_images"),
        ("edits", vec![image, text("prompt", "p"), text("stream", "true"), text("n", "2")], "n"),
        (
            "edits",
            vec![image, text("prompt", "p"), text("stream", "true"), text("response_format", "url")],
            "response_format",
        ),
        ("edits", vec![image, text("prompt", "p"), text("background", "transparent")], "background"),
        ("edits", vec![image, text("prompt", "p"), text("strength", "1.1")], "strength"),
        ("edits", vec![image, text("prompt", "p"), text("size", "4097x1024")], "size"),
        ("edits", vec![image, text("prompt", "p"), file("image[]", &png)], "image"),
    ] {
        for base in BASES {
            let path = format!("{base}/images/{route}");
            let response = post(&server, &path, form(&parts)).send().await.unwrap();
            let retry = response.headers()["x-should-retry"].clone();
            let (status, body) = answer(response).await;
            assert_eq!(status, 400, "{path} {param}: {body}");
            assert_eq!(retry, "false");
            envelope(&body, Some(param), None);
            assert!(body["error"]["message"].as_str().unwrap().starts_with(&format!("{param}: ")), "{body}");
        }
    }
}

#[tokio::test]
async fn every_error_has_the_envelope() {
    let server = Server::without_workers().await;
    let png = picture(64, 64);
    for base in BASES {
        let variations = format!("{base}/images/variations");
        let (status, body) = send(&server, &variations, &[file("image", &png), text("model", "dall-e-2")]).await;
        assert_eq!(status, 404, "{body}");
        envelope(&body, Some("model"), Some("model_not_found"));

        let (status, body) = server.get(&format!("{base}/models/gpt-image-1")).await;
        assert_eq!(status, 404, "{body}");
        envelope(&body, Some("model"), Some("model_not_found"));

        for key in [None, Some("wrong")] {
            let mut request = server.client.post(format!("{}{variations}", server.url)).body(form(&[]));
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            let response = request.send().await.unwrap();
            assert_eq!(response.headers()["x-should-retry"], "false");
            assert_eq!(response.headers()["openai-version"], "2020-10-01");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            let (status, body) = answer(response).await;
            assert_eq!(status, 401, "{body}");
            envelope(&body, None, Some("invalid_api_key"));
        }

        for path in ["/images/generations", "/images", "/models/", "/nothing/at/all"] {
            let (status, body) = send(&server, &format!("{base}{path}"), &[file("image", &png)]).await;
            assert!([404, 405].contains(&status.as_u16()), "{path}: {status} {body}");
            envelope(&body, None, None);
        }
        let (status, body) = server.get(&variations).await;
        assert_eq!(status, 405, "{body}");
        envelope(&body, None, None);

        let (status, body) = server.post(&variations, &json!({"image": data_uri(&png)})).await;
        assert_eq!(status, 400, "{body}");
        envelope(&body, None, None);
        assert!(body["error"]["message"].as_str().unwrap().contains("multipart/form-data"), "{body}");

        let (status, body) =
            answer(post(&server, &variations, &b"--BOUNDARY\r\nno form"[..]).send().await.unwrap()).await;
        assert_eq!(status, 400, "{body}");
        envelope(&body, None, None);
    }

    let too_long = "content-length: 99999999\r\ncontent-type: multipart/form-data; boundary=b";
    let (head, body) = raw(&server, "/v1/images/variations", too_long).await;
    assert!(head.starts_with("HTTP/1.1 413"), "{head}");
    envelope(&body, None, None);
}

/// Sends a head alone; the head and the body of the answer.
async fn raw(server: &Server, path: &str, headers: &str) -> (String, Value) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(server.url.trim_start_matches("http://")).await.unwrap();
    let head = format!("POST {path} HTTP/1.1\r\nhost: h\r\nauthorization: Bearer {KEY}\r\n{headers}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.to_owned(), serde_json::from_str(body).unwrap_or_else(|_| panic!("{text}")))
}

#[tokio::test]
async fn the_model_is_listed_and_found_by_its_id() {
    let server = Server::without_workers().await;
    for base in BASES {
        let (status, list) = server.get(&format!("{base}/models")).await;
        assert_eq!((status.as_u16(), &list["object"]), (200, &json!("list")));
        let ids: Vec<&Value> = list["data"].as_array().unwrap().iter().map(|model| &model["id"]).collect();
        assert_eq!(ids, [MODEL]);
        // SDKs send slashes of an id either way.
        for id in [MODEL.to_owned(), MODEL.replace('/', "%2F")] {
            let (status, model) = server.get(&format!("{base}/models/{id}")).await;
            assert_eq!(status, 200, "{id}: {model}");
            assert_eq!(model, list["data"][0]);
            assert_eq!(model["object"], "model");
        }
    }
}

#[tokio::test]
async fn a_request_that_is_not_done_in_time_says_so() {
    let server = Server::start(|options| options.sync_timeout = Duration::from_millis(300)).await;
    let png = picture(64, 64);
    let parts = [text("size", "256x256"), file("image", &png)];
    let response = post(&server, "/v1/images/variations", form(&parts)).send().await.unwrap();
    assert_eq!(response.headers()["x-should-retry"], "false");
    let (status, body) = answer(response).await;
    assert_eq!(status, 504, "{body}");
    envelope(&body, None, None);

    // With a key the repetition finds the first one's job, whatever boundary it is sent with.
    let again = |boundary: &str| {
        let body = String::from_utf8_lossy(&form(&[text("image", &data_uri(&png))])).replace("BOUNDARY", boundary);
        server
            .request(Method::POST, "/v1/images/variations")
            .header("content-type", format!("multipart/form-data; boundary={boundary}"))
            .header("idempotency-key", "k")
            .body(body)
            .send()
    };
    for boundary in ["ONE", "TWO"] {
        let response = again(boundary).await.unwrap();
        assert_eq!(response.status(), 504);
        assert_eq!(response.headers()["x-should-retry"], "true");
    }
    let other = post(&server, "/v1/images/variations", form(&parts)).header("idempotency-key", "k");
    let (status, body) = answer(other.send().await.unwrap()).await;
    assert_eq!(status, 422, "{body}");
    envelope(&body, None, None);

    let (status, body) = server.post(NATIVE, &json!({"image": data_uri(&png)})).await;
    assert_eq!(status, 504);
    assert!(body["error"].is_string(), "{body}");
}
