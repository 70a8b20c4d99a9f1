//! `[source.push]`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::field::{Field, quoted};
use crate::config::inbound::{Foreign, PushConfig};
use crate::config::read::{DAY, HOUR};
use crate::config::reader::Section;
use crate::config::secret::Secret;

/// GreenLake tries for 12 h (HPE developer portal, webhook FAQ): what has not come by
/// then does not come.
const HORIZON: Duration = Duration::from_hours(12);

/// Longer than GreenLake's first tries take, and short enough to mend the webhook before
/// it drops events.
const SILENT_AFTER: Duration = HOUR;

const SECOND: Duration = Duration::from_secs(1);
const WAITS: RangeInclusive<Duration> = SECOND..=DAY.saturating_mul(30);

/// Guessed in hours by anybody who sees one signed body. HPE takes 4 and more (HPE
/// developer portal, webhook API).
const SECRET_BYTES_MIN: usize = 8;

/// Below it `check` warns: 16 random letters and digits are beyond guessing.
const SECRET_BYTES_ADVISED: usize = 16;

/// HPE takes no longer ones (HPE developer portal, webhook API).
const SECRET_CHARS_MAX: usize = 100;

/// A URL's path stays below what servers on the way take.
const PATH_BYTES_MAX: usize = 200;

/// Systems that send to one path.
const ORIGINS_MAX: usize = 64;

const SECRET: &str = "{ file = \"…\" }";
const PATH: &str = "\"/greenlake/production\"";

/// Every key, so that they are known also where the section is left out.
const KEYS: [&str; 9] = [
    "path",
    "secret",
    "secondary_secret",
    "api_key",
    "horizon",
    "silent_after",
    "nudge",
    "foreign",
    "origins",
];

/// The paths that are taken, and whether there is a socket for them.
pub(super) struct Paths {
    is_receiving: bool,
    taken: BTreeSet<String>,
    sections: usize,
}

impl Paths {
    pub(super) fn new(is_receiving: bool) -> Self {
        Self { is_receiving, taken: BTreeSet::new(), sections: 0 }
    }

    /// Whether no source has a webhook.
    pub(super) fn is_empty(&self) -> bool {
        self.sections == 0
    }
}

/// Makes the keys known of a section that is left out.
pub(super) fn known<T>(mut section: Section<'_>) -> Option<T> {
    for key in KEYS {
        section.find(key);
    }
    None
}

/// Reads how a source's webhook is taken; `None` only when a fault has been told.
pub(super) fn push(mut section: Section<'_>, paths: &mut Paths) -> Option<PushConfig> {
    paths.sections += 1;
    if !paths.is_receiving {
        section.fault(
            "",
            "has no socket to receive at",
            "write a [receiver] section, or leave [source.push] out",
        );
    }
    let path = section.require("path", PATH).and_then(|field| path(&field, paths));
    let secret = section.require("secret", SECRET).and_then(|field| webhook_secret(&field));
    let second = section.find("secondary_secret");
    let secondary_secret = second.and_then(|field| webhook_secret(&field));
    let api_key = section.find("api_key").and_then(|field| field.secret());
    let horizon = section.duration("horizon", HORIZON, &WAITS);
    let silent_after = section.duration("silent_after", SILENT_AFTER, &WAITS);
    let nudge = section.flag("nudge", false);
    let foreign = section.choice("foreign", Foreign::Refuse, &[]);
    let origins = section.find("origins").map(|field| origins(&field));
    if let (Some(first), Some(second)) = (&secret, &secondary_secret)
        && first.expose() == second.expose()
    {
        section.fault(
            "secondary_secret",
            "is the same as secret",
            "write the other one of the rotation, or leave it out",
        );
    }
    section.finish();
    Some(PushConfig {
        path: path?,
        secret: secret?,
        secondary_secret,
        api_key,
        horizon,
        silent_after,
        nudge,
        foreign,
        origins: origins.unwrap_or_else(|| vec!["*".to_owned()]),
    })
}

/// Plain, so that every proxy on the way passes it on as it is. HPE refuses a query.
fn path(field: &Field<'_>, paths: &mut Paths) -> Option<String> {
    let text = field.filled(PATH)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/-_.~".contains(c);
    let instead = format!("write for example {PATH}");
    if !text.starts_with('/') {
        return field.fault(format!("{} does not begin with /", quoted(text)), instead);
    }
    if text.len() > PATH_BYTES_MAX || !text.chars().all(is_plain) {
        let what = format!("is no path of at most {PATH_BYTES_MAX} of a-z, A-Z, 0-9 and /-_.~");
        return field.fault(what, instead);
    }
    if !paths.taken.insert(text.to_owned()) {
        return field
            .fault(format!("{} is taken by another source", quoted(text)), "write another one");
    }
    Some(text.to_owned())
}

fn webhook_secret(field: &Field<'_>) -> Option<Secret> {
    let secret = field.secret()?;
    let bytes = secret.expose().as_bytes();
    let is_uniform = bytes.iter().all(|byte| Some(byte) == bytes.first());
    let instead = "write 16 or more random letters and digits, here and in the webhook";
    if bytes.len() < SECRET_BYTES_MIN || is_uniform {
        let what = format!("is weak: shorter than {SECRET_BYTES_MIN} bytes, or one letter alone");
        return field.fault(what, instead);
    }
    if bytes.len() < SECRET_BYTES_ADVISED {
        field.warn(format!("is shorter than {SECRET_BYTES_ADVISED} bytes"), instead);
    }
    if secret.expose().chars().count() > SECRET_CHARS_MAX {
        let what = format!("is longer than {SECRET_CHARS_MAX} characters, which GreenLake refuses");
        field.warn(what, "write a shorter one, here and in the webhook");
    }
    Some(secret)
}

fn origins(field: &Field<'_>) -> Vec<String> {
    let example = "[\"*\"]";
    let items = field.list(example).unwrap_or_default();
    if items.len() > ORIGINS_MAX {
        field.tell(format!("has {} origins", items.len()), format!("write {ORIGINS_MAX} at most"));
    }
    let origin = |item: &Field<'_>| {
        let text = item.filled("\"eventemitter.example.com\"")?;
        if text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Some(text.to_owned());
        }
        item.fault(
            format!("{} is no origin", quoted(text)),
            "write a DNS name, as the sender gives it in WebHook-Request-Origin, or \"*\"",
        )
    };
    items.iter().filter_map(origin).collect()
}
