//! What `check --online` says.

use super::stub::{Asked, EMPTY_PAGE, Reply, SECRET, Stub, TOKEN, WORKSPACE, answer, grant};
use crate::config::{ApiVersion, CaFile, SourceConfig};
use crate::greenlake::{Finding, probe};
use crate::model::clock::Clock;

/// What the probe finds that is wrong or worth advice: `what` and `instead`.
async fn faults(source: &SourceConfig) -> Vec<(String, String)> {
    let findings = probe(source, Clock::system()).await;
    let shown = format!("{findings:?}");
    assert!(!shown.contains(SECRET) && !shown.contains(TOKEN), "{shown}");
    let told = findings.into_iter().filter(|finding| finding.instead.is_some());
    told.map(|Finding { what, instead, .. }| (what, instead.expect("advice"))).collect()
}

#[tokio::test]
async fn a_good_source_gets_only_good_findings() {
    let stub = Stub::with_pages(|asked| {
        assert!(asked.target.contains("limit=1&"), "{}", asked.target);
        answer(200, "", EMPTY_PAGE)
    });
    let findings = probe(&stub.await.source(), Clock::system()).await;
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert!(findings.iter().all(|finding| finding.ok && finding.instead.is_none()), "{findings:?}");
}

#[tokio::test]
async fn every_fault_is_told_with_a_remedy() {
    let foreign = r#"{"count":1,"total":1,"items":[{"id":"a","createdAt":"2024-12-20T12:34:53Z","workspace":{"id":"other"}}]}"#;
    let odd = r#"{"count":1,"total":1,"items":[{"id":"a"}]}"#;
    let old = "date: Fri, 20 Dec 2024 12:34:53 GMT";
    for (token, headers, status, page, what, instead) in [
        (401, "", 200, EMPTY_PAGE, "wrong client id or secret", "compare client_id, client_secret"),
        (503, "", 200, EMPTY_PAGE, "answered 503", "try again later"),
        (200, "", 403, "", "answered 403", "role with ccs.audit-trail.view"),
        (200, "", 401, "", "401 to a fresh token", "made in this workspace"),
        (200, "", 429, "", "answered 429", "try again later"),
        (200, "", 400, "", "answered 400", "correct filter"),
        (200, "", 404, "", "answered 404", "check base_url and api"),
        (200, "", 200, "<html>", "is no JSON", "check base_url"),
        (200, "", 200, foreign, "belong to workspace other", "set workspace_id = \"other\""),
        (200, "", 200, odd, "`createdAt` is no text", "quarantine"),
        (200, old, 200, EMPTY_PAGE, "ahead of the source's", "set the clock"),
    ] {
        let token = move |asked: &Asked| match token {
            200 => grant(asked, 900),
            status => answer(status, "", ""),
        };
        let page = move |_: &Asked| -> Reply { answer(status, headers, page) };
        let stub = Stub::start(token, page).await;
        let told = faults(&stub.source()).await;
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].0.contains(what) && told[0].1.contains(instead), "{told:?}");
    }
}

#[tokio::test]
async fn a_network_fault_is_told_by_its_kind() {
    let stub = Stub::with_pages(|_| answer(200, "", EMPTY_PAGE)).await;
    let mut source = stub.source();
    source.token_url = format!("http://host.invalid/{WORKSPACE}").parse().expect("a URL");
    assert!(faults(&source).await[0].1.contains("the host in token_url"));

    source.token_url = stub.source().token_url;
    source.token_url.set_scheme("https").expect("a scheme");
    assert!(faults(&source).await[0].1.contains("ca_file"));

    let closed = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let proxy = format!("http://u:{SECRET}@{}", closed.local_addr().expect("an address"));
    drop(closed);
    source = stub.source();
    source.proxy = Some(proxy.parse().expect("a URL"));
    let told = faults(&source).await;
    assert!(told[0].0.contains("through the proxy http://127.0.0.1"), "{told:?}");
    assert!(told[0].1.contains("host, port and proxy"), "{told:?}");

    source.ca_file = Some(CaFile::new("/nowhere/ca.pem".into()));
    let told = faults(&source).await;
    assert!(told[0].0.contains("/nowhere/ca.pem") && told[0].1.contains("ca_file"), "{told:?}");
}

#[tokio::test]
async fn the_newer_version_without_a_service_is_told_what_it_misses() {
    let stub = Stub::with_pages(|asked| {
        let page = r#"{"count":2,"total":2,"items":[
            {"id":"1","createdAt":"2024-12-20T12:34:53Z","application":{"id":"b","applicationName":"Backup"}},
            {"id":"2","createdAt":"2024-12-20T12:34:53Z","application":{"id":"c"}}]}"#;
        answer(200, "", if asked.target.contains("/v1/") { page } else { EMPTY_PAGE })
    })
    .await;
    let mut source = stub.source();
    source.api = ApiVersion::V2Beta1;
    let told = faults(&source).await;
    assert!(told[0].0.contains("leaves them out: Backup (b), without a name (c)"), "{told:?}");
    assert!(told[0].1.contains(r#"add "b", "c" to services"#), "{told:?}");
    source.services.extend(["b".to_owned(), "c".to_owned()]);
    assert_eq!(faults(&source).await, []);
    source.filter = "serviceOffer/id eq 'b'".to_owned();
    assert!(faults(&source).await[0].0.contains("without a name (c)"));
}
