//! Instants as people write them.

use crate::model::timestamp::Timestamp;

/// Reads `24h` (that long before `now`), `2026-11-21` (its midnight, UTC) or an RFC 3339
/// instant.
///
/// # Errors
/// A sentence that says what to write instead.
pub(super) fn instant(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(back) = humantime::parse_duration(text) {
        return Ok(now.minus(back));
    }
    Timestamp::parse_rfc3339(text)
        .or_else(|| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")))
        .ok_or_else(|| {
            format!(
                "{text:?} is no instant; write a duration back such as 24h, a day such as \
                 2026-11-21, or an instant such as 2026-11-21T08:00:00Z"
            )
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_read_as_people_write_them() {
        let now = Timestamp::from_secs(1_734_698_093);
        for (text, secs) in [
            ("1h", 1_734_698_093 - 3600),
            ("2024-12-20", 1_734_652_800),
            ("2024-12-20T12:34:53Z", 1_734_698_093),
            ("2024-12-20T13:34:53+01:00", 1_734_698_093),
        ] {
            assert_eq!(instant(text, now), Ok(Timestamp::from_secs(secs)), "{text}");
        }
        assert!(instant("yesterday", now).unwrap_err().contains("24h"));
    }
}
