//! Edits: forms with more than is known, sizes, and JSON.

use super::{first_picture, pixels, post_json};
use crate::openai::{MODEL, file, form, post, send, text};
use crate::support::{Server, answer, data_uri, picture};
use crate::validation::stored_files;
use serde_json::{Value, json};

const EDITS: [&str; 2] = ["/v1/images/edits", "/v1/openai/images/edits"];

#[tokio::test]
async fn unknown_parts_of_a_form_are_ignored_whatever_is_in_them() {
    let server = Server::with_worker().await;
    let png = picture(256, 256);
    let needed = [
        file("image", &png),
        text("prompt", "a lake"),
        text("num_inference_steps", "1"),
        text("seed", "1"),
        text("response_format", "b64_json"),
    ];
    let (status, plain) = send(&server, EDITS[0], &needed).await;
    assert_eq!(status, 200, "{plain}");
    let expected = first_picture(&server, &plain).await;
    let (junk, large) = ([0xff_u8, 0, 0xfe, 0x89, b'P'], vec![0xa5_u8; 3 << 20]);
    let long_name = "n".repeat(10_000);
    for unknown in [
        vec![file("thumbnail", &png)],
        vec![file("thumbnail", &junk), ("metadata", None, &junk[..])],
        vec![file("preview", &large), text("maskara", "x"), ("\u{fc}", None, &junk[..])],
        vec![text("x", "1"); 200],
        vec![text(&long_name, "x"), text("images", "x"), text("image_url", "x"), text("mask_url", "x")],
        vec![text("mask", ""), text("mask[]", "")],
    ] {
        for last in [false, true] {
            let parts = if last { [&needed[..], &unknown[..]].concat() } else { [&unknown[..], &needed[..]].concat() };
            let (status, made) = send(&server, EDITS[0], &parts).await;
            assert_eq!(status, 200, "{made}");
            assert!(first_picture(&server, &made).await == expected);
        }
    }
    for name in ["mask", "mask[]", "mask[0]"] {
        // Nothing of it is transparent.
        let parts = [&needed[..], &[file(name, &png)]].concat();
        let (status, refused) = send(&server, EDITS[0], &parts).await;
        assert_eq!((status.as_u16(), &refused["error"]["param"]), (400, &json!("mask")), "{name}: {refused}");
        assert!(refused["error"]["message"].as_str().unwrap().contains("no transparency"), "{name}: {refused}");
    }
    // The upload route passes over what is not its file, too.
    let parts = [file("thumbnail", &junk), file("file", &png), text("purpose", "x")];
    let (status, stored) = send(&server, "/api/v3/media/upload/binary", &parts).await;
    assert_eq!((status.as_u16(), &stored["data"]["size"]), (200, &json!(png.len())), "{stored}");
}

#[tokio::test]
async fn repetitions_of_a_form_are_the_same_request_whatever_else_is_in_it() {
    let server = Server::start(|options| options.sync_timeout = std::time::Duration::ZERO).await;
    let png = picture(256, 256);
    for unknown in [text("trace", "1"), text("trace", "2"), file("thumbnail", &png)] {
        let parts = [file("image", &png), text("prompt", "p"), unknown];
        let request = post(&server, EDITS[0], form(&parts)).header("Idempotency-Key", "k");
        // Nobody works here: what is taken is not done in time.
        assert_eq!(answer(request.send().await.unwrap()).await.0, 504);
    }
    let list = server.post("/api/v3/predictions", &json!({})).await.1;
    assert_eq!(stored_files(&server), 1, "one request with one input: {list}");
}

#[tokio::test]
async fn an_edit_has_the_size_that_is_asked_for() {
    let server = Server::with_worker().await;
    let png = picture(100, 60);
    for (size, expected) in [
        ("256x256", (256, 256)),
        ("64x32", (64, 32)),
        ("75X50", (64, 48)),
        ("96*64", (96, 64)),
        ("auto", (96, 48)),
        ("AUTO", (96, 48)),
        ("", (96, 48)),
        ("100x60", (96, 48)),
    ] {
        let parts = [
            file("image", &png),
            text("prompt", "a lake"),
            text("num_inference_steps", "1"),
            text("size", size),
            text("response_format", "b64_json"),
        ];
        let (status, made) = send(&server, EDITS[1], &parts).await;
        assert_eq!(status, 200, "{size}: {made}");
        assert_eq!(pixels(&first_picture(&server, &made).await).dimensions(), expected, "{size}");
    }
    for bad in ["large", "1024", "0x0", "8x8", "4097x64", "-64x64", "1024x1024x1024"] {
        let parts = [file("image", &png), text("prompt", "a lake"), text("size", bad)];
        let (status, refused) = send(&server, EDITS[0], &parts).await;
        assert_eq!((status.as_u16(), &refused["error"]["param"]), (400, &json!("size")), "{bad}: {refused}");
    }
}

