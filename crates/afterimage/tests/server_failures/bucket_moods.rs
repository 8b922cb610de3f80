//! A bucket that is slow or overloaded, and hosts whose clocks it does not accept.

use crate::bucket::{BUCKET, REDUX, result_of, submit, task, with_bucket};
use crate::faketime::FakeClock;
use crate::hosts::Place;
use crate::moody_bucket::{Mood, MoodyBucket};
use crate::requests::{up, wait_for};
use crate::s3_server::{KEY_ID, S3Server, SECRET, url_at};
use crate::server::{Client, Installation};
use crate::waiting::{eventually, until};
use reqwest::StatusCode;
use std::time::{Duration, Instant};

/// Long enough for a machine that does other things besides.
const PATIENCE: Duration = Duration::from_mins(1);

/// Whoever submits is told by then.
const TOLD_WITHIN: Duration = Duration::from_secs(10);

/// An amount of seconds that S3 refuses, and one that it accepts.
const TOO_FAR: i64 = 20 * 60;
const ACCEPTED: i64 = 10 * 60;

/// A bucket behind a front; `None` where there is no program for it.
async fn bucket() -> Option<(S3Server, MoodyBucket)> {
    let s3 = S3Server::start()?;
    s3.make_bucket(BUCKET).await;
    let front = MoodyBucket::before(s3.address).await;
    Some((s3, front))
}

/// One that waits longer than the server may take.
async fn patient(installation: &Installation) -> Client {
    let mut client = up(installation).await;
    client.http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().unwrap();
    client
}

#[tokio::test]
async fn a_slow_bucket_makes_everything_slow_and_nothing_wrong() {
    let Some((_s3, front)) = bucket().await else { return };
    // A server that is started meanwhile comes up, too.
    front.set(Mood::Late(Duration::from_millis(1500)));
    let installation = Installation::new();
    let _server = installation.start_by(with_bucket(&installation, &url_at(front.address, BUCKET)));
    let client = patient(&installation).await;
    client.ready().await;
    for late in [1, 5] {
        front.set(Mood::Late(Duration::from_secs(late)));
        let start = Instant::now();
        let id = submit(&client).await;
        let accepted = start.elapsed();
        assert!(accepted < TOLD_WITHIN, "{accepted:?}");
        wait_for(&installation, &client, &id, "completed").await;
        let done = start.elapsed();
        let picture = client.http.get(result_of(&client, &id).await).send().await.unwrap();
        assert!(image::load_from_memory(&picture.bytes().await.unwrap()).is_ok());
        println!(
            "answers after {late} s: accepted after {:.1} s, done after {:.1} s, downloaded after {:.1} s",
            accepted.as_secs_f64(),
            done.as_secs_f64(),
            start.elapsed().as_secs_f64()
        );
    }
    assert!(!installation.whole_log().contains("put back"), "{}", installation.log());
}

#[tokio::test]
async fn an_overloaded_bucket_is_an_outage_unless_it_is_short() {
    let Some((_s3, front)) = bucket().await else { return };
    let installation = Installation::new();
    let _server = installation.start_by(with_bucket(&installation, &url_at(front.address, BUCKET)));
    let client = patient(&installation).await;
    client.ready().await;
    front.set(Mood::Busy);
    let (id, ()) = tokio::join!(submit(&client), async {
        // Real time: a burst that is over before the last try.
        tokio::time::sleep(Duration::from_millis(100)).await;
        front.set(Mood::Steady);
    });
    wait_for(&installation, &client, &id, "completed").await;

    // Its result is made while the bucket refuses everything.
    let text = serde_json::json!({"prompt": "a lake", "size": "256*256", "num_inference_steps": 1});
    front.set(Mood::Busy);
    let answer = client.post("/api/v3/wavespeed-ai/flux-srpo/image-to-image", &text).await.unwrap();
    let kept = answer.body["data"]["id"].as_str().unwrap().to_owned();
    let start = Instant::now();
    let refused = client.post(REDUX, &task()).await.unwrap();
    println!("503 SlowDown: refused after {:.1} s", start.elapsed().as_secs_f64());
    assert!(start.elapsed() < TOLD_WITHIN, "{:?}", start.elapsed());
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    assert!(refused.retry_after.is_some(), "{refused:?}");
    eventually(PATIENCE, async || {
        let waits = installation.whole_log().contains("cannot store a picture yet");
        if waits { Ok(()) } else { Err(installation.log()) }
    })
    .await;
    front.set(Mood::Steady);
    wait_for(&installation, &client, &kept, "completed").await;
    assert!(!installation.whole_log().contains("put back"), "{}", installation.log());
}

