//! Entries that others lose.

use std::time::Duration;

use tailwater::simulator::faults::{Fault, FaultKind, Place};
use tailwater::simulator::knobs::Spread;

use super::{
    LONG, SMALL_PAGES, STOP, audit, cloud_in_time, complete, generate, generate_ties, logged,
    pages, pass,
};
use crate::support::{Audit, CloudServer, Home, SOON, Setup, SinkServer, eventually, until};

const MINUTE: Duration = Duration::from_mins(1);

/// Reads again for a quarter of an hour.
const DEFAULTS: &str = "interval = \"1s\"\nstart = \"1m\"";

/// elastic/integrations#12873: a cursor taken from page 1, and a death before page 2.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_two_pages_loses_none_of_them() {
    let cloud = CloudServer::start().await;
    generate_ties(&cloud, 55, Duration::from_secs(100));
    generate(&cloud, 60, Duration::from_mins(4));
    let home = Home::new(&Setup::new(&cloud).poll(SMALL_PAGES));
    // Page 1 of 3 comes; page 2 is what it waits for when it dies.
    let slow = Fault::new(FaultKind::Slow).on(Place::LaterPages).lasting(Duration::from_mins(5));
    cloud.cloud.faults().set(vec![slow]);
    let daemon = home.run_daemon().await;
    logged(&home, "outcome = 'page'", 1).await;
    daemon.kill();
    cloud.cloud.faults().clear();

    let daemon = home.run_daemon().await;
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    audit(&home, &cloud, 0).await;
}

/// elastic/integrations#4796, #4982: a failure in mid-paging.
#[tokio::test(flavor = "multi_thread")]
async fn an_error_on_the_second_page_loses_none_of_it() {
    let cloud = CloudServer::start().await;
    generate_ties(&cloud, 55, Duration::from_secs(100));
    let error = Fault::new(FaultKind::ServerError).on(Place::LaterPages).times(2);
    cloud.cloud.faults().set(vec![error]);
    let home = Home::new(&Setup::new(&cloud).poll(SMALL_PAGES));
    let daemon = home.run_daemon().await;
    logged(&home, "outcome = 'unavailable'", 2).await;
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    audit(&home, &cloud, 0).await;
}

/// Twenty minutes of entries, each late by anything up to ten minutes.
async fn late_by_up_to_ten_minutes(dies: bool) {
    let cloud = cloud_in_time().await;
    let knobs = cloud.cloud.knobs();
    cloud.cloud.set_knobs(tailwater::simulator::knobs::Knobs {
        late_fraction: 1.0,
        late_seconds: 600.0,
        late_spread: Spread::Even,
        ..knobs
    });
    let home = Home::new(&Setup::new(&cloud).poll(DEFAULTS));
    let mut daemon = home.run_daemon().await;
    logged(&home, "outcome = 'complete'", 1).await;
    for step in 0..16 {
        pass(&cloud, 2 * MINUTE).await;
        if step < 10 {
            generate(&cloud, 12, 2 * MINUTE);
        }
        if dies && step % 4 == 3 {
            daemon.kill();
            daemon = home.run_daemon().await;
        }
    }
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    audit(&home, &cloud, 0).await;
}

/// elastic/integrations#13081, #13703, #20964: records become visible out of order.
#[tokio::test(flavor = "multi_thread")]
async fn entries_that_become_visible_up_to_ten_minutes_late_are_all_there() {
    late_by_up_to_ten_minutes(false).await;
}

/// wazuh/wazuh#24323 and four more: the same over restarts.
#[tokio::test(flavor = "multi_thread")]
async fn late_entries_are_all_there_over_deaths_of_the_daemon() {
    late_by_up_to_ten_minutes(true).await;
}

/// elastic/integrations#19806: a strict comparison of whole seconds drops ties.
#[tokio::test(flavor = "multi_thread")]
async fn ties_that_the_end_of_a_page_splits_are_all_there() {
    let cloud = CloudServer::start().await;
    generate_ties(&cloud, 50, Duration::from_mins(1));
    let home = Home::new(&Setup::new(&cloud).poll(SMALL_PAGES));
    let daemon = home.run_daemon().await;
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    audit(&home, &cloud, 0).await;
}

/// falcosecurity/plugins#899, jsonmaur/stripe-local#5: asking from `last + 1`.
#[tokio::test(flavor = "multi_thread")]
async fn the_second_half_of_a_second_that_comes_after_the_poll_is_there() {
    let cloud = cloud_in_time().await;
    let home = Home::new(&Setup::new(&cloud).poll(DEFAULTS));
    let daemon = home.run_daemon().await;
    logged(&home, "outcome = 'complete'", 1).await;
    generate_ties(&cloud, 5, Duration::from_secs(2));
    pass(&cloud, Duration::from_secs(1)).await;
    complete(&home, &cloud).await;
    generate_ties(&cloud, 5, Duration::from_secs(3));
    pass(&cloud, Duration::from_secs(1)).await;
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    audit(&home, &cloud, 0).await;
}

