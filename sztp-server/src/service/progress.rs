//! `report-progress` (RFC 8572 §7.3), and devices from which no report comes.

use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sztp_cms::{Limits, parse_certs_only};
use sztp_core::lifecycle::{self, Event, Policy};
use sztp_core::rpc::{ProgressReport, ProgressType, SshHostKey};

use super::{DeviceIdentity, Service, now};
use crate::ServiceError;
use crate::metrics::add_one;
use crate::model::{Blob, Contact, HostKey, Reported};
use crate::store::outbox::Outgoing;
use crate::store::{Effect, Occurrence};

impl Service {
    /// `report-progress` (RFC 8572 §7.3). The report is on disk when this returns, also when the
    /// device's state does not allow it. The answer is the HTTP status that acknowledges it, 204
    /// but for devices of which another is known.
    pub async fn report_progress(
        &self,
        device: &DeviceIdentity,
        report: &ProgressReport,
    ) -> Result<u16, ServiceError> {
        let event = Event::Progress {
            progress_type: report.progress_type,
            message: report.message.clone(),
        };
        self.may_report(device.serial_number(), &event).await?;
        let occurrence = device.occurrence("progress", &told(report));
        let outgoing = self.handing_over(device, report).await?;
        let recorded = self
            .record(Occurrence {
                progress_type: Some(report.progress_type.as_str().to_owned()),
                effect: Effect::Lifecycle {
                    event,
                    policy: Policy::default(),
                    default_timeout_secs: self.0.answers.progress_timeout_secs,
                    expects_word: true,
                    promoted_at: None,
                },
                outgoing,
                ..occurrence
            })
            .await?;
        let Some(recorded) = recorded else {
            return Err(self.unknown(device, Reported::default()).await?);
        };
        match recorded.refusal {
            Some(refusal) => Err(refusal.into()),
            None => Ok(match recorded.dialect {
                Some(name) => self.0.dialects.choose(&name, device.observed()),
                None => self
                    .0
                    .dialects
                    .choose(&self.0.answers.dialect, device.observed()),
            }
            .report_status()),
        }
    }

    /// Whether a report is heard: one that changes the device's state always is, however many came
    /// before. Of others nothing is written, as that is what is bounded.
    pub(super) async fn may_report(
        &self,
        serial_number: &str,
        event: &Event,
    ) -> Result<(), ServiceError> {
        let Err(retry_after_secs) = self.0.reports.take(serial_number, Instant::now()) else {
            return Ok(());
        };
        if let Some(stored) = self.0.store.device(serial_number).await?
            && let Ok(next) = lifecycle::apply(&stored.status, event, Policy::default())
            && next.state != stored.status.state
        {
            return Ok(());
        }
        add_one(&self.0.metrics.too_many_reports);
        Err(ServiceError::TooManyReports { retry_after_secs })
    }

    /// Where a device that is done is managed from now on, and how it is reached there.
    async fn handing_over(
        &self,
        device: &DeviceIdentity,
        report: &ProgressReport,
    ) -> Result<Outgoing, ServiceError> {
        if report.progress_type != ProgressType::BootstrapComplete {
            return Ok(Outgoing::default());
        }
        let stored = self.0.store.device(device.serial_number()).await?;
        let onboarding = match &stored {
            Some(stored) => self.onboarding_targets(stored).await?,
            None => Vec::new(),
        };
        let key = |key: &SshHostKey| HostKey {
            algorithm: key.algorithm.chars().take(64).collect(),
            key_data: Blob(key.key_data.clone()),
        };
        Ok(Outgoing {
            onboarding,
            contact: Some(Contact {
                peer: Some(device.peer()),
                ssh_host_keys: report.ssh_host_keys.iter().map(key).collect(),
                ..Contact::default()
            }),
            ..Outgoing::default()
        })
    }

    /// Gives up on devices whose time is up, and answers how many those were.
    pub async fn expire_overdue(&self) -> Result<usize, ServiceError> {
        let mut count = 0;
        for serial_number in self.0.store.overdue(now()).await? {
            let recorded = self
                .record(Occurrence {
                    effect: Effect::TimedOut,
                    ..Occurrence::new(&serial_number, "timed-out", now())
                })
                .await?;
            count += usize::from(recorded.is_some_and(|recorded| recorded.entry.is_some()));
        }
        Ok(count)
    }
}

/// What the report says beside its type; host keys are kept for the first connection to the
/// device.
fn told(report: &ProgressReport) -> String {
    let mut lines: Vec<String> = report.message.iter().cloned().collect();
    for key in &report.ssh_host_keys {
        let algorithm: String = key.algorithm.chars().take(64).collect();
        lines.push(format!(
            "ssh-host-key {algorithm} {}",
            STANDARD.encode(&key.key_data)
        ));
    }
    // LEDGER: 8572-7.3-19
    for anchor in &report.trust_anchor_certs {
        lines.push(match parse_certs_only(anchor, &Limits::default()) {
            Ok(chain) => {
                let subjects: Vec<String> = chain
                    .certificates()
                    .iter()
                    .map(sztp_cms::Certificate::subject)
                    .collect();
                format!("trust-anchor-cert {}", subjects.join(" < "))
            }
            Err(error) => format!("trust-anchor-cert that is no certs-only CMS: {error}"),
        });
    }
    lines.join("\n")
}
