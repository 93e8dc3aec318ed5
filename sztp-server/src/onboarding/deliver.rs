//! The workers: each takes what is due for its target and keeps it while it is delivered.
//!
//! A lease that is no longer extended, as its instance was lost, ends, and another instance, or the
//! same one after its next start, delivers again under the same idempotency key.

use std::sync::Arc;
use std::time::Duration;

use sztp_cms::UnixTime;
use sztp_core::lifecycle::{Event, Policy};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::retry::{self, Next};
use super::system::Undelivered;
use super::{Outbound, Target};
use crate::model::{Contact, Delivery, Device};
use crate::service::{new_key, now};
use crate::store::outbox::{Claim, Claimed, Finish, Outcome};
use crate::store::{Effect, Occurrence};
use crate::{Service, ServiceError, StoreError};

/// Delivers until the server stops, and then what is under way, for as long as that may take.
pub(crate) async fn run(
    outbound: Arc<Outbound>,
    service: Service,
    drain: Duration,
    stop: watch::Receiver<bool>,
) {
    let owner = new_key();
    let mut workers = JoinSet::new();
    for target in &outbound.targets {
        let worker = Worker {
            outbound: outbound.clone(),
            target: target.clone(),
            service: service.clone(),
            owner: owner.clone(),
        };
        workers.spawn(worker.run(drain, stop.clone()));
    }
    workers.spawn(forget(outbound.clone(), service.clone(), stop));
    while workers.join_next().await.is_some() {}
    if !outbound.targets.is_empty()
        && let Err(error) = service.release_deliveries(&owner).await
    {
        tracing::warn!(%error, "giving deliveries back");
    }
}

