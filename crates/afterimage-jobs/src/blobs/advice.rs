//! What an operator can do about an error of an object store.

use object_store::Error as StorageError;
use std::error::Error as _;

/// What stands in the error or what is below it, and what would be right. The first one that fits is told.
const ADVICE: [(&str, &str); 11] = [
    (NO_BUCKET, "there is no such bucket at this endpoint: make it, or correct the URL"),
    ("InvalidAccessKeyId", WRONG_CREDENTIALS),
    ("SignatureDoesNotMatch", WRONG_CREDENTIALS),
    ("ExpiredToken", "the session's credentials have expired: renew them"),
    ("RequestTimeTooSkewed", "this machine's clock is wrong by more than 15 minutes: let NTP set it"),
    ("AuthorizationHeaderMalformed", WRONG_REGION),
    ("PermanentRedirect", WRONG_REGION),
    ("redirect without LOCATION", WRONG_REGION),
    ("AccessDenied", MISSING_RIGHTS),
    ("403 Forbidden", MISSING_RIGHTS),
    ("URL scheme is not allowed", "the endpoint is http, which has to be allowed: allow_http=true in the URL"),
];

/// The code of S3 that tells a missing bucket from a missing file.
const NO_BUCKET: &str = "NoSuchBucket";

const WRONG_CREDENTIALS: &str =
    "the credentials are not right: see AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment";

const WRONG_REGION: &str =
    "the bucket is in another region: name it by region= in the URL, or AWS_REGION in the environment";

const MISSING_RIGHTS: &str = "the credentials have to allow s3:PutObject, s3:GetObject and s3:DeleteObject there, and s3:ListBucket on the bucket";

/// Advice for `error`, if there is any.
pub(super) fn advice(error: &StorageError) -> Option<&'static str> {
    let text = whole_text(error);
    ADVICE.iter().find(|(sign, _)| text.contains(sign)).map(|(_, advice)| *advice)
}

/// Whether a file was not found because its bucket was not.
pub(super) fn is_missing_bucket(error: &StorageError) -> bool {
    whole_text(error).contains(NO_BUCKET)
}

/// The error and those below it.
fn whole_text(error: &StorageError) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(reason) = below {
        text.push('\n');
        text.push_str(&reason.to_string());
        below = reason.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> StorageError {
        StorageError::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn known_errors_have_advice() {
        let missing = error("404 Not Found: <Error><Code>NoSuchBucket</Code></Error>");
        assert!(is_missing_bucket(&missing) && advice(&missing).unwrap().contains("make it"));
        let key = error("404 Not Found: <Error><Code>NoSuchKey</Code></Error>");
        assert!(!is_missing_bucket(&key) && advice(&key).is_none());
        // The code of a refusal tells more than its status.
        let refused = error("403 Forbidden: <Error><Code>InvalidAccessKeyId</Code></Error>");
        assert_eq!(advice(&refused), Some(WRONG_CREDENTIALS));
    }
}
