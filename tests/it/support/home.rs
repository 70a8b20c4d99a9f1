//! A folder with a configuration and a ledger, and the commands run in it.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::push::SECRET;
use super::{Audit, CloudServer, Done, Process, SOON, eventually, until};

/// A configuration in the making: one source and any number of targets.
#[derive(Clone, Debug)]
pub(crate) struct Setup {
    source: String,
    poll: String,
    push: String,
    admin: String,
    targets: String,
    log: String,
}

impl Setup {
    /// Polls `cloud` every second from ten minutes back; no target yet.
    pub(crate) fn new(cloud: &CloudServer) -> Self {
        Self::of(&cloud.base_url, cloud.secret())
    }

    /// The same with any server in the cloud's place.
    pub(crate) fn of(base_url: &str, client_secret: &str) -> Self {
        let settings = tailwater::simulator::Settings::default();
        let source = format!(
            "workspace_id = \"{}\"\nclient_id = \"{}\"\nclient_secret = \"{client_secret}\"\n\
             base_url = \"{base_url}\"\n",
            settings.workspace.id, settings.client_id,
        );
        let poll = "interval = \"1s\"\nstart = \"10m\"\n".to_owned();
        let [push, admin, targets] = [String::new(), String::new(), String::new()];
        Self { source, poll, push, admin, targets, log: "info,tailwater=debug".to_owned() }
    }

    /// Replaces the lines of `[source.poll]`.
    pub(crate) fn poll(self, lines: &str) -> Self {
        Self { poll: format!("{lines}\n"), ..self }
    }

    /// Receives pushes at `/hook` on a free port; `lines` are further keys of
    /// `[source.push]`.
    pub(crate) fn push(self, lines: &str) -> Self {
        self.receiver("listen = \"127.0.0.1:0\"", lines)
    }

    /// The same with the lines of `[receiver]`.
    pub(crate) fn receiver(self, receiver: &str, lines: &str) -> Self {
        let push = format!(
            "[receiver]\n{receiver}\n\n[source.push]\npath = \"/hook\"\n\
             secret = \"{SECRET}\"\n{lines}\n"
        );
        Self { push, ..self }
    }

    /// Answers probes on a free port; `lines` are further keys of `[admin]`.
    pub(crate) fn admin(self, lines: &str) -> Self {
        Self { admin: format!("[admin]\nlisten = \"127.0.0.1:0\"\n{lines}\n\n"), ..self }
    }

    /// Signs pushes with another secret than the usual one.
    pub(crate) fn secret(self, secret: &str) -> Self {
        Self { push: self.push.replace(SECRET, secret), ..self }
    }

    /// The same with other words in the lines of `[source.push]`.
    pub(crate) fn replacing(self, words: &str, others: &str) -> Self {
        Self { push: self.push.replace(words, others), ..self }
    }

    /// Adds a line to `[[source]]`.
    pub(crate) fn source(self, line: &str) -> Self {
        Self { source: format!("{}{line}\n", self.source), ..self }
    }

    /// Adds a target; `lines` are further keys of it.
    pub(crate) fn target(mut self, name: &str, url: &str, lines: &str) -> Self {
        write!(self.targets, "[[target]]\nname = \"{name}\"\nurl = \"{url}\"\n{lines}\n\n")
            .expect("a String takes everything");
        self
    }

    /// Logs by this filter; what is ours from `debug` by default.
    pub(crate) fn log(self, filter: &str) -> Self {
        Self { log: filter.to_owned(), ..self }
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> String {
        let Self { source, poll, push, admin, targets, log } = self;
        let (receiver, push) = push.split_once("\n\n").unwrap_or_default();
        format!(
            "[storage]\npath = \"ledger.db\"\nmin_free = \"1MiB\"\n\n\
             {receiver}\n\n{admin}\
             [[source]]\nname = \"production\"\n{source}[source.poll]\n{poll}\n{push}\n\
             {targets}[log]\nformat = \"text\"\nfilter = \"{log}\"\n"
        )
    }
}

/// The folder. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Home {
    folder: TempDir,
    /// Numbers the processes, so that each has its own files.
    started: AtomicU32,
    variables: Vec<(String, String)>,
}

