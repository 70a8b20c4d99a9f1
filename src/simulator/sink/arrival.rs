//! What came to a sink, for people who watch.

use std::fmt;

use serde::Serialize;

use crate::simulator::sink::Signature;

/// One thing that came, for people who watch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "arrival", rename_all = "snake_case")]
pub enum Arrival {
    /// An event that was taken.
    Event {
        /// Its `id`; empty for JSON that is no CloudEvent.
        id: String,
        /// Its `type`.
        event_type: String,
        /// Its `time`, as it came.
        time: String,
        /// `category`, `user.username` and `description` of its data, where it has them.
        about: [String; 3],
        /// What became of the request's signature.
        signature: Signature,
        /// Whether it came before.
        is_repeat: bool,
    },
    /// A request that was turned away.
    Refused {
        /// HTTP status; `None` when the connection was dropped.
        status: Option<u16>,
        /// Why.
        reason: String,
    },
}

impl fmt::Display for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Event { id, event_type, time, about, signature, is_repeat } => {
                let name = event_type.strip_prefix("com.hpe.greenlake.").unwrap_or(event_type);
                write!(f, "{time}  {name}  {id}  signature {signature}")?;
                if *is_repeat {
                    f.write_str("  REPEAT")?;
                }
                for part in about.iter().filter(|part| !part.is_empty()) {
                    // Data is anybody's text: no line break or escape code may act here.
                    write!(f, "  {}", part.replace(char::is_control, " "))?;
                }
                Ok(())
            }
            Self::Refused { status: Some(status), reason } => {
                write!(f, "refused {status}: {reason}")
            }
            Self::Refused { status: None, reason } => write!(f, "dropped: {reason}"),
        }
    }
}
