//! The store against a model that looks at every entry every time.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::*;
use crate::simulator::entry::Workspace;
use crate::simulator::filter::{Version, parse};

const START: i64 = 1_700_000_000;

fn workspace() -> Workspace {
    Workspace { id: "w".to_owned(), name: "W".to_owned(), kind: "STANDALONE".to_owned() }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(START * 1_000_000 + millis * 1_000)
}

fn selection(filter: &str) -> Selection {
    Selection::new(Version::V1, parse(Version::V1, filter).unwrap(), &workspace())
}

fn filter(from: i64, until: i64) -> String {
    format!("createdAt ge '{}' and createdAt lt '{}'", at(from), at(until))
}

/// Creation and delay until visible in milliseconds, and whether it has details.
type Plan = (i64, i64, bool);

fn entries(plans: &[Plan]) -> Vec<Entry> {
    plans
        .iter()
        .enumerate()
        .map(|(number, (created, delay, has_details))| {
            let mut entry = Entry::new(&format!("{number:020}"), at(*created), "text");
            entry.visible_at = at(created + delay);
            entry.has_details = *has_details;
            entry
        })
        .collect()
}

proptest! {
    #[test]
    fn the_store_answers_like_the_model(
        plans in prop::collection::vec((0..20_000_i64, 0..30_000_i64, any::<bool>()), 0..60),
        moments in prop::collection::vec(0..60_000_i64, 1..5),
        (from, until) in (0..20_000_i64, 0..25_000_i64),
        (offset, limit) in (0..10_usize, 0..20_usize),
        only_detailed in any::<bool>(),
    ) {
        let all = entries(&plans);
        let mut store = Store::default();
        let mut text = filter(from, until);
        if only_detailed {
            text.push_str(" and hasDetails eq 'true'");
        }
        let mut asked = selection(&text);
        (asked.offset, asked.limit) = (offset, limit);
        let mut moments = moments;
        moments.sort_unstable();
        let mut rest = all.iter();
        for now in moments {
            for entry in rest.by_ref().take(20) {
                prop_assert!(store.insert(entry.clone()).is_some());
            }
            let inserted = all.len() - rest.len();
            let mut expected: Vec<(usize, &Entry)> = all[..inserted]
                .iter()
                .enumerate()
                .filter(|(_, e)| e.visible_at <= at(now))
                .filter(|(_, e)| e.created_at.truncated_to_second() >= at(from))
                .filter(|(_, e)| e.created_at.truncated_to_second() < at(until))
                .filter(|(_, e)| !only_detailed || e.has_details)
                .collect();
            expected.sort_by_key(|(number, e)| Reverse((e.created_at, *number)));
            let total = expected.len();
            let page: Vec<_> =
                expected.into_iter().map(|(_, e)| e).skip(offset).take(limit).collect();
            let found = store.select(&asked, at(now));
            prop_assert_eq!(found, Found { page, total, is_capped: false });
        }
    }
}

#[test]
fn nothing_is_found_beyond_the_result_window() {
    let mut store = Store::default();
    for entry in entries(&vec![(5, 0, false); RESULT_WINDOW + 1]) {
        assert!(store.insert(entry).is_some());
    }
    let mut asked = selection("");
    (asked.offset, asked.limit) = (RESULT_WINDOW - 3, 50);
    let found = store.select(&asked, at(10));
    assert_eq!((found.page.len(), found.total, found.is_capped), (3, RESULT_WINDOW, true));
    asked.offset = RESULT_WINDOW;
    assert!(store.select(&asked, at(10)).page.is_empty());
}

#[test]
fn times_are_compared_in_whole_seconds() {
    let mut store = Store::default();
    assert!(store.insert(entries(&[(5_720, 0, false)]).remove(0)).is_some());
    for (from, until, is_found) in [
        (5_000, 6_000, true),
        (5_100, 6_000, false),
        (4_000, 5_100, true),
        (4_000, 5_000, false),
        (6_000, 7_000, false),
    ] {
        let count = store.select(&selection(&filter(from, until)), at(60_000)).total;
        assert_eq!(count == 1, is_found, "{from}..{until}");
    }
}

#[test]
fn an_entry_is_found_by_id_once_it_is_visible() {
    let mut store = Store::default();
    assert!(store.insert(entries(&[(0, 500, false)]).remove(0)).is_some());
    let id = "00000000000000000000";
    assert!(store.find(id, at(499)).is_none());
    assert!(store.find(id, at(500)).is_some());
}
