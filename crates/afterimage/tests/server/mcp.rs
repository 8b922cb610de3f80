//! Assistants: the Model Context Protocol over HTTP. Clients of others speak it in `tests/sdk`.

use crate::isolation::{as_key, second_key};
use crate::scripted::{SEEN, Script, Scripted};
use crate::support::{KEY, REDUX, SRPO, Server, answer, data_uri, picture};
use crate::waiting::eventually;
use afterimage_core::OnFlag;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use insta::assert_snapshot;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

/// What a client says it takes.
const ACCEPTED: &str = "application/json, text/event-stream";

fn post(server: &Server, key: &str, message: &Value) -> RequestBuilder {
    let request = server.client.post(format!("{}/mcp", server.url)).bearer_auth(key).header("accept", ACCEPTED);
    request.body(message.to_string())
}

/// What the method comes to.
async fn asked(server: &Server, key: &str, method: &str, params: Value) -> Value {
    let message = json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params});
    let (status, body) = answer(post(server, key, &message).send().await.unwrap()).await;
    assert_eq!((status.as_u16(), &body["jsonrpc"], &body["id"]), (200, &json!("2.0"), &json!(7)), "{body}");
    body
}

/// The result of a tool.
async fn called(server: &Server, tool: &str, arguments: Value) -> Value {
    called_by(server, KEY, tool, arguments).await
}

async fn called_by(server: &Server, key: &str, tool: &str, arguments: Value) -> Value {
    asked(server, key, "tools/call", json!({"name": tool, "arguments": arguments})).await["result"].clone()
}

/// The text of a result that is as good, or as bad, as expected.
#[track_caller]
fn text(result: &Value, is_error: bool) -> &str {
    assert_eq!((&result["isError"], &result["content"][0]["type"]), (&json!(is_error), &json!("text")), "{result}");
    result["content"][0]["text"].as_str().unwrap()
}

/// The pictures in a result, of type `kind`.
fn pictures(result: &Value, kind: &str) -> Vec<Vec<u8>> {
    let content = result["content"].as_array().unwrap();
    let images = content.iter().filter(|item| item["type"] == "image");
    let bytes = |image: &Value| {
        assert_eq!(image["mimeType"], kind);
        STANDARD.decode(image["data"].as_str().unwrap()).unwrap()
    };
    images.map(bytes).collect()
}

/// The task that a text names.
fn task_in(text: &str) -> String {
    text.strip_prefix("Task ").and_then(|rest| rest.split(' ').next()).unwrap().to_owned()
}

fn small() -> Value {
    json!({
        "image": data_uri(&picture(64, 48)), "size": "256*256", "num_inference_steps": 2, "seed": 7, "num_images": 2,
        "output_format": "png",
    })
}

#[tokio::test]
async fn the_protocol_begins_and_tells_its_tools() {
    let server = Server::without_workers().await;
    let begin =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let begun = asked(&server, KEY, "initialize", begin).await["result"].clone();
    assert_eq!((&begun["protocolVersion"], &begun["serverInfo"]["name"]), (&json!("2025-06-18"), &json!("afterimage")));
    assert_eq!(begun["capabilities"], json!({"tools": {}}));
    assert!(begun["instructions"].as_str().unwrap().contains("watch_task"), "{begun}");
    let noted = post(&server, KEY, &json!({"jsonrpc": "2.0", "method": "notifications/initialized"}));
    assert_eq!(noted.send().await.unwrap().status(), 202);
    assert_eq!(asked(&server, KEY, "ping", json!({})).await["result"], json!({}));
    let tools = asked(&server, KEY, "tools/list", json!({})).await["result"]["tools"].clone();
    assert_snapshot!(serde_json::to_string_pretty(&tools).unwrap());

    // The version without a beginning: each message says everything.
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {},
        "io.modelcontextprotocol/clientInfo": {"name": "t", "version": "1"},
    });
    let modern = async |method: &str, name: Option<&str>, mut params: Value| {
        params["_meta"] = meta.clone();
        let message = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let mut request = post(&server, KEY, &message).header("mcp-protocol-version", "2026-07-28");
        request = request.header("mcp-method", method);
        if let Some(name) = name {
            request = request.header("mcp-name", name);
        }
        answer(request.send().await.unwrap()).await
    };
    let (status, found) = modern("server/discover", None, json!({})).await;
    assert_eq!(status, 200, "{found}");
    assert!(found["result"]["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")), "{found}");
    let params = json!({"name": "list_tasks", "arguments": {}});
    let (status, listed) = modern("tools/call", Some("list_tasks"), params).await;
    assert_eq!(status, 200, "{listed}");
    assert_eq!(text(&listed["result"], false), "There are no such tasks.");
}

