//! Whom to trust: anchors and revocation lists that operators upload, devices that are not known,
//! and activation codes of devices without certificate.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use sztp_cms::{Certificate, CertificateRevocationList};

use super::catalog::with_profile;
use super::identity::STRANGERS_WAIT;
use super::{DeviceIdentity, Peer, Service, now};
use crate::materials::{Materials, WARNING_SECS, describe};
use crate::model::{
    AnchorPurpose, Device, DeviceSpec, Expiry, Listed, Page, Reported, RevocationList,
    SerialNumberFrom, TrustAnchor, TrustAnchorSpec, UnknownDevice,
};
use crate::{ServerError, ServiceError, StoreError, TrustError};

impl Service {
    /// Adds trust anchors, for the connections from now on.
    pub async fn add_trust_anchors(
        &self,
        spec: TrustAnchorSpec,
    ) -> Result<Vec<TrustAnchor>, ServiceError> {
        let refused = |member, problem| Err(TrustError::AnchorValue { member, problem }.into());
        if spec.purpose == AnchorPurpose::Voucher {
            if spec.allow_sha1 {
                return refused("allow_sha1", "only for IDevID anchors");
            }
            if spec.serial_number_from != SerialNumberFrom::Auto {
                return refused("serial_number_from", "only for IDevID anchors");
            }
        }
        let long = |name: &String| name.chars().count() > 255 || name.chars().any(char::is_control);
        if spec.name.as_ref().is_some_and(long) {
            return refused("name", "at most 255 printable characters");
        }
        let certificates = Certificate::list_from_pem_or_der(&spec.certificates.0)
            .map_err(TrustError::Certificates)?;
        let time = now();
        let anchors = certificates
            .into_iter()
            .map(|certificate| {
                let anchor = TrustAnchor {
                    name: spec.name.clone(),
                    serial_number_from: spec.serial_number_from,
                    allow_sha1: spec.allow_sha1,
                    created_at: Some(time),
                    ..describe(spec.purpose, &certificate)
                };
                (anchor, certificate)
            })
            .collect();
        let added = self.0.store.put_trust_anchors(anchors).await?;
        self.trust_again().await?;
        Ok(added)
    }

    /// Trust anchors: those of files, then those that were uploaded.
    pub fn trust_anchors(&self, page: &Page) -> Listed<TrustAnchor> {
        in_pages(self.materials().trust_anchors(), page)
    }

    /// Forgets an anchor that was uploaded.
    pub async fn delete_trust_anchor(&self, id: i64) -> Result<(), ServiceError> {
        if !self.0.store.delete_trust_anchor(id).await? {
            return Err(TrustError::AnchorMissing { id }.into());
        }
        self.trust_again().await
    }

    /// Keeps revocation lists (PEM or DER), by which IDevID certificates are judged from now on;
    /// each takes the place of the one before of its issuer. One that no issuer of a device's
    /// certificate has signed says nothing.
    pub async fn add_revocation_lists(
        &self,
        octets: &[u8],
    ) -> Result<Vec<RevocationList>, ServiceError> {
        let lists =
            CertificateRevocationList::list_from_pem_or_der(octets).map_err(TrustError::Lists)?;
        let kept = self.0.store.put_revocation_lists(lists, now()).await?;
        self.trust_again().await?;
        Ok(kept)
    }

    /// Revocation lists.
    pub async fn revocation_lists(
        &self,
        page: &Page,
    ) -> Result<Listed<RevocationList>, ServiceError> {
        let stored = self.0.store.trust().await?;
        let lists = stored.lists.into_iter().map(|(list, _)| list).collect();
        Ok(in_pages(lists, page))
    }

    /// Forgets a revocation list.
    pub async fn delete_revocation_list(&self, id: i64) -> Result<(), ServiceError> {
        if !self.0.store.delete_revocation_list(id).await? {
            return Err(TrustError::ListMissing { id }.into());
        }
        self.trust_again().await
    }

