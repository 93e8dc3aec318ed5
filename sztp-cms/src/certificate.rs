//! X.509 certificates as they are received (RFC 5280 §4.1).
//!
//! The bytes are kept exactly as they came and the signature is later checked over those bytes,
//! never over a re-encoding. Reading is tolerant where a certificate is unusual but unambiguous
//! (version 1, long or negative serial numbers, `BOOLEAN` 01, names in old string types), since
//! devices carry such certificates for life. Whether a certificate is to be trusted is the
//! business of [`validate_path`](crate::validate_path).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, Tagged};
use sha2::{Digest, Sha256};

use self::fields::Fields;
use crate::{KeyError, PublicKey, Rule, UnixTime};

mod extension;
pub(crate) mod fields;
mod hardware;
pub(crate) mod name;
pub(crate) mod pem;
pub(crate) mod time;
mod values;

pub use self::extension::{BasicConstraints, Extension, KeyUsage};
pub(crate) use self::fields::{is_context, sequence_body};

/// The most octets a certificate may have.
pub(crate) const MAX_CERTIFICATE_BYTES: usize = 64 * 1024;

/// The most certificates read from one file.
const MAX_CERTIFICATES_PER_FILE: usize = 256;

/// An X.509 certificate, version 1 to 3 (RFC 5280 §4.1): well-formed, not yet trusted.
#[derive(Clone)]
pub struct Certificate(Arc<Fields>);

