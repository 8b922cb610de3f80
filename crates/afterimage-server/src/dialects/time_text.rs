//! Times as text: always with three digits of the second, which every reader takes; Pythons before 3.11 read three or
//! six and nothing else.

use afterimage_jobs::Timestamp;
use time::OffsetDateTime;

/// `timestamp` as RFC 3339 in UTC with milliseconds; empty before the year 0 and after 9999, which no clock tells.
pub fn rfc3339(timestamp: Timestamp) -> String {
    let nanoseconds = i128::from(timestamp.0) * 1_000_000;
    let Ok(time) = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds) else { return String::new() };
    if !(0..=9999).contains(&time.year()) {
        return String::new();
    }
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second, milliseconds) = time.to_hms_milli();
    let month = u8::from(month);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// The same with its offset in numbers: Pythons before 3.11 do not read `Z`.
pub fn rfc3339_with_offset(timestamp: Timestamp) -> String {
    rfc3339(timestamp).replace('Z', "+00:00")
}

/// The day of `timestamp` in UTC, such as `2026-11-30`; empty where [`rfc3339`] is.
pub fn date(timestamp: Timestamp) -> String {
    rfc3339(timestamp).split('T').next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_the_offset_of_their_reader() {
        assert_eq!(rfc3339(Timestamp(1_750_000_000_000)), "2025-06-15T15:06:40.000Z");
        assert_eq!(rfc3339_with_offset(Timestamp(1_750_000_000_250)), "2025-06-15T15:06:40.250+00:00");
        assert_eq!(rfc3339(Timestamp(1_750_000_000_007)), "2025-06-15T15:06:40.007Z");
        assert_eq!(rfc3339(Timestamp(-1)), "1969-12-31T23:59:59.999Z");
        assert_eq!(rfc3339(Timestamp(i64::MAX)), "");
    }

    #[test]
    fn every_time_has_the_same_length() {
        for milliseconds in 0..2000 {
            assert_eq!(rfc3339(Timestamp(1_750_000_000_000 + milliseconds)).len(), "2025-06-15T15:06:40.000Z".len());
        }
    }
}
