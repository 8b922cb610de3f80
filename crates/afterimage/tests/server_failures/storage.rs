//! What keys keep on disk, how little room is left there, and whose files they are.

use crate::requests::{up, wait_for, without_workers};
use crate::server::{Answer, Client, Installation, PATIENCE, png};
use crate::waiting::eventually;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tokio::time::sleep;

const TEXT_TO_IMAGE: &str = "/api/v3/wavespeed-ai/flux-srpo/image-to-image";

/// A picture that does not compress: about three bytes a pixel.
fn noise(side: u32) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(u64::from(side));
    let noise = image::RgbImage::from_fn(side, side, |_, _| image::Rgb([random.u8(..), random.u8(..), random.u8(..)]));
    let mut file = std::io::Cursor::new(Vec::new());
    noise.write_to(&mut file, image::ImageFormat::Png).unwrap();
    file.into_inner()
}

/// Uploads by ticket; the answer to the bytes.
async fn send(client: &Client, bytes: Vec<u8>) -> (StatusCode, String) {
    let ticket = client.post("/api/v3/media/uploads", &json!({"filename": "a.png"})).await.unwrap();
    if ticket.status != StatusCode::OK {
        return (ticket.status, ticket.body.to_string());
    }
    let put = client.http.put(ticket.body["data"]["upload"]["url"].as_str().unwrap()).body(bytes);
    let answer = put.send().await.unwrap();
    (answer.status(), answer.text().await.unwrap())
}

/// Uploads by fal's route with a lifetime in seconds.
async fn send_briefly(client: &Client, bytes: Vec<u8>, seconds: u64) -> Answer {
    let lifecycle = json!({"expiration_duration_seconds": seconds}).to_string();
    let ticket = client
        .request(
            Method::POST,
            "/storage/upload/initiate",
            &[("x-fal-object-lifecycle", lifecycle)],
            &json!({"file_name": "a.png", "content_type": "image/png"}),
        )
        .await
        .unwrap();
    if ticket.status != StatusCode::OK {
        return ticket;
    }
    let put = client.http.put(ticket.body["upload_url"].as_str().unwrap()).body(bytes).send().await.unwrap();
    let status = put.status();
    let retry_after = put.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    Answer { status, retry_after, body: serde_json::from_str(&put.text().await.unwrap()).unwrap_or_default() }
}

/// A task that takes long to run, for servers that do not.
fn task() -> Value {
    json!({"prompt": "a lake", "num_inference_steps": 1, "seed": 1})
}

/// Submits a task that is done soon; its id.
async fn submit_small(client: &Client) -> String {
    let picture = client.upload(&png()).await;
    let task = json!({"image": picture, "size": "256*256", "num_inference_steps": 1});
    let answer = client.post("/api/v3/wavespeed-ai/flux-redux-dev", &task).await.unwrap();
    answer.body["data"]["id"].as_str().unwrap().to_owned()
}

/// A command of the program for an installation's keys.
fn keys(installation: &Installation, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
    command.arg("keys").args(arguments).arg("--data-dir").arg(installation.data());
    command.output().unwrap()
}

fn first_key_id(installation: &Installation) -> String {
    let listed = String::from_utf8(keys(installation, &["list"]).stdout).unwrap();
    listed.split_whitespace().next().unwrap().to_owned()
}

