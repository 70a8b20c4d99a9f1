//! Loops, storms, dead tokens, memory and time.

use std::time::Duration;

use futures_util::future::join_all;
use tailwater::model::clock::Clock;
use tailwater::simulator::entry::Entry;
use tailwater::simulator::faults::{Fault, FaultKind, HintForm};
use tailwater::simulator::knobs::{Knobs, Remaining};
use tailwater::simulator::{Settings, UNLIMITED};

use super::{
    LONG, SMALL_PAGES, STOP, audit, cloud_in_time, complete, generate, generate_ties, logged, pass,
};
use crate::support::{Audit, CloudServer, Home, Proxy, SOON, Setup, Wire, eventually, until};

/// A cloud with a crowded second, under one fault from the first slice on.
async fn endures(kind: FaultKind, remaining: Remaining) {
    let cloud = CloudServer::start().await;
    cloud.cloud.set_knobs(Knobs { remaining, ..cloud.cloud.knobs() });
    generate_ties(&cloud, 50, Duration::from_mins(1));
    generate(&cloud, 30, Duration::from_secs(200));
    // The first request of a new ledger only asks for the time.
    let harmless = Fault::new(FaultKind::ClampOffset).times(1);
    cloud.cloud.faults().set(vec![harmless, Fault::new(kind)]);
    let home = Home::new(&Setup::new(&cloud).poll(SMALL_PAGES));
    let daemon = home.run_daemon().await;
    let (met, rows) = match kind {
        FaultKind::IgnoreOffset | FaultKind::ClampOffset => ("\"offset\" > 0", 1),
        _ => ("outcome <> 'split'", 6),
    };
    logged(&home, met, rows).await;
    audit(&home, &cloud, 0).await;
    cloud.cloud.faults().clear();
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    audit(&home, &cloud, 0).await;
}

/// airbytehq/airbyte#14861, #4284, #44016: the same page for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_ignores_what_it_is_asked_is_no_loop() {
    let kinds = [FaultKind::IgnoreOffset, FaultKind::IgnoreFilter, FaultKind::ClampOffset];
    join_all(kinds.map(|kind| endures(kind, Remaining::Described))).await;
}

/// dlt-hub/dlt#2816, #4225, #3358, #1637: which numbers to believe.
#[tokio::test(flavor = "multi_thread")]
async fn no_combination_of_counts_covers_what_was_not_shown() {
    let kinds = [
        (FaultKind::MissingCount, Remaining::Never),
        (FaultKind::MissingTotal, Remaining::Never),
        (FaultKind::WrongCount, Remaining::Never),
        (FaultKind::SmallTotal, Remaining::Always),
        (FaultKind::NullItems, Remaining::Always),
        (FaultKind::EmptyPage, Remaining::Never),
        (FaultKind::ShortPage, Remaining::Never),
        (FaultKind::ShortPage, Remaining::Always),
    ];
    for some in kinds.chunks(4) {
        join_all(some.iter().map(|(kind, remaining)| endures(*kind, *remaining))).await;
    }
}

/// elastic/elasticsearch#18977 and three more: equal keys in another order each time.
#[tokio::test(flavor = "multi_thread")]
async fn ties_in_another_order_at_every_request_are_all_there() {
    let cloud = CloudServer::start().await;
    generate_ties(&cloud, 75, Duration::from_mins(1));
    cloud.cloud.faults().set(vec![Fault::new(FaultKind::ShuffleTies)]);
    let home = Home::new(&Setup::new(&cloud).poll(SMALL_PAGES));
    let daemon = home.run_daemon().await;
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    audit(&home, &cloud, 0).await;
}

