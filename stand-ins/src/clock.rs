//! The time and random ids. Nothing else in this crate reads the clock or randomness.

use std::time::{SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970.
#[expect(clippy::disallowed_methods, reason = "this crate never runs as wasm")]
pub(crate) fn now_ms() -> u64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

/// Seconds since 1970, as in the claims of a token.
pub(crate) fn now_s() -> u64 {
    now_ms() / 1000
}

/// A random UUID.
pub(crate) fn new_uuid() -> String {
    uuid::Builder::from_random_bytes(random()).into_uuid().to_string()
}

/// 32 random hexadecimal digits.
pub(crate) fn random_hex() -> String {
    base16ct::lower::encode_string(&random::<16>())
}

/// Six random digits.
pub(crate) fn random_digits() -> String {
    format!("{:06}", u32::from_be_bytes(random()) % 1_000_000)
}

/// Formats milliseconds since 1970 like `2026-11-21T10:20:30.456Z`.
pub(crate) fn iso(ms: u64) -> String {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    format!("{:.3}", jiff::Timestamp::from_millisecond(ms).unwrap_or_default())
}

/// Formats milliseconds since 1970 as HTTP headers have times: `Sat, 21 Nov 2026 10:20:30 GMT`.
pub(crate) fn http_date(ms: u64) -> String {
    let instant = jiff::Timestamp::from_millisecond(i64::try_from(ms).unwrap_or(i64::MAX));
    let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
    printer.timestamp_to_rfc9110_string(&instant.unwrap_or_default()).unwrap_or_default()
}

/// Reads an ISO 8601 time with an offset as milliseconds since 1970.
pub(crate) fn instant(text: &str) -> Option<u64> {
    u64::try_from(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()).ok()
}

fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system gives randomness");
    bytes
}

#[cfg(test)]
mod tests {
    use super::{http_date, instant, iso};

    #[test]
    fn times_are_written_and_read_in_milliseconds() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(1_795_256_430_456), "2026-11-21T10:20:30.456Z");
        assert_eq!(instant("2026-11-21T10:20:30.456Z"), Some(1_795_256_430_456));
        assert_eq!(instant("2026-11-21T12:20:30.456789+02:00"), Some(1_795_256_430_456));
        assert_eq!(instant("yesterday"), None);
        assert_eq!(http_date(1_795_256_430_456), "Sat, 21 Nov 2026 10:20:30 GMT");
    }
}
