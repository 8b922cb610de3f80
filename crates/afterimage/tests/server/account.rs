//! Catalogue, prices, balance, tickets, lists.

use crate::support::{REDUX, Server, answer, data_uri, picture};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn the_catalogue_carries_schemas() {
    let server = Server::without_workers().await;
    let (status, answer) = server.get("/api/v3/models").await;
    assert_eq!(status, 200);
    let models = answer["data"].as_array().unwrap();
    let ids: Vec<&str> = models.iter().map(|model| model["model_id"].as_str().unwrap()).collect();
    assert_eq!(
        ids,
        ["wavespeed-ai/flux-redux-pro", "wavespeed-ai/flux-redux-dev", "wavespeed-ai/flux-srpo/image-to-image"]
    );
    let schema = &models[0]["api_schema"]["api_schemas"][0];
    assert_eq!(schema["api_path"], "/api/v3/wavespeed-ai/flux-redux-pro");
    assert_eq!(schema["request_schema"]["properties"]["guidance_scale"]["maximum"], 5.0);
    assert_eq!(schema["request_schema"]["required"], json!(["image"]));
}

#[tokio::test]
async fn prices_follow_the_formula() {
    let server = Server::without_workers().await;
    let inputs = json!({"size": "512*512", "num_inference_steps": 50, "num_images": 2});
    let body = json!({"model_id": "wavespeed-ai/flux-redux-dev", "inputs": inputs});
    let (_, older) = server.post("/api/v3/model/pricing", &body).await;
    assert_eq!(older["data"]["unit_price"], 0.012, "{older}");
    let (_, newer) = server.post("/api/v3/model/price", &body).await;
    assert_eq!((&newer["data"]["price"], &newer["data"]["currency"]), (&json!(0.012), &json!("USD")));
    for bad in [json!({}), json!({"model_id": "x"}), json!({"model_id": "wavespeed-ai/flux-redux-dev", "inputs": 1})] {
        assert_eq!(server.post("/api/v3/model/price", &bad).await.0, 400, "{bad}");
    }
    let (_, balance) = server.get("/api/v3/account/balance").await;
    assert_eq!(balance["data"]["balance"], 1_000_000.0);
}

#[tokio::test]
async fn a_ticket_takes_the_bytes_once_and_without_a_key() {
    let server = Server::without_workers().await;
    let body = json!({"filename": "in.png", "size": 100, "content_type": "image/png"});
    let (status, ticket) = server.post("/api/v3/media/uploads", &body).await;
    assert_eq!(status, 200, "{ticket}");
    let upload = &ticket["data"]["upload"];
    assert_eq!((&upload["method"], &upload["headers"]["Content-Type"]), (&json!("PUT"), &json!("image/png")));
    let address = ticket["data"]["download_url"].as_str().unwrap();
    let early = server.post(REDUX, &json!({"image": address})).await;
    assert_eq!(early.0, 400, "{}", early.1);
    let put = async |bytes: Vec<u8>| {
        let request = server.client.request(Method::PUT, upload["url"].as_str().unwrap());
        answer(request.body(bytes).send().await.unwrap()).await
    };
    assert_eq!(put(b"no picture".to_vec()).await.0, 400);
    assert_eq!(put(picture(20, 20)).await.0, 200);
    assert_eq!(put(picture(30, 30)).await.0, 404);
    assert_eq!(server.client.get(address).send().await.unwrap().bytes().await.unwrap(), picture(20, 20));
    assert_eq!(server.post(REDUX, &json!({"image": address})).await.0, 200);
}

#[tokio::test]
async fn lists_are_paged_filtered_and_newest_first() {
    let server = Server::without_workers().await;
    let image = data_uri(&picture(16, 16));
    let mut ids = Vec::new();
    for seed in 0..5 {
        ids.push(server.submit(REDUX, &json!({"image": image, "seed": seed})).await);
    }
    let (_, page) = server.post("/api/v3/predictions", &json!({"page": 2, "page_size": 2})).await;
    assert_eq!(page["data"]["total"], 5);
    let items = page["data"]["items"].as_array().unwrap();
    let listed: Vec<&str> = items.iter().map(|item| item["id"].as_str().unwrap()).collect();
    assert_eq!(listed, [&ids[2], &ids[1]]);
    let count =
        async |filter: serde_json::Value| server.post("/api/v3/predictions", &filter).await.1["data"]["total"].clone();
    assert_eq!(count(json!({"status": "completed"})).await, 0);
    assert_eq!(count(json!({"status": "created", "model": "wavespeed-ai/flux-redux-dev"})).await, 5);
    assert_eq!(count(json!({"model": "wavespeed-ai/flux-redux-pro"})).await, 0);
    assert_eq!(count(json!({"created_before": "2020-01-01T00:00:00Z"})).await, 0);
    for bad in [json!({"page": 0}), json!({"page_size": 101}), json!({"status": "x"}), json!({"created_after": "x"})] {
        assert_eq!(server.post("/api/v3/predictions", &bad).await.0, 400, "{bad}");
    }
}
