//! HPE GreenLake's interfaces, as a client sees them.
//!
//! Floor 2. `wire.rs` is the only file that knows HPE's field names.

pub mod audit_log;

pub use audit_log::{FetchError, Page, Query};
