//! Seeds, numbers as text, strength 0, names of formats.

use super::{first_picture, pixels, post_json};
use crate::openai::{NATIVE, form, post, text};
use crate::support::{REDUX, SRPO, Server, answer, data_uri, picture};
use serde_json::{Value, json};

const FAL: &str = "/fal-ai/flux-1/dev/redux";
const FAL_SRPO: &str = "/fal-ai/flux-1/srpo/image-to-image";

/// A request for one picture of 256×256 in one step that every dialect understands.
fn small(more: &Value) -> Value {
    let mut body = json!({
        "image": data_uri(&picture(32, 32)), "image_url": data_uri(&picture(32, 32)),
        "size": "256*256", "image_size": {"width": 256, "height": 256}, "width": 256, "height": 256,
        "num_inference_steps": 1, "output_format": "png", "enable_sync_mode": true,
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[tokio::test]
async fn a_drawn_seed_is_taken_back_by_every_dialect_and_gives_the_same_picture() {
    let server = Server::with_worker().await;
    for path in [FAL, NATIVE] {
        let (status, drawn) = post_json(&server, path, &small(&json!({"seed": -1}))).await;
        assert_eq!(status, 200, "{drawn}");
        let seed = drawn["seed"].as_u64().unwrap();
        assert!(seed <= 2_147_483_647, "{seed}");
        let expected = pixels(&first_picture(&server, &drawn).await);
        for again in [FAL, NATIVE, REDUX] {
            let (status, made) = post_json(&server, again, &small(&json!({"seed": seed}))).await;
            assert_eq!(status, 200, "{again}: {made}");
            assert!(pixels(&first_picture(&server, &made).await) == expected, "{path}, {again}");
        }
        let digits = seed.to_string();
        let image = data_uri(&picture(32, 32));
        let fields = [("seed", digits.as_str()), ("size", "256x256"), ("num_inference_steps", "1"), ("image", &image)];
        let parts: Vec<_> = fields.iter().map(|(name, value)| text(name, value)).collect();
        let response = post(&server, "/v1/openai/images/variations", form(&parts)).send().await.unwrap();
        let (status, made) = answer(response).await;
        assert_eq!(status, 200, "{made}");
        assert!(pixels(&first_picture(&server, &made).await) == expected, "{path}, variations");
    }
}

#[tokio::test]
async fn long_seeds_are_taken_where_the_service_has_no_bound_and_keep_their_digits() {
    let server = Server::with_worker().await;
    for (sent, seed) in [
        (json!(2_147_483_648_u64), 2_147_483_648_u64),
        (json!(9_007_199_254_740_993_u64), 9_007_199_254_740_993),
        (json!("18446744073709551615"), u64::MAX),
    ] {
        for path in [FAL, NATIVE] {
            let (status, made) = post_json(&server, path, &small(&json!({"seed": sent}))).await;
            assert_eq!((status, &made["seed"]), (200, &json!(seed)), "{path}: {made}");
            let file = first_picture(&server, &made).await;
            let noted = format!("\"seed\":{seed}");
            assert!(file.windows(noted.len()).any(|window| window == noted.as_bytes()), "{path}: {noted} in the file");
        }
        let (status, refused) = post_json(&server, REDUX, &small(&json!({"seed": sent}))).await;
        assert_eq!(status, 400, "{refused}");
        let message = refused["message"].as_str().unwrap();
        assert!(message.starts_with("seed: "), "the service's document ends at 2147483647: {message}");
    }
    // The lower 32 bits decide, as in torch.
    let mut made = Vec::new();
    for seed in [7_u64, 7 + (3 << 32)] {
        let (_, answer) = post_json(&server, FAL, &small(&json!({"seed": seed}))).await;
        made.push(pixels(&first_picture(&server, &answer).await));
    }
    assert!(made[0] == made[1]);
    for bad in [json!(-2), json!(18_446_744_073_709_551_616.0), json!(0.5), json!("x"), json!([7])] {
        let (status, refused) = post_json(&server, FAL, &small(&json!({"seed": bad}))).await;
        assert_eq!((status, &refused["detail"][0]["loc"]), (422, &json!(["body", "seed"])), "{bad}: {refused}");
    }
}

#[tokio::test]
async fn numbers_and_switches_are_read_from_text_at_every_depth() {
    let server = Server::with_worker().await;
    let typed = json!({
        "image_size": {"width": 32, "height": 48}, "num_images": 2, "guidance_scale": 2.5, "seed": 3, "sync_mode": true,
        "enable_safety_checker": false,
    });
    let as_text = json!({
        "image_size": {"width": "32", "height": " 48.0 "}, "num_images": "2", "guidance_scale": "2.50", "seed": "3",
        "num_inference_steps": "1", "sync_mode": "True", "enable_safety_checker": "false",
    });
    let mut made = Vec::new();
    for fields in [typed, as_text] {
        let (status, answer) = post_json(&server, FAL, &small(&fields)).await;
        assert_eq!(status, 200, "{answer}");
        let images = answer["images"].as_array().unwrap();
        let sizes: Vec<_> = images.iter().map(|image| (image["width"].clone(), image["height"].clone())).collect();
        assert_eq!(sizes, vec![(json!(32), json!(48)); 2]);
        made.push(answer["images"].clone());
    }
    let urls = |images: &Value| images.as_array().unwrap().iter().map(|image| image["url"].clone()).collect::<Vec<_>>();
    assert!(urls(&made[0]) == urls(&made[1]), "the same pictures, as data URIs");
    for (side, field) in
        [(json!("wide"), "width"), (json!("8"), "width"), (json!("1e9"), "width"), (json!(true), "width")]
    {
        let fields = json!({"image_size": {"width": side, "height": "32"}});
        let (status, refused) = post_json(&server, FAL, &small(&fields)).await;
        assert_eq!((status, &refused["detail"][0]["loc"]), (422, &json!(["body", "image_size", field])), "{refused}");
    }
}

#[tokio::test]
async fn strength_0_gives_the_picture_back_in_every_dialect() {
    let server = Server::with_worker().await;
    let png = picture(70, 52);
    let expected = {
        let source = afterimage_core::Picture::from_rgb(70, 52, pixels(&png).into_raw()).unwrap();
        let size = afterimage_core::Size::new(64, 48);
        let resized = afterimage_imaging::resize(&source, size, afterimage_imaging::Filter::Lanczos).unwrap();
        image::RgbImage::from_raw(64, 48, resized.rgb().to_vec()).unwrap()
    };
    let uri = data_uri(&png);
    let body = json!({
        "image": uri, "image_url": uri, "images": [{"image_url": uri}], "prompt": "a lake", "strength": 0,
        "output_format": "png", "enable_sync_mode": true,
    });
    for path in [SRPO, FAL_SRPO, "/v1/images/edits", "/v1/openai/images/edits"] {
        let mut body = body.clone();
        if path.starts_with("/v1") {
            body.as_object_mut().unwrap().remove("image");
        }
        let (status, made) = post_json(&server, path, &body).await;
        assert_eq!(status, 200, "{path}: {made}");
        assert!(pixels(&first_picture(&server, &made).await) == expected, "{path}");
        let stages = &made["data"]["timings"]["stages"];
        if path == SRPO {
            for stage in ["text_encode_ms", "denoise_ms", "decode_ms"] {
                assert!(stages.is_null() || stages[stage] == json!(0.0), "{made}");
            }
        }
    }
    for small in [json!(0.0), json!(1e-17)] {
        let mut body = body.clone();
        body["strength"] = small;
        let (status, made) = post_json(&server, SRPO, &body).await;
        assert_eq!((status, &made["data"]["status"]), (200, &json!("completed")), "{made}");
    }
}

#[tokio::test]
async fn jpg_is_jpeg_in_every_dialect_and_in_any_case() {
    let server = Server::with_worker().await;
    for (path, word) in [(REDUX, "jpg"), (FAL, "JPG"), (NATIVE, "Jpg"), (REDUX, "JPEG"), (FAL, "PNG")] {
        let (status, made) = post_json(&server, path, &small(&json!({"output_format": word}))).await;
        assert_eq!(status, 200, "{path}: {made}");
        let file = first_picture(&server, &made).await;
        let magic: &[u8] = if word == "PNG" { b"\x89PNG" } else { b"\xff\xd8\xff" };
        assert!(file.starts_with(magic), "{path} {word}");
        if path == REDUX {
            assert_eq!(made["data"]["input"]["output_format"], "jpeg", "as the service spells it: {made}");
        }
    }
    let (status, refused) = post_json(&server, FAL, &small(&json!({"output_format": "jpeg2000"}))).await;
    assert_eq!(status, 422, "{refused}");
}
