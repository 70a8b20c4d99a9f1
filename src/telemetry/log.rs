//! Log lines on standard error: for people, for machines, or for the journal.
//!
//! Set up once, before anything that logs. Lines carry dotted fields; secrets and bodies
//! are never among them.

use std::io::{IsTerminal, stderr};

use rustix::fs::fstat;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// Device and inode of the stream that systemd has connected to the journal
/// (`systemd.exec(5)`, "`$JOURNAL_STREAM`").
const JOURNAL_STREAM: &str = "JOURNAL_STREAM";

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// [`Form::Journald`] when standard error goes to the journal, [`Form::Text`] otherwise.
    Auto,
    /// Lines for people; coloured at a terminal unless `NO_COLOR` is set.
    Text,
    /// One JSON object a line.
    Json,
    /// The journal's own protocol, with fields.
    Journald,
}

/// Why logging could not be set up. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The filter does not parse.
    #[error(
        "log.filter is not a filter; write for example \"info\" or \"info,tailwater::poll=debug\""
    )]
    Filter(#[from] ParseError),
    /// `journald` was asked for and there is no journal.
    #[error("cannot reach the journal; write log.format = \"text\" or \"json\"")]
    Journal(#[source] std::io::Error),
    /// Logging has been set up before.
    #[error("logging is set up already")]
    Again(#[from] TryInitError),
}

/// Changes which lines are logged, while the process runs.
#[derive(Clone, Debug)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// Logs by another filter from now on.
    ///
    /// # Errors
    /// [`LogError::Filter`]; lines are logged as before.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        let filter = EnvFilter::builder().parse(filter)?;
        // It fails only when nothing is logged any more.
        let _ = self.0.reload(filter);
        Ok(())
    }
}

/// Sends log lines that pass `filter` (`info`, or directives such as
/// `info,tailwater::poll=debug`) to standard error, for the whole process.
///
/// # Errors
/// [`LogError`]; logging is as it was.
pub fn init(form: Form, filter: &str) -> Result<LogFilter, LogError> {
    let (filter, handle) = reload::Layer::new(EnvFilter::builder().parse(filter)?);
    let lines = match form {
        Form::Auto if goes_to_journal() => journal().unwrap_or_else(|_| text()),
        Form::Auto | Form::Text => text(),
        Form::Json => fmt::layer().json().flatten_event(true).with_writer(stderr).boxed(),
        Form::Journald => journal().map_err(LogError::Journal)?,
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).try_init()?;
    Ok(LogFilter(handle))
}

type Lines = Box<dyn Layer<Registry> + Send + Sync>;

fn text() -> Lines {
    let is_colourless = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_coloured = stderr().is_terminal() && !is_colourless;
    fmt::layer().with_ansi(is_coloured).with_writer(stderr).boxed()
}

fn journal() -> std::io::Result<Lines> {
    Ok(tracing_journald::layer()?.with_field_prefix(None).boxed())
}

fn goes_to_journal() -> bool {
    let stream = std::env::var(JOURNAL_STREAM).unwrap_or_default();
    fstat(stderr()).is_ok_and(|stat| is_stream(&stream, stat.st_dev, stat.st_ino))
}

/// Whether `stream`, as systemd writes it, names this file: `8:12345`.
fn is_stream(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':').is_some_and(|(device_text, inode_text)| {
        device_text.parse() == Ok(device) && inode_text.parse() == Ok(inode)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_very_stream_is_the_journal() {
        for (stream, expected) in [
            ("8:12", true),
            ("8:13", false),
            ("9:12", false),
            ("", false),
            ("8", false),
            ("8:x", false),
        ] {
            assert_eq!(is_stream(stream, 8, 12), expected, "{stream:?}");
        }
    }

    #[test]
    fn a_wrong_filter_is_an_error_that_says_what_to_write() {
        let error = init(Form::Text, "a=b=c").unwrap_err();
        assert!(matches!(error, LogError::Filter(_)));
        assert!(error.to_string().contains("write for example"));
    }

    /// One test, since logging is set up once in a process.
    #[test]
    fn it_is_set_up_once_and_then_its_filter_changes() {
        let filter = init(Form::Json, "off").unwrap();
        assert!(!tracing::enabled!(tracing::Level::ERROR));
        filter.set("error").unwrap();
        assert!(tracing::enabled!(tracing::Level::ERROR));
        assert!(!tracing::enabled!(tracing::Level::WARN));
        filter.set("off").unwrap();
        assert!(!tracing::enabled!(tracing::Level::ERROR));
        assert!(matches!(filter.set("a=b=c"), Err(LogError::Filter(_))));
        assert!(matches!(init(Form::Json, "off"), Err(LogError::Again(_))));
    }
}