impl Certificate {
    /// Reads one DER certificate; nothing may follow it.
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        if der.len() > MAX_CERTIFICATE_BYTES {
            return Err(CertificateError::TooLarge { size: der.len() });
        }
        Ok(Self(Arc::new(Fields::parse(der)?)))
    }

    /// Reads the first certificate of a PEM or DER file.
    pub fn from_pem_or_der(bytes: &[u8]) -> Result<Self, CertificateError> {
        Self::list_from_pem_or_der(bytes)?
            .into_iter()
            .next()
            .ok_or(CertificateError::NoCertificate)
    }

    /// Reads all certificates of a file: PEM blocks, one DER certificate, or a certs-only CMS
    /// message.
    pub fn list_from_pem_or_der(bytes: &[u8]) -> Result<Vec<Self>, CertificateError> {
        if !pem::is_pem(bytes) {
            return Self::list_from_der(bytes);
        }
        let mut list = Vec::new();
        let labels = ["CERTIFICATE", "X509 CERTIFICATE", "CMS", "PKCS7"];
        for (label, der) in pem::blocks(bytes, &labels).map_err(|_| CertificateError::Pem)? {
            match label.as_str() {
                "CMS" | "PKCS7" => list.extend(Self::list_from_der(&der)?),
                _ => list.push(Self::from_der(&der)?),
            }
            if list.len() > MAX_CERTIFICATES_PER_FILE {
                return Err(CertificateError::TooMany {
                    limit: MAX_CERTIFICATES_PER_FILE,
                });
            }
        }
        if list.is_empty() {
            return Err(CertificateError::NoCertificate);
        }
        Ok(list)
    }

    /// The certificate as it was received.
    pub fn as_der(&self) -> &[u8] {
        &self.0.der
    }

    /// The certificate in PEM (RFC 7468 §5).
    pub fn to_pem(&self) -> String {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(&self.0.der);
        let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let (line, tail) = rest.split_at(rest.len().min(64));
            pem.push_str(line);
            pem.push('\n');
            rest = tail;
        }
        pem.push_str("-----END CERTIFICATE-----\n");
        pem
    }

    /// The version as people count it: 1, 2 or 3 (RFC 5280 §4.1.2.1).
    pub fn version(&self) -> u8 {
        self.0.version
    }

    /// The signed part, octets as received (RFC 5280 §4.1.1.1).
    pub fn tbs_der(&self) -> &[u8] {
        self.0.slice(&self.0.tbs)
    }

    /// The subject name, DER (RFC 5280 §4.1.2.6).
    pub fn subject_der(&self) -> &[u8] {
        self.0.slice(&self.0.subject)
    }

    /// The issuer name, DER (RFC 5280 §4.1.2.4).
    pub fn issuer_der(&self) -> &[u8] {
        self.0.slice(&self.0.issuer)
    }

    /// The subject name in the text form of RFC 4514.
    pub fn subject(&self) -> String {
        name::to_text(self.subject_der())
    }

    /// The issuer name in the text form of RFC 4514.
    pub fn issuer(&self) -> String {
        name::to_text(self.issuer_der())
    }

    /// The content octets of the serial number `INTEGER` (RFC 5280 §4.1.2.2).
    pub fn serial_bytes(&self) -> &[u8] {
        self.0.slice(&self.0.serial)
    }

    /// The serial number in upper-case hexadecimal, without leading zero octets.
    pub fn serial_hex(&self) -> String {
        let bytes = self.serial_bytes();
        let bytes = match bytes {
            [0, rest @ ..] if !rest.is_empty() => rest,
            all => all,
        };
        hex(bytes, "")
    }

    /// The subject's serialNumber attribute (2.5.4.5): the device, in an IDevID (802.1AR §8).
    pub fn serial_number_attribute(&self) -> Option<String> {
        name::attribute(self.subject_der(), name::SERIAL_NUMBER)
    }

    /// The subject's first common name.
    pub fn common_name(&self) -> Option<String> {
        name::attribute(self.subject_der(), name::COMMON_NAME)
    }

    /// The organization that made a device: the subject's organizationName, or else the issuer's.
    pub fn organization(&self) -> Option<String> {
        name::attribute(self.subject_der(), name::ORGANIZATION)
            .or_else(|| name::attribute(self.issuer_der(), name::ORGANIZATION))
    }

    /// Start of validity (RFC 5280 §4.1.2.5).
    pub fn not_before(&self) -> UnixTime {
        self.0.not_before
    }

    /// End of validity, inclusive; 99991231235959Z means "never" (RFC 5280 §4.1.2.5).
    pub fn not_after(&self) -> UnixTime {
        self.0.not_after
    }

    /// The whole authorityKeyIdentifier extension value (RFC 5280 §4.2.1.1), as a voucher's
    /// idevid-issuer carries it (RFC 8366 §5.3).
    pub fn authority_key_identifier(&self) -> Option<&[u8]> {
        self.extension(OID_AUTHORITY_KEY_IDENTIFIER)
    }

    /// The bare keyIdentifier inside the authorityKeyIdentifier.
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        let value = self.authority_key_identifier()?;
        let body = sequence_body(value).ok()?;
        let mut reader = SliceReader::new(body).ok()?;
        while !reader.is_finished() {
            let field = AnyRef::decode(&mut reader).ok()?;
            if is_context(field.tag(), 0) {
                return Some(field.value());
            }
        }
        None
    }

    /// The subjectKeyIdentifier (RFC 5280 §4.2.1.2).
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        let value = self.extension(OID_SUBJECT_KEY_IDENTIFIER)?;
        let octets = AnyRef::from_der(value).ok()?;
        (octets.tag() == Tag::OctetString).then(|| octets.value())
    }

    /// The keyUsage bits, if the extension is there (RFC 5280 §4.2.1.3).
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.0.key_usage
    }

    /// The basicConstraints, if the extension is there (RFC 5280 §4.2.1.9).
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.0.basic_constraints
    }

    /// All extensions in the order of the certificate.
    pub fn extensions(&self) -> impl Iterator<Item = Extension<'_>> {
        self.0.extensions.iter().map(|e| Extension {
            oid: e.oid,
            critical: e.critical,
            value: self.0.slice(&e.value),
        })
    }

    /// The value of one extension.
    pub fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let found = self.0.extensions.iter().find(|e| e.oid == oid)?;
        Some(self.0.slice(&found.value))
    }

    /// Whether issuer and subject are the same name (RFC 5280 §3.2).
    pub fn is_self_issued(&self) -> bool {
        self.issuer_der() == self.subject_der()
            || self.canonical_issuer() == self.canonical_subject()
    }

    /// The subject's public key, if it is of a kind that can verify signatures here.
    pub fn public_key(&self) -> Result<PublicKey, CertificateError> {
        self.verifying_key().cloned().map_err(CertificateError::Key)
    }

    /// The SubjectPublicKeyInfo, DER (RFC 5280 §4.1.2.7).
    pub fn spki_der(&self) -> &[u8] {
        self.0.slice(&self.0.spki)
    }

    /// SHA-256 of the whole certificate, upper-case hexadecimal with colons.
    pub fn sha256_fingerprint(&self) -> String {
        hex(&Sha256::digest(&self.0.der), ":")
    }

    /// The signatureAlgorithm outside the signed part (RFC 5280 §4.1.1.2), DER.
    pub(crate) fn signature_algorithm_der(&self) -> &[u8] {
        self.0.slice(&self.0.outer_algorithm)
    }

    /// The copy of the signature algorithm inside the signed part (RFC 5280 §4.1.2.3), DER.
    pub(crate) fn tbs_signature_algorithm_der(&self) -> &[u8] {
        self.0.slice(&self.0.inner_algorithm)
    }

    pub(crate) fn signature_bytes(&self) -> &[u8] {
        self.0.slice(&self.0.signature)
    }

    /// The public key, read once for all uses of this certificate.
    pub(crate) fn verifying_key(&self) -> Result<&PublicKey, KeyError> {
        let key = &self.0.public_key;
        key.get_or_init(|| PublicKey::from_spki_der(self.spki_der()))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// The subject in the form in which names are compared ([`name::canonical`]).
    pub(crate) fn canonical_subject(&self) -> &[u8] {
        let name = &self.0.canonical_subject;
        name.get_or_init(|| name::canonical(self.subject_der()).unwrap_or_default())
    }

    /// The issuer in the form in which names are compared.
    pub(crate) fn canonical_issuer(&self) -> &[u8] {
        let name = &self.0.canonical_issuer;
        name.get_or_init(|| name::canonical(self.issuer_der()).unwrap_or_default())
    }

    /// Whether `self` has the name of the issuer of `other` (RFC 5280 §7.1).
    pub(crate) fn is_named_as_issuer_of(&self, other: &Self) -> bool {
        self.subject_der() == other.issuer_der()
            || self.canonical_subject() == other.canonical_issuer()
    }

    fn list_from_der(der: &[u8]) -> Result<Vec<Self>, CertificateError> {
        let error = match Self::from_der(der) {
            Ok(certificate) => return Ok(vec![certificate]),
            Err(error) => error,
        };
        match crate::parse_certs_only(der, &crate::Limits::default()) {
            Ok(message) => Ok(message.certificates().to_vec()),
            // What is no CMS message was probably meant to be a certificate.
            Err(_) => Err(error),
        }
    }
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl Hash for Certificate {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.der.hash(state);
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &self.subject())
            .field("issuer", &self.issuer())
            .field("serial", &self.serial_hex())
            .finish_non_exhaustive()
    }
}

