//! HTTP clients as this project wants them.
//!
//! Floor 1. No redirects, bounded waits, bounded answers, an own user agent; proxy and
//! extra certificate authorities where configured; errors without URLs, which carry
//! keys. What both edges need, sunk a floor: asking a source and delivering to a target.

mod body;
mod client;
mod names;
mod reason;
mod retry_after;

#[cfg(test)]
mod tests;

pub use body::{BodyError, read_bounded};
pub use client::{ClientOptions, TransportError, client, redact};
pub use reason::{Reason, explain, network_reason};
pub use retry_after::retry_after;
