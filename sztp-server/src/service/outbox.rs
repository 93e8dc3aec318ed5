//! What is told to other systems, and what operators do about it.

use sztp_cms::UnixTime;
use sztp_core::lifecycle::{Refusal, State};

use super::{Service, missing, now};
use crate::metrics::{describe, sample};
use crate::model::{
    Contact, Delivery, DeliveryFilter, DeliveryState, DeliveryTarget, Device, Listed, Page,
};
use crate::store::outbox::{Claim, Claimed, Finish, Outgoing};
use crate::store::{Occurrence, StoredDevice};
use crate::{DeliveryError, ServiceError, StoreError};

impl Service {
    /// Hands a device over to the systems that manage it, again if need be. No targets: those of
    /// its profile, or else of the configuration.
    pub async fn onboard_device(
        &self,
        serial_number: &str,
        targets: Option<Vec<String>>,
    ) -> Result<Vec<Delivery>, ServiceError> {
        let stored = self.0.store.device(serial_number).await?;
        let stored = stored.ok_or_else(|| missing(serial_number))?;
        let state = stored.status.state;
        if !matches!(
            state,
            State::Provisioned | State::Onboarded | State::OnboardingError
        ) {
            let event = "onboarding";
            return Err(Refusal { state, event }.into());
        }
        let onboarding = match targets {
            Some(targets) => targets,
            None => self.onboarding_targets(&stored).await?,
        };
        for name in &onboarding {
            self.check_target(name)?;
        }
        if onboarding.is_empty() {
            return Err(DeliveryError::NoTarget.into());
        }
        let serial_number = stored.device.serial_number;
        let message = format!("asked for: {}", onboarding.join(", "));
        self.record(Occurrence {
            message: Some(message),
            outgoing: Outgoing {
                onboarding,
                on_demand: true,
                ..Outgoing::default()
            },
            ..Occurrence::new(&serial_number, "onboarding", now())
        })
        .await?
        .ok_or_else(|| missing(&serial_number))?;
        let filter = DeliveryFilter {
            serial_number: Some(serial_number),
            ..DeliveryFilter::default()
        };
        let mut deliveries = self.0.store.deliveries(filter, Page::default()).await?;
        deliveries.items.retain(Delivery::is_onboarding);
        Ok(deliveries.items)
    }

    /// Deliveries in the order in which they were made.
    pub async fn deliveries(
        &self,
        filter: DeliveryFilter,
        page: Page,
    ) -> Result<Listed<Delivery>, ServiceError> {
        Ok(self.0.store.deliveries(filter, page).await?)
    }

    /// One delivery.
    pub async fn delivery(&self, id: i64) -> Result<Delivery, ServiceError> {
        let delivery = self.0.store.delivery(id).await?;
        Ok(delivery.ok_or(DeliveryError::Missing { id })?)
    }

    /// Begins a delivery anew, at once and with all its attempts.
    pub async fn retry_delivery(&self, id: i64) -> Result<Delivery, ServiceError> {
        let now = now();
        if !self.0.store.retry_delivery(id, now).await? {
            let there = self.delivery(id).await?;
            if there.is_leased(now) {
                return Err(DeliveryError::UnderWay { id }.into());
            }
        }
        // Before it is taken up, as it is gone once it has arrived.
        let delivery = self.delivery(id).await;
        self.0.outbound.wake();
        delivery
    }

    /// Forgets a delivery.
    pub async fn discard_delivery(&self, id: i64) -> Result<(), ServiceError> {
        let discarded = self.0.store.discard_delivery(id).await?;
        let discarded = discarded.ok_or(DeliveryError::Missing { id })?;
        crate::store::audit::note(&format!(
            "{} of {} to {}",
            discarded.event, discarded.serial_number, discarded.target
        ));
        Ok(())
    }

    /// Who is told of devices.
    pub fn delivery_targets(&self) -> Vec<DeliveryTarget> {
        self.0.outbound.shown()
    }

