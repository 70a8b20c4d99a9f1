//! The words of the project: what an event, an envelope, a delivery are.
//!
//! Floor 0. Nothing here does I/O or waits: rules are pure functions over plain
//! values, so each is tested as a table and every other floor may use them.

pub mod address;
pub mod breaker;
pub mod clock;
pub mod coverage;
pub mod delivery;
pub mod difference;
pub mod envelope;
pub mod event;
pub mod lateness;
pub mod notice;
pub mod outcome;
pub mod own_event;
pub mod rate;
pub mod retry;
pub mod signature;
pub mod stretches;
pub mod sweep;
pub mod timestamp;
