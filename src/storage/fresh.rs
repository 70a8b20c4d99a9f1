//! What targets are owed and were not tried with: stretches of sequences, so that a page of
//! events is owed with one row a target, and a backlog of a million with as few.

use std::collections::BTreeMap;
use std::ops::Range;

use sqlx::SqliteConnection;

use crate::model::event::Sequence;
use crate::model::stretches;
use crate::storage::bulk::{Bulk, ROWS_MAX};
use crate::storage::error::StorageError;
use crate::storage::script::Script;
use crate::storage::targets::TargetId;

/// Owes the target of that name every event from `first` on; they are the last ones, and were
/// stored just now.
pub(super) fn add_last(
    script: &mut Script,
    first: Sequence,
    target: &str,
) -> Result<(), StorageError> {
    // A stretch that ends where these begin becomes longer.
    let statement = script.add(
        "INSERT INTO fresh (target_id, from_sequence, until_sequence)
         SELECT target.id,
                coalesce((SELECT heads.from_sequence
                          FROM (SELECT from_sequence, until_sequence FROM fresh
                                WHERE target_id = target.id
                                ORDER BY from_sequence DESC LIMIT 1) heads
                          WHERE heads.until_sequence = ?), ?),
                ledger.next_sequence
         FROM target CROSS JOIN ledger
         WHERE target.name = ?
         ON CONFLICT (target_id, from_sequence)
             DO UPDATE SET until_sequence = excluded.until_sequence",
    )?;
    statement.push(first)?.push(first)?.push(target)?;
    Ok(())
}

/// Owes a target these events, in ascending order, whether it is owed some of them already or
/// not.
pub(super) async fn add(
    connection: &mut SqliteConnection,
    target: TargetId,
    sequences: &[Sequence],
) -> Result<(), StorageError> {
    let found = find(connection, target, sequences).await?;
    let mut script = Script::default();
    replace(&mut script, target, &found, &stretches::with(&found, sequences))?;
    script.run(connection).await.map(drop)
}

/// Takes events out, in ascending order, of what a target is owed and was not tried with; the
/// statements are left to `script`.
pub(super) async fn take_out(
    connection: &mut SqliteConnection,
    script: &mut Script,
    target: TargetId,
    sequences: &[Sequence],
) -> Result<(), StorageError> {
    let found = find(connection, target, sequences).await?;
    replace(script, target, &found, &stretches::without(&found, sequences))
}

/// The stretches that hold one of `sequences` or touch one, in ascending order. There are few,
/// also where sequences lie far apart, with a backlog between them.
async fn find(
    connection: &mut SqliteConnection,
    target: TargetId,
    sequences: &[Sequence],
) -> Result<Vec<Range<Sequence>>, StorageError> {
    static FIND: Bulk = Bulk::new(
        "SELECT f.from_sequence, f.until_sequence FROM (VALUES ",
        "(?, ?)",
        ") run CROSS JOIN fresh f \
         WHERE f.target_id = ? \
           AND f.from_sequence <= run.column2 \
           AND f.from_sequence >= coalesce((SELECT max(below.from_sequence) FROM fresh below \
                                            WHERE below.target_id = ? \
                                              AND below.from_sequence <= run.column1), \
                                           run.column1) \
           AND f.until_sequence >= run.column1",
    );
    let runs: Vec<&[Sequence]> = sequences.chunk_by(|one, next| one + 1 == *next).collect();
    let mut found = BTreeMap::new();
    for chunk in runs.chunks(ROWS_MAX) {
        let mut filling = FIND.of(chunk.len());
        for run in chunk {
            filling.push(run[0])?.push(run[run.len() - 1] + 1)?;
        }
        filling.push_behind(target)?.push(target)?;
        let rows: Vec<(Sequence, Sequence)> =
            filling.query_as()?.fetch_all(&mut *connection).await?;
        found.extend(rows);
    }
    Ok(found.into_iter().map(|(from, until)| from..until).collect())
}

/// Puts stretches in the place of others; those that are in both stay.
fn replace(
    script: &mut Script,
    target: TargetId,
    old: &[Range<Sequence>],
    new: &[Range<Sequence>],
) -> Result<(), StorageError> {
    static DELETE: Bulk =
        Bulk::new("DELETE FROM fresh WHERE target_id = ? AND from_sequence IN (", "?", ")");
    static INSERT: Bulk = Bulk::new(
        "INSERT OR FAIL INTO fresh (target_id, from_sequence, until_sequence) \
         SELECT ?, column1, column2 FROM (VALUES ",
        "(?, ?)",
        ") WHERE column1 IS NOT NULL",
    );
    let gone: Vec<_> = old.iter().filter(|stretch| !is_among(new, stretch)).collect();
    let made: Vec<_> = new.iter().filter(|stretch| !is_among(old, stretch)).collect();
    for chunk in gone.chunks(ROWS_MAX) {
        let filling = script.begin(&DELETE, chunk.len())?;
        filling.push(target)?;
        for stretch in chunk {
            filling.push(stretch.start)?;
        }
    }
    for chunk in made.chunks(ROWS_MAX) {
        let filling = script.begin(&INSERT, chunk.len())?;
        filling.push(target)?;
        for stretch in chunk {
            filling.push(stretch.start)?.push(stretch.end)?;
        }
    }
    Ok(())
}

