//! Where history begins, and where a run ends: asked of the source's clock, not of ours.

use crate::config::Start;
use crate::greenlake::Query;
use crate::model::coverage::{Coverage, Span};
use crate::model::timestamp::Timestamp;
use crate::poll::report::{Problem, Reason, Trouble};
use crate::poll::request::Asked;
use crate::poll::run::Run;
use crate::poll::{Keep, Log};

impl<L: Log, K: Keep> Run<'_, L, K> {
    /// The end of what this run reads: the second after the present one.
    ///
    /// A machine that starts with its clock behind the watermark would find nothing to
    /// ask for, and so never hear the source's time: then it asks for that alone.
    pub(super) async fn find_bound(&mut self, watermark: i64) -> Result<i64, Trouble> {
        let hi = self.scanner.log.server_now().secs() + 1;
        if hi > watermark {
            return Ok(hi);
        }
        let asked = self.ask_time().await?;
        self.log_row(asked.row("clock", None)).await?;
        let hi = self.scanner.log.server_now().secs() + 1;
        if hi > watermark {
            return Ok(hi);
        }
        let message = format!(
            "the source's clock says {}, but it was read up to {} before; was it set back?",
            Timestamp::from_secs(hi).to_rfc3339_secs(),
            Timestamp::from_secs(watermark).to_rfc3339_secs(),
        );
        Err(Trouble::Run(Problem::new(Reason::Contradictory, message)))
    }

    /// Asks for next to nothing: any answer tells the source's time.
    async fn ask_time(&mut self) -> Result<Asked, Trouble> {
        let now = self.scanner.log.server_now().secs();
        let span = Span::new(now, now + 1);
        self.ask(Query { span, narrow: String::new(), limit: 1, offset: 0 }).await
    }

    /// The very first start. It asks once for the server's time, so that history begins
    /// where the source's clock says and not where ours may stand.
    pub(super) async fn begin(&mut self) -> Result<Coverage, Trouble> {
        let asked = self.ask_time().await?;
        let now = self.scanner.log.server_now();
        let start = match self.scanner.settings.start {
            Start::Now => now.minus(self.scanner.clock.uptime().saturating_sub(self.scanner.born)),
            Start::Back(back) => now.minus(back),
            Start::At(at) => at,
        };
        let coverage = Coverage::new(start.secs());
        tracing::info!(
            source = self.scanner.settings.name, start = %start.to_rfc3339_secs(),
            "history of this source begins"
        );
        let row = asked.row("first_start", None);
        let ingest = self.ingest_row(row, Some(coverage.clone()));
        self.store(ingest, None).await?;
        Ok(coverage)
    }
}
