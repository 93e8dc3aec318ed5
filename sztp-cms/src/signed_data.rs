//! SignedData (RFC 5652 §5): read, verified, and made.
//!
//! Everything is checked over the octets as they were received: certificates and signed
//! attributes are never decoded and encoded again.

mod borrowed;
mod build;
mod signer_info;
mod verify;

use der::asn1::ObjectIdentifier;

pub use self::borrowed::SignedDataRef;
pub use self::build::{SignedDataBuilder, SignerId, certs_only};
pub use self::signer_info::SignerInfo;
use self::signer_info::SignerInfoRef;
pub use self::verify::{Leniency, SignerPolicy, VerifiedContent, VerifiedSigner, VerifyOptions};
use crate::ber::{self, Reader};
use crate::error::malformed;
use crate::{Certificate, CmsError, ContentInfo, Limits};

/// A well-formed SignedData message; nothing in it is believed yet.
#[derive(Debug, Clone)]
pub struct SignedData {
    content_type: ObjectIdentifier,
    content: Option<Vec<u8>>,
    certificates: Vec<Certificate>,
    crls: Vec<Vec<u8>>,
    signers: Vec<SignerInfo>,
}

impl SignedData {
    /// Reads a message in DER or BER that must be SignedData.
    pub fn parse(octets: &[u8], limits: &Limits) -> Result<Self, CmsError> {
        match ContentInfo::parse(octets, limits)? {
            ContentInfo::SignedData(signed) => Ok(signed),
            ContentInfo::EnvelopedData(enveloped) => {
                Err(CmsError::NotSignedData(enveloped.message_type()))
            }
            ContentInfo::Octets { content_type, .. } | ContentInfo::Other(content_type) => {
                Err(CmsError::NotSignedData(content_type))
            }
        }
    }

    /// What the content says it is (eContentType).
    pub fn content_type(&self) -> ObjectIdentifier {
        self.content_type
    }

    /// The content as received: not to be acted on.
    pub fn unverified_content(&self) -> Option<&[u8]> {
        self.content.as_deref()
    }

    /// The certificates in the message, in its order.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The certificate revocation lists in the message (DER), in its order.
    pub fn crls(&self) -> &[Vec<u8>] {
        &self.crls
    }

    /// Who says to have signed.
    pub fn signers(&self) -> &[SignerInfo] {
        &self.signers
    }

    /// Whether it carries certificates and no content (RFC 5652 §5.2: the degenerate case).
    pub fn is_certs_only(&self) -> bool {
        self.content.as_ref().is_none_or(Vec::is_empty)
    }

    /// All certificates that a signer may mean, from the message and then from `pool`.
    ///
    /// There can be several for one signer identifier: issuer and serial number are only unique
    /// where the issuer does its work well.
    pub fn signer_certificates(&self, pool: &[Certificate]) -> Vec<Certificate> {
        let mut found: Vec<Certificate> = Vec::new();
        for certificate in self.certificates.iter().chain(pool) {
            let named = self.signers.iter().any(|signer| signer.names(certificate));
            if named && !found.contains(certificate) {
                found.push(certificate.clone());
            }
        }
        found
    }

    /// Reads the inside of a ContentInfo that has definite lengths.
    pub(crate) fn read(content: &[u8], limits: &Limits) -> Result<Self, CmsError> {
        let mut signers = Vec::new();
        let message = SignedDataRef::read(content, limits, |signer: SignerInfoRef<'_>| {
            signers.push(signer.into_owned());
        })?;
        Ok(Self {
            content_type: message.content_type(),
            content: message.unverified_content().map(<[u8]>::to_vec),
            certificates: message
                .certificates()
                .map(Certificate::from_der)
                .collect::<Result<_, _>>()
                .map_err(CmsError::Certificate)?,
            crls: message.crls().map(<[u8]>::to_vec).collect(),
            signers,
        })
    }
}

/// Reads a message that only carries certificates and revocation lists, such as the owner
/// certificate artifact (RFC 8572 §3.2) and trust anchors (RFC 8572 §2.1).
///
/// Some makers sign empty content instead of leaving signers out: such a signature says nothing
/// and is not looked at.
pub fn parse_certs_only(octets: &[u8], limits: &Limits) -> Result<SignedData, CmsError> {
    let signed = SignedData::parse(octets, limits)?;
    if !signed.is_certs_only() {
        return Err(CmsError::NotCertsOnly);
    }
    if signed.certificates.is_empty() {
        return Err(CmsError::Certificate(
            crate::CertificateError::NoCertificate,
        ));
    }
    Ok(signed)
}

fn within(count: usize, limit: usize, what: &'static str) -> Result<(), CmsError> {
    if count < limit {
        Ok(())
    } else {
        Err(CmsError::TooLarge { what, limit })
    }
}

fn version(fields: &mut Reader<'_>, known: &[u8]) -> Result<u8, CmsError> {
    match fields.expect(ber::INTEGER, "version")?.body {
        [version] if known.contains(version) => Ok(*version),
        _ => Err(malformed("version")),
    }
}
