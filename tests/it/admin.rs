//! `[admin]` over real sockets: what probes hear, what Prometheus reads, who may ask.

use std::collections::BTreeSet;
use std::time::Duration;

use prometheus_parse::{Scrape, Value};
use reqwest::header::HeaderValue;
use reqwest::{Client, Method, RequestBuilder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::push::{Heard, SECRET, send};
use crate::support::sinks::Reserved;
use crate::support::{
    Audit, CloudServer, Home, Process, Proxy, Pusher, SOON, Setup, SinkServer, Wire, entry,
    eventually, until,
};

const STOP: Duration = Duration::from_secs(30);

const TOKEN: &str = "the-token-of-people-and-probes";
const OTHER_TOKEN: &str = "the-token-after-the-rotation";

/// Who asks a daemon.
struct Asker {
    client: Client,
    address: String,
}

impl Asker {
    async fn of(daemon: &Process) -> Self {
        let address = eventually("it says where to ask", SOON, async || {
            let said = daemon.stderr();
            let (_, rest) = said.split_once("answering people and probes address=")?;
            Some(rest.split_whitespace().next()?.to_owned())
        })
        .await;
        let client = Client::builder().no_proxy().timeout(SOON).pool_max_idle_per_host(0);
        Self { client: client.build().expect("a client"), address }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    async fn get(&self, path: &str) -> Heard {
        send(self.request(Method::GET, path)).await
    }

    async fn get_with(&self, path: &str, token: &str) -> u16 {
        send(self.request(Method::GET, path).bearer_auth(token)).await.status
    }

    /// What `/readyz` says: the status, and why not.
    async fn ready(&self) -> (u16, Vec<String>) {
        let heard = self.get("/readyz").await;
        let document: serde_json::Value = serde_json::from_str(&heard.body).unwrap_or_default();
        let reasons = document["reasons"].as_array().cloned().unwrap_or_default();
        (heard.status, reasons.iter().filter_map(|why| Some(why.as_str()?.to_owned())).collect())
    }

    async fn scrape(&self) -> Metrics {
        let heard = self.get("/metrics").await;
        assert_eq!(
            (heard.status, &heard.headers["cache-control"]),
            (200, &HeaderValue::from_static("no-store"))
        );
        assert_eq!(heard.headers["content-type"], "text/plain; version=0.0.4; charset=utf-8");
        let lines = heard.body.lines().map(|line| Ok(line.to_owned()));
        let scrape = Scrape::parse(lines).expect("the text format");
        Metrics { text: heard.body, scrape }
    }
}

/// A scrape, read by a library that we did not write.
struct Metrics {
    text: String,
    scrape: Scrape,
}

impl Metrics {
    /// The one sample of this metric with these labels.
    fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let name = format!("tailwater_{name}");
        let fits = |sample: &&prometheus_parse::Sample| {
            sample.metric == name
                && labels.iter().all(|(name, value)| sample.labels.get(name) == Some(value))
        };
        let found: Vec<_> = self.scrape.samples.iter().filter(fits).collect();
        let [sample] = found.as_slice() else { panic!("{name} {labels:?}: {}", found.len()) };
        match sample.value {
            Value::Counter(value) | Value::Gauge(value) => value,
            ref other => panic!("{name}: {other:?}"),
        }
    }

    fn names(&self) -> BTreeSet<&str> {
        self.scrape.samples.iter().map(|sample| sample.metric.as_str()).collect()
    }
}

/// The metrics that the page tells of.
fn documented() -> BTreeSet<&'static str> {
    let rows = include_str!("../../docs/metrics.md").lines();
    let names = rows.filter_map(|row| row.strip_prefix("| `tailwater_").map(|_| &row[3..]));
    names.filter_map(|row| row.split(['`', '{']).next()).collect()
}

fn count(number: f64) -> i64 {
    format!("{number}").parse().expect("a whole number")
}

/// What `tailwater targets` says.
async fn assert_targets(home: &Home, metrics: &Metrics) {
    for row in home.list(&["targets"]).await {
        let name = row["target"].as_str().expect("a name");
        let of = |metric| count(metrics.value(metric, &[("target", name)]));
        assert_eq!(Some(of("target_pending_deliveries")), row["pending"].as_i64(), "{row}");
        assert_eq!(Some(of("target_dead_letters")), row["dead"].as_i64(), "{row}");
        assert_eq!(Some(of("target_delivered_total")), row["delivered_total"].as_i64(), "{row}");
        let state = [("target", name), ("state", row["state"].as_str().expect("a state"))];
        assert_eq!(count(metrics.value("target_state", &state)), 1, "{row}");
    }
}

