//! Errors around the protocol: JSON-RPC's with an HTTP status, without the id of a message. What goes wrong with a message
//! that was understood is answered within the protocol.

use crate::error_shape::ErrorShape;
use crate::refusal::Refusal;
use axum::Json;
use axum::body::to_bytes;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rmcp::model::ErrorCode;
use serde_json::json;

/// Bytes of a refusal of the protocol's crate that are repeated.
const TEXT_BYTES: usize = 4096;

/// Errors as JSON-RPC has them.
pub struct RpcShape;

impl ErrorShape for RpcShape {
    fn respond(refusal: &Refusal) -> Response {
        let code = match refusal {
            Refusal::BadBody(_) => ErrorCode::PARSE_ERROR,
            refusal if refusal.status().is_server_error() => ErrorCode::INTERNAL_ERROR,
            _ => ErrorCode::INVALID_REQUEST,
        };
        let mut response = error(refusal.status(), code, &refusal.to_string());
        refusal.add_headers(&mut response);
        response
    }
}

fn error(status: StatusCode, code: ErrorCode, message: &str) -> Response {
    // As JSON-RPC has it. The protocol lets the id be left out as well, which not all of its clients read.
    let body = json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": message}});
    (status, Json(body)).into_response()
}

/// `response` of the protocol's crate, whose own refusals are plain text, in this shape.
pub async fn reworded(response: Response) -> Response {
    let status = response.status();
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if is_json || !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let bytes = to_bytes(response.into_body(), TEXT_BYTES).await.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    match status {
        // JSON that is no message: the crate blames its media type.
        StatusCode::UNSUPPORTED_MEDIA_TYPE => error(StatusCode::BAD_REQUEST, ErrorCode::INVALID_REQUEST, &text),
        status if status.is_server_error() => {
            tracing::error!(status = status.as_u16(), text, "the protocol failed");
            RpcShape::respond(&Refusal::Internal)
        }
        status => error(status, ErrorCode::INVALID_REQUEST, &text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use serde_json::Value;

    async fn body(response: Response) -> Value {
        serde_json::from_slice(&to_bytes(response.into_body(), TEXT_BYTES).await.unwrap()).unwrap()
    }

    #[tokio::test]
    async fn refusals_say_what_kind_they_are() {
        for (refusal, code) in [
            (Refusal::BadBody("bad".to_owned()), -32700),
            (Refusal::TooLarge(1), -32600),
            (Refusal::Unauthorized("no key"), -32600),
            (Refusal::Internal, -32603),
        ] {
            let message = refusal.to_string();
            let expected = json!({"jsonrpc": "2.0", "id": null, "error": {"code": code, "message": message}});
            assert_eq!(body(RpcShape::respond(&refusal)).await, expected);
        }
    }

    #[tokio::test]
    async fn plain_texts_are_reworded_and_answers_are_not() {
        let plain = |status: u16| Response::builder().status(status).body(Body::from("a text")).unwrap();
        for (given, expected, message) in [(406, 406, "a text"), (415, 400, "a text"), (500, 500, "internal error")] {
            let response = reworded(plain(given)).await;
            assert_eq!(response.status(), expected);
            assert_eq!(body(response).await["error"]["message"], message);
        }
        let response = reworded(plain(202)).await;
        assert_eq!(to_bytes(response.into_body(), TEXT_BYTES).await.unwrap(), "a text");
        let answer = Response::builder().status(400).header("content-type", "application/json");
        let response = reworded(answer.body(Body::from("{}")).unwrap()).await;
        assert_eq!(body(response).await, json!({}));
    }
}
