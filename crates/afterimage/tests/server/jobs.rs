//! Tasks that run, with the embedded model.

use crate::isolation::{as_key, second_key};
use crate::support::{REDUX, SRPO, Server, data_uri, picture};
use crate::waiting::eventually;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn small(image: &str) -> Value {
    json!({"image": image, "size": "256*256", "num_inference_steps": 2, "seed": 7, "output_format": "png"})
}

async fn decoded(server: &Server, address: &str) -> image::DynamicImage {
    let bytes = server.client.get(address).send().await.unwrap().bytes().await.unwrap();
    image::load_from_memory(&bytes).unwrap()
}

#[tokio::test]
async fn a_task_ends_with_pictures_and_its_result_stays_the_same() {
    let server = Server::with_worker().await;
    let image = server.upload(&picture(300, 200)).await;
    let mut body = small(&image);
    body["num_images"] = json!(2);
    let id = server.submit(REDUX, &body).await;
    let task = server.ended(&id).await;
    assert_eq!(task["status"], "completed", "{task}");
    assert_eq!((&task["error"], &task["has_nsfw_contents"]), (&json!(""), &json!([false, false])));
    assert!(task["timings"]["inference"].as_u64().unwrap() > 0);
    let outputs = task["outputs"].as_array().unwrap();
    assert_eq!(outputs.len(), 2);
    let [first, second] = [0, 1].map(|index| outputs[index].as_str().unwrap());
    let first = decoded(&server, first).await;
    assert_eq!((first.width(), first.height()), (256, 256));
    assert_ne!(first, decoded(&server, second).await);
    assert_eq!(server.ended(&id).await, task);

    // The same again takes picture and prompt from the cache and gives the same pixels; a result serves as input.
    let again = server.ended(&server.submit(REDUX, &body).await).await;
    assert_eq!(decoded(&server, again["outputs"][0].as_str().unwrap()).await, first);
    let cached = |task: &Value| ["image_cached", "text_cached"].map(|name| task["timings"]["stages"][name].clone());
    assert_eq!(cached(&task), [json!(false), json!(false)], "{task}");
    assert_eq!(cached(&again), [json!(true), json!(true)], "{again}");
    let chained = server.ended(&server.submit(REDUX, &small(task["outputs"][0].as_str().unwrap())).await).await;
    assert_eq!(chained["status"], "completed", "{chained}");

    // Another key is not told what this one made its pictures of, neither by the answer nor by its speed.
    let other = second_key(&server).await;
    body["enable_sync_mode"] = json!(true);
    let (_, answer) = as_key(&server, &other, Method::POST, REDUX, &body).await;
    assert_eq!(answer["data"]["status"], "completed", "{answer}");
    assert_eq!(cached(&answer["data"]), [json!(false), json!(false)], "{answer}");
}

#[tokio::test]
async fn synchronous_mode_returns_base64_of_the_same_picture() {
    let server = Server::with_worker().await;
    let mut body = small(&data_uri(&picture(64, 64)));
    let polled = server.ended(&server.submit(REDUX, &body).await).await;
    body["enable_sync_mode"] = json!(true);
    body["enable_base64_output"] = json!(true);
    let (status, answer) = server.post(REDUX, &body).await;
    assert_eq!((status.as_u16(), &answer["data"]["status"]), (200, &json!("completed")), "{answer}");
    let text = answer["data"]["outputs"][0].as_str().unwrap();
    let inline = image::load_from_memory(&STANDARD.decode(text).unwrap()).unwrap();
    assert_eq!(inline, decoded(&server, polled["outputs"][0].as_str().unwrap()).await);
}

#[tokio::test]
async fn a_synchronous_wait_that_is_too_long_says_where_to_ask() {
    let server = Server::start(|options| options.sync_timeout = Duration::from_millis(100)).await;
    let mut body = small(&data_uri(&picture(64, 64)));
    body["enable_sync_mode"] = json!(true);
    let (status, answer) = server.post(REDUX, &body).await;
    assert_eq!(status, 200);
    assert_eq!((&answer["data"]["code"], &answer["data"]["status"]), (&json!(5004), &json!("processing")));
    assert!(answer["data"]["error"].as_str().unwrap().contains("Sync mode timed out"));
    let id = answer["data"]["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/api/v3/predictions/{id}")).await.1["data"]["status"], "created");
}

#[tokio::test]
async fn who_hangs_up_on_a_synchronous_request_cancels_it() {
    let server = Server::without_workers().await;
    let mut body = small(&data_uri(&picture(64, 64)));
    body["enable_sync_mode"] = json!(true);
    let request = tokio::spawn(server.request(Method::POST, REDUX).body(body.to_string()).send());
    let becomes = async |wanted: &str| {
        eventually(Duration::from_secs(5), async || {
            let list = server.post("/api/v3/predictions", &json!({})).await.1;
            if list["data"]["items"][0]["status"] == wanted { Ok(()) } else { Err(list) }
        })
        .await;
    };
    becomes("created").await;
    request.abort();
    becomes("cancelled").await;
}

