//! Issuing certificates (RFC 5280 §4): lab PKIs, a MASA's own chain, tests.
//!
//! Every certificate is version 3 with a random serial number and both key identifiers. A CA that
//! issues to the public wants more than this; nothing here keeps records or revokes.

mod request;

use std::net::IpAddr;

use der::asn1::{Any, BitString, ObjectIdentifier};
use der::{Decode, Encode, Tag};
use sha2::{Digest, Sha256};
use spki::SubjectPublicKeyInfoRef;

use crate::certificate::{
    OID_AUTHORITY_KEY_IDENTIFIER, OID_BASIC_CONSTRAINTS, OID_KEY_USAGE, OID_SUBJECT_KEY_IDENTIFIER,
    name,
};
use crate::path::OID_SUBJECT_ALT_NAME;
use crate::{
    Certificate, CertificateError, KeyUsage, ProvenRequest, Rule, SignatureError, Signer, UnixTime,
};

pub use self::request::CertificationRequestBuilder;

/// What a certificate is to say; then [`self_signed`](Self::self_signed) or
/// [`issued_by`](Self::issued_by).
///
/// Without [`validity`](Self::validity) it holds from 1970 and has no end, as an IDevID's
/// (IEEE 802.1AR §8.7).
#[derive(Debug, Clone)]
#[must_use]
pub struct CertificateBuilder {
    subject: Subject,
    not_before: UnixTime,
    not_after: Option<UnixTime>,
    ca: Option<PathLength>,
    key_usage: Option<KeyUsage>,
    extended_key_usage: Vec<ObjectIdentifier>,
    names: Vec<Vec<u8>>,
    extra: Vec<(ObjectIdentifier, bool, Vec<u8>)>,
}

#[derive(Debug, Clone)]
enum Subject {
    Text(String),
    Der(Vec<u8>),
}

/// How many authorities may follow below; none: any number.
type PathLength = Option<u32>;

impl CertificateBuilder {
    /// A certificate for a subject in the text form of RFC 4514: `CN=x,serialNumber=y,O=z`.
    pub fn new(subject: impl Into<String>) -> Self {
        Self::of(Subject::Text(subject.into()))
    }

    /// A certificate for the subject that a request asks for, octet for octet.
    pub fn for_request(request: &ProvenRequest) -> Self {
        Self::of(Subject::Der(request.subject_der().to_vec()))
    }

    fn of(subject: Subject) -> Self {
        Self {
            subject,
            not_before: UnixTime::from_secs(0),
            not_after: None,
            ca: None,
            key_usage: None,
            extended_key_usage: Vec::new(),
            names: Vec::new(),
            extra: Vec::new(),
        }
    }

    /// From when to when; without an end 99991231235959Z is written (RFC 5280 §4.1.2.5).
    pub fn validity(mut self, not_before: UnixTime, not_after: Option<UnixTime>) -> Self {
        (self.not_before, self.not_after) = (not_before, not_after);
        self
    }

    /// Makes it an authority with a limit on the authorities below, if any; keyUsage is then
    /// keyCertSign and cRLSign unless said otherwise.
    pub fn ca(mut self, path_len: Option<u32>) -> Self {
        self.ca = Some(path_len);
        self
    }

    /// Sets keyUsage (critical).
    pub fn key_usage(mut self, usage: KeyUsage) -> Self {
        self.key_usage = Some(usage);
        self
    }

    /// Adds serverAuth to extKeyUsage.
    pub fn extended_key_usage_server_auth(mut self) -> Self {
        self.extended_key_usage.push(SERVER_AUTH);
        self
    }

    /// Adds clientAuth to extKeyUsage.
    pub fn extended_key_usage_client_auth(mut self) -> Self {
        self.extended_key_usage.push(CLIENT_AUTH);
        self
    }

    /// Adds domain names to subjectAltName.
    pub fn dns_names<S: AsRef<str>>(mut self, names: impl IntoIterator<Item = S>) -> Self {
        self.names
            .extend(names.into_iter().map(|n| tlv(0x82, n.as_ref().as_bytes())));
        self
    }

    /// Adds names to subjectAltName, each the DER of a GeneralName.
    pub fn alternative_names(mut self, names: impl IntoIterator<Item = Vec<u8>>) -> Self {
        self.names.extend(names);
        self
    }

    /// Adds IP addresses to subjectAltName.
    pub fn ip_addresses(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.names
            .extend(addresses.into_iter().map(|address| match address {
                IpAddr::V4(v4) => tlv(0x87, &v4.octets()),
                IpAddr::V6(v6) => tlv(0x87, &v6.octets()),
            }));
        self
    }