impl Home {
    pub(crate) fn new(setup: &Setup) -> Self {
        let folder = TempDir::with_prefix("tailwater-it-").expect("a temporary folder");
        let home = Self { folder, started: AtomicU32::new(0), variables: Vec::new() };
        home.set_up(setup);
        home
    }

    /// Replaces the configuration; running processes keep theirs.
    pub(crate) fn set_up(&self, setup: &Setup) {
        self.replace("config.toml", &setup.text());
    }

    /// Replaces a file at one go: nobody reads half of it.
    pub(crate) fn replace(&self, name: &str, text: &str) {
        let new = format!("{name}.new");
        self.write(&new, text);
        std::fs::rename(self.path().join(new), self.path().join(name)).expect("it is there");
    }

    /// Has a daemon read another configuration, and waits until it has taken or refused it.
    /// Its log must be at `info` at least.
    pub(crate) async fn reload(&self, daemon: &Process, setup: &Setup) {
        let answers = || {
            let said = daemon.stderr();
            said.matches("reloaded: ").count() + said.matches("was not taken").count()
        };
        let before = answers();
        self.set_up(setup);
        daemon.hang_up();
        until("the daemon answers to SIGHUP", SOON, || answers() > before).await;
    }

    /// Sets an environment variable for all later processes.
    pub(crate) fn set_variable(&mut self, name: &str, value: &str) {
        self.variables.push((name.to_owned(), value.to_owned()));
    }

    /// Writes a file into the folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("the folder can be written to");
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.path().join("ledger.db")
    }

    /// Starts any command.
    pub(crate) fn start(&self, args: &[&str]) -> Process {
        self.start_with(args, &[])
    }

    /// Starts any command with further environment variables.
    pub(crate) fn start_with(&self, args: &[&str], more: &[(String, String)]) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name = format!("{number:03}-{}", args.first().unwrap_or(&"none"));
        Process::start(self.path(), &name, args, &[&self.variables[..], more].concat())
    }

    /// Starts a program that becomes ours in the end.
    pub(crate) fn start_as(&self, program: &str, args: &[&str]) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name = format!("{number:03}-{program}");
        Process::start_as(program, self.path(), &name, args, &self.variables)
    }

    /// Starts the daemon; it may not be ready yet.
    pub(crate) fn start_daemon(&self) -> Process {
        self.start(&["run"])
    }

    /// Starts the daemon and waits until it says that it runs.
    pub(crate) async fn run_daemon(&self) -> Process {
        let daemon = self.start_daemon();
        until("the daemon runs", SOON, || daemon.stderr().contains("running")).await;
        daemon
    }

    /// Runs a command to its end.
    pub(crate) async fn command(&self, args: &[&str]) -> Done {
        self.start(args).end(SOON).await
    }

    /// Runs a command that lists with `--json`, and reads what it prints.
    pub(crate) async fn list(&self, args: &[&str]) -> Vec<Value> {
        let args: Vec<&str> = args.iter().copied().chain(["--json"]).collect();
        let done = self.command(&args).await;
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
        let read = |line| serde_json::from_str(line).expect("one JSON object a line");
        done.stdout.lines().map(read).collect()
    }

    /// Waits until no delivery is pending: targets have their last event a moment before
    /// the ledger knows.
    pub(crate) async fn until_settled(&self, limit: Duration) {
        self.until_settled_but(&[], limit).await;
    }

    /// The same, for all targets but some.
    pub(crate) async fn until_settled_but(&self, others: &[&str], limit: Duration) {
        let others: Vec<String> = others.iter().map(|name| format!("'{name}'")).collect();
        let pending = format!(
            "SELECT count(*) FROM delivery_log WHERE status = 'pending' AND target NOT IN ({})",
            others.join(", ")
        );
        eventually("nothing is pending", limit, async || {
            let mut audit = Audit::live(self).await;
            (audit.value::<i64>(&pending).await == 0).then_some(())
        })
        .await;
    }

    /// Stops a daemon softly; it must end well within `limit`.
    pub(crate) async fn stop(&self, daemon: Process, limit: Duration) -> Done {
        daemon.term();
        let done = daemon.end(limit).await;
        assert_eq!(done.code, Some(0), "{}", done.stderr);
        done
    }
}
