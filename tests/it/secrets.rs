//! Planted secrets are nowhere to be found: not in logs at `trace`, not in what any
//! command prints, not in the ledger's files, even when the servers repeat them (I13).

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::http::Method;
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;

use crate::support::push::send;
use crate::support::raw::{Seen, answer, answer_with};
use crate::support::{Audit, Home, Process, Pusher, RawServer, SOON, Setup, entry, eventually};

// Each planted secret has a middle that no encoding of URLs, forms or JSON changes.
const CLIENT_SECRET: &str = "Planted1ClientSecret/+ %&=";
const TOKEN: &str = "Planted2AccessToken.abc-_~+/==";
const HMAC_KEY: &str = "whsec_UGxhbnRlZDNIbWFjS2V5MDEyMzQ1Njc4OWFi";
const GREENLAKE_SECRET: &str = "Planted4GreenlakeSecret/+ %";
const BEARER: &str = "Planted5BearerToken-._~+/=";
const PASSWORD: &str = "Planted6BasicPassword/+ %:";
const HEADER: &str = "Planted7HeaderValue";
const QUERY: &str = "Planted8QueryKey%2F%2B";
const URL_PASSWORD: &str = "Planted9UrlPassword%2F";
const PROXY_PASSWORD: &str = "PlantedAProxyPassword";
const WEBHOOK_SECRET: &str = "PlantedBWebhookSecret/+ %&=";
const SECOND_SECRET: &str = "PlantedCSecondSecret/+ %&=";
const API_KEY: &str = "PlantedDWebhookApiKey-._~+/=";

/// The middles; the third one is inside the base64 of the key.
const MIDDLES: [&str; 13] = [
    "Planted1ClientSecret",
    "Planted2AccessToken",
    "Planted3HmacKey",
    "Planted4GreenlakeSecret",
    "Planted5BearerToken",
    "Planted6BasicPassword",
    "Planted7HeaderValue",
    "Planted8QueryKey",
    "Planted9UrlPassword",
    "PlantedAProxyPassword",
    "PlantedBWebhookSecret",
    "PlantedCSecondSecret",
    "PlantedDWebhookApiKey",
];

/// What must not be found. In base64 a text looks different in each of three places, and
/// its ends depend on its neighbours.
fn needles() -> Vec<String> {
    let mut needles = Vec::new();
    for middle in MIDDLES {
        needles.extend([middle.to_owned(), hex::encode(middle)]);
        for shift in 0..3 {
            let encoded = STANDARD.encode("-".repeat(shift) + middle);
            needles.push(encoded[4..encoded.len() - 4].to_owned());
        }
    }
    needles
}

/// Finds every needle in every file of `folder` but the configuration.
fn found_in(folder: &Path) -> Vec<String> {
    let needles = needles();
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let path = entry.expect("readable").path();
        if path.extension().is_some_and(|end| end == "toml" || end == "secret") {
            continue;
        }
        let bytes = std::fs::read(&path).expect("readable");
        for needle in &needles {
            if let Some(at) = bytes.windows(needle.len()).position(|part| part == needle.as_bytes())
            {
                let around = &bytes[at.saturating_sub(120)..(at + 60).min(bytes.len())];
                let around = String::from_utf8_lossy(around);
                found.push(format!("{needle} in {}: …{around}…", path.display()));
            }
        }
    }
    found
}

/// How an indiscreet server can repeat a request: all of it, escaped, or piece by piece.
fn echoes(seen: &Seen) -> [String; 3] {
    let values = seen.headers.values().map(|value| String::from_utf8_lossy(value.as_bytes()));
    let mut pieces: Vec<String> = values.map(std::borrow::Cow::into_owned).collect();
    let basic = pieces.iter().filter_map(|value| value.strip_prefix("Basic "));
    let basic: Vec<_> = basic.filter_map(|pair| STANDARD.decode(pair).ok()).collect();
    pieces.extend(basic.iter().map(|pair| String::from_utf8_lossy(pair).into_owned()));
    let query = seen.uri.query().unwrap_or_default();
    for form in [query.as_bytes(), &seen.body] {
        for (name, value) in url::form_urlencoded::parse(form) {
            pieces.push(format!("{name}: {value}"));
        }
        let form = String::from_utf8_lossy(form);
        pieces.extend(form.split(['&', '=']).map(str::to_owned));
    }
    [seen.echo(), json!(seen.echo()).to_string(), pieces.join("\n")]
}

/// A token endpoint and an audit log that repeat what they are told, in a different way
/// each time, and behave in the end.
#[derive(Clone, Default)]
struct Source {
    tokens: Arc<AtomicUsize>,
    pages: Arc<AtomicUsize>,
}

/// Ways of the token endpoint to misbehave, and of the audit log.
const TOKEN_WAYS: usize = 5 * 3;
const PAGE_WAYS: usize = 6 * 3;

