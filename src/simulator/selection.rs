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
    /// Ties come in another order at each request.
    pub shuffles_ties: bool,
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
            shuffles_ties: false,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::filter::parse;

    #[test]
    fn every_field_decides_on_its_own_property() {
        use Version::{V1, V2Beta1};
        let mut entry = Entry::new("id", Timestamp::from_secs(0), "User jane logged out");
        entry.ip_address = Some("203.0.113.7".parse().unwrap());
        let workspace = Workspace {
            id: "w".to_owned(),
            name: "Example workspace".to_owned(),
            kind: "MSP".to_owned(),
        };
        for (version, text, is_match) in [
            (V1, "category eq 'User Management'", true),
            (V1, "category eq 'user management'", false),
            (V1, "category in ('Firmware', 'User Management')", true),
            (V1, "description eq 'User jane'", false),
            (V1, "contains(description, 'jane')", true),
            (V1, "contains(additionalInfo/ipAddress, '203.0')", true),
            (V1, "contains(user/username, '@example.com')", true),
            (V1, "workspace/workspaceName eq 'Example workspace'", true),
            (V1, "application/id eq '00000000-0000-0000-0000-000000000000'", true),
            (V1, "region eq 'us-west'", false),
            (V1, "hasDetails eq 'false' and category eq 'Firmware'", false),
            (V2Beta1, "username eq 'jane@example.com'", true),
            (V2Beta1, "ipAddress eq '203.0.113.8'", false),
            (V2Beta1, "workspace/type eq 'MSP'", true),
            (V2Beta1, "region eq 'global' and hasDetails eq 'false'", true),
            (V2Beta1, "serviceOffer/id in ('a', 'b')", false),
        ] {
            let selection = Selection::new(version, parse(version, text).unwrap(), &workspace);
            assert_eq!(selection.accepts(&entry), is_match, "{text}");
        }
    }

    #[test]
    fn v2beta1_means_the_platform_unless_a_service_is_named() {
        let mut entry = Entry::new("id", Timestamp::from_secs(0), "text");
        let mut service = (*entry.service).clone();
        service.id = "a".to_owned();
        entry.service = service.into();
        let workspace = Workspace { id: String::new(), name: String::new(), kind: String::new() };
        for (version, text, is_match) in [
            (Version::V1, "", true),
            (Version::V2Beta1, "", false),
            (Version::V2Beta1, "serviceOffer/id eq 'a'", true),
        ] {
            let selection = Selection::new(version, parse(version, text).unwrap(), &workspace);
            assert_eq!(selection.accepts(&entry), is_match, "{version:?} {text}");
        }
    }

    #[test]
    fn free_text_is_found_in_any_property_and_case() {
        let entry = Entry::new("id", Timestamp::from_secs(0), "Ärger in Köln");
        let workspace =
            Workspace { id: String::new(), name: "Lab".to_owned(), kind: String::new() };
        for (text, is_match) in
            [("ärger", true), ("LAB", true), ("JANE@", true), ("", true), ("bonn", false)]
        {
            let selection = Selection::new(Version::V1, Vec::new(), &workspace);
            assert_eq!(selection.searching(Some(text)).accepts(&entry), is_match, "{text}");
        }
    }
}
