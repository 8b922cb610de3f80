//! Tasks whose pictures lie elsewhere: fetched before a worker is needed, by turns, and not longer than they are wanted.

use crate::isolation::{as_key, second_key};
use crate::picture_host::{Manner, PictureHost};
use crate::support::{REDUX, SRPO, Server, data_uri, picture, receiver};
use crate::waiting::until;
use afterimage_jobs::{JobId, JobStore, SqliteStore, SystemClock};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const PRICE: &str = "/api/v3/model/price";

async fn with_worker() -> Server {
    Server::start(|options| (options.workers, options.allow_private_networks) = (1, true)).await
}

async fn without_workers() -> Server {
    Server::start(|options| (options.workers, options.allow_private_networks) = (0, true)).await
}

fn task(image: &str) -> Value {
    json!({"image": image, "size": "256*256", "num_inference_steps": 1})
}

async fn status(server: &Server, id: &str) -> Value {
    server.get(&format!("/api/v3/predictions/{id}")).await.1["data"]["status"].clone()
}

async fn submit_as(server: &Server, key: &str, body: &Value) -> String {
    let (status, answer) = as_key(server, key, Method::POST, REDUX, body).await;
    assert_eq!(status, 200, "{answer}");
    answer["data"]["id"].as_str().unwrap().to_owned()
}

async fn ended_as(server: &Server, key: &str, id: &str) -> Value {
    let mut data = Value::Null;
    until("the end of a task", Duration::from_secs(40), async || {
        let path = format!("/api/v3/predictions/{id}/result");
        data = as_key(server, key, Method::GET, &path, &Value::Null).await.1["data"].clone();
        !["created", "processing"].contains(&data["status"].as_str().unwrap())
    })
    .await;
    data
}

async fn spent(server: &Server) -> i64 {
    let balance = server.get("/api/v3/balance").await.1["data"]["balance"].as_f64().unwrap();
    ((1_000_000.0 - balance) * 1e6).round() as i64
}

fn files_under(folder: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let count = |path: &Path| if path.is_dir() { files_under(path) } else { 1 };
    entries.map(|entry| count(&entry.unwrap().path())).sum()
}

#[tokio::test]
async fn a_slow_picture_host_of_one_key_holds_nobody_elses_task() {
    let server = with_worker().await;
    let other = second_key(&server).await;
    // The models are loaded after the first one; the second one tells how fast this machine is now.
    let mut usual = Duration::ZERO;
    for side in [64, 80] {
        let start = Instant::now();
        server.ended(&server.submit(REDUX, &task(&data_uri(&picture(side, side)))).await).await;
        usual = start.elapsed();
    }
    let slow = PictureHost::start(Manner::Trickle).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(server.submit(REDUX, &task(&slow.url)).await);
    }
    until("the slow host is asked", Duration::from_secs(5), async || slow.requests() >= 8).await;

    let quick = PictureHost::start(Manner::Whole("200 OK", picture(64, 64))).await;
    for image in [data_uri(&picture(64, 48)), quick.url.clone()] {
        let start = Instant::now();
        let done = ended_as(&server, &other, &submit_as(&server, &other, &task(&image)).await).await;
        assert_eq!(done["status"], "completed", "{done}");
        let took = start.elapsed();
        println!("{took:?}, usually {usual:?}");
        assert!(took < Duration::from_secs(2) + 4 * usual, "another key's task took {took:?}, usually {usual:?}");
    }
    assert!(slow.requests() <= 8, "one key has {} fetches at once", slow.requests());
    for id in &waiting {
        assert_eq!(status(&server, id).await, "created", "it waits, it does not run");
    }
}