#[tokio::test]
async fn who_hangs_up_on_a_request_with_an_idempotency_key_finds_its_task_again() {
    let server = Server::without_workers().await;
    let mut body = small(&data_uri(&picture(64, 64)));
    body["enable_sync_mode"] = json!(true);
    let request = |milliseconds| {
        let request = server.request(Method::POST, REDUX).header("idempotency-key", "once more");
        request.timeout(Duration::from_millis(milliseconds)).body(body.to_string())
    };
    let first = request(300).send();
    // A repetition beside the first one, whose client hangs up earlier.
    let second = async {
        // Real time: clients that hang up do that after a while, of which the server knows nothing.
        tokio::time::sleep(Duration::from_millis(100)).await;
        request(50).send().await
    };
    let (first, second) = tokio::join!(first, second);
    assert!(first.unwrap_err().is_timeout() && second.unwrap_err().is_timeout());
    // The task of one without such a key, whose client hangs up later, is cancelled by then.
    let without = server.request(Method::POST, REDUX).timeout(Duration::from_millis(300)).body(body.to_string());
    assert!(without.send().await.unwrap_err().is_timeout());
    let (list, kept) = eventually(Duration::from_secs(5), async || {
        let list = server.post("/api/v3/predictions", &json!({})).await.1;
        let items = list["data"]["items"].as_array().unwrap();
        let (cancelled, kept): (Vec<_>, Vec<_>) = items.iter().cloned().partition(|item| item["status"] == "cancelled");
        if !cancelled.is_empty() {
            assert_eq!(cancelled.len(), 1, "{list}");
            return Ok((list, kept));
        }
        Err(list)
    })
    .await;
    assert_eq!(kept.len(), 1, "{list}");
    assert_eq!(kept[0]["status"], "created", "{list}");
    let (status, cancelled) =
        server.post(&format!("/api/v3/predictions/{}/cancel", kept[0]["id"].as_str().unwrap()), &json!({})).await;
    assert_eq!(status, 200, "{cancelled}");
    let again = request(5000).send().await.unwrap().bytes().await.unwrap();
    let again: Value = serde_json::from_slice(&again).unwrap();
    assert_eq!((&again["data"]["id"], &again["data"]["status"]), (&kept[0]["id"], &json!("cancelled")), "{again}");
}

#[tokio::test]
async fn image_to_image_keeps_the_inputs_size_and_works_without_input() {
    let server = Server::with_worker().await;
    let body = json!({
        "image": data_uri(&picture(200, 120)), "prompt": "a lake", "strength": 0.6, "num_inference_steps": 4,
        "output_format": "png",
    });
    let task = server.ended(&server.submit(SRPO, &body).await).await;
    let result = decoded(&server, task["outputs"][0].as_str().unwrap()).await;
    assert_eq!((result.width(), result.height()), (192, 112), "{task}");
    let alone = server.ended(&server.submit(SRPO, &json!({"prompt": "a lake", "num_inference_steps": 1})).await).await;
    let result = decoded(&server, alone["outputs"][0].as_str().unwrap()).await;
    assert_eq!((result.width(), result.height()), (1024, 1024), "{alone}");
}

#[tokio::test]
async fn cancelling_takes_effect_within_a_step_and_the_next_task_runs() {
    let server = Server::with_worker().await;
    let image = server.upload(&picture(64, 64)).await;
    let long = json!({"image": image, "size": "1536*1536", "num_inference_steps": 50, "num_images": 4});
    let id = server.submit(REDUX, &long).await;
    let waiting = server.submit(REDUX, &long).await;
    server.runs(&id).await;
    for id in [&waiting, &id] {
        assert_eq!(server.post(&format!("/api/v3/predictions/{id}/cancel"), &json!({})).await.0, 200);
    }
    let start = Instant::now();
    assert_eq!(server.ended(&id).await["status"], "cancelled");
    assert_eq!(server.ended(&waiting).await["status"], "cancelled");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
    assert_eq!(server.ended(&server.submit(REDUX, &small(&image)).await).await["status"], "completed");
}

#[tokio::test]
async fn progress_and_previews_reach_whoever_listens() {
    let server = Server::with_worker().await;
    let image = server.upload(&picture(64, 64)).await;
    let body = json!({"image": image, "size": "512*512", "num_inference_steps": 30, "seed": 1});
    let id = server.submit(REDUX, &body).await;
    let path = format!("/api/v3/predictions/{id}/events");
    let response = server.request(Method::GET, &path).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let text = response.text().await.unwrap();
    let events: Vec<Value> = text
        .lines()
        .filter_map(|line| line.strip_prefix("data: "))
        .map(|data| serde_json::from_str(data).unwrap())
        .collect();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
    assert!(of("step") >= 5 && of("stage") >= 1 && of("preview") >= 1, "{} events", events.len());
    let preview = events.iter().find(|event| event["type"] == "preview").unwrap()["url"].as_str().unwrap().to_owned();
    let jpeg = STANDARD.decode(preview.strip_prefix("data:image/jpeg;base64,").unwrap()).unwrap();
    assert!(image::load_from_memory(&jpeg).unwrap().width() <= 256);
    assert_eq!(server.ended(&id).await["status"], "completed");
}

#[tokio::test]
async fn what_waits_at_a_stop_runs_after_the_next_start() {
    let server = Server::without_workers().await;
    let id = server.submit(REDUX, &small(&data_uri(&picture(64, 64)))).await;
    let folder = server.stop().await;
    let server = Server::start(|options| {
        options.data_dir = folder.path().join("data");
        options.workers = 1;
    })
    .await;
    assert_eq!(server.ended(&id).await["status"], "completed");
}
