//! `tailwater deliveries`: lists deliveries.

use std::path::PathBuf;

use clap::Args;

use crate::cli::exit::{Exit, Failure};
use crate::cli::ledger::LedgerArgs;
use crate::cli::output;
use crate::model::delivery::Status;
use crate::storage::{DeliveryFilter, DeliveryRow, Reader};

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
    /// Deliveries at most, newest events first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

/// Lists deliveries.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn run(args: DeliveriesArgs, config: Option<PathBuf>) -> Result<Exit, Failure> {
    let filter = DeliveryFilter {
        target: args.target,
        status: args.status.as_deref().and_then(|text| text.parse::<Status>().ok()),
        event_id: args.event,
        limit: args.limit,
    };
    let reader = Reader::open(&args.ledger.path(config)?).await?;
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

fn cells(row: &DeliveryRow) -> Vec<String> {
    let answer = match (row.last_status, &row.last_reason) {
        (Some(status), Some(reason)) => format!("{status} {reason}"),
        (Some(status), None) => status.to_string(),
        (None, reason) => output::or_dash(reason.as_ref()),
    };
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
        answer,
        next,
    ]
}
