//! Which events a command is about: the same words wherever events are chosen.

use clap::Args;

use crate::cli::exit::Failure;
use crate::cli::when;
use crate::model::clock::Clock;
use crate::model::event::Route;
use crate::storage::HistoryFilter;

/// When events happened.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct SpanArgs {
    /// Happened since: 24h, 2026-11-21 or 2026-11-21T08:00:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Happened before
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
}

/// What events are like.
#[derive(Args, Clone, Debug, Default)]
pub(super) struct MatchArgs {
    /// Of this source, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Of this category: `user_management` or "User Management"
    #[arg(long)]
    category: Option<String>,
    /// By this user; a part of the name is enough
    #[arg(long)]
    user: Option<String>,
    /// With this text in the description or the data
    #[arg(long)]
    text: Option<String>,
    /// That came first by this route
    #[arg(long, value_parser = ["poll", "push"])]
    route: Option<String>,
}

impl SpanArgs {
    /// `filter` within this time.
    pub(super) fn narrow(&self, filter: HistoryFilter) -> Result<HistoryFilter, Failure> {
        let now = Clock::system().now();
        let instant = |text: &Option<String>| {
            text.as_deref().map(|text| when::instant(text, now)).transpose().map_err(Failure::usage)
        };
        Ok(HistoryFilter { from: instant(&self.since)?, until: instant(&self.until)?, ..filter })
    }
}

impl MatchArgs {
    /// The filter, of all time.
    pub(super) fn filter(&self) -> HistoryFilter {
        HistoryFilter {
            source: self.source.clone(),
            category: self.category.as_deref().map(normalised),
            user: self.user.clone(),
            text: self.text.clone(),
            route: self.route.as_deref().and_then(|text| text.parse::<Route>().ok()),
            ..HistoryFilter::default()
        }
    }
}

/// The ledger's form of a category that was written as GreenLake's console shows it.
fn normalised(category: &str) -> String {
    category.trim().to_lowercase().replace(' ', "_")
}

/// The filter in words: `since 2026-11-21T08:00:00Z, category user_management`; empty for
/// everything.
pub(super) fn describe(filter: &HistoryFilter) -> String {
    let HistoryFilter { from, until, source, category, user, text, route, id, .. } = filter;
    let parts = [
        id.as_ref().map(|id| format!("event {id}")),
        from.map(|at| format!("since {at}")),
        until.map(|at| format!("until {at}")),
        source.as_ref().map(|source| format!("source {source}")),
        category.as_ref().map(|category| format!("category {category}")),
        user.as_ref().map(|user| format!("user {user}")),
        text.as_ref().map(|text| format!("text {text:?}")),
        route.map(|route| format!("route {route}")),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::timestamp::Timestamp;

    #[test]
    fn categories_are_found_however_they_are_written() {
        for text in ["user_management", "User Management", " USER MANAGEMENT "] {
            assert_eq!(normalised(text), "user_management");
        }
    }

    #[test]
    fn a_filter_is_told_in_the_words_of_the_command_line() {
        let span = SpanArgs { since: Some("2026-11-21".to_owned()), until: None };
        let category = Some("User Management".to_owned());
        let matching = MatchArgs { category, text: Some("a b".to_owned()), ..Default::default() };
        let filter = span.narrow(matching.filter()).expect("it makes sense");
        assert_eq!(filter.from, Timestamp::parse_rfc3339("2026-11-21T00:00:00Z"));
        let words = describe(&filter);
        assert!(words.starts_with("since 2026-11-21T00:00:00"), "{words}");
        assert!(words.ends_with("Z, category user_management, text \"a b\""), "{words}");
        assert_eq!(describe(&HistoryFilter::default()), "");
        let nonsense = SpanArgs { since: Some("yesterday".to_owned()), until: None };
        assert!(nonsense.narrow(HistoryFilter::default()).is_err());
    }
}