#[tokio::test]
async fn a_quota_is_kept_and_told_in_every_dialect() {
    let installation = Installation::new();
    let mut command = without_workers(&installation);
    // A megabyte: the first upload of about 750 kB fits, the second does not.
    command.args(["--quota-gb", "0.001"]);
    let _server = installation.start_by(command);
    let client = up(&installation).await;
    assert_eq!(send(&client, noise(500)).await.0, StatusCode::OK);
    let (status, text) = send(&client, noise(500)).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{text}");
    assert!(text.contains("1000000 bytes") && text.contains("quota") && text.contains("delete"), "{text}");
    let uploads = fs::read_dir(installation.data().join("uploads")).unwrap().count();
    assert_eq!(uploads, 1, "what is refused is not stored");
    // What fits still fits, and so do tasks without pictures of their own.
    assert_eq!(send(&client, noise(200)).await.0, StatusCode::OK);
    let repeated = [("idempotency-key", "once".to_owned())];
    let first = client.request(Method::POST, TEXT_TO_IMAGE, &repeated, &task()).await.unwrap();
    assert_eq!(first.status, StatusCode::OK, "{first:?}");
    assert_eq!(send(&client, noise(250)).await.0, StatusCode::FORBIDDEN);

    // A task with a picture in it counts as well; each dialect says so in its own words.
    let inlined = format!("data:image/png;base64,{}", base64_of(&noise(500)));
    let wavespeed = client.post("/api/v3/wavespeed-ai/flux-redux-dev", &json!({"image": inlined})).await.unwrap();
    assert_eq!((wavespeed.status, &wavespeed.body["code"]), (StatusCode::FORBIDDEN, &json!(403)), "{wavespeed:?}");
    assert_eq!(wavespeed.body["error_code"], "storage_quota_exceeded");
    let fal = client.post("/queue/fal-ai/flux-pro/v1.1/redux", &json!({"image_url": inlined})).await.unwrap();
    assert_eq!(fal.status, StatusCode::FORBIDDEN, "{fal:?}");
    assert!(fal.body["detail"].as_str().unwrap().contains("quota"), "{fal:?}");
    let native =
        client.post("/v1/inference/black-forest-labs/FLUX-1-Redux-dev", &json!({"image": inlined})).await.unwrap();
    assert!(native.body["error"].as_str().is_some_and(|error| error.contains("quota")), "{native:?}");
    assert!(native.retry_after.is_none());
    // A repetition of what was accepted is no new request.
    let again = client.request(Method::POST, TEXT_TO_IMAGE, &repeated, &task()).await.unwrap();
    assert_eq!(again.body["data"]["id"], first.body["data"]["id"], "{again:?}");

    // Another key has a quota of its own.
    let other = String::from_utf8(keys(&installation, &["create"]).stdout).unwrap();
    let request = client.http.post(format!("http://{}/api/v3/wavespeed-ai/flux-redux-dev", installation.address));
    let body = json!({"image": inlined}).to_string();
    let accepted = request.bearer_auth(other.trim()).body(body).send().await.unwrap();
    assert_eq!(accepted.status(), StatusCode::OK);
}

fn base64_of(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The same command with a disk of 16 MiB in the place of the data folder, which only it sees; `None` where that is not
/// allowed.
fn with_small_disk(installation: &Installation, command: &Command) -> Option<Command> {
    fs::create_dir_all(installation.data()).unwrap();
    let mount = "mount -t tmpfs -o size=16m,mode=700 none \"$0\"";
    let inside = |script: String| {
        let mut inside = Command::new("unshare");
        inside.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).arg(installation.data());
        inside
    };
    if !inside(mount.to_owned()).output().is_ok_and(|output| output.status.success()) {
        println!("no disk of its own can be mounted here; nothing was tested");
        return None;
    }
    let mut limited = inside(format!("{mount} && exec \"$@\""));
    limited.arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        limited.env(name, value.unwrap());
    }
    Some(limited)
}

#[tokio::test]
async fn a_disk_that_is_nearly_full_heals_by_itself() {
    let installation = Installation::new();
    let Some(command) = with_small_disk(&installation, &installation.command()) else { return };
    let _server = installation.start_by(command);
    let client = up(&installation).await;
    client.ready().await;
    let id = submit_small(&client).await;
    wait_for(&installation, &client, &id, "completed").await;
    let mut stored = 0;
    let refused = loop {
        let answer = send_briefly(&client, noise(500), 5).await;
        if answer.status != StatusCode::OK {
            break answer;
        }
        stored += 1;
        assert!(stored < 40, "16 MiB hold no 40 pictures of 750 kB");
    };
    assert!(stored > 5, "{stored}");
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE, "{refused:?}");
    assert!(refused.retry_after.is_some(), "{refused:?}");
    // Small things are refused only below the floor, so fill up to it.
    let start = Instant::now();
    while send_briefly(&client, noise(60), 5).await.status == StatusCode::OK {
        assert!(start.elapsed() < PATIENCE);
    }
    let inlined = format!("data:image/png;base64,{}", base64_of(&noise(500)));
    let submit = client.post("/api/v3/wavespeed-ai/flux-redux-dev", &json!({"image": inlined})).await.unwrap();
    assert_eq!(submit.status, StatusCode::SERVICE_UNAVAILABLE, "{submit:?}");
    assert!(submit.retry_after.is_some() && submit.body["message"].as_str().unwrap().contains("disk"), "{submit:?}");
    // Below the floor, what makes room or takes rights away works.
    let deleted = client.post("/api/v3/predictions/delete", &json!({"ids": [id]})).await.unwrap();
    assert_eq!(deleted.status, StatusCode::OK, "{deleted:?}");
    assert_eq!(deleted.body["data"]["deleted_count"], 1, "{deleted:?}");

    // The uploads' time is over in five seconds; the sweep comes once a minute.
    let start = Instant::now();
    loop {
        let answer = send_briefly(&client, noise(500), 5).await;
        if answer.status == StatusCode::OK {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(150), "{answer:?}: {}", installation.log());
        // Real time: each try writes a file, so not as often as others look.
        sleep(Duration::from_millis(500)).await;
    }
    client.ready().await;
}

