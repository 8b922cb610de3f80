//! Servers that end while they fetch pictures.

use crate::picture_host::{Manner, PictureHost};
use crate::requests::{status, up, wait_for, without_workers};
use crate::server::{Installation, PATIENCE, png};
use crate::waiting::until;
use serde_json::json;
use std::time::Instant;

#[tokio::test]
async fn pictures_are_fetched_again_after_a_kill_and_after_a_stop() {
    let installation = Installation::new();
    let server = installation.start_by(without_workers(&installation));
    let client = up(&installation).await;
    let slow = PictureHost::start(Manner::Trickle).await;
    let mut ids = Vec::new();
    for _ in 0..12 {
        let body = json!({"image": slow.url, "size": "256*256", "num_inference_steps": 1});
        let answer = client.post("/api/v3/wavespeed-ai/flux-redux-dev", &body).await.unwrap();
        ids.push(answer.body["data"]["id"].as_str().unwrap().to_owned());
    }
    asked(&slow, 8).await;
    server.kill();
    assert_eq!(slow.requests(), 8, "one key's share");

    // It does not wait for the leases of the one that is gone.
    let started = Instant::now();
    let mut server = installation.start_by(without_workers(&installation));
    asked(&slow, 16).await;
    println!("fetched again {:?} after the start", started.elapsed());
    up(&installation).await;
    for id in &ids {
        assert_eq!(status(&client, id).await, "created");
    }
    server.signal("-TERM");
    assert!(server.ended(PATIENCE).await.success(), "{}", installation.log());

    assert_eq!(slow.hung_up(), 16);

    // At the next start the host is well.
    let asked_before = slow.requests();
    slow.becomes(Manner::Whole("200 OK", png()));
    let _server = installation.start();
    client.ready().await;
    for id in &ids {
        wait_for(&installation, &client, id, "completed").await;
    }
    assert_eq!(slow.requests() - asked_before, ids.len(), "each picture is fetched once");
}

async fn asked(host: &PictureHost, times: usize) {
    until(format!("{times} requests"), PATIENCE, async || host.requests() >= times).await;
}