/// Why bytes are no certificate that can be used here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    /// The structure of RFC 5280 §4.1 is broken at the named field.
    #[error("not a well-formed X.509 certificate: {what}")]
    Malformed {
        /// The field that could not be read.
        what: &'static str,
    },
    /// Larger than any sensible certificate.
    #[error("certificate of {size} octets is larger than {MAX_CERTIFICATE_BYTES}")]
    TooLarge {
        /// The size found.
        size: usize,
    },
    /// More certificates in a file than are read.
    #[error("more than {limit} certificates in one file")]
    TooMany {
        /// How many are read at most.
        limit: usize,
    },
    /// The PEM armour is damaged (RFC 7468).
    #[error("damaged PEM armour")]
    Pem,
    /// The file holds no certificate.
    #[error("no certificate found")]
    NoCertificate,
    /// An extension appears twice (RFC 5280 §4.2).
    #[error("extension {0} appears twice")]
    DuplicateExtension(ObjectIdentifier),
    /// The public key cannot be used.
    #[error("public key of the certificate: {0}")]
    Key(#[source] KeyError),
}

impl CertificateError {
    /// A stable name for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed { .. } => "certificate.malformed",
            Self::TooLarge { .. } => "certificate.too-large",
            Self::TooMany { .. } => "certificate.too-many",
            Self::Pem => "certificate.pem",
            Self::NoCertificate => "certificate.missing",
            Self::DuplicateExtension(_) => "certificate.duplicate-extension",
            Self::Key(inner) => inner.code(),
        }
    }

    /// The clause that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Malformed { .. } => Rule::new(5280, "4.1", "certificate"),
            Self::TooLarge { .. } | Self::TooMany { .. } => {
                Rule::new(5280, "4.1", "certificate size")
            }
            Self::Pem | Self::NoCertificate => Rule::new(7468, "5", "certificate text"),
            Self::DuplicateExtension(_) => Rule::new(5280, "4.2", "extensions"),
            Self::Key(inner) => inner.rule(),
        }
    }
}

fn hex(bytes: &[u8], separator: &str) -> String {
    bytes
        .iter()
        .map(|b| format!("{b:02X}"))
        .collect::<Vec<_>>()
        .join(separator)
}

pub(crate) const OID_SUBJECT_KEY_IDENTIFIER: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.5.29.14");
pub(crate) const OID_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
pub(crate) const OID_BASIC_CONSTRAINTS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.5.29.19");
pub(crate) const OID_AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.5.29.35");