#[tokio::test]
async fn what_is_cancelled_or_deleted_is_not_fetched_on() {
    let server = without_workers().await;
    let slow = PictureHost::start(Manner::Trickle).await;
    let (webhook, mut received) = receiver().await;
    let id = server.submit(&format!("{REDUX}?webhook={webhook}"), &task(&slow.url)).await;
    until("the host is asked", Duration::from_secs(5), async || slow.requests() == 1).await;
    assert_eq!(status(&server, &id).await, "created");
    let (code, cancelled) = server.post(&format!("/api/v3/predictions/{id}/cancel"), &json!({})).await;
    assert_eq!((code.as_u16(), &cancelled["data"]["status"]), (200, &json!("cancelled")), "{cancelled}");
    until("the fetch is dropped", Duration::from_secs(2), async || slow.hung_up() == 1).await;
    let (_, body) = tokio::time::timeout(Duration::from_secs(10), received.recv()).await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&body).contains("cancelled"), "{body:?}");

    let gone = server.submit(REDUX, &task(&slow.url)).await;
    until("the host is asked again", Duration::from_secs(5), async || slow.requests() == 2).await;
    server.post("/api/v3/predictions/delete", &json!({"ids": [gone]})).await;
    until("the fetch is dropped", Duration::from_secs(5), async || slow.hung_up() == 2).await;
    assert_eq!(files_under(&server.folder.path().join("data/inputs")), 0);
}

#[tokio::test]
async fn pictures_are_fetched_without_workers_and_outlive_their_host() {
    let server = without_workers().await;
    let host = PictureHost::start(Manner::Whole("200 OK", picture(64, 64))).await;
    let id = server.submit(REDUX, &task(&host.url)).await;
    let data = server.folder.path().join("data");
    let store = SqliteStore::open(&data, Arc::new(SystemClock)).await.unwrap();
    let job_id = JobId::parse(&id).unwrap();
    until("the picture is stored", Duration::from_secs(5), async || {
        !store.job(&job_id).await.unwrap().unwrap().spec.awaits_sources()
    })
    .await;
    drop(store);
    assert_eq!(files_under(&data.join("inputs").join(&id)), 1);
    assert_eq!(status(&server, &id).await, "created");
    host.becomes(Manner::Whole("503 Service Unavailable", Vec::new()));
    let folder = server.stop().await;
    let server = Server::start(|options| {
        (options.workers, options.data_dir) = (1, folder.path().join("data"));
    })
    .await;
    assert_eq!(server.ended(&id).await["status"], "completed");
    assert_eq!(host.requests(), 1);
}

#[tokio::test]
async fn a_failed_fetch_tells_its_own_key_why() {
    let server = without_workers().await;
    let other = second_key(&server).await;
    let (missing, broken) = (
        PictureHost::start(Manner::Whole("404 Not Found", Vec::new())).await,
        PictureHost::start(Manner::Whole("500 Internal Server Error", Vec::new())).await,
    );
    let (webhook, mut received) = receiver().await;
    let mine = server.submit(&format!("{REDUX}?webhook={webhook}"), &task(&missing.url)).await;
    let theirs = submit_as(&server, &other, &task(&broken.url)).await;
    let (mine, theirs) = (server.ended(&mine).await, ended_as(&server, &other, &theirs).await);
    for (task, its_status, others_status) in [(&mine, "404", "500"), (&theirs, "500", "404")] {
        let error = task["error"].as_str().unwrap();
        assert_eq!(task["status"], "failed");
        assert!(error.starts_with("image: ") && error.contains(its_status), "{error}");
        assert!(!error.contains(others_status) && !error.contains("127.0.0.1"), "{error}");
    }
    let (_, body) = tokio::time::timeout(Duration::from_secs(10), received.recv()).await.unwrap().unwrap();
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&told["status"], &told["error"]), (&json!("failed"), &mine["error"]));
}

#[tokio::test]
async fn a_burst_lets_a_newcomer_in_after_its_first_task() {
    let server = without_workers().await;
    let other = second_key(&server).await;
    let host = PictureHost::start(Manner::Whole("200 OK", picture(32, 32))).await;
    let queue = "/queue/fal-ai/flux-1/dev/redux";
    for image in [&data_uri(&picture(32, 32)), &host.url] {
        for _ in 0..20 {
            assert_eq!(server.post(queue, &json!({"image_url": image})).await.0, 200);
        }
    }
    let (_, ticket) =
        as_key(&server, &other, Method::POST, queue, &json!({"image_url": data_uri(&picture(32, 32))})).await;
    assert!(ticket["queue_position"].as_u64().unwrap() <= 1, "{ticket}");
}

