//! SignedData read in place (RFC 5652 §5.1): every part is a slice of the message.

use std::borrow::Cow;

use der::asn1::ObjectIdentifier;

use super::signer_info::SignerInfoRef;
use super::{SignerInfo, version, within};
use crate::ber::{self, Reader};
use crate::content_info::{self, oid};
use crate::error::malformed;
use crate::{CmsError, Limits, oids};

/// A SignedData message in DER, read without copying or allocating; nothing in it is believed yet.
///
/// For whoever looks into many messages and verifies few. The structure of the message and of its
/// signers is checked as [`SignedData::parse`](crate::SignedData::parse) checks it; certificates
/// and revocation lists are only counted, and decoded by whoever wants one of them.
///
/// ```
/// use sztp_cms::{
///     Certificate, CertificateBuilder, KeyType, Limits, SignedDataBuilder, SignedDataRef,
///     SigningKey, oids,
/// };
///
/// let key = SigningKey::generate(KeyType::Ed25519)?;
/// let owner = CertificateBuilder::new("CN=owner").self_signed(&key)?;
/// let message = SignedDataBuilder::new(oids::SZTP_CONVEYED_INFO_JSON, *b"{}")
///     .certificates([owner.clone()])
///     .sign(&key, &owner)?;
///
/// let signed = SignedDataRef::parse(&message, &Limits::default())?;
/// assert_eq!(signed.unverified_content(), Some(&b"{}"[..]));
/// let certificates: Result<Vec<_>, _> = signed.certificates().map(Certificate::from_der).collect();
/// assert_eq!(certificates?, [owner]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct SignedDataRef<'a> {
    content_type: ObjectIdentifier,
    content: Option<&'a [u8]>,
    certificates: &'a [u8],
    crls: &'a [u8],
    signers: &'a [u8],
}

impl<'a> SignedDataRef<'a> {
    /// Reads a message that must be SignedData, in DER.
    ///
    /// BER's indefinite lengths and octet strings in pieces have no content in one slice:
    /// [`CmsError::Malformed`]. [`SignedData::parse`](crate::SignedData::parse) reads them.
    pub fn parse(octets: &'a [u8], limits: &Limits) -> Result<Self, CmsError> {
        let Cow::Borrowed(message) = ber::definite(octets, limits)? else {
            return Err(malformed("BER where DER is read"));
        };
        let (content_type, content) = content_info::outer(message)?;
        if content_type != oids::ID_SIGNED_DATA {
            return Err(CmsError::NotSignedData(content_type));
        }
        Self::read(content, limits, |_| {})
    }

    /// What the content says it is (eContentType).
    pub fn content_type(&self) -> ObjectIdentifier {
        self.content_type
    }

    /// The content as received: not to be acted on.
    pub fn unverified_content(&self) -> Option<&'a [u8]> {
        self.content
    }

    /// The certificates in the message (DER), in its order; not looked into.
    pub fn certificates(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        sequences(self.certificates)
    }

    /// The certificate revocation lists in the message (DER), in its order; not looked into.
    pub fn crls(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        sequences(self.crls)
    }

    /// Who says to have signed.
    pub fn signers(&self) -> impl Iterator<Item = SignerInfo> + use<'a> {
        let mut reader = Reader::new(self.signers);
        // All of them were read before.
        std::iter::from_fn(move || SignerInfoRef::read(&mut reader).ok())
            .map(SignerInfoRef::into_owned)
    }

    /// Reads the inside of a ContentInfo that has definite lengths, and tells `seen` of each
    /// signer.
    pub(super) fn read(
        content: &'a [u8],
        limits: &Limits,
        mut seen: impl FnMut(SignerInfoRef<'a>),
    ) -> Result<Self, CmsError> {
        let mut outer = Reader::new(content);
        let mut fields = Reader::new(outer.expect(ber::SEQUENCE, "SignedData")?.body);
        outer.finish("SignedData")?;
        version(&mut fields, &[1, 3, 4, 5])?;
        fields.expect(ber::SET, "digestAlgorithms")?;
        let mut encapsulated = Reader::new(fields.expect(ber::SEQUENCE, "encapContentInfo")?.body);
        let content_type = oid(&mut encapsulated, "eContentType")?;
        let content = match encapsulated.optional(ber::CONTEXT_0, "eContent")? {
            None => None,
            Some(explicit) => {
                let mut inner = Reader::new(explicit.body);
                let octets = inner.expect(ber::OCTET_STRING, "eContent")?;
                inner.finish("eContent")?;
                Some(octets.body)
            }
        };
        encapsulated.finish("encapContentInfo")?;
        let mut set = |tag, limit, what| -> Result<&'a [u8], CmsError> {
            let Some(set) = fields.optional(tag, what)? else {
                return Ok(&[]);
            };
            let mut reader = Reader::new(set.body);
            let mut count = 0;
            while !reader.is_empty() {
                reader.any(what)?;
                within(count, limit, what)?;
                count += 1;
            }
            Ok(set.body)
        };
        let certificates = set(ber::CONTEXT_0, limits.max_certificates, "certificates")?;
        let crls = set(ber::CONTEXT_1, limits.max_crls, "revocation lists")?;
        let signers = fields.expect(ber::SET, "signerInfos")?.body;
        let mut reader = Reader::new(signers);
        let mut count = 0;
        while !reader.is_empty() {
            within(count, limits.max_signers, "signers")?;
            seen(SignerInfoRef::read(&mut reader)?);
            count += 1;
        }
        fields.finish("SignedData")?;
        Ok(Self {
            content_type,
            content,
            certificates,
            crls,
            signers,
        })
    }
}

/// The values of a set that was read before and that are certificates or revocation lists: other
/// choices (attribute certificates, other formats) are not used by SZTP.
fn sequences(set: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut reader = Reader::new(set);
    std::iter::from_fn(move || reader.any("choice").ok())
        .filter(|choice| choice.tag == ber::SEQUENCE)
        .map(|choice| choice.raw)
}
