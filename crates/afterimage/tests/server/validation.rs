//! Bad input gets a 400-class answer that names the field, before anything is stored.

use crate::support::{PRO, REDUX, SRPO, Server, data_uri, picture};
use serde_json::{Value, json};

/// What is stored: files below the data folder other than the database's.
pub fn stored_files(server: &Server) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
        entries
            .flatten()
            .map(|entry| match entry.path() {
                path if path.is_dir() => count(&path),
                path if path.to_string_lossy().contains("sqlite")
                    || path.ends_with("lock")
                    || path.ends_with("database-id") =>
                {
                    0
                }
                _ => 1,
            })
            .sum()
    }
    count(server.folder.path())
}

async fn tasks(server: &Server) -> u64 {
    server.post("/api/v3/predictions", &json!({})).await.1["data"]["total"].as_u64().unwrap()
}

#[tokio::test]
async fn every_bad_field_is_named_and_nothing_is_stored() {
    let server = Server::without_workers().await;
    let image = data_uri(&picture(32, 32));
    let with = |field: &str, value: Value| {
        let mut body = json!({"image": image, "prompt": "a lake"});
        body[field] = value;
        body
    };
    let too_large = i64::from(i32::MAX) + 1;
    for (path, body, field) in [
        (REDUX, json!({}), "image"),
        (REDUX, json!({"image": null}), "image"),
        (SRPO, json!({"image": image}), "prompt"),
        (SRPO, with("prompt", json!("")), "prompt"),
        (REDUX, with("prompt", json!("x".repeat(70_000))), "prompt"),
        (REDUX, with("size", json!("1024")), "size"),
        (REDUX, with("size", json!("255*1024")), "size"),
        (REDUX, with("size", json!("1024*1537")), "size"),
        (REDUX, with("size", json!("999999999999*1")), "size"),
        (REDUX, with("size", json!("-256*256")), "size"),
        (REDUX, with("size", json!([256, 256])), "size"),
        (REDUX, with("seed", json!(-2)), "seed"),
        (REDUX, with("seed", json!(too_large)), "seed"),
        (REDUX, with("seed", json!("7")), "seed"),
        (REDUX, with("seed", json!(0.5)), "seed"),
        (REDUX, with("num_inference_steps", json!(0)), "num_inference_steps"),
        (REDUX, with("num_inference_steps", json!(51)), "num_inference_steps"),
        (REDUX, with("num_inference_steps", json!(1_000_000_000)), "num_inference_steps"),
        (REDUX, with("guidance_scale", json!(0.99)), "guidance_scale"),
        (REDUX, with("guidance_scale", json!(20.1)), "guidance_scale"),
        (PRO, with("guidance_scale", json!(5.1)), "guidance_scale"),
        (REDUX, with("num_images", json!(0)), "num_images"),
        (REDUX, with("num_images", json!(1_000_000)), "num_images"),
        (SRPO, with("strength", json!(-0.1)), "strength"),
        (SRPO, with("strength", json!(1.1)), "strength"),
        (REDUX, with("output_format", json!("webp")), "output_format"),
        (REDUX, with("enable_safety_checker", json!("yes")), "enable_safety_checker"),
        (REDUX, with("enable_base64_output", json!(1)), "enable_base64_output"),
        (REDUX, with("enable_sync_mode", json!("true")), "enable_sync_mode"),
        (REDUX, with("webhook_url", json!(7)), "webhook_url"),
        (REDUX, with("image", json!("no picture at all")), "image"),
        (REDUX, with("image", json!("ftp://example.com/a.png")), "image"),
        (REDUX, with("image", json!("file:///etc/passwd")), "image"),
        (REDUX, with("image", json!("data:image/png;base64,!!!!")), "image"),
        (REDUX, with("image", json!("data:text/html,<script>")), "image"),
        (REDUX, with("image", json!(data_uri(b"<svg xmlns='http://www.w3.org/2000/svg'/>"))), "image"),
        (REDUX, with("image", json!(data_uri(&picture(32, 32)[..60]))), "image"),
        (REDUX, with("image", json!(data_uri(b""))), "image"),
    ] {
        let (status, answer) = server.post(path, &body).await;
        let shown = body.to_string().chars().take(80).collect::<String>();
        assert_eq!(status, 400, "{path} {shown}: {answer}");
        assert_eq!(answer["code"], 400, "{answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.starts_with(&format!("{field}: ")), "{path} {shown}: {message}");
        assert!(message.len() < 400, "{shown}: {} bytes of message", message.len());
    }
    assert_eq!(tasks(&server).await, 0);
    assert_eq!(stored_files(&server), 0);
}

#[tokio::test]
async fn edges_of_the_documented_ranges_are_accepted() {
    let server = Server::without_workers().await;
    let image = data_uri(&picture(32, 32));
    for body in [
        json!({"image": image}),
        json!({"image": image, "size": "256*1536", "seed": -1, "num_inference_steps": 1, "guidance_scale": 1, "num_images": 4}),
        json!({"image": image, "size": "1536x256", "seed": 2_147_483_647, "num_inference_steps": 50, "guidance_scale": 5.0}),
        json!({"image": image, "seed": 0, "unknown_field": {"any": "thing"}, "prompt": null, "size": null}),
    ] {
        let (status, answer) = server.post(PRO, &body).await;
        assert_eq!(status, 200, "{answer}");
        assert_eq!(answer["data"]["status"], "created");
        assert_eq!(answer["data"]["outputs"], json!([]));
        assert_eq!(answer["data"]["has_nsfw_contents"], json!([]));
    }
    assert_eq!(tasks(&server).await, 4);
}

#[tokio::test]
async fn bodies_that_are_no_json_object_are_refused() {
    let server = Server::without_workers().await;
    let deep = "[".repeat(10_000);
    for body in ["[]", "null", "{", "{\"image\": 1e400}", "{\"image\": \"\\ud800\"}", "\u{feff}{}", &deep] {
        let response = server.request(reqwest::Method::POST, REDUX).body(body.to_owned()).send().await.unwrap();
        assert_eq!(response.status(), 400, "{}", &body[..body.len().min(30)]);
    }
    let binary = server.request(reqwest::Method::POST, REDUX).body(vec![0xff; 1000]).send().await.unwrap();
    assert_eq!(binary.status(), 400);
    // The last of two equal names counts, as everywhere.
    let twice = r#"{"image": "https://example.com/a.png", "num_images": 9, "num_images": 2}"#;
    let response = server.request(reqwest::Method::POST, REDUX).body(twice).send().await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn unknown_paths_and_methods_answer_in_the_dialects_shape() {
    let server = Server::without_workers().await;
    let (status, answer) = server.post("/api/v3/wavespeed-ai/no-such-model", &json!({})).await;
    assert_eq!((status.as_u16(), &answer["code"]), (404, &json!(404)));
    assert!(answer["message"].as_str().unwrap().contains("wavespeed-ai/flux-redux-dev"));
    let (status, answer) = server.get("/api/v3/predictions/not-an-id/result").await;
    assert_eq!((status.as_u16(), &answer["code"]), (404, &json!(404)));
    let response = server.request(reqwest::Method::DELETE, "/api/v3/predictions").send().await.unwrap();
    assert_eq!(response.status(), 405);
    let (status, answer) = server.get("/no/such/path").await;
    assert_eq!(status, 404);
    assert!(answer["message"].as_str().unwrap().contains("/no/such/path"));
}

#[tokio::test]
async fn private_webhooks_and_base64_webhooks_are_refused_at_submit() {
    let server = Server::without_workers().await;
    let image = data_uri(&picture(32, 32));
    for webhook in [
        "http://127.0.0.1:9/x",
        "http://localhost/x",
        "http://[::1]/x",
        "http://169.254.169.254/latest",
        "http://0x7f000001/",
        "gopher://example.com/",
    ] {
        let (status, answer) = server.post(&format!("{REDUX}?webhook={webhook}"), &json!({"image": image})).await;
        assert_eq!(status, 400, "{webhook}: {answer}");
        assert!(answer["message"].as_str().unwrap().starts_with("webhook: "), "{answer}");
    }
    let body = json!({"image": image, "enable_base64_output": true, "webhook_url": "https://example.com/hook"});
    let (status, answer) = server.post(REDUX, &body).await;
    assert_eq!(status, 400);
    assert!(answer["error"].as_str().unwrap().contains("webhook callback does not support base64 output"));
    assert_eq!((&answer["code"], answer["message"].is_string()), (&json!(400), true));
    assert_eq!(tasks(&server).await, 0);
}

#[tokio::test]
async fn an_idempotency_key_finds_the_first_task_and_refuses_another_body() {
    let server = Server::without_workers().await;
    let image = data_uri(&picture(32, 32));
    let send = async |body: &Value, key: &str| {
        let request = server.request(reqwest::Method::POST, REDUX).header("Idempotency-Key", key);
        crate::support::answer(request.body(body.to_string()).send().await.unwrap()).await
    };
    let body = json!({"image": image, "seed": 1});
    let (first, second) = (send(&body, "k1").await, send(&body, "k1").await);
    assert_eq!(first.0, 200);
    assert_eq!(first.1["data"]["id"], second.1["data"]["id"]);
    assert_ne!(send(&body, "k2").await.1["data"]["id"], first.1["data"]["id"]);
    let (status, answer) = send(&json!({"image": image, "seed": 2}), "k1").await;
    assert_eq!(status, 422, "{answer}");
    assert_eq!(tasks(&server).await, 2);
    // Inputs of the repetition are not kept.
    assert_eq!(stored_files(&server), 2);
}

#[tokio::test]
async fn a_repetition_that_is_to_be_reported_elsewhere_is_another_request() {
    let server = Server::start(|options| options.allow_private_networks = true).await;
    let image = data_uri(&picture(32, 32));
    let body = json!({"image": image, "image_url": image, "seed": 1}).to_string();
    for (path, parameter) in [(REDUX, "webhook"), (crate::hostile_dialects::QUEUE, "fal_webhook")] {
        let send = async |query: &str| {
            let request = server.request(reqwest::Method::POST, &format!("{path}{query}"));
            let request = request.header("Idempotency-Key", parameter).body(body.clone());
            crate::support::answer(request.send().await.unwrap()).await
        };
        let reported = format!("?{parameter}=http://127.0.0.1:9/a");
        let (first, again) = (send(&reported).await, send(&reported).await);
        assert_eq!(first.0, 200, "{}", first.1);
        let id = |answer: &Value| answer["data"]["id"].as_str().or(answer["request_id"].as_str()).map(str::to_owned);
        assert_eq!(id(&first.1), id(&again.1));
        for other in [format!("?{parameter}=http://127.0.0.1:9/b"), String::new()] {
            let (status, answer) = send(&other).await;
            assert_eq!(status, 422, "{path}{other}: {answer}");
        }
    }
}
