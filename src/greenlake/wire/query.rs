//! What we ask: the list's URL and its filter.

use url::Url;

use crate::config::{ApiVersion, PLATFORM, SERVICES_PER_FILTER, SourceConfig};
use crate::greenlake::audit_log::Query;
use crate::model::timestamp::Timestamp;

/// What a filter calls the id of a service.
const SERVICE_FIELD: &str = "serviceOffer/id";

/// The id that stands for the platform (HPE developer portal, audit logs, filtering).
const PLATFORM_ID: &str = "00000000-0000-0000-0000-000000000000";

/// The list of `api` below `base`, whose own path is kept.
pub(crate) fn list_url(base: &Url, api: ApiVersion) -> Url {
    let version = match api {
        ApiVersion::V1 => "v1",
        ApiVersion::V2Beta1 => "v2beta1",
    };
    let mut url = base.clone();
    url.set_path(&format!("{}/audit-log/{version}/logs", base.path().trim_end_matches('/')));
    url
}

/// The one `filter`: our bounds, the user's `filter` and the query's own term, joined by
/// `and`. (HPE's samples repeat the parameter instead; then all but the first seem to be
/// ignored, which is a guess from published screenshots.)
///
/// All values are quoted, also times (HPE developer portal, audit logs, filtering).
pub(crate) fn filter_text(query: &Query, filter: &str) -> String {
    let at = |secs: i64| Timestamp::from_secs(secs).to_rfc3339_secs();
    let (from, until) = (at(query.span.from), at(query.span.until));
    let mut text = format!("createdAt ge '{from}' and createdAt lt '{until}'");
    for term in [filter.trim(), query.narrow.trim()].into_iter().filter(|term| !term.is_empty()) {
        text.push_str(" and ");
        text.push_str(term);
    }
    text
}

/// The terms that, one request each, let through the logs of `services` and no others;
/// one empty term where none is needed.
///
/// At most five ids stand in one term, and without any the API gives the platform's logs
/// alone (HPE developer portal, audit logs v2beta1).
pub(crate) fn service_terms(source: &SourceConfig) -> Vec<String> {
    let needs_none = source.api == ApiVersion::V1
        || source.services == [PLATFORM]
        || source.filter.contains(SERVICE_FIELD);
    if needs_none {
        return vec![String::new()];
    }
    let quoted = |service: &String| format!("'{}'", service_id(service));
    let term = |group: &[String]| {
        let ids: Vec<String> = group.iter().map(quoted).collect();
        format!("{SERVICE_FIELD} in ({})", ids.join(", "))
    };
    source.services.chunks(SERVICES_PER_FILTER).map(term).collect()
}

/// Whether `source`, of v2beta1, asks for the logs of the service with this id.
pub(crate) fn names_service(source: &SourceConfig, id: &str) -> bool {
    if source.filter.contains(SERVICE_FIELD) {
        return source.filter.contains(&format!("'{id}'"));
    }
    source.services.iter().any(|service| service_id(service) == id)
}

/// The id that a service of the configuration has.
fn service_id(service: &str) -> &str {
    if service == PLATFORM { PLATFORM_ID } else { service }
}

impl Query {
    /// The URL that asks this of `list`, with `filter` as the user's own.
    pub(crate) fn url(&self, list: &Url, api: ApiVersion, filter: &str) -> Url {
        let mut url = list.clone();
        url.query_pairs_mut()
            .append_pair("filter", &filter_text(self, filter))
            .append_pair("limit", &self.limit.to_string())
            .append_pair("offset", &self.offset.to_string());
        if api == ApiVersion::V2Beta1 {
            // Its default is newest first, as v1 always has it: entries that turn up while
            // we page would shift what is still to come.
            url.query_pairs_mut().append_pair("sort", "createdAt asc");
        }
        // A plus for a space is a rule of forms only; every server reads %20.
        let plain = url.query().unwrap_or_default().replace('+', "%20");
        url.set_query(Some(&plain));
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::coverage::Span;

    fn query(narrow: &str) -> Query {
        let span = Span { from: 1_737_014_095, until: 1_739_692_495 };
        Query { span, narrow: narrow.to_owned(), limit: 2000, offset: 0 }
    }

    #[test]
    fn all_terms_stand_in_one_filter() {
        let bounds = "createdAt ge '2025-01-16T07:54:55Z' and createdAt lt '2025-02-16T07:54:55Z'";
        for (filter, narrow, tail) in [
            ("", "", ""),
            ("  ", "", ""),
            ("category eq 'API Gateway'", "", " and category eq 'API Gateway'"),
            ("", "hasDetails eq 'true'", " and hasDetails eq 'true'"),
            (
                "region eq 'us-west'",
                "hasDetails eq 'true'",
                " and region eq 'us-west' and hasDetails eq 'true'",
            ),
        ] {
            assert_eq!(filter_text(&query(narrow), filter), format!("{bounds}{tail}"));
        }
    }

    #[test]
    fn services_are_asked_for_five_at_a_time() {
        let source = |api, services: &[&str], filter: &str| SourceConfig {
            api,
            services: services.iter().map(|&service| service.to_owned()).collect(),
            filter: filter.to_owned(),
            ..crate::greenlake::tests::source()
        };
        let (v1, v2) = (ApiVersion::V1, ApiVersion::V2Beta1);
        let one = "serviceOffer/id in ('00000000-0000-0000-0000-000000000000', 'b')";
        let all = ["a", "b", "c", "d", "e", "f", "platform"];
        let two = [
            "serviceOffer/id in ('a', 'b', 'c', 'd', 'e')",
            "serviceOffer/id in ('f', '00000000-0000-0000-0000-000000000000')",
        ];
        for (source, terms) in [
            (source(v1, &["platform"], ""), &[""][..]),
            (source(v2, &["platform"], ""), &[""]),
            (source(v2, &["platform"], "serviceOffer/id eq 'x'"), &[""]),
            (source(v2, &["platform", "b"], "category eq 'x'"), &[one]),
            (source(v2, &all, ""), &two),
            (source(v2, &["a"], ""), &["serviceOffer/id in ('a')"]),
        ] {
            assert_eq!(service_terms(&source), terms);
        }
        assert!(names_service(&source(v2, &["platform"], ""), PLATFORM_ID));
        assert!(!names_service(&source(v2, &["platform"], "serviceOffer/id eq 'x'"), PLATFORM_ID));
        assert!(names_service(&source(v2, &["platform"], "serviceOffer/id eq 'x'"), "x"));
    }

    #[test]
    fn the_url_keeps_the_base_path_and_encodes_the_filter() {
        let base = Url::parse("https://example.com/gateway/").expect("a URL");
        let list = list_url(&base, ApiVersion::V1);
        let url = query("").url(&list, ApiVersion::V1, "contains(description, 'a+b&c')");
        assert_eq!(
            url.as_str(),
            "https://example.com/gateway/audit-log/v1/logs?filter=createdAt%20ge%20%272025-01-16T07%3A54%3A55Z%27\
             %20and%20createdAt%20lt%20%272025-02-16T07%3A54%3A55Z%27%20and%20\
             contains%28description%2C%20%27a%2Bb%26c%27%29&limit=2000&offset=0"
        );

        let base = Url::parse("https://example.com").expect("a URL");
        let list = list_url(&base, ApiVersion::V2Beta1);
        let url = query("").url(&list, ApiVersion::V2Beta1, "");
        assert!(url.as_str().starts_with("https://example.com/audit-log/v2beta1/logs?filter="));
        assert!(url.as_str().ends_with("&limit=2000&offset=0&sort=createdAt%20asc"), "{url}");
    }
}
