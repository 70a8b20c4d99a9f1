//! Which stretches of a source's time have been scanned completely, and since when.
//!
//! Pure arithmetic on whole seconds. A second is *settled* once a complete scan of it
//! began late enough that every entry created in it had become visible; until then it
//! is read again. What stays true here:
//!
//! - Below the watermark every second is settled (no hole), because a scan covered it,
//!   never because time passed.
//! - The watermark never moves back, whatever is recorded or configured later.
//! - Forgetting a scan, or taking it for an earlier one, is always allowed: it costs a
//!   request, never an entry. That is how the number of scans stays bounded.
//!
//! Scans are remembered behind the watermark, too, as long as [`crate::model::sweep`] may
//! want to read there once more. That moves no watermark.

/// Seconds added to the overlap before a second is settled.
///
/// One because the source cuts `createdAt` down to the second, the others for rounded
/// `Date` headers, the network's delay and servers whose clocks differ a little. Only
/// re-reading pays for it.
pub const SKEW_SECS: i64 = 5;

/// Scans kept at once.
///
/// A source that is polled and swept as it should be has about a hundred, nearly all of
/// them behind the watermark; a busy poll leaves one a request, so the rest is several
/// minutes of requests at the source's rate limit.
pub const MAX_SCANS: usize = 512;

/// A half-open stretch of time with whole-second bounds: includes `from`, excludes `until`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Seconds since the Unix epoch, included.
    pub from: i64,
    /// Seconds since the Unix epoch, excluded.
    pub until: i64,
}

impl Span {
    /// The stretch from `from` up to and without `until`.
    #[must_use]
    pub const fn new(from: i64, until: i64) -> Self {
        Self { from, until }
    }

    /// Its length in seconds; 0 when its bounds are crossed.
    #[must_use]
    pub const fn secs(self) -> i64 {
        if self.is_empty() { 0 } else { self.until - self.from }
    }

    /// Whether it holds no second at all.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.until <= self.from
    }

    /// Whether second `second` lies in it.
    #[must_use]
    pub const fn contains(self, second: i64) -> bool {
        self.from <= second && second < self.until
    }

    /// What lies in both; may be empty.
    #[must_use]
    pub fn intersect(self, other: Self) -> Self {
        Self::new(self.from.max(other.from), self.until.min(other.until))
    }
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

impl Scan {
    /// The end of its settled part: a second `t` is settled when the scan began at
    /// `t + overlap + SKEW_SECS` or later.
    pub(super) fn settled_until(self, overlap_secs: i64) -> i64 {
        let last = self.asked_at.saturating_sub(overlap_secs).saturating_sub(SKEW_SECS);
        last.saturating_add(1).clamp(self.span.from, self.span.until)
    }
}

/// A stretch that has to be read (again).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsettled {
    /// What is to be read; never empty.
    pub span: Span,
    /// When its last complete scan began, as in [`Scan`]; `None`: never scanned.
    pub asked_at: Option<i64>,
}

/// What is known of one source's time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Coverage {
    /// Where history begins: seconds since the Unix epoch. Never moves forward.
    pub start: i64,
    /// Below it history is complete: seconds since the Unix epoch. Never moves back.
    pub watermark: i64,
    /// The last complete scan of each stretch, from as far back as sweeps reach: disjoint,
    /// in order of time, at most [`MAX_SCANS`].
    pub scans: Vec<Scan>,
}

impl Coverage {
    /// A source of which nothing has been read; its history begins at second `start`.
    #[must_use]
    pub const fn new(start: i64) -> Self {
        Self { start, watermark: start, scans: Vec::new() }
    }

