//! Pictures inside a request: `data:` URIs and bare base64.
#![cfg_attr(fuzzing, no_main)]

use afterimage_server::fetch::data_uri::{is_data_uri, parse, parse_base64};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use libfuzzer_sys::fuzz_target;

const LIMIT: u64 = 1000;

fuzz_target!(|text: &str| {
    if let Ok(bytes) = parse(text, LIMIT) {
        assert!(is_data_uri(text) && !bytes.is_empty() && bytes.len() as u64 <= LIMIT);
        let again = parse(&format!("data:;base64,{}", STANDARD.encode(&bytes)), LIMIT);
        assert_eq!(again, Ok(bytes));
    }
    if let Ok(bytes) = parse_base64(text, LIMIT) {
        assert!(!is_data_uri(text) && !bytes.is_empty() && bytes.len() as u64 <= LIMIT);
        assert_eq!(parse_base64(&STANDARD.encode(&bytes), LIMIT), Ok(bytes));
    }
});