/// elastic/beats#52996: the failed page of a chain is skipped, and the cursor saved.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_poisoned_for_an_hour_is_read_when_it_is_well() {
    let cloud = cloud_in_time().await;
    generate_ties(&cloud, 55, Duration::from_secs(30));
    let poison = Fault::new(FaultKind::CutBody).on(Place::LaterPages);
    cloud.cloud.faults().set(vec![poison]);
    let poll = "interval = \"1s\"\noverlap = \"10s\"\nstart = \"1m\"\npage_limit = 20";
    let home = Home::new(&Setup::new(&cloud).poll(poll));
    let daemon = home.run_daemon().await;
    logged(&home, "outcome = 'unreadable'", 1).await;
    let bad = Audit::live(&home)
        .await
        .value::<i64>("SELECT min(from_us) FROM poll_request WHERE outcome = 'unreadable'")
        .await;
    for _ in 0..3 {
        cloud.cloud.clock().advance(20 * MINUTE);
        generate(&cloud, 3, MINUTE);
        let failed = "SELECT count(*) FROM poll_log WHERE outcome = 'unreadable'";
        let before: i64 = Audit::live(&home).await.value(failed).await;
        logged(&home, "outcome = 'unreadable'", before + 1).await;
    }
    let watermark = "SELECT watermark_us FROM source";
    assert!(Audit::live(&home).await.value::<i64>(watermark).await <= bad, "it was skipped");
    audit(&home, &cloud, 0).await;
    cloud.cloud.faults().clear();
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    audit(&home, &cloud, 0).await;
}

/// airbytehq/airbyte#20156, elastic/integrations#8717: the look-back applied to the start
/// instead of the present, or not at all.
#[tokio::test(flavor = "multi_thread")]
async fn every_poll_asks_again_for_the_overlap_before_the_present() {
    let cloud = cloud_in_time().await;
    let mut notices = cloud.cloud.notices();
    let home = Home::new(&Setup::new(&cloud).poll("interval = \"1s\"\noverlap = \"2m\""));
    let daemon = home.run_daemon().await;
    logged(&home, "outcome = 'complete'", 1).await;
    for _ in 0..10 {
        pass(&cloud, MINUTE).await;
    }
    let now = cloud.cloud.clock().now();
    pages(&mut notices);
    pass(&cloud, Duration::ZERO).await;
    home.stop(daemon, STOP).await;
    let asked = pages(&mut notices);
    assert!(!asked.is_empty());
    for request in asked {
        let quoted: Vec<&str> = request.split('\'').collect();
        let at = |place: usize| {
            tailwater::model::timestamp::Timestamp::parse_rfc3339(quoted[place]).expect("a time")
        };
        let (from, until) = (at(1).secs(), at(3).secs());
        assert!(until > now.secs(), "the present: {request}");
        assert!((120..=180).contains(&(now.secs() - from)), "the overlap: {request}");
    }
}

/// mustafaakin/kubernetes-event-exporter#184 and seven more: an age filter throws away
/// what a pause has made old.
#[tokio::test(flavor = "multi_thread")]
async fn an_hour_away_throws_nothing_away() {
    let (cloud, sink) = (cloud_in_time().await, SinkServer::start().await);
    let home = Home::new(&Setup::new(&cloud).poll(DEFAULTS).target("siem", &sink.url, ""));
    let daemon = home.run_daemon().await;
    generate(&cloud, 5, Duration::from_secs(30));
    until("the first ones arrive", SOON, || sink.ids() == cloud.ids()).await;
    home.stop(daemon, STOP).await;

    cloud.cloud.clock().advance(60 * MINUTE);
    generate(&cloud, 120, 60 * MINUTE);
    let daemon = home.run_daemon().await;
    until("all of the hour arrive", LONG, || sink.ids() == cloud.ids()).await;
    home.until_settled(SOON).await;
    home.stop(daemon, STOP).await;
    assert_eq!(sink.report().repeats, 0);
    audit(&home, &cloud, 1).await;
}

/// igrigorik/gharchive.org#113, #187, #310: a fixed number of pages, and a burst beyond it.
#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_ten_pages_within_an_interval_is_read_whole() {
    let cloud = CloudServer::start().await;
    let home = Home::new(&Setup::new(&cloud).poll(SMALL_PAGES));
    let daemon = home.run_daemon().await;
    logged(&home, "outcome = 'complete'", 1).await;
    generate_ties(&cloud, 60, Duration::from_secs(1));
    generate(&cloud, 140, Duration::from_secs(2));
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    audit(&home, &cloud, 0).await;
}

/// withcoral/coral#951: the window moves while it is paged.
#[tokio::test(flavor = "multi_thread")]
async fn entries_that_turn_up_while_we_page_shift_nothing_out_of_sight() {
    let cloud = CloudServer::start().await;
    generate_ties(&cloud, 50, Duration::from_mins(1));
    cloud.cloud.faults().set(vec![Fault::new(FaultKind::InsertWhilePaging).times(12)]);
    let mut notices = cloud.cloud.notices();
    // Read again for longer than the paging takes: what turns up behind a page that has
    // been read is late, and found like all that is.
    let poll = SMALL_PAGES.replace("3s", "3m");
    let home = Home::new(&Setup::new(&cloud).poll(&poll));
    let daemon = home.run_daemon().await;
    eventually("the last one has turned up", LONG, async || {
        cloud.cloud.faults().list().is_empty().then_some(())
    })
    .await;
    complete(&home, &cloud).await;
    home.stop(daemon, STOP).await;
    audit(&home, &cloud, 0).await;
    let deep = pages(&mut notices).into_iter().filter(|page| !page.contains("offset=0"));
    assert!(deep.count() > 0, "it was paged");
}
