//! A second with more entries than a page, read by offset and stored page by page.

use std::time::Duration;

use serde::Deserialize;

use crate::greenlake::{Page, Query};
use crate::model::coverage::Span;
use crate::model::envelope::Data;
use crate::model::event::Event;
use crate::model::timestamp::Timestamp;
use crate::poll::crowd::{Answer, Crowd};
use crate::poll::part::{Part, Parts, WholePart};
use crate::poll::report::{Problem, Reason, Trouble};
use crate::poll::request::Asked;
use crate::poll::run::Run;
use crate::poll::verdict::{count_outside, keys, read};
use crate::poll::{Keep, Log};

impl<L: Log, K: Keep> Run<'_, L, K> {
    /// Reads the one second of `span`. Every page is stored as it comes; the second is
    /// covered with the last one, and only when all of it was seen.
    pub(super) async fn read_second(&mut self, span: Span) -> Result<(), Trouble> {
        let began = self.scanner.clock.uptime();
        let mut parts = Parts::of(&self.scanner.log);
        while let Some(part) = parts.next_part() {
            match self.read_crowd(span, part, began).await? {
                Some(whole) => parts.whole(whole),
                None => return Ok(()),
            }
        }
        self.scanner.stuck.forget(span.from);
        Ok(())
    }

    /// Reads one part of a crowded second, of which the first was begun at the time since
    /// boot `began`; `None` when it could not be read whole.
    async fn read_crowd(
        &mut self,
        span: Span,
        part: Part,
        began: Duration,
    ) -> Result<Option<WholePart>, Trouble> {
        let mut crowd = Crowd::within(part.term, self.scanner.settings.page_limit);
        let mut asked_first = None;
        while let Some(question) = crowd.next_question() {
            let query = Query {
                span,
                narrow: question.narrow,
                limit: question.limit,
                offset: question.offset,
            };
            let mut asked = self.ask(query).await?;
            let outside = count_outside(span, &asked.page);
            if outside > 0 {
                return self.refuse_outside(asked, outside).await.map(|()| None);
            }
            if let Some(message) = contradiction(&asked) {
                return self.refuse_page(asked, message).await.map(|()| None);
            }
            let asked_at = *asked_first.get_or_insert(asked.page.asked_at.secs());
            let new = crowd.take(answer(&asked.page));
            let done = crowd.next_question().is_none() && crowd.finish().is_ok();
            asked.page.events.retain(|event| new.contains(&event.envelope.id));
            asked.page.unreadable.retain(|item| new.contains(&item.raw));
            if done && part.is_last {
                let first_asked = part.first_asked.unwrap_or(asked_at);
                self.commit(asked, "complete", Some(first_asked)).await?;
            } else {
                self.commit(asked, "page", None).await?;
            }
            if done {
                return Ok(Some(WholePart { entries: 0, asked_at }));
            }
        }
        let fault = crowd.finish().err().unwrap_or("it was not read whole");
        self.give_up_second(span, fault, began);
        Ok(None)
    }

    async fn refuse_page(&mut self, asked: Asked, message: String) -> Result<(), Trouble> {
        self.commit(asked, "contradictory", None).await?;
        Err(Trouble::Slice(Problem::new(Reason::Contradictory, message)))
    }

    /// The alarm: this second stays uncovered, and the watermark below it.
    fn give_up_second(&mut self, span: Span, fault: &str, began: Duration) {
        let second = Timestamp::from_secs(span.from).to_rfc3339_secs();
        let now = self.scanner.clock.uptime();
        let pause = self.scanner.stuck.give_up(span.from, now.saturating_sub(began), now);
        tracing::error!(
            source = self.scanner.settings.name,
            second,
            fault,
            "a second could not be read whole; it stays open and is tried again in {} s",
            pause.as_secs()
        );
        let message = format!("second {second} could not be read whole: {fault}");
        self.report.problem = Some(Problem::new(Reason::Incomplete, message));
    }
}

/// What does not add up in one page of a crowded second, in words.
fn contradiction(asked: &Asked) -> Option<String> {
    let (page, came) = (&asked.page, read(&asked.page));
    if page.count != came {
        return Some(format!("count is {}, but {came} entries came", page.count));
    }
    let shown = asked.query.offset + came;
    // Past the end nothing comes, whatever is skipped.
    (came > 0 && page.total < shown)
        .then(|| format!("total is {}, but {shown} entries were shown", page.total))
}

fn answer(page: &Page) -> Answer {
    let category = |event: &Event| event.facts.category.as_deref().map(str::to_owned);
    let categories = page.events.iter().filter_map(category);
    Answer {
        keys: keys(page).map(str::to_owned).collect(),
        categories: categories.collect(),
        regions: page.events.iter().filter_map(region).collect(),
        total: page.total,
    }
}

fn region(event: &Event) -> Option<String> {
    #[derive(Deserialize)]
    struct Located {
        region: Option<String>,
    }
    let Data::Json(data) = &event.envelope.data else { return None };
    serde_json::from_str::<Located>(data.get()).ok()?.region
}
