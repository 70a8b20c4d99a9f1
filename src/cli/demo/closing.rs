//! The figures at the end, as lines for people. Pure.

use std::time::Duration;

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, ContentArrangement, Table};

use crate::cli::demo::audit::{Audit, Differences, P99_MIN, TargetAudit};
use crate::cli::demo::trouble::Sightings;
use crate::simulator::cloud::Served;
use crate::simulator::push::board::Pushed;

/// Ids that are listed of a kind; more help nobody.
const LISTED: usize = 5;

/// What else was counted.
pub(super) struct Figures {
    pub(super) polls: u64,
    /// The cloud's own counts.
    pub(super) served: Served,
    /// What it has pushed.
    pub(super) pushed: Pushed,
    pub(super) seen: Sightings,
}

/// Everything that is told at the end.
pub(super) struct Closing {
    pub(super) audit: Audit,
    pub(super) figures: Figures,
    /// Whether the bridge had nothing left to do.
    pub(super) is_drained: bool,
}

impl Closing {
    /// All lines, at most 80 columns wide.
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = self.counts();
        lines.push(String::new());
        lines.extend(self.targets());
        lines.push(String::new());
        lines.extend(self.latencies());
        lines.push(String::new());
        lines.extend(self.notes());
        lines.push(String::new());
        lines.extend(self.faults());
        lines.extend(self.audit.routes.sentence());
        lines.push(self.verdict());
        lines
    }

    fn counts(&self) -> Vec<String> {
        let Audit { made, late, ledger, .. } = &self.audit;
        let Differences { lost, unknown } = &ledger.differences;
        let Figures { served, pushed, .. } = &self.figures;
        let refused = served.log_requests.saturating_sub(served.pages);
        vec![
            format!(
                "cloud    {made} entries made, {late} of them visible more than a second later"
            ),
            format!(
                "polls    {}: {} requests, {} pages, {refused} refused; tokens: {}",
                self.figures.polls, served.log_requests, served.pages, served.tokens
            ),
            format!(
                "pushes   {}: {} taken, {} tried again; {} entries never sent, on purpose",
                pushed.requests, pushed.accepted, pushed.failed, pushed.withheld
            ),
            format!(
                "ledger   {} events: {} lost, {} unknown, {} twice",
                ledger.events,
                lost.len(),
                unknown.len(),
                ledger.twice.len()
            ),
        ]
    }

    fn targets(&self) -> Vec<String> {
        let headings =
            ["TARGET", "FORMAT", "REQUESTS", "DIFFERENT", "REPEATS", "LOST", "UNKNOWN", "SIGNED"];
        let row = |target: &TargetAudit| {
            vec![
                target.name.to_owned(),
                target.format.to_owned(),
                target.report.requests.to_string(),
                target.different.to_string(),
                target.report.repeats.to_string(),
                target.differences.lost.len().to_string(),
                target.differences.unknown.len().to_string(),
                signed(target),
            ]
        };
        table(&headings, 2, self.audit.targets.iter().map(row))
    }

    fn latencies(&self) -> Vec<String> {
        let headings = ["LATENCY", "N", "STORED→ p50", "p99", "MADE→ p50", "p99"];
        let row = |target: &TargetAudit| {
            let [stored, made] = [target.since_stored, target.since_made];
            vec![
                target.name.to_owned(),
                made.count.to_string(),
                shown(stored.p50),
                shown(stored.p99),
                shown(made.p50),
                shown(made.p99),
            ]
        };
        table(&headings, 1, self.audit.targets.iter().map(row))
    }

    /// What explains the figures.
    fn notes(&self) -> Vec<String> {
        let mut notes = vec![
            "STORED→ is from the ledger's record to the target, MADE→ from when the entry was"
                .to_owned(),
            "made: the cloud's time to push it (0 to 500 ms here), or the wait for a poll."
                .to_owned(),
        ];
        let seen = &self.figures.seen;
        if !seen.answers.is_empty() {
            let answers: Vec<String> = seen
                .answers
                .iter()
                .rev()
                .map(|(status, count)| match status {
                    Some(status) => format!("{count} × {status}"),
                    None => format!("{count} × no answer after taking the event"),
                })
                .collect();
            let about = if seen.is_partial { "at least " } else { "" };
            notes.push(format!("flaky, on purpose: {about}{}.", answers.join(", ")));
        }
        notes.extend(self.audit.targets.iter().filter_map(|target| self.repeats(target)));
        if self.audit.made > 0 && self.audit.targets.iter().any(TargetAudit::has_too_few) {
            notes.push(format!("- stands where there are too few to tell; a p99 needs {P99_MIN}."));
        }
        notes
    }

    fn repeats(&self, target: &TargetAudit) -> Option<String> {
        let repeats = target.report.repeats;
        let unanswered = self.figures.seen.answers.get(&None).copied().unwrap_or_default();
        if repeats == 0 {
            return None;
        }
        Some(if target.name == "flaky" && repeats <= unanswered {
            format!("flaky got {repeats} again after those missing answers, with the same ids.")
        } else {
            format!("{} got {repeats} again, more than missing answers explain.", target.name)
        })
    }

    /// What is wrong, with the first ids.
    fn faults(&self) -> Vec<String> {
        let ledger = &self.audit.ledger;
        let mut faults = differing("the ledger", &ledger.differences);
        faults.extend(listed("the ledger has twice", &ledger.twice));
        faults.extend(self.audit.routes.faults());
        for target in &self.audit.targets {
            faults.extend(differing(target.name, &target.differences));
            if target.bad_signatures() > 0 {
                let count = target.bad_signatures();
                faults.push(format!("{}: {count} requests not signed as they should", target.name));
            }
            if target.unusable() > 0 {
                let count = target.unusable();
                faults.push(format!("{}: {count} times no proper CloudEvent came", target.name));
            }
        }
        if !self.is_drained {
            faults.push("The bridge was not done when the demo stopped waiting for it.".to_owned());
        }
        faults
    }

    fn verdict(&self) -> String {
        if !self.audit.is_clean() {
            return "FAILED: what the cloud made is not what arrived.".to_owned();
        }
        match self.audit.made {
            0 => "Nothing was made, and nothing arrived.".to_owned(),
            made => format!(
                "All {made} entries are in the ledger, each once, and at every target: none lost."
            ),
        }
    }
}

