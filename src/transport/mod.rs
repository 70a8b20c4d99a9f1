//! HTTP clients as this project wants them.
//!
//! Floor 1. No redirects, bounded waits, bounded answers, an own user agent; proxy and
//! extra certificate authorities where configured. What both edges need, sunk a floor.
