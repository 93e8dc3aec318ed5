//! [`OutboxStore`] in a database.

use serde_json::{Value, json};
use sztp_cms::UnixTime;
use sztp_core::lifecycle::{State, Status};

use super::{Database, cursor, limit_and_one, listed};
use crate::StoreError;
use crate::model::{
    Contact, Delivery, DeliveryCount, DeliveryFilter, DeliveryKind, DeliveryState, HistoryEntry,
    Listed, Page,
};
use crate::store::connection::{Connection, Row, params};
use crate::store::outbox::{Claim, Claimed, Finish, Finished, OutboxStore, Outcome, Subscription};
use crate::store::{Occurrence, StoreFuture, devices};

impl OutboxStore for Database {
    fn claim(&self, claim: Claim) -> StoreFuture<'_, Vec<Claimed>> {
        Box::pin(async move {
            // Looking costs no transaction, and mostly there is nothing.
            let looked = claim.clone();
            if self
                .read(move |connection| due(connection, &looked))
                .await?
                .is_empty()
            {
                return Ok(Vec::new());
            }
            self.write(move |connection| take(connection, &claim)).await
        })
    }

    fn extend_lease(&self, id: i64, owner: &str, until: UnixTime) -> StoreFuture<'_, bool> {
        let owner = owner.to_owned();
        self.write(move |connection| {
            let extended = connection.execute(
                "UPDATE outbox SET leased_until = ?3 WHERE id = ?1 AND leased_by = ?2",
                params![id, owner, until.secs()],
            )?;
            Ok(extended == 1)
        })
    }

    fn release(&self, owner: &str) -> StoreFuture<'_, ()> {
        let owner = owner.to_owned();
        self.write(move |connection| {
            connection.execute(
                "UPDATE outbox SET leased_by = NULL, leased_until = NULL WHERE leased_by = ?1",
                params![owner],
            )?;
            Ok(())
        })
    }

    fn finish(&self, finish: Finish) -> StoreFuture<'_, Option<Finished>> {
        self.write(move |connection| end(connection, &finish))
    }

    fn deliveries(&self, filter: DeliveryFilter, page: Page) -> StoreFuture<'_, Listed<Delivery>> {
        self.read(move |connection| {
            let after = cursor(&page).unwrap_or(0);
            let items = connection.query_all(
                "SELECT id, kind, target, serial_number, event, idempotency_key, state, attempts,
                    created_at, due_at, leased_until, error
                 FROM outbox
                 WHERE id > ?1 AND (CAST(?2 AS TEXT) IS NULL OR state = ?2)
                    AND (CAST(?3 AS TEXT) IS NULL OR target = ?3)
                    AND (CAST(?4 AS TEXT) IS NULL OR serial_number = ?4)
                 ORDER BY id LIMIT ?5",
                params![
                    after,
                    filter.state.map(DeliveryState::as_str),
                    filter.target,
                    filter.serial_number,
                    limit_and_one(page.limit)
                ],
                delivery,
            )?;
            Ok(listed(items, page.limit, |item| item.id.to_string()))
        })
    }

    fn delivery(&self, id: i64) -> StoreFuture<'_, Option<Delivery>> {
        self.read(move |connection| Ok(load(connection, id)?.map(|(delivery, _)| delivery)))
    }

    fn retry_delivery(&self, id: i64, time: UnixTime) -> StoreFuture<'_, bool> {
        self.write(move |connection| {
            let retried = connection.execute(
                "UPDATE outbox SET state = 'pending', attempts = 0, due_at = ?2, created_at = ?2,
                    leased_by = NULL, leased_until = NULL
                 WHERE id = ?1 AND (leased_until IS NULL OR leased_until <= ?2)",
                params![id, time.secs()],
            )?;
            Ok(retried == 1)
        })
    }

    fn discard_delivery(&self, id: i64) -> StoreFuture<'_, Option<Delivery>> {
        self.write(move |connection| {
            let found = load(connection, id)?;
            connection.execute("DELETE FROM outbox WHERE id = ?1", params![id])?;
            Ok(found.map(|(delivery, _)| delivery))
        })
    }

    fn forget_failed(&self, before: UnixTime) -> StoreFuture<'_, u64> {
        self.write(move |connection| {
            connection.execute(
                "DELETE FROM outbox WHERE state = 'failed' AND due_at < ?1",
                params![before.secs()],
            )
        })
    }

    fn delivery_counts(&self) -> StoreFuture<'_, Vec<DeliveryCount>> {
        self.read(|connection| {
            connection.query_all(
                "SELECT target, state, count(*), min(created_at) FROM outbox
                 GROUP BY target, state ORDER BY target, state",
                &[],
                |row| {
                    Ok(DeliveryCount {
                        target: row.get(0)?,
                        state: state_of(&row.get::<String>(1)?),
                        count: u64::try_from(row.get::<i64>(2)?).unwrap_or(0),
                        oldest: UnixTime::from_secs(row.get(3)?),
                    })
                },
            )
        })
    }

    fn contact(&self, serial_number: &str) -> StoreFuture<'_, Option<Contact>> {
        let serial_number = serial_number.to_owned();
        self.read(move |connection| load_contact(connection, &serial_number))
    }
}

