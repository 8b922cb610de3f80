//! Signatures of webhooks as `WaveSpeed` makes them.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What is shown in front of a secret and is no part of the key.
pub const SECRET_PREFIX: &str = "whsec_";

/// The value of the header `webhook-signature`: `v3,` and the lower-case hexadecimal HMAC-SHA256 of
/// `<id>.<timestamp>.<body>`. The key is the secret's text without its prefix, not what the text might encode.
/// `timestamp` is in seconds since 1970.
pub fn sign_v3(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> String {
    let key = secret.strip_prefix(SECRET_PREFIX).unwrap_or(secret);
    // HMAC takes keys of any length; there is no error to handle.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else { return String::new() };
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    format!("v3,{}", hex::encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made with Python's `hmac.new(key, b"<id>.<timestamp>." + body, "sha256").hexdigest()`.
    #[test]
    fn signatures_equal_those_of_another_implementation() {
        for (secret, id, timestamp, body, expected) in [
            (
                "whsec_4f2c9d0e7b1a",
                "17-1",
                1_750_000_000,
                &b"{\"id\":\"b1946ac92492\",\"status\":\"completed\"}"[..],
                "e2e2933c5e1588b4a672ba8749e650d6c775c23033c8e465c62d30ac766eb2cf",
            ),
            (
                "whsec_MDEyMzQ1Njc4OWFiY2RlZg==",
                "delivery",
                0,
                &b""[..],
                "123eb5611f5d81160e4256affa325e10a15169a1433c0b140b3553a576a60861",
            ),
            (
                &"k".repeat(200),
                "\u{e4}",
                -1,
                &b"\x00\xff\x0a"[..],
                "1dc64dc4c1d39848fb3cbd9287ba022168d28bbf8b8ed3803e1c95a02477a896",
            ),
        ] {
            assert_eq!(sign_v3(secret, id, timestamp, body), format!("v3,{expected}"), "{id}");
        }
    }

    #[test]
    fn the_prefix_is_no_part_of_the_key() {
        assert_eq!(sign_v3("whsec_abc", "1", 2, b"3"), sign_v3("abc", "1", 2, b"3"));
    }

    #[test]
    fn everything_is_signed() {
        let signature = sign_v3("whsec_abc", "1", 2, b"3");
        assert_ne!(sign_v3("whsec_abd", "1", 2, b"3"), signature);
        assert_ne!(sign_v3("whsec_abc", "4", 2, b"3"), signature);
        assert_ne!(sign_v3("whsec_abc", "1", 4, b"3"), signature);
        assert_ne!(sign_v3("whsec_abc", "1", 2, b"4"), signature);
    }
}
