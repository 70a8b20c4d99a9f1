//! What the process tells about itself: log lines.
//!
//! Floor 1. It knows no configuration: what it needs, it is given.

pub mod log;