/// Writes what goes out with something that has happened to a device, and answers whether that is
/// anything.
pub(in crate::store) fn enqueue(
    connection: &Connection,
    serial_number: &str,
    entry: &HistoryEntry,
    before: State,
    status: &Status,
    occurrence: &Occurrence,
) -> Result<bool, StoreError> {
    let outgoing = &occurrence.outgoing;
    let after = status.state;
    if before != after && !is_done(after) {
        forget(connection, serial_number, before, after)?;
    }
    // What the lifecycle does not allow is told, and believed no further.
    let is_refused = entry.event != occurrence.event;
    if let Some(newer) = outgoing.contact.as_ref().filter(|_| !is_refused) {
        let contact = load_contact(connection, serial_number)?.unwrap_or_default();
        store_contact(
            connection,
            serial_number,
            &contact.updated_by(newer.clone()),
        )?;
    }
    let mut is_any = false;
    for subscription in outgoing.subscriptions.iter() {
        if subscription.wants(entry, before, after) {
            let body = told(serial_number, entry, before, status, subscription).to_string();
            let webhook = (subscription.target.as_str(), DeliveryKind::Webhook);
            add(connection, webhook, serial_number, entry, &body)?;
            is_any = true;
        }
    }
    let is_provisioned = after == State::Provisioned && before != State::Provisioned;
    if is_provisioned || (outgoing.on_demand && is_done(after)) {
        for target in &outgoing.onboarding {
            connection.execute(
                "DELETE FROM outbox
                 WHERE target = ?1 AND serial_number = ?2 AND kind = 'onboarding'",
                params![target, serial_number],
            )?;
            let onboarding = (target.as_str(), DeliveryKind::Onboarding);
            add(connection, onboarding, serial_number, entry, "{}")?;
            is_any = true;
        }
    }
    Ok(is_any)
}

/// A device begins anew: what its earlier life was about to tell, and how it was reached, is void.
fn forget(
    connection: &Connection,
    serial_number: &str,
    before: State,
    after: State,
) -> Result<(), StoreError> {
    if is_done(before) {
        connection.execute(
            "DELETE FROM outbox WHERE serial_number = ?1 AND kind = 'onboarding'",
            params![serial_number],
        )?;
    }
    // One that was never served has said nothing.
    if before != State::Unprovisioned && matches!(after, State::Unprovisioned | State::InProgress) {
        connection.execute(
            "DELETE FROM device_contact WHERE serial_number = ?1",
            params![serial_number],
        )?;
    }
    Ok(())
}

fn is_done(state: State) -> bool {
    matches!(
        state,
        State::Provisioned | State::Onboarded | State::OnboardingError
    )
}

/// What a webhook is told.
fn told(
    serial_number: &str,
    entry: &HistoryEntry,
    before: State,
    status: &Status,
    subscription: &Subscription,
) -> Value {
    let mut body = json!({
        "type": if before == status.state { "device.event" } else { "device.state" },
        "timestamp": entry.time.to_string(),
        "data": {
            "serial_number": serial_number,
            "event": entry.event,
            "progress_type": entry.progress_type,
            "state": status.state.as_str(),
            "previous_state": before.as_str(),
            "stage": status.stage,
            "history_id": entry.id,
        },
    });
    if subscription.details {
        body["data"]["reason"] = json!(status.reason);
        body["data"]["message"] = json!(entry.message);
        body["data"]["peer"] = json!(entry.peer);
    }
    body
}

fn add(
    connection: &Connection,
    (target, kind): (&str, DeliveryKind),
    serial_number: &str,
    entry: &HistoryEntry,
    body: &str,
) -> Result<(), StoreError> {
    connection.execute(
        "INSERT INTO outbox (target, kind, serial_number, event, idempotency_key, body, state,
            attempts, created_at, due_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', 0, ?7, ?7)",
        params![
            target,
            kind.as_str(),
            serial_number,
            entry.event,
            crate::service::new_key(),
            body,
            entry.time.secs(),
        ],
    )?;
    Ok(())
}

/// What can be delivered to a target now: of each device at most the first that is open.
fn due(connection: &Connection, claim: &Claim) -> Result<Vec<i64>, StoreError> {
    connection.query_all(
        "SELECT id FROM outbox AS this
         WHERE target = ?1 AND state = 'pending' AND due_at <= ?2
            AND (leased_until IS NULL OR leased_until <= ?2)
            AND NOT EXISTS (
                SELECT 1 FROM outbox AS earlier
                WHERE earlier.target = this.target
                    AND earlier.serial_number = this.serial_number
                    AND earlier.state = 'pending' AND earlier.id < this.id)
         ORDER BY due_at, id LIMIT ?3",
        params![claim.target, claim.now.secs(), i64::from(claim.limit)],
        |row| row.get(0),
    )
}

