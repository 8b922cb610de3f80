//! Addresses that claim to be our own files, and upload tokens: none is, since nothing here knows the secret.
#![cfg_attr(fuzzing, no_main)]

use afterimage_server::dialects::fal::token::{TokenState, read_token};
use afterimage_server::files::{FileLinks, Signer};
use libfuzzer_sys::fuzz_target;
use std::time::Duration;

fuzz_target!(|text: &str| {
    let links = FileLinks::new(Signer::new([0x5a; 32]), Duration::from_secs(3600));
    assert_eq!(links.recognise(text), None, "{text:?}");
    assert_eq!(read_token(links.signer(), text, 0), TokenState::NoToken, "{text:?}");
});
