//! Who is at the other end: the serial number in an IDevID certificate that leads to an anchor
//! (RFC 8572 §5.3, RFC 8040 §2.5).

mod serial_number;

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sztp_cms::{
    Certificate, PathError, PathOptions, RevocationPolicy, UnixTime, WallClock, validate_path,
};

use self::serial_number::SerialNumber;
use super::{Service, now};
use crate::ServiceError;
use crate::dialect::Observed;
use crate::model::{Reported, SerialNumberFrom, UnknownDevice};
use crate::store::{Effect, Occurrence};

/// Who is at the other end of a connection, as TLS says; nothing of it is believed yet.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// The certificates it showed, its own first; it has proved that it holds that one's key.
    pub certificates: Vec<Certificate>,
}

/// A device whose IDevID certificate was validated; only [`Service::identify`] makes one.
#[derive(Debug, Clone)]
pub struct DeviceIdentity {
    serial_number: String,
    vendor: Option<String>,
    address: SocketAddr,
    observed: Observed,
    proof: Proof,
    notes: Vec<String>,
}

/// How a device has proved who it is.
#[derive(Debug, Clone)]
enum Proof {
    Certificate {
        /// Where in the certificate its serial number is.
        field: &'static str,
        certificate: Certificate,
        anchor: Certificate,
    },
    ActivationCode,
}

impl DeviceIdentity {
    /// As vouchers name it.
    pub fn serial_number(&self) -> &str {
        &self.serial_number
    }

    /// Who made it, as its certificate says.
    pub fn vendor(&self) -> Option<&str> {
        self.vendor.as_deref()
    }

    /// Its IDevID certificate; none if it proved itself by an activation code.
    pub(crate) fn certificate(&self) -> Option<&Certificate> {
        match &self.proof {
            Proof::Certificate { certificate, .. } => Some(certificate),
            Proof::ActivationCode => None,
        }
    }

    /// Where the serial number is from, for the operator.
    pub(crate) fn origin(&self) -> String {
        match &self.proof {
            Proof::Certificate {
                field,
                certificate,
                anchor,
            } => format!(
                "{field} of certificate {} ({}) under {}",
                certificate.serial_hex(),
                certificate.subject(),
                anchor.subject()
            ),
            Proof::ActivationCode => "HTTP Basic with its activation code".to_owned(),
        }
    }

    /// Where it is.
    pub(super) fn peer(&self) -> String {
        self.address.ip().to_string()
    }

    /// As somebody who is not known, now.
    pub(super) fn as_unknown(&self, reported: Reported) -> UnknownDevice {
        let time = now();
        let (subject, anchor) = match &self.proof {
            Proof::Certificate {
                certificate,
                anchor,
                ..
            } => (certificate.subject(), Some(anchor.subject())),
            Proof::ActivationCode => (String::new(), None),
        };
        UnknownDevice {
            serial_number: self.serial_number.clone(),
            serial_number_from: self.origin(),
            subject,
            anchor,
            peer: self.address.ip().to_string(),
            times: 1,
            first_seen: time,
            last_seen: time,
            reported,
        }
    }

    /// Who has shown the activation code of a device; only [`Service::activate`] calls it.
    pub(super) fn activated(serial_number: &str, address: SocketAddr) -> Self {
        Self {
            serial_number: serial_number.to_owned(),
            vendor: None,
            address,
            observed: Observed::default(),
            proof: Proof::ActivationCode,
            notes: Vec::new(),
        }
    }

    /// What its requests show of its platform.
    pub(crate) fn observed(&self) -> &Observed {
        &self.observed
    }

    pub(crate) fn observed_mut(&mut self) -> &mut Observed {
        &mut self.observed
    }

    /// Notes a leniency for the history of whatever comes next.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// An event of this device, now.
    pub(super) fn occurrence(&self, event: &'static str, message: &str) -> Occurrence {
        let mut message = message.to_owned();
        for note in &self.notes {
            if !message.is_empty() {
                message.push_str("; ");
            }
            message.push_str(note);
        }
        Occurrence {
            peer: Some(self.address.ip().to_string()),
            message: (!message.is_empty()).then_some(message),
            ..Occurrence::new(&self.serial_number, event, now())
        }
    }
}

