//! `tailwater sink`: a receiver that prints, verifies, and fails on demand.

use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio_util::sync::CancellationToken;

use crate::config::Secret;
use crate::model::signature::VerifyKey;
use crate::simulator::sink::{Arrival, Report, Sink, SinkFault, SinkSettings};

/// Receive webhooks: print each event, verify signatures, fail on demand
#[derive(Clone, Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of the command line")]
pub struct Args {
    /// Where to listen; loopback only, port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8491")]
    listen: SocketAddr,
    /// Path that takes events
    #[arg(long, default_value = "/")]
    path: String,
    /// Standard Webhooks key, `whsec_…` or `whpk_…`; may be repeated
    #[arg(
        long,
        value_name = "KEY",
        env = "TAILWATER_SINK_SECRET",
        hide_env_values = true,
        value_delimiter = ' ',
        value_parser = parse_secret
    )]
    secret: Vec<Secret>,
    /// File with a Standard Webhooks key
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,
    /// Secret for HPE-Webhook-Signature; may be repeated
    #[arg(
        long,
        value_name = "SECRET",
        env = "TAILWATER_SINK_GREENLAKE_SECRET",
        hide_env_values = true,
        value_parser = parse_secret
    )]
    greenlake_secret: Vec<Secret>,
    /// File with a secret for HPE-Webhook-Signature
    #[arg(long, value_name = "FILE")]
    greenlake_secret_file: Option<PathBuf>,
    /// Answer with this status
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u16).range(200..600))]
    status: Option<u16>,
    /// Wait before answering
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    delay: Duration,
    /// Close the connection without an answer
    #[arg(long)]
    drop: bool,
    /// Say Retry-After with so many seconds; alone it is a 503
    #[arg(long, value_name = "SECONDS")]
    retry_after: Option<u64>,
    /// Fail only every n-th request
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// Fail only among the first n requests
    #[arg(long, value_name = "N")]
    first: Option<u64>,
    /// Count the events of failed requests, as if only the answer were lost
    #[arg(long)]
    taken: bool,
    /// Print the summary and nothing else
    #[arg(long, short)]
    quiet: bool,
    /// Print one JSON object a line
    #[arg(long)]
    json: bool,
}

/// Receives until `stop`, then prints a summary.
///
/// # Errors
/// When a key or the address cannot be used, or standard output is closed.
pub async fn run(args: Args, stop: CancellationToken) -> anyhow::Result<()> {
    let sink = Sink::bind(settings(&args)?).await.context("the sink")?;
    let handle = sink.handle();
    if !args.json {
        writeln!(stdout(), "Listening on {}; Ctrl-C ends it with a summary.", sink.url())?;
    }
    let arrivals = (!args.quiet).then(|| handle.arrivals());
    // When either ends, standard output being closed included, so does the other.
    let halt = stop.child_token();
    let (served, told) = tokio::join!(
        async {
            let _stop_the_other = halt.clone().drop_guard();
            sink.run(halt.clone()).await
        },
        async {
            let Some(arrivals) = arrivals else { return Ok(()) };
            let _stop_the_other = halt.clone().drop_guard();
            tell(arrivals, args.json, &halt).await
        },
    );
    served.context("the sink")?;
    told.context("standard output")?;
    summarise(&handle.report(), args.json).context("standard output")
}

fn settings(args: &Args) -> anyhow::Result<SinkSettings> {
    let mut keys = args.secret.clone();
    let mut greenlake_secrets = args.greenlake_secret.clone();
    keys.extend(args.secret_file.as_deref().map(read_secret).transpose()?);
    greenlake_secrets.extend(args.greenlake_secret_file.as_deref().map(read_secret).transpose()?);
    let keys: Result<Vec<_>, _> = keys.iter().map(|key| VerifyKey::parse(key.expose())).collect();
    Ok(SinkSettings {
        listen: args.listen,
        path: args.path.clone(),
        keys: keys.context("a Standard Webhooks key")?,
        greenlake_secrets,
        fault: SinkFault {
            status: args.status,
            drop: args.drop,
            delay_seconds: args.delay.as_secs_f64(),
            retry_after: args.retry_after,
            every: args.every,
            first: args.first,
            is_taken: args.taken,
        },
        ..SinkSettings::default()
    })
}

