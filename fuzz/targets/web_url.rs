//! Addresses that a request names.
#![cfg_attr(fuzzing, no_main)]

use afterimage_server::fetch::parse_web_url;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(url) = parse_web_url(text) else { return };
    assert!(matches!(url.scheme(), "http" | "https"), "{url}");
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none(), "{url}");
    let host = url.host_str().expect("accepted without a host");
    assert!(!host.is_empty() && !host.contains(['@', '\\', '%', '/', ' ']), "{url}");
    assert_ne!(url.port(), Some(0), "{url}");
    // Whoever reads what was read, our own fetcher after a restart or the next proxy, sees the same address.
    assert_eq!(parse_web_url(url.as_str()), Ok(url.clone()), "{text:?}");
    // The reading that splits by hand, as simple parsers do, finds no other host.
    let authority = text.split("//").nth(1).and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    assert!(!authority.contains('@'), "{text:?}");
});
