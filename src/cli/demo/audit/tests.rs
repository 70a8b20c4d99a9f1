use super::*;

const START: Timestamp = Timestamp::from_secs(1_000);

/// Evidence of `count` entries that came everywhere by both routes, 100 ms after they
/// happened.
pub(in crate::cli::demo) fn perfect(count: usize) -> Evidence {
    let made: Vec<Made> = (0..count)
        .map(|number| Made { id: format!("id-{number:03}"), created_at: START, visible_at: START })
        .collect();
    let ids = || made.iter().map(|made| made.id.clone());
    let arrived_at = START.plus(Duration::from_millis(100));
    let n = count as u64;
    let witness = |name, format| Witness {
        name,
        format,
        arrivals: ids().map(|id| (id, arrived_at)).collect(),
        report: Report { requests: n, events: n, distinct: n, ..Report::default() },
    };
    Evidence {
        stored: ids().map(|id| Stored { id, by: By::Both { lead_ms: 400 } }).collect(),
        to_push: Some(n),
        targets: vec![
            witness("siem", "structured"),
            witness("archive", "binary"),
            witness("flaky", "structured"),
        ],
        made,
    }
}

fn both(id: &str) -> Stored {
    Stored { id: id.to_owned(), by: By::Both { lead_ms: 1 } }
}

fn lost(ids: &[&str]) -> Differences {
    Differences { lost: ids.iter().map(ToString::to_string).collect(), unknown: Vec::new() }
}

#[test]
fn a_perfect_run_is_clean() {
    let audit = Audit::of(&perfect(3));
    assert!(audit.is_clean());
    assert_eq!((audit.made, audit.ledger.events, audit.targets[0].different), (3, 3, 3));
    assert!(Audit::of(&perfect(0)).is_clean());
}

#[test]
fn an_entry_that_is_not_in_the_ledger_is_lost() {
    let mut evidence = perfect(3);
    evidence.stored.remove(1);

    let audit = Audit::of(&evidence);

    assert_eq!(audit.ledger.differences, lost(&["id-001"]));
    assert!(!audit.is_clean());
}

#[test]
fn an_entry_that_one_target_does_not_have_is_lost_there_alone() {
    let mut evidence = perfect(3);
    evidence.targets[2].arrivals.remove("id-002");
    // Counts that look right do not help: the ids decide.
    evidence.targets[2].report.events = 3;

    let audit = Audit::of(&evidence);

    assert_eq!(audit.targets[2].differences, lost(&["id-002"]));
    assert!(audit.targets[0].is_clean() && audit.targets[1].is_clean() && !audit.is_clean());
}

#[test]
fn equal_numbers_of_other_ids_are_no_success() {
    let mut evidence = perfect(2);
    evidence.stored[0].id = "invented".to_owned();
    let at = evidence.targets[0].arrivals.remove("id-000").unwrap();
    evidence.targets[0].arrivals.insert("invented".to_owned(), at);

    let audit = Audit::of(&evidence);

    let expected =
        Differences { lost: vec!["id-000".to_owned()], unknown: vec!["invented".to_owned()] };
    assert_eq!(audit.ledger.differences, expected);
    assert_eq!(audit.targets[0].differences, expected);
}

#[test]
fn an_unknown_event_alone_is_a_fault() {
    let mut evidence = perfect(2);
    evidence.targets[1].arrivals.insert("invented".to_owned(), START);
    assert!(!Audit::of(&evidence).is_clean());
    let mut evidence = perfect(2);
    evidence.stored.push(both("invented"));
    assert!(!Audit::of(&evidence).is_clean());
}

#[test]
fn the_ledger_may_hold_nothing_twice_and_a_target_may() {
    let mut evidence = perfect(3);
    evidence.targets[2].report.repeats = 7;
    evidence.targets[2].report.events += 7;
    assert!(Audit::of(&evidence).is_clean());
    evidence.stored.push(both("id-001"));
    let audit = Audit::of(&evidence);
    assert_eq!(audit.ledger.twice, ["id-001"]);
    assert!(!audit.is_clean());
}

