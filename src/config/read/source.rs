//! `[[source]]`.

use std::collections::BTreeSet;

use url::Url;

use crate::config::address::UrlRule;
use crate::config::ca_file::CaFile;
use crate::config::field::Field;
use crate::config::read::poll::poll;
use crate::config::read::push::{Paths, known, push};
use crate::config::read::services;
use crate::config::reader::Section;
use crate::config::sections::{ApiVersion, SourceConfig, TokenAuth};

/// HPE's public API host (HPE developer portal, audit logs v1).
pub(super) const BASE_URL: &str = "https://global.api.greenlake.hpe.com";

/// HPE's token endpoint of a workspace (HPE developer portal, authentication).
const TOKEN_URL: &str = "{base_url}/authorization/v2/oauth2/{workspace_id}/token";

/// What the id of an API client looks like.
const CLIENT_ID: &str = "\"00000000-0000-0000-0000-000000000000\"";

/// The example values of `config.toml`, which nobody can work with.
const MANUAL_VALUES: [(&str, &str); 2] = [
    ("workspace_id", "3009de2825f211ec8a84fedebcb4a754"),
    ("client_id", "00000000-0000-0000-0000-000000000000"),
];
const MANUAL_SECRET: &str = "the-secret-of-your-api-client";

/// HPE's filters are sent in a URL, which servers cut near 8 KiB.
const FILTER_BYTES_MAX: usize = 4096;

/// Reads one source; `None` only when a fault has been told.
pub(super) fn source(
    mut section: Section<'_>,
    names: &mut BTreeSet<String>,
    paths: &mut Paths,
) -> Option<SourceConfig> {
    let name = section.name("production", names);
    let workspace_id = section
        .require("workspace_id", "\"3009de2825f211ec8a84fedebcb4a754\"")
        .and_then(|field| workspace_id(&field));
    let client_id = section
        .require("client_id", CLIENT_ID)
        .and_then(|field| field.filled(CLIENT_ID).map(str::to_owned));
    let client_secret =
        section.require("client_secret", "{ file = \"…\" }").and_then(|field| field.secret());
    let base_url = base_url(&mut section);
    let token_url = token_url(&mut section, base_url.as_ref(), workspace_id.as_deref());
    let token_auth = section.choice("token_auth", TokenAuth::Body, &[]);
    let api = section.choice("api", ApiVersion::V1, &[]);
    let filter = section.find("filter").and_then(|field| filter(&field)).unwrap_or_default();
    let services = services::services(&mut section, api, &filter);
    let proxy = section.find("proxy").and_then(|field| field.proxy());
    let ca_file =
        section.find("ca_file").and_then(|field| field.path("\"ca.pem\"")).map(CaFile::new);
    let poll = poll(section.section("poll", "[source.poll]"));
    services::advise(&section, &services, &poll);
    let (push_section, is_pushed) = section.optional_section("push", "[source.push]");
    let push = if is_pushed { Some(push(push_section, paths)) } else { known(push_section) };
    for (key, manual) in MANUAL_VALUES {
        let value = if key == "client_id" { &client_id } else { &workspace_id };
        if value.as_deref() == Some(manual) {
            section.warn(key, "is still the manual's example", "write your own");
        }
    }
    if client_secret.as_ref().is_some_and(|secret| secret.expose() == MANUAL_SECRET) {
        section.warn("client_secret", "is still the manual's example", "write your own");
    }
    section.finish();
    Some(SourceConfig {
        name: name?,
        workspace_id: workspace_id?,
        client_id: client_id?,
        client_secret: client_secret?,
        base_url: base_url?,
        token_url: token_url?,
        token_auth,
        api,
        filter,
        services,
        proxy,
        ca_file,
        poll,
        push: match push {
            Some(read) => Some(read?),
            None => None,
        },
    })
}

fn workspace_id(field: &Field<'_>) -> Option<String> {
    let text = field.filled("\"3009de2825f211ec8a84fedebcb4a754\"")?;
    let plain = text.replace('-', "").to_ascii_lowercase();
    if plain.len() != 32 || !plain.chars().all(|c| c.is_ascii_hexdigit()) {
        return field.fault(
            "is no workspace id, which has 32 hexadecimal digits",
            "copy it from the console: Manage workspace, Workspace ID",
        );
    }
    if plain != text {
        return field.fault(
            "is not written as HPE writes it: lower case, without dashes",
            format!("write {plain:?}"),
        );
    }
    Some(plain)
}

fn base_url(section: &mut Section<'_>) -> Option<Url> {
    match section.find("base_url") {
        Some(field) => {
            let mut url = field.url(UrlRule::Base, BASE_URL)?;
            let path = url.path().trim_end_matches('/').to_owned();
            url.set_path(&path);
            Some(url)
        }
        None => Url::parse(BASE_URL).ok(),
    }
}

/// Fills the placeholders. `None` without a fault of its own when what goes in is faulty.
fn token_url(
    section: &mut Section<'_>,
    base_url: Option<&Url>,
    workspace_id: Option<&str>,
) -> Option<Url> {
    let fill = |template: &str| {
        let base = base_url.map_or(BASE_URL, |url| url.as_str()).trim_end_matches('/');
        template.replace("{base_url}", base).replace("{workspace_id}", workspace_id.unwrap_or("0"))
    };
    let Some(field) = section.find("token_url") else { return Url::parse(&fill(TOKEN_URL)).ok() };
    let filled = fill(field.filled(&format!("{TOKEN_URL:?}"))?);
    if filled.contains(['{', '}']) {
        return field.fault(
            "has a placeholder other than {base_url} and {workspace_id}",
            format!("write for example {TOKEN_URL:?}"),
        );
    }
    field.url_of(&filled, UrlRule::Any, TOKEN_URL)
}

/// Checks what breaks every query; the grammar itself is HPE's to check.
fn filter(field: &Field<'_>) -> Option<String> {
    let example = "\"category eq 'User Management'\"";
    let text = field.text(example)?.trim();
    let instead = format!("write for example {example}");
    if text.len() > FILTER_BYTES_MAX {
        return field.fault("is longer than 4096 bytes", "shorten it, or use a target's routes");
    }
    if text.chars().any(char::is_control) {
        return field.fault("has a line break or another control character in it", instead);
    }
    if !text.matches('\'').count().is_multiple_of(2) {
        return field.fault("has a single quote without its partner", instead);
    }
    Some(text.to_owned())
}
