//! The configuration as it is in effect, without secrets.

use std::fmt::Display;
use std::fmt::Write as _;

use crate::config::address::shown;
use crate::config::inbound::{AdminConfig, PushConfig, ReceiverConfig};
use crate::config::names::Named;
use crate::config::quantity::{shown_duration, shown_rate, shown_size};
use crate::config::secret::MASK;
use crate::config::sections::{
    Auth, Config, Overlap, PollConfig, Schedule, Signing, SourceConfig, Start, TargetConfig,
};
use crate::model::address::AddressPolicy;

/// Every value in effect as TOML, with secrets and header values as `********` and URLs
/// without query and user-info.
#[must_use]
pub fn effective(config: &Config) -> String {
    let mut page = Page::default();
    page.head("[storage]");
    page.text("path", &config.storage.path.display());
    page.text("keep", &shown_duration(config.storage.keep));
    page.text("min_free", &shown_size(config.storage.min_free));
    for source in &config.sources {
        page.source(source);
    }
    for target in &config.targets {
        page.target(target);
    }
    if let Some(receiver) = &config.receiver {
        page.receiver(receiver);
    }
    if let Some(admin) = &config.admin {
        page.admin(admin);
    }
    page.head("[log]");
    page.text("format", &config.log.format.name());
    page.text("filter", &config.log.filter);
    page.0
}

#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, head: &str) {
        let gap = if self.0.is_empty() { "" } else { "\n" };
        let _ = writeln!(self.0, "{gap}{head}");
    }

    fn line(&mut self, key: &str, value: &dyn Display) {
        let _ = writeln!(self.0, "{key} = {value}");
    }

    fn text(&mut self, key: &str, value: &dyn Display) {
        self.line(key, &quoted(&value.to_string()));
    }

    fn source(&mut self, source: &SourceConfig) {
        self.head("[[source]]");
        self.text("name", &source.name);
        self.text("workspace_id", &source.workspace_id);
        self.text("client_id", &source.client_id);
        self.text("client_secret", &MASK);
        self.text("base_url", &shown(&source.base_url).trim_end_matches('/'));
        self.text("token_url", &shown(&source.token_url));
        self.text("token_auth", &source.token_auth.name());
        self.text("api", &source.api.name());
        self.text("filter", &source.filter);
        self.line("services", &list(source.services.iter().map(String::as_str)));
        if let Some(proxy) = &source.proxy {
            self.text("proxy", &shown(proxy));
        }
        if let Some(file) = &source.ca_file {
            self.text("ca_file", &file.path().display());
        }
        self.poll(&source.poll);
        if let Some(push) = &source.push {
            self.push(push);
        }
    }

    fn push(&mut self, push: &PushConfig) {
        self.0.push_str("[source.push]\n");
        self.text("path", &push.path);
        self.text("secret", &MASK);
        if push.secondary_secret.is_some() {
            self.text("secondary_secret", &MASK);
        }
        if push.api_key.is_some() {
            self.text("api_key", &MASK);
        }
        self.text("horizon", &shown_duration(push.horizon));
        self.text("silent_after", &shown_duration(push.silent_after));
        self.line("nudge", &push.nudge);
        self.text("foreign", &push.foreign.name());
        self.line("origins", &list(push.origins.iter().map(String::as_str)));
    }

    fn receiver(&mut self, receiver: &ReceiverConfig) {
        self.head("[receiver]");
        self.text("listen", &receiver.listen);
        if let Some(files) = &receiver.tls {
            let [cert, key] = [&files.cert, &files.key].map(|file| quoted(&file.to_string_lossy()));
            self.line("tls", &format!("{{ cert = {cert}, key = {key} }}"));
        }
        self.line("behind_proxy", &receiver.behind_proxy);
    }

    fn admin(&mut self, admin: &AdminConfig) {
        self.head("[admin]");
        self.text("listen", &admin.listen);
        if admin.token.is_some() {
            self.text("token", &MASK);
        }
    }

    fn poll(&mut self, poll: &PollConfig) {
        self.0.push_str("[source.poll]\n");
        self.line("enabled", &poll.enabled);
        match &poll.schedule {
            Schedule::Interval(interval) => self.text("interval", &shown_duration(*interval)),
            Schedule::Cron(line) => self.text("cron", line),
        }
        self.text("jitter", &shown_duration(poll.jitter));
        match poll.overlap {
            Overlap::Fixed(overlap) => self.text("overlap", &shown_duration(overlap)),
            Overlap::Auto => self.text("overlap", &"auto"),
        }
        match poll.start {
            Start::Now => self.text("start", &"now"),
            Start::Back(back) => self.text("start", &shown_duration(back)),
            Start::At(at) => self.text("start", &at.to_rfc3339()),
        }
        self.line("page_limit", &poll.page_limit);
        self.text("timeout", &shown_duration(poll.timeout));
    }

    fn target(&mut self, target: &TargetConfig) {
        self.head("[[target]]");
        self.text("name", &target.name);
        self.text("url", &shown(&target.url));
        self.line("sources", &list(target.sources.iter().map(String::as_str)));
        self.line("routes", &list(target.routes.iter().map(|route| route.as_str())));
        self.text("format", &target.format.name());
        let headers = target.headers.iter().map(|(name, _)| (quoted(name), quoted(MASK)));
        self.line("headers", &table(headers));
        match &target.auth {
            None => {}
            Some(Auth::Bearer(_)) => self.line("auth", &format!("{{ bearer = {} }}", quoted(MASK))),
            Some(Auth::Basic { username, .. }) => {
                let [username, password] = [username, MASK].map(quoted);
                let pairs = format!("{{ username = {username}, password = {password} }}");
                self.line("auth", &format!("{{ basic = {pairs} }}"));
            }
        }
        self.line("signing", &signing(&target.signing));
        self.line("concurrency", &target.concurrency);
        self.text("rate", &shown_rate(target.rate));
        self.text("timeout", &shown_duration(target.timeout));
        self.text("order", &target.order.name());
        self.line(
            "batch",
            &table([
                ("max_events".to_owned(), target.batch.max_events.to_string()),
                ("max_wait".to_owned(), quoted(&shown_duration(target.batch.max_wait))),
            ]),
        );
        let steps: Vec<_> =
            target.retry.schedule.iter().map(|step| shown_duration(*step)).collect();
        self.line(
            "retry",
            &table([
                ("schedule".to_owned(), list(steps.iter().map(String::as_str))),
                ("give_up".to_owned(), quoted(&shown_duration(target.retry.give_up))),
            ]),
        );
        if let Some(proxy) = &target.proxy {
            self.text("proxy", &shown(proxy));
        }
        if let Some(file) = &target.ca_file {
            self.text("ca_file", &file.path().display());
        }
        self.line("public_only", &(target.addresses == AddressPolicy::PublicOnly));
        self.line("own_events", &target.own_events);
        self.line("enabled", &target.enabled);
    }
}

fn signing(signing: &Signing) -> String {
    let keys = list(signing.standard.iter().map(|_| MASK));
    let standard = (!signing.standard.is_empty()).then(|| ("standard".to_owned(), keys));
    let greenlake = signing.greenlake.as_ref().map(|_| ("greenlake".to_owned(), quoted(MASK)));
    table(standard.into_iter().chain(greenlake))
}

fn list<'a>(items: impl Iterator<Item = &'a str>) -> String {
    format!("[{}]", items.map(quoted).collect::<Vec<_>>().join(", "))
}

fn table(pairs: impl IntoIterator<Item = (String, String)>) -> String {
    let pairs: Vec<_> = pairs.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
    if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}
