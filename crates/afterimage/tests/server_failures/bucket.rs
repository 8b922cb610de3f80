//! A server whose files are in a bucket: as in a folder, and what it does while the bucket is away.

use crate::requests::{up, wait_for};
use crate::s3_server::{KEY_ID, S3Server, SECRET, plain_http, url_at};
use crate::server::{Client, Installation, Server, png};
use crate::unsteady_proxy::{Line, UnsteadyProxy};
use crate::waiting::eventually;
use reqwest::StatusCode;
use serde_json::{Value, json};
use std::process::Command;
use std::time::{Duration, Instant};

pub const BUCKET: &str = "pictures";

/// Long enough for a machine that does other things besides.
const PATIENCE: Duration = Duration::from_mins(1);

/// A server with its files in a bucket, which it reaches over a line that can be made bad.
struct Place {
    installation: Installation,
    line: UnsteadyProxy,
    client: Client,
    _server: Server,
    _s3: S3Server,
}

impl Place {
    /// `None` where there is no program for the bucket.
    async fn start(flags: &[&str]) -> Option<Self> {
        let s3 = S3Server::start()?;
        s3.make_bucket(BUCKET).await;
        let line = UnsteadyProxy::before(s3.address).await;
        let installation = Installation::new();
        let mut command = with_bucket(&installation, &url_at(line.address, BUCKET));
        let server = installation.start_by({
            command.args(flags);
            command
        });
        let mut client = up(&installation).await;
        // Longer than the server may take.
        client.http = reqwest::Client::builder().timeout(PATIENCE).no_proxy().build().unwrap();
        Some(Self { client, installation, line, _server: server, _s3: s3 })
    }
}

pub fn with_bucket(installation: &Installation, url: &str) -> Command {
    let mut command = installation.command();
    command.args(["--storage-url", url]).env("AWS_ACCESS_KEY_ID", KEY_ID).env("AWS_SECRET_ACCESS_KEY", SECRET);
    // A proxy of the environment knows no addresses of this machine.
    command.env("NO_PROXY", "127.0.0.1");
    command
}

/// A task with a picture in it that is done soon.
pub fn task() -> Value {
    use base64::Engine;
    let picture = base64::engine::general_purpose::STANDARD.encode(png());
    let image = format!("data:image/png;base64,{picture}");
    json!({"image": image, "size": "256*256", "num_inference_steps": 1, "output_format": "png"})
}

pub const REDUX: &str = "/api/v3/wavespeed-ai/flux-redux-dev";

pub async fn submit(client: &Client) -> String {
    let answer = client.post(REDUX, &task()).await.unwrap();
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.body["data"]["id"].as_str().unwrap().to_owned()
}