impl Service {
    /// Judges who a peer is: the serial number that its manufacturer wrote into its certificate
    /// (RFC 8572 §5.3: into the subject).
    ///
    /// A device that is refused though its certificate names one that is known here is told
    /// nothing of that; only the history says so.
    pub async fn identify(&self, peer: &Peer) -> Result<DeviceIdentity, ServiceError> {
        let Some((end_entity, rest)) = peer.certificates.split_first() else {
            return Err(ServiceError::CertificateMissing);
        };
        let time = now();
        let materials = self.materials();
        let lists = &materials.idevid_lists;
        let options = PathOptions {
            revocation: if lists.is_empty() {
                RevocationPolicy::NotChecked
            } else {
                RevocationPolicy::WhereAvailable
            },
            crls: lists,
            ..PathOptions::default()
        };
        let clock = WallClock::Trusted(time);
        let path = match validate_path(end_entity, rest, &materials.idevid_anchors, clock, &options)
        {
            Ok(path) => path,
            Err(error) => {
                let recorded = async {
                    match serial_number::find(end_entity, SerialNumberFrom::Auto) {
                        Some(found) => self.record_stranger(peer, &found, &error, time).await,
                        None => Ok(()),
                    }
                };
                let (recorded, ()) = tokio::join!(recorded, tokio::time::sleep(STRANGERS_WAIT));
                recorded?;
                return Err(ServiceError::CertificateRefused(error));
            }
        };
        let from = materials.serial_number_from(path.anchor());
        let found =
            serial_number::find(end_entity, from).ok_or(ServiceError::SerialNumberMissing)?;
        let mut identity = DeviceIdentity {
            vendor: end_entity.organization(),
            address: peer.address,
            observed: Observed {
                vendor: end_entity.organization(),
                product_and_serial: found.is_part,
                ..Observed::default()
            },
            proof: Proof::Certificate {
                field: found.field,
                certificate: end_entity.clone(),
                anchor: path.anchor().clone(),
            },
            serial_number: found.text,
            notes: Vec::new(),
        };
        if found.is_part {
            identity.note("the serial number is the SN part of a `PID:.. SN:..` attribute");
        }
        Ok(identity)
    }

    /// Records that a request of a device was refused before it came to [`Self::answer`] or
    /// [`Self::report_progress`]; whether the device is known is not said.
    pub async fn record_refused(
        &self,
        device: &DeviceIdentity,
        what: &str,
    ) -> Result<(), ServiceError> {
        self.record(device.occurrence("refused", what)).await?;
        Ok(())
    }

    async fn record_stranger(
        &self,
        peer: &Peer,
        found: &SerialNumber,
        error: &PathError,
        time: UnixTime,
    ) -> Result<(), ServiceError> {
        let serial_number = found.text.as_str();
        tracing::info!(serial_number, peer = %peer.address, code = error.code(), "not authenticated");
        if !self.0.strangers.take(time) {
            return Ok(());
        }
        let reason = format!(
            "{}: {error}; serial number from {}",
            error.code(),
            found.field
        );
        self.record(Occurrence {
            peer: Some(peer.address.ip().to_string()),
            message: Some(reason.clone()),
            effect: Effect::NotAuthenticated { reason },
            ..Occurrence::new(serial_number, "refused", time)
        })
        .await?;
        Ok(())
    }
}

/// How much those who have not proved who they are may write into histories.
#[derive(Debug, Default)]
pub(crate) struct StrangerBudget(Mutex<(i64, u32)>);

impl StrangerBudget {
    pub(crate) fn take(&self, time: UnixTime) -> bool {
        let minute = time.secs().div_euclid(60);
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.0 != minute {
            *spent = (minute, 0);
        }
        spent.1 += 1;
        spent.1 <= STRANGERS_PER_MINUTE
    }
}

/// As certificates can carry them (RFC 5280 appendix A: ub-serial-number).
pub(super) fn check_serial_number(serial_number: &str) -> Result<(), ServiceError> {
    let length = serial_number.chars().count();
    let trimmed = serial_number.trim() == serial_number;
    if (1..=64).contains(&length) && trimmed && !serial_number.chars().any(char::is_control) {
        Ok(())
    } else {
        let serial_number = serial_number.chars().take(80).collect();
        Err(ServiceError::SerialNumber { serial_number })
    }
}

const STRANGERS_PER_MINUTE: u32 = 120;

/// Only what concerns a device that is known is written to disk, and the time that takes would
/// tell: all strangers wait longer.
pub(super) const STRANGERS_WAIT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cannot_fill_the_disk() {
        let budget = StrangerBudget::default();
        let taken = |at| {
            (0..1000)
                .filter(|_| budget.take(UnixTime::from_secs(at)))
                .count()
        };
        assert_eq!(taken(0), 120);
        assert_eq!(taken(59), 0);
        assert_eq!(taken(60), 120);
    }
}
