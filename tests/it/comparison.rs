//! `tailwater compare` over entries that are pushed and polled, beside a running daemon.

use serde_json::{Value, json};
use tailwater::model::clock::Clock;
use tailwater::simulator::entry::Made;

use crate::support::push::entry;
use crate::support::{Audit, CloudServer, Home, Process, Pusher, SOON, Setup, eventually, until};

/// An entry as GreenLake pushes what the simulated cloud has made.
fn pushed(made: &Made) -> Value {
    let mut event = entry(&made.id);
    event["data"]["created_at"] = json!(made.created_at.millis());
    event
}

/// Both routes, and who sends.
async fn both(cloud: &CloudServer, lines: &str) -> (Home, Process, Pusher) {
    let home = Home::new(&Setup::new(cloud).push(lines));
    let daemon = home.run_daemon().await;
    let pusher = Pusher::to(&daemon).await;
    // From then on both routes are there.
    eventually("it is polled", SOON, async || {
        let polled = "SELECT count(*) FROM source WHERE start_us > 0 AND push_since_us > 0";
        (Audit::live(&home).await.value::<i64>(polled).await == 1).then_some(())
    })
    .await;
    (home, daemon, pusher)
}

async fn until_shown_by_both(home: &Home, count: i64) {
    eventually("both routes have shown them", SOON, async || {
        let both = "SELECT count(*) FROM history WHERE poll_seen_at > '' AND push_seen_at > ''";
        (Audit::live(home).await.value::<i64>(both).await == count).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_is_what_is_compared() {
    let cloud = CloudServer::start().await;
    let (home, daemon, pusher) = both(&cloud, "horizon = \"1h\"").await;
    // Creation times are cut down to the second: this one began before the webhook was there.
    let second = || Clock::system().now().secs();
    let began = second();
    until("the next second has begun", SOON, || second() > began).await;
    for _ in 0..40 {
        cloud.make(1);
        let made = cloud.cloud.made();
        assert_eq!(pusher.push(&pushed(&made[made.len() - 1])).await, 202);
    }
    let made = cloud.cloud.made();
    for again in &made[..3] {
        assert_eq!(pusher.push(&pushed(again)).await, 202, "a repeat");
    }
    let batch = json!([entry("AZ-batch-one"), entry("AZ-batch-two")]);
    assert_eq!(pusher.push(&batch).await, 202);
    until_shown_by_both(&home, 40).await;
    cloud.make(2);
    eventually("all are there", SOON, async || {
        (Audit::live(&home).await.ids().await.len() == 44).then_some(())
    })
    .await;

    let rows = home.list(&["compare"]).await;
    assert_eq!(rows.len(), 1);
    let found = &rows[0];
    assert_eq!(found["source"], "production");
    let both = json!({"both": 40, "poll_only": 0, "push_only": 0, "pending": 2});
    assert_eq!(found["coverage"], both, "two were polled alone, and push has its hour");
    assert_eq!(found["apart"]["batch"]["pending"], 2);
    let by_hand: Vec<(i64, String)> = Audit::live(&home)
        .await
        .rows("SELECT lead_ms, coalesce(differs, '') FROM history WHERE lead_ms IS NOT NULL")
        .await;
    let push_first = by_hand.iter().filter(|(lead, _)| *lead > 0).count();
    let lead = &found["lead"];
    let told = lead["push_first"]["count"].as_u64().expect("a count");
    assert!(told.abs_diff(push_first as u64) <= 2, "{lead}: {by_hand:?}");
    let mut leads: Vec<i64> = by_hand.iter().map(|(lead, _)| *lead).collect();
    leads.sort_unstable();
    let median = lead["median_us"].as_i64().expect("a median") / 1_000;
    assert!(median.abs_diff(leads[19]) <= 1, "{median}, {leads:?}");
    assert_eq!(lead["entries"], 40);
    let p99 = &found["push_latency"]["percentiles"][3];
    assert_eq!((&p99["needed"], &p99["latency_us"]), (&json!(299), &json!(null)));
    assert_eq!(
        (&found["push_cost"]["repeated"], &found["push_repeats"]["of"]),
        (&json!(3), &json!(45))
    );
    assert!(found["push_cost"]["bytes"].as_u64() > Some(10_000), "{found}");
    assert_eq!(found["poll_costs"][0]["tier"], "hot");
    assert_eq!(found["differences"]["compared"], 40);
    assert_eq!(found["differences"]["differing"], 40, "they were pushed under another user");
    let fields = found["differences"]["fields"].to_string();
    assert!(fields.contains("user.username") && !fields.contains("created_at"), "{fields}");
    assert!(found["certainty"]["age_us"].as_i64() < Some(60_000_000), "{found}");

    assert_printed(&home, found["answer"].as_str().expect("a sentence")).await;
    home.stop(daemon, SOON).await;
    assert_eq!(home.list(&["compare"]).await[0]["coverage"], both, "without a daemon, too");
}

/// A minute of polls, an entry now and then: every second and third poll would have shown
/// them later, and the page and the image are there, whole and harmless.
#[tokio::test(flavor = "multi_thread")]
async fn other_ways_of_polling_are_told_and_drawn() {
    let cloud = CloudServer::start().await;
    let (home, daemon, pusher) = both(&cloud, "").await;
    let second = || Clock::system().now().secs();
    let began = second();
    until("the next second has begun", SOON, || second() > began).await;
    let polls = "SELECT count(DISTINCT run_at) FROM poll_log WHERE tier = 'hot' AND nudged = 0";
    for number in 1..=8 {
        cloud.make(1);
        let made = cloud.cloud.made();
        assert_eq!(pusher.push(&pushed(&made[made.len() - 1])).await, 202);
        until_shown_by_both(&home, number).await;
    }
    let before = Audit::live(&home).await.value::<i64>(polls).await;
    eventually("there are polls after them", SOON, async || {
        (Audit::live(&home).await.value::<i64>(polls).await >= before.max(8) + 3).then_some(())
    })
    .await;
    let found = home.list(&["compare"]).await.remove(0);
    let what_if = &found["what_if"];
    let interval = what_if["interval_us"].as_i64().expect("an interval");
    assert!(interval > 100_000, "{what_if}");
    let thinned = what_if["thinned"].as_array().expect("a list");
    assert!(thinned.len() >= 3, "{what_if}");
    assert_eq!(thinned[0]["later_us"]["most"], 0, "{what_if}");
    assert!(thinned[1]["later_us"]["mean"].as_i64() > Some(interval / 10), "{what_if}");
    assert!(thinned[1]["requests"].as_u64() < thinned[0]["requests"].as_u64(), "{what_if}");
    assert_eq!(what_if["published"]["entries"], 8, "{what_if}");

    let table = home.command(&["compare"]).await.stdout;
    assert!(table.contains("IF POLLED EVERY") && table.contains("HPE's published"), "{table}");
    for (format, count) in [("html", 5), ("svg", 1)] {
        let done = home.command(&["compare", "--format", format, "--output", "report"]).await;
        assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""), "{done:?}");
        let text = std::fs::read_to_string(home.path().join("report")).expect("it was written");
        assert_eq!(text.matches("role=\"img\"").count(), count, "{format}");
        assert!(!text.contains("<script") && !text.contains("href"), "{format}");
        assert!(text.contains("Who was first as time went on"), "{format}");
    }
    home.stop(daemon, SOON).await;
}

/// The table begins with the answer and is narrow; the CSV has the same figures.
async fn assert_printed(home: &Home, answer: &str) {
    let table = home.command(&["compare", "--since", "1h"]).await;
    assert_eq!((table.code, table.stderr.as_str()), (Some(0), ""), "{table:?}");
    let first = table.stdout.split("\n\n").next().unwrap_or_default().replace('\n', " ");
    assert!(first.starts_with(answer), "{first}\n{answer}");
    assert!(table.stdout.lines().all(|line| line.chars().count() <= 80), "{}", table.stdout);
    assert!(table.stdout.contains("(needs 299)"), "{}", table.stdout);
    assert!(table.stdout.contains("note: only entries since"), "{}", table.stdout);

    let done = home.command(&["compare", "--format", "csv", "--output", "figures.csv"]).await;
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), ""), "{done:?}");
    let csv = std::fs::read_to_string(home.path().join("figures.csv")).expect("it was written");
    let line = |figure: &str| {
        let found = csv.lines().find(|line| line.contains(&format!(",{figure},")));
        found.unwrap_or_else(|| panic!("{figure}: {csv}")).to_owned()
    };
    assert!(line("both").ends_with(",both,entries,,40,,"), "{}", line("both"));
    assert!(line("push_repeats").contains(",share,45,0.0666"), "{}", line("push_repeats"));
    assert!(line("push_latency_p99").ends_with(",us,40,,,"), "{}", line("push_latency_p99"));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_compare_is_told_what_to_do() {
    let cloud = CloudServer::start().await;
    let home = Home::new(&Setup::new(&cloud));
    assert_eq!(home.command(&["poll"]).await.code, Some(0));
    for (args, code, words) in [
        (vec!["compare"], 1, "source \"production\" has no webhook: add [source.push] below it"),
        (vec!["compare", "--source", "other"], 1, "there are: production"),
        (vec!["compare", "--since", "yesterday"], 2, "write a duration back such as 24h"),
        (vec!["compare", "--format", "xml"], 2, "table, json, csv"),
    ] {
        let done = home.command(&args).await;
        assert_eq!((done.code, done.stdout.as_str()), (Some(code), ""), "{done:?}");
        assert!(done.stderr.contains(words), "{done:?}");
    }
    let (home, daemon, pusher) = both(&cloud, "").await;
    let done = home.command(&["compare"]).await;
    assert_eq!(done.code, Some(75), "{done:?}");
    assert!(done.stderr.contains("no entry of source \"production\" was created"), "{done:?}");
    assert_eq!(pusher.push(&entry("AZ-alone")).await, 202);
    let done = home.command(&["compare"]).await;
    assert_eq!(done.code, Some(75), "{done:?}");
    assert!(done.stderr.contains("too early: 1 entry"), "{done:?}");
    home.stop(daemon, SOON).await;
}
