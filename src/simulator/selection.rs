//! Which entries a request asks for.

use crate::model::timestamp::Timestamp;
use crate::simulator::entry::{Entry, PLATFORM_ID, Workspace};
use crate::simulator::filter::{Field, Operator, Term, Version};

/// Order of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// By creation, latest first: the only order of v1.
    NewestFirst,
    /// By creation, earliest first.
    OldestFirst,
    /// By category, A to Z.
    CategoryUp,
    /// By category, Z to A.
    CategoryDown,
}

/// Which entries are asked for, in which order, from which place on.
#[derive(Clone, Debug)]
pub struct Selection {
    /// First creation second, included.
    pub from: i64,
    /// Creation second, excluded.
    pub until: i64,
    /// Order of the answer.
    pub order: Order,
    /// Entries to skip.
    pub offset: usize,
    /// Entries to give at most.
    pub limit: usize,
    terms: Vec<Term>,
    text: Option<String>,
    workspace: Workspace,
}

impl Selection {
    /// All entries that `terms` of a request in `version` let through, newest first.
    ///
    /// Creation times are compared as they are shown, in whole seconds (which of the two
    /// the real service does is documented nowhere). v2beta1 without a `serviceOffer/id`
    /// means the platform's own entries.
    #[must_use]
    pub fn new(version: Version, terms: Vec<Term>, workspace: &Workspace) -> Self {
        let (times, mut terms): (Vec<_>, Vec<_>) =
            terms.into_iter().partition(|term| term.field == Field::CreatedAt);
        if version == Version::V2Beta1 && !terms.iter().any(|t| t.field == Field::ServiceId) {
            terms.push(Term {
                field: Field::ServiceId,
                operator: Operator::Eq,
                values: vec![PLATFORM_ID.to_owned()],
            });
        }
        let bounds = |operator| {
            times.iter().filter(move |term: &&Term| term.operator == operator).filter_map(|term| {
                Timestamp::parse_rfc3339(term.values.first()?).map(second_at_or_after)
            })
        };
        Self {
            from: bounds(Operator::Ge).max().unwrap_or(i64::MIN),
            until: bounds(Operator::Lt).min().unwrap_or(i64::MAX),
            order: Order::NewestFirst,
            offset: 0,
            limit: 50,
            terms,
            text: None,
            workspace: workspace.clone(),
        }
    }

    /// Lets through only entries with `text` in any property, in upper or lower case.
    #[must_use]
    pub fn searching(mut self, text: Option<&str>) -> Self {
        self.text = text.filter(|text| !text.is_empty()).map(str::to_lowercase);
        self
    }

    /// Whether nothing but the creation time decides.
    #[must_use]
    pub fn is_time_only(&self) -> bool {
        self.terms.is_empty() && self.text.is_none()
    }

    /// Whether everything but the creation time lets `entry` through.
    #[must_use]
    pub fn accepts(&self, entry: &Entry) -> bool {
        self.terms.iter().all(|term| self.matches(term, entry))
            && self.text.as_deref().is_none_or(|text| self.mentions(text, entry))
    }

    fn matches(&self, term: &Term, entry: &Entry) -> bool {
        let address;
        let actual: &str = match term.field {
            Field::CreatedAt => return true,
            Field::Category => &entry.category,
            Field::Description => &entry.description,
            Field::IpAddress => {
                address = entry.ip_address.map(|ip| ip.to_string()).unwrap_or_default();
                &address
            }
            Field::Username => &entry.username,
            Field::WorkspaceName => &self.workspace.name,
            Field::WorkspaceType => &self.workspace.kind,
            Field::ServiceId => &entry.service.id,
            Field::Region => entry.service.region.as_deref().unwrap_or("global"),
            Field::HasDetails if entry.has_details => "true",
            Field::HasDetails => "false",
        };
        term.values.iter().any(|value| match term.operator {
            Operator::Contains => actual.contains(value.as_str()),
            Operator::Eq | Operator::In | Operator::Lt | Operator::Ge => actual == value,
        })
    }

    fn mentions(&self, text: &str, entry: &Entry) -> bool {
        let address = entry.ip_address.map(|ip| ip.to_string()).unwrap_or_default();
        let service = &*entry.service;
        [&*entry.username, &entry.category, &entry.description, &address]
            .into_iter()
            .chain([service.name.as_str(), &self.workspace.name, &self.workspace.id])
            .chain(entry.info.iter().map(|(_, value)| value.as_str()))
            .any(|property| property.to_lowercase().contains(text))
    }
}

fn second_at_or_after(at: Timestamp) -> i64 {
    at.secs() + i64::from(at != at.truncated_to_second())
}
