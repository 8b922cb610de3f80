//! An orderly stop costs a job nothing.

use crate::requests::wait_for;
use crate::server::{Installation, png};
use afterimage_jobs::{JobId, JobStore, SqliteStore, SystemClock};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A stop may take this long.
const STOP_WITHIN: Duration = Duration::from_secs(30);

#[tokio::test]
async fn jobs_that_run_at_a_stop_run_again_without_a_mark() {
    let installation = Installation::new();
    let client = installation.client();
    let mut command = installation.command();
    command.args(["--finish-within", "10"]);
    let mut server = installation.start_by(command);
    client.ready().await;
    let picture = client.upload(&png()).await;
    // Longer than a stop may take, on any machine.
    let long = json!({"image": picture, "size": "1024*1024", "num_inference_steps": 50, "num_images": 4});
    let submitted = client.post("/api/v3/wavespeed-ai/flux-redux-dev", &long).await.unwrap();
    let id = submitted.body["data"]["id"].as_str().unwrap().to_owned();
    wait_for(&installation, &client, &id, "processing").await;

    let asked = Instant::now();
    server.signal("-TERM");
    let ended = server.ended(STOP_WITHIN).await;
    assert!(ended.success(), "{ended}: {}", installation.log());
    println!("stopped within {:?}", asked.elapsed());
    assert_eq!(server.engines(), [] as [u32; 0]);

    let store = SqliteStore::open(&installation.data(), Arc::new(SystemClock)).await.unwrap();
    let job = store.job(&JobId::parse(&id).unwrap()).await.unwrap().unwrap();
    assert_eq!((job.attempt, job.unclean_ends, job.state.is_terminal()), (1, 0, false));
    drop(store);

    let _server = installation.start();
    client.ready().await;
    wait_for(&installation, &client, &id, "processing").await;
    let cancelled = client.post(&format!("/api/v3/predictions/{id}/cancel"), &Value::Null).await.unwrap();
    assert!(cancelled.status.is_success(), "{cancelled:?}");
    wait_for(&installation, &client, &id, "cancelled").await;
}
