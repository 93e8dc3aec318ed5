//! Trust anchors and revocation lists that were uploaded, devices that are not known, and
//! activation codes.

use sztp_cms::{Certificate, CertificateRevocationList, UnixTime};

use super::StoreFuture;
use crate::model::{Listed, Page, RevocationList, TrustAnchor, UnknownDevice};

/// The part of a database that says whom to trust.
pub trait TrustStore {
    /// All anchors and revocation lists.
    fn trust(&self) -> StoreFuture<'_, StoredTrust>;

    /// Adds anchors; one that is there for the same purpose gets the new settings.
    fn put_trust_anchors(
        &self,
        anchors: Vec<(TrustAnchor, Certificate)>,
    ) -> StoreFuture<'_, Vec<TrustAnchor>>;

    /// Forgets an anchor; `false`: there is none of that id.
    fn delete_trust_anchor(&self, id: i64) -> StoreFuture<'_, bool>;

    /// Keeps revocation lists, each in the place of an older one of its issuer.
    fn put_revocation_lists(
        &self,
        lists: Vec<CertificateRevocationList>,
        time: UnixTime,
    ) -> StoreFuture<'_, Vec<RevocationList>>;

    /// Forgets a revocation list; `false`: there is none of that id.
    fn delete_revocation_list(&self, id: i64) -> StoreFuture<'_, bool>;

    /// Counts a device that is not known; of many the one that was seen longest ago is forgotten.
    fn record_unknown(&self, device: UnknownDevice) -> StoreFuture<'_, ()>;

    /// Devices that asked and are still not known, by serial number.
    fn unknown_devices(&self, page: Page) -> StoreFuture<'_, Listed<UnknownDevice>>;

    /// Whether a device asked in vain, known as it may be by now.
    fn is_unknown(&self, serial_number: &str) -> StoreFuture<'_, bool>;

    /// Forgets that a device asked; `false`: it did not.
    fn forget_unknown(&self, serial_number: &str) -> StoreFuture<'_, bool>;

    /// Sets the SHA-256 of a device's activation code, or takes it away; `false`: there is no such
    /// device, or no code to take away.
    fn set_activation_code(
        &self,
        serial_number: &str,
        sha256: Option<[u8; 32]>,
        time: UnixTime,
    ) -> StoreFuture<'_, bool>;

    /// The SHA-256 of the activation code of the device that has this serial number.
    fn activation_code(&self, serial_number: &str) -> StoreFuture<'_, Option<[u8; 32]>>;
}

/// What was uploaded of whom to trust.
#[derive(Debug, Clone, Default)]
pub struct StoredTrust {
    /// In the order in which they came.
    pub anchors: Vec<(TrustAnchor, Certificate)>,
    /// One of each issuer.
    pub lists: Vec<(RevocationList, CertificateRevocationList)>,
}
