//! Certification requests (PKCS #10, RFC 2986): a device asking for a certificate.

use der::asn1::{AnyRef, BitString, BitStringRef, ObjectIdentifier};
use der::{Decode as _, Encode as _, Reader as _, SliceReader, Tagged as _};

use super::{IssueError, extension, integer, name_der, sequence, tlv};
use crate::certificate::OID_KEY_USAGE;
use crate::path::OID_SUBJECT_ALT_NAME;
use crate::{Certificate, Signer};

/// What a certification request is to say; then [`sign`](Self::sign).
#[derive(Debug, Clone)]
#[must_use]
pub struct CertificationRequestBuilder {
    /// DER of the subject.
    subject: Vec<u8>,
    extensions: Vec<Vec<u8>>,
    /// A CertificationRequestInfo to be kept to.
    given: Option<Given>,
}

#[derive(Debug, Clone)]
struct Given {
    info: Vec<u8>,
    spki: Vec<u8>,
    /// All that follows the key.
    rest: Vec<u8>,
}

impl CertificationRequestBuilder {
    /// A request for a subject in the text form of RFC 4514: `CN=x,serialNumber=y,O=z`.
    pub fn new(subject: &str) -> Result<Self, IssueError> {
        Ok(Self {
            subject: name_der(subject)?,
            extensions: Vec::new(),
            given: None,
        })
    }

    /// A request for a certificate of the structure of another: the same subject, names, keyUsage
    /// and extKeyUsage (RFC 9646 §3.2: as the existing identity certificate).
    pub fn like(certificate: &Certificate) -> Result<Self, IssueError> {
        let mut builder = Self {
            subject: certificate.subject_der().to_vec(),
            extensions: Vec::new(),
            given: None,
        };
        for found in certificate.extensions() {
            if [
                OID_KEY_USAGE,
                super::OID_EXT_KEY_USAGE,
                OID_SUBJECT_ALT_NAME,
            ]
            .contains(&found.oid)
            {
                builder = builder.extension(found.oid, found.critical, found.value)?;
            }
        }
        Ok(builder)
    }

    /// A request that keeps to a DER CertificationRequestInfo (RFC 2986 §4.1), to the octet if it is
    /// signed with the key that it names. With another key, one that was made for it, all of it but
    /// the key is kept.
    pub fn from_info(info: &[u8]) -> Result<Self, IssueError> {
        let mut outer = SliceReader::new(info)?;
        let (subject, spki, rest) = outer.sequence(|inner| {
            let version = u8::decode(inner)?;
            if version != 0 {
                return Err(der::ErrorKind::Value {
                    tag: der::Tag::Integer,
                }
                .into());
            }
            let subject = AnyRef::decode(inner)?;
            subject.tag().assert_eq(der::Tag::Sequence)?;
            let key = AnyRef::decode(inner)?;
            key.sequence(|key| {
                AnyRef::decode(key)?;
                BitStringRef::decode(key)
            })?;
            let mut rest = Vec::new();
            while !inner.is_finished() {
                rest.extend(AnyRef::decode(inner)?.to_der()?);
            }
            Ok::<_, der::Error>((subject.to_der()?, key.to_der()?, rest))
        })?;
        outer.finish()?;
        Ok(Self {
            subject,
            extensions: Vec::new(),
            given: Some(Given {
                info: info.to_vec(),
                spki,
                rest,
            }),
        })
    }

    /// Asks for domain names in subjectAltName.
    pub fn dns_names<S: AsRef<str>>(
        self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self, IssueError> {
        let names: Vec<Vec<u8>> = names
            .into_iter()
            .map(|name| tlv(0x82, name.as_ref().as_bytes()))
            .collect();
        self.extension(OID_SUBJECT_ALT_NAME, false, &sequence(&[&names.concat()]))
    }

    /// Asks for an extension; `value` is the DER inside extnValue. Information that was given stays
    /// as it is.
    pub fn extension(
        mut self,
        oid: ObjectIdentifier,
        critical: bool,
        value: &[u8],
    ) -> Result<Self, IssueError> {
        self.extensions.push(extension(oid, critical, value)?);
        Ok(self)
    }

    /// Signs with the key that is to be certified; the request as DER.
    pub fn sign(&self, key: &dyn Signer) -> Result<Vec<u8>, IssueError> {
        let info = match &self.given {
            Some(given) if given.spki == key.spki_der() => given.info.clone(),
            Some(given) => sequence(&[&integer(&[0]), &self.subject, key.spki_der(), &given.rest]),
            None => sequence(&[
                &integer(&[0]),
                &self.subject,
                key.spki_der(),
                &tlv(0xa0, &self.attributes()?),
            ]),
        };
        let algorithm = key.algorithm().identifier().and_then(|id| id.to_der())?;
        let signature = key.sign(&info).map_err(IssueError::Sign)?;
        let signature = BitString::from_bytes(&signature)?.to_der()?;
        Ok(sequence(&[&info, &algorithm, &signature]))
    }

    fn attributes(&self) -> Result<Vec<u8>, IssueError> {
        if self.extensions.is_empty() {
            return Ok(Vec::new());
        }
        let extensions = sequence(&[&self.extensions.concat()]);
        Ok(sequence(&[
            &EXTENSION_REQUEST.to_der()?,
            &tlv(0x31, &extensions),
        ]))
    }
}

/// extensionRequest (RFC 2985 §5.4.2).
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
