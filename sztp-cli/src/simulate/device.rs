//! One simulated device: the real machine and the real driver, with a platform that takes whatever
//! it is given.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sztp_cms::{ServerTrust, TrustAnchors, WallClock};
use sztp_core::client::{Activity, Client, Identity, Platform, Reboot, Settings};
use sztp_core::conveyed_info::ConfigurationHandling;
use sztp_core::device::{
    Device, DeviceConfig, Ended, Endpoint, EndpointTrust, Outcome, RunningImage, ScriptStage,
};
use tokio::sync::Notify;

use super::dialect::{Conduct, Dialect};
use super::drip::drip;
use super::fleet::Member;
use super::misbehaviour::Misbehaviour;
use super::watch::{Stage, Watch};
use crate::arguments::now;

/// What all devices share.
#[derive(Debug)]
pub(super) struct World {
    pub(super) server: (String, u16),
    /// Where the server answers.
    pub(super) address: SocketAddr,
    /// None: no device can trust the server.
    pub(super) server_anchors: TrustAnchors,
    pub(super) voucher_anchors: TrustAnchors,
    /// By dialect.
    pub(super) settings: Vec<(&'static Dialect, Arc<Settings>)>,
    /// For one device, from beginning to end.
    pub(super) timeout: Duration,
    /// How long a device takes to commit a configuration.
    pub(super) work: Duration,
    pub(super) strict: bool,
    /// How often a device goes through its sources before it has failed (RFC 8572 §5.2: for ever).
    pub(super) attempts: u32,
    /// Between two attempts.
    pub(super) pause: Duration,
}

/// What became of one device.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) watch: Watch,
    pub(super) end: End,
    pub(super) remarks: Vec<&'static str>,
}

/// How it ended.
#[derive(Debug)]
pub(super) enum End {
    Bootstrapped,
    Failed {
        stage: Stage,
        code: &'static str,
        reason: String,
    },
    /// It was to misbehave: why the server did not cope with it, if it did not.
    Misbehaved(Result<(), String>),
}

impl World {
    /// Switches a device on. Dropping the future switches it off.
    pub(super) async fn boot(&self, member: &Member, identity: Identity) -> Ran {
        let mut watch = Watch::new();
        let begun = Instant::now();
        let conduct = Arc::new(Conduct::new(
            member.dialect,
            member.misbehaviour,
            &member.serial_number,
            self.strict,
        ));
        let outcome = if member.misbehaviour == Some(Misbehaviour::SlowDrip) {
            self.drip(member, &identity, &mut watch).await;
            None
        } else {
            self.run(member, identity, conduct.clone(), &mut watch)
                .await
        };
        let end = match (member.misbehaviour, outcome) {
            (Some(misbehaviour), outcome) => {
                let bootstrapped = matches!(outcome, Some(Outcome::Bootstrapped { .. }));
                End::Misbehaved(misbehaviour.judge(bootstrapped, &watch))
            }
            (None, Some(Outcome::Bootstrapped { .. })) => {
                watch.add(Stage::Whole, begun.elapsed());
                End::Bootstrapped
            }
            (None, outcome) => failed(&watch, outcome.as_ref()),
        };
        Ran {
            watch,
            end,
            remarks: conduct.remarks(),
        }
    }

