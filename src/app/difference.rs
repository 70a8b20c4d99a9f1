//! What a new configuration changes, as a pure function of the old one and the new one.

use std::fmt;

use crate::config::{AdminConfig, Config, PollConfig, SourceConfig, StorageConfig, TargetConfig};

/// What has to be done so that what runs is as a new configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Pollers.
    pub sources: Moves,
    /// Workers.
    pub targets: Moves,
    /// `storage.keep` is another one.
    pub keep: bool,
    /// `log.filter` is another one.
    pub log_filter: bool,
    /// `admin.token` is another one.
    pub admin_token: bool,
    /// Keys that changed and wait for a restart.
    pub waiting: Vec<&'static str>,
}

/// What becomes of parts of one kind, by name, in the order of the file. One that is not
/// enabled is none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves {
    /// To be started.
    pub added: Vec<String>,
    /// To be started again with other settings.
    pub changed: Vec<String>,
    /// To be stopped.
    pub removed: Vec<String>,
}

/// Why a new configuration cannot take the place of the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "storage.path changes only with a restart, since what runs belongs to its ledger: restart, \
     or write the old path"
)]
pub struct NeedsRestart;

/// What `new` changes of `old`.
///
/// # Errors
/// [`NeedsRestart`] when a ledger cannot be exchanged for another while it is in use:
/// events would go into one and deliveries come out of the other.
pub(super) fn difference(old: &Config, new: &Config) -> Result<Difference, NeedsRestart> {
    // A section more has to be looked at here.
    let Config {
        storage: StorageConfig { path, keep, min_free },
        sources,
        targets,
        receiver,
        admin,
        log,
    } = new;
    if *path != old.storage.path {
        return Err(NeedsRestart);
    }
    let mut waiting = Vec::new();
    if log.format != old.log.format {
        waiting.push("log.format");
    }
    if *receiver != old.receiver {
        waiting.push("receiver");
    }
    let [before, after] = [&old.admin, admin].map(|admin| admin.as_ref());
    let address = |admin: &AdminConfig| admin.listen;
    let stays = before.map(address) == after.map(address);
    if !stays {
        waiting.push("admin.listen");
    }
    let has_other_floor = *min_free != old.storage.min_free;
    Ok(Difference {
        sources: moves(&enabled_sources(&old.sources), &enabled_sources(sources), has_other_floor),
        targets: moves(&enabled_targets(&old.targets), &enabled_targets(targets), false),
        keep: *keep != old.storage.keep,
        log_filter: log.filter != old.log.filter,
        admin_token: stays && before != after,
        waiting,
    })
}

/// Whether a source is asked through the same client after the change: its token, its
/// connections and what is known of its clock and limits stay.
pub(super) fn keeps_client(old: &SourceConfig, new: &SourceConfig) -> bool {
    let client = |source: &SourceConfig| {
        let PollConfig { timeout, .. } = source.poll;
        let poll = PollConfig { timeout, ..new.poll.clone() };
        SourceConfig { poll, push: new.push.clone(), ..source.clone() }
    };
    client(old) == client(new)
}

fn enabled_sources(sources: &[SourceConfig]) -> Vec<(&str, &SourceConfig)> {
    let enabled = sources.iter().filter(|source| source.poll.enabled);
    enabled.map(|source| (source.name.as_str(), source)).collect()
}

fn enabled_targets(targets: &[TargetConfig]) -> Vec<(&str, &TargetConfig)> {
    let enabled = targets.iter().filter(|target| target.enabled);
    enabled.map(|target| (target.name.as_str(), target)).collect()
}

/// With `all_change`, those that stay change even if they are the same.
fn moves<T: PartialEq>(old: &[(&str, T)], new: &[(&str, T)], all_change: bool) -> Moves {
    let find = |list: &[(&str, T)], name: &str| list.iter().position(|(other, _)| *other == name);
    let mut moves = Moves::default();
    for (name, config) in new {
        match find(old, name) {
            None => moves.added.push((*name).to_owned()),
            Some(at) if all_change || old[at].1 != *config => {
                moves.changed.push((*name).to_owned());
            }
            Some(_) => {}
        }
    }
    let gone = old.iter().filter(|(name, _)| find(new, name).is_none());
    moves.removed = gone.map(|(name, _)| (*name).to_owned()).collect();
    moves
}

impl Moves {
    /// Whether the part of that name is to be started, for the first time or again.
    pub(super) fn starts(&self, name: &str) -> bool {
        self.added.iter().chain(&self.changed).any(|other| other == name)
    }

    fn tell(&self, what: &str, parts: &mut Vec<String>) {
        for (verb, names) in
            [("added", &self.added), ("changed", &self.changed), ("removed", &self.removed)]
        {
            if !names.is_empty() {
                parts.push(format!("{what} {verb}: {}", names.join(", ")));
            }
        }
    }
}

