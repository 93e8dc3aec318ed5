//! Artifacts that are encrypted for the device (RFC 8572 §3.4): each of the three on its own, and
//! always signed first.
//!
//! Decryption comes before everything else and proves nothing: what comes out is judged by
//! [`BootstrappingData::authenticate`] exactly as if it had never been encrypted. That a key,
//! padding or content was wrong is one error, which may go into logs and reports as it is. A
//! failure of the signature inside is told as such, because the owner needs to know; it must not
//! be told to a source that is not trusted, which could learn the content from it bit by bit.

use sztp_cms::{
    Certificate, CmsError, ContentInfo, DecryptOptions, DecryptionPolicy, Decryptor, EnvelopedData,
    EnvelopedDataBuilder, Limits,
};
use sztp_voucher::VoucherError;

use super::{ArtifactError, BootstrappingData};

/// A certificate that artifacts may be encrypted to, such as the IDevID, and its private key.
#[derive(Clone, Copy)]
pub struct DecryptionKey<'a> {
    /// The private key.
    pub key: &'a dyn Decryptor,
    /// Names the recipient.
    pub certificate: &'a Certificate,
    /// Which ways of encrypting are accepted.
    pub policy: DecryptionPolicy,
}

impl<'a> DecryptionKey<'a> {
    /// With the strict policy.
    pub fn new(key: &'a dyn Decryptor, certificate: &'a Certificate) -> Self {
        Self {
            key,
            certificate,
            policy: DecryptionPolicy::default(),
        }
    }
}

/// The artifacts after decryption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecryptedData {
    /// None of them is encrypted any more.
    pub data: BootstrappingData,
    /// Deviations that were let pass, for the log.
    pub notes: Vec<String>,
}

impl BootstrappingData {
    /// Decrypts those artifacts that are encrypted (RFC 8572 §5.3); the others stay as they are,
    /// also if they are broken.
    ///
    /// Each may be encrypted to another of the device's certificates. Without any key all stay as
    /// they are, and [`Self::authenticate`] answers [`ArtifactError::Encrypted`].
    pub fn decrypt(&self, keys: &[DecryptionKey<'_>]) -> Result<DecryptedData, ArtifactError> {
        let mut notes = Vec::new();
        let mut open = |artifact: &[u8]| decrypt_artifact(artifact, keys, &mut notes);
        let conveyed_information =
            open(&self.conveyed_information).map_err(ArtifactError::ConveyedInformation)?;
        let owner_certificate = self
            .owner_certificate
            .as_deref()
            .map(&mut open)
            .transpose()
            .map_err(ArtifactError::OwnerCertificate)?;
        let ownership_voucher = self
            .ownership_voucher
            .as_deref()
            .map(&mut open)
            .transpose()
            .map_err(|error| ArtifactError::Voucher(VoucherError::Cms(error)))?;
        Ok(DecryptedData {
            data: Self {
                conveyed_information,
                owner_certificate,
                ownership_voucher,
            },
            notes,
        })
    }
}

/// Encrypts an artifact for a device (RFC 8572 §3.4): signed conveyed information, an owner
/// certificate or a voucher; also unsigned conveyed information, for a device that trusts its
/// source.
///
/// The certificate may be the one that the device identifies itself with (its IDevID).
pub fn encrypt_artifact(artifact: &[u8], device: &Certificate) -> Result<Vec<u8>, CmsError> {
    EnvelopedDataBuilder::around(artifact, &Limits::default())?
        .recipient(device.clone())
        .encrypt()
}

fn decrypt_artifact(
    artifact: &[u8],
    keys: &[DecryptionKey<'_>],
    notes: &mut Vec<String>,
) -> Result<Vec<u8>, CmsError> {
    let limits = Limits::default();
    let Ok(ContentInfo::EnvelopedData(message)) = ContentInfo::parse(artifact, &limits) else {
        return Ok(artifact.to_vec());
    };
    let mut outcome = None;
    for key in keys {
        match open(&message, key) {
            Ok((opened, found)) => {
                notes.extend(found);
                return Ok(opened);
            }
            // Another of the device's certificates may be meant.
            Err(CmsError::NotARecipient) if outcome.is_some() => {}
            Err(error) => outcome = Some(error),
        }
    }
    outcome.map_or_else(|| Ok(artifact.to_vec()), Err)
}

fn open(
    message: &EnvelopedData,
    key: &DecryptionKey<'_>,
) -> Result<(Vec<u8>, Vec<String>), CmsError> {
    let options = DecryptOptions {
        policy: key.policy,
        ..DecryptOptions::default()
    };
    let opened = message.decrypt(key.key, key.certificate, &options)?;
    Ok((opened.to_message(), opened.notes().to_vec()))
}
