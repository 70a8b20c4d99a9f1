//! `tailwater history`: lists events.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::exit::{Exit, Failure};
use crate::cli::ledger::LedgerArgs;
use crate::cli::{output, when};
use crate::model::clock::Clock;
use crate::model::delivery::Status;
use crate::model::event::Route;
use crate::storage::{HistoryFilter, HistoryRow, Reader};

/// What `tailwater history` takes.
#[derive(Args, Clone, Debug)]
pub struct HistoryArgs {
    /// Happened since: 24h, 2026-11-21 or 2026-11-21T08:00:00Z
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Happened before
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Of this source, by its name in the configuration
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// Of this category: `user_management` or "User Management"
    #[arg(long)]
    category: Option<String>,
    /// By this user; a part of the name is enough
    #[arg(long)]
    user: Option<String>,
    /// With this text in the description or the data
    #[arg(long)]
    text: Option<String>,
    /// That came first by this route
    #[arg(long, value_parser = ["poll", "push"])]
    route: Option<String>,
    /// With a delivery that is …
    #[arg(long, value_parser = ["pending", "delivered", "dead"])]
    delivery: Option<String>,
    /// The event with this id
    #[arg(long)]
    id: Option<String>,
    /// Events at most, newest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    limit: u32,
    /// Oldest first
    #[arg(long)]
    oldest_first: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Print::Table)]
    format: Print,
    /// One JSON object a line; the same as --format json
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    ledger: LedgerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Print {
    Table,
    Json,
    Csv,
}

impl HistoryArgs {
    fn filter(&self) -> Result<HistoryFilter, Failure> {
        let now = Clock::system().now();
        let instant = |text: &Option<String>| {
            text.as_deref().map(|text| when::instant(text, now)).transpose().map_err(Failure::usage)
        };
        Ok(HistoryFilter {
            from: instant(&self.since)?,
            until: instant(&self.until)?,
            source: self.source.clone(),
            category: self.category.as_deref().map(normalised),
            user: self.user.clone(),
            text: self.text.clone(),
            route: self.route.as_deref().and_then(|text| text.parse::<Route>().ok()),
            delivery: self.delivery.as_deref().and_then(|text| text.parse::<Status>().ok()),
            id: self.id.clone(),
            after: None,
            limit: self.limit,
            oldest_first: self.oldest_first,
        })
    }
}

/// The ledger's form of a category that was written as GreenLake's console shows it.
fn normalised(category: &str) -> String {
    category.trim().to_lowercase().replace(' ', "_")
}

/// Lists events.
///
/// # Errors
/// When a filter makes no sense or the ledger cannot be read.
pub async fn run(args: HistoryArgs, config: Option<PathBuf>) -> Result<Exit, Failure> {
    let filter = args.filter()?;
    let reader = Reader::open(&args.ledger.path(config)?).await?;
    let rows = reader.list_history(&filter).await?;
    match if args.json { Print::Json } else { args.format } {
        Print::Table => print_table(&rows)?,
        Print::Json => output::json_lines(&rows.iter().map(json).collect::<Vec<_>>())?,
        Print::Csv => print_csv(&rows)?,
    }
    Ok(Exit::Done)
}

fn print_table(rows: &[HistoryRow]) -> std::io::Result<()> {
    let headings = ["SEQUENCE", "TIME", "CATEGORY", "USER", "DESCRIPTION", "ROUTE", "DELIVERIES"];
    let cells = |row: &HistoryRow| {
        vec![
            row.sequence.to_string(),
            row.time.clone(),
            output::or_dash(row.category.as_ref()),
            output::or_dash(row.username.as_ref()),
            output::or_dash(row.description.as_ref()),
            row.first_route.clone(),
            deliveries(row),
        ]
    };
    output::table(&headings, rows.iter().map(cells), "no events")
}

/// `2 delivered, 1 pending`; `none` when nobody is owed it.
fn deliveries(row: &HistoryRow) -> String {
    let counts = [(row.delivered, "delivered"), (row.pending, "pending"), (row.dead, "dead")];
    let parts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    if parts.is_empty() { "none".to_owned() } else { parts.join(", ") }
}

/// The row with its data as JSON, not as text.
fn json(row: &HistoryRow) -> serde_json::Value {
    let mut value = serde_json::json!(row);
    let data = row.data.as_deref().and_then(|text| serde_json::from_str(text).ok());
    value["data"] = data.unwrap_or(serde_json::Value::Null);
    value
}

fn print_csv(rows: &[HistoryRow]) -> Result<(), Failure> {
    let mut writer = csv::Writer::from_writer(output::out());
    for row in rows {
        writer.serialize(row).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => Failure::from(error),
            other => Failure::from(anyhow::anyhow!("cannot write CSV: {other:?}")),
        })?;
    }
    Ok(writer.flush()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn categories_are_found_however_they_are_written() {
        for text in ["user_management", "User Management", " USER MANAGEMENT "] {
            assert_eq!(normalised(text), "user_management");
        }
    }
}
