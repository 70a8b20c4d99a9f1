//! What HPE's published loop would have missed, in words.

use std::fmt;

use crate::compare::answer::counted;
use crate::compare::count;
use crate::compare::what_if::published::{Missed, Published};

/// In sentences: how much, which part, and by how much luck changes it.
impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = counted(self.entries, "entry", "entries");
        write!(
            f,
            "HPE's published poll loop (the last 60 seconds, every 60 seconds, the 50 newest) would \
             have missed "
        )?;
        let Some(missed) = between(self.missed) else {
            return write!(f, "none of the same {entries}, whenever it had begun.");
        };
        let Missed { at_least, at_most } = self.missed;
        write!(
            f,
            "{missed} of the same {entries} ({})",
            percents(at_least, at_most, self.entries)
        )?;
        if let Some(crowded) = between(self.crowded_out) {
            write!(f, ", {crowded} of them because 50 newer ones came within its minute")?;
        }
        if at_least < at_most {
            write!(
                f,
                ": two numbers, because when an entry became visible is known from one poll to the \
                 next"
            )?;
        }
        write!(
            f,
            ". That is the mean of its 60 possible starts in a minute: with the luckiest, {} or more; \
             with the unluckiest, {} or fewer.",
            count(self.luckiest),
            count(self.unluckiest)
        )
    }
}

/// `12`, or `12 to 15` where it is not known better; `None` for nothing at all.
fn between(missed: Missed) -> Option<String> {
    let low = decimal(missed.at_least);
    let high = decimal(missed.at_most);
    if high == "0" {
        None
    } else if low == high {
        Some(low)
    } else {
        Some(format!("{low} to {high}"))
    }
}

/// Whole from 10 on, where a tenth of an entry means nothing.
fn decimal(value: f64) -> String {
    if value >= 9.95 {
        return count(rounded(value));
    }
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

/// To the nearest whole number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "counts are not negative, and far below 2^64"
)]
fn rounded(value: f64) -> u64 {
    value.round() as u64
}

#[expect(clippy::cast_precision_loss, reason = "told to three figures")]
fn percents(low: f64, high: f64, of: u64) -> String {
    let percent = |part: f64| format!("{:.1}", 100.0 * part / of as f64);
    let (low, high) = (percent(low), percent(high));
    if low == high { format!("{low} %") } else { format!("{low} to {high} %") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_loop_is_told_with_both_ends() {
        let told = |missed: (f64, f64), crowded: (f64, f64)| {
            let missed_of = |(at_least, at_most)| Missed { at_least, at_most };
            Published {
                entries: 1_204,
                missed: missed_of(missed),
                crowded_out: missed_of(crowded),
                luckiest: 60,
                unluckiest: 99,
            }
            .to_string()
        };
        assert!(told((0.0, 0.0), (0.0, 0.0)).contains("missed none of the same 1,204 entries,"));
        let text = told((71.2, 85.9), (0.0, 0.0));
        assert!(text.contains("71 to 86 of the same 1,204 entries (5.9 to 7.1 %): two"), "{text}");
        let text = told((1_000.0, 1_000.0), (12.3, 12.3));
        assert!(text.contains("1,000 of the same 1,204 entries (83.1 %), 12 of them"), "{text}");
        let text = told((0.4, 1.0), (0.0, 0.0));
        assert!(text.contains("missed 0.4 to 1 of the same"), "{text}");
    }
}
