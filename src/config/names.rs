//! The names of choices, as the file spells them.

use crate::config::inbound::Foreign;
use crate::config::sections::{ApiVersion, Format, LogFormat, Order, TokenAuth};

/// A choice whose values have names.
pub(super) trait Named: Copy + PartialEq + 'static {
    /// Every value with its name.
    const NAMES: &'static [(&'static str, Self)];

    /// The value's name.
    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, value)| *value == self).map_or("", |(name, _)| name)
    }
}

impl Named for TokenAuth {
    const NAMES: &'static [(&'static str, Self)] = &[("body", Self::Body), ("basic", Self::Basic)];
}

impl Named for ApiVersion {
    const NAMES: &'static [(&'static str, Self)] = &[("v1", Self::V1), ("v2beta1", Self::V2Beta1)];
}

impl Named for Format {
    const NAMES: &'static [(&'static str, Self)] =
        &[("structured", Self::Structured), ("binary", Self::Binary), ("batch", Self::Batch)];
}

impl Named for Order {
    const NAMES: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("strict", Self::Strict)];
}

impl Named for Foreign {
    const NAMES: &'static [(&'static str, Self)] =
        &[("refuse", Self::Refuse), ("flag", Self::Flag)];
}

impl Named for LogFormat {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("text", Self::Text),
        ("json", Self::Json),
        ("journald", Self::Journald),
    ];
}