/// Waits for what `/readyz` says.
async fn ready_reason(client: &Client, wanted: Option<&str>) {
    eventually(PATIENCE, async || {
        let answer = client.get("/readyz").await.unwrap();
        let reason = answer.body["reason"].as_str();
        let expected = if wanted.is_some() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
        let is_so = reason == wanted && answer.status == expected;
        if is_so { Ok(()) } else { Err(format!("{wanted:?}: {answer:?}")) }
    })
    .await;
}

#[tokio::test]
async fn readiness_tells_of_a_database_that_cannot_be_written() {
    let installation = Installation::new();
    let _server = installation.start();
    let client = installation.client();
    client.ready().await;
    let database = installation.data().join("afterimage.sqlite");
    let aside = installation.data().join("aside");
    fs::rename(&database, &aside).unwrap();
    ready_reason(&client, Some("the database cannot be written")).await;
    fs::copy(&aside, &database).unwrap();
    ready_reason(&client, Some("the database cannot be written")).await;
    fs::rename(&aside, &database).unwrap();
    ready_reason(&client, None).await;
    let mark = installation.data().join("database-id");
    let id = fs::read(&mark).unwrap();
    fs::remove_file(&mark).unwrap();
    ready_reason(&client, Some("the storage folder was taken away")).await;
    fs::write(&mark, id).unwrap();
    ready_reason(&client, None).await;
}

/// A copy of the small dev model, for damaging.
fn copy_model(installation: &Installation) -> (String, String) {
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("../afterimage-engine/tests/parity/bundles/dev");
    let folder = installation.data().with_file_name("model");
    let status = Command::new("cp").arg("-r").arg(&bundle).arg(&folder).status().unwrap();
    assert!(status.success());
    let name = |part: &str| folder.join(part).to_str().unwrap().to_owned();
    (name("base"), name("redux"))
}

#[tokio::test]
async fn readiness_tells_of_weights_that_were_cut_off() {
    let installation = Installation::new();
    let (base, redux) = copy_model(&installation);
    let mut command = installation.command();
    command.args(["--base", &base, "--redux", &redux]);
    let _server = installation.start_by(command);
    let client = installation.client();
    client.ready().await;
    let weights = Path::new(&base).join("vae/diffusion_pytorch_model.safetensors");
    let whole = fs::read(&weights).unwrap();
    fs::File::options().write(true).open(&weights).unwrap().set_len(whole.len() as u64 / 2).unwrap();
    let id = submit_small(&client).await;
    ready_reason(&client, Some("no engine process can take a job")).await;
    fs::write(&weights, whole).unwrap();
    ready_reason(&client, None).await;
    let again = submit_small(&client).await;
    wait_for(&installation, &client, &again, "completed").await;
    let first = client.get(&format!("/api/v3/predictions/{id}")).await.unwrap();
    println!("the task that met the damage: {}", first.body["data"]["status"]);
}

#[tokio::test]
async fn a_storage_folder_has_one_server() {
    let first = Installation::new();
    let storage = first.data().with_file_name("storage");
    let with_storage = |installation: &Installation| {
        let mut command = without_workers(installation);
        command.arg("--storage-url").arg(format!("file:{}", storage.display()));
        command
    };
    let server = first.start_by(with_storage(&first));
    let client = up(&first).await;
    client.upload(&png()).await;
    let second = Installation::new();
    let refused = with_storage(&second).output().unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains(&*storage.to_string_lossy()) && text.contains("--storage-url"), "{text}");
    server.kill();
    // Alone it may work there, and says what it does not do.
    let _server = second.start_by(with_storage(&second));
    up(&second).await;
    assert!(second.whole_log().contains("files of another database"), "{}", second.log());
}

