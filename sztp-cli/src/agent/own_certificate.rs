//! A certificate of the owner's for the device, an LDevID (RFC 9646): the key made for it, the request,
//! and the certificate once it has come within a configuration.
//!
//! `ldevid.key` in the state directory is there from before the request is sent, and a process that
//! goes on after another was killed uses it again. It goes when the machine says so, or with the state
//! that it belongs to.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::ValueEnum;
use serde::Deserialize;
use sztp_cms::{
    Certificate, CertificationRequestBuilder, KeyType, Limits, Signer, SigningKey, parse_certs_only,
};
use sztp_core::csr::{CsrRequest, CsrSupport, P10_CSR, algorithm_of, key_type_of};

use crate::failure::Failure;
use crate::files;

/// What the device offers to sign a request with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum CsrKey {
    /// The key of the IDevID; it is always among them
    ExistingKey,
    /// A new ECDSA key on P-256
    #[value(name = "ec-p256")]
    #[serde(rename = "ec-p256")]
    EcP256,
    /// A new ECDSA key on P-384
    #[value(name = "ec-p384")]
    #[serde(rename = "ec-p384")]
    EcP384,
    /// A new ECDSA key on P-521
    #[value(name = "ec-p521")]
    #[serde(rename = "ec-p521")]
    EcP521,
    /// A new Ed25519 key
    Ed25519,
    /// A new RSA key of 3072 bits
    Rsa,
}

/// What a device with these choices tells servers that it trusts (RFC 9646 §3.2); none where it has
/// no choice.
pub(super) fn support(keys: &[CsrKey]) -> Option<CsrSupport> {
    let algorithm = |key: &CsrKey| {
        algorithm_of(match key {
            CsrKey::ExistingKey => return None,
            CsrKey::EcP256 => KeyType::EcP256,
            CsrKey::EcP384 => KeyType::EcP384,
            CsrKey::EcP521 => KeyType::EcP521,
            CsrKey::Ed25519 => KeyType::Ed25519,
            CsrKey::Rsa => KeyType::Rsa3072,
        })
    };
    (!keys.is_empty()).then(|| CsrSupport {
        algorithm_identifiers: keys.iter().filter_map(algorithm).map(Into::into).collect(),
        formats: vec![P10_CSR.to_owned()],
    })
}

/// Who asks for a certificate: the device by its IDevID.
#[derive(Clone)]
pub(crate) struct Applicant {
    pub(super) idevid: Certificate,
    pub(super) key: Arc<dyn Signer>,
}

impl std::fmt::Debug for Applicant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Applicant")
            .field("idevid", &self.idevid.subject())
            .finish_non_exhaustive()
    }
}

/// The key and the certificate in the state directory.
#[derive(Debug)]
pub(super) struct OwnCertificate {
    applicant: Applicant,
    key: PathBuf,
    certificate: PathBuf,
}

impl OwnCertificate {
    pub(super) fn new(applicant: Applicant, state_dir: &Path) -> Self {
        Self {
            applicant,
            key: state_dir.join(KEY),
            certificate: state_dir.join(CERTIFICATE),
        }
    }

    /// A PKCS#10 as DER. The key is on disk before anybody can have the request.
    pub(super) fn request(&self, asked: &CsrRequest) -> Result<Vec<u8>, String> {
        let builder = match &asked.cert_req_info {
            Some(info) => CertificationRequestBuilder::from_info(info),
            None => CertificationRequestBuilder::like(&self.applicant.idevid),
        };
        let builder = builder.map_err(|error| error.to_string())?;
        let signed = match &asked.algorithm_identifier {
            None => builder.sign(self.applicant.key.as_ref()),
            Some(algorithm) => builder.sign(&self.key_for(algorithm)?),
        };
        signed.map_err(|error| error.to_string())
    }

