//! `tailwater history`: lists events, or tells how late they became visible.

mod lateness;

use std::io::Write;
use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::exit::{Exit, Failure};
use crate::cli::filter::{MatchArgs, SpanArgs};
use crate::cli::ledger::LedgerArgs;
use crate::cli::output;
use crate::model::delivery::Status;
use crate::storage::{HistoryFilter, HistoryRow, Reader};

/// What `tailwater history` takes.
#[derive(Args, Clone, Debug)]
pub struct HistoryArgs {
    #[command(flatten)]
    span: SpanArgs,
    #[command(flatten)]
    matching: MatchArgs,
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
    /// Instead of the events: how late they became visible to polls, a line a source
    #[arg(long, conflicts_with_all = ["format", "limit", "oldest_first"])]
    lateness: bool,
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
        let filter = self.span.narrow(self.matching.filter())?;
        Ok(HistoryFilter {
            delivery: self.delivery.as_deref().and_then(|text| text.parse::<Status>().ok()),
            id: self.id.clone(),
            limit: self.limit,
            oldest_first: self.oldest_first,
            ..filter
        })
    }
}

/// Lists events, or tells their lateness.
///
/// # Errors
/// When a filter makes no sense or the ledger cannot be read.
pub async fn run(args: HistoryArgs, config: Option<PathBuf>) -> Result<Exit, Failure> {
    let filter = args.filter()?;
    let reader = Reader::open(&args.ledger.path(config)?).await?;
    if args.lateness {
        return lateness::run(&reader, filter, args.json).await;
    }
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
pub(super) fn json(row: &HistoryRow) -> serde_json::Value {
    let mut value = serde_json::json!(row);
    let data = row.data.as_deref().and_then(|text| serde_json::from_str(text).ok());
    value["data"] = data.unwrap_or(serde_json::Value::Null);
    value
}

fn print_csv(rows: &[HistoryRow]) -> Result<(), Failure> {
    let mut out = output::out();
    write_csv(rows, &mut out, true)?;
    Ok(out.flush()?)
}

/// Writes rows as CSV, with or without a line of headings before them.
pub(super) fn write_csv(
    rows: &[HistoryRow],
    out: &mut dyn Write,
    has_headings: bool,
) -> Result<(), Failure> {
    let mut writer = csv::WriterBuilder::new().has_headers(has_headings).from_writer(out);
    for row in rows {
        writer.serialize(row).map_err(|error| match error.into_kind() {
            csv::ErrorKind::Io(error) => Failure::from(error),
            other => Failure::from(anyhow::anyhow!("cannot write CSV: {other:?}")),
        })?;
    }
    Ok(writer.flush()?)
}
