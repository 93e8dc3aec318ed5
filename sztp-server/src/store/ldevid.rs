//! What the server remembers of the LDevIDs that it had issued.

use sztp_cms::UnixTime;

use super::StoreFuture;
use crate::model::{Ldevid, LdevidFilter, Listed, Page};

/// The part of a database that remembers LDevIDs.
pub trait LdevidStore {
    /// The one that was issued to a device for a signing request.
    fn ldevid(&self, serial_number: &str, csr_sha256: &str) -> StoreFuture<'_, Option<Ldevid>>;

    /// Keeps a new one, unless one is kept for the same request that has not ended; the answer is
    /// the one that is kept.
    fn keep_ldevid(&self, new: NewLdevid) -> StoreFuture<'_, Ldevid>;

    /// In the order in which they were issued.
    fn ldevids(&self, filter: LdevidFilter, page: Page) -> StoreFuture<'_, Listed<Ldevid>>;
}

/// An LDevID to be kept.
#[derive(Debug, Clone)]
pub struct NewLdevid {
    /// Of the device.
    pub serial_number: String,
    /// Of the signing request, lower-case hex.
    pub csr_sha256: String,
    /// Who issued it.
    pub issuer: String,
    /// By which profile.
    pub profile: Option<String>,
    /// As the certificate says.
    pub subject: String,
    /// The certificate's, in hex.
    pub certificate_serial: String,
    /// When it ends.
    pub not_after: UnixTime,
    /// When it was issued.
    pub created_at: UnixTime,
    /// PEM.
    pub chain: String,
}
