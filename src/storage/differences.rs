//! What the two routes tell differently about one event, noted when the second one shows it.
//!
//! The first route's data is what is stored and delivered; the second one's goes by. So
//! this is the moment to compare them: only the names of the fields that differ are kept.

use std::collections::HashMap;

use serde_json::value::RawValue;
use sqlx::{Row, SqliteConnection};

use crate::model::difference::differing_fields;
use crate::model::envelope::Data;
use crate::model::event::{Event, Route, Sequence};
use crate::storage::bulk::{Bulk, ROWS_MAX};
use crate::storage::error::StorageError;

/// Compares `events`, which this route is the second one to show, with what is stored of them,
/// and notes on this route's sightings what differs.
pub(super) async fn note(
    connection: &mut SqliteConnection,
    route: Route,
    events: &[(Sequence, &Event)],
) -> Result<(), StorageError> {
    static FIND: Bulk = Bulk::new("SELECT sequence, body FROM event WHERE sequence IN (", "?", ")");
    for chunk in events.chunks(ROWS_MAX) {
        let mut filling = FIND.of(chunk.len());
        for (sequence, _) in chunk {
            filling.push(*sequence)?;
        }
        let told: HashMap<Sequence, &Event> = chunk.iter().copied().collect();
        for row in filling.query()?.fetch_all(&mut *connection).await? {
            let (sequence, body): (Sequence, &str) = (row.try_get(0)?, row.try_get(1)?);
            let fields = told.get(&sequence).and_then(|event| differs(body, event));
            if let Some(fields) = fields {
                update(connection, sequence, route, &fields).await?;
            }
        }
    }
    Ok(())
}

/// The fields in which `event` differs from the stored `body`, as a JSON array; `None`: in
/// none.
fn differs(body: &str, event: &Event) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Stored<'a> {
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let stored: Stored<'_> = serde_json::from_str(body).ok()?;
    let Data::Json(told) = &event.envelope.data else { return None };
    let fields = differing_fields(stored.data?.get(), told.get());
    (!fields.is_empty()).then(|| serde_json::Value::from(fields).to_string())
}

async fn update(
    connection: &mut SqliteConnection,
    sequence: Sequence,
    route: Route,
    fields: &str,
) -> Result<(), StorageError> {
    sqlx::query("UPDATE sighting SET differs = $3 WHERE sequence = $1 AND route = $2")
        .bind(sequence)
        .bind(route.as_str())
        .bind(fields)
        .execute(connection)
        .await?;
    Ok(())
}