fn is_among(stretches: &[Range<Sequence>], stretch: &Range<Sequence>) -> bool {
    let found = stretches.binary_search_by_key(&stretch.start, |other| other.start);
    found.is_ok_and(|at| stretches[at] == *stretch)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use sqlx::{Connection, Executor};

    use super::*;

    const TARGET: TargetId = 1;

    /// What is owed, checked to be in stretches that do not touch.
    async fn owed(connection: &mut SqliteConnection) -> BTreeSet<Sequence> {
        let rows: Vec<(Sequence, Sequence)> = sqlx::query_as(
            "SELECT from_sequence, until_sequence FROM fresh WHERE target_id = 1 ORDER BY 1",
        )
        .fetch_all(connection)
        .await
        .unwrap();
        assert!(rows.windows(2).all(|pair| pair[0].1 < pair[1].0), "{rows:?}");
        rows.into_iter().flat_map(|(from, until)| from..until).collect()
    }

    #[tokio::test]
    async fn what_is_added_and_taken_out_again_and_again_is_what_is_owed() {
        let mut connection = SqliteConnection::connect(":memory:").await.unwrap();
        let table = "CREATE TABLE fresh (target_id, from_sequence, until_sequence,
                                         PRIMARY KEY (target_id, from_sequence)) WITHOUT ROWID;
                     INSERT INTO fresh VALUES (0, 1, 999), (2, 1, 999)";
        connection.execute(table).await.unwrap();
        let mut expected = BTreeSet::new();
        for round in 0..200_i64 {
            // Some in a row, and some far apart: up to 300, more than one statement takes.
            let step = 1 + round % 3;
            let some = (0..=round * 7 % 300).map(|at| (round * 31 + at * step) % 900).collect();
            let some: BTreeSet<Sequence> = some;
            let list: Vec<Sequence> = some.iter().copied().collect();
            if round % 2 == 0 {
                add(&mut connection, TARGET, &list).await.unwrap();
                expected.extend(some);
            } else {
                let mut script = Script::default();
                take_out(&mut connection, &mut script, TARGET, &list).await.unwrap();
                script.run(&mut connection).await.unwrap();
                expected.retain(|sequence| !some.contains(sequence));
            }
            assert_eq!(owed(&mut connection).await, expected, "round {round}");
        }
        let others =
            "SELECT count(*) FROM fresh WHERE target_id IN (0, 2) AND until_sequence = 999";
        let others: i64 = sqlx::query_scalar(others).fetch_one(&mut connection).await.unwrap();
        assert_eq!(others, 2, "another target's");
    }

    #[tokio::test]
    async fn what_comes_last_goes_on_where_the_last_stretch_ends() {
        let mut connection = SqliteConnection::connect(":memory:").await.unwrap();
        let tables = "CREATE TABLE fresh (target_id, from_sequence, until_sequence,
                                          PRIMARY KEY (target_id, from_sequence)) WITHOUT ROWID;
                      CREATE TABLE target (id, name);
                      CREATE TABLE ledger (next_sequence);
                      INSERT INTO target VALUES (1, 'siem'), (2, 'oncall');
                      INSERT INTO ledger VALUES (1)";
        connection.execute(tables).await.unwrap();
        for (first, next, target) in
            [(1, 5, "siem"), (5, 6, "siem"), (6, 9, "oncall"), (9, 10, "siem"), (10, 12, "nobody")]
        {
            let mut script = Script::default();
            let statement = script.add("UPDATE ledger SET next_sequence = ?").unwrap();
            statement.push(next).unwrap();
            add_last(&mut script, first, target).unwrap();
            script.run(&mut connection).await.unwrap();
        }
        let rows: Vec<(TargetId, Sequence, Sequence)> =
            sqlx::query_as("SELECT * FROM fresh WHERE target_id IN (1, 2) ORDER BY 1, 2")
                .fetch_all(&mut connection)
                .await
                .unwrap();
        assert_eq!(rows, [(1, 1, 6), (1, 9, 10), (2, 6, 9)]);
    }
}
