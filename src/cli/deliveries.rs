//! `tailwater deliveries`: lists deliveries, or the attempts of one.

use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::{Exit, Failure};
use crate::cli::ledger::LedgerArgs;
use crate::cli::output;
use crate::model::delivery::Status;
use crate::storage::{AttemptRow, DeliveryFilter, DeliveryRow, Reader};

/// Characters of an answer in a table; `--json` shows all that is kept.
const ANSWER_SHOWN: usize = 100;

/// What `tailwater deliveries` takes.
#[derive(Args, Clone, Debug)]
pub struct DeliveriesArgs {
    /// Only to this target
    #[arg(long, value_name = "NAME")]
    target: Option<String>,
    /// Only in this status
    #[arg(long, value_parser = ["pending", "delivered", "dead"])]
    status: Option<String>,
    /// Only of the event with this id
    #[arg(long, value_name = "ID")]
    event: Option<String>,
    /// List the attempts of the event's deliveries instead: when, how long, what came back
    #[arg(long, requires = "event", conflicts_with = "status")]
    attempts: bool,
    /// Lines at most: deliveries of the newest events first, attempts from the first on
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// Lists deliveries, or attempts.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn run(args: DeliveriesArgs, config: Option<PathBuf>) -> Result<Exit, Failure> {
    let reader = Reader::open(&args.ledger.path(config)?).await?;
    if let (true, Some(id)) = (args.attempts, &args.event) {
        let rows = reader.list_attempts(id, args.target.as_deref(), args.limit).await?;
        if args.json {
            output::json_lines(&rows)?;
        } else {
            let headings = ["TARGET", "NUMBER", "STARTED", "TOOK", "RESULT", "ANSWER"];
            output::table(&headings, rows.iter().map(attempt_cells), "no attempts")?;
        }
        return Ok(Exit::Done);
    }
    let filter = DeliveryFilter {
        target: args.target,
        status: args.status.as_deref().and_then(|text| text.parse::<Status>().ok()),
        event_id: args.event,
        limit: args.limit,
    };
    let rows = reader.list_deliveries(&filter).await?;
    if args.json {
        output::json_lines(&rows)?;
    } else {
        let headings =
            ["EVENT", "TARGET", "STATUS", "ATTEMPTS", "LAST ATTEMPT", "ANSWER", "NEXT ATTEMPT"];
        output::table(&headings, rows.iter().map(cells), "no deliveries")?;
    }
    Ok(Exit::Done)
}

/// `503 status`, `200`, or `timeout`.
fn result(status: Option<i64>, reason: Option<&String>) -> String {
    match (status, reason) {
        (Some(status), Some(reason)) => format!("{status} {reason}"),
        (Some(status), None) => status.to_string(),
        (None, reason) => output::or_dash(reason),
    }
}

fn attempt_cells(row: &AttemptRow) -> Vec<String> {
    let first_line = row.answer.as_deref().and_then(|answer| answer.lines().next());
    let shown = first_line.map(|line| line.chars().take(ANSWER_SHOWN).collect::<String>());
    vec![
        row.target.clone(),
        row.number.to_string(),
        row.started_at.clone(),
        format!("{:.0} ms", row.duration_ms),
        result(row.status, row.reason.as_ref()),
        output::or_dash(shown.as_ref()),
    ]
}

fn cells(row: &DeliveryRow) -> Vec<String> {
    let next = match (&row.next_attempt_at, row.status.as_str()) {
        (Some(at), _) => at.clone(),
        (None, "pending") => "now".to_owned(),
        (None, _) => "-".to_owned(),
    };
    vec![
        row.event_id.clone(),
        row.target.clone(),
        row.status.clone(),
        row.attempts.to_string(),
        output::or_dash(row.last_attempt_at.as_ref()),
        result(row.last_status, row.last_reason.as_ref()),
        next,
    ]
}
