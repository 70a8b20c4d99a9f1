//! HPE's audit log on the wire: its questions, its pages, its entries.
//!
//! With `error.rs` the only place that knows HPE's field names. Both API versions are
//! read by the same rules, told apart by the members that are there, so a member that
//! HPE adds to one of them is carried on.

mod entry;
mod members;
mod object;
mod page;
mod push;
mod query;

pub(crate) use page::read_page;
pub use push::{Listed, Pushed, find_challenge, read_push};
pub(crate) use query::{filter_text, list_url, names_service, service_terms};
