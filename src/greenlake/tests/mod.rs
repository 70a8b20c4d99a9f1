//! The client against a small server that answers as each test says.

mod auth;
mod fetch;
mod probe;
mod stub;

/// A source whose server is nowhere.
pub(crate) fn source() -> crate::config::SourceConfig {
    stub::source(&"http://127.0.0.1:1".parse().expect("a URL"))
}
