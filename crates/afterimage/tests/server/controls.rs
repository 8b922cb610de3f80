//! Masks and mixtures in every dialect: what they do to the pictures, and what is refused how.

use crate::hostile_dialects::{QUEUE, REDUX as FAL, stored_requests};
use crate::openai::{self, file, inlined, text};
use crate::support::{REDUX, Server, answer, data_uri, picture};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, Rgba};
use reqwest::Method;
use serde_json::{Value, json};
use std::io::Cursor;

const RESHAPE: &str = "/api/v3/wavespeed-ai/flux-srpo/image-to-image";
const FAL_RESHAPE: &str = "/fal-ai/flux-1/srpo/image-to-image";
const EDITS: [&str; 2] = ["/v1/images/edits", "/v1/openai/images/edits"];

const SIDE: u32 = 64;

fn png(image: &DynamicImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    image.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png).unwrap();
    bytes
}

/// White on the right half.
fn bright_mask() -> Vec<u8> {
    png(&ImageBuffer::from_fn(SIDE, SIDE, |x, _| Luma([if x < SIDE / 2 { 0_u8 } else { 255 }])).into())
}

/// Transparent on the right half.
fn clear_mask() -> Vec<u8> {
    png(&ImageBuffer::from_fn(SIDE, SIDE, |x, _| Rgba([9_u8, 9, 9, if x < SIDE / 2 { 255 } else { 0 }])).into())
}

fn decoded(bytes: &[u8]) -> RgbImage {
    image::load_from_memory(bytes).unwrap().into_rgb8()
}

/// The only picture of an answer of a dialect of JSON.
async fn pixels(server: &Server, body: &Value) -> RgbImage {
    let address = body["data"]["outputs"].get(0).or_else(|| body["images"].get(0).map(|image| &image["url"]));
    let address = address.and_then(Value::as_str).unwrap_or_else(|| panic!("{body}"));
    decoded(&server.client.get(address).send().await.unwrap().bytes().await.unwrap())
}

/// Whether `made` is `source` on the left, to the pixel, and something else on the right.
fn changes_the_right_half_only(made: &RgbImage, source: &RgbImage) -> bool {
    let half = |image: &RgbImage, first: u32| -> Vec<Rgb<u8>> {
        image.enumerate_pixels().filter(|(x, ..)| (*x < SIDE / 2) == (first == 0)).map(|(.., pixel)| *pixel).collect()
    };
    half(made, 0) == half(source, 0) && half(made, 1) != half(source, 1)
}

#[tokio::test]
async fn only_what_is_masked_is_painted_in_every_dialect() {
    let server = Server::with_worker().await;
    let source = picture(SIDE, SIDE);
    let expected = decoded(&source);
    let clear = clear_mask();
    for path in EDITS {
        let parts = [
            file("image", &source),
            text("prompt", "red"),
            file("mask", &clear),
            text("num_inference_steps", "2"),
            text("response_format", "b64_json"),
        ];
        let (status, body) = openai::send(&server, path, &parts).await;
        assert_eq!(status, 200, "{body}");
        assert!(changes_the_right_half_only(&decoded(&inlined(&body)[0]), &expected), "{path}");
    }
    let mask = json!({"image_url": data_uri(&clear_mask())});
    let body = json!({
        "images": [{"image_url": data_uri(&source)}], "mask": mask, "prompt": "red", "num_inference_steps": 2,
        "response_format": "b64_json",
    });
    let request = server.request(Method::POST, EDITS[0]).header("content-type", "application/json");
    let (status, made) = answer(request.body(body.to_string()).send().await.unwrap()).await;
    assert_eq!(status, 200, "{made}");
    assert!(changes_the_right_half_only(&decoded(&inlined(&made)[0]), &expected), "JSON");

    let common = json!({"prompt": "red", "num_inference_steps": 2, "output_format": "png", "keep_outside": true});
    let with = |more: Value| {
        let mut body = common.clone();
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    };
    let sent = with(json!({
        "image": data_uri(&source), "mask_image": data_uri(&bright_mask()), "enable_sync_mode": true,
    }));
    let (status, made) = server.post(RESHAPE, &sent).await;
    assert_eq!(status, 200, "{made}");
    assert!(changes_the_right_half_only(&pixels(&server, &made).await, &expected), "WaveSpeed");
    let sent = with(json!({"image_url": data_uri(&source), "mask_url": data_uri(&bright_mask())}));
    let (status, made) = server.post(FAL_RESHAPE, &sent).await;
    assert_eq!(status, 200, "{made}");
    assert!(changes_the_right_half_only(&pixels(&server, &made).await, &expected), "fal");
    // Without being asked the outside comes out of the autoencoder.
    let sent = with(json!({
        "image_url": data_uri(&source), "mask_url": data_uri(&bright_mask()), "keep_outside": false,
    }));
    let (_, made) = server.post(FAL_RESHAPE, &sent).await;
    assert!(!changes_the_right_half_only(&pixels(&server, &made).await, &expected));
    // A part, enlarged: the result has the picture's size, not the default's.
    let sent = with(json!({
        "image": data_uri(&source), "mask_image": data_uri(&bright_mask()), "mask_crop": 4, "mask_blur": 1.5,
        "enable_sync_mode": true,
    }));
    let (_, made) = server.post(RESHAPE, &sent).await;
    assert_eq!(pixels(&server, &made).await.dimensions(), (SIDE, SIDE));
}

