//! Lines in and out, with several requests under way at once.

use super::bridge::Bridge;
use super::client_line::{ClientLine, NO_ANSWER, error_line};
use std::collections::HashMap;
use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// Lines that wait to be worked on, and to be written.
const WAITING_LINES: usize = 16;

/// What is under way when the input ends may take so long; whoever asked has gone by then, or was a pipe.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Carries lines of `input` to the server and its answers to `output`, until either ends.
pub async fn carry(bridge: Bridge, input: impl BufRead + Send + 'static, output: impl Write + Send + 'static) {
    let (to_read, mut read) = channel(WAITING_LINES);
    let (answers, to_write) = channel(WAITING_LINES);
    // Threads, not the runtime's: a read that waits cannot be given up, and must not keep the program from ending.
    thread::spawn(move || read_lines(input, &to_read));
    let writing = thread::spawn(move || write_lines(output, to_write));
    let bridge = Arc::new(bridge);
    let mut open = OpenRequests::default();
    loop {
        tokio::select! {
            line = read.recv() => match line {
                Some(line) => open.take(&bridge, line, &answers).await,
                None => break,
            },
            Some(done) = open.tasks.join_next() => open.forget(done.ok().flatten()),
            () = answers.closed() => return,
        }
    }
    let last = async {
        while let Some(done) = open.tasks.join_next().await {
            open.forget(done.ok().flatten());
        }
    };
    let _ = timeout(LAST_ANSWERS, last).await;
    for answer in open.given_up() {
        let _ = answers.send(answer).await;
    }
    drop((open, answers));
    let _ = tokio::task::spawn_blocking(|| writing.join()).await;
}

fn read_lines(mut input: impl BufRead, lines: &Sender<Vec<u8>>) {
    let mut line = Vec::new();
    while let Ok(1..) = input.read_until(b'\n', &mut line) {
        if lines.blocking_send(std::mem::take(&mut line)).is_err() {
            return;
        }
    }
}

fn write_lines(mut output: impl Write, mut lines: Receiver<Vec<u8>>) {
    let mut write = |mut line: Vec<u8>| -> io::Result<()> {
        line.push(b'\n');
        output.write_all(&line)?;
        output.flush()
    };
    while let Some(line) = lines.blocking_recv() {
        if write(line).is_err() {
            // The reader has gone.
            return;
        }
    }
}

/// Requests that are not answered yet, by their ids as text.
#[derive(Default)]
struct OpenRequests {
    tasks: JoinSet<Option<String>>,
    requests: HashMap<String, AbortHandle>,
}

impl OpenRequests {
    /// Begins what `line` asks for.
    async fn take(&mut self, bridge: &Arc<Bridge>, line: Vec<u8>, answers: &Sender<Vec<u8>>) {
        let bridge = Arc::clone(bridge);
        match ClientLine::read(line) {
            Some(ClientLine::Request(id, outgoing)) => {
                let (name, answers) = (id.to_string(), answers.clone());
                let asking = async move {
                    bridge.ask(&id, outgoing, &answers).await;
                    Some(id.to_string())
                };
                let task = self.tasks.spawn(asking);
                self.requests.insert(name, task);
            }
            Some(ClientLine::Notification(outgoing)) => {
                self.tasks.spawn(async move {
                    bridge.notify(outgoing).await;
                    None
                });
            }
            // The server takes a connection that closes for the same.
            Some(ClientLine::Cancelled(id)) => {
                if let Some(task) = self.requests.remove(&id.to_string()) {
                    task.abort();
                }
            }
            Some(ClientLine::Unreadable(answer)) => {
                let _ = answers.send(answer).await;
            }
            Some(ClientLine::Answer) | None => {}
        }
    }

    /// What to answer to the requests that are still open when nobody waits any longer.
    fn given_up(&self) -> Vec<Vec<u8>> {
        let ids = self.requests.keys().filter_map(|id| serde_json::from_str(id).ok());
        ids.map(|id| error_line(&id, NO_ANSWER, "the input ended before there was an answer")).collect()
    }

    /// Notes that a task is done, which may have been about a request.
    fn forget(&mut self, request: Option<String>) {
        if let Some(id) = request {
            self.requests.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture_folders::PictureFolders;
    use super::*;
    use serde_json::{Value, json};
    use std::io::Cursor;
    use std::net::TcpListener;
    use std::sync::Mutex;

    /// What was written.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn without_a_server_requests_are_told_so_and_nothing_else_is() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let input = "{\"id\": 1, \"method\": \"initialize\"}\n\n{\"method\": \"notifications/initialized\"}\r\nnonsense\n\
                     {\"id\": \"b\", \"method\": \"tools/list\"}";
        let written = Written::default();
        let bridge = Bridge::new(&url.parse().unwrap(), None, PictureFolders::default()).unwrap();
        carry(bridge, Cursor::new(input), written.clone()).await;
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let mut answers: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        answers.sort_by_key(|answer| answer["id"].to_string());
        let ids: Vec<&Value> = answers.iter().map(|answer| &answer["id"]).collect();
        assert_eq!(ids, [&json!("b"), &json!(1), &Value::Null]);
        for answer in &answers[..2] {
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.contains(&url) && message.contains("`afterimage serve`"), "{message}");
        }
        assert_eq!(answers[2]["error"]["code"], -32700);
    }
}
