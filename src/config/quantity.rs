//! Durations, sizes and rates: from text and back.

use std::time::Duration;

use crate::model::rate::Rate;

/// Far beyond what one target takes; finer steps of time than a microsecond make no sense.
pub(super) const RATE_MAX: u32 = 1_000_000;

const RATE_UNITS: [(&str, Duration); 3] =
    [("s", Duration::from_secs(1)), ("m", Duration::from_mins(1)), ("h", Duration::from_hours(1))];

const UNITS: [(&str, u64); 8] = [
    ("B", 1),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
];

/// How many of [`UNITS`], in ascending order, serve for showing.
const BINARY_UNITS: usize = 5;

/// Reads `30s`, `1m 30s`, `100d`; `None` when it is none. Months and years are
/// refused: they have no fixed length.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    let unit =
        |word: &str| ["month", "months", "M", "year", "years", "y", "yr", "yrs"].contains(&word);
    let mut words = text.split(|c: char| !c.is_ascii_alphabetic());
    if words.any(unit) {
        return None;
    }
    humantime::parse_duration(text).ok()
}

/// The shortest text in whole units that [`parse_duration`] reads back: `15m`, `90s`,
/// `100d`.
pub(super) fn shown_duration(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    if duration.subsec_nanos() != 0 {
        return humantime::format_duration(duration).to_string();
    }
    let secs = duration.as_secs();
    for (unit, length) in [("d", 86_400), ("h", 3_600), ("m", 60)] {
        // 24h and 72h are what people write: days begin where hours grow unreadable.
        if secs.is_multiple_of(length) && (unit != "d" || secs > 4 * length) {
            return format!("{}{unit}", secs / length);
        }
    }
    format!("{secs}s")
}

/// Reads `64MiB`, `1 GB`, `1024B`; `None` when it is none or too large.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit.trim_start())?;
    number.parse::<u64>().ok()?.checked_mul(*factor)
}

/// The shortest text that [`parse_size`] reads back: `64MiB`.
pub(super) fn shown_size(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| bytes.is_multiple_of(*factor);
    let units = UNITS[..BINARY_UNITS].iter().rev();
    let (name, factor) = units.clone().find(fits).unwrap_or(&UNITS[0]);
    if bytes == 0 { "0B".to_owned() } else { format!("{}{name}", bytes / factor) }
}

/// Reads `100/s`, `30/m`, `5/h`: how many in what time; `None` when it is none.
pub(super) fn parse_rate(text: &str) -> Option<(u32, Duration)> {
    let (count, unit) = text.split_once('/')?;
    let (_, per) = RATE_UNITS.iter().find(|(name, _)| *name == unit.trim())?;
    let count = count.trim();
    let is_number = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
    // Too large is read as such, so that the fault is told as what it is.
    is_number.then(|| (count.parse().unwrap_or(u32::MAX), *per))
}

/// The text that [`parse_rate`] reads back: `100/s`, and `0/s` for no limit.
pub(super) fn shown_rate(rate: Option<Rate>) -> String {
    let Some(Rate { count, per }) = rate else { return "0/s".to_owned() };
    let unit = RATE_UNITS.iter().find(|(_, length)| *length == per).map_or("s", |(name, _)| name);
    format!("{count}/{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_shown() {
        let second = Duration::from_secs(1);
        for (text, count, per, shown) in [
            ("100/s", 100, second, "100/s"),
            ("30 / m", 30, 60 * second, "30/m"),
            ("5/h", 5, 3_600 * second, "5/h"),
        ] {
            assert_eq!(parse_rate(text), Some((count, per)), "{text}");
            assert_eq!(shown_rate(Some(Rate { count, per })), shown);
        }
        assert_eq!(parse_rate("0/s"), Some((0, second)));
        assert_eq!(shown_rate(None), "0/s");
        assert_eq!(parse_rate("99999999999/s"), Some((u32::MAX, second)));
        for text in ["", "100", "/s", "-1/s", "1.5/s", "+1/s", "1/d", "1/S", "1/ms", "s/1"] {
            assert_eq!(parse_rate(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_read_and_shown() {
        for (text, secs, shown) in [
            ("30s", 30, "30s"),
            ("1m 30s", 90, "90s"),
            ("15m", 900, "15m"),
            ("24h", 86_400, "24h"),
            ("3d", 259_200, "72h"),
            ("100d", 8_640_000, "100d"),
            ("0s", 0, "0s"),
        ] {
            let duration = parse_duration(text);
            assert_eq!(duration, Some(Duration::from_secs(secs)), "{text}");
            assert_eq!(duration.map(shown_duration).as_deref(), Some(shown));
        }
        assert_eq!(shown_duration(Duration::from_millis(1500)), "1s 500ms");
        for text in ["", "30", "s", "-1s", "30 monkeys", "1month", "2 years", "1y", "1.5.5s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes, shown) in [
            ("1MiB", 1 << 20, "1MiB"),
            ("64 MiB", 64 << 20, "64MiB"),
            ("1536KiB", 1536 << 10, "1536KiB"),
            ("2GB", 2_000_000_000, "1953125KiB"),
            ("0B", 0, "0B"),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
            assert_eq!(shown_size(bytes), shown);
        }
        for text in ["", "64", "MiB", "1mib", "-1MiB", "1.5GiB", "99999999999999TiB"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
