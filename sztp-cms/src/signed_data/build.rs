//! Making SignedData (RFC 5652 §5): signed with attributes, or only certificates.

use der::DateTime;
use der::asn1::{GeneralizedTime, ObjectIdentifier, UtcTime};

use crate::ber::{self, encode, encode_set_of};
use crate::certificate::sequence_body;
use crate::content_info::{encode_der, encode_oid, wrap};
use crate::error::malformed;
use crate::{Certificate, CmsError, Signer, UnixTime, oids};

/// How the signer's certificate is named in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SignerId {
    /// By its issuer and serial number.
    #[default]
    IssuerAndSerial,
    /// By its subject key identifier, if it has one.
    SubjectKeyId,
}

/// Builds a message with one signer; always DER, always with signed attributes.
#[derive(Debug, Clone)]
pub struct SignedDataBuilder {
    content_type: ObjectIdentifier,
    content: Vec<u8>,
    certificates: Vec<Certificate>,
    signer_id: SignerId,
    signing_time: Option<UnixTime>,
}

impl SignedDataBuilder {
    /// What to sign.
    pub fn new(content_type: ObjectIdentifier, content: impl Into<Vec<u8>>) -> Self {
        Self {
            content_type,
            content: content.into(),
            certificates: Vec::new(),
            signer_id: SignerId::default(),
            signing_time: None,
        }
    }

    /// Adds certificates that help to verify; the signer's own is not added by itself.
    #[must_use]
    pub fn certificates(mut self, certificates: impl IntoIterator<Item = Certificate>) -> Self {
        self.certificates.extend(certificates);
        self
    }

    /// How to name the signer.
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

    /// Signs as the holder of `certificate`.
    pub fn sign(
        &self,
        signer: &dyn Signer,
        certificate: &Certificate,
    ) -> Result<Vec<u8>, CmsError> {
        if certificate.spki_der() != signer.spki_der() {
            return Err(CmsError::KeyMismatch);
        }
        let algorithm = signer.algorithm();
        let digest = encode_der(&algorithm.digest().identifier())?;
        let mut attributes = vec![
            attribute(oids::CONTENT_TYPE, &encode_oid(self.content_type)),
            attribute(
                oids::MESSAGE_DIGEST,
                &encode(
                    ber::OCTET_STRING,
                    &[&algorithm.digest().digest(&self.content)],
                ),
            ),
        ];
        if let Some(time) = self.signing_time {
            attributes.push(attribute(oids::SIGNING_TIME, &encode_time(time)?));
        }
        let signed = encode_set_of(ber::SET, attributes);
        let signature = signer.sign(&signed).map_err(CmsError::Signing)?;
        let mut implicit = signed;
        implicit[0] = ber::CONTEXT_0;
        let (version, identifier) = self.identifier(certificate)?;
        let algorithm = algorithm
            .identifier()
            .map_err(|_| malformed("signatureAlgorithm"))?;
        let signer_info = encode(
            ber::SEQUENCE,
            &[
                &encode(ber::INTEGER, &[&[version]]),
                &identifier,
                &digest,
                &implicit,
                &encode_der(&algorithm)?,
                &encode(ber::OCTET_STRING, &[&signature]),
            ],
        );
        let content = encode(
            ber::CONTEXT_0,
            &[&encode(ber::OCTET_STRING, &[&self.content])],
        );
        let encapsulated = encode(ber::SEQUENCE, &[&encode_oid(self.content_type), &content]);
        // RFC 5652 §5.1: version 1 needs plain data and a signer named by issuer and serial.
        let plain = self.content_type == oids::ID_DATA && version == 1;
        let certificates = certificate_set(&self.certificates);
        let signed_data = encode(
            ber::SEQUENCE,
            &[
                &encode(ber::INTEGER, &[&[if plain { 1 } else { 3 }]]),
                &encode(ber::SET, &[&digest]),
                &encapsulated,
                &certificates,
                &encode(ber::SET, &[&signer_info]),
            ],
        );
        Ok(wrap(oids::ID_SIGNED_DATA, &signed_data))
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
    let mut fields = vec![
        encode(ber::INTEGER, &[&[1]]),
        encode(ber::SET, &[]),
        encode(ber::SEQUENCE, &[&encode_oid(oids::ID_DATA)]),
        certificate_set(certificates),
    ];
    if !crls.is_empty() {
        for list in crls {
            sequence_body(list).map_err(|_| malformed("crls"))?;
        }
        let mut crls = crls.to_vec();
        crls.dedup();
        fields.push(encode_set_of(ber::CONTEXT_1, crls));
    }
    fields.push(encode(ber::SET, &[]));
    let parts: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
    Ok(wrap(oids::ID_SIGNED_DATA, &encode(ber::SEQUENCE, &parts)))
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
