//! `config.toml`, read into typed sections; every fault is told with its place.
//!
//! Floor 1. A component gets its section by value, never the whole [`Config`].

pub mod secret;
pub mod sections;

pub use secret::Secret;
pub use sections::{
    ApiVersion, Auth, BatchConfig, Config, Format, LogConfig, LogFormat, Order, Overlap,
    PollConfig, RetryConfig, Schedule, Signing, SourceConfig, Start, StorageConfig, TargetConfig,
    TokenAuth,
};