fn signed(target: &TargetAudit) -> String {
    match (target.report.signatures_good, target.bad_signatures()) {
        (0, 0) => "-".to_owned(),
        (good, 0) => format!("{good} ok"),
        (_, bad) => format!("{bad} BAD"),
    }
}

fn differing(who: &str, differences: &Differences) -> Vec<String> {
    let lost = listed(&format!("{who} lacks"), &differences.lost);
    let unknown = listed(&format!("{who} has what was never made:"), &differences.unknown);
    lost.into_iter().chain(unknown).collect()
}

/// `the ledger lacks 7: a b c d e …`
fn listed(what: &str, ids: &[String]) -> Option<String> {
    // An unknown id is anybody's text: no escape code may act on a terminal.
    let shown = |id: &String| id.replace(char::is_control, "?");
    let first: Vec<String> = ids.iter().take(LISTED).map(shown).collect();
    let more = if ids.len() > LISTED { " …" } else { "" };
    (!ids.is_empty()).then(|| format!("{what} {}: {}{more}", ids.len(), first.join(" ")))
}

fn table(headings: &[&str], texts: usize, rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings);
    table.add_rows(rows);
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((u16::from(index > 0), 1));
        if index >= texts {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// `8.1 ms`, `512 ms`, `1.20 s`; `-` where there are not enough measurements.
pub(super) fn shown(duration: Option<Duration>) -> String {
    let Some(duration) = duration else { return "-".to_owned() };
    let millis = duration.as_secs_f64() * 1_000.0;
    if millis < 9.95 {
        format!("{millis:.1} ms")
    } else if millis < 999.5 {
        format!("{millis:.0} ms")
    } else {
        format!("{:.2} s", duration.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::demo::audit::Evidence;
    use crate::cli::demo::audit::tests::perfect;
    use crate::cli::demo::routes::By;
    use crate::model::timestamp::Timestamp;

    const SERVED: Served = Served {
        token_requests: 3,
        tokens: 3,
        log_requests: 27,
        pages: 24,
        unauthorized: 1,
        throttled: 1,
        bytes: 1,
    };

    fn closing(evidence: &Evidence) -> Closing {
        let mut seen = Sightings::default();
        seen.answers.extend([(None, 2), (Some(429), 1), (Some(503), 9)]);
        let pushed = Pushed { requests: 30, accepted: 30, ..Pushed::default() };
        let figures = Figures { polls: 20, served: SERVED, pushed, seen };
        Closing { audit: Audit::of(evidence), figures, is_drained: true }
    }

    fn text(closing: &Closing) -> String {
        closing.lines().join("\n")
    }

    #[test]
    fn a_clean_run_says_so_and_fits_the_terminal() {
        let mut evidence = perfect(123_456);
        evidence.targets[0].report.signatures_good = 123_456;
        evidence.targets[2].report.repeats = 2;

        let closing = closing(&evidence);

        let text = text(&closing);
        assert!(text.contains("123456 events: 0 lost, 0 unknown, 0 twice"), "{text}");
        assert!(text.contains("20: 27 requests, 24 pages, 3 refused"), "{text}");
        let sentence = "Push was first for 100 % of 123456, by a median of 400 ms; polling";
        assert!(text.contains(sentence), "{text}");
        assert!(text.contains("9 × 503, 1 × 429, 2 × no answer"), "{text}");
        assert!(text.contains("flaky got 2 again after those missing answers"), "{text}");
        assert!(text.ends_with("none lost."), "{text}");
        assert!(closing.lines().iter().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn what_is_lost_and_unknown_is_listed() {
        let mut evidence = perfect(9);
        evidence.stored.remove(0);
        evidence.targets[2].arrivals.clear();
        evidence.targets[1].arrivals.insert("bad\u{1b}[31m".to_owned(), Timestamp::default());
        evidence.stored[1].by = By::Push;

        let text = text(&Closing { is_drained: false, ..closing(&evidence) });

        assert!(text.contains("the ledger lacks 1: id-000\n"), "{text}");
        assert!(text.contains("flaky lacks 9: id-000 id-001 id-002 id-003 id-004 …\n"), "{text}");
        assert!(text.contains("archive has what was never made: 1: bad?[31m\n"), "{text}");
        assert!(text.contains("polling has not shown 1 that were pushed"), "{text}");
        assert!(text.contains("8 were seen by push, and 9 were sent"), "{text}");
        assert!(text.contains("was not done"), "{text}");
        assert!(text.contains("FAILED"), "{text}");
    }

    #[test]
    fn repeats_that_no_lost_answer_explains_are_not_explained_away() {
        let mut evidence = perfect(9);
        evidence.targets[2].report.repeats = 3;
        evidence.targets[0].report.repeats = 1;
        let text = text(&closing(&evidence));
        assert!(text.contains("flaky got 3 again, more than"), "{text}");
        assert!(text.contains("siem got 1 again, more than"), "{text}");
    }

    #[test]
    fn durations_have_two_or_three_digits() {
        for (micros, expected) in
            [(400, "0.4 ms"), (9_949, "9.9 ms"), (12_345, "12 ms"), (999_600, "1.00 s")]
        {
            assert_eq!(shown(Some(Duration::from_micros(micros))), expected);
        }
        assert_eq!(shown(None), "-");
    }
}
