use super::*;

const HOUR: Duration = Duration::from_hours(1);

async fn figures(f: &Fixture) -> Figures {
    f.ledger.find_figures(&["siem".to_owned(), "unknown".to_owned()]).await.unwrap()
}

#[tokio::test]
async fn figures_of_targets_are_those_that_the_view_shows() {
    let f = Fixture::new().await;
    let siem = f.target("siem").await;
    let stored_at = f.clock.now();
    f.ledger.ingest(ingest(&["a", "b", "c", "d"])).await.unwrap();
    f.clock.advance(HOUR);
    f.ledger.ingest(ingest(&["e", "f"])).await.unwrap();
    let dead = Fate::Dead(Reason::Rejected);
    let retry = Outcome::Retry(Reason::Timeout);
    let later = Fate::RetryAt(f.clock.now().plus(HOUR));
    let settlements =
        vec![settlement(3, Outcome::Rejected, dead), delivered(4), settlement(2, retry, later)];
    f.ledger.settle(siem, settlements).await.unwrap();

    let found = figures(&f).await;
    let [target] = found.targets.as_slice() else { panic!("{found:?}") };
    let row = f.row("siem").await;
    let [pending, dead, delivered] =
        [target.pending, target.dead, target.delivered_total].map(u64::cast_signed);
    assert_eq!((pending, dead, delivered), (row.pending, row.dead, row.delivered_total));
    assert_eq!((pending, dead, delivered, target.dead_total), (4, 1, 1, 1));
    assert_eq!(target.pending_since, Some(stored_at));
    assert_eq!(target.state, TargetState::Active);
    assert_eq!((found.events, found.quarantined), (6, 0));
    assert!(found.file_bytes + found.wal_bytes > 0 && found.free_bytes.is_some());

    let all = [1, 2, 5, 6].map(super::delivered).to_vec();
    f.ledger.settle(siem, all).await.unwrap();
    let target = figures(&f).await.targets.remove(0);
    assert_eq!((target.pending, target.pending_since), (0, None));
}

#[tokio::test]
async fn figures_of_a_source_are_there_before_its_first_poll() {
    let f = Fixture::new().await;
    f.ledger.note_webhook("production", Some(HOUR)).await.unwrap();
    let [source] = figures(&f).await.sources.try_into().unwrap();
    let push_since = Some(f.clock.now());
    let name = "production".to_owned();
    assert_eq!(source, SourceFigures { name, push_since, ..SourceFigures::default() });
}

#[tokio::test]
async fn a_probe_writes() {
    let f = Fixture::new().await;
    f.ledger.probe().await.unwrap();
    let probed: i64 = sqlx::query_scalar("SELECT probed_us FROM ledger")
        .fetch_one(&f.ledger.reader().0)
        .await
        .unwrap();
    assert_eq!(probed, f.clock.now().micros());
}
