//! HPE's audit log on the wire: its questions, its pages, its entries.
//!
//! With `error.rs` the only place that knows HPE's field names. Both API versions are
//! read by the same rules, told apart by the members that are there, so a member that
//! HPE adds to one of them is carried on.

mod entry;
mod members;
mod object;
mod page;
mod query;

pub(crate) use page::read_page;
pub(crate) use query::{filter_text, list_url, names_service, service_terms};
