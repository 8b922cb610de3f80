//! Assistants that start the program: `afterimage mcp`, which carries lines to a server.

use crate::support::{KEY, Server, data_uri, picture};
use serde_json::{Value, json};
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// Longest wait for a line, and for the end.
const PATIENCE: Duration = Duration::from_mins(1);

/// The program, as an assistant has it.
struct Program {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Program {
    fn start(url: &str, key: &str) -> Self {
        Self::start_with(url, key, &[])
    }

    fn start_with(url: &str, key: &str, more: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_afterimage"));
        command.args(["mcp", "--url", url]).args(more).env("AFTERIMAGE_API_KEY", key).kill_on_drop(true);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, input, output: BufReader::new(output).lines() }
    }

    async fn write(&mut self, message: Value) {
        self.input.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn request(&mut self, id: u32, method: &str, params: Value) {
        self.write(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})).await;
    }

    async fn call(&mut self, id: u32, tool: &str, arguments: Value) {
        self.request(id, "tools/call", json!({"name": tool, "arguments": arguments})).await;
    }

    async fn read(&mut self) -> Value {
        let line = timeout(PATIENCE, self.output.next_line()).await.expect("a line").unwrap().expect("no end");
        serde_json::from_str(&line).unwrap_or_else(|_| panic!("{line:?}"))
    }

    /// Ends the input; whatever else is written, and the exit code.
    async fn end(mut self) -> (Vec<String>, Option<i32>) {
        drop(self.input);
        let mut lines = Vec::new();
        while let Some(line) = timeout(PATIENCE, self.output.next_line()).await.expect("an end").unwrap() {
            lines.push(line);
        }
        (lines, timeout(PATIENCE, self.child.wait()).await.expect("an end").unwrap().code())
    }
}

#[tokio::test]
async fn lines_are_carried_to_a_server_and_back() {
    let server = Server::with_worker().await;
    let mut program = Program::start(&server.url, KEY);
    let begin =
        json!({"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    program.request(1, "initialize", begin).await;
    assert_eq!(program.read().await["result"]["protocolVersion"], "2025-06-18");
    program.write(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    program.request(2, "tools/list", json!({})).await;
    assert_eq!(program.read().await["result"]["tools"].as_array().unwrap().len(), 5);
    let arguments = json!({"image": data_uri(&picture(64, 48)), "size": "256*256", "num_inference_steps": 2});
    let params = json!({"name": "vary_picture", "arguments": arguments, "_meta": {"progressToken": 5}});
    program.request(3, "tools/call", params).await;
    let mut notes = 0;
    let made = loop {
        let message = program.read().await;
        if message["method"].is_null() {
            break message;
        }
        assert_eq!(message["method"], "notifications/progress");
        notes += 1;
    };
    assert_eq!((&made["id"], &made["result"]["content"][1]["type"]), (&json!(3), &json!("image")), "{made}");
    assert!(notes > 0);
    assert_eq!(program.end().await, (Vec::new(), Some(0)));
}

#[tokio::test]
async fn files_are_read_below_the_folders_that_are_allowed() {
    let server = Server::with_worker().await;
    let place = tempfile::tempdir().unwrap();
    let (allowed, secret) = (place.path().join("pictures"), place.path().join("secret.png"));
    std::fs::create_dir(&allowed).unwrap();
    for file in [&allowed.join("lake.png"), &secret] {
        std::fs::write(file, picture(64, 48)).unwrap();
    }
    let mut program = Program::start_with(&server.url, KEY, &["--allow-folder", allowed.to_str().unwrap()]);
    program.request(1, "tools/list", json!({})).await;
    let listed = program.read().await;
    let description = listed["result"]["tools"][0]["description"].as_str().unwrap();
    assert!(description.contains(" full path of a file below "), "{description}");

    let settings = json!({"size": "256*256", "num_inference_steps": 2});
    let of = |path: &std::path::Path| {
        let mut arguments = settings.clone();
        arguments["image"] = json!(path);
        arguments
    };
    program.call(2, "vary_picture", of(&allowed.join("lake.png"))).await;
    let made = program.read().await;
    assert_eq!(made["result"]["content"][1]["type"], "image", "{made}");

    program.call(3, "vary_picture", of(&secret)).await;
    let refused = program.read().await;
    assert_eq!((&refused["id"], &refused["result"]["isError"]), (&json!(3), &json!(true)), "{refused}");
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.starts_with("image: no such file in "), "{text}");
    assert_eq!(program.end().await, (Vec::new(), Some(0)));

    let mut program = Program::start(&server.url, KEY);
    program.call(4, "vary_picture", of(&allowed.join("lake.png"))).await;
    let refused = program.read().await;
    let text = refused["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains("--allow-folder"), "{text}");
}

#[tokio::test]
async fn requests_wait_beside_each_other_and_can_be_given_up() {
    let server = Server::without_workers().await;
    let mut program = Program::start(&server.url, KEY);
    let arguments = json!({"prompt": "a lake"});
    program.call(1, "reshape_picture", arguments.clone()).await;
    // The first waits; the second is answered. As soon as the first is there, it is given up.
    let listed = loop {
        program.call(2, "list_tasks", json!({"status": "created"})).await;
        let listed = program.read().await;
        assert_eq!(listed["id"], 2, "{listed}");
        if listed["result"]["content"][0]["text"].as_str().unwrap().starts_with("There is 1 task:") {
            break listed["result"]["content"][0]["text"].as_str().unwrap().to_owned();
        }
    };
    let id = listed.lines().nth(1).unwrap().split(':').next().unwrap().to_owned();
    let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    program.write(cancelled).await;
    program.call(3, "watch_task", json!({"task_id": id})).await;
    let watched = program.read().await;
    assert_eq!(watched["result"]["content"][0]["text"], format!("Task {id} was cancelled."), "{watched}");
    // What is under way when the input ends is given up soon.
    program.call(4, "reshape_picture", arguments).await;
    program.call(5, "list_tasks", json!({})).await;
    assert_eq!(program.read().await["id"], 5);
    let (lines, code) = program.end().await;
    let [line] = &lines[..] else { panic!("{lines:?}") };
    let given_up: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&given_up["id"], code), (&json!(4), Some(0)), "{given_up}");
    assert!(given_up["error"]["message"].as_str().unwrap().contains("input ended"), "{given_up}");
}

#[tokio::test]
async fn what_the_server_refuses_is_answered_under_the_requests_id() {
    let server = Server::without_workers().await;
    let mut program = Program::start(&server.url, "wrong-key");
    program.request(1, "tools/list", json!({})).await;
    let refused = program.read().await;
    assert_eq!(refused["id"], 1);
    let message = refused["error"]["message"].as_str().unwrap();
    assert!(message.contains("unknown key") && message.contains("AFTERIMAGE_API_KEY"), "{message}");
    let mut elsewhere = Program::start(&format!("{}/docs", server.url), KEY);
    elsewhere.request(2, "ping", json!({})).await;
    let refused = elsewhere.read().await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("status 404"), "{refused}");
    for program in [program, elsewhere] {
        assert_eq!(program.end().await.1, Some(0));
    }
}
