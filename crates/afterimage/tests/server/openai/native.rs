//! DeepInfra's native route.

use super::{NATIVE, file, send, size_of, text};
use crate::support::{Server, answer, data_uri, picture, receiver};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test]
async fn the_native_route_takes_json_and_forms() {
    let server = Server::with_worker().await;
    let png = picture(64, 48);
    let fields = json!({
        "image": data_uri(&png), "width": "272", "height": 256, "num_images": 2, "num_inference_steps": 1, "seed": 5,
    });
    let (status, body) = server.post(NATIVE, &fields).await;
    assert_eq!(status, 200, "{body}");
    let images = body["images"].as_array().unwrap();
    assert_eq!(images.len(), 2);
    for image in images {
        let bytes = STANDARD.decode(image.as_str().unwrap().strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        assert_eq!(size_of(&bytes), (272, 256));
    }
    assert_eq!(body["nsfw_content_detected"], json!([false, false]));
    assert_eq!(body["seed"], 5);
    assert!(!body["request_id"].as_str().unwrap().is_empty());
    let inference = &body["inference_status"];
    assert_eq!(inference["status"], "succeeded");
    assert!(inference["runtime_ms"].as_u64().unwrap() > 0, "{inference}");
    let price = 2.0 * 0.012 * (272.0 / 1024.0) * (256.0 / 1024.0) / 25.0;
    assert!((inference["cost"].as_f64().unwrap() - price).abs() < 1e-6, "{inference}");
    assert!(inference["tokens_generated"].is_null() && inference["tokens_input"].is_null());

    let parts = [
        text("width", "272"),
        text("height", "256"),
        text("num_images", "2"),
        text("num_inference_steps", "1"),
        text("seed", "5"),
        file("image", &png),
    ];
    let (status, in_a_form) = send(&server, NATIVE, &parts).await;
    assert_eq!(status, 200, "{in_a_form}");
    assert_eq!(in_a_form["images"], body["images"], "the same request in another form");
}

#[tokio::test]
async fn the_native_route_has_errors_of_its_own() {
    let server = Server::without_workers().await;
    let image = data_uri(&picture(32, 32));
    for (body, field, kind) in [
        (json!({}), "image", "missing"),
        (json!({"image": 7}), "image", "type_error"),
        (json!({"image": "no picture"}), "image", "value_error"),
        (json!({"image": image, "width": 255}), "width", "value_error"),
        (json!({"image": image, "height": "wide"}), "height", "type_error"),
        (json!({"image": image, "num_images": 5}), "num_images", "value_error"),
        (json!({"image": image, "webhook": "http://127.0.0.1/hook"}), "webhook", "value_error"),
    ] {
        let (status, answer) = server.post(NATIVE, &body).await;
        assert_eq!(status, 422, "{answer}");
        let problem = &answer["detail"][0];
        assert_eq!(problem["loc"], json!(["body", field]), "{answer}");
        assert_eq!(problem["type"], kind, "{answer}");
        assert!(!problem["msg"].as_str().unwrap().is_empty());
    }
    let (status, body) = answer(server.request(Method::POST, NATIVE).body("{").send().await.unwrap()).await;
    assert_eq!((status.as_u16(), &body["detail"][0]["loc"]), (422, &json!(["body"])), "{body}");
    let (status, body) = answer(server.client.post(format!("{}{NATIVE}", server.url)).send().await.unwrap()).await;
    assert_eq!(status, 401);
    assert!(body["detail"]["error"].is_string(), "{body}");
    let (status, body) = server.post("/v1/inference/some/model", &json!({})).await;
    assert_eq!((status.as_u16(), body), (404, json!({"error": "Model not found"})));
    let (status, body) = server.get(NATIVE).await;
    assert_eq!((status.as_u16(), body), (405, json!({"error": "method not allowed"})));
}

#[tokio::test]
async fn a_webhook_reports_what_the_route_would_have_returned() {
    let server = Server::start(|options| {
        options.workers = 1;
        options.allow_private_networks = true;
    })
    .await;
    let (url, mut received) = receiver().await;
    let image = data_uri(&picture(64, 64));
    let fields = json!({"image": image, "width": 256, "height": 256, "num_inference_steps": 1, "seed": 5});
    let with_webhook = |fields: &Value| {
        let mut fields = fields.clone();
        fields["webhook"] = json!(url);
        fields
    };
    let (status, queued) = server.post(NATIVE, &with_webhook(&fields)).await;
    assert_eq!(status, 200, "{queued}");
    assert_eq!(queued["inference_status"]["status"], "queued", "{queued}");
    assert_eq!((&queued["images"], &queued["seed"]), (&json!([]), &Value::Null));
    let id = queued["request_id"].as_str().unwrap();
    assert!(!id.is_empty());

    let mut next = async || {
        let wait = tokio::time::timeout(Duration::from_mins(1), received.recv());
        let (headers, body) = wait.await.expect("a webhook within a minute").unwrap();
        assert_eq!(headers["content-type"], "application/json");
        serde_json::from_slice::<Value>(&body).unwrap()
    };
    let report = next().await;
    assert_eq!(report["request_id"], id, "{report}");
    let inference = &report["inference_status"];
    assert_eq!(inference["status"], "succeeded");
    assert!(inference["runtime_ms"].as_u64().unwrap() > 0 && inference["cost"].as_f64().unwrap() > 0.0, "{inference}");
    let (_, waited) = server.post(NATIVE, &fields).await;
    for field in ["images", "seed", "nsfw_content_detected"] {
        assert_eq!(report[field], waited[field], "{field}");
    }
    let mut keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["images", "inference_status", "nsfw_content_detected", "request_id", "seed"]);

    // A picture that cannot be had is noticed by the worker only.
    let (status, queued) =
        server.post(NATIVE, &with_webhook(&json!({"image": "http://no-such-host.invalid/a.png"}))).await;
    assert_eq!(status, 200, "{queued}");
    let report = next().await;
    assert_eq!(report["request_id"], queued["request_id"]);
    assert_eq!(report["inference_status"]["status"], "failed", "{report}");
    assert_eq!((&report["inference_status"]["cost"], &report["images"]), (&json!(0.0), &json!([])));
    assert!(!report["error"].as_str().unwrap().is_empty());
}