/// `targets changed: siem; targets added: archive, oncall; log.filter changed`
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        self.sources.tell("sources", &mut parts);
        self.targets.tell("targets", &mut parts);
        for (is_changed, key) in [
            (self.keep, "storage.keep"),
            (self.admin_token, "admin.token"),
            (self.log_filter, "log.filter"),
        ] {
            if is_changed {
                parts.push(format!("{key} changed"));
            }
        }
        if parts.is_empty() {
            return f.write_str("nothing changed");
        }
        f.write_str(&parts.join("; "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Environment;

    const OLD: &str = "
[storage]
path = \"t.db\"
[[source]]
name = \"production\"
workspace_id = \"3009de2825f211ec8a84fedebcb4a754\"
client_id = \"c\"
client_secret = \"s\"
[[target]]
name = \"siem\"
url = \"https://a.test/\"
headers = { \"X-Key\" = \"one\" }
signing = { standard = [\"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\"], greenlake = \"g\" }
[[target]]
name = \"archive\"
url = \"https://b.test/\"
[log]
filter = \"info\"
";

    fn parse(text: &str) -> Config {
        Config::parse("config.toml", text, &Environment::default()).unwrap().0
    }

    fn old_with(from: &str, to: &str) -> Config {
        assert!(OLD.contains(from), "{from}");
        parse(&OLD.replacen(from, to, 1))
    }

    /// What a change of the text comes to, in words.
    fn told(from: &str, to: &str) -> String {
        difference(&parse(OLD), &old_with(from, to)).unwrap().to_string()
    }

    #[test]
    fn each_change_touches_what_it_is_about_and_nothing_else() {
        let siem = "targets changed: siem";
        let second = "name = \"archive\"\nurl = \"https://b.test/\"\n";
        let third = format!("{second}[[target]]\nname = \"oncall\"\nurl = \"https://c.test/\"\n");
        let key = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
        let poll = "client_secret = \"s\"\n";
        let with_poll = |line: &str| format!("{poll}[source.poll]\n{line}\n");
        for (from, to, expected) in [
            ("info", "info", "nothing changed"),
            ("info", "debug", "log.filter changed"),
            ("t.db\"", "t.db\"\nkeep = \"200d\"", "storage.keep changed"),
            ("t.db\"", "t.db\"\nmin_free = \"1MiB\"", "sources changed: production"),
            ("https://a.test/", "https://a.test/x", siem),
            ("\"one\"", "\"two\"", siem),
            ("greenlake = \"g\"", "greenlake = \"h\"", siem),
            ("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", key, siem),
            ("https://b.test/\"", "https://b.test/\"\nconcurrency = 2", "targets changed: archive"),
            ("https://b.test/\"", "https://b.test/\"\nenabled = false", "targets removed: archive"),
            (second, &third, "targets added: oncall"),
            ("name = \"archive\"", "name = \"a\"", "targets added: a; targets removed: archive"),
            ("secret = \"s\"", "secret = \"t\"", "sources changed: production"),
            (poll, &with_poll("interval = \"5s\""), "sources changed: production"),
            (poll, &with_poll("enabled = false"), "sources removed: production"),
        ] {
            assert_eq!(told(from, to), expected, "{from:?} -> {to:?}");
        }
    }

    #[test]
    fn another_ledger_needs_a_restart_and_another_form_of_the_log_waits_for_one() {
        assert_eq!(difference(&parse(OLD), &old_with("t.db", "u.db")), Err(NeedsRestart));
        let json = old_with("filter = \"info\"", "filter = \"info\"\nformat = \"json\"");
        let found = difference(&parse(OLD), &json).unwrap();
        assert_eq!(found, Difference { waiting: vec!["log.format"], ..Difference::default() });
    }

    #[test]
    fn another_token_is_taken_and_another_address_waits_for_a_restart() {
        let with = |lines: &str| parse(&format!("{OLD}[admin]\n{lines}\n"));
        let token = "token = \"a-token-of-some-length\"";
        let told = |old: &Config, new: &Config| {
            let found = difference(old, new).unwrap();
            (found.to_string(), found.waiting)
        };
        let now = ("admin.token changed".to_owned(), vec![]);
        assert_eq!(told(&with(""), &with(token)), now);
        assert_eq!(told(&with(token), &with("token = \"another-of-some-length\"")), now);
        let waits = ("nothing changed".to_owned(), vec!["admin.listen"]);
        assert_eq!(told(&parse(OLD), &with(token)), waits);
        assert_eq!(told(&with(token), &with("listen = \"127.0.0.1:9\"")), waits);
        assert_eq!(told(&with(token), &parse(OLD)), waits);
    }

    #[test]
    fn a_client_stays_unless_what_it_is_made_of_changes() {
        let poll = "client_secret = \"s\"\n";
        for (line, expected) in [
            ("[source.poll]\ninterval = \"5s\"", true),
            ("[source.poll]\noverlap = \"5m\"\npage_limit = 10", true),
            ("[source.poll]\ntimeout = \"5s\"", false),
            ("filter = \"category eq 'x'\"", false),
            ("proxy = \"http://p.test:3128\"", false),
        ] {
            let new = old_with(poll, &format!("{poll}{line}\n"));
            let old = parse(OLD);
            assert_eq!(keeps_client(&old.sources[0], &new.sources[0]), expected, "{line}");
        }
        let rotated = old_with("client_secret = \"s\"", "client_secret = \"t\"");
        assert!(!keeps_client(&parse(OLD).sources[0], &rotated.sources[0]));
    }

    #[test]
    fn moving_a_section_in_the_file_changes_nothing() {
        let mut moved = parse(OLD);
        moved.targets.reverse();
        assert_eq!(difference(&parse(OLD), &moved), Ok(Difference::default()));
    }
}
