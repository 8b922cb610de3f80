//! What must not be in the log, however much of it is asked for.

use crate::requests::{up, without_workers};
use crate::server::{Installation, KEY, PATIENCE, png};
use crate::waiting::eventually;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

/// Words that every secret below is made of.
const SECRET: &str = "hunter2";

#[tokio::test]
async fn keys_tokens_signatures_and_queries_are_not_logged() {
    let installation = Installation::new();
    let mut command = without_workers(&installation);
    command.env("RUST_LOG", "debug");
    let server = installation.start_by(command);
    let client = up(&installation).await;
    let base = format!("http://{}", installation.address);
    let picture = format!("data:image/png;base64,{}", STANDARD.encode(png()));
    let hook = format!("http://127.0.0.1:9/{SECRET}?token={SECRET}");
    let body = json!({
        "image_url": picture, "image": picture, "prompt": format!("the password is {SECRET}"),
        "webhook": hook, "webhook_url": hook,
    });
    let mut secrets = vec![SECRET.to_owned(), KEY.to_owned(), STANDARD.encode(png())];
    for (path, header) in [
        (format!("/queue/fal-ai/flux-pro/v1.1/redux?fal_webhook={hook}&fal_jwt_token={SECRET}"), "x-fal-runner-hint"),
        ("/v1/inference/black-forest-labs/FLUX-1-Redux-dev".to_owned(), "cookie"),
        ("/api/v3/wavespeed-ai/flux-redux-pro".to_owned(), "x-client-name"),
        ("/api/fal/proxy".to_owned(), "x-fal-target-url"),
        ("/storage/upload/initiate".to_owned(), "x-fal-media-fallback"),
    ] {
        for key in [KEY.to_owned(), format!("wrong-{SECRET}")] {
            let value = match header {
                "x-fal-target-url" => format!("https://queue.fal.run/fal-ai/flux-1/dev/redux?fal_webhook={hook}"),
                _ => SECRET.to_owned(),
            };
            let request = client.http.post(format!("{base}{path}")).bearer_auth(key).header(header, value);
            let answer = request.body(body.to_string()).send().await.unwrap();
            let status = answer.status().as_u16();
            let text = answer.text().await.unwrap();
            assert!([200, 401].contains(&status), "{path}: {status} {text}");
            // Signatures of the addresses that the answer holds, for a request of those.
            for signature in text.split("signature=").skip(1) {
                secrets
                    .push(signature.chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect());
            }
            for address in text.split('"').filter(|text| text.starts_with("http") && text.contains("signature=")) {
                client.http.get(address).send().await.unwrap();
                client.http.put(address).body(png()).send().await.unwrap();
            }
        }
    }
    // Assistants: what a tool is called with and answers, and whatever else may stand in their messages.
    let arguments = json!({"image": picture, "prompt": format!("the password is {SECRET}"), "wait_seconds": 0});
    for (method, params) in [
        ("tools/call", json!({"name": "vary_picture", "arguments": arguments, "_meta": {"progressToken": SECRET}})),
        ("tools/call", json!({"name": "list_tasks"})),
        ("tools/call", json!({"name": SECRET})),
        (SECRET, json!({})),
    ] {
        let message = json!({"jsonrpc": "2.0", "id": SECRET, "method": method, "params": params}).to_string();
        let request = client.http.post(format!("{base}/mcp")).bearer_auth(KEY).body(message);
        let answer = request.header("accept", "application/json, text/event-stream").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.text().await.unwrap().contains(SECRET), "{method} {params}");
    }
    let token =
        client.post("/storage/auth/token", &json!({})).await.unwrap().body["token"].as_str().unwrap().to_owned();
    let sent = client.http.post(format!("{base}/files/upload")).bearer_auth(&token).body(png()).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    secrets.push(token);
    assert!(secrets.len() > 5, "{secrets:?}");
    let log = installation.whole_log();
    assert!(log.matches("answered").count() > 10, "{log}");
    for secret in secrets {
        assert!(!log.contains(&secret), "{secret} is in the log");
    }
    // Nor in what other users of the machine see of the process.
    let arguments = std::fs::read_to_string(format!("/proc/{}/cmdline", server.pid())).unwrap();
    assert!(!arguments.contains(KEY), "{arguments}");
}

/// What checkers said can be accounted for by the log, which tells nothing of what was asked for or made.
#[tokio::test]
async fn a_check_is_logged_without_picture_prompt_or_key() {
    let installation = Installation::new();
    let mut command = installation.command();
    command.args(["--safety-threshold", "0", "--log-format", "json"]);
    let _server = installation.start_by(command);
    let client = up(&installation).await;
    client.ready().await;
    let picture = STANDARD.encode(png());
    let body = json!({
        "image": format!("data:image/png;base64,{picture}"), "prompt": SECRET, "size": "256*256",
        "num_inference_steps": 1, "num_images": 2, "enable_sync_mode": true,
    });
    let made = client.post("/api/v3/wavespeed-ai/flux-redux-pro", &body).await.unwrap();
    assert_eq!(made.body["data"]["has_nsfw_contents"], json!([true, true]), "{}", made.body);
    let id = made.body["data"]["id"].as_str().unwrap();
    // It is written right after the end can be read.
    let line = eventually(PATIENCE, async || {
        let log = installation.whole_log();
        let line = log.lines().find(|line| line.contains("pictures checked")).map(str::to_owned);
        line.ok_or(log)
    })
    .await;
    for told in [id, "\"flagged\":2", "\"checked\":2", "scores", "open_nsfw", "\"key\":", "\"model\":\"default\""] {
        assert!(line.contains(told), "{told} is not in {line}");
    }
    let log = installation.whole_log();
    for secret in [SECRET, KEY, &picture] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