/// The address of a task's result.
pub async fn result_of(client: &Client, id: &str) -> String {
    let answer = client.get(&format!("/api/v3/predictions/{id}")).await.unwrap();
    answer.body["data"]["outputs"][0].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn pictures_come_out_of_a_bucket_as_a_whole_and_in_parts() {
    let Some(place) = Place::start(&[]).await else { return };
    let client = &place.client;
    client.ready().await;
    let id = submit(client).await;
    wait_for(&place.installation, client, &id, "completed").await;
    let address = result_of(client, &id).await;
    let whole = client.http.get(&address).send().await.unwrap();
    assert_eq!((whole.status(), &whole.headers()["content-type"]), (StatusCode::OK, &"image/png".parse().unwrap()));
    let whole = whole.bytes().await.unwrap();
    assert!(image::load_from_memory(&whole).is_ok());
    let part = client.http.get(&address).header("range", "bytes=10-19").send().await.unwrap();
    assert_eq!(part.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(part.bytes().await.unwrap(), whole[10..20]);
    // What was uploaded can be read, used, and is not in any folder of this machine.
    let upload = client.upload(&png()).await;
    assert_eq!(client.http.get(&upload).send().await.unwrap().bytes().await.unwrap(), png());
    let data = place.installation.data();
    assert!(!data.join("uploads").exists() && !data.join("results").exists());
    let mut again = task();
    again["image"] = json!(upload);
    let answer = client.post(REDUX, &again).await.unwrap();
    wait_for(&place.installation, client, answer.body["data"]["id"].as_str().unwrap(), "completed").await;
}

#[tokio::test]
async fn downloads_can_be_sent_to_the_bucket() {
    let Some(place) = Place::start(&["--workers", "0", "--redirect-downloads"]).await else { return };
    let upload = place.client.upload(&png()).await;
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let sent = http.get(&upload).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::TEMPORARY_REDIRECT);
    let address = sent.headers()["location"].to_str().unwrap();
    assert!(address.starts_with(&format!("http://{}/{BUCKET}/", place.line.address)), "{address}");
    assert_eq!(plain_http().get(address).send().await.unwrap().bytes().await.unwrap(), png());
    // An address that is signed for GET would refuse this.
    assert_eq!(http.head(&upload).send().await.unwrap().status(), StatusCode::OK);
    let forged = upload.replace("signature=", "signature=x");
    assert_eq!(http.get(&forged).send().await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_narrow_line_to_the_bucket_is_waited_for() {
    let Some(place) = Place::start(&[]).await else { return };
    let client = &place.client;
    client.ready().await;
    // 256 kbit a second.
    place.line.set(Line::Narrow(32_000));
    let start = Instant::now();
    let since = || start.elapsed().as_secs_f64();
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(submit(client).await);
    }
    let accepted = since();
    assert!(accepted < 10.0, "{accepted:.1} s");
    for id in &ids {
        wait_for(&place.installation, client, id, "completed").await;
    }
    let done = since();
    let mut bytes = 0;
    for id in &ids {
        let picture = client.http.get(result_of(client, id).await).send().await.unwrap().bytes().await.unwrap();
        assert!(image::load_from_memory(&picture).is_ok());
        bytes += picture.len();
    }
    println!("accepted after {accepted:.1} s, done after {done:.1} s, {bytes} bytes read after {:.1} s", since());
    // The line was the narrow thing: they went up and came down once at least.
    assert!(since() > 2.0 * bytes as f64 / 32_000.0, "{:.1} s", since());
    assert!(!place.installation.whole_log().contains("put back"), "{}", place.installation.log());
}

#[tokio::test]
async fn while_the_bucket_is_away_requests_are_refused_soon() {
    let Some(place) = Place::start(&["--workers", "0"]).await else { return };
    let upload = place.client.upload(&png()).await;
    for line in [Line::Cut, Line::Stalled] {
        place.line.set(line);
        let start = Instant::now();
        let refused = place.client.post(REDUX, &task()).await.unwrap();
        println!("{line:?}: refused after {:.1} s", start.elapsed().as_secs_f64());
        assert!(start.elapsed() < Duration::from_secs(10), "{line:?}: {:?}", start.elapsed());
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
        assert!(refused.retry_after.is_some(), "{refused:?}");
        let named = place.client.post(REDUX, &json!({"image": upload})).await.unwrap();
        assert_eq!(named.status, StatusCode::SERVICE_UNAVAILABLE, "{named:?}");
        // Without workers it is never ready; the storage is what it looks at before.
        let ready = place.client.get("/readyz").await.unwrap();
        let reasons = ["the storage cannot be used", "the storage does not answer"];
        assert!(ready.body["reason"].as_str().is_some_and(|reason| reasons.contains(&reason)), "{ready:?}");
        // What needs no files works.
        assert_eq!(place.client.get("/healthz").await.unwrap().status, StatusCode::OK);
        assert_eq!(place.client.post("/api/v3/predictions", &json!({})).await.unwrap().status, StatusCode::OK);
    }
    place.line.set(Line::Steady);
    submit(&place.client).await;
    assert!(
        place.installation.whole_log().contains(&format!("s3://{BUCKET}/some/folder")),
        "{}",
        place.installation.log()
    );
}

#[tokio::test]
async fn a_result_is_kept_until_the_bucket_is_back() {
    let Some(place) = Place::start(&[]).await else { return };
    let client = &place.client;
    client.ready().await;
    place.line.set(Line::Cut);
    // Without a picture, so that nothing but the result needs the bucket.
    let task = json!({"prompt": "a lake", "size": "256*256", "num_inference_steps": 1});
    let answer = client.post("/api/v3/wavespeed-ai/flux-srpo/image-to-image", &task).await.unwrap();
    let id = answer.body["data"]["id"].as_str().unwrap().to_owned();
    eventually(PATIENCE, async || {
        let waits = place.installation.whole_log().contains("cannot store a picture yet");
        if waits { Ok(()) } else { Err(place.installation.log()) }
    })
    .await;
    place.line.set(Line::Steady);
    wait_for(&place.installation, client, &id, "completed").await;
    let address = result_of(client, &id).await;
    assert_eq!(client.http.get(&address).send().await.unwrap().status(), StatusCode::OK);
    // It was kept, not made again.
    assert!(!place.installation.whole_log().contains("put back"), "{}", place.installation.log());
}

#[tokio::test]
async fn a_bucket_that_cannot_be_used_ends_the_start() {
    let Some(s3) = S3Server::start() else { return };
    let installation = Installation::new();
    let failure = |command: &mut Command| {
        let output = command.env("AFTERIMAGE_LISTEN", "127.0.0.1:0").output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = failure(&mut with_bucket(&installation, &url_at(s3.address, "missing")));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("\"missing\"") && text.contains(&s3.address.to_string()), "{text}");
    let (code, text) = failure(&mut with_bucket(&installation, "s3://id:SECRET@bucket"));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("AWS_ACCESS_KEY_ID") && !text.contains("SECRET@"), "{text}");
    let (code, text) = failure(installation.command().arg("--redirect-downloads"));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("--redirect-downloads") && text.contains("s3://"), "{text}");
}
