//! Certification requests (PKCS #10, RFC 2986) as received: read, and proven to be made by whoever
//! holds the key.
//!
//! What a request asks for is not judged here: whoever issues certificates decides that.

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode as _, Encode as _, Reader as _, SliceReader, Tag, Tagged as _};
use spki::AlgorithmIdentifierOwned;

use crate::certificate::{OID_BASIC_CONSTRAINTS, name, sequence_body};
use crate::key::{PublicKey, SignatureError};
use crate::path::OID_SUBJECT_ALT_NAME;
use crate::{BasicConstraints, Certificate, KeyError, Rule, SignatureAlgorithm};

/// A request that is well-formed; nobody has proven anything by it yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificationRequest {
    der: Vec<u8>,
    /// DER CertificationRequestInfo, which is what is signed.
    info: Vec<u8>,
    subject: Vec<u8>,
    spki: Vec<u8>,
    extensions: Vec<RequestedExtension>,
    algorithm: AlgorithmIdentifierOwned,
    signature: Vec<u8>,
}

/// An extension that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedExtension {
    /// Which one.
    pub oid: ObjectIdentifier,
    /// Whether it is to be critical.
    pub critical: bool,
    /// The DER inside extnValue.
    pub value: Vec<u8>,
}

/// A request whose maker holds the key in it; only [`CertificationRequest::prove`] makes one.
///
/// ```compile_fail,E0451
/// use sztp_cms::{CertificationRequest, ProvenRequest};
///
/// fn forged(request: CertificationRequest, genuine: ProvenRequest) -> ProvenRequest {
///     ProvenRequest { request, ..genuine }
/// }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvenRequest {
    request: CertificationRequest,
    key: PublicKey,
}

impl CertificationRequest {
    /// Reads a DER CertificationRequest.
    pub fn from_der(octets: &[u8]) -> Result<Self, CertificationRequestError> {
        if octets.len() > MAX_OCTETS {
            return Err(CertificationRequestError::TooLarge { limit: MAX_OCTETS });
        }
        Self::read(octets).map_err(|_| CertificationRequestError::Malformed)
    }

    /// The DER, as received.
    pub fn as_der(&self) -> &[u8] {
        &self.der
    }

    /// Verifies the signature by the key that the request is for (RFC 2986 §4.2): whoever made it
    /// holds that key.
    pub fn prove(self) -> Result<ProvenRequest, CertificationRequestError> {
        let key = PublicKey::from_spki_der(&self.spki).map_err(CertificationRequestError::Key)?;
        let algorithm = SignatureAlgorithm::from_identifier(&self.algorithm)
            .map_err(|error| CertificationRequestError::Signature(SignatureError::from(error)))?;
        key.verify(algorithm, &self.info, &self.signature)
            .map_err(CertificationRequestError::Signature)?;
        Ok(ProvenRequest { request: self, key })
    }

    fn read(octets: &[u8]) -> Result<Self, der::Error> {
        let mut outer = SliceReader::new(octets)?;
        let request = outer.sequence(|request| {
            let info = AnyRef::decode(request)?;
            info.tag().assert_eq(Tag::Sequence)?;
            let algorithm = AlgorithmIdentifierOwned::decode(request)?;
            let signature = BitStringRef::decode(request)?;
            let signature = signature.as_bytes().ok_or(der::ErrorKind::Failed)?.to_vec();
            let (subject, spki, extensions) = read_info(info.value())?;
            Ok::<_, der::Error>(Self {
                der: octets.to_vec(),
                info: info.to_der()?,
                subject,
                spki,
                extensions,
                algorithm,
                signature,
            })
        })?;
        outer.finish()?;
        Ok(request)
    }
}

impl ProvenRequest {
    /// The DER, as received.
    pub fn as_der(&self) -> &[u8] {
        &self.request.der
    }

    /// The key that the certificate is wanted for.
    pub fn public_key(&self) -> &PublicKey {
        &self.key
    }

    /// Its DER SubjectPublicKeyInfo.
    pub fn spki_der(&self) -> &[u8] {
        &self.request.spki
    }

    /// The subject that is asked for, as text (RFC 4514).
    pub fn subject(&self) -> String {
        name::to_text(&self.request.subject)
    }

    /// The subject that is asked for, DER.
    pub fn subject_der(&self) -> &[u8] {
        &self.request.subject
    }

    /// All serialNumber attributes (2.5.4.5) of the subject; none inside for one that is no text.
    pub fn serial_number_attributes(&self) -> Vec<Option<String>> {
        name::attributes(&self.request.subject, name::SERIAL_NUMBER)
    }

    /// The extensions that are asked for.
    pub fn extensions(&self) -> &[RequestedExtension] {
        &self.request.extensions
    }

    /// Whether a certificate of an authority is asked for; an extension that cannot be read asks
    /// for one.
    pub fn asks_for_authority(&self) -> bool {
        self.extension(OID_BASIC_CONSTRAINTS).is_some_and(|value| {
            BasicConstraints::from_der(value).map_or(true, |constraints| constraints.ca)
        })
    }

    /// The names of the subjectAltName that is asked for, each the DER of a GeneralName; `Err`: it
    /// cannot be read.
    pub fn alternative_names(&self) -> Result<Vec<Vec<u8>>, CertificationRequestError> {
        let value = self.extension(OID_SUBJECT_ALT_NAME);
        value.map_or(Ok(Vec::new()), |value| {
            names(value).ok_or(CertificationRequestError::Malformed)
        })
    }