impl Source {
    fn answer(&self, seen: &Seen) -> Response {
        if seen.method == Method::POST {
            let asked = self.tokens.fetch_add(1, Ordering::SeqCst);
            token_answer(asked / 3, &echoes(seen)[asked % 3])
        } else {
            let asked = self.pages.fetch_add(1, Ordering::SeqCst);
            page_answer(asked / 3, &echoes(seen)[asked % 3])
        }
    }

    fn start_again(&self) {
        self.tokens.store(0, Ordering::SeqCst);
        self.pages.store(0, Ordering::SeqCst);
    }

    fn is_behaving(&self) -> bool {
        self.pages.load(Ordering::SeqCst) > PAGE_WAYS
    }
}

fn token_answer(way: usize, echo: &str) -> Response {
    let refused = json!({"error": echo, "error_description": echo});
    match way {
        0 => answer(401, refused.to_string()),
        1 => answer(400, hpe_error(echo)),
        2 => answer(500, echo),
        3 => answer(200, json!({"access_token": [TOKEN], "echo": echo}).to_string()),
        4 => answer(200, format!("{TOKEN} {echo}")),
        _ => {
            let grant = json!({"access_token": TOKEN, "token_type": "Bearer", "expires_in": 900});
            answer(200, grant.to_string())
        }
    }
}

fn page_answer(way: usize, echo: &str) -> Response {
    match way {
        0 => answer(400, hpe_error(echo)),
        1 => answer(500, echo),
        2 => answer(403, hpe_error(echo)),
        3 => answer(401, hpe_error(echo)),
        4 => answer(200, echo),
        5 => answer_with(302, "location", &format!("/?token={TOKEN}")),
        _ => answer(200, page()),
    }
}

fn hpe_error(text: &str) -> String {
    let issue = json!({"source": "query", "subject": text, "description": text});
    let details = json!([{"issues": [issue], "metadata": {"header": text}}]);
    json!({"errorCode": text, "message": text, "debugId": text, "errorDetails": details})
        .to_string()
}

/// Two entries of a minute ago, whatever was asked for.
fn page() -> String {
    let now = tailwater::model::clock::Clock::system().now();
    let at = now.minus(std::time::Duration::from_mins(1)).to_rfc3339_secs();
    let entry = |id: &str| {
        json!({"id": id, "type": "/audit-log/logs", "user": {"username": "jane@example.com"},
               "category": "User Management", "description": "Logged in", "createdAt": at,
               "application": {"id": "00000000-0000-0000-0000-000000000000"}})
    };
    json!({"items": [entry("one"), entry("two")], "count": 2, "total": 2, "offset": 0}).to_string()
}