/// elastic/beats#52684, #47423, #34002: a 429 that nobody waits for.
#[tokio::test(flavor = "multi_thread")]
async fn a_429_without_a_usable_hint_is_no_hot_loop() {
    let hints = [
        (HintForm::None, 0.0),
        (HintForm::RetryAfter, -7.0),
        (HintForm::RatelimitReset, -7.0),
        (HintForm::Body, -7.0),
        (HintForm::RetryAfterDate, -3_600.0),
    ];
    let waits = async |(hint, seconds): (HintForm, f64)| {
        let cloud = CloudServer::start().await;
        let fault = Fault { hint, seconds, ..Fault::new(FaultKind::TooManyRequests) };
        cloud.cloud.faults().set(vec![fault]);
        let home = Home::new(&Setup::new(&cloud).poll(SMALL_PAGES));
        let daemon = home.run_daemon().await;
        // Nothing is in the ledger before the first answer: the requests are what counts.
        let clock = Clock::system();
        let first = clock.uptime();
        until("it is asked again", LONG, || cloud.cloud.served().throttled >= 4).await;
        let took = clock.uptime().saturating_sub(first);
        assert!(took >= Duration::from_millis(700), "{hint:?} {seconds}: four in {took:?}");
        cloud.cloud.faults().clear();
        cloud.make(1);
        complete(&home, &cloud).await;
        home.stop(daemon, STOP).await;
    };
    join_all(hints.map(waits)).await;
}

/// elastic/beats#52684: and one with a hint beyond reason is kept to an hour, and told.
#[tokio::test(flavor = "multi_thread")]
async fn a_429_with_a_huge_hint_is_told() {
    let cloud = CloudServer::start().await;
    let huge = Fault { seconds: 1e15, ..Fault::new(FaultKind::TooManyRequests) };
    cloud.cloud.faults().set(vec![Fault { hint: HintForm::RetryAfter, ..huge }]);
    let home = Home::new(&Setup::new(&cloud).poll(SMALL_PAGES));
    let daemon = home.run_daemon().await;
    until("it is told", SOON, || daemon.stderr().contains("polling is held up")).await;
    assert!(daemon.stderr().contains("pause=Some(360"), "{}", daemon.stderr());
    home.stop(daemon, STOP).await;
}

/// airbytehq/airbyte#13660, #74727, #74774: the token dies while a limit is waited for.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_dies_during_a_wait_is_replaced() {
    let settings = Settings { requests_per_minute: UNLIMITED, ..Settings::default() };
    let cloud =
        CloudServer::with(Settings { token_life: Duration::from_secs(3), ..settings }).await;
    generate(&cloud, 50, Duration::from_secs(200));
    let wait = Fault::new(FaultKind::TooManyRequests).hint(HintForm::RetryAfter, 5).times(1);
    let slices = Fault::new(FaultKind::ClampOffset).times(2);
    cloud.cloud.faults().set(vec![slices, wait]);
    let home = Home::new(&Setup::new(&cloud).poll(SMALL_PAGES));
    let daemon = home.run_daemon().await;
    complete(&home, &cloud).await;
    logged(&home, "outcome = 'throttled'", 1).await;
    home.stop(daemon, STOP).await;
    assert!(cloud.cloud.served().tokens >= 2);
    audit(&home, &cloud, 0).await;
}

/// elastic/beats#51080: one token for each request.
#[tokio::test(flavor = "multi_thread")]
async fn an_hour_of_polls_needs_a_handful_of_tokens() {
    let cloud = cloud_in_time().await;
    let home = Home::new(&Setup::new(&cloud).poll("interval = \"1s\"\nstart = \"1m\""));
    let daemon = home.run_daemon().await;
    logged(&home, "outcome = 'complete'", 1).await;
    for _ in 0..30 {
        pass(&cloud, Duration::from_mins(2)).await;
    }
    home.stop(daemon, STOP).await;
    let served = cloud.cloud.served();
    assert!(served.log_requests >= 60, "{served:?}");
    assert!(served.tokens <= 6, "a token lives for 15 minutes: {served:?}");
}

/// elastic/beats#35219, #38116, #34310: answers that memory does not hold.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_an_end_is_refused_in_bounded_memory() {
    let cloud = CloudServer::start().await;
    generate(&cloud, 30, Duration::from_secs(200));
    let proxy = Proxy::before(&cloud.base_url).await;
    proxy.set_for("/audit-log", 1, Wire::EndlessBody);
    let poll = "interval = \"1s\"\nstart = \"5m\"\ntimeout = \"5m\"";
    let setup = Setup::of(&proxy.url(&cloud.base_url), cloud.secret()).poll(poll);
    let home = Home::new(&setup);
    let daemon = home.run_daemon().await;
    let limit = "error LIKE '%is larger than 67108864 bytes%'";
    logged(&home, limit, 2).await;
    let peak = daemon.peak_mib();
    assert!(peak <= 192, "the daemon took {peak} MiB");
    proxy.set(Wire::Clear);
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
}

