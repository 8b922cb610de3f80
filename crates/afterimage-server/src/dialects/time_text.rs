//! Times as text.

use afterimage_jobs::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// `timestamp` as RFC 3339 in UTC; empty before the year 0 and after 9999, which no clock tells.
pub fn rfc3339(timestamp: Timestamp) -> String {
    let milliseconds = i128::from(timestamp.0);
    OffsetDateTime::from_unix_timestamp_nanos(milliseconds * 1_000_000)
        .ok()
        .and_then(|time| time.format(&Rfc3339).ok())
        .unwrap_or_default()
}

/// The same with its offset in numbers: Pythons before 3.11 do not read `Z`.
pub fn rfc3339_with_offset(timestamp: Timestamp) -> String {
    rfc3339(timestamp).replace('Z', "+00:00")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_offset_of_their_reader() {
        assert_eq!(rfc3339(Timestamp(1_750_000_000_000)), "2025-06-15T15:06:40Z");
        assert_eq!(rfc3339_with_offset(Timestamp(1_750_000_000_250)), "2025-06-15T15:06:40.25+00:00");
        assert_eq!(rfc3339(Timestamp(i64::MAX)), "");
    }
}
