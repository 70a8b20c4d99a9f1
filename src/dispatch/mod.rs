//! Way out: brings every pending delivery to its target.
//!
//! Floor 3. One [`Worker`] a target, with its own client, window and slots: a target that
//! is dead, slow or hostile changes nothing for the others (I11). What is owed is a row
//! in the ledger; a worker holds a bounded window of it in memory, so nothing has to be
//! given back when it stops or dies.

mod attempt;
mod carry;
mod gate;
mod looking;
mod queue;
mod reading;
mod request;
mod run;
mod settling;
mod target;
mod telling;
mod trial;
mod worker;

pub use target::{Target, TargetError};
pub use trial::{TEST_TYPE, send_test};
pub use worker::Worker;

#[cfg(test)]
mod tests;