/// A variation by `path` with `more`.
async fn variation(server: &Server, path: &str, more: &Value) -> RgbImage {
    let source = data_uri(&picture(SIDE, SIDE));
    let mut body = json!({
        "image": source, "image_url": source, "prompt": "a lake", "num_inference_steps": 2, "seed": 5, "size": "256*256",
        "image_size": {"width": 256, "height": 256}, "output_format": "png", "enable_sync_mode": true,
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let (status, made) = server.post(path, &body).await;
    assert_eq!(status, 200, "{path} {more}: {made}");
    pixels(server, &made).await
}

#[tokio::test]
async fn each_control_of_variations_does_what_it_says() {
    let server = Server::with_worker().await;
    let (mask, start) = (data_uri(&bright_mask()), data_uri(&picture(48, 80)));
    let white = data_uri(&png(&ImageBuffer::from_pixel(1, 1, Luma([255_u8])).into()));
    let wide = data_uri(&png(&ImageBuffer::from_pixel(300, 2, Luma([u16::MAX])).into()));
    let names = [(REDUX, "image_masks", "init_image"), (FAL, "image_mask_urls", "init_image_url")];
    for (path, masks, init) in names {
        let plain = variation(&server, path, &json!({})).await;
        for same in [
            json!({masks: [white]}),
            json!({masks: [wide]}),
            json!({masks: ["none"]}),
            json!({masks: []}),
            json!({"balance": "picture"}),
            json!({"balance": "custom", "redux_strength_spans": "1@0:1"}),
            json!({"variation_seed": 9}),
            json!({"variation_strength": 0}),
            json!({"strength": 0.3}),
        ] {
            assert!(variation(&server, path, &same).await == plain, "{path} {same}");
        }
        let other_seed = variation(&server, path, &json!({"seed": 9})).await;
        let reached = json!({"variation_seed": 9, "variation_strength": 1});
        assert!(variation(&server, path, &reached).await == other_seed, "{path}");
        for other in [
            json!({masks: [mask]}),
            json!({"balance": "prompt"}),
            json!({"redux_strength_spans": "0.2@0.5:1"}),
            json!({init: start}),
            json!({init: start, "strength": 0.5}),
            json!({"variation_seed": 9, "variation_strength": 0.2}),
        ] {
            assert!(variation(&server, path, &other).await != plain, "{path} {other}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_used_is_named_before_anything_runs() {
    let server = Server::without_workers().await;
    let (source, mask) = (data_uri(&picture(SIDE, SIDE)), data_uri(&bright_mask()));
    for (more, field) in [
        (json!({"image_masks": [mask, mask]}), "image_masks"),
        (json!({"image_masks": "x"}), "image_masks"),
        (json!({"image_masks": [""]}), "image_masks[0]"),
        (json!({"image_masks": ["data:image/png;base64,AAAA"]}), "image_masks[0]"),
        (json!({"init_image": 7}), "init_image"),
        (json!({"init_image": source, "strength": 1.5}), "strength"),
        (json!({"balance": "fair"}), "balance"),
        (json!({"redux_strength_spans": "1"}), "redux_strength_spans"),
        (json!({"redux_strength_spans": "1@0:0.6,0.5@0.5:1"}), "redux_strength"),
        (json!({"variation_strength": 2}), "variation_strength"),
        (json!({"variation_seed": -2}), "variation_seed"),
    ] {
        let mut body = json!({"image": source});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, refused) = server.post(REDUX, &body).await;
        assert!(status == 400 && refused.to_string().contains(field), "{more}: {status} {refused}");
    }
    for (more, field) in [
        (json!({"mask_url": "ftp://a/b"}), "mask_url"),
        (json!({"mask_url": ["x"]}), "mask_url"),
        (json!({"mask_url": mask, "mask_blur": 1e9}), "mask_blur"),
        (json!({"mask_url": mask, "mask_crop": -1}), "mask_crop"),
        (json!({"mask_url": mask, "keep_outside": "perhaps"}), "keep_outside"),
    ] {
        let mut body = json!({"image_url": source, "prompt": "p"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, refused) = server.post(FAL_RESHAPE, &body).await;
        assert!(status == 422 && refused["detail"][0]["loc"][1] == field, "{more}: {status} {refused}");
    }
    let (whole, bright) = (picture(SIDE, SIDE), bright_mask());
    let parts = [file("image", &whole), text("prompt", "p"), file("mask", &bright)];
    for path in EDITS {
        let (status, refused) = openai::send(&server, path, &parts).await;
        assert_eq!((status.as_u16(), refused["error"]["param"].as_str()), (400, Some("mask")), "{refused}");
    }
    assert_eq!(stored_requests(&server).await, 0);
}

#[tokio::test]
async fn a_mask_of_which_nothing_is_left_fails_its_request_by_name() {
    let server = Server::with_worker().await;
    let (source, black) =
        (data_uri(&picture(SIDE, SIDE)), data_uri(&png(&ImageBuffer::from_pixel(9, 9, Luma([0_u8])).into())));
    let (status, made) = server
        .post(
            REDUX,
            &json!({"image": source, "image_masks": [black], "enable_sync_mode": true, "num_inference_steps": 1}),
        )
        .await;
    assert!(made["data"]["status"] == "failed", "{status} {made}");
    assert!(made.to_string().contains("image_masks"), "{made}");
    let body = json!({"image_url": source, "prompt": "p", "mask_url": black, "mask_crop": 3, "num_inference_steps": 2});
    let (status, made) = server.post(FAL_RESHAPE, &body).await;
    assert!(status == 422 && made.to_string().contains("mask_url"), "{status} {made}");
    // Nothing to paint is no mistake without a part to cut out.
    let body = json!({"image_url": source, "prompt": "p", "mask_url": black, "num_inference_steps": 2});
    assert_eq!(server.post(FAL_RESHAPE, &body).await.0, 200);
    let (status, _) = server.post(QUEUE, &json!({"image_url": source, "image_mask_urls": [black]})).await;
    assert_eq!(status, 200, "it is queued, and fails there");
}