#[tokio::test]
async fn a_lock_file_that_was_removed_lets_nobody_in() {
    let first = Installation::new();
    let _server = first.start_by(without_workers(&first));
    up(&first).await;
    fs::remove_file(first.data().join("lock")).unwrap();
    let mut second = without_workers(&first);
    second.env("AFTERIMAGE_LISTEN", "127.0.0.1:0");
    let refused = second.output().unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("another server uses the database"), "{text}");
    // Nor does another name of the database in another folder.
    let elsewhere = first.data().with_file_name("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::hard_link(first.data().join("afterimage.sqlite"), elsewhere.join("other.sqlite")).unwrap();
    let mut third = without_workers(&Installation::new());
    third.arg("--database-url").arg(format!("sqlite:{}", elsewhere.join("other.sqlite").display()));
    let refused = third.output().unwrap();
    let text = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{text}");
    assert!(text.contains("another server uses the database"), "{text}");
}

#[tokio::test]
async fn files_are_private_in_a_folder_that_is_not() {
    let installation = Installation::new();
    let data = installation.data();
    fs::create_dir(&data).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o755)).unwrap();
    // What an earlier version left.
    fs::create_dir(data.join("results")).unwrap();
    fs::set_permissions(data.join("results"), fs::Permissions::from_mode(0o755)).unwrap();
    let command = installation.command();
    let mut open = Command::new("sh");
    open.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        open.env(name, value.unwrap());
    }
    let _server = installation.start_by(open);
    let client = installation.client();
    client.ready().await;
    client.upload(&png()).await;
    let id = submit_small(&client).await;
    wait_for(&installation, &client, &id, "completed").await;
    let mut seen = 0;
    let mut folders = vec![data.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, if path.is_dir() { 0o700 } else { 0o600 }, "{}", path.display());
            seen += 1;
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    assert!(seen > 8, "{seen}");
    assert!(installation.whole_log().contains("other users of this machine may enter"), "{}", installation.log());
}

#[tokio::test]
async fn deleted_text_is_in_no_file_after_the_stop() {
    const SECRET: &str = "a lighthouse that nobody may know of";
    let installation = Installation::new();
    let mut server = installation.start_by(without_workers(&installation));
    let client = up(&installation).await;
    let mut ids = Vec::new();
    for number in 0..20 {
        let prompt = SECRET.repeat(1 + number);
        let task = json!({"prompt": prompt, "seed": number});
        let answer = client.post(TEXT_TO_IMAGE, &task).await.unwrap();
        ids.push(answer.body["data"]["id"].as_str().unwrap().to_owned());
    }
    let deleted = client.post("/api/v3/predictions/delete", &json!({"ids": ids})).await.unwrap();
    assert_eq!(deleted.body["data"]["deleted_count"], 20, "{deleted:?}");
    server.signal("-TERM");
    assert!(server.ended(PATIENCE).await.success());
    for entry in fs::read_dir(installation.data()).unwrap() {
        let path = entry.unwrap().path();
        let bytes = if path.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let found = bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes());
        assert!(!found, "{}", path.display());
    }
}

#[tokio::test]
async fn a_revoked_key_takes_its_queue_and_its_tickets_with_it() {
    let installation = Installation::new();
    let _server = installation.start_by(without_workers(&installation));
    let client = up(&installation).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        let answer = client.post(TEXT_TO_IMAGE, &task()).await.unwrap();
        ids.push(answer.body["data"]["id"].as_str().unwrap().to_owned());
    }
    let ticket = client.post("/api/v3/media/uploads", &json!({"filename": "a.png"})).await.unwrap();
    let address = ticket.body["data"]["upload"]["url"].as_str().unwrap().to_owned();
    let id = first_key_id(&installation);
    let kept = keys(&installation, &["revoke", &id, "--keep-jobs"]);
    assert!(kept.status.success(), "{kept:?}");
    let sent = client.http.put(address).body(png()).send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::NOT_FOUND);
    // Known for a moment yet, but nothing is stored for it any more.
    let refused = client.post(TEXT_TO_IMAGE, &task()).await.unwrap();
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED, "{refused:?}");
    // What was kept can still be cancelled.
    let cancelled = keys(&installation, &["revoke", &id]);
    let text = String::from_utf8(cancelled.stdout).unwrap();
    assert!(cancelled.status.success() && text.contains("cancelled: 5"), "{text}");
    let nothing = keys(&installation, &["revoke", &id]);
    assert_eq!(nothing.status.code(), Some(2));
}