#[tokio::test]
async fn pictures_are_made_shown_and_found_again() {
    let server = Server::with_worker().await;
    let made = called(&server, "vary_picture", small()).await;
    let told = text(&made, false);
    assert!(told.contains("is completed: 2 pictures of 256x256, seed 7, ") && told.contains("none flagged"), "{told}");
    let shown = pictures(&made, "image/png");
    assert_eq!(shown.len(), 2);
    assert_eq!(image::load_from_memory(&shown[0]).unwrap().into_rgb8().dimensions(), (256, 256));

    // It is a task as any other, and the same request makes the same pictures there.
    let task = server.ended(&task_in(told)).await;
    let mut input = small();
    input["image"] = task["input"]["image"].clone();
    assert_eq!((&task["status"], &task["input"]), (&json!("completed"), &input));
    for (index, (output, shown)) in task["outputs"].as_array().unwrap().iter().zip(&shown).enumerate() {
        assert!(told.contains(&format!("\nPicture {}: {}", index + 1, output.as_str().unwrap())), "{told}");
        let stored = server.client.get(output.as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
        assert_eq!(stored, shown);
    }
    let other = server.ended(&server.submit(REDUX, &small()).await).await;
    let file =
        async |url: &Value| server.client.get(url.as_str().unwrap()).send().await.unwrap().bytes().await.unwrap();
    let pixels = |bytes: &[u8]| image::load_from_memory(bytes).unwrap();
    assert_eq!(pixels(&file(&other["outputs"][1]).await), pixels(&shown[1]));

    // A link is the picture of the next call; nobody waits for that one at first.
    let reshape = json!({
        "image": task["outputs"][0], "prompt": "a lake", "num_inference_steps": 2, "wait_seconds": 0, "pictures": "links",
    });
    let begun = called(&server, "reshape_picture", reshape).await;
    assert!(text(&begun, false).contains("watch_task"), "{begun}");
    let id = task_in(text(&begun, false));
    let watched = called(&server, "watch_task", json!({"task_id": id, "pictures": "content"})).await;
    let told = text(&watched, false);
    assert!(told.contains("1 picture of 256x256") && !told.contains("/media/"), "{told}");
    assert_eq!(pictures(&watched, "image/jpeg").len(), 1);
    let linked = called(&server, "watch_task", json!({"task_id": id, "pictures": "links"})).await;
    assert!(text(&linked, false).contains("\nPicture 1: http") && pictures(&linked, "image/jpeg").is_empty());
    let listed = called(&server, "list_tasks", json!({"status": "completed"})).await;
    let lines: Vec<&str> = text(&listed, false).lines().collect();
    assert_eq!(lines[0], "There are 3 tasks, newest first:");
    assert!(lines[1].starts_with(&format!("{id}: completed, wavespeed-ai/flux-srpo/image-to-image, 20")), "{lines:?}");
    assert!(lines[1].ends_with(", \"a lake\""), "{lines:?}");
}

#[tokio::test]
async fn what_is_flagged_is_said_and_withheld() {
    let engines = Scripted::default();
    let server = Server::start(|options| {
        options.workers = 1;
        options.engines = Arc::new(engines.clone());
    })
    .await;
    let script = Script::new(OnFlag::Withhold, &[Some(false), Some(true)]);
    let arguments = json!({"prompt": script.prompt(), "num_images": 2, "output_format": "png"});
    let made = called(&server, "reshape_picture", arguments).await;
    assert!(text(&made, false).contains("flagged by the safety checker and withheld: 2."), "{made}");
    assert_eq!(pictures(&made, "image/png")[0], SEEN);
    let rejected = Script { rejects_input: true, ..Script::new(OnFlag::Withhold, &[None]) };
    let failed = called(&server, "reshape_picture", json!({"prompt": rejected.prompt()})).await;
    assert!(text(&failed, true).contains(" failed: image: rejected by the safety checker"), "{failed}");
    // Repeated with the same key it is the same task, which is not made again.
    let ran = engines.ran();
    let repeated = async |id: u32, seed: u32| {
        let params =
            json!({"name": "reshape_picture", "arguments": {"prompt": script.prompt(), "num_images": 2, "seed": seed}});
        let message = json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params});
        let request = post(&server, KEY, &message).header("idempotency-key", "k");
        answer(request.send().await.unwrap()).await.1["result"].clone()
    };
    let (first, second) = (repeated(1, 1).await, repeated(2, 1).await);
    assert_eq!(task_in(text(&first, false)), task_in(text(&second, false)));
    assert_eq!(engines.ran(), ran + 1);
    assert!(text(&repeated(3, 2).await, true).contains("idempotency key"));
}

