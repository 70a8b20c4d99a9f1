use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;
use crate::config::{Foreign, PushConfig, Secret};
use crate::model::coverage::Span;
use crate::model::event::{Event, Route};
use crate::model::sweep::Tier;
use crate::receive::inlet::Polled;
use crate::receive::rows::Rows;
use crate::storage::{
    HistoryFilter, HistoryRow, Ingest, Ledger, PollRequest, PushRequest, Request, SignedBy,
};

const START: i64 = 1_750_000_000;
const SOURCE: &str = "production";
const WORKSPACE: &str = "3009de2825f211ec8a84fedebcb4a754";
const AFTER: Duration = Duration::from_hours(1);

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(START + secs)
}

const fn s(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

#[test]
fn a_turn_is_one_of_what_was_found_and_what_was_heard() {
    let silent = Some(Silent { since: at(0), sequence: 7 });
    let goes_silent = Some(WebhookTurn::Silent { heard: 7 });
    for (case, state, heard, waits, expected) in [
        ("nothing was found", None, 7, None, None),
        ("it may still come", None, 7, Some(s(3_599)), None),
        ("it should have come", None, 7, Some(s(3_600)), goes_silent),
        ("long ago", None, 7, Some(s(86_400)), goes_silent),
        ("it is known to be silent", silent, 7, Some(s(86_400)), None),
        ("still silent, nothing new", silent, 7, None, None),
        ("a push has come", silent, 8, None, Some(WebhookTurn::Heard)),
        ("one has come, and others wait", silent, 9, Some(s(5)), Some(WebhookTurn::Heard)),
    ] {
        assert_eq!(turn(state, heard, waits, AFTER), expected, "{case}");
    }
}

#[test]
fn waiting_begins_with_the_first_entry_and_ends_with_a_push() {
    let found = |count, until| Unheard { count, until };
    let mut watch = Watch::new(at(0), 3, 5);
    assert_eq!((watch.until, watch.waits(s(100))), (5, None), "what was there was made before");
    watch.find(found(0, 9), s(100));
    assert_eq!(watch.waits(s(101)), None, "quiet");
    watch.find(found(2, 12), s(110));
    watch.find(found(1, 13), s(150));
    assert_eq!((watch.unheard, watch.waits(s(170))), (3, Some(s(60))), "by the first");
    watch.hear(3);
    assert_eq!(watch.unheard, 3, "nothing came");
    watch.hear(12);
    assert_eq!((watch.until, watch.unheard, watch.waits(s(170))), (12, 0, None));
    watch.find(found(1, 13), s(170));
    assert_eq!(watch.waits(s(171)), Some(s(1)), "what was found after that push waits anew");
}

/// A ledger, and ears that listen for its only webhook.
struct Rig {
    clock: Clock,
    ledger: Ledger,
    inlet: Inlet,
    ears: Ears,
    woken: Arc<AtomicUsize>,
    _folder: Option<tempfile::TempDir>,
}

impl Rig {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Clock::manual(at(0));
        let ledger = Ledger::open(&folder.path().join("t.db"), clock.clone()).await.unwrap();
        let names = ["oncall", "plain"].map(str::to_owned).to_vec();
        ledger.insert_targets(names).await.unwrap();
        ledger.note_webhook(SOURCE, Some(Duration::from_hours(12))).await.unwrap();
        Self { _folder: Some(folder), ..Self::over(ledger, clock) }
    }

    fn over(ledger: Ledger, clock: Clock) -> Self {
        let woken = Arc::new(AtomicUsize::new(0));
        let wakes = Arc::clone(&woken);
        let push = PushConfig {
            path: "/hook".to_owned(),
            secret: Secret::new("the-secret-of-the-webhook"),
            secondary_secret: None,
            api_key: None,
            horizon: Duration::from_hours(12),
            silent_after: AFTER,
            nudge: false,
            foreign: Foreign::Refuse,
            origins: Vec::new(),
        };
        let inlet = Inlet {
            source: SOURCE.to_owned(),
            workspace_id: WORKSPACE.to_owned(),
            push,
            polled: Polled::Everything,
            min_free: 0,
            targets: vec!["plain".to_owned(), "oncall".to_owned()],
            hearers: vec!["oncall".to_owned()],
            ledger: ledger.clone(),
            wake: Arc::new(move || {
                wakes.fetch_add(1, Ordering::SeqCst);
            }),
            nudge: None,
            tally: Arc::default(),
        };
        let desk = Arc::new(Desk::new(clock.clone(), Rows::new().0, false));
        desk.replace(vec![inlet.clone()]);
        let ears = Ears::new(desk);
        Self { clock, ledger, inlet, ears, woken, _folder: None }
    }

    /// Looks every half minute for so long.
    async fn listen(&mut self, time: Duration) {
        let mut left = time;
        while !left.is_zero() {
            let step = left.min(s(30));
            self.clock.advance(step);
            self.ears.look().await;
            left -= step;
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().secs() - START
    }

    /// An entry that was made this moment and came by `route`.
    async fn bring(&self, id: &str, route: Route) {
        self.ingest(id, route, self.clock.now(), Tier::Hot).await;
    }

    async fn ingest(&self, id: &str, route: Route, made_at: Timestamp, tier: Tier) {
        let shown = tier.is_sweep().then(|| {
            let mut read = crate::model::coverage::Coverage::new(0);
            read.record(Span::new(0, made_at.secs() + 60), made_at.secs() + 1_000);
            read.advance(900);
            let span = Span::new(made_at.secs(), made_at.secs() + 1);
            crate::model::lateness::Shown::new(&read, span, self.clock.now(), tier, 900)
        });
        let event = Event::bare(id, made_at);
        let now = self.clock.now();
        let request = match route {
            Route::Poll => Request::Poll(polled(now, tier)),
            Route::Push => Request::Push(pushed(now)),
        };
        let ingest = Ingest {
            source: SOURCE.to_owned(),
            route,
            events: vec![event],
            unreadable: Vec::new(),
            targets: vec!["plain".to_owned()],
            coverage: None,
            request: Some(request),
            shown,
            learnt: None,
        };
        self.ledger.ingest(ingest).await.unwrap();
    }

    /// Our own events, oldest first: when, the end of their type, their data.
    async fn told(&self) -> Vec<(i64, String, serde_json::Value)> {
        let own = HistoryFilter { limit: 100, ..HistoryFilter::default() };
        let mut rows = self.ledger.reader().list_history(&own).await.unwrap();
        rows.retain(|row| row.event_type.starts_with("com.tailwater."));
        rows.reverse();
        rows.iter().map(short).collect()
    }
}

fn short(row: &HistoryRow) -> (i64, String, serde_json::Value) {
    let at = Timestamp::parse_rfc3339(&row.recorded_at).unwrap().secs() - START;
    let word = row.event_type.rsplit('.').next().unwrap().to_owned();
    assert_eq!(row.pending, 1, "for who hears of it, and nobody else");
    (at, word, serde_json::from_str(row.data.as_deref().unwrap()).unwrap())
}

fn polled(now: Timestamp, tier: Tier) -> PollRequest {
    PollRequest {
        started_at: now,
        duration: Duration::ZERO,
        tier,
        span: Span::new(0, 1),
        offset: 0,
        outcome: "complete",
        status: Some(200),
        count: None,
        total: None,
        bytes: 0,
        error: None,
        run_at: now,
        is_nudged: false,
    }
}

fn pushed(now: Timestamp) -> PushRequest {
    PushRequest {
        received_at: now,
        duration: Duration::ZERO,
        status: 202,
        count: 1,
        is_batch: false,
        outside: HashSet::new(),
        bytes: 1,
        secret: Some(SignedBy::Primary),
        error: None,
    }
}

#[tokio::test]
async fn a_dead_webhook_is_told_once_and_so_is_its_return() {
    let mut rig = Rig::new().await;
    rig.listen(s(60)).await;
    rig.bring("pushed", Route::Push).await;
    rig.listen(s(60)).await;
    let heard_at = rig.now() - 60;
    rig.bring("a", Route::Poll).await;
    rig.listen(s(1_800)).await;
    rig.bring("b", Route::Poll).await;
    rig.listen(s(1_770)).await;
    assert_eq!(rig.told().await, [], "it may still come");
    rig.listen(s(600)).await;
    let told = rig.told().await;
    assert_eq!(told.len(), 1, "{told:?}");
    let (when, word, data) = &told[0];
    assert!((3_720..=3_780).contains(when) && word == "silent", "{told:?}");
    assert_eq!((&data["entries"], &data["source"]), (&2.into(), &SOURCE.into()));
    assert_eq!(data["last_heard_at"], at(heard_at).to_rfc3339_millis());
    assert_eq!(rig.woken.load(Ordering::SeqCst), 1, "who delivers knows");

    rig.bring("c", Route::Poll).await;
    rig.listen(2 * AFTER).await;
    assert_eq!(rig.told().await.len(), 1, "once");
    rig.bring("b", Route::Push).await;
    rig.listen(s(30)).await;
    let told = rig.told().await;
    assert_eq!((told.len(), told[1].1.as_str()), (2, "heard"));
    rig.bring("d", Route::Poll).await;
    rig.listen(AFTER + s(60)).await;
    let told = rig.told().await;
    assert_eq!((told.len(), told[2].1.as_str()), (3, "silent"), "each silence");
    assert_eq!(told[2].2["entries"], 1);
}

#[tokio::test]
async fn a_quiet_workspace_is_not_a_dead_webhook() {
    let mut rig = Rig::new().await;
    let before = rig.clock.now();
    rig.listen(s(60)).await;
    rig.listen(2 * AFTER).await;
    rig.ingest("made before we listened", Route::Poll, before, Tier::Past).await;
    let late = rig.clock.now().minus(s(1_800));
    rig.ingest("found by a sweep", Route::Poll, late, Tier::Hourly).await;
    rig.listen(2 * AFTER).await;
    for n in 0..4 {
        let id = format!("both-{n}");
        rig.bring(&id, Route::Poll).await;
        rig.listen(s(1_800)).await;
        rig.bring(&id, Route::Push).await;
    }
    rig.listen(2 * AFTER).await;
    assert_eq!(rig.told().await, []);
}

#[tokio::test]
async fn the_time_in_which_nobody_listened_does_not_count() {
    let mut rig = Rig::new().await;
    rig.listen(s(60)).await;
    rig.bring("before the machine slept", Route::Poll).await;
    rig.listen(s(60)).await;
    rig.clock.advance(3 * AFTER);
    rig.listen(2 * AFTER).await;
    assert_eq!(rig.told().await, [], "it was made while we listened, but pushed while we did not");

    rig.bring("before a restart", Route::Poll).await;
    rig.listen(s(1_800)).await;
    rig.clock.advance(AFTER);
    let mut again = Rig::over(rig.ledger.clone(), rig.clock.clone());
    again.listen(2 * AFTER).await;
    assert_eq!(again.told().await, [], "a restart begins anew");
    again.bring("after it", Route::Poll).await;
    again.listen(AFTER + s(60)).await;
    assert_eq!(again.told().await.len(), 1);

    let mut third = Rig::over(rig.ledger.clone(), rig.clock.clone());
    third.bring("more", Route::Poll).await;
    third.listen(2 * AFTER).await;
    assert_eq!(third.told().await.len(), 1, "what was told is known after a restart");
    third.bring("at last", Route::Push).await;
    third.listen(s(30)).await;
    assert_eq!(third.told().await.len(), 2);
}

#[tokio::test]
async fn a_push_that_we_put_off_is_no_silence() {
    let mut rig = Rig::new().await;
    rig.listen(s(60)).await;
    rig.bring("a", Route::Poll).await;
    for _ in 0..4 {
        rig.listen(s(1_800)).await;
        rig.ears.desk.find("/hook").unwrap().tell_stored(Err("the disk is full"));
    }
    assert_eq!(rig.told().await, []);
    rig.listen(2 * AFTER).await;
    rig.bring("b", Route::Poll).await;
    rig.listen(AFTER + s(60)).await;
    assert_eq!(rig.told().await.len(), 1, "it is not tried any more");
}

#[tokio::test]
async fn a_reload_keeps_what_was_heard_and_a_webhook_that_goes_is_forgotten() {
    let mut rig = Rig::new().await;
    rig.listen(s(60)).await;
    rig.bring("a", Route::Poll).await;
    for _ in 0..6 {
        rig.listen(s(600)).await;
        rig.ears.desk.replace(vec![rig.inlet.clone()]);
    }
    rig.listen(s(60)).await;
    assert_eq!(rig.told().await.len(), 1, "reloads do not begin anew");
    rig.ears.desk.replace(Vec::new());
    rig.ledger.note_webhook(SOURCE, None).await.unwrap();
    rig.listen(s(60)).await;
    assert!(rig.ears.watches.is_empty());
    rig.ledger.note_webhook(SOURCE, Some(AFTER)).await.unwrap();
    let heard = rig.ledger.reader().find_heard(SOURCE).await.unwrap();
    assert_eq!(heard.silent, None);
}

#[tokio::test]
async fn a_turn_that_a_push_has_overtaken_is_not_told() {
    let rig = Rig::new().await;
    rig.bring("a", Route::Poll).await;
    rig.bring("a", Route::Push).await;
    let heard = Heard::default();
    let turn = WebhookTurn::Silent { heard: heard.sequence };
    take(&rig.inlet, turn, &heard, 1, &rig.clock).await.unwrap();
    take(&rig.inlet, WebhookTurn::Heard, &heard, 0, &rig.clock).await.unwrap();
    assert_eq!(rig.told().await, []);
}

#[tokio::test]
async fn a_silence_that_nobody_subscribes_to_is_known_and_stores_no_event() {
    let mut rig = Rig::new().await;
    rig.inlet.hearers.clear();
    rig.ears.desk.replace(vec![rig.inlet.clone()]);
    rig.listen(s(60)).await;
    rig.bring("a", Route::Poll).await;
    rig.listen(AFTER + s(60)).await;
    assert_eq!(rig.told().await, []);
    let heard = rig.ledger.reader().find_heard(SOURCE).await.unwrap();
    assert!(heard.silent.is_some());
}
