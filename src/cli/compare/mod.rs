//! `tailwater compare`: polling against push, in figures.

mod csv;
mod table;
mod what_if;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, ValueEnum};

use crate::cli::exit::{Exit, Failure};
use crate::cli::filter::SpanArgs;
use crate::cli::ledger::LedgerArgs;
use crate::cli::output;
use crate::compare::{CompareError, Comparison, compare, page};
use crate::model::clock::Clock;
use crate::storage::{HistoryFilter, Reader};

/// What `tailwater compare` takes.
#[derive(Args, Clone, Debug)]
#[command(
    after_help = "Without --since: since both routes are there. docs/compare.md tells how to read \
it. Exit codes: 1 there is nothing to \
compare, 75 not yet; the message says what to do."
)]
pub struct CompareArgs {
    #[command(flatten)]
    span: SpanArgs,
    /// The source, by its name in the configuration [default: each that has a webhook]
    #[arg(long, value_name = "NAME")]
    source: Option<String>,
    /// How to print: json is one object a source and line, csv one line a figure, html a page
    /// with five pictures in one file, svg the pictures alone
    #[arg(long, value_enum, default_value_t = Print::Table)]
    format: Print,
    /// One JSON object a line; the same as --format json
    #[arg(long)]
    json: bool,
    /// Where to; an existing file is replaced. - is standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    ledger: LedgerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Print {
    Table,
    Json,
    Csv,
    Html,
    Svg,
}

/// Compares, and prints or writes the result.
///
/// # Errors
/// When there is nothing to compare, an instant makes no sense, the ledger cannot be read
/// or the file cannot be written.
pub async fn run(args: CompareArgs, config: Option<PathBuf>) -> Result<Exit, Failure> {
    let filter = args.span.narrow(HistoryFilter::default())?;
    let reader = Reader::open(&args.ledger.path(config)?).await?;
    let comparisons = compare_all(&reader, args.source.as_deref(), &filter).await?;
    let text = match if args.json { Print::Json } else { args.format } {
        Print::Table => table::render(&comparisons),
        Print::Json => json(&comparisons)?,
        Print::Csv => csv::render(&comparisons)?,
        Print::Html => page::html(&comparisons),
        Print::Svg => page::svg(&comparisons),
    };
    write(&args.output, text.as_bytes())?;
    Ok(Exit::Done)
}

/// Compares the source of that name, or each that has a webhook. Of several, those with
/// nothing to compare are told on standard error.
async fn compare_all(
    reader: &Reader,
    source: Option<&str>,
    filter: &HistoryFilter,
) -> Result<Vec<Comparison>, Failure> {
    let sources: Vec<String> = if let Some(name) = source {
        vec![name.to_owned()]
    } else {
        let mut all = reader.list_routes().await?;
        if all.iter().any(|routes| routes.push_since.is_some()) {
            all.retain(|routes| routes.push_since.is_some());
        }
        all.into_iter().map(|routes| routes.source).collect()
    };
    let now = Clock::system().now();
    let (mut comparisons, mut failed) = (Vec::new(), Vec::new());
    for source in sources {
        match compare(reader, &source, filter.from, filter.until, now).await {
            Ok(comparison) => comparisons.push(comparison),
            Err(error) => failed.push(error),
        }
    }
    let last = failed.pop();
    for error in &failed {
        tell(error);
    }
    match last {
        Some(error) if comparisons.is_empty() => Err(error.into()),
        Some(error) => {
            tell(&error);
            Ok(comparisons)
        }
        None if comparisons.is_empty() => Err(anyhow::anyhow!(
            "the ledger knows of no source yet; let `tailwater run` poll and receive for a day"
        )
        .into()),
        None => Ok(comparisons),
    }
}

fn tell(error: &CompareError) {
    // Standard error may be closed; there is nobody else to tell.
    let _ = writeln!(io::stderr(), "tailwater: {error}");
}

fn json(comparisons: &[Comparison]) -> Result<String, Failure> {
    let mut text = String::new();
    for comparison in comparisons {
        text += &serde_json::to_string(comparison).context("a comparison as JSON")?;
        text.push('\n');
    }
    Ok(text)
}

/// Writes to standard output, or beside the file and then into its place.
fn write(to: &Path, text: &[u8]) -> Result<(), Failure> {
    if to == Path::new("-") {
        let mut out = output::out();
        out.write_all(text)?;
        return Ok(out.flush()?);
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let done = fs::write(&part, text).and_then(|()| fs::rename(&part, to));
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    Ok(done.with_context(|| format!("cannot write {}", to.display()))?)
}