#[tokio::test]
async fn what_is_wrong_is_said_as_everywhere() {
    let server = Server::without_workers().await;
    for (tool, model, fields) in [
        ("vary_picture", REDUX, json!({})),
        ("vary_picture", REDUX, json!({"image": "nonsense"})),
        ("vary_picture", REDUX, json!({"image": "http://127.0.0.1/x.png"})),
        ("vary_picture", REDUX, json!({"image": data_uri(&picture(32, 32)), "size": "10*10"})),
        ("vary_picture", REDUX, json!({"image": data_uri(&picture(32, 32)), "loras": [{"path": "none"}]})),
        ("vary_picture", REDUX, json!({"image": data_uri(&picture(32, 32)), "images": [7]})),
        ("reshape_picture", SRPO, json!({"image": data_uri(&picture(32, 32))})),
        ("reshape_picture", SRPO, json!({"prompt": "p", "strength": 2})),
    ] {
        let (status, refused) = server.post(model, &fields).await;
        assert_eq!(status, 400, "{refused}");
        assert_eq!(text(&called(&server, tool, fields).await, true), refused["message"].as_str().unwrap());
    }
    for (tool, fields, expected) in [
        ("watch_task", json!({}), "task_id: missing; a text is required"),
        (
            "watch_task",
            json!({"task_id": "x", "wait_seconds": 601}),
            "wait_seconds: 601 is out of range; expected a whole number from 0 to 600",
        ),
        ("watch_task", json!({"task_id": "x"}), "no such task"),
        ("cancel_task", json!({"task_id": 7}), "task_id: is a number; expected a text"),
        (
            "list_tasks",
            json!({"status": "done"}),
            "status: expected created, processing, completed, failed or cancelled",
        ),
        (
            "vary_picture",
            json!({"image": "x", "pictures": "none"}),
            "pictures: \"none\" is out of range; expected one of both, content, links",
        ),
    ] {
        assert_eq!(text(&called(&server, tool, fields).await, true), expected);
    }
    assert_eq!(server.post("/api/v3/predictions", &json!({})).await.1["data"]["total"], 0, "nothing was stored");
    let unknown = asked(&server, KEY, "tools/call", json!({"name": "inpaint", "arguments": {}})).await;
    assert_eq!(unknown["error"]["code"], -32602);
    assert!(unknown["error"]["message"].as_str().unwrap().contains("there are vary_picture, "), "{unknown}");
    assert_eq!(asked(&server, KEY, "resources/read", json!({"uri": "x"})).await["error"]["code"], -32601);
}

#[tokio::test]
async fn a_key_sees_and_stops_its_own_tasks_only() {
    let server = Server::without_workers().await;
    let stranger = second_key(&server).await;
    let mut arguments = small();
    arguments["wait_seconds"] = json!(0);
    let begun = called(&server, "vary_picture", arguments).await;
    let id = task_in(text(&begun, false));
    assert!(text(&begun, false).contains("waits: it is the next"), "{begun}");
    for tool in ["watch_task", "cancel_task"] {
        let nobodys = json!({"task_id": "b1946ac9-2492-4347-9c6f-235b7d261965"});
        let expected = called_by(&server, &stranger, tool, nobodys).await;
        assert_eq!(called_by(&server, &stranger, tool, json!({"task_id": id})).await, expected);
        assert_eq!(text(&expected, true), "no such task");
    }
    let listed = called_by(&server, &stranger, "list_tasks", json!({})).await;
    assert_eq!(text(&listed, false), "There are no such tasks.");
    let watched = called(&server, "watch_task", json!({"task_id": id, "wait_seconds": 0})).await;
    assert!(text(&watched, false).contains("waits: it is the next"), "{watched}");
    for _ in 0..2 {
        let stopped = called(&server, "cancel_task", json!({"task_id": id})).await;
        assert_eq!(text(&stopped, false), format!("Task {id} was cancelled."));
    }
    server.post("/api/v3/predictions/delete", &json!({"ids": [id]})).await;
    let gone = called(&server, "watch_task", json!({"task_id": id})).await;
    assert_eq!(text(&gone, true), "this task was deleted");
}

