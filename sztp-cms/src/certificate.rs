//! X.509 certificates as they are received (RFC 5280 §4.1).
//!
//! The bytes are kept exactly as they came and the signature is later checked over those bytes,
//! never over a re-encoding. Reading is tolerant where a certificate is unusual but unambiguous
//! (version 1, long or negative serial numbers, `BOOLEAN` 01, names in old string types), since
//! devices carry such certificates for life. Whether a certificate is to be trusted is the
//! business of [`validate_path`](crate::validate_path).

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Range;
use std::sync::Arc;

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, TagNumber, Tagged};
use sha2::{Digest, Sha256};

use crate::{KeyError, PublicKey, Rule, UnixTime};

pub(crate) mod name;
mod time;

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
        if !contains(bytes, b"-----BEGIN ") {
            return Self::list_from_der(bytes);
        }
        let mut list = Vec::new();
        for (label, der) in pem_blocks(bytes)? {
            match label.as_str() {
                "CERTIFICATE" | "X509 CERTIFICATE" => list.push(Self::from_der(&der)?),
                "CMS" | "PKCS7" => list.extend(Self::list_from_der(&der)?),
                // Keys and parameters often share the file.
                _ => {}
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
        name::matches(self.issuer_der(), self.subject_der())
    }

    /// The subject's public key, if it is of a kind that can verify signatures here.
    pub fn public_key(&self) -> Result<PublicKey, CertificateError> {
        PublicKey::from_spki_der(self.spki_der()).map_err(CertificateError::Key)
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

/// One extension of a certificate (RFC 5280 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extension<'a> {
    /// What it is.
    pub oid: ObjectIdentifier,
    /// Whether who does not know it must refuse the certificate.
    pub critical: bool,
    /// The content of extnValue.
    pub value: &'a [u8],
}

/// The bits of keyUsage (RFC 5280 §4.2.1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyUsage(u16);

impl KeyUsage {
    /// digitalSignature (0).
    pub const DIGITAL_SIGNATURE: Self = Self(1 << 0);
    /// nonRepudiation, now contentCommitment (1).
    pub const NON_REPUDIATION: Self = Self(1 << 1);
    /// keyEncipherment (2).
    pub const KEY_ENCIPHERMENT: Self = Self(1 << 2);
    /// dataEncipherment (3).
    pub const DATA_ENCIPHERMENT: Self = Self(1 << 3);
    /// keyAgreement (4).
    pub const KEY_AGREEMENT: Self = Self(1 << 4);
    /// keyCertSign (5).
    pub const KEY_CERT_SIGN: Self = Self(1 << 5);
    /// cRLSign (6).
    pub const CRL_SIGN: Self = Self(1 << 6);

    /// Whether all bits of `other` are set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// digitalSignature is set.
    pub const fn digital_signature(self) -> bool {
        self.contains(Self::DIGITAL_SIGNATURE)
    }

    /// keyCertSign is set.
    pub const fn key_cert_sign(self) -> bool {
        self.contains(Self::KEY_CERT_SIGN)
    }

    /// cRLSign is set.
    pub const fn crl_sign(self) -> bool {
        self.contains(Self::CRL_SIGN)
    }

    /// The extension value, without trailing zero bits (X.690 §11.2.2).
    pub(crate) fn to_der(self) -> Vec<u8> {
        let mut octets = self.0.to_le_bytes().map(u8::reverse_bits).to_vec();
        while octets.last() == Some(&0) {
            octets.pop();
        }
        let unused = octets
            .last()
            .map_or(0, |last| last.trailing_zeros().to_le_bytes()[0]);
        let mut der = vec![0x03, octets.len().to_le_bytes()[0] + 1, unused];
        der.extend(octets);
        der
    }

    fn from_der(value: &[u8]) -> Result<Self, CertificateError> {
        let bits = BitStringRef::from_der(value).map_err(|_| malformed("keyUsage"))?;
        let mut usage = 0;
        for (index, octet) in bits.raw_bytes().iter().take(2).enumerate() {
            usage |= u16::from(octet.reverse_bits()) << (8 * index);
        }
        Ok(Self(usage))
    }
}

impl std::ops::BitOr for KeyUsage {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// The content of basicConstraints (RFC 5280 §4.2.1.9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BasicConstraints {
    /// The subject is a certificate authority.
    pub ca: bool,
    /// How many more authorities may follow below this one.
    pub path_len: Option<u32>,
}

impl BasicConstraints {
    fn from_der(value: &[u8]) -> Result<Self, CertificateError> {
        let bad = |_| malformed("basicConstraints");
        let mut reader = SliceReader::new(sequence_body(value)?).map_err(bad)?;
        let mut constraints = Self::default();
        if !reader.is_finished() && Tag::peek(&reader).map_err(bad)? == Tag::Boolean {
            constraints.ca = boolean(AnyRef::decode(&mut reader).map_err(bad)?)?;
        }
        if !reader.is_finished() {
            constraints.path_len = Some(u32::decode(&mut reader).map_err(bad)?);
        }
        reader.finish().map_err(bad)?;
        Ok(constraints)
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

/// Where the parts are in `der`.
struct Fields {
    der: Vec<u8>,
    version: u8,
    tbs: Range<usize>,
    serial: Range<usize>,
    inner_algorithm: Range<usize>,
    outer_algorithm: Range<usize>,
    issuer: Range<usize>,
    subject: Range<usize>,
    spki: Range<usize>,
    signature: Range<usize>,
    not_before: UnixTime,
    not_after: UnixTime,
    extensions: Vec<ExtensionField>,
    key_usage: Option<KeyUsage>,
    basic_constraints: Option<BasicConstraints>,
}

struct ExtensionField {
    oid: ObjectIdentifier,
    critical: bool,
    value: Range<usize>,
}

impl Fields {
    fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let at = |part: &[u8]| range_in(der, part);
        let body = sequence_body(der)?;
        let mut outer = reader(body, "certificate")?;
        let tbs = tlv(&mut outer, Tag::Sequence, "tbsCertificate")?;
        let outer_algorithm = tlv(&mut outer, Tag::Sequence, "signatureAlgorithm")?;
        let signature =
            BitStringRef::decode(&mut outer).map_err(|_| malformed("signatureValue"))?;
        outer.finish().map_err(|_| malformed("signatureValue"))?;
        let signature = signature
            .as_bytes()
            .ok_or_else(|| malformed("signatureValue"))?;

        let mut fields = reader(sequence_body(tbs)?, "tbsCertificate")?;
        let version = version(&mut fields)?;
        let serial = any(&mut fields, Tag::Integer, "serialNumber")?.value();
        if serial.is_empty() || serial.len() > MAX_SERIAL_BYTES {
            return Err(malformed("serialNumber"));
        }
        let inner_algorithm = tlv(&mut fields, Tag::Sequence, "signature")?;
        let issuer = tlv(&mut fields, Tag::Sequence, "issuer")?;
        let validity = tlv(&mut fields, Tag::Sequence, "validity")?;
        let subject = tlv(&mut fields, Tag::Sequence, "subject")?;
        let spki = tlv(&mut fields, Tag::Sequence, "subjectPublicKeyInfo")?;
        name::check(issuer).map_err(|()| malformed("issuer"))?;
        name::check(subject).map_err(|()| malformed("subject"))?;
        let (not_before, not_after) = time::validity(sequence_body(validity)?)?;

        let mut extensions = Vec::new();
        while !fields.is_finished() {
            let field = AnyRef::decode(&mut fields).map_err(|_| malformed("tbsCertificate"))?;
            if is_context(field.tag(), 3) {
                read_extensions(der, field.value(), &mut extensions)?;
                fields.finish().map_err(|_| malformed("extensions"))?;
                break;
            } else if !is_context(field.tag(), 1) && !is_context(field.tag(), 2) {
                return Err(malformed("tbsCertificate"));
            }
        }
        // Only version 3 has extensions (RFC 5280 §4.1.2.9).
        if version < 3 && !extensions.is_empty() {
            return Err(malformed("version"));
        }
        let value_of = |oid| {
            extensions
                .iter()
                .find(|e| e.oid == oid)
                .map(|e| &der[e.value.clone()])
        };
        let key_usage = value_of(OID_KEY_USAGE)
            .map(KeyUsage::from_der)
            .transpose()?;
        let basic_constraints = value_of(OID_BASIC_CONSTRAINTS)
            .map(BasicConstraints::from_der)
            .transpose()?;
        Ok(Self {
            version,
            tbs: at(tbs),
            serial: at(serial),
            inner_algorithm: at(inner_algorithm),
            outer_algorithm: at(outer_algorithm),
            issuer: at(issuer),
            subject: at(subject),
            spki: at(spki),
            signature: at(signature),
            not_before,
            not_after,
            extensions,
            key_usage,
            basic_constraints,
            der: der.to_vec(),
        })
    }

    fn slice(&self, range: &Range<usize>) -> &[u8] {
        &self.der[range.clone()]
    }
}

fn version(fields: &mut SliceReader<'_>) -> Result<u8, CertificateError> {
    let bad = |_| malformed("version");
    if !is_context(Tag::peek(fields).map_err(bad)?, 0) {
        return Ok(1);
    }
    let field = AnyRef::decode(fields).map_err(bad)?;
    match u8::from_der(field.value()).map_err(bad)? {
        number @ 0..=2 => Ok(number + 1),
        _ => Err(malformed("version")),
    }
}

fn read_extensions(
    der: &[u8],
    content: &[u8],
    list: &mut Vec<ExtensionField>,
) -> Result<(), CertificateError> {
    let bad = |_| malformed("extensions");
    let mut all = reader(sequence_body(content)?, "extensions")?;
    while !all.is_finished() {
        let one = any(&mut all, Tag::Sequence, "extensions")?;
        let mut fields = reader(one.value(), "extensions")?;
        let oid = ObjectIdentifier::decode(&mut fields).map_err(bad)?;
        let mut critical = false;
        if Tag::peek(&fields).map_err(bad)? == Tag::Boolean {
            critical = boolean(AnyRef::decode(&mut fields).map_err(bad)?)?;
        }
        let value = any(&mut fields, Tag::OctetString, "extensions")?.value();
        fields.finish().map_err(bad)?;
        if list.len() == MAX_EXTENSIONS {
            return Err(malformed("extensions"));
        }
        if list.iter().any(|known| known.oid == oid) {
            return Err(CertificateError::DuplicateExtension(oid));
        }
        list.push(ExtensionField {
            oid,
            critical,
            value: range_in(der, value),
        });
    }
    Ok(())
}

/// A `BOOLEAN`: DER says FF, some encoders write 01, and both mean true.
fn boolean(value: AnyRef<'_>) -> Result<bool, CertificateError> {
    match value.value() {
        [octet] => Ok(*octet != 0),
        _ => Err(malformed("BOOLEAN")),
    }
}

/// The content of a SEQUENCE that fills `der`.
pub(crate) fn sequence_body(der: &[u8]) -> Result<&[u8], CertificateError> {
    let value = AnyRef::from_der(der).map_err(|_| malformed("SEQUENCE"))?;
    if value.tag() == Tag::Sequence {
        Ok(value.value())
    } else {
        Err(malformed("SEQUENCE"))
    }
}

/// Whether `tag` is context-specific with this number, primitive or constructed.
pub(crate) fn is_context(tag: Tag, wanted: u32) -> bool {
    matches!(tag, Tag::ContextSpecific { number, .. } if number == TagNumber(wanted))
}

fn reader<'a>(bytes: &'a [u8], what: &'static str) -> Result<SliceReader<'a>, CertificateError> {
    SliceReader::new(bytes).map_err(|_| malformed(what))
}

fn any<'a>(
    reader: &mut SliceReader<'a>,
    tag: Tag,
    what: &'static str,
) -> Result<AnyRef<'a>, CertificateError> {
    let value = AnyRef::decode(reader).map_err(|_| malformed(what))?;
    if value.tag() == tag {
        Ok(value)
    } else {
        Err(malformed(what))
    }
}