/// What was given up long ago is forgotten.
async fn forget(outbound: Arc<Outbound>, service: Service, mut stop: watch::Receiver<bool>) {
    let keep = i64::try_from(outbound.config.keep_failed_secs).unwrap_or(i64::MAX);
    loop {
        let before = UnixTime::from_secs(now().secs().saturating_sub(keep));
        if let Err(error) = service.forget_failed_deliveries(before).await {
            tracing::warn!(%error, "forgetting deliveries");
        }
        tokio::select! {
            () = tokio::time::sleep(FORGETTING) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
    }
}

/// Delivers to one target.
#[derive(Clone)]
struct Worker {
    outbound: Arc<Outbound>,
    target: Arc<Target>,
    service: Service,
    owner: String,
}

impl Worker {
    async fn run(self, drain: Duration, mut stop: watch::Receiver<bool>) {
        let mut under_way: JoinSet<()> = JoinSet::new();
        while !*stop.borrow() {
            let free = self
                .outbound
                .config
                .parallel
                .saturating_sub(under_way.len());
            if free > 0 {
                match self.claim(free).await {
                    Ok(claimed) => {
                        for claimed in claimed {
                            let worker = self.clone();
                            under_way.spawn(async move { worker.deliver(claimed).await });
                        }
                    }
                    Err(StoreError::Closed) => break,
                    Err(error) => {
                        tracing::error!(%error, target = self.target.name, "taking deliveries");
                    }
                }
            }
            tokio::select! {
                // There may be more for the same device.
                Some(_) = under_way.join_next() => {}
                () = self.target.wake.notified(), if under_way.len() < self.outbound.config.parallel => {}
                () = tokio::time::sleep(LOOK) => {}
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        let rest = async { while under_way.join_next().await.is_some() {} };
        if tokio::time::timeout(drain, rest).await.is_err() {
            under_way.shutdown().await;
        }
    }

    async fn claim(&self, limit: usize) -> Result<Vec<Claimed>, StoreError> {
        let now = now();
        self.service
            .claim_deliveries(Claim {
                target: self.target.name.clone(),
                owner: self.owner.clone(),
                now,
                until: self.lease_end(now),
                limit: u32::try_from(limit).unwrap_or(u32::MAX),
            })
            .await
    }

    fn lease_end(&self, now: UnixTime) -> UnixTime {
        let secs = self.outbound.config.lease_secs;
        now.plus_secs(i64::try_from(secs).unwrap_or(i64::MAX))
    }

    async fn deliver(&self, claimed: Claimed) {
        let delivery = &claimed.delivery;
        if let Err(error) = self.try_to(&claimed).await {
            // The lease ends, and then it is tried again.
            tracing::error!(%error, id = delivery.id, target = delivery.target, "a delivery");
        }
    }

    async fn try_to(&self, claimed: &Claimed) -> Result<(), ServiceError> {
        let delivery = &claimed.delivery;
        let subject = if delivery.is_onboarding() {
            match self.service.subject(&delivery.serial_number).await? {
                Some(subject) => Some(subject),
                // It was removed: nothing is left to be told.
                None => return self.finish(delivery, Outcome::Delivered, None, None).await,
            }
        } else {
            None
        };
        match self.while_leased(claimed, subject).await? {
            Some(result) => self.conclude(delivery, result).await,
            None => Ok(()),
        }
    }

    /// None: the lease was lost, so that somebody else is at it, or it was discarded.
    async fn while_leased(
        &self,
        claimed: &Claimed,
        subject: Option<(Device, Contact)>,
    ) -> Result<Option<Result<String, Undelivered>>, ServiceError> {
        let work = self.target.deliver(claimed, subject);
        tokio::pin!(work);
        let secs = self.outbound.config.lease_secs;
        let mut extend = tokio::time::interval(Duration::from_millis(secs.saturating_mul(333)));
        extend.tick().await;
        loop {
            tokio::select! {
                result = &mut work => return Ok(Some(result)),
                _ = extend.tick() => {
                    let until = self.lease_end(now());
                    let id = claimed.delivery.id;
                    if !self.service.extend_delivery(id, &self.owner, until).await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    async fn conclude(
        &self,
        delivery: &Delivery,
        result: Result<String, Undelivered>,
    ) -> Result<(), ServiceError> {
        let now = now();
        let config = &self.outbound.config;
        let target = &self.target.name;
        let (serial_number, id) = (&delivery.serial_number, delivery.id);
        let failure = match result.clone() {
            Ok(note) => {
                self.target.count(&result, true);
                tracing::info!(serial_number, id, target, "delivered");
                let message = format!("{target}: {note}");
                let accepted = occurrence(delivery, "onboarding", &message, Effect::Noted);
                let last = occurrence(
                    delivery,
                    "onboarded",
                    &message,
                    lifecycle(Event::OnboardingSucceeded),
                );
                return self
                    .finish(delivery, Outcome::Delivered, accepted, last)
                    .await;
            }
            Err(failure) => failure,
        };
        match retry::next(config, delivery, failure, now, random()) {
            Next::At(due_at, error) => {
                self.target.count(&result, false);
                tracing::info!(serial_number, id, target, error, "not delivered yet");
                // The first failure is worth a line in the history, the others are like it.
                let first = (delivery.attempts == 0)
                    .then(|| {
                        let message = format!("{target}: not yet: {error}");
                        occurrence(delivery, "onboarding", &message, Effect::Noted)
                    })
                    .flatten();
                let outcome = Outcome::Later { due_at, error };
                self.finish(delivery, outcome, first, None).await
            }
            Next::Never(error) => {
                self.target.count(&result, true);
                tracing::warn!(serial_number, id, target, error, "not delivered");
                let message = format!("{target}: {error}");
                let failed = lifecycle(Event::OnboardingFailed {
                    reason: message.clone(),
                });
                let failed = occurrence(delivery, "onboarding-failed", &message, failed);
                let outcome = Outcome::Failed { error };
                self.finish(delivery, outcome, failed, None).await
            }
        }
    }

    async fn finish(
        &self,
        delivery: &Delivery,
        outcome: Outcome,
        occurrence: Option<Occurrence>,
        last: Option<Occurrence>,
    ) -> Result<(), ServiceError> {
        let finish = Finish {
            id: delivery.id,
            owner: self.owner.clone(),
            outcome,
            occurrence,
            last,
        };
        self.service.finish_delivery(finish).await
    }
}

/// What an onboarding does to its device; a webhook does nothing to it.
fn occurrence(
    delivery: &Delivery,
    event: &'static str,
    message: &str,
    effect: Effect,
) -> Option<Occurrence> {
    delivery.is_onboarding().then(|| Occurrence {
        message: Some(message.to_owned()),
        effect,
        ..Occurrence::new(&delivery.serial_number, event, now())
    })
}

fn lifecycle(event: Event) -> Effect {
    Effect::Lifecycle {
        event,
        policy: Policy::default(),
        default_timeout_secs: 0,
        expects_word: false,
        promoted_at: None,
    }
}

/// Only spreads waits; where there is no randomness they are not spread.
fn random() -> u8 {
    let mut octet = [0];
    let _ = getrandom::fill(&mut octet);
    octet[0]
}

/// Between looks at the database: for what is due only now, and for what other instances wrote.
const LOOK: Duration = Duration::from_secs(1);

const FORGETTING: Duration = Duration::from_mins(10);
