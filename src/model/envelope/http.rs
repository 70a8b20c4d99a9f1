//! HTTP binding.
