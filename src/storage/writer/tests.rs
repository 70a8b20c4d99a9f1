use super::*;
use crate::model::clock::Clock;
use crate::storage::Ledger;

fn source(name: &str) -> Script {
    let mut script = Script::default();
    script.add("INSERT INTO source (name) VALUES (?)").unwrap().push(name).unwrap();
    script
}

async fn names(ledger: &Ledger) -> Vec<String> {
    let names = sqlx::query_scalar("SELECT name FROM source ORDER BY name");
    names.fetch_all(&ledger.reader().0).await.unwrap()
}

#[tokio::test]
async fn a_script_is_stored_whole_or_not_at_all_and_takes_nobody_along() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(&folder.path().join("t.db"), Clock::system()).await.unwrap();
    let writer = &ledger.writer;
    writer.run_script(source("a")).await.unwrap();
    let half = || {
        let mut script = source("half");
        script.add("INSERT INTO source (name) VALUES ('a')").unwrap();
        script
    };
    let refused = writer.run_script(half()).await;
    assert!(matches!(refused, Err(StorageError::Refused(_))), "{refused:?}");
    // Together they are one transaction, or a few.
    let (one, half, other) = tokio::join!(
        writer.run_script(source("b")),
        writer.run_script(half()),
        writer.run_script(source("c")),
    );
    assert!(one.is_ok() && other.is_ok(), "{one:?} {other:?}");
    assert!(matches!(half, Err(StorageError::Refused(_))), "{half:?}");
    assert_eq!(names(&ledger).await, ["a", "b", "c"]);
    ledger.close().await;
}
