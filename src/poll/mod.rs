//! Way in, pulled: plans a scan, fetches slices, ingests, settles.

pub mod crowd;
#[cfg(test)]
mod fake;
pub mod plan;
pub mod verdict;
