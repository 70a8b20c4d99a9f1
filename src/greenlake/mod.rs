//! HPE GreenLake's interfaces, as a client sees them.
//!
//! Floor 2. [`AuditLog`] asks for pages and keeps what that needs to itself: the token,
//! the source's clock, the pace, the waits. The folder `wire` and `error.rs` are the only
//! places that know HPE's field names.

pub mod audit_log;
mod client;
mod error;
mod exchange;
mod grant;
mod pacer;
mod probe;
mod server_time;
mod snake_case;
#[cfg(test)]
mod tests;
mod throttle;
mod token;
mod wire;

pub use audit_log::{FetchError, Page, Query};
pub use client::AuditLog;
pub use probe::{Finding, probe};
pub use wire::{Listed, Pushed, find_challenge, read_push};
