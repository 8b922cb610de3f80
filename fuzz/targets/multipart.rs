//! Multipart bodies. The first line of the input is the content type, the rest the body.
#![cfg_attr(fuzzing, no_main)]

use afterimage_server::http::multipart::parts;
use axum::http::{HeaderMap, HeaderValue, header};
use bytes::Bytes;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some(end) = input.iter().position(|byte| *byte == b'\n') else { return };
    let Ok(content_type) = HeaderValue::from_bytes(&input[..end]) else { return };
    let headers: HeaderMap = [(header::CONTENT_TYPE, content_type)].into_iter().collect();
    let body = Bytes::copy_from_slice(&input[end + 1..]);
    let length = body.len();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers");
    let Ok(parts) = runtime.block_on(parts(&headers, body, |name| name != "unknown")) else { return };
    assert!(parts.len() <= 64);
    let taken: usize = parts.iter().map(|part| part.bytes.len() + part.name.len()).sum();
    assert!(taken <= length, "more came out than went in");
});
