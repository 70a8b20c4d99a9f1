//! Which stretches of a source's time have been scanned completely, and since when.

/// A half-open stretch of time with whole-second bounds: includes `from`, excludes `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Seconds since the Unix epoch, included.
    pub from: i64,
    /// Seconds since the Unix epoch, excluded.
    pub until: i64,
}

/// A stretch that was scanned completely by requests sent at `asked_at` or later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scan {
    /// What was scanned.
    pub span: Span,
    /// Server time when the (first) request was sent, seconds since the Unix epoch,
    /// rounded down.
    pub asked_at: i64,
}

/// What is known of one source's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Where history begins: seconds since the Unix epoch. Never moves forward.
    pub start: i64,
    /// Below it history is complete: seconds since the Unix epoch. Never moves back.
    pub watermark: i64,
    /// The last complete scan of each stretch at or above the watermark: disjoint, in
    /// order of time.
    pub scans: Vec<Scan>,
}
