//! Pictures that come inside a request: `data:` URIs and bare base64.
//!
//! Decoding takes some 100 ms for the largest pictures; call it where that may block.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use std::borrow::Cow;

/// Longest text between `data:` and the comma.
const LONGEST_HEADER: usize = 2048;

/// Padding may be left out, but what stands there must be right.
const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);

/// Why no picture could be taken out of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DataUriError {
    /// No `data:` in front, no comma, or too much before it.
    #[error("is not a data URI; data:image/png;base64,… is one")]
    Malformed,
    /// Not base64.
    #[error("is not valid base64")]
    Base64,
    /// Nothing in it.
    #[error("holds no bytes")]
    Empty,
    /// More bytes than are accepted.
    #[error("holds more than {limit} bytes")]
    TooLarge {
        /// Bytes that are accepted.
        limit: u64,
    },
}

/// Whether `text` begins like a `data:` URI, in upper or lower case.
pub fn is_data_uri(text: &str) -> bool {
    text.get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME))
}

const SCHEME: &str = "data:";

/// Takes the bytes out of a `data:` URI, base64 or percent-encoded (RFC 2397). Whatever type is declared, the content
/// decides what it is; `base64` may stand anywhere among the parameters.
///
/// # Errors
/// [`DataUriError`]; the size is checked before anything is decoded.
pub fn parse(text: &str, limit: u64) -> Result<Bytes, DataUriError> {
    if !is_data_uri(text) {
        return Err(DataUriError::Malformed);
    }
    let rest = &text[SCHEME.len()..];
    let comma = rest.bytes().take(LONGEST_HEADER + 1).position(|byte| byte == b',').ok_or(DataUriError::Malformed)?;
    let (header, body) = (&rest[..comma], &rest[comma + 1..]);
    // What comes first is the type, which no writer calls so.
    let is_base64 = header.split(';').any(|parameter| parameter.trim().eq_ignore_ascii_case("base64"));
    if is_base64 {
        // Some writers encode `+`, `/` and `=` once more.
        return if body.contains('%') {
            parse_base64(&percent_decoded(body, limit)?, limit)
        } else {
            parse_base64(body, limit)
        };
    }
    // Each byte takes one to three characters, so fewer than this cannot be too many bytes.
    let shortest = body.len() as u64 / 3;
    if shortest > limit {
        return Err(DataUriError::TooLarge { limit });
    }
    let bytes: Vec<u8> = percent_decode_str(body).collect();
    sized(bytes, limit)
}

/// Takes the bytes out of bare base64, standard or URL-safe, with or without padding, possibly in lines.
///
/// # Errors
/// [`DataUriError`]; the size is checked before anything is decoded.
pub fn parse_base64(text: &str, limit: u64) -> Result<Bytes, DataUriError> {
    let text = without_white_space(text);
    let decoded_length = text.len() as u64 / 4 * 3;
    if decoded_length > limit.saturating_add(2) {
        return Err(DataUriError::TooLarge { limit });
    }
    let is_url_safe = text.bytes().any(|byte| matches!(byte, b'-' | b'_'));
    let engine = if is_url_safe { URL_SAFE } else { STANDARD };
    let bytes = engine.decode(text.as_bytes()).map_err(|_| DataUriError::Base64)?;
    sized(bytes, limit)
}

fn sized(bytes: Vec<u8>, limit: u64) -> Result<Bytes, DataUriError> {
    if bytes.is_empty() {
        return Err(DataUriError::Empty);
    }
    if bytes.len() as u64 > limit {
        return Err(DataUriError::TooLarge { limit });
    }
    Ok(bytes.into())
}

fn percent_decoded(body: &str, limit: u64) -> Result<Cow<'_, str>, DataUriError> {
    // Four characters of base64 for three bytes, and three characters for each of those at most.
    if body.len() as u64 / 4 > limit.saturating_add(2) {
        return Err(DataUriError::TooLarge { limit });
    }
    percent_decode_str(body).decode_utf8().map_err(|_| DataUriError::Base64)
}

