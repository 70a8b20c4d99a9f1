//! What the simulated cloud knows about one audit-log entry.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::model::timestamp::Timestamp;

/// The service id that means the GreenLake platform itself (audit logs, filter examples).
pub const PLATFORM_ID: &str = "00000000-0000-0000-0000-000000000000";

/// One entry of the audit log, with the moment from which readers can see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// 20 characters of URL-safe base64; see [`IdMaker`].
    pub id: Box<str>,
    /// When it happened, to the microsecond; answers show whole seconds only.
    pub created_at: Timestamp,
    /// From when on it is part of answers.
    pub visible_at: Timestamp,
    /// Who did it.
    pub username: Arc<str>,
    /// In Title Case, as the API has it.
    pub category: Arc<str>,
    /// Free text.
    pub description: String,
    /// Where it happened.
    pub service: Arc<Service>,
    /// Where the user came from.
    pub ip_address: Option<IpAddr>,
    /// Further `additionalInfo`, names in camelCase.
    pub info: Vec<(String, String)>,
    /// Whether there is a detail record.
    pub has_details: bool,
}

impl Entry {
    /// A platform entry that is visible as soon as it is created, for tests to vary.
    #[must_use]
    pub fn new(id: &str, created_at: Timestamp, description: &str) -> Self {
        Self {
            id: id.into(),
            created_at,
            visible_at: created_at,
            username: "jane@example.com".into(),
            category: "User Management".into(),
            description: description.to_owned(),
            service: Arc::new(Service::platform()),
            ip_address: None,
            info: Vec::new(),
            has_details: false,
        }
    }
}

/// A service of the cloud in one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// A UUID; [`PLATFORM_ID`] for the platform.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// Region code; `None` for the platform, which v1 leaves out and v2beta1 calls `global`.
    pub region: Option<String>,
}

impl Service {
    /// The platform itself.
    #[must_use]
    pub fn platform() -> Self {
        Self { id: PLATFORM_ID.to_owned(), name: "HPE GreenLake platform".to_owned(), region: None }
    }
}

/// The one workspace that the simulated cloud has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// 32 hex digits.
    pub id: String,
    /// Name for people.
    pub name: String,
    /// `STANDALONE`, `TENANT` or `MSP`.
    pub kind: String,
}

/// An id with its two times: what an honest count needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// The entry's id.
    pub id: String,
    /// When it happened.
    pub created_at: Timestamp,
    /// From when on it is part of answers.
    pub visible_at: Timestamp,
}

impl From<&Entry> for Made {
    fn from(entry: &Entry) -> Self {
        Self {
            id: entry.id.to_string(),
            created_at: entry.created_at,
            visible_at: entry.visible_at,
        }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} created {} visible {}", self.id, self.created_at, self.visible_at)
    }
}

/// Makes ids of the form that real ones have.
///
/// 15 bytes from a node address, a counter and the millisecond of indexing, in the byte
/// order of an Elasticsearch auto-id: inferred from three published entries, documented
/// nowhere.
#[derive(Debug)]
pub struct IdMaker {
    node: [u8; 6],
    counter: u32,
}

impl IdMaker {
    /// Starts counting for the node `node`; its ids differ from another node's.
    #[must_use]
    pub fn new(node: [u8; 6]) -> Self {
        Self { node, counter: 0 }
    }

    /// Makes the next id: 20 characters, unique for 16 million ids a millisecond.
    pub fn next_id(&mut self, indexed_at: Timestamp) -> Box<str> {
        let [.., t5, t4, t3, t2, t1, t0] = indexed_at.millis().to_be_bytes();
        let [_, c2, c1, c0] = self.counter.to_be_bytes();
        let [n0, n1, n2, n3, n4, n5] = self.node;
        self.counter = self.counter.wrapping_add(1);
        let bytes = [c0, c2, t2, t3, t4, t5, n0, n1, n2, n3, n4, n5, t1, c1, t0];
        URL_SAFE_NO_PAD.encode(bytes).into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn millis_in(id: &str) -> i64 {
        let b = URL_SAFE_NO_PAD.decode(id).unwrap();
        [b[5], b[4], b[3], b[2], b[12], b[14]].iter().fold(0, |ms, byte| ms << 8 | i64::from(*byte))
    }

    #[test]
    fn the_reading_of_ids_agrees_with_a_published_entry() {
        let at = Timestamp::parse_rfc3339("2024-12-20T12:34:53.165Z").unwrap();
        assert_eq!(millis_in("uJoQ5JMB_HAPiq2sSllt"), at.millis());
    }

    #[test]
    fn ids_are_unique_and_carry_the_millisecond() {
        let mut ids = IdMaker::new([7; 6]);
        let at = Timestamp::from_micros(1_734_698_093_165_999);
        let made: HashSet<_> = (0..70_000).map(|_| ids.next_id(at)).collect();
        assert_eq!(made.len(), 70_000);
        assert!(made.iter().all(|id| id.len() == 20 && millis_in(id) == at.millis()));
    }
}
