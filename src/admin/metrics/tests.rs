use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::admin::running::{Polled, Pushed, Running, RunningSource};
use crate::config::Schedule;
use crate::model::lateness::Learnt;
use crate::model::timestamp::Timestamp;
use crate::storage::{Figures, SourceFigures, TargetFigures, TargetState};

const NOW: Now =
    Now { at: Timestamp::from_secs(1_750_000_000), uptime: Duration::from_secs(10_000) };

fn running() -> Running {
    let poll = Polled {
        schedule: Schedule::Interval(Duration::from_secs(30)),
        jitter: Duration::ZERO,
        since: Duration::from_mins(150),
        fresh_at: None,
        trouble: None,
        polls: vec![("complete", 0), ("throttled", 0)],
        requests: vec![("complete", 0)],
        new_events: 0,
        token_dies_at: None,
    };
    let push = Pushed { answers: vec![(202, 0), (401, 0)], new_events: 0 };
    let name = "production".to_owned();
    Running {
        sources: vec![RunningSource { name, poll: Some(poll), push: Some(push) }],
        targets: vec!["siem".to_owned()],
        min_free: 1_000,
        is_config_refused: false,
    }
}

/// A ledger in which everything has happened.
fn busy() -> Figures {
    let ago = |secs| Some(NOW.at.minus(Duration::from_secs(secs)));
    let learnt = Learnt {
        overlap_secs: 900,
        at: NOW.at,
        entries: 700,
        quantile: Some(31_500_000),
        swept: 3,
        late_since: ago(60),
        within: (0..16).map(|bound| bound * 40).collect(),
    };
    let source = SourceFigures {
        name: "production".to_owned(),
        watermark: ago(900),
        asked_at: ago(2),
        learnt: Some(learnt),
        push_since: ago(500),
        heard_at: ago(40),
        silent_since: ago(10),
        missed_by_push: 5,
        missed_by_poll: 6,
    };
    let target = TargetFigures {
        name: "siem".to_owned(),
        state: TargetState::Failing,
        pending: 9,
        pending_since: ago(120),
        dead: 2,
        delivered_total: 1_000,
        dead_total: 4,
        last_delivered_at: ago(121),
    };
    let gone = TargetFigures { name: "gone".to_owned(), ..target.clone() };
    let other = SourceFigures { name: "earlier".to_owned(), ..source.clone() };
    Figures {
        sources: vec![other, source],
        targets: vec![gone, target],
        events: 1_009,
        quarantined: 1,
        file_bytes: 4_096,
        wal_bytes: 1,
        free_bytes: Some(10_000),
    }
}

fn written(running: &Running, figures: Option<&Figures>) -> String {
    let mut families = instance::families(running, NOW.at, NOW);
    families.extend(ledger::families(running, figures, NOW.at));
    families.retain(|family| !family.get_metric().is_empty());
    TextEncoder::new().encode_to_string(&families).unwrap()
}

/// Names and labels of all samples.
fn labels(text: &str) -> BTreeSet<&str> {
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.map(|line| line.rsplit_once(' ').expect("a value").0).collect()
}

#[test]
fn labels_that_have_drained_show_0_and_do_not_vanish() {
    let (idle, running) = (Figures::default(), running());
    let [empty, full] = [&idle, &busy()].map(|figures| written(&running, Some(figures)));
    assert_eq!(labels(&empty), labels(&full));
    for line in [
        "tailwater_target_pending_deliveries{target=\"siem\"} 0",
        "tailwater_target_oldest_pending_seconds{target=\"siem\"} 0",
        "tailwater_target_state{target=\"siem\",state=\"active\"} 1",
        "tailwater_source_missed_total{source=\"production\",missed_by=\"poll\"} 0",
        "tailwater_source_polls_total{source=\"production\",outcome=\"throttled\"} 0",
        "tailwater_source_pushes_total{source=\"production\",status=\"401\"} 0",
        "tailwater_source_lateness_p995_seconds{source=\"production\"} NaN",
        "tailwater_source_poll_age_seconds{source=\"production\"} 1000",
        "tailwater_source_ready{source=\"production\"} 0",
    ] {
        assert!(empty.lines().any(|other| other == line), "{line}\n{empty}");
    }
}