#[tokio::test]
async fn the_price_is_that_of_the_picture_that_is_made() {
    let server = with_worker().await;
    let host = PictureHost::start(Manner::Whole("200 OK", picture(128, 128))).await;
    let inputs = |image: &str| json!({"image": image, "prompt": "a lake", "num_inference_steps": 2, "strength": 1});
    // 0.012 dollars × (128/1024)² × 2/25
    let expected = 15;
    server.ended(&server.submit(SRPO, &inputs(&host.url)).await).await;
    assert_eq!(spent(&server).await, expected);
    server.ended(&server.submit(SRPO, &inputs(&data_uri(&picture(128, 128)))).await).await;
    assert_eq!(spent(&server).await, 2 * expected);

    let quote = async |model: &str, inputs: Value| {
        let body = json!({"model_id": model, "inputs": inputs});
        let (status, answer) = server.post(PRICE, &body).await;
        assert_eq!(status, 200, "{answer}");
        (answer["data"]["price"].as_f64().unwrap() * 1e6).round() as i64
    };
    let srpo = "wavespeed-ai/flux-srpo/image-to-image";
    assert_eq!(quote(srpo, inputs(&data_uri(&picture(128, 128)))).await, expected);
    let uploaded = server.upload(&picture(130, 143)).await;
    assert_eq!(quote(srpo, inputs(&uploaded)).await, expected, "sides are made in multiples of 16");
    assert_eq!(quote(srpo, inputs("https://example.com/a.png")).await, 960, "nobody has seen it yet");
    let redux = "wavespeed-ai/flux-redux-dev";
    let odd = quote(redux, json!({"size": "260*300", "num_inference_steps": 2})).await;
    assert_eq!(odd, quote(redux, json!({"size": "256*288", "num_inference_steps": 2})).await);
    let before = spent(&server).await;
    let body = json!({"image": data_uri(&picture(32, 32)), "size": "260*300", "num_inference_steps": 2});
    server.ended(&server.submit(REDUX, &body).await).await;
    assert_eq!(spent(&server).await - before, odd);
    let (status, refusal) = server.post(PRICE, &json!({"model_id": srpo, "inputs": inputs("no picture")})).await;
    assert_eq!(status, 400, "{refusal}");
}

#[tokio::test]
async fn an_accepted_task_keeps_its_picture_when_the_upload_goes() {
    let server = without_workers().await;
    let uploaded = server.upload(&picture(64, 64)).await;
    let id = server.submit(REDUX, &task(&uploaded)).await;
    let folder = server.stop().await;
    let data = folder.path().join("data");
    // What the end of its time does.
    std::fs::remove_dir_all(data.join("uploads")).unwrap();
    let server = Server::start(|options| (options.workers, options.data_dir) = (1, data.clone())).await;
    let done = server.ended(&id).await;
    assert_eq!(done["status"], "completed", "{done}");

    // The same for a result that is an input, deleted while its task waits for a running one.
    let result = done["outputs"][0].as_str().unwrap().to_owned();
    let long = server
        .submit(REDUX, &json!({"image": data_uri(&picture(64, 64)), "size": "512*512", "num_inference_steps": 20}))
        .await;
    until("a task runs", Duration::from_secs(10), async || status(&server, &long).await == "processing").await;
    let second = server.submit(REDUX, &task(&result)).await;
    server.post("/api/v3/predictions/delete", &json!({"ids": [id]})).await;
    std::fs::remove_dir_all(data.join("results").join(&id)).unwrap();
    server.post(&format!("/api/v3/predictions/{long}/cancel"), &json!({})).await;
    assert_eq!(server.ended(&second).await["status"], "completed");
    let (code, refused) = server.post(REDUX, &task(&result)).await;
    assert_eq!(code, 400, "{refused}");
}
