//! One signer's part of SignedData (RFC 5652 §5.3).

use std::cell::OnceCell;

use der::Decode;
use der::asn1::{Any, ObjectIdentifier};
use spki::{AlgorithmIdentifierOwned, AlgorithmIdentifierRef};

use super::{Leniency, version};
use crate::ber::{self, Reader};
use crate::content_info::oid;
use crate::error::malformed;
use crate::issuer_and_serial::{IssuerAndSerial, colons};
use crate::{
    AlgorithmError, Certificate, CmsError, DigestAlgorithm, SignatureAlgorithm, SignatureError,
    oids,
};

/// Who signed, how, and the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignerInfo {
    identifier: Identifier,
    digest: AlgorithmIdentifierOwned,
    /// As received, under the tag SET OF that is signed (RFC 5652 §5.4).
    signed_attributes: Option<Vec<u8>>,
    algorithm: AlgorithmIdentifierOwned,
    signature: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Identifier {
    IssuerAndSerial(IssuerAndSerial),
    SubjectKeyId(Vec<u8>),
}

impl SignerInfo {
    /// Whether the signer identifier fits a certificate.
    pub fn names(&self, certificate: &Certificate) -> bool {
        match &self.identifier {
            Identifier::IssuerAndSerial(identifier) => identifier.names(certificate),
            Identifier::SubjectKeyId(key_id) => {
                certificate.subject_key_id() == Some(key_id.as_slice())
            }
        }
    }

    /// The signer as the message names it, for people.
    pub fn describe(&self) -> String {
        match &self.identifier {
            Identifier::IssuerAndSerial(identifier) => identifier.to_string(),
            Identifier::SubjectKeyId(key_id) => format!("subject key id {}", colons(key_id)),
        }
    }

    /// Whether attributes are signed rather than the content itself.
    pub fn has_signed_attributes(&self) -> bool {
        self.signed_attributes.is_some()
    }

    /// What was signed, once its digest and content type fit the content.
    pub(super) fn signed_octets<'a>(
        &'a self,
        content_type: ObjectIdentifier,
        content: &'a Digested<'_>,
    ) -> Result<&'a [u8], CmsError> {
        let Some(attributes) = &self.signed_attributes else {
            // A SET could be another message's signed attributes passed off as content.
            if content_type != oids::ID_DATA || content.octets.first() == Some(&ber::SET) {
                return Err(CmsError::MissingSignedAttributes);
            }
            return Ok(content.octets);
        };
        let found = Attributes::read(attributes)?;
        if found.content_type != content_type {
            return Err(CmsError::ContentTypeAttributeMismatch {
                attribute: found.content_type,
                content: content_type,
            });
        }
        if found.message_digest != content.digest(self.digest_algorithm()?) {
            return Err(CmsError::DigestMismatch);
        }
        Ok(attributes)
    }

    /// The algorithm of the signature, and whether it took leniency to know it.
    pub(super) fn algorithm(
        &self,
        leniency: Leniency,
    ) -> Result<(SignatureAlgorithm, bool), CmsError> {
        if self.signed_attributes.is_none()
            && let Some(algorithm) = SignatureAlgorithm::ignores_digest(&self.algorithm)
        {
            return Ok((algorithm, false));
        }
        let digest = self.digest_algorithm()?;
        if self.algorithm.oid == EC_PUBLIC_KEY && leniency.ec_public_key_as_signature_algorithm {
            return Ok((SignatureAlgorithm::Ecdsa(digest), true));
        }
        SignatureAlgorithm::from_cms_identifier(&self.algorithm, digest)
            .map(|algorithm| (algorithm, false))
            .map_err(refused)
    }

    /// Checks the signature over the octets that are signed.
    pub(super) fn check(
        &self,
        certificate: &Certificate,
        algorithm: SignatureAlgorithm,
        octets: &[u8],
    ) -> Result<(), CmsError> {
        let key = certificate.public_key().map_err(CmsError::SignerKey)?;
        key.verify(algorithm, octets, &self.signature)
            .map_err(|error| match error {
                SignatureError::Bad => CmsError::BadSignature,
                other => CmsError::UnsupportedAlgorithm(other),
            })
    }

    fn digest_algorithm(&self) -> Result<DigestAlgorithm, CmsError> {
        DigestAlgorithm::from_identifier(&self.digest).map_err(refused)
    }
}

/// A [`SignerInfo`] read in place.
pub(super) struct SignerInfoRef<'a> {
    identifier: IdentifierRef<'a>,
    digest: AlgorithmIdentifierRef<'a>,
    /// The content of the SET OF.
    signed_attributes: Option<&'a [u8]>,
    algorithm: AlgorithmIdentifierRef<'a>,
    signature: &'a [u8],
}

enum IdentifierRef<'a> {
    IssuerAndSerial { issuer: &'a [u8], serial: &'a [u8] },
    SubjectKeyId(&'a [u8]),
}

