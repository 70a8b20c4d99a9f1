//! `tailwater export`: writes events to a file, page by page.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};

use crate::cli::exit::{Exit, Failure};
use crate::cli::filter::{MatchArgs, SpanArgs};
use crate::cli::history::write_csv;
use crate::cli::ledger::LedgerArgs;
use crate::cli::output;
use crate::cli::progress::Progress;
use crate::model::event::Sequence;
use crate::storage::{HistoryFilter, Reader};

/// Events in memory at once: some hundred KiB.
const PAGE: u32 = 256;

/// What `tailwater export` takes.
#[derive(Args, Clone, Debug)]
#[command(after_help = "Events that come meanwhile are left out. A file appears whole or \
not at all.")]
pub struct ExportArgs {
    /// csv: as history prints it; ndjson: one structured CloudEvent a line; cloudevents:
    /// one JSON array of them, a batch
    #[arg(long, value_enum)]
    format: Form,
    /// Where to; must not exist yet. - is standard output
    #[arg(long, short, value_name = "FILE", default_value = "-")]
    output: PathBuf,
    #[command(flatten)]
    span: SpanArgs,
    #[command(flatten)]
    matching: MatchArgs,
    #[command(flatten)]
    ledger: LedgerArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Csv,
    Ndjson,
    #[value(name = "cloudevents")]
    Batch,
}

/// Writes every event that matches, oldest first, in bounded memory.
///
/// # Errors
/// When a filter makes no sense, the ledger cannot be read, or the file cannot be
/// written; then there is no file.
pub async fn run(args: &ExportArgs, config: Option<PathBuf>) -> Result<Exit, Failure> {
    let filter = args.span.narrow(args.matching.filter())?;
    let reader = Reader::open(&args.ledger.path(config)?).await?;
    let filter = reader.enclose(HistoryFilter { limit: PAGE, ..filter }).await?;
    if args.output == Path::new("-") {
        write(&reader, filter, args.format, &mut output::out()).await?;
        return Ok(Exit::Done);
    }
    let count = write_file(&reader, filter, args).await?;
    println!("{} holds {count} events", args.output.display());
    Ok(Exit::Done)
}

/// Writes beside the file and moves it into place when it is whole.
async fn write_file(
    reader: &Reader,
    filter: HistoryFilter,
    args: &ExportArgs,
) -> Result<u64, Failure> {
    let to = args.output.as_path();
    if to.exists() {
        return Err(anyhow!("{} exists already; name a file that does not", to.display()).into());
    }
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let context = || format!("cannot write {}", to.display());
    let mut out = BufWriter::new(File::create(&part).with_context(context)?);
    let finished = write(reader, filter, args.format, &mut out).await.and_then(|count| {
        let moved = out.get_ref().sync_all().and_then(|()| std::fs::rename(&part, to));
        moved.with_context(context)?;
        Ok(count)
    });
    if finished.is_err() {
        let _ = std::fs::remove_file(&part);
    }
    finished
}

/// Writes all pages; how many events they held.
async fn write(
    reader: &Reader,
    mut filter: HistoryFilter,
    form: Form,
    out: &mut dyn Write,
) -> Result<u64, Failure> {
    let mut progress = Progress::new("events exported");
    let mut count = 0;
    if form == Form::Batch {
        out.write_all(b"[")?;
    }
    loop {
        let is_first = count == 0;
        let (last, found) = match form {
            Form::Csv => {
                let rows = reader.list_history(&filter).await?;
                write_csv(&rows, out, is_first)?;
                (rows.last().map(|row| row.sequence), rows.len())
            }
            Form::Ndjson | Form::Batch => {
                let bodies = reader.list_bodies(&filter).await?;
                write_bodies(&bodies, form, is_first, out)?;
                (bodies.last().map(|(sequence, _)| *sequence), bodies.len())
            }
        };
        let Some(last) = last else { break };
        filter.after = Some(last);
        count += found as u64;
        progress.show(count, None);
    }
    if form == Form::Batch {
        out.write_all(b"]\n")?;
    }
    out.flush()?;
    Ok(count)
}

fn write_bodies(
    bodies: &[(Sequence, String)],
    form: Form,
    is_first: bool,
    out: &mut dyn Write,
) -> io::Result<()> {
    for (index, (_, body)) in bodies.iter().enumerate() {
        if form == Form::Ndjson {
            // Between the tokens of JSON a line break is but a blank, and inside of them
            // there is none.
            writeln!(out, "{}", body.replace(['\n', '\r'], " "))?;
            continue;
        }
        if index > 0 || !is_first {
            out.write_all(b",\n")?;
        }
        out.write_all(body.as_bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(form: Form, pages: &[&[&str]]) -> String {
        let mut out = Vec::new();
        for (number, page) in pages.iter().enumerate() {
            let bodies: Vec<_> = page.iter().map(|body| (1, (*body).to_owned())).collect();
            write_bodies(&bodies, form, number == 0, &mut out).unwrap();
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn bodies_are_one_a_line_or_parted_by_commas_across_pages() {
        let pages: [&[&str]; 2] = [&["{\"a\":1}", "{\n\"b\": 2}"], &["{}"]];
        assert_eq!(written(Form::Ndjson, &pages), "{\"a\":1}\n{ \"b\": 2}\n{}\n");
        assert_eq!(written(Form::Batch, &pages), "{\"a\":1},\n{\n\"b\": 2},\n{}");
        assert_eq!(written(Form::Batch, &[]), "");
    }
}
