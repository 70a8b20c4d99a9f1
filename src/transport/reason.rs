//! Why no answer came: what an operator tells apart, without the URL.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

use crate::model::address::Refusal;

/// Why no answer came, or broke off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The host's name could not be resolved.
    Dns,
    /// The address, or every one that the name has, may not be asked.
    Address,
    /// Nobody listens there.
    Refused,
    /// The TLS handshake failed: certificate, name, or no TLS at all.
    Tls,
    /// A time limit passed.
    Timeout,
    /// The connection was closed or reset before the answer was complete.
    Reset,
    /// Anything else.
    Other,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 7] = [
        Self::Dns,
        Self::Address,
        Self::Refused,
        Self::Tls,
        Self::Timeout,
        Self::Reset,
        Self::Other,
    ];

    /// The reason's name in tables and logs: `dns`, `address`, `refused`, `tls`,
    /// `timeout`, `reset` or `other`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Address => "address",
            Self::Refused => "refused",
            Self::Tls => "tls",
            Self::Timeout => "timeout",
            Self::Reset => "reset",
            Self::Other => "other",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why `error` happened, as far as its causes tell.
#[must_use]
pub fn network_reason(error: &reqwest::Error) -> Reason {
    if error.is_timeout() {
        return Reason::Timeout;
    }
    if causes(error).any(<dyn Error>::is::<Refusal>) {
        return Reason::Address;
    }
    if error.is_dns() {
        return Reason::Dns;
    }
    causes(error).find_map(|cause| of_cause(cause, error.is_connect())).unwrap_or(Reason::Other)
}

/// The reason in words with the innermost cause, without the URL and so without its
/// keys: `refused: Connection refused (os error 111)`.
#[must_use]
pub fn explain(error: &reqwest::Error) -> String {
    let reason = network_reason(error);
    match causes(error).last() {
        Some(cause) => format!("{reason}: {cause}"),
        None => reason.to_string(),
    }
}

fn causes(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |&cause| match cause.downcast_ref::<io::Error>() {
        // An io::Error made from another error skips that one in its own source().
        Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
        None => cause.source(),
    })
}

fn of_cause(cause: &(dyn Error + 'static), connecting: bool) -> Option<Reason> {
    let Some(io) = cause.downcast_ref::<io::Error>() else { return of_hyper(cause) };
    match io.kind() {
        ErrorKind::ConnectionRefused => Some(Reason::Refused),
        ErrorKind::TimedOut => Some(Reason::Timeout),
        // rustls reports through io: bad certificates and peers that do not speak TLS
        // as invalid data, a peer that hangs up in the handshake as an early end.
        ErrorKind::InvalidData | ErrorKind::UnexpectedEof if connecting => Some(Reason::Tls),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof => Some(Reason::Reset),
        _ => None,
    }
}

/// hyper's error types are not ours to name, so its texts for an early end are: the two of
/// HTTP/1.1, that of HTTP/2 for a stream or a connection that the peer has ended, and that
/// for requests which still waited for their turn on such a connection.
fn of_hyper(cause: &(dyn Error + 'static)) -> Option<Reason> {
    let text = cause.to_string();
    let early_end = [
        "connection closed before message completed",
        "end of file before",
        " error received: ",
        "dispatch task is gone",
        "connection was not ready",
    ];
    early_end.iter().any(|end| text.contains(end)).then_some(Reason::Reset)
}
