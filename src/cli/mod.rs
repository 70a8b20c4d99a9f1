//! cli.

pub mod simulate;
pub mod sink;