    /// How a device says that it is reached.
    pub async fn contact(&self, serial_number: &str) -> Result<Contact, ServiceError> {
        let device = self.device(serial_number).await?;
        let contact = self.0.store.contact(&device.serial_number).await?;
        Ok(contact.unwrap_or_default())
    }

    /// For Prometheus.
    pub(crate) async fn write_delivery_metrics(
        &self,
        out: &mut String,
    ) -> Result<(), ServiceError> {
        let counts = self.0.store.delivery_counts().await?;
        let name = "sztp_deliveries";
        describe(out, name, "gauge", "Deliveries that wait or were given up");
        for count in &counts {
            let labels = [
                ("target", count.target.as_str()),
                ("state", count.state.as_str()),
            ];
            sample(out, name, &labels, count.count);
        }
        let name = "sztp_delivery_oldest_timestamp_seconds";
        describe(
            out,
            name,
            "gauge",
            "When the oldest delivery that waits was made",
        );
        for count in counts {
            if count.state == DeliveryState::Pending {
                let labels = [("target", count.target.as_str())];
                sample(out, name, &labels, count.oldest.secs());
            }
        }
        self.0.outbound.write_metrics(out);
        Ok(())
    }

    /// Where a device is onboarded.
    pub(super) async fn onboarding_targets(
        &self,
        stored: &StoredDevice,
    ) -> Result<Vec<String>, StoreError> {
        let catalog = self.catalog(stored.generation).await?;
        let device = &stored.device;
        // The one that it was given, which need not be the one that it would be given now.
        let profile = match &device.served_profile {
            Some(name) => catalog.profiles.get(name).cloned(),
            None => catalog.choose(device, &device.reported).profile,
        };
        let of_profile = profile.and_then(|profile| profile.spec.onboarding.clone());
        Ok(of_profile.unwrap_or_else(|| self.0.outbound.default_onboarding().to_vec()))
    }

    /// Whether a profile may name a target.
    pub(super) fn check_target(&self, name: &str) -> Result<(), DeliveryError> {
        if self.0.outbound.can_onboard(name) {
            return Ok(());
        }
        let name = name.chars().take(80).collect();
        Err(DeliveryError::TargetUnknown { name })
    }

    /// A device as it is handed over.
    pub(crate) async fn subject(
        &self,
        serial_number: &str,
    ) -> Result<Option<(Device, Contact)>, ServiceError> {
        let Some(stored) = self.0.store.device(serial_number).await? else {
            return Ok(None);
        };
        let contact = self.0.store.contact(&stored.device.serial_number).await?;
        Ok(Some((stored.device, contact.unwrap_or_default())))
    }

    pub(crate) async fn claim_deliveries(&self, claim: Claim) -> Result<Vec<Claimed>, StoreError> {
        self.0.store.claim(claim).await
    }

    pub(crate) async fn extend_delivery(
        &self,
        id: i64,
        owner: &str,
        until: UnixTime,
    ) -> Result<bool, StoreError> {
        self.0.store.extend_lease(id, owner, until).await
    }

    /// Writes what came of a delivery; nothing, if it is no longer the owner's.
    pub(crate) async fn finish_delivery(&self, mut finish: Finish) -> Result<(), ServiceError> {
        for occurrence in [&mut finish.occurrence, &mut finish.last]
            .into_iter()
            .flatten()
        {
            occurrence.outgoing.subscriptions = self.0.outbound.subscriptions();
        }
        if let Some(finished) = self.0.store.finish(finish).await?
            && let Some(recorded) = finished.recorded
        {
            self.told_of(&recorded);
        }
        Ok(())
    }

    pub(crate) async fn release_deliveries(&self, owner: &str) -> Result<(), StoreError> {
        self.0.store.release(owner).await
    }

    pub(crate) async fn forget_failed_deliveries(
        &self,
        before: UnixTime,
    ) -> Result<u64, StoreError> {
        self.0.store.forget_failed(before).await
    }
}
