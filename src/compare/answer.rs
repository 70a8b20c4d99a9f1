//! The answer in one plain sentence, and how numbers are written in it.

use crate::compare::Comparison;
use crate::compare::figures::{Lead, Share};

impl Comparison {
    /// The answer in one sentence: «Push was first for 93 % (88–96) of 1,204 entries, by a
    /// median of 14.2 s; polling alone saw 3 entries that push never delivered; push alone
    /// none (< 0.25 %).»
    ///
    /// It takes a side only where both intervals do, that of the share and that of the
    /// median; else it says that neither route was first.
    #[must_use]
    pub fn answer(&self) -> String {
        let first = match &self.lead {
            Some(lead) => who_was_first(lead),
            None => "No entry was shown by both routes".to_owned(),
        };
        let mut parts = vec![first];
        if self.coverage.settled() > 0 {
            parts.push(match self.missed_by_push.count {
                0 => format!("polling alone saw none{}", ruled_out(self.missed_by_push)),
                missed => format!(
                    "polling alone saw {} that push never delivered",
                    counted(missed, "entry", "entries")
                ),
            });
            parts.push(match self.missed_by_poll.count {
                0 => format!("push alone none{}", ruled_out(self.missed_by_poll)),
                missed => {
                    format!("push alone {} that polling never showed", count(missed))
                }
            });
        }
        if self.coverage.pending > 0 {
            let pending = counted(self.coverage.pending, "is pending", "are pending");
            parts.push(format!("{pending} until the other route has had its time"));
        }
        format!("{}.", parts.join("; "))
    }
}

/// `Push was first for 93 % (88–96) of 1,204 entries, by a median of 14.2 s`
fn who_was_first(lead: &Lead) -> String {
    let of = counted(lead.entries, "entry", "entries");
    let is_beyond = |share: &Share| share.interval.is_some_and(|interval| interval.low > 0.5);
    let is_even = lead.interval_us.is_none_or(|interval| interval.low <= 0 && interval.high >= 0);
    let (who, first, by) = if is_beyond(&lead.push_first) && !is_even && lead.median_us > 0 {
        ("Push was first", lead.push_first, lead.median_us)
    } else if is_beyond(&lead.poll_first) && !is_even && lead.median_us < 0 {
        ("Polling was first", lead.poll_first, -lead.median_us)
    } else if lead.interval_us.is_none() {
        let first = count(lead.push_first.count);
        let median = span(lead.median_us);
        return format!(
            "Push was first for {first} of {of}, by a median of {median}, which is too little to \
             tell who is"
        );
    } else {
        let share = percents(lead.push_first);
        return format!(
            "Neither route was first: push was for {share} of {of}, by a median of {}{}",
            span(lead.median_us),
            lead.interval_us.map_or_else(String::new, |interval| format!(
                " ({} to {})",
                span(interval.low),
                span(interval.high)
            )),
        );
    };
    format!("{who} for {} of {of}, by a median of {}", percents(first), span(by))
}

/// ` (< 0.25 %)`: what a count of zero rules out.
fn ruled_out(share: Share) -> String {
    let high = share.interval.map_or(1.0, |interval| interval.high);
    if high < 1.0 { format!(" (< {} %)", precise(high)) } else { String::new() }
}

/// `93 % (88–96)`; `0 % (< 0.25 %)`; `-` of none.
#[must_use]
pub fn percents(share: Share) -> String {
    let (Some(part), Some(interval)) = (share.share, share.interval) else {
        return "-".to_owned();
    };
    if share.count == 0 {
        return format!("0 %{}", ruled_out(share));
    }
    let ends = [part, interval.low, interval.high];
    // Whole percents, unless that would hide what the figure says.
    let is_fine =
        ends.iter().any(|end| (0.0005..0.0995).contains(end) || (0.9005..0.9995).contains(end))
            && interval.high - interval.low < 0.05;
    let digits = usize::from(is_fine);
    let [part, low, high] = ends.map(|end| format!("{:.digits$}", end * 100.0));
    format!("{part} % ({low}–{high})")
}

/// Percents with two digits that count: `12`, `1.3`, `0.25`, `0.0031`.
fn precise(share: f64) -> String {
    let percents = share * 100.0;
    let digits = match percents {
        10.0.. => 0,
        1.0.. => 1,
        0.1.. => 2,
        0.01.. => 3,
        _ => 4,
    };
    format!("{percents:.digits$}")
}

/// `1,204`
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .filter_map(|group| std::str::from_utf8(group).ok())
        .collect();
    groups.join(",")
}

/// `1 entry`, `1,204 entries`
pub(super) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// A stretch of time, given in microseconds, in the two units that tell most: `350 ms`,
/// `14.2 s`, `3 min 20 s`, `2 h 05 min`, `3 d 02 h`; below zero with a minus.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "fewer than a hundred seconds")]
pub fn span(micros: i64) -> String {
    let sign = if micros < 0 { "−" } else { "" };
    let micros = micros.unsigned_abs();
    let secs = (micros + 500_000) / 1_000_000;
    match micros {
        0..950 => format!("{sign}{micros} µs"),
        950..999_500 => format!("{sign}{} ms", (micros + 500) / 1_000),
        999_500..99_950_000 => format!("{sign}{:.1} s", micros as f64 / 1e6),
        _ if secs < 3_600 => format!("{sign}{} min {:02} s", secs / 60, secs % 60),
        _ if secs < 86_400 => format!("{sign}{} h {:02} min", secs / 3_600, secs % 3_600 / 60),
        _ => format!("{sign}{} d {:02} h", secs / 86_400, secs % 86_400 / 3_600),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::statistics::share;

    #[test]
    fn numbers_are_short_and_say_what_they_mean() {
        for (number, text) in [(0, "0"), (999, "999"), (1_204, "1,204"), (1_000_000, "1,000,000")] {
            assert_eq!(count(number), text);
        }
        for (micros, text) in [
            (0, "0 µs"),
            (-400, "−400 µs"),
            (350_000, "350 ms"),
            (14_200_000, "14.2 s"),
            (99_949_999, "99.9 s"),
            (99_950_000, "1 min 40 s"),
            (200_000_000, "3 min 20 s"),
            (7_500_000_000, "2 h 05 min"),
            (-266_400_000_000, "−3 d 02 h"),
        ] {
            assert_eq!(span(micros), text);
        }
        assert_eq!(counted(1, "entry", "entries"), "1 entry");
    }

    #[test]
    fn shares_show_as_many_digits_as_they_carry() {
        for (part, of, text) in [
            (0, 0, "-"),
            (0, 2, "0 %"),
            (0, 1_200, "0 % (< 0.25 %)"),
            (3, 4, "75 % (30–95)"),
            (930, 1_000, "93.0 % (91.2–94.4)"),
            (500, 1_000, "50 % (47–53)"),
            (3, 1_204, "0.2 % (0.1–0.7)"),
            (1_000, 1_000, "100.0 % (99.7–100.0)"),
        ] {
            assert_eq!(percents(share(part, of)), text, "{part} of {of}");
        }
    }
}