#[tokio::test]
async fn nobody_comes_in_without_a_key_and_nothing_too_large() {
    let server = Server::without_workers().await;
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    for key in ["", "wrong"] {
        let refused = post(&server, key, &ping).send().await.unwrap();
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()["www-authenticate"]),
            (401, &"Bearer".parse().unwrap())
        );
        assert!(answer(refused).await.1["error"]["message"].as_str().unwrap().contains("key"));
    }
    let by_scheme = server.client.post(format!("{}/mcp", server.url)).header("authorization", format!("Key {KEY}"));
    assert_eq!(by_scheme.header("accept", ACCEPTED).body(ping.to_string()).send().await.unwrap().status(), 200);
    // Pages of other sites may ask, if they have a key; names of hosts do not matter.
    let elsewhere =
        post(&server, KEY, &ping).header("origin", "https://page.example").header("host", "pictures.example");
    assert_eq!(elsewhere.send().await.unwrap().status(), 200);
    for method in [Method::GET, Method::DELETE] {
        let refused = server.request(method, "/mcp").header("accept", ACCEPTED).send().await.unwrap();
        assert_eq!((refused.status().as_u16(), refused.headers()["allow"].to_str().unwrap()), (405, "POST"));
    }
    let sent = async |body: Vec<u8>, coding: &str, accept: &str| {
        let request = server.request(Method::POST, "/mcp").header("accept", accept).header("content-encoding", coding);
        let (status, body) = answer(request.body(body).send().await.unwrap()).await;
        assert_eq!(body["jsonrpc"], "2.0", "{body}");
        (status.as_u16(), body["error"]["code"].as_i64().unwrap())
    };
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&vec![b' '; (80 << 20) + 1]).unwrap();
    assert_eq!(sent(packed.finish().unwrap(), "gzip", ACCEPTED).await, (413, -32600));
    for (body, expected) in [
        ("", (400, -32600)),
        ("nonsense", (400, -32700)),
        ("[]", (400, -32700)),
        ("{}", (400, -32600)),
        (r#"{"jsonrpc": "1.0", "id": 1, "method": "ping"}"#, (400, -32600)),
        (
            r#"{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "x", "arguments": 7}}"#,
            (400, -32700),
        ),
        (r#"{"jsonrpc": "2.0", "id": 1, "result": {}}"#, (400, -32600)),
    ] {
        assert_eq!(sent(body.as_bytes().to_vec(), "identity", ACCEPTED).await, expected, "{body}");
    }
    assert_eq!(sent(ping.to_string().into_bytes(), "identity", "application/json").await, (406, -32600));
    let large = json!({"jsonrpc": "2.0", "id": 1, "method": "ping", "params": {"x": "x".repeat(1 << 20)}});
    assert_eq!(sent(large.to_string().into_bytes(), "identity", ACCEPTED).await.0, 413);
}

#[tokio::test]
async fn who_wants_to_hear_of_progress_does() {
    let server = Server::with_worker().await;
    let mut arguments = small();
    arguments["num_inference_steps"] = json!(8);
    let params = json!({"name": "vary_picture", "arguments": arguments, "_meta": {"progressToken": "t"}});
    let message = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
    let response = post(&server, KEY, &message).send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let stream = response.text().await.unwrap();
    let data =
        stream.lines().filter_map(|line| line.strip_prefix("data:")).map(str::trim).filter(|data| !data.is_empty());
    let mut messages: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    let last = messages.pop().unwrap();
    assert_eq!((&last["id"], pictures(&last["result"], "image/png").len()), (&json!(7), 2), "{last}");
    let (mut before, mut steps) = (0.0, 0);
    for message in &messages {
        let params = &message["params"];
        assert_eq!((&message["method"], &params["progressToken"]), (&json!("notifications/progress"), &json!("t")));
        let progress = params["progress"].as_f64().unwrap();
        assert!(progress > before, "{messages:?}");
        before = progress;
        if params["message"].as_str().unwrap().starts_with("step ") {
            steps += 1;
            assert_eq!(params["total"], 8.0);
        }
    }
    assert!(messages[0]["params"]["message"].as_str().unwrap().starts_with("task "), "{messages:?}");
    assert!(steps > 0, "{messages:?}");
}

#[tokio::test]
async fn who_hangs_up_cancels() {
    let server = Server::without_workers().await;
    let other = second_key(&server).await;
    for meta in [json!({}), json!({"progressToken": 1})] {
        let params = json!({"name": "vary_picture", "arguments": small(), "_meta": meta});
        let message = json!({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params});
        let request = post(&server, &other, &message);
        let waiting = tokio::spawn(async move { request.send().await.unwrap().text().await });
        let statuses = async || {
            let (_, list) = as_key(&server, &other, Method::POST, "/api/v3/predictions", &json!({})).await;
            let items = list["data"]["items"].as_array().unwrap().clone();
            items.iter().map(|item| item["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let patience = Duration::from_secs(20);
        let is = async |wanted: &str| {
            let seen = statuses().await;
            if seen.first().is_some_and(|first| first == wanted) { Ok(()) } else { Err(format!("{seen:?}")) }
        };
        eventually(patience, async || is("created").await).await;
        waiting.abort();
        eventually(patience, async || is("cancelled").await).await;
    }
}
