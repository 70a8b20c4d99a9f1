//! HTTP as this project wants it: clients, and sockets of our own.
//!
//! Floor 1. No redirects, bounded waits, bounded answers, an own user agent; proxy and
//! extra certificate authorities where configured; errors without URLs, which carry
//! keys. Sockets are served with bounds on time, connections and heads. What several edges
//! need, sunk a floor: asking a source and delivering to a target; receiving and admin.

mod body;
mod client;
mod names;
mod reason;
mod retry_after;
mod seats;
mod serve;

#[cfg(test)]
mod tests;

pub use body::{BodyError, read_bounded};
pub use client::{ClientOptions, TransportError, client, redact};
pub use reason::{Reason, explain, network_reason};
pub use retry_after::retry_after;
pub use seats::{Busy, Seat, Seats};
pub use serve::serve;