    /// What belongs to it, by variable, key and path.
    pub(super) fn details(&self) -> Vec<(&'static str, &'static str, PathBuf)> {
        let mut details = Vec::new();
        if self.certificate.exists() {
            details.push(("SZTP_LDEVID_CERT", "ldevid-cert", self.certificate.clone()));
        }
        if self.key.exists() {
            details.push(("SZTP_LDEVID_KEY", "ldevid-key", self.key.clone()));
        }
        details
    }

    /// Keeps the certificate if it is in this configuration or script, followed by those above it.
    /// It is known by its key: nothing else says where in a configuration it stands.
    pub(super) fn look_in(&self, content: &[u8]) -> Result<(), Failure> {
        let own = files::read_key(&self.key, None).ok();
        let spki = match &own {
            Some(key) => key.spki_der(),
            None => self.applicant.key.spki_der(),
        };
        let mut found = certificates_in(content);
        let is_own = |one: &Certificate| one.spki_der() == spki && *one != self.applicant.idevid;
        let Some(index) = found.iter().position(is_own) else {
            return Ok(());
        };
        let mut chain = vec![found.swap_remove(index)];
        while let Some(last) = chain.last().filter(|last| !last.is_self_issued())
            && let Some(above) = found
                .iter()
                .position(|one| one.subject_der() == last.issuer_der())
        {
            chain.push(found.swap_remove(above));
        }
        let pem: String = chain.iter().map(Certificate::to_pem).collect();
        files::write(&self.certificate, pem.as_bytes())
    }

    pub(super) fn discard_key(&self) -> Result<(), Failure> {
        remove(&self.key)
    }

    pub(super) fn discard_certificate(&self) -> Result<(), Failure> {
        remove(&self.certificate)
    }

    /// The key that was made for such a request already, or a new one.
    fn key_for(&self, algorithm: &[u8]) -> Result<SigningKey, String> {
        let kind = key_type_of(algorithm).ok_or("a kind of key that is not known")?;
        if let Ok(key) = files::read_key(&self.key, None)
            && sztp_core::csr::key_algorithm_of(key.spki_der()).as_deref() == Some(algorithm)
        {
            return Ok(key);
        }
        let key = SigningKey::generate(kind).map_err(|error| error.to_string())?;
        let pem = key.to_pkcs8_pem().map_err(|error| error.to_string())?;
        files::write_private(&self.key, pem.as_bytes()).map_err(|failure| failure.to_string())?;
        Ok(key)
    }
}

/// Removes what is left of an earlier life of the device.
pub(super) fn forget(state_dir: &Path) -> Result<(), Failure> {
    remove(&state_dir.join(KEY))?;
    remove(&state_dir.join(CERTIFICATE))
}

fn remove(path: &Path) -> Result<(), Failure> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Failure::new("file.unwritable", format!("cannot be removed: {error}")).at(path))
        }
        _ => Ok(()),
    }
}

/// All certificates in a text: PEM and base64 of DER, of one certificate or of a certs-only CMS
/// (cert-data of RFC 9640), also where JSON has escaped what is between the lines.
fn certificates_in(content: &[u8]) -> Vec<Certificate> {
    let mut found: Vec<Certificate> = Vec::new();
    let mut at = 0;
    for _ in 0..MAX_BLOBS {
        let begins = |two: &[u8]| two == BEGINS;
        let Some(next) = content[at..].windows(BEGINS.len()).position(begins) else {
            break;
        };
        at += next;
        match der_at(&content[at..]) {
            Some((der, length)) => {
                let bag = match Certificate::from_der(&der) {
                    Ok(one) => vec![one],
                    Err(_) => parse_certs_only(&der, &Limits::default())
                        .map(|bag| bag.certificates().to_vec())
                        .unwrap_or_default(),
                };
                at += if bag.is_empty() { 1 } else { length };
                found.extend(bag);
            }
            None => at += 1,
        }
    }
    found
}