// The front answers while this waits for a program's end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_the_bucket_refuses_is_named() {
    let Some((_s3, front)) = bucket().await else { return };
    let Some(clock) = FakeClock::new() else { return };
    let installation = Installation::new();
    let command = || {
        let mut command = with_bucket(&installation, &url_at(front.address, BUCKET));
        command.envs(clock.variables());
        command
    };
    for off in [TOO_FAR, -TOO_FAR] {
        clock.set_ahead(off);
        let output = command().output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("this machine's clock is wrong") && text.contains("NTP"), "{text}");
    }
    // What the bucket accepts does no harm.
    clock.set_ahead(ACCEPTED);
    let _server = installation.start_by(command());
    let client = patient(&installation).await;
    client.ready().await;
    let id = submit(&client).await;
    wait_for(&installation, &client, &id, "completed").await;
    // One that goes wrong later is an outage for whoever submits, and operators read why.
    clock.set_ahead(TOO_FAR);
    let start = Instant::now();
    let refused = client.post(REDUX, &task()).await.unwrap();
    println!("wrong clock: refused after {:.1} s", start.elapsed().as_secs_f64());
    assert!(start.elapsed() < TOLD_WITHIN, "{:?}", start.elapsed());
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    assert!(refused.retry_after.is_some() && !refused.body.to_string().contains("clock"), "{refused:?}");
    assert!(installation.whole_log().contains("this machine's clock is wrong"), "{}", installation.log());
}

#[tokio::test]
async fn a_host_whose_clock_goes_wrong_leaves_jobs_to_others() {
    let Some((_s3, front)) = bucket().await else { return };
    let Some(clock) = FakeClock::new() else { return };
    let Some(mut place) = Place::new().await else { return };
    place.storage = url_at(front.address, BUCKET);
    let credentials = [("AWS_ACCESS_KEY_ID", KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET), ("NO_PROXY", "127.0.0.1")];
    place.environment.extend(credentials.map(|(name, value)| (name, value.to_owned())));
    let (installation, _api) = place.api();
    let client = patient(&installation).await;
    client.ready().await;
    let right = place.worker("right");
    place.environment.extend(clock.variables());
    let wrong = place.worker("wrong");
    right.ready(&client).await;
    wrong.ready(&client).await;
    clock.set_ahead(TOO_FAR);
    let mut ids = Vec::new();
    for _ in 0..8 {
        ids.push(submit(&client).await);
    }
    for id in &ids {
        wait_for(&installation, &client, id, "completed").await;
    }
    let log = place.log("wrong");
    // It took one, found out, and took no other.
    assert!(log.matches("job started").count() <= 1, "{log}");
    if log.contains("job started") {
        assert!(log.contains("no jobs are taken") && log.contains("clock is wrong"), "{log}");
        clock.set_ahead(0);
        until("it works again", PATIENCE, async || place.log("wrong").contains("the storage works again")).await;
    }
}

#[tokio::test]
async fn a_worker_whose_files_would_be_elsewhere_does_not_start() {
    let Some((_s3, front)) = bucket().await else { return };
    let Some(mut place) = Place::new().await else { return };
    let right = url_at(front.address, BUCKET);
    place.storage.clone_from(&right);
    let credentials = [("AWS_ACCESS_KEY_ID", KEY_ID), ("AWS_SECRET_ACCESS_KEY", SECRET), ("NO_PROXY", "127.0.0.1")];
    place.environment.extend(credentials.map(|(name, value)| (name, value.to_owned())));
    let (installation, _api) = place.api();
    let client = installation.client();
    client.ready().await;
    place.storage = right.replacen('?', "/elsewhere?", 1);
    assert_ne!(place.storage, right);
    let mut astray = place.worker("astray");
    until("it gives up", PATIENCE, async || astray.has_ended()).await;
    let log = place.log("astray");
    assert!(log.contains(&format!("the files of this database are in s3://{BUCKET}")), "{log}");
    assert!(log.contains("/elsewhere"), "{log}");
    place.storage = right;
    place.worker("right").ready(&client).await;
}
