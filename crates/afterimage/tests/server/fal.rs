//! fal's forms over a real socket.

use crate::support::{KEY, Server, answer, data_uri, picture};
use crate::waiting::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

const REDUX: &str = "/fal-ai/flux-1/dev/redux";
const QUEUE: &str = "/queue/fal-ai/flux-1/dev/redux";

fn small(more: &Value) -> Value {
    let mut body = json!({
        "image_url": data_uri(&picture(48, 48)),
        "image_size": {"width": 64, "height": 48},
        "num_inference_steps": 1,
        "seed": 7,
        "output_format": "png",
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn local(server: &Server, url: &Value) -> String {
    url.as_str().unwrap().strip_prefix(&server.url).expect("an address of this server").to_owned()
}

/// Polls until the request is completed; its last status.
async fn completed(server: &Server, ticket: &Value) -> Value {
    let status = local(server, &ticket["status_url"]);
    eventually(Duration::from_mins(1), async || {
        let (code, body) = server.get(&format!("{status}?logs=1")).await;
        match body["status"].as_str().unwrap() {
            "COMPLETED" => {
                assert_eq!(code, 200);
                return Ok(body);
            }
            "IN_QUEUE" => assert!(code == 202 && body["queue_position"].is_u64(), "{body}"),
            "IN_PROGRESS" => assert!(code == 202 && body["logs"].is_array(), "{body}"),
            other => panic!("{other}"),
        }
        Err(body)
    })
    .await
}

#[tokio::test]
async fn the_synchronous_form_returns_the_result() {
    let server = Server::with_worker().await;
    let response = server.request(Method::POST, REDUX).body(small(&json!({})).to_string()).send().await.unwrap();
    assert!(response.headers().contains_key("x-fal-request-id"));
    assert_eq!(response.headers()["x-fal-billable-units"], "1");
    let (status, body) = answer(response).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!((&body["seed"], &body["has_nsfw_concepts"], &body["prompt"]), (&json!(7), &json!([false]), &json!("")));
    let image = &body["images"][0];
    assert_eq!(
        (&image["width"], &image["height"], &image["content_type"]),
        (&json!(64), &json!(48), &json!("image/png"))
    );
    let file = server.client.get(image["url"].as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
    assert_eq!(json!(file.len()), image["file_size"]);
    assert_eq!(image::load_from_memory(&file).unwrap().width(), 64);

    let (status, inline) = server.post(REDUX, &small(&json!({"sync_mode": true}))).await;
    assert_eq!(status, 200, "{inline}");
    assert!(inline["images"][0]["url"].as_str().unwrap().starts_with("data:image/png;base64,"));
}

#[tokio::test]
async fn the_queue_form_has_status_logs_result_and_no_way_back() {
    let server = Server::with_worker().await;
    let (status, ticket) = server.post(QUEUE, &small(&json!({}))).await;
    assert_eq!((status, &ticket["status"]), (StatusCode::OK, &json!("IN_QUEUE")), "{ticket}");
    let id = ticket["request_id"].as_str().unwrap();
    assert!(local(&server, &ticket["response_url"]) == format!("/queue/fal-ai/flux-1/requests/{id}"));
    let last = completed(&server, &ticket).await;
    assert!(last["metrics"]["inference_time"].as_f64().unwrap() > 0.0, "{last}");
    let lines: Vec<&str> =
        last["logs"].as_array().unwrap().iter().map(|line| line["message"].as_str().unwrap()).collect();
    assert!(lines.contains(&"step 1 of 1"), "{lines:?}");
    // Clients name the whole model, too, and any form's prefix.
    for path in [
        local(&server, &ticket["response_url"]),
        format!("{QUEUE}/requests/{id}"),
        format!("/gateway{REDUX}/requests/{id}"),
    ] {
        let (status, result) = server.get(&path).await;
        assert_eq!((status, &result["seed"]), (StatusCode::OK, &json!(7)), "{path}: {result}");
    }
    let cancel = server.request(Method::PUT, &local(&server, &ticket["cancel_url"])).send().await.unwrap();
    assert_eq!(answer(cancel).await, (StatusCode::BAD_REQUEST, json!({"status": "ALREADY_COMPLETED"})));
}

#[tokio::test]
async fn a_cancelled_request_is_completed_with_an_error() {
    let server = Server::without_workers().await;
    let (_, ticket) = server.post(QUEUE, &small(&json!({}))).await;
    let response = local(&server, &ticket["response_url"]);
    let (early, body) = server.get(&response).await;
    assert_eq!((early, &body["detail"]), (StatusCode::BAD_REQUEST, &json!("Request is still in progress")));
    let cancel = server.request(Method::PUT, &local(&server, &ticket["cancel_url"])).send().await.unwrap();
    assert_eq!(answer(cancel).await, (StatusCode::ACCEPTED, json!({"status": "CANCELLATION_REQUESTED"})));
    let status = completed(&server, &ticket).await;
    assert_eq!(status["error_type"], "client_cancelled", "{status}");
    let (code, body) = server.get(&response).await;
    assert_eq!((code.as_u16(), &body["error_type"]), (499, &json!("client_cancelled")));
    let unknown = "/queue/fal-ai/flux-1/requests/6d0b8a0e-7d36-4b83-9d0d-0b7f2a3c9e11/cancel";
    let (code, body) = answer(server.request(Method::PUT, unknown).send().await.unwrap()).await;
    assert_eq!((code, &body["status"]), (StatusCode::NOT_FOUND, &json!("NOT_FOUND")));
}

#[tokio::test]
async fn an_error_of_the_model_is_replayed() {
    let server = Server::with_worker().await;
    // Nothing listens there; the picture is fetched by the worker.
    let (status, ticket) = server.post(QUEUE, &small(&json!({"image_url": "http://no-such-host.invalid/a.png"}))).await;
    assert_eq!(status, 200, "{ticket}");
    let last = completed(&server, &ticket).await;
    assert_eq!(last["error_type"], "file_download_error", "{last}");
    let (status, body) = server.get(&local(&server, &ticket["response_url"])).await;
    assert_eq!(status, 422, "{body}");
    assert_eq!(body["detail"][0]["loc"], json!(["body", "image_url"]));
    assert_eq!(body["detail"][0]["type"], "file_download_error");
}

#[tokio::test]
async fn status_and_output_are_streamed() {
    let server = Server::with_worker().await;
    let (_, ticket) = server.post(QUEUE, &small(&json!({"num_inference_steps": 3}))).await;
    let path = format!("{}/stream?logs=true", local(&server, &ticket["status_url"]));
    let text = server.request(Method::GET, &path).send().await.unwrap().text().await.unwrap();
    let statuses: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert_eq!(statuses.last().unwrap()["status"], "COMPLETED", "{text}");
    let lines = statuses.iter().flat_map(|status| status["logs"].as_array().unwrap());
    assert_eq!(lines.filter(|line| line["message"] == "step 3 of 3").count(), 1, "lines come once: {text}");

    let body = small(&json!({"num_inference_steps": 3})).to_string();
    let text =
        server.request(Method::POST, &format!("{REDUX}/stream")).body(body).send().await.unwrap().text().await.unwrap();
    let values: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    assert!(values.iter().any(|value| value["progress"]["step"] == 3), "{text}");
    assert_eq!(values.last().unwrap()["images"][0]["width"], 64, "{text}");
}

#[tokio::test]
async fn a_gateway_waits_or_gives_a_ticket() {
    let server = Server::with_worker().await;
    let path = format!("/gateway{REDUX}");
    let (status, result) = server.post(&path, &small(&json!({"sync_mode": true}))).await;
    assert_eq!(status, 200, "{result}");
    assert!(result["images"][0]["url"].as_str().unwrap().starts_with("http://"), "{result}");
    let nulls = json!({"sync_mode": false, "guidance_scale": null, "num_images": null, "enable_safety_checker": null});
    let (status, ticket) = server.post(&path, &small(&nulls)).await;
    assert_eq!((status, &ticket["status"]), (StatusCode::OK, &json!("IN_QUEUE")), "{ticket}");
    completed(&server, &ticket).await;
}

#[tokio::test]
async fn host_and_proxy_name_the_form() {
    let server = Server::without_workers().await;
    let by_host =
        server.request(Method::POST, REDUX).header("host", "queue.fal.run").body(small(&json!({})).to_string());
    let (status, ticket) = answer(by_host.send().await.unwrap()).await;
    assert_eq!((status, &ticket["status"]), (StatusCode::OK, &json!("IN_QUEUE")), "{ticket}");
    let proxied = |method, target: String| server.request(method, "/api/fal/proxy").header("x-fal-target-url", target);
    let submit = proxied(Method::POST, format!("https://queue.fal.run{REDUX}")).body(small(&json!({})).to_string());
    let (status, ticket) = answer(submit.send().await.unwrap()).await;
    assert_eq!((status, &ticket["status"]), (StatusCode::OK, &json!("IN_QUEUE")), "{ticket}");
    let id = ticket["request_id"].as_str().unwrap();
    let target = format!("https://queue.fal.run/fal-ai/flux-1/requests/{id}/status?logs=0");
    let (status, body) = answer(proxied(Method::GET, target).send().await.unwrap()).await;
    assert_eq!((status, &body["status"]), (StatusCode::ACCEPTED, &json!("IN_QUEUE")), "{body}");
    let initiate = proxied(Method::POST, "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3".into());
    let (status, body) =
        answer(initiate.body(r#"{"content_type":"image/png","file_name":"a.png"}"#).send().await.unwrap()).await;
    assert!(status == 200 && body["upload_url"].is_string(), "{body}");
    let (status, body) = answer(proxied(Method::GET, "http://127.0.0.1:1/secret".into()).send().await.unwrap()).await;
    assert!(status == 400 && body["detail"].as_str().unwrap().contains("x-fal-target-url"), "{body}");
}

#[tokio::test]
async fn bad_fields_are_422_on_every_form() {
    let server = Server::without_workers().await;
    for (field, value, kind) in [
        ("image_url", Value::Null, "missing"),
        ("image_url", json!("data:image/png;base64,AAAA"), "image_load_error"),
        ("num_inference_steps", json!(0), "greater_than_equal"),
        ("num_inference_steps", json!(51), "less_than_equal"),
        ("num_images", json!("many"), "type_error"),
        ("image_size", json!("huge"), "one_of"),
        ("image_size", json!({"width": 99_999}), "less_than_equal"),
        ("guidance_scale", json!([1]), "type_error"),
    ] {
        for form in ["", "/queue", "/gateway"] {
            let (status, body) = server.post(&format!("{form}{REDUX}"), &small(&json!({field: value}))).await;
            assert_eq!(status, 422, "{form} {field}: {body}");
            let problem = &body["detail"][0];
            assert_eq!((&problem["loc"][0], &problem["loc"][1]), (&json!("body"), &json!(field)), "{body}");
            assert_eq!(problem["type"], kind, "{field}: {body}");
            assert!(body["message"].as_str().unwrap().starts_with(field), "{body}");
        }
    }
    for (method, path, expected) in [
        (Method::POST, "/fal-ai/flux-1/unknown", 404),
        (Method::GET, REDUX, 405),
        (Method::GET, "/queue/fal-ai/flux-1/requests/nonsense/status", 404),
        (Method::POST, "/queue/fal-ai/flux-1/requests/nonsense", 405),
    ] {
        let (status, body) = answer(server.request(method, path).body("{}").send().await.unwrap()).await;
        assert_eq!(status.as_u16(), expected, "{path}: {body}");
        assert!(body["detail"].is_string(), "{body}");
    }
    let nobody = server.client.post(format!("{}{REDUX}", server.url)).body("{}").send().await.unwrap();
    let (status, body) = answer(nobody).await;
    assert!(status == 401 && body["detail"].is_string(), "{body}");
    let with_key = server.client.get(format!("{}/queue/fal-ai/flux-1/requests/x/status", server.url));
    let (status, _) = answer(with_key.header("authorization", format!("Key {KEY}")).send().await.unwrap()).await;
    assert_eq!(status, 404);
}