    /// Adds any other extension; `value` is the DER inside extnValue.
    pub fn extension(mut self, oid: ObjectIdentifier, critical: bool, value: Vec<u8>) -> Self {
        self.extra.push((oid, critical, value));
        self
    }

    /// Signs with the subject's own key.
    pub fn self_signed(&self, key: &dyn Signer) -> Result<Certificate, IssueError> {
        let subject = self.subject.to_der()?;
        let key_id = key_id(key.spki_der())?;
        self.sign(&subject, &subject, &key_id, key.spki_der(), key)
    }

    /// Issues for the subject's public key under another certificate and its key.
    pub fn issued_by(
        &self,
        subject_spki_der: &[u8],
        issuer: &Certificate,
        issuer_key: &dyn Signer,
    ) -> Result<Certificate, IssueError> {
        if issuer.spki_der() != issuer_key.spki_der() {
            return Err(IssueError::KeyMismatch {
                issuer: issuer.subject(),
            });
        }
        let subject = self.subject.to_der()?;
        let issuer_id = match issuer.subject_key_id() {
            Some(id) => id.to_vec(),
            None => key_id(issuer.spki_der())?,
        };
        self.sign(
            &subject,
            issuer.subject_der(),
            &issuer_id,
            subject_spki_der,
            issuer_key,
        )
    }

    fn sign(
        &self,
        subject: &[u8],
        issuer: &[u8],
        issuer_id: &[u8],
        spki: &[u8],
        key: &dyn Signer,
    ) -> Result<Certificate, IssueError> {
        if self.not_after.is_some_and(|end| end < self.not_before) {
            return Err(IssueError::Validity);
        }
        let algorithm = key.algorithm().identifier().and_then(|id| id.to_der())?;
        let tbs = sequence(&[
            &tlv(0xa0, &integer(&[2])),
            &integer(&random_serial()?),
            &algorithm,
            issuer,
            &sequence(&[
                &time(self.not_before)?,
                &time(self.not_after.unwrap_or(NO_END))?,
            ]),
            subject,
            spki,
            &tlv(
                0xa3,
                &sequence(&[&self.extensions(issuer_id, spki)?.concat()]),
            ),
        ]);
        let signature = key.sign(&tbs).map_err(IssueError::Sign)?;
        let signature = BitString::from_bytes(&signature)?.to_der()?;
        Ok(Certificate::from_der(&sequence(&[
            &tbs, &algorithm, &signature,
        ]))?)
    }

    fn extensions(&self, issuer_id: &[u8], spki: &[u8]) -> Result<Vec<Vec<u8>>, IssueError> {
        let mut list = Vec::new();
        if let Some(path_len) = self.ca {
            let limit = path_len
                .map(|n| integer(&n.to_be_bytes()))
                .unwrap_or_default();
            list.push(extension(
                OID_BASIC_CONSTRAINTS,
                true,
                &sequence(&[&TRUE, &limit]),
            )?);
        }
        let usage = self.key_usage.or_else(|| {
            self.ca
                .map(|_| KeyUsage::KEY_CERT_SIGN | KeyUsage::CRL_SIGN)
        });
        if let Some(usage) = usage {
            list.push(extension(OID_KEY_USAGE, true, &usage.to_der())?);
        }
        if !self.extended_key_usage.is_empty() {
            let purposes: Result<Vec<_>, _> =
                self.extended_key_usage.iter().map(Encode::to_der).collect();
            list.push(extension(
                OID_EXT_KEY_USAGE,
                false,
                &sequence(&[&purposes?.concat()]),
            )?);
        }
        if !self.names.is_empty() {
            // RFC 5280 §4.2.1.6: critical where there is no subject.
            let is_all = matches!(&self.subject, Subject::Der(der) if der[..] == EMPTY_NAME);
            list.push(extension(
                OID_SUBJECT_ALT_NAME,
                is_all,
                &sequence(&[&self.names.concat()]),
            )?);
        }
        list.push(extension(
            OID_SUBJECT_KEY_IDENTIFIER,
            false,
            &tlv(0x04, &key_id(spki)?),
        )?);
        let authority = sequence(&[&tlv(0x80, issuer_id)]);
        list.push(extension(OID_AUTHORITY_KEY_IDENTIFIER, false, &authority)?);
        for (oid, critical, value) in &self.extra {
            list.push(extension(*oid, *critical, value)?);
        }
        Ok(list)
    }
}

