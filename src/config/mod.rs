//! `config.toml`, read into typed sections; every fault is told with its place.
//!
//! Floor 1. A component gets its section by value, never the whole [`Config`].

mod address;
mod ca_file;
mod document;
mod effective;
mod environment;
mod fault;
mod field;
pub mod inbound;
mod load;
mod names;
mod notes;
mod quantity;
mod read;
mod reader;
mod schedule;
pub mod secret;
mod secret_source;
pub mod sections;

pub use address::{url_secrets, user_info};
pub use ca_file::CaFile;
pub use effective::effective;
pub use environment::Environment;
pub use fault::{Fault, Faults, Place};
pub use inbound::{AdminConfig, Foreign, PushConfig, ReceiverConfig, TlsFiles};
pub use load::{DEFAULT_PATHS, Loaded, known_keys};
pub use secret::{Redactor, Secret};
pub use sections::{
    ApiVersion, Auth, BatchConfig, Config, Format, LogConfig, LogFormat, Order, Overlap, PLATFORM,
    PollConfig, RetryConfig, SERVICES_PER_FILTER, Schedule, Signing, SourceConfig, Start,
    StorageConfig, TargetConfig, TokenAuth,
};