fn take(connection: &Connection, claim: &Claim) -> Result<Vec<Claimed>, StoreError> {
    let mut claimed = Vec::new();
    for id in due(connection, claim)? {
        let taken = connection.execute(
            "UPDATE outbox SET leased_by = ?2, leased_until = ?3
             WHERE id = ?1 AND state = 'pending' AND (leased_until IS NULL OR leased_until <= ?4)",
            params![id, claim.owner, claim.until.secs(), claim.now.secs()],
        )?;
        // Else somebody was faster.
        if taken == 1
            && let Some((delivery, body)) = load(connection, id)?
        {
            claimed.push(Claimed { delivery, body });
        }
    }
    Ok(claimed)
}

fn end(connection: &Connection, finish: &Finish) -> Result<Option<Finished>, StoreError> {
    let id = finish.id;
    let serial_number: Option<String> = connection.query_optional(
        "SELECT serial_number FROM outbox WHERE id = ?1 AND leased_by = ?2",
        params![id, finish.owner],
        |row| row.get(0),
    )?;
    let Some(serial_number) = serial_number else {
        return Ok(None);
    };
    match &finish.outcome {
        Outcome::Delivered => {
            connection.execute("DELETE FROM outbox WHERE id = ?1", params![id])?;
        }
        Outcome::Later { due_at, error } => {
            connection.execute(
                "UPDATE outbox SET attempts = attempts + 1, due_at = ?2, error = ?3,
                    leased_by = NULL, leased_until = NULL
                 WHERE id = ?1",
                params![id, due_at.secs(), error],
            )?;
        }
        Outcome::Failed { error } => {
            connection.execute(
                "UPDATE outbox SET state = 'failed', attempts = attempts + 1, error = ?2,
                    leased_by = NULL, leased_until = NULL
                 WHERE id = ?1",
                params![id, error],
            )?;
        }
    }
    let mut occurrence = finish.occurrence.as_ref();
    if let Some(last) = &finish.last {
        let is_open = connection.exists(
            "SELECT EXISTS (
                SELECT 1 FROM outbox WHERE serial_number = ?1 AND kind = 'onboarding')",
            params![serial_number],
        )?;
        if !is_open {
            occurrence = Some(last);
        }
    }
    let recorded = match occurrence {
        Some(occurrence) => devices::record(connection, occurrence)?,
        None => None,
    };
    Ok(Some(Finished { recorded }))
}

/// A delivery, and what is told.
fn load(connection: &Connection, id: i64) -> Result<Option<(Delivery, String)>, StoreError> {
    connection.query_optional(
        "SELECT id, kind, target, serial_number, event, idempotency_key, state, attempts,
            created_at, due_at, leased_until, error, body
         FROM outbox WHERE id = ?1",
        params![id],
        |row| Ok((delivery(row)?, row.get(12)?)),
    )
}

fn delivery(row: &Row<'_>) -> Result<Delivery, StoreError> {
    let kind = DeliveryKind::from_name(&row.get::<String>(1)?);
    Ok(Delivery {
        id: row.get(0)?,
        kind: kind.ok_or(StoreError::Damaged {
            what: "outbox.kind",
        })?,
        target: row.get(2)?,
        serial_number: row.get(3)?,
        event: row.get(4)?,
        idempotency_key: row.get(5)?,
        state: state_of(&row.get::<String>(6)?),
        attempts: row.get(7)?,
        created_at: UnixTime::from_secs(row.get(8)?),
        due_at: UnixTime::from_secs(row.get(9)?),
        leased_until: row.get::<Option<i64>>(10)?.map(UnixTime::from_secs),
        error: row.get(11)?,
    })
}

fn state_of(name: &str) -> DeliveryState {
    DeliveryState::from_name(name).unwrap_or(DeliveryState::Failed)
}

fn load_contact(
    connection: &Connection,
    serial_number: &str,
) -> Result<Option<Contact>, StoreError> {
    let json: Option<String> = connection.query_optional(
        "SELECT contact FROM device_contact WHERE serial_number = ?1",
        params![serial_number],
        |row| row.get(0),
    )?;
    json.map(|json| {
        serde_json::from_str(&json).map_err(|_| StoreError::Damaged {
            what: "device_contact.contact",
        })
    })
    .transpose()
}

fn store_contact(
    connection: &Connection,
    serial_number: &str,
    contact: &Contact,
) -> Result<(), StoreError> {
    let json = serde_json::to_string(contact).map_err(|error| StoreError::Database {
        reason: error.to_string(),
    })?;
    connection.execute(
        "INSERT INTO device_contact (serial_number, contact) VALUES (?1, ?2)
         ON CONFLICT (serial_number) DO UPDATE SET contact = excluded.contact",
        params![serial_number, json],
    )?;
    Ok(())
}
