use super::*;

#[derive(Clone, Debug)]
struct Entry {
    key: String,
    details: &'static str,
    category: &'static str,
    wire_category: &'static str,
}

fn entries(count: usize, with_details: impl Fn(usize) -> bool) -> Vec<Entry> {
    let entry = |n: usize| {
        let (category, wire_category) = [
            ("user_management", "User Management"),
            ("storage_settings", "Storage settings"),
            ("firmware", "Firmware"),
        ][n % 3];
        let details = if with_details(n) { "true" } else { "false" };
        Entry { key: format!("e{n}"), details, category, wire_category }
    };
    (0..count).map(entry).collect()
}

/// Answers as the source does: filtered, capped, in another order each time.
fn answer(entries: &[Entry], question: &Question, turn: usize) -> Answer {
    let matches = |entry: &&Entry| {
        question.narrow.split(" and ").filter(|term| !term.is_empty()).all(|term| {
            term.contains(&format!("'{}'", entry.details))
                || (term.starts_with("category")
                    && term.contains(&format!("'{}'", entry.wire_category)))
        })
    };
    let mut found: Vec<&Entry> = entries.iter().filter(matches).collect();
    let total = found.len().min(10_000);
    if !found.is_empty() {
        let by = turn % found.len();
        found.rotate_left(by);
    }
    let end = usize::try_from(question.offset).unwrap() + question.limit as usize;
    let from = usize::try_from(question.offset).unwrap().min(total);
    let page = &found[from..end.min(total)];
    Answer {
        keys: page.iter().map(|entry| entry.key.clone()).collect(),
        categories: page.iter().map(|entry| entry.category.to_owned()).collect(),
        regions: BTreeSet::new(),
        total: total as u64,
    }
}

/// Reads to the end; gives the entries found, the requests and the verdict.
fn read(
    limit: u32,
    mut ask: impl FnMut(&Question, usize) -> Answer,
) -> (usize, usize, Result<(), &'static str>) {
    let mut crowd = Crowd::new(limit);
    let (mut found, mut turn) = (0, 0);
    while let Some(question) = crowd.next_question() {
        turn += 1;
        found += crowd.take(ask(&question, turn)).len();
        assert!(turn <= MAX_REQUESTS as usize, "it does not end");
    }
    (found, turn, crowd.finish())
}

#[test]
fn a_second_with_a_few_pages_is_read_until_two_passes_add_nothing() {
    let all = entries(450, |_| false);
    let (found, requests, verdict) = read(100, |question, _| answer(&all, question, 0));
    assert_eq!((found, requests, verdict), (450, 15, Ok(())));
}

#[test]
fn ties_in_another_order_every_time_lose_nothing() {
    let all = entries(450, |_| false);
    let (found, _, verdict) = read(100, |question, turn| answer(&all, question, turn * 37));
    assert_eq!((found, verdict), (450, Ok(())));
}

#[test]
fn replicas_that_answer_by_turns_lose_nothing() {
    for count in [63, 150, 190] {
        let all = entries(count, |_| false);
        let backwards: Vec<Entry> = all.iter().rev().cloned().collect();
        let (found, _, verdict) = read(50, |question, turn| {
            answer(if turn % 2 == 0 { &all } else { &backwards }, question, 0)
        });
        assert_eq!((found, verdict), (count, Ok(())));
    }
}

#[test]
fn entries_that_turn_up_while_it_is_read_are_in() {
    let all = entries(300, |_| false);
    let (found, _, verdict) =
        read(100, |question, turn| answer(&all[..(250 + turn * 10).min(300)], question, 0));
    assert_eq!((found, verdict), (300, Ok(())));
}

#[test]
fn twelve_thousand_in_a_second_are_told_apart_by_details() {
    let all = entries(12_000, |n| n % 2 == 0);
    let (found, requests, verdict) = read(2_000, |question, _| answer(&all, question, 0));
    assert_eq!((found, verdict), (12_000, Ok(())));
    assert!(requests < 40, "{requests}");
}

#[test]
fn twelve_thousand_without_details_are_told_apart_by_category() {
    let all = entries(12_000, |_| false);
    let (found, _, verdict) = read(2_000, |question, _| answer(&all, question, 0));
    assert_eq!((found, verdict), (12_000, Ok(())));
}

#[test]
fn what_cannot_be_told_apart_stays_incomplete() {
    let mut all = entries(12_000, |_| false);
    for entry in &mut all {
        (entry.category, entry.wire_category) = ("firmware", "Firmware");
    }
    let (found, _, verdict) = read(2_000, |question, _| answer(&all, question, 0));
    assert_eq!(found, 10_000);
    assert!(verdict.is_err());
}

#[test]
fn an_entry_that_no_narrowing_finds_again_keeps_the_second_incomplete() {
    let mut all = entries(12_000, |n| n % 2 == 0);
    all[0].details = "absent";
    let (_, _, verdict) = read(2_000, |question, _| answer(&all, question, 0));
    assert!(verdict.is_err());
}

#[test]
fn a_source_that_ignores_the_offset_comes_to_an_end() {
    let all = entries(300, |_| false);
    for shuffle in [0, 7] {
        let (_, requests, verdict) = read(100, |question, turn| {
            answer(&all[..100], &Question { offset: 0, ..question.clone() }, turn * shuffle)
                .with_total(300)
        });
        assert!(verdict.is_err() && requests <= 24, "{requests}");
    }
}

#[test]
fn a_source_that_counts_more_than_it_shows_comes_to_an_end() {
    let all = entries(250, |_| false);
    let (found, _, verdict) = read(100, |question, _| answer(&all, question, 0).with_total(251));
    assert_eq!(found, 250);
    assert!(verdict.is_err());
}

#[test]
fn no_page_reaches_over_the_cap() {
    let all = entries(12_000, |n| n % 2 == 0);
    let (.., verdict) = read(300, |question, _| {
        assert!(question.offset + u64::from(question.limit) <= TOTAL_CAP);
        answer(&all, question, 0)
    });
    assert_eq!(verdict, Ok(()));
}

impl Answer {
    fn with_total(mut self, total: u64) -> Self {
        self.total = total;
        self
    }
}
