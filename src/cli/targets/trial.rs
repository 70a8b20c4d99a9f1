//! `tailwater targets test`: one event straight to a target, past the ledger.

use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::anyhow;
use serde_json::json;

use crate::cli::exit::{Exit, Failure};
use crate::config::{Config, Environment};
use crate::dispatch::{Target, send_test};
use crate::model::clock::Clock;
use crate::model::delivery::Attempt;

/// The key of a target that the ledger need not know.
const NO_KEY: i64 = 0;

/// Sends the event and says what came back; [`Exit::Failed`] unless that is a 2xx.
pub(super) async fn run(
    name: &str,
    as_json: bool,
    config: Option<PathBuf>,
) -> Result<Exit, Failure> {
    let path = Config::find(config)?;
    let targets = Config::load(&path, &Environment::of_process())?.config.targets;
    let names: Vec<String> = targets.iter().map(|target| target.name.clone()).collect();
    let Some(config) = targets.into_iter().find(|target| target.name == name) else {
        let known = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let file = path.display();
        return Err(anyhow!("{file} has no target {name:?}; it has: {known}").into());
    };
    let target = Target::new(NO_KEY, config).map_err(anyhow::Error::new)?;
    let attempt = send_test(&target, &Clock::system()).await;
    let mut out = io::stdout();
    if as_json {
        writeln!(out, "{}", object(name, &attempt))?;
    } else {
        write!(out, "{}", words(name, &attempt))?;
    }
    Ok(if attempt.outcome.reason().is_none() { Exit::Done } else { Exit::Failed })
}

fn object(name: &str, attempt: &Attempt) -> serde_json::Value {
    let reason = attempt.outcome.reason();
    json!({
        "target": name,
        "delivered": reason.is_none(),
        "status": attempt.status,
        "reason": reason.map(crate::model::outcome::Reason::as_str),
        "duration_ms": attempt.duration.as_secs_f64() * 1000.0,
        "answer": attempt.answer,
    })
}

/// `siem: 503 after 12 ms, not delivered (status)`, and the beginning of the answer.
fn words(name: &str, attempt: &Attempt) -> String {
    let status = attempt.status.map_or_else(|| "no answer".to_owned(), |code| code.to_string());
    let verdict = match attempt.outcome.reason() {
        None => "delivered".to_owned(),
        Some(reason) => format!("not delivered ({reason})"),
    };
    let mut text =
        format!("{name}: {status} after {} ms, {verdict}\n", attempt.duration.as_millis());
    for line in attempt.answer.iter().flat_map(|answer| answer.lines()) {
        text.push_str("    ");
        text.push_str(line);
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::model::outcome::{Outcome, Reason};
    use crate::model::timestamp::Timestamp;

    fn attempt(status: Option<u16>, outcome: Outcome, answer: Option<&str>) -> Attempt {
        Attempt {
            started_at: Timestamp::from_secs(100),
            duration: Duration::from_millis(12),
            status,
            outcome,
            retry_after: None,
            answer: answer.map(str::to_owned),
        }
    }

    #[test]
    fn what_came_back_is_told() {
        let well = attempt(Some(204), Outcome::Delivered, None);
        assert_eq!(words("siem", &well), "siem: 204 after 12 ms, delivered\n");
        let bad = attempt(Some(400), Outcome::Rejected, Some("no\nway"));
        let told = "siem: 400 after 12 ms, not delivered (rejected)\n    no\n    way\n";
        assert_eq!(words("siem", &bad), told);
        let dead = attempt(None, Outcome::Retry(Reason::Refused), None);
        assert_eq!(words("siem", &dead), "siem: no answer after 12 ms, not delivered (refused)\n");
        let object = object("siem", &bad);
        assert_eq!((&object["delivered"], &object["status"]), (&false.into(), &400.into()));
        assert_eq!((&object["reason"], &object["answer"]), (&"rejected".into(), &"no\nway".into()));
    }
}
