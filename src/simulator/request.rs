//! The query string of a list request, read as the vendor's reference has it.

use url::form_urlencoded;

use crate::simulator::entry::Workspace;
use crate::simulator::faults::Place;
use crate::simulator::filter::{Version, parse};
use crate::simulator::knobs::Repeated;
use crate::simulator::refusal::Issue;
use crate::simulator::selection::{Order, Selection};

/// Largest `limit` (audit logs v1 and v2beta1).
const MAX_LIMIT: usize = 2000;

const SELECTABLE_V1: [&str; 9] = [
    "additionalInfo",
    "createdAt",
    "category",
    "hasDetails",
    "workspace/workspaceName",
    "workspace",
    "description",
    "user/username",
    "user",
];

const SELECTABLE_V2: [&str; 9] = [
    "serviceOffer",
    "createdAt",
    "category",
    "hasDetails",
    "workspace",
    "description",
    "username",
    "ipAddress",
    "additionalInfo",
];

/// A list request, understood.
#[derive(Debug)]
pub(super) struct ListRequest {
    /// Which entries.
    pub(super) selection: Selection,
    /// Which properties of each.
    pub(super) columns: Columns,
}

/// Properties of `select`; `None` for all.
#[derive(Debug, Default)]
pub(super) struct Columns(Option<Vec<String>>);

impl Columns {
    /// Whether the property is asked for, by its name or by the path below it.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.as_ref().is_none_or(|names| {
            names.iter().any(|asked| {
                asked
                    .strip_prefix(name)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            })
        })
    }
}

/// Which page of the list a query asks for.
pub(super) fn place(query: &str) -> Place {
    let mut parameters = form_urlencoded::parse(query.as_bytes());
    let skips = parameters.any(|(name, value)| name == "offset" && value != "0");
    if skips { Place::LaterPages } else { Place::Logs }
}

/// What faults leave of a request.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Deafness {
    pub(super) to_filter: bool,
    pub(super) to_offset: bool,
}

/// Reads the query of a list request. Of a repeated parameter only the first counts (a
/// published screenshot of a repeated `filter` shows as much), of `filter` all if
/// `repeated` says so; unknown ones are ignored.
///
/// # Errors
/// The issue of the 400 answer.
pub(super) fn read(
    version: Version,
    query: &str,
    workspace: &Workspace,
    deaf: Deafness,
    repeated: Repeated,
) -> Result<ListRequest, Issue> {
    let find = |wanted: &str| {
        form_urlencoded::parse(query.as_bytes())
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.into_owned())
    };
    let filters = form_urlencoded::parse(query.as_bytes()).filter(|(name, _)| name == "filter");
    let filters: Vec<_> = filters.map(|(_, value)| value.into_owned()).collect();
    let filter = match repeated {
        _ if deaf.to_filter => String::new(),
        Repeated::First => filters.into_iter().next().unwrap_or_default(),
        Repeated::All => filters.join(" and "),
    };
    let limit = read_number("limit", find("limit").as_deref(), 50)?;
    if limit > MAX_LIMIT {
        return Err(parameter(
            "limit",
            format!("Invalid limit value '{limit}' provided. Maximum allowed limit is 2000."),
        ));
    }
    let offset = read_number("offset", find("offset").as_deref(), 0)?;
    let mut selection = Selection::new(version, parse(version, &filter)?, workspace);
    if version == Version::V1 {
        selection = selection.searching(find("all").as_deref());
    } else {
        selection.order = read_order(find("sort").as_deref())?;
    }
    selection.limit = limit;
    selection.offset = if deaf.to_offset { 0 } else { offset };
    Ok(ListRequest { selection, columns: read_columns(version, find("select").as_deref())? })
}

fn read_number(subject: &'static str, text: Option<&str>, default: usize) -> Result<usize, Issue> {
    text.map_or(Ok(default), |text| {
        text.parse()
            .map_err(|_| parameter(subject, format!("Invalid {subject} value '{text}' provided.")))
    })
}

