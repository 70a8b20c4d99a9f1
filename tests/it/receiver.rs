//! The receiver over real sockets: what it takes, what it turns away, what it says.

use std::process::Command;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tailwater::model::signature::{challenge_answer, sign_greenlake};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::push::{SECRET, send};
use crate::support::{
    Audit, CloudServer, Home, Process, Pusher, SOON, Setup, SinkServer, entry, eventually, until,
};

const OTHER_SECRET: &str = "the-secret-after-the-rotation";

/// A daemon that only receives, and who sends to it.
async fn receiving(lines: &str) -> (Home, Process, Pusher) {
    let setup = Setup::of("http://127.0.0.1:1", "unused").poll("enabled = false").push(lines);
    let home = Home::new(&setup);
    let daemon = home.run_daemon().await;
    let pusher = Pusher::to(&daemon).await;
    (home, daemon, pusher)
}

async fn ids(home: &Home) -> Vec<String> {
    Audit::live(home).await.ids().await.into_iter().collect()
}

/// Status, events in it, new ones, secret and error of each request, oldest first.
async fn log(home: &Home) -> Vec<(i64, i64, i64, Option<String>, Option<String>)> {
    Audit::live(home)
        .await
        .rows("SELECT status, count, new, secret, error FROM push_log ORDER BY id")
        .await
}

