//! Messages as they come: read within limits, and without the arguments of tools.

use crate::http::body::SMALL_JSON_LIMIT;
use crate::http::json::{Fields, read_object};
use crate::http::{BodyReader, off_thread};
use crate::refusal::Refusal;
use afterimage_jobs::KeyId;
use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use serde_json::{Map, Value};
use std::sync::{Arc, Mutex, PoisonError};

/// The fields that messages of JSON-RPC have.
const FIELDS: [&str; 6] = ["jsonrpc", "id", "method", "params", "result", "error"];

/// What a tool is called with.
#[derive(Debug, Default)]
pub struct ToolArguments {
    /// By name.
    pub object: Map<String, Value>,
    /// What they came in: its share of memory is held until the pictures are stored.
    pub body: Bytes,
}

/// The arguments of one call, until somebody takes them: who waits for a result keeps nothing of what was sent.
#[derive(Clone, Debug)]
pub struct HeldArguments(Arc<Mutex<Option<ToolArguments>>>);

impl HeldArguments {
    fn new(arguments: ToolArguments) -> Self {
        Self(Arc::new(Mutex::new(Some(arguments))))
    }

    /// The arguments, once.
    pub fn take(&self) -> Option<ToolArguments> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A message of a client.
#[derive(Debug)]
pub struct ClientMessage {
    /// What the protocol needs of it, as JSON of at most [`SMALL_JSON_LIMIT`] bytes.
    pub text: Vec<u8>,
    /// The arguments, if a tool is called; else there are none.
    pub arguments: HeldArguments,
}

/// Reads the message that `key` sends.
///
/// # Errors
/// [`Refusal::BadBody`] for what is no JSON object; [`Refusal::TooLarge`] when more than [`SMALL_JSON_LIMIT`] bytes are no
/// arguments; those of reading.
pub async fn read(bodies: &BodyReader, key: &KeyId, headers: &HeaderMap, body: Body) -> Result<ClientMessage, Refusal> {
    let fields = Fields::small(&FIELDS).with_pictures(&[]);
    let (message, body) = read_object(bodies, key, headers, body, fields).await?;
    off_thread(body.len(), move || split(message, body)).await
}

fn split(mut message: Map<String, Value>, body: Bytes) -> Result<ClientMessage, Refusal> {
    let object = take_arguments(&mut message)?;
    let text = serde_json::to_vec(&message).map_err(|_| Refusal::Internal)?;
    if text.len() > SMALL_JSON_LIMIT {
        return Err(Refusal::TooLarge(SMALL_JSON_LIMIT));
    }
    Ok(ClientMessage { text, arguments: HeldArguments::new(ToolArguments { object, body }) })
}

fn take_arguments(message: &mut Map<String, Value>) -> Result<Map<String, Value>, Refusal> {
    let calls_a_tool = message.get("method").is_some_and(|method| method == "tools/call");
    let params = message.get_mut("params").filter(|_| calls_a_tool).and_then(Value::as_object_mut);
    match params.and_then(|params| params.remove("arguments")) {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(arguments)) => Ok(arguments),
        Some(_) => Err(Refusal::BadBody("params.arguments must be an object".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    async fn of(body: String) -> Result<(Value, Map<String, Value>), Refusal> {
        let read = read(&BodyReader::default(), &KeyId::from("k"), &HeaderMap::new(), body.into()).await?;
        let arguments = read.arguments.take().unwrap();
        assert!(read.arguments.take().is_none(), "once");
        Ok((serde_json::from_slice(&read.text).unwrap(), arguments.object))
    }

    #[tokio::test]
    async fn the_protocol_sees_no_arguments() {
        let call = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call", "junk": "x",
            "params": {"name": "a", "arguments": {"image": "x".repeat(2 << 20)}, "_meta": {"progressToken": 7}},
        });
        let (message, arguments) = of(call.to_string()).await.unwrap();
        let params = json!({"name": "a", "_meta": {"progressToken": 7}});
        assert_eq!(message, json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}));
        assert_eq!(arguments["image"].as_str().map(str::len), Some(2 << 20));
        // Of other messages nothing is taken.
        let other = json!({"method": "x", "params": {"arguments": {"a": 1}}});
        assert_eq!(of(other.to_string()).await.unwrap(), (other, Map::new()));
        for none in [json!({"arguments": null}), json!({}), json!(null), json!([1])] {
            assert_eq!(of(json!({"method": "tools/call", "params": none}).to_string()).await.unwrap().1, Map::new());
        }
    }

    #[tokio::test]
    async fn what_is_no_message_is_refused() {
        for bad in
            ["[]", "{", "1", "[{\"jsonrpc\": \"2.0\"}]", r#"{"method": "tools/call", "params": {"arguments": "x"}}"#]
        {
            assert!(matches!(of(bad.to_owned()).await, Err(Refusal::BadBody(_))), "{bad}");
        }
        let large = json!({"method": "x", "params": {"a": "x".repeat(SMALL_JSON_LIMIT)}}).to_string();
        assert!(matches!(of(large).await, Err(Refusal::TooLarge(SMALL_JSON_LIMIT))));
        let tree =
            format!(r#"{{"method": "tools/call", "params": {{"arguments": {{"a": [{}0]}}}}}}"#, "{},".repeat(5000));
        assert!(matches!(of(tree).await, Err(Refusal::BadBody(_))), "trees are bounded as everywhere");
    }
}