    /// Certificates and revocation lists that end within 30 days, or have ended.
    pub fn expiries(&self) -> Vec<Expiry> {
        self.materials().expiries(now().plus_secs(WARNING_SECS))
    }

    /// Devices that have proved who they are and are not known here.
    pub async fn unknown_devices(&self, page: Page) -> Result<Listed<UnknownDevice>, ServiceError> {
        Ok(self.0.store.unknown_devices(page).await?)
    }

    /// Makes an unknown device a known one.
    pub async fn adopt_device(
        &self,
        serial_number: &str,
        spec: DeviceSpec,
    ) -> Result<Device, ServiceError> {
        if !self.0.store.is_unknown(serial_number).await? {
            return Err(unknown_missing(serial_number));
        }
        let device = self.add_device(serial_number, spec).await?;
        self.0.store.forget_unknown(serial_number).await?;
        Ok(device)
    }

    /// Forgets that an unknown device was here.
    pub async fn forget_unknown_device(&self, serial_number: &str) -> Result<(), ServiceError> {
        if self.0.store.forget_unknown(serial_number).await? {
            Ok(())
        } else {
            Err(unknown_missing(serial_number))
        }
    }

    /// Makes an activation code for a device, in the place of the one before. It is not shown
    /// again: what is stored is its SHA-256. With 128 random bits that is as good as a slow hash,
    /// and costs a server under load nothing.
    pub async fn make_activation_code(&self, serial_number: &str) -> Result<String, ServiceError> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(|error| crate::AccessError::Randomness {
            reason: error.to_string(),
        })?;
        let code = written(&random);
        let sha256 = hash(&code);
        let store = &self.0.store;
        if store
            .set_activation_code(serial_number, Some(sha256), now())
            .await?
        {
            Ok(code)
        } else {
            Err(super::missing(serial_number))
        }
    }

    /// Takes a device's activation code away.
    pub async fn delete_activation_code(&self, serial_number: &str) -> Result<(), ServiceError> {
        let store = &self.0.store;
        if store
            .set_activation_code(serial_number, None, now())
            .await?
        {
            return Ok(());
        }
        let serial_number = serial_number.to_owned();
        Err(TrustError::ActivationCodeMissing { serial_number }.into())
    }

    /// Judges a peer without certificate by the serial number and the activation code that it
    /// names (RFC 8572 §5.3). Why it is refused, it is not told.
    pub async fn activate(
        &self,
        peer: &Peer,
        serial_number: &str,
        code: &str,
    ) -> Result<DeviceIdentity, ServiceError> {
        let address = peer.address.ip();
        if let Some(retry_after_secs) = self.0.activations.closed(address, now()) {
            return Err(TrustError::ActivationAttempts { retry_after_secs }.into());
        }
        if !peer.certificates.is_empty() {
            return Err(TrustError::ActivationRefused.into());
        }
        let known = self.0.store.activation_code(serial_number).await?;
        let matches = known.is_some_and(|known| known.ct_eq(&hash(code)).into());
        let identity = DeviceIdentity::activated(serial_number, peer.address);
        if matches && self.takes_activation_codes(serial_number).await? {
            return Ok(identity);
        }
        self.0.activations.failed(address, now());
        tracing::info!(serial_number, peer = %peer.address, "not activated");
        let recorded = async {
            if !self.0.strangers.take(now()) {
                return Ok(());
            }
            let reason = "serial number and activation code were not taken";
            self.record_refused(&identity, reason).await
        };
        let (recorded, ()) = tokio::join!(recorded, tokio::time::sleep(STRANGERS_WAIT));
        recorded?;
        Err(TrustError::ActivationRefused.into())
    }

    async fn takes_activation_codes(&self, serial_number: &str) -> Result<bool, ServiceError> {
        let Some(stored) = self.0.store.device(serial_number).await? else {
            return Ok(false);
        };
        let catalog = self.catalog(stored.generation).await?;
        let choice = catalog.choose(&stored.device, &stored.device.reported);
        let spec = with_profile(&stored.device.spec, choice.profile.as_deref());
        Ok(spec
            .activation_codes
            .unwrap_or(self.0.answers.activation_codes))
    }

    /// Remembers that somebody who is not known was here, and answers what to refuse them with.
    pub(super) async fn unknown(
        &self,
        device: &DeviceIdentity,
        mut reported: Reported,
    ) -> Result<ServiceError, StoreError> {
        reported.vendor = device.vendor().map(str::to_owned);
        let unknown = device.as_unknown(reported);
        tracing::info!(
            serial_number = unknown.serial_number,
            from = unknown.serial_number_from,
            "a device that is not known"
        );
        self.0.store.record_unknown(unknown).await?;
        Ok(ServiceError::DeviceUnknown)
    }

    /// Puts what was read from files in place, with what was uploaded.
    pub(crate) async fn replace_materials(&self, materials: Materials) -> Result<(), ServerError> {
        let _alone = self.0.trusting.lock().await;
        let stored = self.0.store.trust().await?;
        self.set_materials(materials.with_stored(stored)?);
        Ok(())
    }

    /// Puts what was uploaded in place.
    pub(crate) async fn read_trust(&self) -> Result<(), ServerError> {
        let _alone = self.0.trusting.lock().await;
        let stored = self.0.store.trust().await?;
        self.set_materials(self.materials().with_stored(stored)?);
        Ok(())
    }

    async fn trust_again(&self) -> Result<(), ServiceError> {
        self.read_trust().await.map_err(|error| match error {
            ServerError::Store(error) => error.into(),
            error => {
                tracing::error!(%error, "what was uploaded cannot be put in place");
                ServiceError::Stopping
            }
        })
    }
}

