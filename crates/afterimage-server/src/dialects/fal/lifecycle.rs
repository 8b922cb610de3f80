//! How long a client wants its files to be kept.

use crate::http::bounded_json;
use crate::refusal::Refusal;
use axum::http::HeaderMap;
use serde_json::Value;
use std::time::Duration;

/// Its two names: the first is for results, the second for uploads; clients send both with uploads.
const NAMES: [&str; 2] = ["x-fal-object-lifecycle-preference", "x-fal-object-lifecycle"];

/// The field that is used. Rules of access are not: whoever has a file's signed address may read it.
const SECONDS: &str = "expiration_duration_seconds";

/// Longest time that is told apart from "for ever", in seconds: a hundred years.
const MOST: f64 = 100.0 * 365.0 * 86_400.0;

/// What `headers` ask for; `None` without a wish, which 0 is, too.
///
/// # Errors
/// [`Refusal::BadBody`] for a wish that cannot be read.
pub fn kept_for(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some((name, value)) = NAMES.iter().find_map(|name| Some((name, headers.get(*name)?))) else { return Ok(None) };
    let refused = || Refusal::BadBody(format!("{name}: expected JSON such as {{\"{SECONDS}\": 3600}}"));
    let wish = bounded_json::read(value.as_bytes(), &[SECONDS]).map_err(|_| refused())?;
    match wish.get(SECONDS) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => {
            // Also as text, like every number of this dialect.
            let number = value.as_f64().or_else(|| value.as_str()?.trim().parse().ok());
            let seconds = number.filter(|seconds| *seconds >= 0.0).ok_or_else(refused)?;
            Ok((seconds > 0.0).then(|| Duration::from_secs_f64(seconds.min(MOST))))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: &'static str, value: &str) -> Result<Option<Duration>, Refusal> {
        kept_for(&[(axum::http::HeaderName::from_static(name), value.parse().unwrap())].into_iter().collect())
    }

    #[test]
    fn wishes_are_read_under_both_names() {
        for name in NAMES {
            let hour =
                of(name, r#"{"expiration_duration_seconds": 3600, "initial_acl": {"default": "hide"}}"#).unwrap();
            assert_eq!(hour, Some(Duration::from_hours(1)));
            assert_eq!(of(name, r#"{"expiration_duration_seconds": "3600"}"#).unwrap(), hour);
            for none in ["{}", r#"{"expiration_duration_seconds": null}"#, r#"{"expiration_duration_seconds": 0}"#] {
                assert_eq!(of(name, none).unwrap(), None, "{none}");
            }
            for bad in ["", "3600", "[]", "{", r#"{"expiration_duration_seconds": -1}"#] {
                assert!(matches!(of(name, bad), Err(Refusal::BadBody(text)) if text.starts_with(name)), "{bad}");
            }
            for bad in [r#"{"expiration_duration_seconds": "1h"}"#, r#"{"expiration_duration_seconds": [1]}"#] {
                assert!(of(name, bad).is_err(), "{bad}");
            }
            assert!(of(name, r#"{"expiration_duration_seconds": 1e300}"#).unwrap().is_some());
        }
        assert_eq!(kept_for(&HeaderMap::new()).unwrap(), None);
    }
}