/// vectordotdev/vector#14087, #14132: requests pile up behind a slow server.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_piles_up_behind_a_server_that_drips() {
    let cloud = CloudServer::start().await;
    generate(&cloud, 30, Duration::from_secs(200));
    let proxy = Proxy::before(&cloud.base_url).await;
    proxy.set(Wire::Drip(Duration::from_secs(1)));
    let poll = "interval = \"1s\"\nstart = \"5m\"\ntimeout = \"3s\"";
    let home = Home::new(&Setup::of(&proxy.url(&cloud.base_url), cloud.secret()).poll(poll));
    let daemon = home.run_daemon().await;
    until("requests are dripped at", LONG, || proxy.spoilt() >= 3).await;
    assert!(proxy.most_open() <= 2, "{} connections", proxy.most_open());
    proxy.set(Wire::Clear);
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
}

/// deliveroo/routemaster#88, #96, #99: what is stamped in the future is thrown away.
#[tokio::test(flavor = "multi_thread")]
async fn an_entry_stamped_ahead_of_its_time_is_there_when_that_has_come() {
    let cloud = cloud_in_time().await;
    let home = Home::new(&Setup::new(&cloud).poll("interval = \"1s\"\nstart = \"1m\""));
    let daemon = home.run_daemon().await;
    logged(&home, "outcome = 'complete'", 1).await;
    let now = cloud.cloud.clock().now();
    let mut ahead = Entry::new("ahead", now.plus(Duration::from_mins(5)), "Stamped ahead");
    ahead.visible_at = now;
    assert!(cloud.cloud.insert(ahead));
    pass(&cloud, Duration::from_mins(1)).await;
    pass(&cloud, Duration::from_mins(5)).await;
    complete(&home, &cloud).await;
    // A source whose clock leaps has not lost the hour in between.
    cloud.cloud.clock().advance(Duration::from_hours(1));
    generate(&cloud, 40, Duration::from_mins(59));
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    audit(&home, &cloud, 0).await;
}

/// apache/hertzbeat#4328, elastic/beats#4010: a herd after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_workspaces_start_one_after_the_other() {
    const COUNT: u32 = 50;
    let clouds = join_all((0..COUNT).map(|_| CloudServer::start())).await;
    let home = Home::new(&Setup::new(&clouds[0]).poll("interval = \"30s\""));
    let one = std::fs::read_to_string(home.path().join("config.toml")).expect("written");
    let source = one.split("[[source]]").nth(1).and_then(|text| text.split("[log]").next());
    let source = source.expect("a source");
    let mut text = "[storage]\npath = \"ledger.db\"\nmin_free = \"1MiB\"\n".to_owned();
    for (number, cloud) in clouds.iter().enumerate() {
        let named = source.replace("\"production\"", &format!("\"w{number}\""));
        let url = named.replace(&clouds[0].base_url, &cloud.base_url);
        text.extend(["[[source]]", &with_workspace(&url, number)]);
    }
    home.write("config.toml", &(text + "[log]\nformat = \"text\"\n"));
    let before = Clock::system().now();
    let daemon = home.run_daemon().await;
    eventually("each has been asked", SOON, async || {
        let asked = "SELECT count(DISTINCT source_id) FROM poll_request";
        let is_there = home.ledger().exists();
        (is_there && Audit::live(&home).await.value::<i64>(asked).await == i64::from(COUNT))
            .then_some(())
    })
    .await;
    let starts: Vec<(i64,)> = Audit::live(&home)
        .await
        .rows("SELECT min(started_us) FROM poll_request GROUP BY source_id ORDER BY 1")
        .await;
    home.stop(daemon, STOP).await;
    // Five seconds in fifty parts; nobody comes before its turn, however slow we are.
    for (number, (start,)) in starts.iter().enumerate() {
        let turn = before.plus(Duration::from_millis(100) * u32::try_from(number).expect("few"));
        assert!(*start >= turn.micros(), "number {number}");
    }
}

/// The source's text with another workspace.
fn with_workspace(source: &str, number: usize) -> String {
    let id = Settings::default().workspace.id;
    let token_url = format!("token_url = \"{{base_url}}/authorization/v2/oauth2/{id}/token\"\n");
    let own = source.replace(&id, &format!("{number:032x}"));
    own.replacen("[source.poll]", &format!("{token_url}[source.poll]"), 1)
}