    fn extension(&self, oid: ObjectIdentifier) -> Option<&[u8]> {
        let mut extensions = self.request.extensions.iter();
        extensions
            .find(|extension| extension.oid == oid)
            .map(|extension| extension.value.as_slice())
    }
}

impl Certificate {
    /// The names of its subjectAltName, each the DER of a GeneralName; none if there is no such
    /// extension or it cannot be read.
    pub fn alternative_names(&self) -> Vec<Vec<u8>> {
        self.extension(OID_SUBJECT_ALT_NAME)
            .and_then(names)
            .unwrap_or_default()
    }
}

/// Why a request is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CertificationRequestError {
    /// Not a CertificationRequest in DER.
    #[error("no certification request (PKCS #10) in DER")]
    Malformed,
    /// Larger than can be meant.
    #[error("a certification request of more than {limit} octets")]
    TooLarge {
        /// The limit.
        limit: usize,
    },
    /// The key is of no kind that is accepted.
    #[error("the key that is to be certified: {0}")]
    Key(#[source] KeyError),
    /// The signature is not by that key.
    #[error("the key that is to be certified is not proven to be the requester's: {0}")]
    Signature(#[source] SignatureError),
}

impl CertificationRequestError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "certification-request.malformed",
            Self::TooLarge { .. } => "certification-request.too-large",
            Self::Key(inner) => inner.code(),
            Self::Signature(_) => "certification-request.not-proven",
        }
    }

    /// The clause that was broken.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Malformed | Self::TooLarge { .. } => {
                Rule::new(2986, "4.2", "CertificationRequest")
            }
            Self::Key(inner) => inner.rule(),
            Self::Signature(_) => Rule::new(2986, "4.2", "signature"),
        }
    }
}

type Info = (Vec<u8>, Vec<u8>, Vec<RequestedExtension>);

/// The content of a CertificationRequestInfo (RFC 2986 §4.1).
fn read_info(content: &[u8]) -> Result<Info, der::Error> {
    let mut info = SliceReader::new(content)?;
    if u8::decode(&mut info)? != 0 {
        return Err(der::ErrorKind::Failed.into());
    }
    let subject = AnyRef::decode(&mut info)?.to_der()?;
    name::check(&subject).ok_or(der::ErrorKind::Failed)?;
    let spki = AnyRef::decode(&mut info)?;
    spki.tag().assert_eq(Tag::Sequence)?;
    let spki = spki.to_der()?;
    let mut extensions = Vec::new();
    // Some makers leave the attributes out where there are none.
    if !info.is_finished() {
        let attributes = AnyRef::decode(&mut info)?;
        if !matches!(attributes.tag(), Tag::ContextSpecific { constructed: true, number } if number.value() == 0)
        {
            return Err(der::ErrorKind::Failed.into());
        }
        let mut attributes = SliceReader::new(attributes.value())?;
        while !attributes.is_finished() {
            let requested = attributes.sequence(read_attribute)?;
            if !requested.is_empty() && !extensions.is_empty() {
                return Err(der::ErrorKind::Failed.into());
            }
            extensions.extend(requested);
        }
    }
    info.finish()?;
    Ok((subject, spki, extensions))
}

/// The extensions that an attribute asks for; none of any other attribute.
fn read_attribute(attribute: &mut SliceReader<'_>) -> Result<Vec<RequestedExtension>, der::Error> {
    let oid = ObjectIdentifier::decode(attribute)?;
    let values = AnyRef::decode(attribute)?;
    values.tag().assert_eq(Tag::Set)?;
    if oid != EXTENSION_REQUEST {
        return Ok(Vec::new());
    }
    let mut values = SliceReader::new(values.value())?;
    let mut found: Vec<RequestedExtension> = Vec::new();
    values.sequence(|extensions| {
        while !extensions.is_finished() {
            let extension = extensions.sequence(read_extension)?;
            let is_again = found.iter().any(|known| known.oid == extension.oid);
            if is_again || found.len() >= MAX_EXTENSIONS {
                return Err(der::Error::from(der::ErrorKind::Failed));
            }
            found.push(extension);
        }
        Ok(())
    })?;
    values.finish()?;
    Ok(found)
}

fn read_extension(extension: &mut SliceReader<'_>) -> Result<RequestedExtension, der::Error> {
    let oid = ObjectIdentifier::decode(extension)?;
    let mut critical = false;
    let mut value = AnyRef::decode(extension)?;
    if value.tag() == Tag::Boolean {
        critical = value.decode_as::<bool>()?;
        value = AnyRef::decode(extension)?;
    }
    value.tag().assert_eq(Tag::OctetString)?;
    Ok(RequestedExtension {
        oid,
        critical,
        value: value.value().to_vec(),
    })
}

/// The GeneralNames of an extension value.
fn names(value: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut reader = SliceReader::new(sequence_body(value).ok()?).ok()?;
    let mut names = Vec::new();
    while !reader.is_finished() {
        if names.len() >= MAX_NAMES {
            return None;
        }
        names.push(AnyRef::decode(&mut reader).ok()?.to_der().ok()?);
    }
    Some(names)
}

/// extensionRequest (RFC 2985 §5.4.2).
const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");

/// A request has one key, one signature and a few names.
const MAX_OCTETS: usize = 32 * 1024;
const MAX_EXTENSIONS: usize = 32;
const MAX_NAMES: usize = 256;
