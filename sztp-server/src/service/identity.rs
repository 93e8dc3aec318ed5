//! Who is at the other end: the serial number in an IDevID certificate that leads to an anchor
//! (RFC 8572 §5.3, RFC 8040 §2.5).

use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use sztp_cms::{Certificate, PathError, PathOptions, UnixTime, WallClock, validate_path};

use super::{Service, now};
use crate::ServiceError;
use crate::dialect::Observed;
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
    notes: Vec<String>,
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
    /// Judges who a peer is (RFC 8572 §5.3: the serial number in its certificate's subject).
    ///
    /// A device that is refused though its certificate names one that is known here is told
    /// nothing of that; only the history says so.
    pub async fn identify(&self, peer: &Peer) -> Result<DeviceIdentity, ServiceError> {
        let Some((end_entity, rest)) = peer.certificates.split_first() else {
            return Err(ServiceError::CertificateMissing);
        };
        let time = now();
        let attribute = end_entity.serial_number_attribute();
        let serial_number = attribute.as_deref().map(serial_number_of);
        let path = validate_path(
            end_entity,
            rest,
            &self.materials().idevid_anchors,
            WallClock::Trusted(time),
            &PathOptions::default(),
        );
        if let Err(error) = path {
            let recorded = async {
                match serial_number {
                    Some(name) => self.record_stranger(peer, name, &error, time).await,
                    None => Ok(()),
                }
            };
            let (recorded, ()) = tokio::join!(recorded, tokio::time::sleep(STRANGERS_WAIT));
            recorded?;
            return Err(ServiceError::CertificateRefused(error));
        }
        let serial_number = serial_number
            .filter(|text| !text.is_empty())
            .ok_or(ServiceError::SerialNumberMissing)?;
        let mut identity = DeviceIdentity {
            serial_number: serial_number.to_owned(),
            vendor: end_entity.organization(),
            address: peer.address,
            observed: Observed {
                vendor: end_entity.organization(),
                product_and_serial: attribute.as_deref() != Some(serial_number),
                ..Observed::default()
            },
            notes: Vec::new(),
        };
        if attribute.as_deref() != Some(serial_number) {
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
        serial_number: &str,
        error: &PathError,
        time: UnixTime,
    ) -> Result<(), ServiceError> {
        tracing::info!(serial_number, peer = %peer.address, code = error.code(), "not authenticated");
        if !self.0.strangers.take(time) {
            return Ok(());
        }
        let reason = format!("{}: {error}", error.code());
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
pub(super) struct StrangerBudget(Mutex<(i64, u32)>);

impl StrangerBudget {
    fn take(&self, time: UnixTime) -> bool {
        let minute = time.secs().div_euclid(60);
        let mut spent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.0 != minute {
            *spent = (minute, 0);
        }
        spent.1 += 1;
        spent.1 <= STRANGERS_PER_MINUTE
    }
}

/// Some vendors write `PID:C9300-24T SN:FCW2126G05V`, and mean the second part in vouchers.
fn serial_number_of(attribute: &str) -> &str {
    match attribute.split_once(" SN:") {
        Some((product, serial_number)) if product.starts_with("PID:") => serial_number.trim(),
        _ => attribute,
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
const STRANGERS_WAIT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use super::*;

    // LEDGER: 802.1AR-01
    #[test]
    fn the_serial_number_of_an_attribute() {
        assert_eq!(
            serial_number_of("PID:C9300-24T SN:FCW2126G05V"),
            "FCW2126G05V"
        );
        assert_eq!(serial_number_of("AX7-00042"), "AX7-00042");
        assert_eq!(serial_number_of("A SN:B"), "A SN:B");
    }

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
