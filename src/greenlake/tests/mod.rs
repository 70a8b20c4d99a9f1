//! The client against a small server that answers as each test says.

mod auth;
mod fetch;
mod probe;
mod stub;
