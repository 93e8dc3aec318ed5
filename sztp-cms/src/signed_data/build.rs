//! Making SignedData (RFC 5652 §5): signed by one or several, or only certificates.

use std::borrow::Cow;

use der::DateTime;
use der::asn1::{GeneralizedTime, ObjectIdentifier, UtcTime};

use crate::ber::{self, encode, encode_set_of, header};
use crate::certificate::sequence_body;
use crate::content_info::{encode_der, encode_oid, wrap};
use crate::error::malformed;
use crate::{Certificate, CmsError, DigestAlgorithm, Signer, UnixTime, oids};

/// How the signer's certificate is named in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignerId {
    /// By its issuer and serial number.
    #[default]
    IssuerAndSerial,
    /// By its subject key identifier, if it has one.
    SubjectKeyId,
}

/// Builds a signed message; always DER.
///
/// ```
/// use sztp_cms::{CertificateBuilder, KeyType, SignedDataBuilder, SigningKey, oids};
///
/// let key = SigningKey::generate(KeyType::Ed25519)?;
/// let certificate = CertificateBuilder::new("CN=owner").self_signed(&key)?;
/// let message = SignedDataBuilder::new(oids::SZTP_CONVEYED_INFO_JSON, *b"{}")
///     .certificates([certificate.clone()])
///     .sign(&key, &certificate)?;
/// assert_eq!(message[0], 0x30);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct SignedDataBuilder {
    content_type: ObjectIdentifier,
    content: Vec<u8>,
    certificates: Vec<Certificate>,
    crls: Vec<Vec<u8>>,
    signer_id: SignerId,
    signing_time: Option<UnixTime>,
    attributes: bool,
    detached: bool,
}

impl SignedDataBuilder {
    /// What to sign.
    pub fn new(content_type: ObjectIdentifier, content: impl Into<Vec<u8>>) -> Self {
        Self {
            content_type,
            content: content.into(),
            certificates: Vec::new(),
            crls: Vec::new(),
            signer_id: SignerId::default(),
            signing_time: None,
            attributes: true,
            detached: false,
        }
    }

    /// Adds certificates that help to verify; the signers' own are not added by themselves.
    #[must_use]
    pub fn certificates(mut self, certificates: impl IntoIterator<Item = Certificate>) -> Self {
        self.certificates.extend(certificates);
        self
    }

    /// Adds revocation lists (DER).
    #[must_use]
    pub fn crls(mut self, crls: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.crls.extend(crls);
        self
    }

    /// How to name the signers.
    #[must_use]
    pub fn signer_id(mut self, signer_id: SignerId) -> Self {
        self.signer_id = signer_id;
        self
    }

    /// Adds the signing-time attribute (RFC 5652 §11.3), which proves nothing.
    #[must_use]
    pub fn signing_time(mut self, time: Option<UnixTime>) -> Self {
        self.signing_time = time;
        self
    }

    /// Signs the content itself rather than attributes with its digest. Only id-data may be signed
    /// so (RFC 5652 §5.3).
    #[must_use]
    pub fn without_signed_attributes(mut self) -> Self {
        self.attributes = false;
        self
    }

    /// Leaves the content out of the message (RFC 5652 §5.2, external signatures): see
    /// [`SignedData::verify_detached`](crate::SignedData::verify_detached).
    #[must_use]
    pub fn detached(mut self) -> Self {
        self.detached = true;
        self
    }

    /// Signs as the holder of `certificate`.
    pub fn sign(
        &self,
        signer: &dyn Signer,
        certificate: &Certificate,
    ) -> Result<Vec<u8>, CmsError> {
        self.sign_all(&[(signer, certificate)])
    }

    /// Signs as several, each with its own algorithm and digest.
    pub fn sign_all(&self, signers: &[(&dyn Signer, &Certificate)]) -> Result<Vec<u8>, CmsError> {
        let passes_for_attributes = self.content.first() == Some(&ber::SET);
        if !self.attributes && (self.content_type != oids::ID_DATA || passes_for_attributes) {
            return Err(CmsError::MissingSignedAttributes);
        }
        if signers.is_empty() {
            return Err(CmsError::NoSigner);
        }
        let mut digests: Vec<Vec<u8>> = Vec::new();
        let mut infos = Vec::with_capacity(signers.len());
        for (signer, certificate) in signers {
            let digest = encode_der(&signer.algorithm().digest().identifier())?;
            infos.push(self.signer_info(*signer, certificate, &digest)?);
            if !digests.contains(&digest) {
                digests.push(digest);
            }
        }
        let content_type = encode_oid(self.content_type);
        let encapsulated = if self.detached {
            encode(ber::SEQUENCE, &[&content_type])
        } else {
            let octets = header(ber::OCTET_STRING, self.content.len());
            let explicit = header(ber::CONTEXT_0, octets.len() + self.content.len());
            let parts: [&[u8]; 4] = [&content_type, &explicit, &octets, &self.content];
            encode(ber::SEQUENCE, &parts)
        };
        // RFC 5652 §5.1: version 1 needs plain data and signers named by issuer and serial.
        let plain =
            self.content_type == oids::ID_DATA && self.signer_id == SignerId::IssuerAndSerial;
        let signed_data = encode(
            ber::SEQUENCE,
            &[
                &encode(ber::INTEGER, &[&[if plain { 1 } else { 3 }]]),
                &encode_set_of(ber::SET, digests),
                &encapsulated,
                &certificate_set(&self.certificates),
                &crl_set(&self.crls)?,
                &encode_set_of(ber::SET, infos),
            ],
        );
        Ok(wrap(oids::ID_SIGNED_DATA, &signed_data))
    }