/// Repeats each request in its answer, with a status that changes from request to request
/// and is good in the end.
async fn indiscreet_target() -> RawServer {
    let asked = Arc::new(AtomicUsize::new(0));
    RawServer::start(move |seen| {
        let asked = asked.fetch_add(1, Ordering::SeqCst);
        let echo = echoes(seen)[asked % 3].clone();
        match asked / 3 {
            0 => answer(500, echo),
            1 => answer(404, echo),
            2 => answer(429, echo),
            3 => answer(302, echo),
            // Long: a secret lies across the place where the answer is cut.
            4 => answer(503, "x".repeat(2 * 1024 - 60) + &echo),
            5 => answer(422, echo),
            _ => answer(200, echo),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn planted_secrets_are_never_shown_nor_stored() {
    let source = Source::default();
    let answering = source.clone();
    let cloud = RawServer::start(move |seen| answering.answer(seen)).await;
    let targets = [
        indiscreet_target().await,
        indiscreet_target().await,
        indiscreet_target().await,
        indiscreet_target().await,
        indiscreet_target().await,
    ];
    let mut home = Home::new(&set_up(&cloud, &targets));
    home.write("password.secret", PASSWORD);
    home.set_variable("PLANTED_HEADER", HEADER);

    for args in [&["poll", "--dry-run"][..], &["poll", "--json"]] {
        source.start_again();
        let mut runs = 0;
        while !source.is_behaving() {
            home.command(args).await;
            runs += 1;
            assert!(runs < 2 * (TOKEN_WAYS + PAGE_WAYS), "{args:?} never gets to its end");
        }
    }
    let daemon = home.run_daemon().await;
    eventually("the targets were asked in every way", SOON, async || {
        targets.iter().all(|target| target.seen().len() >= 16).then_some(())
    })
    .await;
    push_in_every_way(&daemon).await;
    home.until_settled(SOON).await;
    assert_eq!(found_in(home.path()), Vec::<String>::new(), "while the daemon runs");
    run_every_command(&home).await;
    home.stop(daemon, SOON).await;

    assert_eq!(found_in(home.path()), Vec::<String>::new());
    assert_planted(&home, &cloud, &targets).await;
}

fn set_up(cloud: &RawServer, targets: &[RawServer; 5]) -> Setup {
    let retry = "retry = { schedule = [\"10ms\"] }\nconcurrency = 1";
    let [bearer, basic, header, url, proxy] = targets;
    let with_user = |url: &str, password| url.replace("//", &format!("//jane:{password}@"));
    let proxy = with_user(&proxy.url(""), PROXY_PASSWORD);
    Setup::of(&cloud.url(""), CLIENT_SECRET)
        .source("token_auth = \"basic\"")
        .push(&format!(
            "secondary_secret = \"{SECOND_SECRET}\"\napi_key = \"{API_KEY}\"\nforeign = \"flag\""
        ))
        .secret(WEBHOOK_SECRET)
        .source(&format!("proxy = \"{}\"", with_user(&cloud.url(""), PROXY_PASSWORD)))
        .log("trace")
        .target(
            "bearer",
            &bearer.url(&format!("/?key={QUERY}&other=1")),
            &format!(
                "{retry}\nauth = {{ bearer = \"{BEARER}\" }}\n\
                 signing = {{ standard = [\"{HMAC_KEY}\"], greenlake = \"{GREENLAKE_SECRET}\" }}"
            ),
        )
        .target(
            "basic",
            &basic.url("/"),
            &format!(
                "{retry}\nauth = {{ basic = {{ username = \"jane\", \
                 password = {{ file = \"password.secret\" }} }} }}"
            ),
        )
        .target(
            "header",
            &header.url("/"),
            &format!("{retry}\nheaders = {{ \"X-Api-Key\" = {{ env = \"PLANTED_HEADER\" }} }}"),
        )
        .target("url", &with_user(&url.url("/"), URL_PASSWORD), retry)
        .target("proxied", "http://sink.invalid/", &format!("{retry}\nproxy = \"{proxy}\""))
}

/// Signed pushes, forged ones, the wrong key, a challenge; each secret is in use.
async fn push_in_every_way(daemon: &Process) {
    let pusher = Pusher::to(daemon).await;
    let body = entry("AZ-pushed").to_string();
    let challenge = json!({
        "specversion": "1.0", "id": "c", "source": "s", "data": {"challengeRequest": "text"},
        "type": "com.hpe.greenlake.events.v1beta1.webhooks.verification",
    });
    for (secret, key, text, status) in [
        (WEBHOOK_SECRET, API_KEY, body.as_str(), 202),
        (SECOND_SECRET, &format!("Bearer {API_KEY}"), &body, 202),
        (WEBHOOK_SECRET, API_KEY, "{\"cut", 400),
        (WEBHOOK_SECRET, &API_KEY[1..], &body, 401),
        (WEBHOOK_SECRET, &format!("Basic {API_KEY}"), &body, 401),
        ("another", API_KEY, &body, 401),
        (WEBHOOK_SECRET, API_KEY, &challenge.to_string(), 200),
    ] {
        let request = pusher.signed(secret, text).header("authorization", key);
        let heard = send(request).await;
        assert_eq!(heard.status, status, "{text}");
        let shown = needles().into_iter().find(|needle| heard.body.contains(needle));
        assert_eq!(shown, None);
    }
}

async fn run_every_command(home: &Home) {
    for args in [
        &["config"][..],
        &["config", "--json"],
        &["check"],
        &["check", "--json"],
        &["history"],
        &["history", "--json"],
        &["history", "--format", "csv"],
        &["export", "--format", "csv"],
        &["export", "--format", "cloudevents"],
        &["deliveries"],
        &["deliveries", "--json"],
        &["targets"],
        &["targets", "--json"],
        &["replay", "--dead", "--target", "bearer"],
        &["backup", "copy.db"],
    ] {
        let done = home.command(args).await;
        assert_eq!(done.code, Some(0), "{args:?}: {}", done.stderr);
    }
    // A daemon that finds its ledger taken says so, and nothing else.
    assert_eq!(home.command(&["run"]).await.code, Some(75));
}

/// The other half of the proof: each secret was in use, and was repeated to us.
async fn assert_planted(home: &Home, cloud: &RawServer, targets: &[RawServer; 5]) {
    let told = |server: &RawServer, what: &str| {
        let is_in = |seen: &Seen| echoes(seen).iter().any(|echo| echo.contains(what));
        assert!(server.seen().iter().any(is_in), "{what} was never sent");
    };
    told(cloud, MIDDLES[0]);
    told(cloud, TOKEN);
    told(cloud, PROXY_PASSWORD);
    told(&targets[0], BEARER);
    told(&targets[0], QUERY);
    told(&targets[0], "webhook-signature");
    told(&targets[0], "hpe-webhook-signature");
    told(&targets[1], PASSWORD);
    told(&targets[2], HEADER);
    told(&targets[3], "Planted9UrlPassword/");
    told(&targets[4], PROXY_PASSWORD);
    let masked = "SELECT count(DISTINCT target) FROM attempt_log WHERE answer LIKE '%********%'";
    assert_eq!(Audit::live(home).await.value::<i64>(masked).await, 5, "answers are kept, masked");
}