/// A part of what is not much.
fn in_pages<T>(all: Vec<T>, page: &Page) -> Listed<T> {
    let after: usize = page
        .after
        .as_ref()
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let limit = page.limit.clamp(1, Page::MAX_LIMIT) as usize;
    let end = after.saturating_add(limit);
    let next = (all.len() > end).then(|| end.to_string());
    let items = all.into_iter().skip(after).take(limit).collect();
    Listed { items, next }
}

/// In groups of four, as people read it.
fn written(random: &[u8]) -> String {
    let mut code = String::new();
    for (index, octet) in random.iter().enumerate() {
        if index > 0 && index % 2 == 0 {
            code.push('-');
        }
        let _ = write!(code, "{octet:02X}");
    }
    code
}

/// Of a code, however it is written.
fn hash(code: &str) -> [u8; 32] {
    let bare: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    Sha256::digest(bare.to_ascii_uppercase()).into()
}

fn unknown_missing(serial_number: &str) -> ServiceError {
    let serial_number = serial_number.chars().take(80).collect();
    TrustError::UnknownDeviceMissing { serial_number }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_the_same_however_it_is_written() {
        let code = written(&[0xAB; 16]);
        assert_eq!(code, "ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB-ABAB");
        assert_eq!(hash(&code), hash(&"ab".repeat(16)));
        assert_ne!(hash(&code), hash(&"ac".repeat(16)));
    }

    #[test]
    fn pages_of_what_is_in_memory() {
        let page = |after: Option<&str>, limit| {
            let after = after.map(str::to_owned);
            let listed = in_pages(vec![1, 2, 3], &Page { after, limit });
            (listed.items, listed.next)
        };
        assert_eq!(page(None, 2), (vec![1, 2], Some("2".to_owned())));
        assert_eq!(page(Some("2"), 2), (vec![3], None));
        assert_eq!(page(Some("9"), 2), (vec![], None));
        assert_eq!(page(None, 3), (vec![1, 2, 3], None));
    }
}