#[test]
fn each_figure_is_what_the_ledger_says() {
    let full = written(&running(), Some(&busy()));
    for line in [
        "tailwater_ledger_events_total 1009",
        "tailwater_ledger_wal_bytes 1",
        "tailwater_source_watermark_age_seconds{source=\"production\"} 900",
        "tailwater_source_certainty_age_seconds{source=\"production\"} 2",
        "tailwater_source_overlap_seconds{source=\"production\"} 900",
        "tailwater_source_late{source=\"production\"} 1",
        "tailwater_source_lateness_p995_seconds{source=\"production\"} 31.5",
        "tailwater_source_lateness_curve_entries{source=\"production\",le=\"5\"} 80",
        "tailwater_source_lateness_curve_entries{source=\"production\",le=\"+Inf\"} 700",
        "tailwater_source_push_silence_seconds{source=\"production\"} 40",
        "tailwater_source_push_silent{source=\"production\"} 1",
        "tailwater_source_missed_total{source=\"production\",missed_by=\"push\"} 5",
        "tailwater_target_pending_deliveries{target=\"siem\"} 9",
        "tailwater_target_oldest_pending_seconds{target=\"siem\"} 120",
        "tailwater_target_state{target=\"siem\",state=\"active\"} 0",
        "tailwater_target_state{target=\"siem\",state=\"failing\"} 1",
        "tailwater_target_dead_letters{target=\"siem\"} 2",
        "tailwater_target_dead_total{target=\"siem\"} 4",
        "# TYPE tailwater_target_delivered_total counter",
        "# HELP tailwater_target_pending_deliveries Deliveries owed.",
    ] {
        assert!(full.lines().any(|other| other == line), "{line}\n{full}");
    }
    assert!(
        !full.contains("target=\"gone\"") && !full.contains("earlier"),
        "only what is configured"
    );
}

#[test]
fn a_ledger_that_cannot_be_read_is_told_and_hides_nothing_else() {
    let text = written(&running(), None);
    assert!(text.contains("\ntailwater_ledger_readable 0\n"), "{text}");
    assert!(text.contains("\ntailwater_source_ready{"), "{text}");
}

#[test]
fn names_and_helps_keep_to_the_rules() {
    let all: Vec<_> = instance::ALL.iter().chain(ledger::ALL).collect();
    let names: BTreeSet<&str> = all.iter().map(|family| family.name).collect();
    assert_eq!(names.len(), all.len());
    for family in all {
        let is_counter = family.kind == family::Kind::Counter;
        assert_eq!(is_counter, family.name.ends_with("_total"), "{}", family.name);
        assert!(family.help.trim().ends_with('.') && !family.help.contains('\n'));
    }
    let text = written(&running(), Some(&busy()));
    for name in &names {
        assert!(
            text.contains(&format!("\n# TYPE {name} "))
                || text.contains(&format!("# HELP {name} ")),
            "{name}"
        );
    }
}

#[test]
fn the_page_names_exactly_these_metrics() {
    let page = include_str!("../../../docs/metrics.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `"));
    let told: BTreeSet<(&str, &str)> = rows
        .filter_map(|row| {
            let (name, rest) = row.split_once('`')?;
            let kind = rest.strip_prefix(" | ")?.split(' ').next()?;
            Some((name.split('{').next()?, kind)).filter(|(name, _)| name.starts_with("tailwater_"))
        })
        .collect();
    let kind = |kind| if kind == family::Kind::Counter { "counter" } else { "gauge" };
    let exposed: BTreeSet<(&str, &str)> = instance::ALL
        .iter()
        .chain(ledger::ALL)
        .map(|family| (family.name, kind(family.kind)))
        .collect();
    assert_eq!(told, exposed);
    let used = page.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
    for name in used.filter(|word| word.starts_with("tailwater_")) {
        assert!(exposed.iter().any(|(known, _)| *known == name), "the page names {name}");
    }
}