    /// None: not to the end, whether it hung up or took too long.
    async fn run(
        &self,
        member: &Member,
        identity: Identity,
        conduct: Arc<Conduct>,
        watch: &mut Watch,
    ) -> Option<Outcome> {
        let settings = self.settings_of(member.dialect);
        let config = self.config(member, &identity);
        let client =
            Client::new(Some(identity), settings, || WallClock::Trusted(now())).deviating(conduct);
        let mut platform = Simulated { work: self.work };
        let hang_up = Notify::new();
        let aborts = member.misbehaviour == Some(Misbehaviour::Abort);
        let mut observe = |event: &sztp_core::client::Event<'_>| {
            watch.hear(event);
            let has_data = matches!(
                event.activity,
                Activity::Answered {
                    status: 200,
                    progress: None,
                }
            );
            if aborts && has_data {
                hang_up.notify_one();
            }
        };
        let attempts = async {
            let mut left = self.attempts;
            loop {
                let mut device = Device::new(config.clone());
                let outcome = client.run(&mut device, &mut platform, &mut observe).await;
                left -= 1;
                if left == 0 || !matches!(outcome, Outcome::Failed(_)) {
                    return outcome;
                }
                tokio::time::sleep(self.pause).await;
            }
        };
        tokio::select! {
            biased;
            () = hang_up.notified() => None,
            outcome = attempts => Some(outcome),
            () = tokio::time::sleep(self.timeout) => None,
        }
    }

    async fn drip(&self, member: &Member, identity: &Identity, watch: &mut Watch) {
        let trust = if member.trusting {
            ServerTrust::Anchors {
                anchors: self.server_anchors.clone(),
                host: self.server.0.clone(),
                clock: WallClock::Trusted(now()),
            }
        } else {
            ServerTrust::Provisional
        };
        let versions = member.dialect.tls_versions;
        let host = &self.server.0;
        let dripping = drip(self.address, host, trust, versions, identity, watch);
        if tokio::time::timeout(self.timeout, dripping).await.is_err() {
            let reason = format!("the server was still listening after {:?}", self.timeout);
            watch.set_cut_off(Err(reason));
        }
    }

    fn config(&self, member: &Member, identity: &Identity) -> DeviceConfig {
        let (address, port) = self.server.clone();
        DeviceConfig {
            idevid: identity.chain.first().cloned(),
            servers: vec![Endpoint {
                address,
                port,
                trust: if member.trusting {
                    EndpointTrust::Anchors(self.server_anchors.clone())
                } else {
                    EndpointTrust::Provisional
                },
            }],
            hw_model: Some(member.dialect.product.unwrap_or("simulated").to_owned()),
            running: RunningImage {
                os_name: Some("simulated".to_owned()),
                os_version: Some("1".to_owned()),
                sha256: None,
            },
            encoding: member.dialect.encoding,
            ..DeviceConfig::new(member.serial_number.clone(), self.voucher_anchors.clone())
        }
    }

    fn settings_of(&self, dialect: &Dialect) -> Arc<Settings> {
        self.settings
            .iter()
            .find(|(known, _)| known.name == dialect.name)
            .map_or_else(Arc::default, |(_, settings)| settings.clone())
    }
}

/// Takes every image and configuration, and every script as run.
struct Simulated {
    work: Duration,
}

impl Platform for Simulated {
    async fn install_image(&mut self, _image: &Path) -> Result<(), String> {
        Ok(())
    }

    async fn reboot(&mut self, device: &Device) -> Result<Reboot, String> {
        Ok(Reboot::Done(RunningImage {
            sha256: device.installed_images().last().copied(),
            ..RunningImage::default()
        }))
    }

    async fn run_script(&mut self, _stage: ScriptStage, _script: &[u8]) -> Ended {
        Ended::Well
    }

    async fn commit_configuration(
        &mut self,
        _handling: ConfigurationHandling,
        _configuration: &[u8],
    ) -> Ended {
        if !self.work.is_zero() {
            tokio::time::sleep(self.work).await;
        }
        Ended::Well
    }

    async fn roll_back(&mut self) -> Ended {
        Ended::Well
    }
}

fn failed(watch: &Watch, outcome: Option<&Outcome>) -> End {
    let reason = match outcome {
        None => "it took too long".to_owned(),
        Some(Outcome::Failed(failures)) => match failures.last() {
            Some(failure) => failure.kind.to_string(),
            None => "there was no server to try".to_owned(),
        },
        Some(_) => "it ended in an unknown way".to_owned(),
    };
    End::Failed {
        stage: watch.stage(),
        code: code(outcome),
        reason,
    }
}

fn code(outcome: Option<&Outcome>) -> &'static str {
    match outcome {
        None => "simulate.timed-out",
        Some(Outcome::Failed(failures)) => failures
            .last()
            .map_or("device.unreachable", |failure| failure.kind.code()),
        Some(_) => "agent.outcome",
    }
}
