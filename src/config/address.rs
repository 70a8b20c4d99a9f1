//! URLs: which ones are taken, and how they are shown.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use url::{Url, form_urlencoded};

use crate::config::field::Field;
use crate::model::address::{AddressPolicy, is_loopback};

/// What else a URL must not have, beyond being http or https with a host and no
/// fragment.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum UrlRule {
    /// Nothing else: a target's key often stands in its query.
    Any,
    /// No query and no user-info: paths are added to it.
    Base,
}

impl Field<'_> {
    /// An http or https URL. The faults never repeat it: it may carry a key.
    pub(super) fn url(&self, rule: UrlRule, example: &str) -> Option<Url> {
        let text = self.filled(&format!("{example:?}"))?;
        self.url_of(text, rule, example)
    }

    /// The same for `text` that was made from this value.
    pub(super) fn url_of(&self, text: &str, rule: UrlRule, example: &str) -> Option<Url> {
        let url = Url::parse(text).ok();
        if let Some(what) = url.as_ref().map_or(Some("is not a URL"), |url| refusal(url, rule)) {
            return self.fault(what, format!("write for example {example:?}"));
        }
        let url = url?;
        if let Err(refusal) = AddressPolicy::Ordinary.judge_host(&url) {
            return self.fault(refusal.to_string(), format!("write for example {example:?}"));
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            self.warn("is plain http, everyone on the way can read along", "write https://…");
        }
        Some(url)
    }

    /// An `http://` or `https://` URL of a proxy.
    pub(super) fn proxy(&self) -> Option<Url> {
        let example = "http://proxy.example.com:3128";
        let text = self.filled(&format!("{example:?}"))?;
        match Url::parse(text) {
            Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Some(url),
            _ => self.fault(
                "is not an http or https URL of a proxy",
                format!("write for example {example:?}"),
            ),
        }
    }
}

fn refusal(url: &Url, rule: UrlRule) -> Option<&'static str> {
    if !["http", "https"].contains(&url.scheme()) {
        return Some("is not an http or https URL");
    }
    if url.fragment().is_some() {
        return Some("has a fragment (#…), which is never sent");
    }
    if rule == UrlRule::Base {
        if url.query().is_some() {
            return Some("has a query (?…), and paths are added to it");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Some("has a user or password in it, which do not belong there");
        }
    }
    None
}

/// `url` without its query, fragment and user-info: they carry keys.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // Both fail only for URLs without a host, and such were never taken.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.to_string()
}

/// User and password that stand in `url`, decoded; `None` when neither does.
#[must_use]
pub fn user_info(url: &Url) -> Option<(String, String)> {
    let decoded = |text: &str| {
        // In user-info + and & stand for themselves, which they do not in a form.
        let form = text.replace('+', "%2B").replace('&', "%26");
        let first = form_urlencoded::parse(form.as_bytes()).next();
        first.map(|(text, _)| text.into_owned()).unwrap_or_default()
    };
    let (username, password) = (url.username(), url.password().unwrap_or_default());
    let is_there = !username.is_empty() || !password.is_empty();
    is_there.then(|| (decoded(username), decoded(password)))
}

/// What must not show of the user-info in `url`: the password, or the user where it
/// stands alone, and both as HTTP Basic puts them into a header. Empty when there is none.
#[must_use]
pub fn url_secrets(url: &Url) -> Vec<String> {
    let Some((username, password)) = user_info(url) else { return Vec::new() };
    let pair = STANDARD.encode(format!("{username}:{password}"));
    vec![pair, if password.is_empty() { username } else { password }]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_info_is_read_as_it_was_meant() {
        for (url, expected) in [
            ("https://h/p", None),
            ("https://key@h/p", Some(("key", ""))),
            ("https://:key@h/p", Some(("", "key"))),
            ("https://me:a+b&c%2F%3D%20@h/p", Some(("me", "a+b&c/= "))),
        ] {
            let expected = expected.map(|(user, key)| (user.to_owned(), key.to_owned()));
            assert_eq!(user_info(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }

    #[test]
    fn a_shown_url_has_no_keys() {
        let url = Url::parse("https://me:pw@h.example:8443/a/b?key=planted#f").unwrap();
        assert_eq!(shown(&url), "https://h.example:8443/a/b");
    }
}
