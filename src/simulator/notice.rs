//! What a person who watches the simulated cloud would like to know, as it happens.

use std::fmt;

use crate::simulator::push::TRIES;

/// Something a person who watches would like to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// New entries, and one of them.
    Made {
        /// How many.
        count: u64,
        /// The last one's description.
        description: String,
    },
    /// A token was issued.
    Token {
        /// Seconds it lives.
        life: u64,
    },
    /// A page was given.
    Page {
        /// Request path and decoded filter.
        request: String,
        /// Items in it.
        count: usize,
        /// Items that match.
        total: usize,
    },
    /// A request was refused, or its answer spoilt.
    Refused {
        /// Request path.
        request: String,
        /// Status and reason.
        reason: String,
    },
    /// The store holds as much as it can.
    Full,
    /// A webhook's challenge was answered as it should, or was refused.
    Challenged {
        /// The webhook's.
        name: String,
        /// Why it was refused.
        refused: Option<String>,
    },
    /// A push has ended.
    Pushed {
        /// Events in it.
        events: usize,
        /// The receiver's; `None`: no answer came.
        status: Option<u16>,
    },
    /// A push was dropped after its last try.
    GivenUp {
        /// Events in it.
        events: usize,
    },
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made { count: 1, description } => write!(f, "made     {description}"),
            Self::Made { count, description } => {
                write!(f, "made     {count} entries, the last: {description}")
            }
            Self::Token { life } => write!(f, "token    issued for {life} s"),
            Self::Page { request, count, total } => {
                write!(f, "page     {count} of {total} for {request}")
            }
            Self::Refused { request, reason } => write!(f, "refused  {reason} for {request}"),
            Self::Full => write!(f, "full     no more entries are made"),
            Self::Challenged { name, refused: None } => {
                write!(f, "webhook  {name:?} has answered its challenge")
            }
            Self::Challenged { name, refused: Some(why) } => {
                write!(f, "webhook  {name:?}: {}", why.replace(char::is_control, "?"))
            }
            Self::Pushed { events, status: Some(status) } => {
                write!(f, "push     {events} to {status}")
            }
            Self::Pushed { events, status: None } => write!(f, "push     {events}, no answer"),
            Self::GivenUp { events } => {
                write!(f, "dropped  {events} after {TRIES} tries")
            }
        }
    }
}
