//! Disks that are full and databases that are taken away.

use crate::requests::{up, without_workers};
use crate::server::{Answer, Client, Installation, png};
use crate::waiting::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// The largest file that the limited server may write, in the shell's blocks of 512 bytes: 2 MiB.
const FILE_BLOCKS: u32 = 4096;

/// The same command, by a shell that first limits the length of files. Writing more fails as on a full disk; without
/// privileges and on any machine. The signal that comes with it is to be ignored, as it is on a full disk.
fn with_limited_files(command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("trap '' XFSZ; ulimit -f {FILE_BLOCKS}; exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        limited.env(name, value.unwrap());
    }
    limited
}

fn task(number: usize) -> Value {
    // Long, so that the database's log is full soon.
    let prompt = "a lake ".repeat(280);
    json!({"prompt": prompt, "size": "512*512", "num_inference_steps": 1, "seed": number})
}

async fn submit(client: &Client, number: usize) -> Answer {
    client.post("/api/v3/wavespeed-ai/flux-srpo/image-to-image", &task(number)).await.unwrap()
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
    assert!(answer.retry_after.is_some(), "{answer:?}");
    assert_eq!(answer.body["code"], 503);
    assert!(answer.body["message"].is_string(), "{answer:?}");
}

/// Tasks that the server says there are.
async fn total(client: &Client) -> Value {
    client.post("/api/v3/predictions", &json!({})).await.unwrap().body["data"]["total"].clone()
}

#[tokio::test]
async fn a_full_disk_accepts_nothing_that_is_not_stored() {
    let installation = Installation::new();
    let server = installation.start_by(with_limited_files(&without_workers(&installation)));
    let client = up(&installation).await;
    let mut acknowledged = Vec::new();
    let mut refused = 0;
    for number in 0.. {
        assert!(number < 5000, "the limit on files does not work here");
        let answer = submit(&client, number).await;
        if answer.status == StatusCode::OK {
            acknowledged.push(answer.body["data"]["id"].as_str().unwrap().to_owned());
            continue;
        }
        assert_unavailable(&answer);
        refused += 1;
        if refused == 20 {
            break;
        }
    }
    assert!(acknowledged.len() > 5, "{}", acknowledged.len());
    // What was stored before can still be read; pictures that do not fit are refused as well.
    let first = client.get(&format!("/api/v3/predictions/{}", acknowledged[0])).await.unwrap();
    assert_eq!(first.status, StatusCode::OK);
    assert_eq!(total(&client).await, acknowledged.len());
    server.kill();

    // With room again, exactly what was acknowledged is there.
    let _server = installation.start_by(without_workers(&installation));
    let client = up(&installation).await;
    assert_eq!(total(&client).await, acknowledged.len());
    for id in &acknowledged {
        let found = client.get(&format!("/api/v3/predictions/{id}")).await.unwrap();
        assert_eq!(found.status, StatusCode::OK, "{id}");
    }
    assert_eq!(submit(&client, 0).await.status, StatusCode::OK);
}

#[tokio::test]
async fn uploads_that_do_not_fit_are_refused_and_leave_nothing() {
    let installation = Installation::new();
    let _server = installation.start_by(with_limited_files(&without_workers(&installation)));
    let client = up(&installation).await;
    // Noise does not compress: about 3 MB.
    let mut random = fastrand::Rng::with_seed(1);
    let noise = image::RgbImage::from_fn(1000, 1000, |_, _| image::Rgb([random.u8(..), random.u8(..), random.u8(..)]));
    let mut file = std::io::Cursor::new(Vec::new());
    noise.write_to(&mut file, image::ImageFormat::Png).unwrap();
    let ticket = client.post("/api/v3/media/uploads", &json!({"filename": "noise.png"})).await.unwrap();
    let address = ticket.body["data"]["upload"]["url"].as_str().unwrap();
    let refused = client.http.put(address).body(file.into_inner()).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers().contains_key("retry-after"));
    // Each upload has a folder.
    let folders = fs::read_dir(installation.data().join("uploads")).into_iter().flatten();
    let left: Vec<_> = folders.flat_map(|folder| fs::read_dir(folder.unwrap().path()).unwrap()).collect();
    assert!(left.is_empty(), "{left:?}");
    client.upload(&png()).await;
}

#[tokio::test]
async fn a_database_that_is_taken_away_is_noticed() {
    let installation = Installation::new();
    let _server = installation.start_by(without_workers(&installation));
    let client = up(&installation).await;
    assert_eq!(submit(&client, 0).await.status, StatusCode::OK);
    let database = installation.data().join("afterimage.sqlite");
    let aside = installation.data().join("aside");
    fs::rename(&database, &aside).unwrap();
    // A write to a file without a name would be acknowledged and lost.
    assert_unavailable(&submit(&client, 1).await);
    assert!(!database.exists());

    fs::rename(&aside, &database).unwrap();
    eventually(Duration::from_secs(10), async || {
        if submit(&client, 2).await.status == StatusCode::OK { Ok(()) } else { Err(installation.log()) }
    })
    .await;
    assert_eq!(total(&client).await, 2);
}

#[tokio::test]
async fn another_database_in_the_place_of_the_first_is_not_written() {
    let installation = Installation::new();
    let server = installation.start_by(without_workers(&installation));
    let client = up(&installation).await;
    assert_eq!(submit(&client, 0).await.status, StatusCode::OK);
    let database = installation.data().join("afterimage.sqlite");
    fs::remove_file(&database).unwrap();
    fs::write(&database, b"").unwrap();
    assert_unavailable(&submit(&client, 1).await);
    assert_eq!(fs::read(&database).unwrap(), b"");
    server.kill();
}