impl<'a> SignerInfoRef<'a> {
    pub(super) fn read(reader: &mut Reader<'a>) -> Result<Self, CmsError> {
        let mut fields = Reader::new(reader.expect(ber::SEQUENCE, "SignerInfo")?.body);
        let version = version(&mut fields, &[1, 3])?;
        let identifier = fields.any("signer identifier")?;
        // RFC 5652 §5.3: the version says which form the identifier has.
        let (expected, identifier) = match identifier.tag {
            ber::SEQUENCE => {
                let mut inner = Reader::new(identifier.body);
                let issuer = inner.expect(ber::SEQUENCE, "issuer of the signer")?.raw;
                let serial = inner.expect(ber::INTEGER, "serial of the signer")?.body;
                inner.finish("signer identifier")?;
                (1, IdentifierRef::IssuerAndSerial { issuer, serial })
            }
            ber::CONTEXT_0_PRIMITIVE => (3, IdentifierRef::SubjectKeyId(identifier.body)),
            _ => return Err(malformed("signer identifier")),
        };
        if version != expected {
            return Err(malformed("version of SignerInfo"));
        }
        let digest = algorithm(&mut fields, "digestAlgorithm")?;
        let signed_attributes = fields.optional(ber::CONTEXT_0, "signedAttrs")?;
        let algorithm = algorithm(&mut fields, "signatureAlgorithm")?;
        let signature = fields.expect(ber::OCTET_STRING, "signature")?.body;
        // Unsigned attributes prove nothing and are not used.
        fields.optional(ber::CONTEXT_1, "unsignedAttrs")?;
        fields.finish("SignerInfo")?;
        Ok(Self {
            identifier,
            digest,
            signed_attributes: signed_attributes.map(|attributes| attributes.body),
            algorithm,
            signature,
        })
    }

    pub(super) fn into_owned(self) -> SignerInfo {
        SignerInfo {
            identifier: match self.identifier {
                IdentifierRef::IssuerAndSerial { issuer, serial } => {
                    Identifier::IssuerAndSerial(IssuerAndSerial::new(issuer, serial))
                }
                IdentifierRef::SubjectKeyId(key_id) => Identifier::SubjectKeyId(key_id.to_vec()),
            },
            digest: owned(self.digest),
            signed_attributes: self
                .signed_attributes
                .map(|attributes| ber::encode(ber::SET, &[attributes])),
            algorithm: owned(self.algorithm),
            signature: self.signature.to_vec(),
        }
    }
}

/// The content and its digests, each made once however many have signed it.
pub(super) struct Digested<'a> {
    octets: &'a [u8],
    made: [OnceCell<Vec<u8>>; 3],
}

impl<'a> Digested<'a> {
    pub(super) fn new(octets: &'a [u8]) -> Self {
        Self {
            octets,
            made: Default::default(),
        }
    }

    fn digest(&self, algorithm: DigestAlgorithm) -> &[u8] {
        let slot = match algorithm {
            DigestAlgorithm::Sha256 => 0,
            DigestAlgorithm::Sha384 => 1,
            DigestAlgorithm::Sha512 => 2,
        };
        self.made[slot].get_or_init(|| algorithm.digest(self.octets))
    }
}

/// The two attributes that bind the content (RFC 5652 §11.1, §11.2).
struct Attributes<'a> {
    content_type: ObjectIdentifier,
    message_digest: &'a [u8],
}

impl<'a> Attributes<'a> {
    fn read(set: &'a [u8]) -> Result<Self, CmsError> {
        let mut content_type = None;
        let mut message_digest = None;
        let mut outer = Reader::new(set);
        let mut reader = Reader::new(outer.expect(ber::SET, "signedAttrs")?.body);
        while !reader.is_empty() {
            let mut attribute = Reader::new(reader.expect(ber::SEQUENCE, "signed attribute")?.body);
            let kind = oid(&mut attribute, "type of a signed attribute")?;
            let values = attribute
                .expect(ber::SET, "values of a signed attribute")?
                .body;
            attribute.finish("signed attribute")?;
            match kind {
                oids::CONTENT_TYPE => {
                    let mut values = Reader::new(values);
                    let value = oid(&mut values, "content-type attribute").ok();
                    once(&mut content_type, value, &values, "content-type")?;
                }
                oids::MESSAGE_DIGEST => {
                    let mut values = Reader::new(values);
                    let value = values.expect(ber::OCTET_STRING, "message-digest attribute");
                    let value = value.ok().map(|value| value.body);
                    once(&mut message_digest, value, &values, "message-digest")?;
                }
                _ => {}
            }
        }
        let missing = |attribute| CmsError::SignedAttribute { attribute };
        Ok(Self {
            content_type: content_type.ok_or(missing("content-type"))?,
            message_digest: message_digest.ok_or(missing("message-digest"))?,
        })
    }
}

/// Takes the only value of an attribute that was not seen before.
fn once<T>(
    slot: &mut Option<T>,
    value: Option<T>,
    rest: &Reader<'_>,
    attribute: &'static str,
) -> Result<(), CmsError> {
    if slot.is_some() || value.is_none() || !rest.is_empty() {
        return Err(CmsError::SignedAttribute { attribute });
    }
    *slot = value;
    Ok(())
}

fn algorithm<'a>(
    fields: &mut Reader<'a>,
    what: &'static str,
) -> Result<AlgorithmIdentifierRef<'a>, CmsError> {
    let raw = fields.expect(ber::SEQUENCE, what)?.raw;
    AlgorithmIdentifierRef::from_der(raw).map_err(|_| malformed(what))
}

fn owned(algorithm: AlgorithmIdentifierRef<'_>) -> AlgorithmIdentifierOwned {
    AlgorithmIdentifierOwned {
        oid: algorithm.oid,
        parameters: algorithm.parameters.map(Any::from),
    }
}

fn refused(error: AlgorithmError) -> CmsError {
    match error {
        AlgorithmError::Weak { .. } => CmsError::WeakAlgorithm(error),
        other => CmsError::UnsupportedAlgorithm(SignatureError::Algorithm(other)),
    }
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
