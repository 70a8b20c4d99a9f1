//! Which services' logs a source asks for, where the API wants them named.

use std::collections::HashSet;

use crate::config::field::{Field, quoted};
use crate::config::reader::Section;
use crate::config::sections::{ApiVersion, PLATFORM, PollConfig, SERVICES_PER_FILTER, Schedule};

use super::MINUTE;

/// Ten requests a poll, which at the default interval is a fifth of what HPE allows.
const SERVICES_MAX: usize = 50;

/// Requests a minute above which polls alone take half of what we may ask.
const POLLS_PER_MINUTE_ADVISED: usize = 40;

/// HPE's name for a service's id in a filter.
const FIELD: &str = "serviceOffer/id";

const EXAMPLE: &str = "[\"platform\", \"00000000-0000-0000-0000-000000000000\"]";

/// Reads `services` beside `filter`; the platform alone unless set.
pub(super) fn services(section: &mut Section<'_>, api: ApiVersion, filter: &str) -> Vec<String> {
    let services = section.find("services").map(|field| named(&field));
    let services = services.unwrap_or_else(|| vec![PLATFORM.to_owned()]);
    let is_default = services == [PLATFORM];
    let in_filter = filter.contains(FIELD);
    if api == ApiVersion::V1 && !is_default {
        section.fault(
            "services",
            "belongs to api \"v2beta1\"; \"v1\" has the logs of every service",
            "leave it out, or write api = \"v2beta1\"",
        );
    }
    if api == ApiVersion::V1 {
        return services;
    }
    if in_filter && !is_default {
        section.fault(
            "services",
            format!("stands beside {FIELD} in filter, and only one can name the services"),
            format!("take {FIELD} out of filter"),
        );
    }
    let count = in_one_filter(filter);
    if count > SERVICES_PER_FILTER {
        section.fault(
            "filter",
            format!("names {count} services, and HPE takes {SERVICES_PER_FILTER} in one filter"),
            format!("write services = {EXAMPLE} instead, which may name {SERVICES_MAX}"),
        );
    }
    if !in_filter && is_default {
        section.warn(
            "api",
            "\"v2beta1\" asks for the logs of the platform alone",
            format!("write services = {EXAMPLE}, or \"v1\" for the logs of every service"),
        );
    }
    services
}

/// Tells when polls alone come near the limit of requests.
pub(super) fn advise(section: &Section<'_>, services: &[String], poll: &PollConfig) {
    let Schedule::Interval(interval) = poll.schedule else { return };
    let requests = services.len().div_ceil(SERVICES_PER_FILTER);
    let polls = MINUTE.as_secs_f64() / interval.as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "at most ten")]
    let a_minute = requests as f64 * polls;
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    let advised = POLLS_PER_MINUTE_ADVISED as f64;
    if requests > 1 && a_minute > advised {
        section.warn(
            "services",
            format!("needs {requests} requests a poll, and HPE allows 100 a minute"),
            "write a longer poll.interval",
        );
    }
}

fn named(field: &Field<'_>) -> Vec<String> {
    let items = field.list(EXAMPLE).unwrap_or_default();
    if items.is_empty() {
        field.tell("names no service", format!("write for example {EXAMPLE}"));
    }
    if items.len() > SERVICES_MAX {
        field.tell(
            format!("names {} services", items.len()),
            format!("write {SERVICES_MAX} at most, or api = \"v1\" for every service"),
        );
    }
    let mut seen = HashSet::new();
    let service = |item: &Field<'_>| {
        let text = item.filled("\"platform\"")?;
        if text != PLATFORM && !is_uuid(text) {
            return item.fault(
                format!("{} is no id of a service", quoted(text)),
                "write \"platform\", or an id with dashes such as \
                 \"00000000-0000-0000-0000-000000000000\"",
            );
        }
        if !seen.insert(text.to_owned()) {
            return item.fault("stands there twice", "leave one out");
        }
        Some(text.to_owned())
    };
    items.iter().filter_map(service).collect()
}

/// Values of a list of services in `filter`; 0 where there is none.
fn in_one_filter(filter: &str) -> usize {
    let Some((_, after)) = filter.split_once(FIELD) else { return 0 };
    let Some(list) = after.trim_start().strip_prefix("in") else { return 0 };
    let list = list.split_once(')').map_or(list, |(list, _)| list);
    list.matches('\'').count() / 2
}

fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.char_indices().all(|(at, c)| match at {
            8 | 13 | 18 | 23 => c == '-',
            _ => c.is_ascii_digit() || ('a'..='f').contains(&c),
        })
}
