//! What is to be told to other systems, written in the same transaction as what happened, and
//! claimed for a while by whoever delivers it.

use std::sync::Arc;

use sztp_cms::UnixTime;
use sztp_core::lifecycle::State;

use super::{Occurrence, Recorded, StoreFuture};
use crate::model::{
    Contact, Delivery, DeliveryCount, DeliveryFilter, DeliveryKind, HistoryEntry, Listed, Page,
};

/// The part of a database that remembers what is to be delivered.
///
/// What is told to one target about one device is delivered in the order in which it happened: the
/// next one is claimed only when the one before has arrived or was given up.
pub trait OutboxStore {
    /// Takes what is due for a target, and keeps it for `owner` until the lease ends.
    fn claim(&self, claim: Claim) -> StoreFuture<'_, Vec<Claimed>>;

    /// Keeps a delivery for longer; `false`: it is no longer the owner's.
    fn extend_lease(&self, id: i64, owner: &str, until: UnixTime) -> StoreFuture<'_, bool>;

    /// Gives back whatever an owner still has.
    fn release(&self, owner: &str) -> StoreFuture<'_, ()>;

    /// Writes what came of a delivery, together with what it does to the device; none: it is no
    /// longer the owner's.
    fn finish(&self, finish: Finish) -> StoreFuture<'_, Option<Finished>>;

    /// Deliveries in the order in which they were made.
    fn deliveries(&self, filter: DeliveryFilter, page: Page) -> StoreFuture<'_, Listed<Delivery>>;

    /// One delivery.
    fn delivery(&self, id: i64) -> StoreFuture<'_, Option<Delivery>>;

    /// Begins a delivery anew; `false`: there is none, or somebody is at it.
    fn retry_delivery(&self, id: i64, time: UnixTime) -> StoreFuture<'_, bool>;

    /// Forgets a delivery, and answers which it was.
    fn discard_delivery(&self, id: i64) -> StoreFuture<'_, Option<Delivery>>;

    /// Forgets what was given up before a time, and answers how many those were.
    fn forget_failed(&self, before: UnixTime) -> StoreFuture<'_, u64>;

    /// How many there are of each target and state.
    fn delivery_counts(&self) -> StoreFuture<'_, Vec<DeliveryCount>>;

    /// How a device is reached.
    fn contact(&self, serial_number: &str) -> StoreFuture<'_, Option<Contact>>;
}

/// What goes out with something that happens to a device.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// Who is told.
    pub subscriptions: Arc<[Subscription]>,
    /// Where the device is onboarded, if it is provisioned now.
    pub onboarding: Vec<String>,
    /// Whether it is onboarded whatever its state was before.
    pub on_demand: bool,
    /// How the device says that it is reached.
    pub contact: Option<Contact>,
}

/// What a webhook wants to hear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The webhook.
    pub target: String,
    /// `state`, `all`, or events by name.
    pub events: Vec<String>,
    /// Only what leads to these; empty: to any.
    pub states: Vec<State>,
    /// Whether it hears what devices and operators wrote, and where devices are.
    pub details: bool,
}

impl Subscription {
    /// Whether something is to be told.
    pub(super) fn wants(&self, entry: &HistoryEntry, before: State, after: State) -> bool {
        let is_change = before != after;
        let named = self.events.iter().any(|event| match event.as_str() {
            "all" => true,
            "state" => is_change,
            other => other == entry.event,
        });
        named && (self.states.is_empty() || self.states.contains(&after))
    }
}

/// Who wants to deliver how much.
#[derive(Debug, Clone)]
pub struct Claim {
    /// To which target.
    pub target: String,
    /// For whom it is kept.
    pub owner: String,
    /// When.
    pub now: UnixTime,
    /// The end of the lease.
    pub until: UnixTime,
    /// At most so many.
    pub limit: u32,
}

/// A delivery that is its owner's for a while.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The delivery.
    pub delivery: Delivery,
    /// What is told, as JSON.
    pub body: String,
}

/// What came of a delivery.
#[derive(Debug, Clone)]
pub struct Finish {
    /// Which one.
    pub id: i64,
    /// Whose it was.
    pub owner: String,
    /// What came of it.
    pub outcome: Outcome,
    /// Of an onboarding: what it does to the device.
    pub occurrence: Option<Occurrence>,
    /// What it does where it was the last of the device's that was open.
    pub last: Option<Occurrence>,
}

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It has arrived.
    Delivered,
    /// It is tried again.
    Later {
        /// When.
        due_at: UnixTime,
        /// Why.
        error: String,
    },
    /// It is given up.
    Failed {
        /// Why.
        error: String,
    },
}

/// What is on disk of it.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Of the device, if something was written.
    pub recorded: Option<Recorded>,
}

impl Delivery {
    /// Whether somebody is at it.
    pub(crate) fn is_leased(&self, now: UnixTime) -> bool {
        self.leased_until.is_some_and(|until| until > now)
    }

    /// Whether a device's state hangs on it.
    pub(crate) fn is_onboarding(&self) -> bool {
        self.kind == DeliveryKind::Onboarding
    }
}