/// The DER SEQUENCE in base64 at the beginning of a text, and how much of the text it takes.
fn der_at(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let head = take_base64(text, 8)?.0;
    let (header, length) = match files::decode_base64(&head)?[..] {
        [0x30, 0x81, length, ..] => (3, usize::from(length)),
        [0x30, 0x82, high, low, ..] => (4, usize::from(u16::from_be_bytes([high, low]))),
        _ => return None,
    };
    let octets = header + length;
    // What it ends with may be without padding.
    let (digits, taken) = take_base64(text, (octets * 4).div_ceil(3))?;
    let der = files::decode_base64(&digits)?;
    (der.len() == octets).then_some((der, taken))
}

/// So many base64 digits, without what stands between lines, and how much of the text they take.
fn take_base64(text: &[u8], count: usize) -> Option<(Vec<u8>, usize)> {
    let mut digits = Vec::with_capacity(count);
    let mut at = 0;
    while digits.len() < count {
        match text[at..] {
            [b'\\', b'n' | b'r' | b't', ..] => at += 1,
            // A solidus may be escaped in JSON.
            [b'\\', b'/', ..] => {}
            [digit, ..] if digit.is_ascii_alphanumeric() || b"+/".contains(&digit) => {
                digits.push(digit);
            }
            [space, ..] if space.is_ascii_whitespace() => {}
            _ => return None,
        }
        at += 1;
    }
    Some((digits, at))
}

const KEY: &str = "ldevid.key";
const CERTIFICATE: &str = "ldevid.crt";

/// A DER SEQUENCE of more than 127 octets in base64.
const BEGINS: &[u8] = b"MI";

/// Places in a configuration that are looked at.
const MAX_BLOBS: usize = 10_000;

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    use sztp_cms::{CertificateBuilder, UnixTime, certs_only};

    fn certificate(name: &str, key_type: KeyType) -> Certificate {
        let key = SigningKey::generate(key_type).unwrap();
        CertificateBuilder::new(name)
            .validity(UnixTime::from_secs(0), None)
            .self_signed(&key)
            .unwrap()
    }

    #[test]
    fn certificates_are_found_however_they_are_written() {
        let (one, two) = (
            certificate("CN=one", KeyType::EcP256),
            certificate("CN=two", KeyType::Rsa2048),
        );
        let both = [one.clone(), two.clone()];
        let bag = certs_only(&both, &[]).unwrap();
        let (pem, escaped) = (one.to_pem(), one.to_pem().replace('\n', "\\n"));
        let wrapped: Vec<String> = STANDARD
            .encode(&bag)
            .as_bytes()
            .chunks(60)
            .map(|line| String::from_utf8_lossy(line).into_owned())
            .collect();
        for (text, expected) in [
            (format!("crypto\n{pem} and more MI text\n"), &both[..1]),
            (format!("{{\"pem\":\"{escaped}\"}}"), &both[..1]),
            (
                format!(
                    "{{\"c\":\"{}\"}}",
                    STANDARD.encode(&bag).replace('/', "\\/")
                ),
                &both[..],
            ),
            (format!("<c>\n  {}\n</c>", wrapped.join("\n  ")), &both[..]),
            (
                format!("MI {} word", STANDARD_NO_PAD.encode(two.as_der())),
                &both[1..],
            ),
            ("MIIB MI MIIMIIMII".to_owned(), &[]),
            (pem[..pem.len() / 2].to_owned(), &[]),
        ] {
            assert_eq!(certificates_in(text.as_bytes()), expected, "{text}");
        }
        assert!(certificates_in(&[b'M', b'I'].repeat(100_000)).is_empty());
    }

    #[test]
    fn what_is_offered() {
        assert_eq!(support(&[]), None);
        let offered = support(&[CsrKey::ExistingKey]).unwrap();
        assert!(offered.algorithm_identifiers.is_empty() && offered.formats == [P10_CSR]);
        let offered = support(&[CsrKey::EcP384, CsrKey::Rsa, CsrKey::ExistingKey]).unwrap();
        let kinds: Vec<_> = offered
            .algorithm_identifiers
            .iter()
            .filter_map(|one| key_type_of(one))
            .collect();
        assert_eq!(kinds, [KeyType::EcP384, KeyType::Rsa3072]);
    }
}