    fn signer_info(
        &self,
        signer: &dyn Signer,
        certificate: &Certificate,
        digest: &[u8],
    ) -> Result<Vec<u8>, CmsError> {
        if certificate.spki_der() != signer.spki_der() {
            return Err(CmsError::KeyMismatch);
        }
        let algorithm = signer.algorithm();
        let (signed, attributes) = if self.attributes {
            let attributes = self.attributes(algorithm.digest())?;
            let mut implicit = attributes.clone();
            implicit[0] = ber::CONTEXT_0;
            (Cow::Owned(attributes), implicit)
        } else {
            (Cow::Borrowed(&self.content), Vec::new())
        };
        let signature = signer.sign(&signed).map_err(CmsError::Signing)?;
        let (version, identifier) = self.identifier(certificate)?;
        let algorithm = algorithm
            .identifier()
            .map_err(|_| malformed("signatureAlgorithm"))?;
        Ok(encode(
            ber::SEQUENCE,
            &[
                &encode(ber::INTEGER, &[&[version]]),
                &identifier,
                digest,
                &attributes,
                &encode_der(&algorithm)?,
                &encode(ber::OCTET_STRING, &[&signature]),
            ],
        ))
    }

    /// The signed attributes as a SET OF, which is the form that is signed (RFC 5652 §5.4).
    fn attributes(&self, digest: DigestAlgorithm) -> Result<Vec<u8>, CmsError> {
        let digest = encode(ber::OCTET_STRING, &[&digest.digest(&self.content)]);
        let mut attributes = vec![
            attribute(oids::CONTENT_TYPE, &encode_oid(self.content_type)),
            attribute(oids::MESSAGE_DIGEST, &digest),
        ];
        if let Some(time) = self.signing_time {
            attributes.push(attribute(oids::SIGNING_TIME, &encode_time(time)?));
        }
        Ok(encode_set_of(ber::SET, attributes))
    }

    /// The SignerInfo's version and signer identifier (RFC 5652 §5.3).
    fn identifier(&self, certificate: &Certificate) -> Result<(u8, Vec<u8>), CmsError> {
        match self.signer_id {
            SignerId::IssuerAndSerial => {
                let serial = encode(ber::INTEGER, &[certificate.serial_bytes()]);
                let identifier = encode(ber::SEQUENCE, &[certificate.issuer_der(), &serial]);
                Ok((1, identifier))
            }
            SignerId::SubjectKeyId => {
                let key_id = certificate
                    .subject_key_id()
                    .ok_or(malformed("the certificate has no subject key identifier"))?;
                Ok((3, encode(ber::CONTEXT_0_PRIMITIVE, &[key_id])))
            }
        }
    }
}

/// A message that only carries certificates and revocation lists (DER), each once.
pub fn certs_only(certificates: &[Certificate], crls: &[Vec<u8>]) -> Result<Vec<u8>, CmsError> {
    let signed_data = encode(
        ber::SEQUENCE,
        &[
            &encode(ber::INTEGER, &[&[1]]),
            &encode(ber::SET, &[]),
            &encode(ber::SEQUENCE, &[&encode_oid(oids::ID_DATA)]),
            &certificate_set(certificates),
            &crl_set(crls)?,
            &encode(ber::SET, &[]),
        ],
    );
    Ok(wrap(oids::ID_SIGNED_DATA, &signed_data))
}

/// The revocation lists, each once, in DER's order; nothing if there are none.
fn crl_set(crls: &[Vec<u8>]) -> Result<Vec<u8>, CmsError> {
    if crls.is_empty() {
        return Ok(Vec::new());
    }
    for list in crls {
        sequence_body(list).map_err(|_| malformed("crls"))?;
    }
    let mut crls = crls.to_vec();
    crls.sort_unstable();
    crls.dedup();
    Ok(encode_set_of(ber::CONTEXT_1, crls))
}

/// The certificates, each once, in DER's order.
fn certificate_set(certificates: &[Certificate]) -> Vec<u8> {
    let mut parts: Vec<&[u8]> = Vec::new();
    for certificate in certificates {
        if !parts.contains(&certificate.as_der()) {
            parts.push(certificate.as_der());
        }
    }
    if parts.is_empty() {
        return Vec::new();
    }
    parts.sort_unstable();
    encode(ber::CONTEXT_0, &parts)
}

fn attribute(kind: ObjectIdentifier, value: &[u8]) -> Vec<u8> {
    encode(
        ber::SEQUENCE,
        &[&encode_oid(kind), &encode(ber::SET, &[value])],
    )
}

/// UTCTime until 2049, GeneralizedTime afterwards (RFC 5652 §11.3).
fn encode_time(time: UnixTime) -> Result<Vec<u8>, CmsError> {
    let bad = || malformed("signing-time");
    let seconds = u64::try_from(time.secs()).map_err(|_| bad())?;
    let time =
        DateTime::from_unix_duration(std::time::Duration::from_secs(seconds)).map_err(|_| bad())?;
    if time.year() < 2050 {
        encode_der(&UtcTime::from_date_time(time).map_err(|_| bad())?)
    } else {
        encode_der(&GeneralizedTime::from_date_time(time))
    }
}