#[tokio::test]
async fn edits_in_json_are_those_in_a_form() {
    let server = Server::with_worker().await;
    let png = picture(256, 256);
    let parts = [
        file("image", &png),
        text("prompt", "a lake"),
        text("num_inference_steps", "2"),
        text("seed", "5"),
        text("size", "272x256"),
    ];
    let (status, in_form) = send(&server, EDITS[1], &parts).await;
    assert_eq!(status, 200, "{in_form}");
    let expected = first_picture(&server, &in_form).await;
    let uploaded = server.upload(&png).await;
    let with = |more: Value| {
        let mut body = json!({
            "model": MODEL, "prompt": "a lake", "num_inference_steps": 2, "seed": 5, "size": "272x256", "n": 1,
            "quality": "high", "background": "auto", "input_fidelity": "low", "moderation": "auto",
            "output_compression": 90, "output_format": "png", "partial_images": 0, "stream": false, "user": "u", "mask": null,
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    for pictures in [
        json!({"images": [{"image_url": data_uri(&png)}]}),
        json!({"images": [{"image_url": uploaded, "file_id": null}]}),
        json!({"images": [{"image_url": {"url": data_uri(&png)}}]}),
        json!({"images": [data_uri(&png)]}),
        json!({"image": data_uri(&png), "n": "1", "seed": "5"}),
        json!({"image": [{"image_url": data_uri(&png)}], "size": "272X256"}),
    ] {
        let (status, made) = post_json(&server, EDITS[1], &with(pictures)).await;
        assert_eq!(status, 200, "{made}");
        assert!(first_picture(&server, &made).await == expected);
    }
    // Addresses by default where OpenAI's own base is meant, and streams.
    let body = with(json!({"images": [{"image_url": data_uri(&png)}]}));
    let (status, made) = post_json(&server, EDITS[0], &body).await;
    assert!(status == 200 && made["data"][0]["url"].is_string(), "{made}");
    let request = server.request(reqwest::Method::POST, EDITS[0]).header("content-type", "application/json");
    let body = with(json!({"images": [{"image_url": data_uri(&png)}], "stream": true, "partial_images": 1}));
    let events = request.body(body.to_string()).send().await.unwrap().text().await.unwrap();
    assert!(events.contains("event: image_edit.completed"), "{events:.300}");
}

#[tokio::test]
async fn edits_in_json_name_what_they_cannot_use() {
    let server = Server::without_workers().await;
    let image = data_uri(&picture(64, 64));
    let reference = json!({"image_url": image});
    for (body, param) in [
        (json!({"prompt": "p"}), "images"),
        (json!({"prompt": "p", "images": []}), "images"),
        (json!({"prompt": "p", "images": "x"}), "images"),
        (json!({"prompt": "p", "images": [{"file_id": "file-abc"}]}), "images[0].file_id"),
        (json!({"prompt": "p", "images": [{}]}), "images[0].image_url"),
        (json!({"prompt": "p", "images": [{"image_url": 5}]}), "images[0].image_url"),
        (json!({"prompt": "p", "images": [{"image_url": "http://127.0.0.1/a.png"}]}), "images[0].image_url"),
        (json!({"prompt": "p", "images": [{"image_url": "data:image/png;base64,AAAA"}]}), "images[0].image_url"),
        (json!({"prompt": "p", "images": [reference, reference]}), "image"),
        (json!({"prompt": "p", "images": [reference], "mask": {"image_url": image}}), "mask.image_url"),
        (json!({"prompt": "p", "images": [reference], "mask": {"file_id": "file-abc"}}), "mask.file_id"),
        (json!({"prompt": "p", "images": [reference], "mask": 7}), "mask"),
        (json!({"prompt": "p", "images": [reference], "mask_blur": -1}), "mask_blur"),
        (json!({"images": [reference]}), "prompt"),
        (json!({"prompt": "p", "images": [reference], "n": 5}), "n"),
        (json!({"prompt": "p", "images": [reference], "size": "4097x16"}), "size"),
        (json!({"prompt": "p", "images": [reference], "background": "transparent"}), "background"),
        (json!({"prompt": "p", "images": [reference], "output_format": "webp"}), "output_format"),
        (json!({"prompt": "p", "images": [reference], "model": "gpt-image-1"}), "model"),
    ] {
        for path in EDITS {
            let (status, refused) = post_json(&server, path, &body).await;
            assert!(status == 400 || (param, status) == ("model", 404), "{param}: {status} {refused}");
            assert_eq!(refused["error"]["param"], param, "{refused}");
            assert!(refused["error"]["message"].as_str().unwrap().len() < 500, "{refused}");
        }
    }
    // Variations have the one form that the service gives them.
    let (status, refused) = post_json(&server, "/v1/images/variations", &json!({"image": image})).await;
    assert_eq!(status, 400, "{refused}");
    assert_eq!(stored_files(&server), 0);
}