impl Subject {
    fn to_der(&self) -> Result<Vec<u8>, IssueError> {
        match self {
            Self::Text(text) => name_der(text),
            Self::Der(der) => Ok(der.clone()),
        }
    }
}

/// Why a certificate could not be issued.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IssueError {
    /// The subject is not a name in the form of RFC 4514.
    #[error("\"{text}\" is not a distinguished name like CN=x,O=y")]
    Name {
        /// The part that could not be read.
        text: String,
    },
    /// The end lies before the start, or a time outside the years 0 to 9999.
    #[error("validity that ends before it starts, or is out of range")]
    Validity,
    /// The issuer's key is not that of the issuer's certificate.
    #[error("the signing key does not belong to the certificate of \"{issuer}\"")]
    KeyMismatch {
        /// Whose certificate.
        issuer: String,
    },
    /// The system has no randomness for a serial number.
    #[error("no randomness available")]
    Random,
    /// A part could not be encoded.
    #[error("cannot be encoded: {0}")]
    Encoding(#[from] der::Error),
    /// The signer refused.
    #[error(transparent)]
    Sign(SignatureError),
    /// What was made is not a certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

impl IssueError {
    /// A stable name for scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "issue.name",
            Self::Validity => "issue.validity",
            Self::KeyMismatch { .. } => "issue.key-mismatch",
            Self::Random => "issue.random",
            Self::Encoding(_) => "issue.encoding",
            Self::Sign(inner) => inner.code(),
            Self::Certificate(inner) => inner.code(),
        }
    }

    /// The clause that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Name { .. } => Rule::new(4514, "2", "distinguished name"),
            Self::Validity => Rule::new(5280, "4.1.2.5", "validity"),
            Self::KeyMismatch { .. } => Rule::new(5280, "4.1.2.4", "issuer"),
            Self::Random => Rule::new(5280, "4.1.2.2", "serialNumber"),
            Self::Encoding(_) => Rule::new(5280, "4.1", "encoding"),
            Self::Sign(inner) => inner.rule(),
            Self::Certificate(inner) => inner.rule(),
        }
    }
}

/// The leftmost 160 bits of the key's SHA-256 (RFC 7093 §2, method 1).
fn key_id(spki: &[u8]) -> Result<Vec<u8>, IssueError> {
    let spki = SubjectPublicKeyInfoRef::from_der(spki)?;
    Ok(Sha256::digest(spki.subject_public_key.raw_bytes())[..20].to_vec())
}

/// 16 octets, positive, never zero (RFC 5280 §4.1.2.2).
fn random_serial() -> Result<[u8; 16], IssueError> {
    let mut serial = [0; 16];
    getrandom::fill(&mut serial).map_err(|_| IssueError::Random)?;
    serial[0] = serial[0] & 0x7f | 0x40;
    Ok(serial)
}

/// UTCTime through 2049, then GeneralizedTime (RFC 5280 §4.1.2.5).
fn time(at: UnixTime) -> Result<Vec<u8>, IssueError> {
    if !(YEAR_0..=NO_END.secs()).contains(&at.secs()) {
        return Err(IssueError::Validity);
    }
    // "2026-11-24T12:00:00Z" without its punctuation.
    let text = at.to_string().replace(['-', ':', 'T'], "");
    if (YEAR_1950..YEAR_2050).contains(&at.secs()) {
        Ok(tlv(0x17, &text.as_bytes()[2..]))
    } else {
        Ok(tlv(0x18, text.as_bytes()))
    }
}

/// Encodes a name written as RFC 4514 has it: the last relative name of the encoding comes first.
fn name_der(text: &str) -> Result<Vec<u8>, IssueError> {
    let mut names = Vec::new();
    for relative in split_unescaped(text, ',')
        .into_iter()
        .filter(|_| !text.is_empty())
    {
        let mut attributes = Vec::new();
        for pair in split_unescaped(relative, '+') {
            attributes.push(attribute_der(pair.trim_start())?);
        }
        // DER sorts a SET OF.
        attributes.sort();
        names.push(tlv(0x31, &attributes.concat()));
    }
    names.reverse();
    Ok(sequence(&[&names.concat()]))
}