fn read_order(sort: Option<&str>) -> Result<Order, Issue> {
    let Some(sort) = sort.filter(|sort| !sort.is_empty()) else {
        return Ok(Order::NewestFirst);
    };
    match sort.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["createdAt"] | ["createdAt", "desc"] => Ok(Order::NewestFirst),
        ["createdAt", "asc"] => Ok(Order::OldestFirst),
        ["category"] | ["category", "desc"] => Ok(Order::CategoryDown),
        ["category", "asc"] => Ok(Order::CategoryUp),
        _ => Err(parameter("sort", format!("Invalid sort value '{sort}' provided."))),
    }
}

fn read_columns(version: Version, select: Option<&str>) -> Result<Columns, Issue> {
    let Some(select) = select.filter(|select| !select.is_empty()) else {
        return Ok(Columns::default());
    };
    let known = match version {
        Version::V1 => &SELECTABLE_V1,
        Version::V2Beta1 => &SELECTABLE_V2,
    };
    let names: Vec<_> = select.split(',').map(|name| name.trim().to_owned()).collect();
    match names.iter().find(|name| !known.contains(&name.as_str())) {
        None => Ok(Columns(Some(names))),
        Some(name) => Err(Issue {
            source: "hpe.greenlake.audit-log",
            subject: "select",
            description: format!("Unsupported select attribute '{name}'."),
        }),
    }
}

fn parameter(subject: &'static str, description: String) -> Issue {
    Issue { source: "query.parameter", subject, description }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(version: Version, query: &str) -> Result<ListRequest, Issue> {
        let workspace =
            Workspace { id: String::new(), name: String::new(), kind: "STANDALONE".to_owned() };
        read(version, query, &workspace, Deafness::default(), Repeated::First)
    }

    #[test]
    fn defaults_and_bounds_are_the_documented_ones() {
        let request = ask(Version::V1, "").unwrap();
        assert_eq!((request.selection.limit, request.selection.offset), (50, 0));
        assert_eq!(ask(Version::V1, "limit=0").unwrap().selection.limit, 0);
        assert_eq!(ask(Version::V1, "limit=2000&offset=7").unwrap().selection.offset, 7);
        for query in ["limit=2001", "limit=-1", "limit=ten", "offset=-1", "select=name"] {
            assert!(ask(Version::V1, query).is_err(), "{query}");
        }
        let issue = ask(Version::V1, "limit=3000").unwrap_err();
        assert_eq!(
            issue.description,
            "Invalid limit value '3000' provided. Maximum allowed limit is 2000."
        );
    }

    #[test]
    fn only_the_first_of_a_repeated_filter_counts() {
        let query = "filter=createdAt+ge+'2025-01-16T00:00:00Z'\
                     &filter=createdAt%20lt%20'2025-01-17T00:00:00Z'";
        let selection = ask(Version::V1, query).unwrap().selection;
        assert_eq!((selection.from, selection.until), (1_736_985_600, i64::MAX));
    }

    #[test]
    fn sort_belongs_to_v2beta1_alone() {
        let order = |version, sort: &str| {
            ask(version, &format!("sort={sort}")).map(|request| request.selection.order)
        };
        assert_eq!(order(Version::V1, "createdAt+asc"), Ok(Order::NewestFirst));
        assert_eq!(order(Version::V2Beta1, "createdAt+asc"), Ok(Order::OldestFirst));
        assert_eq!(order(Version::V2Beta1, "category"), Ok(Order::CategoryDown));
        assert!(order(Version::V2Beta1, "username").is_err());
    }

    #[test]
    fn selected_columns_are_found_by_name_and_by_path() {
        let columns = ask(Version::V1, "select=createdAt,user/username").unwrap().columns;
        assert!(columns.has("createdAt") && columns.has("user"));
        assert!(!columns.has("category") && !columns.has("created"));
    }
}