#[test]
fn bad_signatures_and_what_is_no_event_are_faults() {
    let spoil: [fn(&mut Report); 5] = [
        |report| report.signatures_bad = 1,
        |report| report.signatures_missing = 1,
        |report| report.unreadable = 1,
        |report| report.plain = 1,
        // One id under two sources.
        |report| report.distinct += 1,
    ];
    for (number, spoil) in spoil.into_iter().enumerate() {
        let mut evidence = perfect(3);
        spoil(&mut evidence.targets[0].report);
        assert!(!Audit::of(&evidence).is_clean(), "{number}");
    }
}

#[test]
fn waiting_starts_when_the_entry_happens() {
    let mut evidence = perfect(10);
    for made in &mut evidence.made {
        made.visible_at = START.plus(Duration::from_millis(60));
    }
    evidence.targets[0].arrivals.insert("invented".to_owned(), START);

    let audit = Audit::of(&evidence);

    let expected = Spread { count: 10, p50: Some(Duration::from_millis(100)), p99: None };
    assert_eq!(audit.targets[0].since_made, expected);
}

#[test]
fn either_route_has_to_show_what_it_was_to_show() {
    for (spoil, is_clean) in [
        ((|_| {}) as fn(&mut Evidence), true),
        (|evidence| evidence.stored[0].by = By::Poll, false),
        (|evidence| evidence.stored[0].by = By::Push, false),
        (
            |evidence| {
                evidence.stored[0].by = By::Poll;
                evidence.to_push = Some(8);
            },
            true,
        ),
        (|evidence| evidence.to_push = Some(8), false),
    ] {
        let mut evidence = perfect(9);
        spoil(&mut evidence);
        let audit = Audit::of(&evidence);
        assert_eq!(audit.is_clean(), is_clean, "{:?}", audit.routes);
    }
}

#[test]
fn who_was_first_and_by_how_much_is_counted() {
    let mut evidence = perfect(7);
    for (stored, lead_ms) in evidence.stored.iter_mut().zip([-5, 900, 0, 300, 200]) {
        stored.by = By::Both { lead_ms };
    }
    let found = Audit::of(&evidence).routes;
    let expected = Routes {
        both: 7,
        push_first: 5,
        poll_first: 1,
        lead_ms: Some(300),
        to_push: Some(7),
        ..Routes::default()
    };
    assert_eq!(found, expected);
    assert_eq!(Audit::of(&perfect(4)).routes.lead_ms, None, "too few to tell");
}

#[test]
fn late_is_what_is_visible_after_more_than_a_second() {
    let mut evidence = perfect(3);
    evidence.made[0].visible_at = START.plus(LATE_FROM);
    evidence.made[1].visible_at = START.plus(2 * LATE_FROM);
    assert_eq!(Audit::of(&evidence).late, 1);
}

#[test]
fn quantiles_are_told_only_where_there_are_enough() {
    let spread = |count: u64| Spread::of((1..=count).rev().map(Duration::from_millis).collect());
    for (count, p50, p99) in [
        (0, None, None),
        (4, None, None),
        (5, Some(3), None),
        (298, Some(149), None),
        (299, Some(150), Some(297)),
        (1_000, Some(500), Some(990)),
    ] {
        let expected = Spread {
            count,
            p50: p50.map(Duration::from_millis),
            p99: p99.map(Duration::from_millis),
        };
        assert_eq!(spread(count), expected);
    }
    let found = Quantiles { count: 298, p50_ms: 1.5, p99_ms: 9.0, ..Quantiles::default() };
    let expected = Spread { count: 298, p50: Some(Duration::from_micros(1_500)), p99: None };
    assert_eq!(Spread::of_quantiles(found), expected);
}