fn attribute_der(pair: &str) -> Result<Vec<u8>, IssueError> {
    let bad = || IssueError::Name {
        text: pair.to_owned(),
    };
    let (label, value) = pair.split_once('=').ok_or_else(bad)?;
    let known = name::LABELS
        .iter()
        .find(|(_, known)| known.eq_ignore_ascii_case(label.trim()));
    let oid = match known {
        Some((oid, _)) => *oid,
        None => ObjectIdentifier::new(label.trim()).map_err(|_| bad())?,
    };
    let value = unescaped(value).ok_or_else(bad)?;
    let tag = match known.map(|(_, label)| *label) {
        // Types that RFC 5280 appendix A fixes.
        Some("C" | "serialNumber") if is_printable(&value) => Tag::PrintableString,
        Some("DC" | "emailAddress") if value.is_ascii() => Tag::Ia5String,
        _ => Tag::Utf8String,
    };
    if value.is_empty() {
        return Err(bad());
    }
    Ok(sequence(&[
        &oid.to_der()?,
        &Any::new(tag, value.as_bytes())?.to_der()?,
    ]))
}

fn split_unescaped(text: &str, separator: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, character) in text.char_indices() {
        if !escaped && character == separator {
            parts.push(&text[start..index]);
            start = index + separator.len_utf8();
        }
        escaped = !escaped && character == '\\';
    }
    parts.push(&text[start..]);
    parts
}

/// RFC 4514 §3: a backslash before a character, or before two hexadecimal digits.
fn unescaped(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut rest = text.trim_start().as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'\\' {
            out.push(*first);
            continue;
        }
        let pair = rest.get(..2).and_then(|p| std::str::from_utf8(p).ok());
        if let Some(octet) = pair.and_then(|p| {
            (p.bytes().all(|b| b.is_ascii_hexdigit()))
                .then(|| u8::from_str_radix(p, 16).ok())
                .flatten()
        }) {
            out.push(octet);
            rest = &rest[2..];
        } else {
            out.push(*rest.first()?);
            rest = &rest[1..];
        }
    }
    String::from_utf8(out).ok()
}

fn is_printable(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_alphanumeric() || b" '()+,-./:=?".contains(&b))
}

fn extension(oid: ObjectIdentifier, critical: bool, value: &[u8]) -> Result<Vec<u8>, IssueError> {
    let critical: &[u8] = if critical { &TRUE } else { &[] };
    Ok(sequence(&[&oid.to_der()?, critical, &tlv(0x04, value)]))
}

fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    tlv(0x30, &parts.concat())
}

/// A non-negative INTEGER from big-endian octets.
fn integer(octets: &[u8]) -> Vec<u8> {
    let start = octets
        .iter()
        .position(|b| *b != 0)
        .unwrap_or(octets.len().saturating_sub(1));
    let mut content = octets[start..].to_vec();
    if content.first().is_none_or(|b| b & 0x80 != 0) {
        content.insert(0, 0);
    }
    tlv(0x02, &content)
}

/// One DER element with a definite length.
fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![tag];
    let length = content.len().to_be_bytes();
    if content.len() < 128 {
        out.push(length[length.len() - 1]);
    } else {
        let start = length.iter().position(|b| *b != 0).unwrap_or(0);
        let octets = &length[start..];
        out.push(0x80 | octets.len().to_le_bytes()[0]);
        out.extend_from_slice(octets);
    }
    out.extend_from_slice(content);
    out
}

const TRUE: [u8; 3] = [0x01, 0x01, 0xff];
const EMPTY_NAME: [u8; 2] = [0x30, 0];

/// 9999-12-31T23:59:59Z.
const NO_END: UnixTime = UnixTime::from_secs(253_402_300_799);
const YEAR_0: i64 = -62_167_219_200;
const YEAR_1950: i64 = -631_152_000;
const YEAR_2050: i64 = 2_524_608_000;

const OID_EXT_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const SERVER_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.1");
const CLIENT_AUTH: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.2");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_text() {
        for text in [
            "CN=x",
            "CN=device,serialNumber=JADA123456789,O=Example\\, Inc.",
            "C=FI,O=\u{c4}\u{f6}",
            "CN=a\\+b",
            "",
        ] {
            assert_eq!(name::to_text(&name_der(text).unwrap()), text);
        }
        assert_eq!(name::to_text(&name_der("cn=x, o=y").unwrap()), "CN=x,O=y");
        for text in ["x", "CN=", "CN=x,", "NOSUCH=x", "CN=\\"] {
            assert!(
                matches!(name_der(text), Err(IssueError::Name { .. })),
                "{text}"
            );
        }
    }

    #[test]
    fn integers_and_lengths() {
        assert_eq!(integer(&[0, 0]), [2, 1, 0]);
        assert_eq!(integer(&[0, 0x80]), [2, 2, 0, 0x80]);
        assert_eq!(tlv(4, &[0; 128])[..3], [4, 0x81, 128]);
        assert_eq!(tlv(4, &[0; 256])[..4], [4, 0x82, 1, 0]);
    }
}
