//! Instants, as the ledger keeps them: whole microseconds UTC.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};

const MICROS_PER_SECOND: i64 = 1_000_000;

/// An instant: microseconds since the Unix epoch, UTC, leap seconds not counted.
///
/// Arithmetic saturates at the ends of `i64`, some 292,000 years away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Makes an instant from microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Makes an instant from whole seconds since the Unix epoch.
    #[must_use]
    pub const fn from_secs(secs: i64) -> Self {
        Self(secs.saturating_mul(MICROS_PER_SECOND))
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Milliseconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// Seconds since the Unix epoch, rounded down.
    #[must_use]
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(MICROS_PER_SECOND)
    }

    /// The same instant without its fraction of a second (rounded down).
    #[must_use]
    pub const fn truncated_to_second(self) -> Self {
        Self::from_secs(self.secs())
    }

    /// This instant plus `duration`.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(micros_of(duration)))
    }

    /// This instant minus `duration`.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(micros_of(duration)))
    }

    /// The time from `earlier` to this instant; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Parses an RFC 3339 date-time with any number of fraction digits and any offset.
    ///
    /// Digits beyond the microsecond are cut off. `None` when the text is not one.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        DateTime::parse_from_rfc3339(text).ok().map(|at| Self(at.timestamp_micros()))
    }

    /// Formats as RFC 3339 UTC with milliseconds: `2024-12-20T12:34:53.161Z`.
    #[must_use]
    pub fn to_rfc3339_millis(self) -> String {
        self.format(SecondsFormat::Millis)
    }

    /// Formats as RFC 3339 UTC without a fraction (rounded down): `2024-12-20T12:34:53Z`.
    #[must_use]
    pub fn to_rfc3339_secs(self) -> String {
        self.truncated_to_second().format(SecondsFormat::Secs)
    }

    /// Formats as RFC 3339 UTC with as many digits as it has: none, 3 or 6.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        self.format(SecondsFormat::AutoSi)
    }

    fn format(self, digits: SecondsFormat) -> String {
        let at = DateTime::<Utc>::from_timestamp_micros(self.0).unwrap_or({
            if self.0 < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC }
        });
        at.to_rfc3339_opts(digits, true)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339_millis())
    }
}

/// As RFC 3339 UTC with milliseconds.
impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn micros_of(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fraction_that_the_source_sends_is_read() {
        for (text, micros) in [
            ("2024-02-10T07:54:55.0Z", 1_707_551_695_000_000),
            ("2024-12-20T12:34:53.000000Z", 1_734_698_093_000_000),
            ("2024-12-20T12:34:53.161Z", 1_734_698_093_161_000),
            ("2024-10-30T21:09:16.127443806Z", 1_730_322_556_127_443),
            ("2024-12-20T13:34:53+01:00", 1_734_698_093_000_000),
        ] {
            assert_eq!(Timestamp::parse_rfc3339(text), Some(Timestamp(micros)), "{text}");
        }
        for text in ["", "2024-12-20", "2024-13-01T00:00:00Z", "yesterday"] {
            assert_eq!(Timestamp::parse_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn formats_keep_what_they_promise() {
        let at = Timestamp(1_734_698_093_161_999);
        assert_eq!(at.to_rfc3339_millis(), "2024-12-20T12:34:53.161Z");
        assert_eq!(at.to_rfc3339_secs(), "2024-12-20T12:34:53Z");
        assert_eq!(at.to_rfc3339(), "2024-12-20T12:34:53.161999Z");
        assert_eq!(Timestamp(-1).to_rfc3339_secs(), "1969-12-31T23:59:59Z");
        assert!(!Timestamp(i64::MAX).to_rfc3339().is_empty());
    }
}
