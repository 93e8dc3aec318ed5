//! Who is told of devices: webhooks, and the systems that manage devices once they are provisioned.
//!
//! What is to be told is written with what happened ([`crate::store::outbox`]); here it is
//! delivered, at least once, in order for each device and target, and again until it has arrived or
//! is given up. Each target has a worker and places of its own, so that a slow one holds up none
//! but itself.

mod deliver;
mod netbox;
mod nso;
mod retry;
mod secret;
mod subject;
mod system;
mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use sztp_core::lifecycle::State;
use tokio::sync::Notify;

use crate::ConfigError;
use crate::config::{Config, DeliveryConfig, TargetConfig};
use crate::metrics::{add_one, describe, sample};
use crate::model::{Contact, DeliveryKind, DeliveryTarget, Device};
use crate::store::outbox::{Claimed, Subscription};

pub(crate) use self::deliver::run;

use self::netbox::Netbox;
use self::nso::Nso;
use self::subject::Subject;
use self::system::Undelivered;
use self::webhook::Webhook;

/// Everybody who is told of devices.
#[derive(Debug)]
pub(crate) struct Outbound {
    config: DeliveryConfig,
    subscriptions: Arc<[Subscription]>,
    default: Vec<String>,
    targets: Vec<Arc<Target>>,
}

/// Somebody who is told.
#[derive(Debug)]
pub(crate) struct Target {
    name: String,
    kind: DeliveryKind,
    system: System,
    counts: Counts,
    /// Something can be delivered to it.
    wake: Notify,
}

#[derive(Debug)]
enum System {
    Webhook(Webhook),
    Nso(Nso),
    Netbox(Netbox),
}

/// What came of attempts.
#[derive(Debug, Default)]
struct Counts {
    delivered: AtomicU64,
    retried: AtomicU64,
    failed: AtomicU64,
}

impl Outbound {
    /// Reads what is configured, and whether the files that it names are there.
    pub(crate) fn new(config: &Config) -> Result<Self, ConfigError> {
        let timeout = config.delivery.timeout_secs;
        let mut targets = Vec::new();
        for webhook in &config.webhooks {
            let system = Webhook::of(
                ("webhooks.url", &webhook.url),
                &webhook.anchors,
                &webhook.secret_file,
                timeout,
            )?;
            targets.push(Target::new(
                &webhook.name,
                DeliveryKind::Webhook,
                System::Webhook(system),
            ));
        }
        for target in &config.onboarding.targets {
            let system = match target {
                TargetConfig::Webhook(target) => System::Webhook(
                    Webhook::of(
                        ("onboarding.targets.url", &target.url),
                        &target.anchors,
                        &target.secret_file,
                        timeout,
                    )?
                    .with_peer_address(target.peer_address),
                ),
                TargetConfig::Nso(target) => System::Nso(Nso::new(target.clone(), timeout)?),
                TargetConfig::Netbox(target) => {
                    System::Netbox(Netbox::new(target.clone(), timeout)?)
                }
            };
            targets.push(Target::new(target.name(), DeliveryKind::Onboarding, system));
        }
        let subscriptions = config.webhooks.iter().map(|webhook| Subscription {
            target: webhook.name.clone(),
            events: webhook.events.clone(),
            states: webhook
                .states
                .iter()
                .filter_map(|state| state.parse::<State>().ok())
                .collect(),
            details: webhook.details,
        });
        Ok(Self {
            config: config.delivery.clone(),
            subscriptions: subscriptions.collect(),
            default: config.onboarding.default.clone(),
            targets: targets.into_iter().map(Arc::new).collect(),
        })
    }

    /// Who is told of what.
    pub(crate) fn subscriptions(&self) -> Arc<[Subscription]> {
        self.subscriptions.clone()
    }

    /// Where devices are onboarded whose profile does not say.
    pub(crate) fn default_onboarding(&self) -> &[String] {
        &self.default
    }

    /// Whether devices can be onboarded at a target.
    pub(crate) fn can_onboard(&self, name: &str) -> bool {
        self.targets
            .iter()
            .any(|target| target.kind == DeliveryKind::Onboarding && target.name == name)
    }

    /// Something can be delivered now.
    pub(crate) fn wake(&self) {
        for target in &self.targets {
            target.wake.notify_one();
        }
    }

    /// All of them, as operators see them.
    pub(crate) fn shown(&self) -> Vec<DeliveryTarget> {
        let shown = |target: &Arc<Target>| DeliveryTarget {
            name: target.name.clone(),
            kind: target.kind,
            system: target.system.name(),
            host: target.system.host(),
            is_default: self.default.contains(&target.name),
        };
        self.targets.iter().map(shown).collect()
    }

    /// What this process counts.
    pub(crate) fn write_metrics(&self, out: &mut String) {
        let name = "sztp_delivery_attempts_total";
        describe(out, name, "counter", "Attempts to deliver by result");
        for target in &self.targets {
            let counts = &target.counts;
            for (result, count) in [
                ("delivered", &counts.delivered),
                ("retried", &counts.retried),
                ("failed", &counts.failed),
            ] {
                let labels = [("target", target.name.as_str()), ("result", result)];
                let count = count.load(std::sync::atomic::Ordering::Relaxed);
                sample(out, name, &labels, count);
            }
        }
    }
}

impl Target {
    fn new(name: &str, kind: DeliveryKind, system: System) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            system,
            counts: Counts::default(),
            wake: Notify::new(),
        }
    }

    /// Tells it; the answer is for the history. What is told to an onboarding target is how the
    /// device is now.
    async fn deliver(
        &self,
        claimed: &Claimed,
        subject: Option<(Device, Contact)>,
    ) -> Result<String, Undelivered> {
        let subject = subject.map(|(device, contact)| Subject::new(device, contact));
        match (&self.system, subject) {
            (System::Webhook(webhook), None) => webhook.tell(claimed).await,
            (System::Webhook(webhook), Some(subject)) => webhook.onboard(claimed, &subject).await,
            (System::Nso(nso), Some(subject)) => nso.onboard(&subject).await,
            (System::Netbox(netbox), Some(subject)) => netbox.onboard(&subject).await,
            (System::Nso(_) | System::Netbox(_), None) => Err(Undelivered::refused(
                "the target takes devices, and not what happens to them",
            )),
        }
    }

    fn count(&self, result: &Result<String, Undelivered>, is_final: bool) {
        add_one(match result {
            Ok(_) => &self.counts.delivered,
            Err(_) if is_final => &self.counts.failed,
            Err(_) => &self.counts.retried,
        });
    }
}

impl System {
    fn name(&self) -> &'static str {
        match self {
            Self::Webhook(_) => "webhook",
            Self::Nso(_) => "nso",
            Self::Netbox(_) => "netbox",
        }
    }

    fn host(&self) -> String {
        match self {
            Self::Webhook(webhook) => webhook.host(),
            Self::Nso(nso) => nso.host(),
            Self::Netbox(netbox) => netbox.host(),
        }
    }
}

/// Members of a JSON object that are there.
fn object<const N: usize>(
    members: [(&str, Option<serde_json::Value>); N],
) -> serde_json::Map<String, serde_json::Value> {
    let members = members.into_iter();
    members
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect::<BTreeMap<_, _>>()
        .into_iter()
        .collect()
}
