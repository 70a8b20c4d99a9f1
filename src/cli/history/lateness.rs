//! `tailwater history --lateness`: how late entries became visible.

use std::io::Write;

use serde_json::json;

use crate::cli::exit::{Exit, Failure};
use crate::cli::output;
use crate::model::lateness::{Curve, Learnt, needed};
use crate::model::timestamp::Timestamp;
use crate::storage::{HistoryFilter, Reader};

/// The quantiles that are told, in thousandths, with their names.
const QUANTILES: [(u32, &str); 5] =
    [(500, "p50"), (900, "p90"), (950, "p95"), (990, "p99"), (995, "p99.5")];

/// Prints the curve of each source, or of the one that `filter` names.
pub(super) async fn run(
    reader: &Reader,
    filter: HistoryFilter,
    as_json: bool,
) -> Result<Exit, Failure> {
    let mut rows = Vec::new();
    for (name, learnt) in reader.list_learnt(filter.source.as_deref()).await? {
        let filter = HistoryFilter { source: Some(name.clone()), ..filter.clone() };
        rows.push((name, learnt, reader.find_curve(&filter).await?));
    }
    if as_json {
        output::json_lines(&rows.iter().map(json).collect::<Vec<_>>())?;
        return Ok(Exit::Done);
    }
    let headings = QUANTILES.iter().map(|(_, name)| name.to_uppercase());
    let headings: Vec<String> = ["SOURCE", "ENTRIES"]
        .into_iter()
        .map(str::to_owned)
        .chain(headings)
        .chain(["LONGEST", "BY SWEEPS", "OVERLAP"].map(str::to_owned))
        .collect();
    let headings: Vec<&str> = headings.iter().map(String::as_str).collect();
    output::table(&headings, rows.iter().map(cells), "no source has been polled yet")?;
    if !rows.is_empty() {
        writeln!(
            output::out(),
            "\nAt most so late: an entry counts as visible when an answer first showed it. \
             P99.5 takes {} entries, P99 {}.\nBy sweeps: found after the overlap had passed.",
            needed(995),
            needed(990)
        )?;
    }
    Ok(Exit::Done)
}

fn cells((name, learnt, curve): &(String, Learnt, Curve)) -> Vec<String> {
    let told = |micros: Option<i64>| micros.map_or_else(|| "-".to_owned(), shown);
    let mut cells = vec![name.clone(), curve.entries().to_string()];
    cells.extend(QUANTILES.iter().map(|(per_mille, _)| told(curve.quantile(*per_mille))));
    cells.push(told(curve.longest()));
    cells.push(share(curve.swept(), curve.entries()));
    cells.push(shown(learnt.overlap_secs * 1_000_000));
    cells
}

/// ```json
/// {"source":"production","entries":700,"p50_s":9.1,"p90_s":…,"p95_s":…,"p99_s":…,
///  "p99.5_s":31.5,"longest_s":3900.0,"found_by_sweeps":1,"later_than_overlap":1,
///  "overlap_s":900,"late_since":null,
///  "learnt":{"at":"…","entries":700,"found_by_sweeps":1,"p99.5_s":31.5}}
/// ```
/// Null where too few entries carry the figure. `learnt` is what the daemon last saw.
fn json((name, learnt, curve): &(String, Learnt, Curve)) -> serde_json::Value {
    let mut value = json!({
        "source": name,
        "entries": curve.entries(),
        "longest_s": curve.longest().map(seconds),
        "found_by_sweeps": curve.swept(),
        "later_than_overlap": curve.later_than(learnt.overlap_secs * 1_000_000),
        "overlap_s": learnt.overlap_secs,
        "late_since": learnt.late_since.map(Timestamp::to_rfc3339_millis),
        "learnt": {
            "at": learnt.at.to_rfc3339_millis(),
            "entries": learnt.entries,
            "found_by_sweeps": learnt.swept,
            "p99.5_s": learnt.quantile.map(seconds),
        },
    });
    for (per_mille, name) in QUANTILES {
        value[format!("{name}_s")] = json!(curve.quantile(per_mille).map(seconds));
    }
    value
}

#[expect(clippy::cast_precision_loss, reason = "a lateness is far below 2^52 microseconds")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

/// `0.8s`, `12s`, `15m`, `1h05m`, `3d02h`
fn shown(micros: i64) -> String {
    let secs = micros / 1_000_000;
    match secs {
        ..10 => format!("{:.1}s", seconds(micros)),
        10..120 => format!("{secs}s"),
        120..3_600 if secs % 60 == 0 => format!("{}m", secs / 60),
        120..3_600 => format!("{}m{:02}s", secs / 60, secs % 60),
        3_600..86_400 => format!("{}h{:02}m", secs / 3_600, secs % 3_600 / 60),
        86_400.. => format!("{}d{:02}h", secs / 86_400, secs % 86_400 / 3_600),
    }
}

/// `3 (0.43 %)`; zero is told as what it rules out with 95 % confidence.
#[expect(clippy::cast_precision_loss, reason = "entries of a ledger are far below 2^52")]
fn share(count: u64, of: u64) -> String {
    match (count, of) {
        (_, 0) => "-".to_owned(),
        (0, of) => format!("0 (< {:.2} %)", (300.0 / of as f64).min(100.0)),
        (count, of) => format!("{count} ({:.2} %)", 100.0 * count as f64 / of as f64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::lateness::Sample;

    #[test]
    fn figures_are_told_as_far_as_entries_carry_them() {
        let sample = |secs: i64| {
            let at_most = secs * 1_000_000;
            Sample { at_least: at_most, at_most, is_swept: secs > 290 }
        };
        let curve: Curve = (1..=300).map(sample).collect();
        let learnt = Learnt { overlap_secs: 900, entries: 300, swept: 10, ..Learnt::default() };
        let row = ("production".to_owned(), learnt, curve);
        let expected = [
            "production",
            "300",
            "2m30s",
            "4m30s",
            "4m45s",
            "4m57s",
            "-",
            "5m",
            "10 (3.33 %)",
            "15m",
        ];
        assert_eq!(cells(&row), expected);
        let value = json(&row);
        assert_eq!((&value["p99_s"], &value["p99.5_s"]), (&json!(297.0), &json!(null)));
        assert_eq!(value["later_than_overlap"], 0);
    }

    #[test]
    fn durations_are_short() {
        for (secs, text) in
            [(0, "0.0s"), (59, "59s"), (900, "15m"), (3_900, "1h05m"), (266_400, "3d02h")]
        {
            assert_eq!(shown(secs * 1_000_000), text);
        }
        assert_eq!(shown(800_000), "0.8s");
        assert_eq!((share(0, 600), share(0, 0)), ("0 (< 0.50 %)".to_owned(), "-".to_owned()));
    }
}
