//! `tailwater check --online`: what every source says to a token request and a page.

use std::io::{self, Write};

use futures_util::future::join_all;
use serde_json::json;

use crate::config::Config;
use crate::greenlake::{Finding, probe};
use crate::model::clock::Clock;

/// Why targets are not asked.
const NOT_CONTACTED: &str = "a request would be taken for an event";

/// What a source said, in the order of asking.
#[derive(Debug)]
pub(super) struct Probed<'a> {
    source: &'a str,
    findings: Vec<Finding>,
}

impl Probed<'_> {
    /// Things that are not as they should be.
    pub(super) fn faults(&self) -> usize {
        self.findings.iter().filter(|finding| !finding.ok).count()
    }
}

/// Asks every enabled source at the same time; one after the other, fifty dead ones would
/// take an hour. Stores nothing.
pub(super) async fn ask(config: &Config) -> Vec<Probed<'_>> {
    let enabled = config.sources.iter().filter(|source| source.poll.enabled);
    let asked = enabled.map(async |source| {
        let findings = probe(source, Clock::system()).await;
        Probed { source: &source.name, findings }
    });
    join_all(asked).await
}

/// Says it in words: what is well on `out`, faults and advice on `err`.
pub(super) fn tell(
    config: &Config,
    probed: &[Probed],
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> io::Result<()> {
    for Probed { source, findings } in probed {
        for Finding { ok, what, instead } in findings {
            let kind = if *ok { "advice" } else { "fault" };
            match instead {
                Some(instead) => writeln!(err, "{kind}: source {source:?}: {what}; {instead}")?,
                None => writeln!(out, "source {source:?}: {what}")?,
            }
        }
    }
    for (source, why) in left_out(config) {
        writeln!(out, "source {source:?}: not asked, {why}")?;
    }
    for target in config.targets.iter().filter(|target| target.enabled) {
        writeln!(out, "target {:?}: not contacted, {NOT_CONTACTED}", target.name)?;
    }
    Ok(())
}

/// One object a line:
///
/// ```json
/// {"kind":"finding","source":"production","ok":false,"what":"…","instead":"…"}
/// {"kind":"skipped","source":"staging","why":"…"}
/// {"kind":"skipped","target":"siem","why":"…"}
/// ```
/// `instead` is null where there is nothing to do; with `ok` it is advice.
pub(super) fn tell_json(config: &Config, probed: &[Probed], out: &mut dyn Write) -> io::Result<()> {
    for Probed { source, findings } in probed {
        for Finding { ok, what, instead } in findings {
            let line = json!({
                "kind": "finding", "source": source, "ok": ok, "what": what, "instead": instead,
            });
            writeln!(out, "{line}")?;
        }
    }
    for (source, why) in left_out(config) {
        writeln!(out, "{}", json!({ "kind": "skipped", "source": source, "why": why }))?;
    }
    for target in config.targets.iter().filter(|target| target.enabled) {
        let line = json!({ "kind": "skipped", "target": target.name, "why": NOT_CONTACTED });
        writeln!(out, "{line}")?;
    }
    Ok(())
}

fn left_out(config: &Config) -> impl Iterator<Item = (&str, &'static str)> {
    let disabled = config.sources.iter().filter(|source| !source.poll.enabled);
    disabled.map(|source| (source.name.as_str(), "poll.enabled is false"))
}
