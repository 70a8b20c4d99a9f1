//! A worker between a real ledger and a target on loopback.

mod failing;
pub(super) mod fixture;
mod sending;