fn tlv<'a>(
    reader: &mut SliceReader<'a>,
    tag: Tag,
    what: &'static str,
) -> Result<&'a [u8], CertificateError> {
    if Tag::peek(reader).map_err(|_| malformed(what))? != tag {
        return Err(malformed(what));
    }
    reader.tlv_bytes().map_err(|_| malformed(what))
}

/// Where `part`, a sub-slice of `whole`, lies in it.
fn range_in(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize);
    start..start + part.len()
}

fn malformed(what: &'static str) -> CertificateError {
    CertificateError::Malformed { what }
}

fn hex(bytes: &[u8], separator: &str) -> String {
    bytes
        .iter()
        .map(|b| format!("{b:02X}"))
        .collect::<Vec<_>>()
        .join(separator)
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack
        .windows(needle.len())
        .any(|window| window == needle)
}

/// The PEM blocks of a file, label and content; text around them is skipped (RFC 7468 §2).
fn pem_blocks(bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>, CertificateError> {
    use base64::Engine;
    let text = String::from_utf8_lossy(bytes);
    let mut blocks = Vec::new();
    let mut rest: &str = &text;
    while let Some(start) = rest.find("-----BEGIN ") {
        rest = &rest[start + "-----BEGIN ".len()..];
        let (label, tail) = rest.split_once("-----").ok_or(CertificateError::Pem)?;
        let end = format!("-----END {label}-----");
        let (body, tail) = tail.split_once(&end).ok_or(CertificateError::Pem)?;
        // Only certificates are of interest; encrypted keys have header lines in their body.
        if matches!(label, "CERTIFICATE" | "X509 CERTIFICATE" | "CMS" | "PKCS7") {
            let body: String = body.chars().filter(|c| !c.is_whitespace()).collect();
            let der = base64::engine::general_purpose::STANDARD
                .decode(body)
                .map_err(|_| CertificateError::Pem)?;
            blocks.push((label.to_owned(), der));
        }
        rest = tail;
    }
    Ok(blocks)
}

const MAX_SERIAL_BYTES: usize = 64;

/// The most extensions of a certificate: finding one that is there twice takes the square of it.
const MAX_EXTENSIONS: usize = 128;

pub(crate) const OID_SUBJECT_KEY_IDENTIFIER: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.5.29.14");
pub(crate) const OID_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
pub(crate) const OID_BASIC_CONSTRAINTS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.5.29.19");
pub(crate) const OID_AUTHORITY_KEY_IDENTIFIER: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.5.29.35");