/// One source that was polled and pushed to a moment ago.
fn assert_source(metrics: &Metrics) {
    for (route, expected) in [("poll", 7), ("push", 1)] {
        assert_eq!(count(metrics.value("source_new_events_total", &[("route", route)])), expected);
    }
    for (status, expected) in [("202", 1), ("401", 1), ("503", 0)] {
        assert_eq!(count(metrics.value("source_pushes_total", &[("status", status)])), expected);
    }
    assert!(metrics.value("source_polls_total", &[("outcome", "complete")]) >= 1.0);
    assert_eq!(count(metrics.value("source_polls_total", &[("outcome", "throttled")])), 0);
    assert!(metrics.value("source_requests_total", &[("outcome", "complete")]) >= 1.0);
    assert_eq!(count(metrics.value("source_ready", &[])), 1);
    assert!(metrics.value("source_token_life_seconds", &[]) > 0.0);
    for (metric, limit) in [
        ("source_poll_age_seconds", 60.0),
        ("source_certainty_age_seconds", 60.0),
        ("source_push_silence_seconds", 120.0),
    ] {
        assert!((0.0..limit).contains(&metrics.value(metric, &[])), "{}", metrics.text);
    }
    assert!((590.0..1_100.0).contains(&metrics.value("source_watermark_age_seconds", &[])));
    let all = [("le", "+Inf")];
    let entries = metrics.value("source_lateness_entries", &[]);
    assert_eq!(count(metrics.value("source_lateness_curve_entries", &all)), count(entries));
    assert!(metrics.value("ledger_free_bytes", &[]) > metrics.value("ledger_min_free_bytes", &[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_a_running_bridge_are_those_that_its_views_show() {
    let (cloud, sink) = (CloudServer::start().await, SinkServer::start().await);
    let dead = Reserved::new();
    let setup = Setup::new(&cloud)
        .push("horizon = \"1s\"")
        .admin("")
        .target("siem", &format!("{}?key=planted", sink.url), "")
        .target("dead", &dead.url(), "retry = { schedule = [\"1h\"] }\nconcurrency = 1")
        .target("unborn", &dead.url(), "enabled = false");
    let home = Home::new(&setup);
    let daemon = home.run_daemon().await;
    let (pusher, asker) = (Pusher::to(&daemon).await, Asker::of(&daemon).await);
    assert_eq!(
        (asker.get("/healthz").await.status, asker.get("/healthz").await.body),
        (200, "alive\n".to_owned())
    );
    // Creation times are cut down to the second, and must not lie before the webhook's.
    let begun = cloud.cloud.clock().now().secs();
    until("the next second", SOON, || cloud.cloud.clock().now().secs() > begun).await;
    cloud.make(7);
    assert_eq!(pusher.push(&entry("AZ-pushed")).await, 202);
    assert_eq!(send(pusher.signed("a-secret-of-somebody", "{}")).await.status, 401);
    home.until_settled_but(&["dead"], SOON).await;
    eventually("all are polled", SOON, async || {
        let polled = "SELECT count(*) FROM history WHERE poll_seen_at > ''";
        (Audit::live(&home).await.value::<i64>(polled).await == 7).then_some(())
    })
    .await;
    until("all are delivered", SOON, || sink.report().distinct == 8).await;
    home.until_settled_but(&["dead"], SOON).await;
    let metrics = asker.scrape().await;
    assert_eq!(asker.ready().await, (200, vec![]));
    assert_eq!(metrics.names(), documented());
    assert_targets(&home, &metrics).await;
    assert_eq!(count(metrics.value("target_pending_deliveries", &[("target", "dead")])), 8);
    assert!(metrics.value("target_oldest_pending_seconds", &[("target", "dead")]) > 0.0);
    assert_eq!(count(metrics.value("target_oldest_pending_seconds", &[("target", "siem")])), 0);
    let stored: i64 = Audit::live(&home).await.value("SELECT count(*) FROM history").await;
    assert_eq!(count(metrics.value("ledger_events_total", &[])), stored);
    assert_source(&metrics);
    for secret in [cloud.secret(), SECRET, "planted", "://", "127.0.0.1"] {
        assert!(!metrics.text.contains(secret), "{secret}");
    }
    home.stop(daemon, STOP).await;

    // It is judged once a minute, and at the start.
    let daemon = home.run_daemon().await;
    let asker = Asker::of(&daemon).await;
    let metrics = eventually("what was missed is counted", SOON, async || {
        let metrics = asker.scrape().await;
        let missed = |by| metrics.value("source_missed_total", &[("missed_by", by)]);
        (count(missed("push")) == 7 && count(missed("poll")) == 1).then_some(metrics)
    })
    .await;

    let mut audit = Audit::live(&home).await;
    let view = "SELECT count(*) FROM missed WHERE missed_by = ";
    assert_eq!(audit.value::<i64>(&format!("{view}'push'")).await, 7);
    assert_eq!(audit.value::<i64>(&format!("{view}'poll'")).await, 1);
    assert_eq!(count(metrics.value("ledger_events_total", &[])), stored);
    assert_eq!(count(metrics.value("source_new_events_total", &[("route", "poll")])), 0);
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_away_for_three_intervals_is_not_ready_until_it_is_back() {
    let cloud = CloudServer::start().await;
    let proxy = Proxy::before(&cloud.base_url).await;
    let poll = "interval = \"2s\"\nstart = \"now\"\ntimeout = \"1s\"";
    let setup = Setup::of(&proxy.url(&cloud.base_url), cloud.secret()).poll(poll).admin("");
    let home = Home::new(&setup);
    proxy.set(Wire::Cut(1));
    let daemon = home.run_daemon().await;
    let asker = Asker::of(&daemon).await;
    let (status, reasons) = asker.ready().await;
    assert_eq!(status, 503);
    assert!(reasons[0].contains("source \"production\" has not been polled"), "{reasons:?}");

    proxy.set(Wire::Clear);
    let is_ready = async || (asker.ready().await.0 == 200).then_some(());
    eventually("it is ready", SOON, is_ready).await;
    proxy.set(Wire::Cut(1));
    let reasons = eventually("it is not ready", SOON, async || {
        let (status, reasons) = asker.ready().await;
        (status == 503).then_some(reasons)
    })
    .await;
    assert!(reasons[0].contains("more than 3 intervals (6 s): un"), "{reasons:?}");
    let metrics = asker.scrape().await;
    assert_eq!(count(metrics.value("source_ready", &[])), 0);
    assert!(metrics.value("source_poll_age_seconds", &[]) > 6.0);
    assert_eq!(asker.get("/healthz").await.status, 200, "it is alive all the same");
    proxy.set(Wire::Clear);
    eventually("it is ready again", SOON, is_ready).await;
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_is_asked_for_and_changes_with_a_reload() {
    let setup = Setup::of("http://127.0.0.1:1", "unused").poll("enabled = false").push("");
    let with = |token: &str| setup.clone().admin(&format!("token = \"{token}\""));
    let home = Home::new(&with(TOKEN));
    let daemon = home.run_daemon().await;
    let asker = Asker::of(&daemon).await;
    assert_eq!(asker.get("/healthz").await.status, 200);
    for path in ["/readyz", "/metrics", "/", "/api/v1/status"] {
        let heard = asker.get(path).await;
        assert_eq!(heard.status, 401, "{path}");
        assert_eq!(heard.headers["www-authenticate"], "Bearer");
        assert_eq!(heard.headers["content-type"], "application/problem+json");
        assert_eq!(asker.get_with(path, OTHER_TOKEN).await, 401, "{path}");
    }
    for (path, status) in [("/readyz", 200), ("/metrics", 200), ("/", 404), ("/api", 404)] {
        assert_eq!(asker.get_with(path, TOKEN).await, status, "{path}");
    }
    for (request, status) in [
        (asker.request(Method::POST, "/metrics"), 405),
        (asker.request(Method::GET, "/metrics").body("a body"), 413),
        (asker.request(Method::HEAD, "/metrics"), 200),
    ] {
        let heard = send(request.bearer_auth(TOKEN)).await;
        assert_eq!(heard.status, status);
        if status != 200 {
            let document: serde_json::Value = serde_json::from_str(&heard.body).expect("JSON");
            assert_eq!(document["status"], status, "{document}");
        }
    }

    home.reload(&daemon, &with(OTHER_TOKEN)).await;
    assert!(daemon.stderr().contains("reloaded: admin.token changed"));
    assert_eq!(asker.get_with("/metrics", TOKEN).await, 401);
    assert_eq!(asker.get_with("/metrics", OTHER_TOKEN).await, 200);
    // Nothing is asked for at another address: this one keeps its token.
    let moved = Setup::text(&with(TOKEN)).replace(&format!("token = \"{TOKEN}\""), "");
    let moved =
        moved.replace("[admin]\nlisten = \"127.0.0.1:0\"", "[admin]\nlisten = \"127.0.0.1:9\"");
    for _ in 0..2 {
        home.replace("config.toml", &moved);
        let before = daemon.stderr().matches("reloaded: ").count();
        daemon.hang_up();
        until("it is read", SOON, || daemon.stderr().matches("reloaded: ").count() > before).await;
    }
    assert!(daemon.stderr().contains("admin.listen changes only with a restart"));
    assert_eq!(asker.get("/metrics").await.status, 401);
    home.replace("config.toml", "nonsense");
    daemon.hang_up();
    eventually("the refusal is a metric", SOON, async || {
        let request = asker.request(Method::GET, "/metrics").bearer_auth(OTHER_TOKEN);
        send(request).await.body.contains("\ntailwater_config_refused 1\n").then_some(())
    })
    .await;
    let said = daemon.stderr();
    assert!(!said.contains(TOKEN) && !said.contains(OTHER_TOKEN));
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_silent_connections_hold_up_nobody() {
    let setup = Setup::of("http://127.0.0.1:1", "unused").poll("enabled = false").push("");
    let home = Home::new(&setup.admin(""));
    let daemon = home.run_daemon().await;
    let asker = Asker::of(&daemon).await;
    let mut held = Vec::new();
    for index in 0..300 {
        let mut stream = tokio::net::TcpStream::connect(&asker.address).await.expect("connected");
        let part: &[u8] = match index % 3 {
            0 => b"",
            1 => b"GET /metrics HTTP/1.1\r\nHost: x\r\n",
            _ => b"GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
        };
        // One that makes room for others may be cut already.
        let _ = stream.write_all(part).await;
        held.push(stream);
        if index % 50 == 49 {
            assert_eq!(asker.get("/metrics").await.status, 200);
        }
    }
    let mut closed = tokio::task::JoinSet::new();
    for mut stream in held {
        closed.spawn(async move { stream.read_to_end(&mut Vec::new()).await.map(drop) });
    }
    tokio::time::timeout(SOON, closed.join_all()).await.expect("all are closed");
    assert_eq!(asker.ready().await, (200, vec![]));
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_is_answered_with_a_backlog_and_after_a_restart() {
    let cloud = CloudServer::start().await;
    let dead = Reserved::new();
    let setup = Setup::new(&cloud).admin("").target("dead", &dead.url(), "");
    let home = Home::new(&setup);
    cloud.make(3_000);
    let owed = async |asker: &Asker| {
        eventually("all are owed", SOON, async || {
            let metrics = asker.scrape().await;
            let owed = metrics.value("target_pending_deliveries", &[]);
            (count(owed) == 3_000).then_some(metrics)
        })
        .await
    };
    let daemon = home.run_daemon().await;
    owed(&Asker::of(&daemon).await).await;
    daemon.kill();
    let daemon = home.run_daemon().await;
    owed(&Asker::of(&daemon).await).await;
    home.stop(daemon, STOP).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_is_taken_ends_the_start() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound").to_string();
    let home = Home::new(&Setup::of("http://127.0.0.1:1", "unused").push("").admin(""));
    let text = std::fs::read_to_string(home.path().join("config.toml")).expect("it is there");
    let place = "[admin]\nlisten = \"127.0.0.1:0\"";
    home.replace("config.toml", &text.replace(place, &format!("[admin]\nlisten = \"{address}\"")));
    let done = home.command(&["run"]).await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains(&format!("[admin] cannot listen on {address}")), "{done:?}");
}
