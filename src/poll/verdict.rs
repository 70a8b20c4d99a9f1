//! What one answer proves about the stretch that was asked for.

use std::collections::HashSet;

use crate::greenlake::Page;
use crate::model::coverage::Span;

/// Where the source stops counting: `total` says this for every larger number.
/// (HPE developer portal, audit logs v2beta1; taken to hold for v1, too.)
pub const TOTAL_CAP: u64 = 10_000;

/// What an answer to a question from offset 0 comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Every entry of the stretch is in it.
    Whole,
    /// The stretch holds more than the page: `None` when more than the source counts.
    Crowded(Option<u64>),
    /// So many entries lie outside of what was asked for: the filter was not obeyed.
    Outside(u64),
    /// It contradicts itself, in words.
    Contradictory(String),
}

/// Judges `page`, asked for `span` with offset 0. `remainingRecords` is not looked at:
/// the vendor's own sample contradicts its description.
#[must_use]
pub fn judge(span: Span, page: &Page) -> Verdict {
    let outside = count_outside(span, page);
    if outside > 0 {
        return Verdict::Outside(outside);
    }
    let items = read(page);
    if page.count != items {
        let count = page.count;
        return Verdict::Contradictory(format!("count is {count}, but {items} entries came"));
    }
    let total = page.total;
    if items < total && items > 0 {
        return Verdict::Crowded(Some(total).filter(|total| *total < TOTAL_CAP));
    }
    if items != total {
        return Verdict::Contradictory(format!("total is {total}, but {items} entries came"));
    }
    if u64::try_from(keys(page).collect::<HashSet<_>>().len()) != Ok(items) {
        return Verdict::Contradictory("the same entry came twice in one answer".to_owned());
    }
    Verdict::Whole
}

/// Entries of `page` that were not created within `span`.
#[must_use]
pub fn count_outside(span: Span, page: &Page) -> u64 {
    let outside = page.events.iter().filter(|event| !span.contains(event.occurred_at.secs()));
    outside.fold(0, |count, _| count + 1)
}

/// Entries that came, readable or not.
#[must_use]
pub fn read(page: &Page) -> u64 {
    u64::try_from(page.events.len() + page.unreadable.len()).unwrap_or(u64::MAX)
}

/// What tells one entry from another: its id, or for one that cannot be read its text.
pub fn keys(page: &Page) -> impl Iterator<Item = &str> {
    let ids = page.events.iter().map(|event| event.envelope.id.as_str());
    ids.chain(page.unreadable.iter().map(|item| item.raw.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::poll::fake::{make_event, make_page};

    const SPAN: Span = Span::new(100, 110);

    #[test]
    fn only_an_answer_that_adds_up_is_whole() {
        let crowded = |total| Verdict::Crowded(total);
        let table = [
            (0, 0, 0, Some(Verdict::Whole)),
            (3, 3, 3, Some(Verdict::Whole)),
            (3, 3, 4, Some(crowded(Some(4)))),
            (3, 3, TOTAL_CAP - 1, Some(crowded(Some(TOTAL_CAP - 1)))),
            (3, 3, TOTAL_CAP, Some(crowded(None))),
            (3, 4, 4, None),
            (3, 2, 3, None),
            (3, 0, 3, None),
            (3, 3, 2, None),
            (3, 3, 0, None),
            (0, 0, 5, None),
            (0, 5, 5, None),
        ];
        for (items, count, total, expected) in table {
            let events = (0..items).map(|n| make_event(&format!("e{n}"), 105)).collect();
            let verdict = judge(SPAN, &make_page(events, count, total));
            match expected {
                Some(expected) => assert_eq!(verdict, expected, "{items} {count} {total}"),
                None => assert!(matches!(verdict, Verdict::Contradictory(_)), "{verdict:?}"),
            }
        }
    }

    #[test]
    fn bounds_are_half_open_and_a_repeated_entry_is_noticed() {
        for (second, outside) in [(99, 1), (100, 0), (109, 0), (110, 1)] {
            let page = make_page(vec![make_event("a", second)], 1, 1);
            assert_eq!(count_outside(SPAN, &page), outside, "{second}");
        }
        let twice = make_page(vec![make_event("a", 105), make_event("a", 105)], 2, 2);
        assert!(matches!(judge(SPAN, &twice), Verdict::Contradictory(_)));
    }

    #[test]
    fn an_unreadable_entry_counts_as_one_that_came() {
        let mut page = make_page(vec![make_event("a", 105)], 2, 2);
        page.unreadable.push(crate::model::event::Unreadable {
            raw: "{}".to_owned(),
            reason: "no id".to_owned(),
        });
        assert_eq!(judge(SPAN, &page), Verdict::Whole);
    }
}
