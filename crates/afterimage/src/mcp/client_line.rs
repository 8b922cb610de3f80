//! What an assistant writes, one JSON-RPC message a line: only what it takes to carry it on is read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};
use std::borrow::Cow;

/// JSON-RPC's code for a text that cannot be read.
const UNREADABLE: i32 = -32700;

/// JSON-RPC's code for JSON that is no message.
const NO_MESSAGE: i32 = -32600;

/// The first of JSON-RPC's codes for errors of a program's own: the server did not answer.
pub const NO_ANSWER: i32 = -32000;

/// A line of an assistant.
#[derive(Debug)]
pub enum ClientLine {
    /// To be answered under its id.
    Request(Value, Outgoing),
    /// To be carried on without an answer.
    Notification(Outgoing),
    /// The answer to the request with this id is not wanted any more.
    Cancelled(Value),
    /// An answer to the server, which never asks anything.
    Answer,
    /// No message; the line to answer with.
    Unreadable(Vec<u8>),
}

/// A message on its way to the server, and what headers say of it.
#[derive(Debug)]
pub struct Outgoing {
    /// The message.
    pub text: Vec<u8>,
    /// Its method.
    pub method: String,
    /// What the method is about, where there is such a thing: the name of a tool.
    pub name: Option<String>,
    /// The protocol's version, where the message says which it follows.
    pub version: Option<String>,
}

#[derive(Deserialize)]
struct LineMessage {
    id: Option<Value>,
    method: Option<String>,
    params: Option<LineParams>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LineParams {
    name: Option<Value>,
    uri: Option<Value>,
    task_id: Option<Value>,
    request_id: Option<Value>,
    #[serde(rename = "_meta")]
    meta: Option<LineMeta>,
}

#[derive(Deserialize)]
struct LineMeta {
    #[serde(rename = "io.modelcontextprotocol/protocolVersion")]
    protocol_version: Option<Value>,
}

impl ClientLine {
    /// Reads a line without its end; `None` for an empty one.
    pub fn read(text: Vec<u8>) -> Option<Self> {
        if text.trim_ascii().is_empty() {
            return None;
        }
        let message: LineMessage = match serde_json::from_slice(&text) {
            Ok(message) => message,
            Err(error) => {
                // What serde says of other JSON is in this program's own words.
                let (code, problem) = if error.is_data() {
                    (
                        NO_MESSAGE,
                        "expected an object with `method`, `params` and `id`; lists of messages are not taken"
                            .to_owned(),
                    )
                } else {
                    (UNREADABLE, error.to_string())
                };
                let message = format!("this line is no JSON-RPC message: {problem}");
                return Some(Self::Unreadable(error_line(&Value::Null, code, &message)));
            }
        };
        let LineMessage { id, method, params } = message;
        let Some(method) = method else { return Some(Self::Answer) };
        let params = params.unwrap_or_default();
        if method == "notifications/cancelled"
            && let Some(id) = params.request_id
        {
            return Some(Self::Cancelled(id));
        }
        let name = match method.as_str() {
            "tools/call" | "prompts/get" => params.name,
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => params.uri,
            "tasks/get" | "tasks/update" | "tasks/cancel" => params.task_id,
            _ => None,
        };
        let version = params.meta.and_then(|meta| meta.protocol_version);
        let [name, version] = [name, version].map(|value| value?.as_str().map(str::to_owned));
        let outgoing = Outgoing { text, method, name, version };
        Some(match id {
            Some(id) => Self::Request(id, outgoing),
            None => Self::Notification(outgoing),
        })
    }
}

/// The answer to the request `id` that says what went wrong.
pub fn error_line(id: &Value, code: i32, message: &str) -> Vec<u8> {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}}).to_string().into_bytes()
}

/// `text` as the value of a header of the protocol, in which not every character may stand.
pub fn header_value(text: &str) -> Cow<'_, str> {
    let is_plain = text.bytes().all(|byte| (b' '..=b'~').contains(&byte)) && text.trim_ascii() == text;
    if is_plain && !text.starts_with("=?base64?") {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("=?base64?{}?=", STANDARD.encode(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> ClientLine {
        ClientLine::read(text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn requests_are_told_from_what_needs_no_answer() {
        let call = read(
            r#"{"jsonrpc": "2.0", "id": "a", "method": "tools/call", "params": {"name": "vary_picture", "arguments": {},
               "_meta": {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}}}"#,
        );
        let ClientLine::Request(id, outgoing) = call else { panic!("{call:?}") };
        assert_eq!((id, outgoing.method.as_str()), (json!("a"), "tools/call"));
        assert_eq!((outgoing.name.as_deref(), outgoing.version.as_deref()), (Some("vary_picture"), Some("2026-07-28")));
        let ping = read(r#"{"id": 7, "method": "ping"}"#);
        assert!(matches!(ping, ClientLine::Request(id, Outgoing { name: None, version: None, .. }) if id == json!(7)));
        assert!(matches!(read(r#"{"method": "notifications/initialized"}"#), ClientLine::Notification(_)));
        let cancelled = read(r#"{"method": "notifications/cancelled", "params": {"requestId": 7, "reason": "x"}}"#);
        assert!(matches!(cancelled, ClientLine::Cancelled(id) if id == json!(7)));
        assert!(matches!(read(r#"{"id": 1, "result": {}}"#), ClientLine::Answer));
        assert!(ClientLine::read(b" \r".to_vec()).is_none());
    }

    #[test]
    fn what_is_no_message_is_answered() {
        for (text, code) in [("{", UNREADABLE), ("nonsense", UNREADABLE), ("[1]", NO_MESSAGE), ("7", NO_MESSAGE)] {
            let ClientLine::Unreadable(answer) = read(text) else { panic!("{text}") };
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(code)), "{text}");
        }
    }

    #[test]
    fn headers_hold_any_name() {
        assert_eq!(header_value("vary_picture"), "vary_picture");
        assert_eq!(header_value("a b"), "a b");
        for (text, encoded) in
            [("ä", "=?base64?w6Q=?="), (" a", "=?base64?IGE=?="), ("=?base64?x", "=?base64?PT9iYXNlNjQ/eA==?=")]
        {
            assert_eq!(header_value(text), encoded);
        }
    }
}
