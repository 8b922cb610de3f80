//! What results and timings tell: nothing of other keys, nothing of the operator.

use crate::isolation::{as_key, second_key};
use crate::support::{KEY, REDUX, Server, data_uri, engines, picture};
use afterimage_engine::EngineOptions;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;

/// Whether picture and prompt were known, as a synchronous request of `key` is told.
async fn cached(server: &Server, key: &str, body: &Value) -> [bool; 2] {
    let (status, answer) = as_key(server, key, Method::POST, REDUX, body).await;
    assert_eq!((status, &answer["data"]["status"]), (200, &json!("completed")), "{answer}");
    ["image_cached", "text_cached"].map(|name| answer["data"]["timings"]["stages"][name].as_bool().unwrap())
}

/// Otherwise a key could ask whether anybody has just used this very picture, or this very sentence.
#[tokio::test]
async fn a_key_is_told_of_its_own_hits_only() {
    let server = Server::with_worker().await;
    let other = second_key(&server).await;
    let body = json!({
        "image": data_uri(&picture(64, 64)), "prompt": "a secret product", "size": "256*256",
        "num_inference_steps": 1, "seed": 1, "enable_sync_mode": true,
    });
    assert_eq!(cached(&server, KEY, &body).await, [false, false]);
    assert_eq!(cached(&server, KEY, &body).await, [true, true]);
    assert_eq!(cached(&server, &other, &body).await, [false, false], "the first key's hits");
    assert_eq!(cached(&server, &other, &body).await, [true, true]);
}

#[tokio::test]
async fn results_do_not_hold_the_operators_paths() {
    let bundles = Path::new(env!("CARGO_MANIFEST_DIR")).join("../afterimage-engine/tests/parity/bundles/dev");
    let models = EngineOptions {
        base: Some(bundles.join("base")),
        redux: Some(bundles.join("redux")),
        ..EngineOptions::default()
    };
    let server = Server::start(|options| {
        options.workers = 1;
        options.engines = engines(&models);
    })
    .await;
    for format in ["png", "jpeg"] {
        let body = json!({
            "image": data_uri(&picture(64, 64)), "size": "256*256", "num_inference_steps": 1, "output_format": format,
        });
        let task = server.ended(&server.submit(REDUX, &body).await).await;
        assert_eq!(task["status"], "completed", "{task}");
        assert!(!task.to_string().contains("bundles"), "{task}");
        let address = task["outputs"][0].as_str().unwrap();
        let file = server.client.get(address).send().await.unwrap().bytes().await.unwrap();
        let holds = |text: &str| file.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(holds(r#""model":"base""#) && !holds("bundles") && !holds("parity"), "{format}");
    }
}