    /// Notes a complete scan of `span` whose first request was sent in second `asked_at`
    /// of server time. Where a later scan is known, that one stays; what lies before the
    /// start changes nothing.
    pub fn record(&mut self, span: Span, asked_at: i64) {
        let span = Span::new(span.from.max(self.start), span.until);
        if span.is_empty() {
            return;
        }
        let mut scans = Scans(Vec::with_capacity(self.scans.len() + 3));
        let mut placed = span.from;
        for old in &self.scans {
            scans.push(Span::new(old.span.from, old.span.until.min(span.from)), old.asked_at);
            scans.push(Span::new(placed, old.span.from.min(span.until)), asked_at);
            scans.push(old.span.intersect(span), old.asked_at.max(asked_at));
            placed = placed.max(old.span.until.min(span.until));
            if old.span.until > span.until {
                scans.push(Span::new(placed, span.until), asked_at);
                placed = span.until;
            }
            scans.push(Span::new(old.span.from.max(span.until), old.span.until), old.asked_at);
        }
        scans.push(Span::new(placed, span.until), asked_at);
        self.scans = scans.0;
        self.compact();
    }

    /// Moves the watermark to the end of the settled stretch that begins at it, and
    /// forgets the scans that no sweep needs any more.
    pub fn advance(&mut self, overlap_secs: i64) {
        for scan in &self.scans {
            if scan.span.until <= self.watermark {
                continue;
            }
            if scan.span.from > self.watermark {
                break;
            }
            self.watermark = self.watermark.max(scan.settled_until(overlap_secs));
            if self.watermark < scan.span.until {
                break;
            }
        }
        self.thin();
    }

    /// The parts of `[watermark, hi)` that are not settled, in order of time: never scanned,
    /// or last scanned earlier than `overlap_secs` + [`SKEW_SECS`] after they passed.
    /// Parts that differ in their last scan are apart.
    #[must_use]
    pub fn unsettled(&self, hi: i64, overlap_secs: i64) -> Vec<Unsettled> {
        let mut parts = Vec::new();
        let mut push = |from: i64, until: i64, asked_at| {
            let span = Span::new(from, until.min(hi));
            if !span.is_empty() {
                parts.push(Unsettled { span, asked_at });
            }
        };
        let mut next = self.watermark;
        for scan in self.scans.iter().filter(|scan| scan.span.until > self.watermark) {
            push(next, scan.span.from, None);
            let settled = scan.settled_until(overlap_secs).max(self.watermark);
            push(settled, scan.span.until, Some(scan.asked_at));
            next = scan.span.until;
        }
        push(next, hi, None);
        parts
    }

    /// Server time, in seconds, of the youngest complete scan; `None` before the first.
    #[must_use]
    pub fn last_asked(&self) -> Option<i64> {
        self.scans.iter().map(|scan| scan.asked_at).max()
    }

    /// Takes adjoining scans together under the earlier of their stamps, then forgets
    /// the oldest, until there are few enough. What that unsettles is read again, in one
    /// go, and comes back as one scan.
    fn compact(&mut self) {
        if self.scans.len() <= MAX_SCANS {
            return;
        }
        let mut fewer: Vec<Scan> = Vec::with_capacity(self.scans.len());
        let mut single = false;
        for scan in &self.scans {
            match fewer.last_mut() {
                Some(last) if single && last.span.until == scan.span.from => {
                    last.span.until = scan.span.until;
                    last.asked_at = last.asked_at.min(scan.asked_at);
                    single = false;
                }
                _ => {
                    fewer.push(*scan);
                    single = true;
                }
            }
        }
        fewer.drain(..fewer.len().saturating_sub(MAX_SCANS));
        self.scans = fewer;
    }
}

/// Scans in the making: empty ones fall away, adjoining ones of one stamp become one.
struct Scans(Vec<Scan>);

impl Scans {
    fn push(&mut self, span: Span, asked_at: i64) {
        if span.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.span.until == span.from && last.asked_at == asked_at => {
                last.span.until = span.until;
            }
            _ => self.0.push(Scan { span, asked_at }),
        }
    }
}

#[cfg(test)]
mod tests;
