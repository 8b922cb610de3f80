//! Multipart forms meant to do harm, on the routes of OpenAI's and DeepInfra's clients.

use crate::hostile::raw;
use crate::hostile_dialects::{NATIVE, refused, stored_requests};
use crate::support::{KEY, Server, answer, picture};
use crate::validation::stored_files;
use afterimage_server::dialects::Flow;
use afterimage_server::dialects::openai::{Base, form_parameters};
use afterimage_server::parameters::Kind;
use reqwest::{Method, StatusCode};
use serde_json::Value;

const VARIATIONS: &str = "/v1/images/variations";
const EDITS: &str = "/v1/openai/images/edits";
const ROUTES: [&str; 4] = [VARIATIONS, EDITS, "/v1/openai/images/variations", NATIVE];

/// Head and content of one part.
fn part(disposition: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--b\r\nContent-Disposition: form-data; {disposition}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn text(name: &str, content: &str) -> Vec<u8> {
    part(&format!("name=\"{name}\""), content.as_bytes())
}

fn image(content: &[u8]) -> Vec<u8> {
    part("name=\"image\"; filename=\"a.png\"", content)
}

const END: &[u8] = b"--b--\r\n";

async fn send(server: &Server, path: &str, content_type: &str, body: Vec<u8>) -> (StatusCode, Value) {
    let request = server.request(Method::POST, path).header("content-type", content_type);
    answer(request.body(body).send().await.unwrap()).await
}

const GOOD: &str = "multipart/form-data; boundary=b";

#[tokio::test]
async fn forms_that_are_none_are_refused_in_the_dialects_shape() {
    let server = Server::without_workers().await;
    let png = picture(256, 256);
    let whole = [image(&png), END.to_vec()].concat();
    let long_name = "n".repeat(1 << 20);
    for (name, content_type, body) in [
        ("no boundary", "multipart/form-data", whole.clone()),
        ("an empty boundary", "multipart/form-data; boundary=", whole.clone()),
        ("a boundary of 71", &format!("multipart/form-data; boundary={}", "b".repeat(71)), whole.clone()),
        ("another boundary", "multipart/form-data; boundary=c", whole.clone()),
        ("another type", "multipart/mixed; boundary=b", whole.clone()),
        ("a form of texts", "application/x-www-form-urlencoded", b"image=x".to_vec()),
        ("no body", GOOD, Vec::new()),
        ("only the end", GOOD, b"--b--".to_vec()),
        ("no end", GOOD, image(&png)),
        ("cut in the head", GOOD, b"--b\r\nContent-Dispo".to_vec()),
        ("cut in the content", GOOD, whole[..whole.len() / 2].to_vec()),
        ("no head", GOOD, b"--b\r\n\r\nx\r\n--b--\r\n".to_vec()),
        ("no name", GOOD, [part("filename=\"a.png\"", &png), END.to_vec()].concat()),
        ("a name of a megabyte and nothing else", GOOD, [text(&long_name, "x"), END.to_vec()].concat()),
        ("65 parts", GOOD, [text("prompt", "1").repeat(64), image(&png), END.to_vec()].concat()),
        ("4,097 parts", GOOD, [text("x", "1").repeat(4096), image(&png), END.to_vec()].concat()),
        ("10,000 parts", GOOD, [text("x", "1").repeat(10_000), END.to_vec()].concat()),
        ("10,000 images", GOOD, [image(b"x").repeat(10_000), END.to_vec()].concat()),
        ("bare line feeds", GOOD, b"--b\nContent-Disposition: form-data; name=\"image\"\n\nx\n--b--\n".to_vec()),
        ("zeros", GOOD, vec![0; 100_000]),
        ("dashes", GOOD, b"--b".repeat(50_000)),
        ("a deep form", GOOD, [text("image", &String::from_utf8_lossy(&whole[..40])), END.to_vec()].concat()),
    ] {
        for path in ROUTES {
            let is_native_json = path == NATIVE && !content_type.starts_with("multipart");
            let (status, body) = send(&server, path, content_type, body.clone()).await;
            assert!(status == 400 || status == 422, "{path}, {name}: {status} {body}");
            refused(path, status, &body);
            assert!(!is_native_json || status == 422, "{path}, {name}: {status}");
        }
    }
    assert_eq!((stored_requests(&server).await, stored_files(&server)), (0, 0));
}

#[tokio::test]
async fn the_fields_of_a_form_are_named_when_they_are_absurd() {
    let server = Server::without_workers().await;
    let png = picture(256, 256);
    let absurd = [
        "[]",
        "{}",
        "null",
        "NaN",
        "-inf",
        "1e999",
        "0x10",
        "\u{0}",
        "٣",
        "1,5",
        "9999999999999999999999",
        "-1e30",
        "1e9x1e9",
        "99999999999x1",
        "0x0",
        "../../etc/passwd",
        "<script>",
    ];
    let mut refusals = 0;
    for (path, flow, base) in
        [(VARIATIONS, Flow::Variation, Base::OpenAi), (EDITS, Flow::ImageToImage, Base::DeepInfra)]
    {
        for parameter in form_parameters(flow, base) {
            let is_text = matches!(parameter.kind, Kind::Text { .. }) && parameter.name != "size";
            if is_text || parameter.name == "image" {
                continue;
            }
            let padded = " ".repeat(100_000) + "1";
            for value in absurd.into_iter().chain([padded.as_str()]) {
                // A list may be empty or absent.
                if matches!(parameter.kind, Kind::Loras) && ["[]", "null"].contains(&value) {
                    continue;
                }
                let body = [text("prompt", "p"), text(parameter.name, value), image(&png), END.to_vec()].concat();
                let (status, body) = send(&server, path, GOOD, body).await;
                assert_eq!(status, 400, "{path} {} {value:.40?}: {body}", parameter.name);
                assert_eq!(refused(path, status, &body).as_deref(), Some(parameter.name), "{value:.40?}: {body}");
                refusals += 1;
            }
        }
    }
    assert!(refusals > 200, "{refusals}");
    for (name, bytes) in [
        ("a text", b"no picture".to_vec()),
        ("html", b"<!doctype html><script>alert(1)</script>".to_vec()),
        ("svg", b"<svg xmlns='http://www.w3.org/2000/svg'/>".to_vec()),
        ("a script that is a GIF", b"GIF89a/*\0\0*/=1;alert(1)//".to_vec()),
        ("pdf", b"%PDF-1.7 \xff\xd8\xff".to_vec()),
        ("half a picture", png[..png.len() / 2].to_vec()),
        ("a header of 65535x65535", {
            let mut bomb = png.clone();
            bomb[16..24].copy_from_slice(&[0, 0, 0xff, 0xff, 0, 0, 0xff, 0xff]);
            bomb
        }),
        ("51 MB", vec![0x89; 51_000_000]),
    ] {
        for path in ROUTES {
            let body = [text("prompt", "p"), image(&bytes), END.to_vec()].concat();
            let (status, body) = send(&server, path, GOOD, body).await;
            assert_eq!(refused(path, status, &body).as_deref(), Some("image"), "{path}, {name}: {body}");
        }
    }
    for address in ["http://127.0.0.1/a.png", "http://[::1]/", "http://169.254.169.254/", "file:///etc/passwd"] {
        for path in ROUTES {
            let body = [text("prompt", "p"), text("image", address), END.to_vec()].concat();
            let (status, body) = send(&server, path, GOOD, body).await;
            assert_eq!(refused(path, status, &body).as_deref(), Some("image"), "{path}, {address}: {body}");
        }
    }
    assert_eq!((stored_requests(&server).await, stored_files(&server)), (0, 0));
}

#[tokio::test]
async fn what_does_not_matter_in_a_form_does_no_harm() {
    let server = Server::start(|options| options.sync_timeout = std::time::Duration::ZERO).await;
    let png = picture(256, 256);
    let mut taken = 0;
    for (name, parts) in [
        ("the file last", vec![text("n", "2"), image(&png)]),
        ("the file first", vec![image(&png), text("n", "2")]),
        ("a path as name", vec![part("name=\"image\"; filename=\"../../etc/cron.d/x\"", &png)]),
        ("an absolute path", vec![part("name=\"image\"; filename=\"/etc/passwd\"", &png)]),
        ("a drive", vec![part("name=\"image\"; filename=\"C:\\\\x\\\\y.png\"", &png)]),
        ("a name of 4 KiB", vec![part(&format!("name=\"image\"; filename=\"{}\"", "f".repeat(4096)), &png)]),
        ("another extension", vec![part("name=\"image\"; filename=\"x.html\"", &png)]),
        ("no file name", vec![part("name=\"image\"", &png)]),
        ("the last of two counts", vec![text("n", "9"), text("n", "1"), image(&png)]),
        ("unknown texts", vec![text("junk", &"x".repeat(1 << 20)), text("__proto__", "1"), image(&png)]),
        ("a name in UTF-8", vec![text("größe", "1"), image(&png)]),
    ] {
        let body = [parts.concat(), END.to_vec(), b"trailing junk".to_vec()].concat();
        let (status, body) = send(&server, VARIATIONS, GOOD, body).await;
        // Nobody works here: what is taken is not done in time.
        assert_eq!(status, 504, "{name}: {body}");
        taken += 1;
    }
    assert_eq!(stored_requests(&server).await, taken);
    let outside: Vec<_> =
        std::fs::read_dir(server.folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(outside, ["data"]);
}

#[tokio::test]
async fn forms_over_the_limit_are_refused_without_reading_on() {
    let server = Server::without_workers().await;
    for path in ROUTES {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {KEY}\r\nContent-Type: {GOOD}\r\nContent-Length: "
        );
        let answer = raw(&server, format!("{head}90000000\r\n\r\n--b").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 413"), "{path}: {answer}");
        let body = answer.split_once("\r\n\r\n").unwrap().1;
        refused(path, StatusCode::PAYLOAD_TOO_LARGE, &serde_json::from_str(body).unwrap());
        // Without a key, nothing is read at all.
        let nobody = head.replace(KEY, "x");
        let answer = raw(&server, format!("{nobody}90000000\r\n\r\n--b").as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 401"), "{path}: {answer}");
    }
}