/// The text of a file without the line break at its end.
fn read_secret(path: &Path) -> anyhow::Result<Secret> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the secret in {}", path.display()))?;
    Ok(Secret::new(text.trim_end_matches(['\r', '\n'])))
}

async fn tell(
    mut arrivals: Receiver<Arrival>,
    json: bool,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            biased;
            arrival = arrivals.recv() => match arrival {
                Ok(arrival) => show(&arrival, json)?,
                Err(RecvError::Lagged(count)) => left_out(count, json)?,
                Err(RecvError::Closed) => return Ok(()),
            },
            () = stop.cancelled() => break,
        }
    }
    loop {
        match arrivals.try_recv() {
            Ok(arrival) => show(&arrival, json)?,
            Err(TryRecvError::Lagged(count)) => left_out(count, json)?,
            Err(TryRecvError::Empty | TryRecvError::Closed) => return Ok(()),
        }
    }
}

fn show(arrival: &Arrival, json: bool) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(arrival)?)?;
    } else {
        writeln!(out, "{arrival}")?;
    }
    Ok(())
}

/// Lines that a slow terminal has cost; the events are counted all the same.
fn left_out(count: u64, json: bool) -> anyhow::Result<()> {
    if json {
        writeln!(stdout(), "{{\"arrival\":\"left_out\",\"count\":{count}}}")?;
    } else {
        writeln!(stdout(), "… {count} lines left out")?;
    }
    Ok(())
}

fn summarise(report: &Report, json: bool) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    if json {
        writeln!(out, "{}", serde_json::to_string(report)?)?;
        return Ok(());
    }
    let Report { requests, failed_on_demand, unreadable, events, distinct, repeats, .. } = report;
    writeln!(
        out,
        "\n{requests} requests: {failed_on_demand} failed on demand, {unreadable} unreadable"
    )?;
    writeln!(
        out,
        "{events} events: {distinct} different, {repeats} repeats, {} plain",
        report.plain
    )?;
    writeln!(out, "sequence: {} missing, {} out of order", report.gaps, report.out_of_order)?;
    writeln!(
        out,
        "signatures: {} ok, {} bad, {} missing",
        report.signatures_good, report.signatures_bad, report.signatures_missing
    )?;
    for (name, since) in [("recorded", report.since_recorded), ("created", report.since_created)] {
        if since.count == 0 {
            continue;
        }
        writeln!(
            out,
            "since {name}: p50 {:.1} ms, p90 {:.1} ms, p99 {:.1} ms, max {:.1} ms (n = {})",
            since.p50_ms, since.p90_ms, since.p99_ms, since.max_ms, since.count
        )?;
    }
    Ok(())
}

/// Takes any text as a secret, so that no message repeats it.
#[expect(clippy::unnecessary_wraps, reason = "clap's parsers may fail")]
pub(super) fn parse_secret(text: &str) -> Result<Secret, std::convert::Infallible> {
    Ok(Secret::new(text))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Args {
        Command::try_parse_from(line.split(' ')).expect(line).args
    }

    #[test]
    fn options_become_settings() {
        let args =
            parse("sink --status 429 --retry-after 10 --every 5 --first 9 --delay 2s --taken");
        let expected = SinkFault {
            status: Some(429),
            drop: false,
            delay_seconds: 2.0,
            retry_after: Some(10),
            every: 5,
            first: Some(9),
            is_taken: true,
        };
        assert_eq!(settings(&args).unwrap().fault, expected);
        assert_eq!(settings(&parse("sink")).unwrap().fault, SinkFault::default());
    }

    #[test]
    fn secrets_come_from_options_and_files_and_never_print() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "planted-greenlake\n").unwrap();
        let key = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
        let line = format!("sink --secret {key} --greenlake-secret-file {}", file.path().display());
        let args = parse(&line);
        assert!(!format!("{args:?}").contains("C2FVs"));
        let settings = settings(&args).unwrap();
        assert_eq!(settings.keys.len(), 1);
        assert_eq!(settings.greenlake_secrets[0].expose(), "planted-greenlake");
        assert!(!format!("{settings:?}").contains("planted"));
    }

    #[test]
    fn a_bad_key_is_refused_without_repeating_it() {
        let fault = settings(&parse("sink --secret planted-key")).unwrap_err();
        assert!(!format!("{fault:#}").contains("planted"), "{fault:#}");
    }
}