async fn quarantine(home: &Home) -> Vec<(String, String)> {
    Audit::live(home).await.rows("SELECT reason, raw FROM quarantine ORDER BY id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_push_is_stored_and_delivered_once_however_often_it_comes() {
    let sink = SinkServer::start().await;
    let setup = Setup::of("http://127.0.0.1:1", "unused")
        .poll("enabled = false")
        .push("")
        .target("siem", &sink.url, "")
        .target("polled", &sink.url, "routes = [\"poll\"]");
    let home = Home::new(&setup);
    let daemon = home.run_daemon().await;
    let pusher = Pusher::to(&daemon).await;
    let event = entry("AZ-one");
    for _ in 0..3 {
        assert_eq!(pusher.push(&event).await, 202);
    }
    eventually("it is delivered", SOON, async || (sink.report().distinct == 1).then_some(())).await;
    let rows = home.list(&["history"]).await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!((&rows[0]["first_route"], &rows[0]["id"]), (&json!("push"), &json!("AZ-one")));
    let data: Value = match &rows[0]["data"] {
        Value::String(text) => serde_json::from_str(text).expect("JSON"),
        data => data.clone(),
    };
    assert_eq!(data, event["data"], "passed on as received");
    home.until_settled(SOON).await;
    let to_whom: Vec<(String,)> =
        Audit::live(&home).await.rows("SELECT target FROM delivery_log").await;
    assert_eq!(to_whom, [("siem".to_owned(),)], "by the route it came first");
    let primary = Some("primary".to_owned());
    let row = |new| (202, 1, new, primary.clone(), None);
    assert_eq!(log(&home).await, [row(1), row(0), row(0)]);
    home.stop(daemon, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_and_a_poll_of_one_entry_are_one_event() {
    let cloud = CloudServer::start().await;
    let home = Home::new(&Setup::new(&cloud).push(""));
    let daemon = home.run_daemon().await;
    let pusher = Pusher::to(&daemon).await;
    cloud.make(3);
    let made = cloud.cloud.made();
    for one in &made {
        let mut event = entry(&one.id);
        event["data"]["created_at"] = json!(one.created_at.millis());
        assert_eq!(pusher.push(&event).await, 202);
    }
    eventually("both routes have seen all", SOON, async || {
        let both = "SELECT count(*) FROM history WHERE poll_seen_at > '' AND push_seen_at > ''";
        (Audit::live(&home).await.value::<i64>(both).await == 3).then_some(())
    })
    .await;
    assert_eq!(ids(&home).await.len(), 3);
    home.stop(daemon, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn challenges_are_answered_at_any_time_and_never_stored() {
    let (home, daemon, pusher) = receiving("api_key = \"the-key-of-the-webhook\"").await;
    let text = "8cbecfea-d708-4706-bba3-669225084a10";
    for event_type in [
        "com.hpe.greenlake.events.v1beta1.webhooks.verification",
        "hpe.greenlake.events.v1beta1.webhooks.verification",
    ] {
        let challenge = json!({
            "data": {"challengeRequest": text}, "datacontenttype": "application/json", "id": "c",
            "source": "//global.api.greenlake.hpe.com/events", "specversion": "1.0",
            "time": "2024-12-12T19:09:05Z", "type": event_type,
        })
        .to_string();
        let unsigned = pusher
            .request(Method::POST)
            .header("content-type", "application/json")
            .body(challenge.clone());
        for request in
            [unsigned, pusher.signed(SECRET, challenge.clone()), pusher.signed("x", challenge)]
        {
            let heard = send(request).await;
            assert_eq!(heard.status, 200);
            assert_eq!(heard.headers["content-type"], "application/json");
            let expected = challenge_answer(SECRET.as_bytes(), text);
            assert_eq!(heard.body, format!("{{\"verification\":\"{expected}\"}}"));
        }
    }
    assert_eq!(ids(&home).await, Vec::<String>::new());
    home.stop(daemon, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_never_signs_an_event_for_a_stranger() {
    let (home, daemon, pusher) = receiving("").await;
    let forged = entry("AZ-forged").to_string();
    let binary = "7";
    for (text, answered) in [(forged.as_str(), 400), (binary, 200)] {
        let challenge = json!({
            "specversion": "1.0", "id": "c", "source": "s", "data": {"challengeRequest": text},
            "type": "com.hpe.greenlake.events.v1beta1.webhooks.verification",
        });
        let asked = pusher.request(Method::POST).header("content-type", "application/json");
        let heard = send(asked.body(challenge.to_string())).await;
        assert_eq!(heard.status, answered, "{text}");
        let digest: Value = serde_json::from_str(&heard.body).unwrap_or_default();
        let post = pusher
            .request(Method::POST)
            .header("content-type", "application/json")
            .header("hpe-webhook-signature", digest["verification"].as_str().unwrap_or("none"))
            .header("ce-specversion", "1.0")
            .header("ce-id", "AZ-forged")
            .header("ce-source", "//global.api.greenlake.hpe.com/audit-log")
            .header("ce-type", "com.example.forged");
        assert_eq!(send(post.body(text.to_owned())).await.status, 401, "{text}");
    }
    assert_eq!(ids(&home).await, Vec::<String>::new());
    home.stop(daemon, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn permission_is_given_with_a_rate_and_other_methods_are_refused() {
    let (home, daemon, pusher) = receiving("origins = [\"greenlake.hpe.com\"]").await;
    let ask = |origin: &str| {
        pusher
            .request(Method::OPTIONS)
            .header("WebHook-Request-Origin", origin)
            .header("WebHook-Request-Rate", "120")
    };
    let heard = send(ask("greenlake.hpe.com")).await;
    assert_eq!(heard.headers["webhook-allowed-origin"], "greenlake.hpe.com");
    assert_eq!(heard.headers["webhook-allowed-rate"], "120");
    assert_eq!(heard.headers["allow"], "POST");
    let heard = send(ask("greenlake.hpe.com.evil.example")).await;
    assert_eq!(heard.headers.get("webhook-allowed-origin"), None);
    assert_eq!(send(pusher.request(Method::GET)).await.status, 405);
    let mut elsewhere = pusher.clone();
    elsewhere.url.push('/');
    assert_eq!(elsewhere.push(&entry("a")).await, 404);
    home.stop(daemon, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_the_source_is_turned_away_without_a_word() {
    let (home, daemon, pusher) = receiving("api_key = \"the-key-of-the-webhook\"").await;
    let body = entry("AZ-one").to_string();
    let unsigned = pusher.request(Method::POST).header("content-type", "application/json");
    for request in [
        unsigned.body(body.clone()),
        pusher
            .signed("a-secret-of-somebody", body.clone())
            .header("authorization", "the-key-of-the-webhook"),
        pusher.signed(SECRET, body.clone()),
        pusher.signed(SECRET, body.clone()).header("authorization", "the-key-of-the-webhoo"),
        pusher.signed(SECRET, body.clone()).header("authorization", "Basic the-key-of-the-webhook"),
    ] {
        let heard = send(request).await;
        assert_eq!((heard.status, heard.body.as_str()), (401, ""));
    }
    for value in ["the-key-of-the-webhook", "Bearer the-key-of-the-webhook"] {
        let allowed = pusher.signed(SECRET, body.clone()).header("authorization", value);
        assert_eq!(send(allowed).await.status, 202, "{value}");
    }
    let rows = eventually("every request has its row", SOON, async || {
        Some(log(&home).await).filter(|rows| rows.len() == 7)
    })
    .await;
    let mut told: Vec<String> = rows.into_iter().filter_map(|row| row.4).collect();
    told.sort();
    assert_eq!(told.len(), 5);
    assert_eq!(told[0], "no signature");
    assert!(told[1].contains("fits no secret"), "{told:?}");
    assert!(told[2..].iter().all(|text| text.contains("Authorization")), "{told:?}");
    home.stop(daemon, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn during_a_rotation_either_secret_is_taken_and_the_log_tells_which() {
    let second = format!("secondary_secret = \"{OTHER_SECRET}\"");
    let (home, daemon, pusher) = receiving(&second).await;
    let body = entry("AZ-one").to_string();
    let [old, new] = [SECRET, OTHER_SECRET].map(|s| sign_greenlake(s.as_bytes(), body.as_bytes()));
    let post = || pusher.request(Method::POST).header("content-type", "application/json");
    let name = "HPE-Webhook-Signature";
    for request in [
        post().header(name, &old),
        post().header(name, &new).header(name, &old),
        post().header(name, format!("{old}, {new}")),
        post().header(name, new.trim_start_matches("sha256=")),
    ] {
        assert_eq!(send(request.body(body.clone())).await.status, 202);
    }
    let secrets: Vec<_> = log(&home).await.into_iter().filter_map(|row| row.3).collect();
    assert_eq!(secrets, ["primary", "both", "both", "secondary"]);
    let said = daemon.stderr();
    assert_eq!(said.matches("pushes are signed with this secret").count(), 3, "{said}");
    home.stop(daemon, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_bad_event_in_a_batch_does_not_cost_the_others() {
    let (home, daemon, pusher) = receiving("").await;
    let mut foreign = entry("AZ-foreign");
    foreign["data"]["workspace"]["id"] = json!("0".repeat(32));
    let batch = json!([entry("AZ-one"), {"id": "AZ-bad"}, foreign, 7, entry("AZ-two")]);
    for content_type in ["application/json", "application/cloudevents-batch+json"] {
        let body = batch.to_string();
        let request = pusher.signed(SECRET, body).header("content-type", content_type);
        assert_eq!(send(request).await.status, 202, "{content_type}");
    }
    assert_eq!(ids(&home).await, ["AZ-one", "AZ-two"]);
    let rows = quarantine(&home).await;
    assert_eq!(rows.len(), 3, "{rows:?}");
    assert!(rows[1].0.contains("belongs to workspace"), "{rows:?}");
    assert_eq!((rows[0].1.as_str(), rows[2].1.as_str()), ("{\"id\":\"AZ-bad\"}", "7"));
    let labels = "SELECT DISTINCT label FROM sighting";
    assert_eq!(
        Audit::live(&home).await.value::<String>(labels).await,
        "outside",
        "nothing is polled"
    );
    assert_eq!(pusher.push(&json!([])).await, 202);
    home.stop(daemon, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_signed_and_unreadable_is_kept_and_refused() {
    let (home, daemon, pusher) = receiving("").await;
    let whole = entry("AZ-cut").to_string();
    for (body, status) in [
        (whole.as_bytes()[..whole.len() / 2].to_vec(), 400),
        (b"{\"specversion\":\"1.0\"}".to_vec(), 400),
        (b"{\"a\":\"\xff\xfe\"}".to_vec(), 400),
        (format!("{}{}", "[".repeat(100_000), "]".repeat(100_000)).into_bytes(), 400),
        (vec![b'['; 1024 * 1024 + 1], 413),
        ([b"[".to_vec(), b"0,".repeat(20_000), b"0]".to_vec()].concat(), 413),
    ] {
        let heard = send(pusher.signed(SECRET, body)).await;
        assert_eq!((heard.status, heard.body.as_str()), (status, ""));
    }
    for (name, value) in [("content-type", "text/xml"), ("content-encoding", "gzip")] {
        let request = pusher.signed(SECRET, whole.clone()).header(name, value);
        let mut request = request.build().expect("a request");
        request.headers_mut().insert(name, value.parse().expect("a value"));
        let answer = reqwest::Client::builder().build().expect("a client").execute(request).await;
        assert_eq!(answer.expect("an answer").status(), 415, "{name}");
    }
    assert_eq!(quarantine(&home).await.len(), 4);
    assert_eq!(ids(&home).await, Vec::<String>::new());
    assert_eq!(pusher.push(&entry("AZ-after")).await, 202);
    home.stop(daemon, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn curl_is_understood_in_binary_and_structured_mode() {
    let (home, daemon, pusher) = receiving("").await;
    let event = entry("AZ-structured").to_string();
    let data = entry("AZ-binary")["data"].to_string();
    let sign = |body: &str| {
        format!("HPE-Webhook-Signature: {}", sign_greenlake(SECRET.as_bytes(), body.as_bytes()))
    };
    let structured =
        [sign(&event), "Content-Type: application/cloudevents+json; charset=utf-8".to_owned()];
    let binary = [
        sign(&data),
        "Content-Type: application/json".to_owned(),
        "ce-specversion: 1.0".to_owned(),
        "ce-id: AZ-binary".to_owned(),
        "ce-source: //global.api.greenlake.hpe.com/audit-log".to_owned(),
        "ce-type: com.hpe.greenlake.audit-log.v1.logs.created".to_owned(),
    ];
    for (headers, body) in [(structured.as_slice(), &event), (binary.as_slice(), &data)] {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}"]);
        for header in headers {
            curl.args(["--header", header]);
        }
        let done = curl.args(["--data-binary", body, &pusher.url]).output().expect("curl runs");
        assert_eq!(String::from_utf8_lossy(&done.stdout), "202", "{done:?}");
    }
    assert_eq!(ids(&home).await, ["AZ-binary", "AZ-structured"]);
    home.stop(daemon, SOON).await;
}

/// A certificate for `localhost` by an authority of its own: authority, certificate, key.
fn certificate() -> [String; 3] {
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).expect("a certificate").pem();
    let issuer = rcgen::Issuer::new(params, key);
    let own = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let cert = params.signed_by(&own, &issuer).expect("a certificate");
    [authority, cert.pem(), own.serialize_pem()]
}

#[tokio::test(flavor = "multi_thread")]
async fn https_is_spoken_and_a_changed_certificate_is_taken_up() {
    let tls = "listen = \"127.0.0.1:0\"\ntls = { cert = \"cert.pem\", key = \"key.pem\" }";
    let setup = Setup::of("http://127.0.0.1:1", "unused").poll("enabled = false");
    let home = Home::new(&setup.receiver(tls, ""));
    let [first, second] = [certificate(), certificate()];
    home.write("cert.pem", &first[1]);
    home.write("key.pem", &first[2]);
    let daemon = home.run_daemon().await;
    let old = Pusher::secure(&daemon, &first[0]).await;
    assert_eq!(old.push(&entry("AZ-first")).await, 202);
    let new = Pusher::secure(&daemon, &second[0]).await;
    assert!(new.signed(SECRET, "{}").send().await.is_err(), "nobody vouches for it");

    // Half of a change is no change.
    home.write("cert.pem", &second[1]);
    until("it complains", SOON, || daemon.stderr().contains("the certificate in use stays")).await;
    assert_eq!(old.push(&entry("AZ-second")).await, 202);
    home.write("key.pem", &second[2]);
    until("it is taken up", SOON, || daemon.stderr().contains("new certificate is in use")).await;
    assert_eq!(new.push(&entry("AZ-third")).await, 202);
    assert_eq!(ids(&home).await.len(), 3);
    let key = first[2].lines().nth(1).expect("base64");
    assert!(!daemon.stderr().contains(key));
    home.stop(daemon, SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_none_ends_the_start() {
    let tls = "listen = \"127.0.0.1:0\"\ntls = { cert = \"cert.pem\", key = \"key.pem\" }";
    let setup = Setup::of("http://127.0.0.1:1", "unused").poll("enabled = false");
    let home = Home::new(&setup.receiver(tls, ""));
    home.write("cert.pem", "none");
    let done = home.command(&["run"]).await;
    assert_eq!(done.code, Some(1), "{done:?}");
    assert!(done.stderr.contains("key.pem: No such file"), "{done:?}");
    home.write("key.pem", "none");
    let done = home.command(&["run"]).await;
    assert!(done.stderr.contains("cert.pem: holds no certificate"), "{done:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_say_nothing_hold_up_nobody() {
    let (home, daemon, pusher) = receiving("").await;
    let mut held = Vec::new();
    for index in 0..600 {
        let mut stream = tokio::net::TcpStream::connect(&pusher.address).await.expect("connected");
        let part: &[u8] = match index % 3 {
            0 => b"",
            1 => b"POST /hook HTTP/1.1\r\nHost: x\r\n",
            _ => b"POST /hook HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
        };
        stream.write_all(part).await.expect("it is open");
        held.push(stream);
        if index % 100 == 99 {
            assert_eq!(pusher.push(&entry(&format!("AZ-{index}"))).await, 202);
        }
    }
    // Every one of them is closed by the other side in the end.
    let mut closed = tokio::task::JoinSet::new();
    for mut stream in held {
        closed.spawn(async move { stream.read_to_end(&mut Vec::new()).await.map(drop) });
    }
    tokio::time::timeout(SOON, closed.join_all()).await.expect("all are closed");
    assert_eq!(ids(&home).await.len(), 6);
    assert_eq!(pusher.push(&entry("AZ-after")).await, 202);
    home.stop(daemon, Duration::from_secs(10)).await;
}