fn without_white_space(text: &str) -> Cow<'_, str> {
    if !text.bytes().any(|byte| byte.is_ascii_whitespace()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.split_ascii_whitespace().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::engine::general_purpose;
    use proptest::prelude::*;

    const LIMIT: u64 = 1000;

    #[test]
    fn usual_forms_are_read() {
        for text in [
            "data:image/png;base64,+/+/AA==",
            "DATA:IMAGE/PNG;BASE64,+/+/AA==",
            "data:image/png;charset=utf-8;base64,+/+/AA==",
            "data:image/png; base64,+/+/AA",
            "data:;base64,+/+/AA==",
            "data:application/octet-stream;base64,-_-_AA",
            "data:binary/octet-stream;base64,+/+/AA==",
            "data:text/html;charset=utf-8;BASE64;name=a.png,+/+/AA==",
            "data:image/;base64,+/+/AA==",
            "data:base64,+/+/AA==",
            "data: image/jpeg ; base64 ; charset=\"utf-8\" , +/+/AA==",
            "data:*/*;base64;,+/+/AA==",
            "data:text/plain,%FB%FF%BF%00",
            "data:image/png;base64,%2B%2f+/AA%3D%3D",
            "data:image/png;base64,+/+/\r\nAA==\n",
            "data:image/png,%FB%FF%BF%00",
        ] {
            assert_eq!(parse(text, LIMIT).as_deref(), Ok(&[0xfb, 0xff, 0xbf, 0][..]), "{text:?}");
        }
        assert_eq!(parse_base64("+/+/AA==", LIMIT).as_deref(), Ok(&[0xfb, 0xff, 0xbf, 0][..]));
    }

    #[test]
    fn broken_forms_are_refused() {
        let long_header = format!("data:image/png;{};base64,AAAA", "x".repeat(LONGEST_HEADER));
        for (text, error) in [
            ("", DataUriError::Malformed),
            ("data:", DataUriError::Malformed),
            ("data:image/png;base64", DataUriError::Malformed),
            ("http://example.com/,", DataUriError::Malformed),
            ("dat\u{e4}:", DataUriError::Malformed),
            (&long_header, DataUriError::Malformed),
            ("data:image/png;base64,", DataUriError::Empty),
            ("data:image/png,", DataUriError::Empty),
            ("data:image/png;base64,====", DataUriError::Base64),
            ("data:image/png;base64,A", DataUriError::Base64),
            ("data:image/png;base64,AB", DataUriError::Base64),
            ("data:image/png;base64,AAA=A", DataUriError::Base64),
            ("data:image/png;base64,AAAA=", DataUriError::Base64),
            ("data:image/png;base64,A+A_", DataUriError::Base64),
            ("data:image/png;base64,AA\u{e4}A", DataUriError::Base64),
            ("data:image/png;base64,%ff%ff", DataUriError::Base64),
            ("data:image/png;base64,AAAA,AAAA", DataUriError::Base64),
        ] {
            assert_eq!(parse(text, LIMIT), Err(error), "{text:?}");
        }
    }

    #[test]
    fn the_limit_is_exact() {
        for length in [LIMIT, LIMIT + 1, LIMIT + 2, LIMIT + 3, LIMIT * 10] {
            let bytes = vec![7; length as usize];
            let base64 = general_purpose::STANDARD.encode(&bytes);
            let percent = format!("data:image/png,{}", "%07".repeat(length as usize));
            let expected = if length <= LIMIT { Ok(()) } else { Err(DataUriError::TooLarge { limit: LIMIT }) };
            assert_eq!(parse_base64(&base64, LIMIT).map(drop), expected, "{length}");
            assert_eq!(parse(&percent, LIMIT).map(drop), expected, "{length}");
        }
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 1..200), form in 0..5) {
            let text = match form {
                0 => format!("data:image/png;base64,{}", general_purpose::STANDARD.encode(&bytes)),
                1 => format!("data:image/png;base64,{}", general_purpose::STANDARD_NO_PAD.encode(&bytes)),
                2 => format!("data:;base64,{}", general_purpose::URL_SAFE.encode(&bytes)),
                3 => format!("data:;base64,{}", general_purpose::URL_SAFE_NO_PAD.encode(&bytes)),
                _ => format!("data:image/gif,{}", percent_encoding::percent_encode(&bytes, percent_encoding::NON_ALPHANUMERIC)),
            };
            prop_assert_eq!(parse(&text, LIMIT), Ok(Bytes::from(bytes)));
        }

        #[test]
        fn no_text_breaks_it(text in "(data:)?[ -~\u{80}-\u{2ff}]{0,80}", limit in 0_u64..60) {
            if let Ok(bytes) = parse(&text, limit) {
                prop_assert!(bytes.len() as u64 <= limit);
            }
            if let Ok(bytes) = parse_base64(&text, limit) {
                prop_assert!(bytes.len() as u64 <= limit);
            }
        }
    }
}
