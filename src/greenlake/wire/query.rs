//! What we ask: the list's URL and its filter.

use url::Url;

use crate::config::ApiVersion;
use crate::greenlake::audit_log::Query;
use crate::model::timestamp::Timestamp;

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

impl Query {
    /// The URL that asks this of `list`, with `filter` as the user's own.
    pub(crate) fn url(&self, list: &Url, api: ApiVersion, filter: &str) -> Url {
        let mut url = list.clone();
        url.query_pairs_mut()
            .append_pair("filter", &filter_text(self, filter))
            .append_pair("limit", &self.limit.to_string())
            .append_pair("offset", &self.offset.to_string());
        if api == ApiVersion::V2Beta1 {
            // Its default is newest first; v1 has no choice.
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
