//! EnvelopedData (RFC 5652 §6): content encrypted for the holders of certificates, read, decrypted
//! and made. AuthEnvelopedData (RFC 5083), which RFC 8572 does not list, only where asked for.
//!
//! RFC 8572 §3.4 signs first and encrypts the result, so the content of an encrypted artifact is
//! SignedData (or unsigned conveyed information). Encryption hides; it does not authenticate.

mod algorithm;
mod build;
mod content;
mod decrypt;
mod recipient;

use der::asn1::ObjectIdentifier;

pub use self::algorithm::ContentCipher;
use self::algorithm::{Algorithm, CONTEXT_2};
pub use self::build::{EnvelopedDataBuilder, RecipientId};
use self::content::ContentEncryption;
pub use self::decrypt::{DecryptOptions, DecryptedContent, DecryptionPolicy};
pub use self::recipient::Recipient;
use crate::ber::{self, Reader, encode};
use crate::content_info::oid;
use crate::error::malformed;
use crate::{CmsError, ContentInfo, Limits, oids};

/// A well-formed encrypted message. [`decrypt`](Self::decrypt) opens it.
///
/// ```
/// use sztp_cms::{
///     CertificateBuilder, DecryptOptions, EnvelopedData, EnvelopedDataBuilder, KeyType, Limits,
///     SignedDataBuilder, SigningKey, oids,
/// };
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let owner_key = SigningKey::generate(KeyType::EcP256)?;
/// let owner = CertificateBuilder::new("CN=owner").self_signed(&owner_key)?;
/// let device_key = SigningKey::generate(KeyType::EcP384)?;
/// let device = CertificateBuilder::new("CN=device").self_signed(&device_key)?;
///
/// // Sign, then encrypt (RFC 8572 §3.4).
/// let signed = SignedDataBuilder::new(oids::SZTP_CONVEYED_INFO_JSON, b"{}")
///     .sign(&owner_key, &owner)?;
/// let encrypted = EnvelopedDataBuilder::around(&signed, &Limits::default())?
///     .recipient(device.clone())
///     .encrypt()?;
///
/// let message = EnvelopedData::parse(&encrypted, &Limits::default())?;
/// let opened = message.decrypt(&device_key, &device, &DecryptOptions::default())?;
/// assert_eq!(opened.to_message(), signed); // whose signature is yet to be verified
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct EnvelopedData {
    content_type: ObjectIdentifier,
    recipients: Vec<Recipient>,
    algorithm: Algorithm,
    encrypted: Vec<u8>,
    /// Whether it is AuthEnvelopedData.
    authenticated: bool,
    /// The content of authAttrs, as received.
    attributes: Option<Vec<u8>>,
    tag: Vec<u8>,
}

impl EnvelopedData {
    /// Reads a message in DER or BER that must be EnvelopedData or AuthEnvelopedData.
    pub fn parse(octets: &[u8], limits: &Limits) -> Result<Self, CmsError> {
        match ContentInfo::parse(octets, limits)? {
            ContentInfo::EnvelopedData(enveloped) => Ok(enveloped),
            ContentInfo::SignedData(_) => Err(CmsError::NotEnvelopedData(oids::ID_SIGNED_DATA)),
            ContentInfo::Octets { content_type, .. } | ContentInfo::Other(content_type) => {
                Err(CmsError::NotEnvelopedData(content_type))
            }
        }
    }

    /// What the encrypted content says it is; not encrypted, and nothing vouches for it.
    pub fn content_type(&self) -> ObjectIdentifier {
        self.content_type
    }

    /// For whom it is encrypted.
    pub fn recipients(&self) -> &[Recipient] {
        &self.recipients
    }

    /// How the content is encrypted; none if that is not known here.
    pub fn content_cipher(&self) -> Option<ContentCipher> {
        ContentCipher::from_oid(self.algorithm.oid)
    }

    /// Whether it is AuthEnvelopedData (RFC 5083), which is no SZTP form.
    pub fn is_auth_enveloped_data(&self) -> bool {
        self.authenticated
    }

    /// The type of the message itself.
    pub(crate) fn message_type(&self) -> ObjectIdentifier {
        if self.authenticated {
            oids::ID_AUTH_ENVELOPED_DATA
        } else {
            oids::ID_ENVELOPED_DATA
        }
    }

    /// Reads the inside of a ContentInfo that has definite lengths.
    pub(crate) fn read(content: &[u8], limits: &Limits) -> Result<Self, CmsError> {
        const WHAT: &str = "EnvelopedData";
        let mut fields = inside(content, WHAT)?;
        match fields.expect(ber::INTEGER, "version")?.body {
            [0 | 2 | 3 | 4] => {}
            _ => return Err(malformed("version")),
        }
        let mut enveloped = Self::read_common(&mut fields, limits)?;
        // Unprotected attributes prove nothing and are not used.
        fields.optional(ber::CONTEXT_1, "unprotectedAttrs")?;
        fields.finish(WHAT)?;
        enveloped.authenticated = false;
        Ok(enveloped)
    }

    /// The same for AuthEnvelopedData (RFC 5083 §2.1).
    pub(crate) fn read_authenticated(content: &[u8], limits: &Limits) -> Result<Self, CmsError> {
        const WHAT: &str = "AuthEnvelopedData";
        let mut fields = inside(content, WHAT)?;
        if fields.expect(ber::INTEGER, "version")?.body != [0] {
            return Err(malformed("version"));
        }
        let mut enveloped = Self::read_common(&mut fields, limits)?;
        enveloped.authenticated = true;
        enveloped.attributes = fields
            .optional(ber::CONTEXT_1, "authAttrs")?
            .map(|attributes| attributes.body.to_vec());
        enveloped.tag = fields.expect(ber::OCTET_STRING, "mac")?.body.to_vec();
        fields.optional(CONTEXT_2, "unauthAttrs")?;
        fields.finish(WHAT)?;
        enveloped.check_content_type_attribute()?;
        Ok(enveloped)
    }

    /// The fields that both forms share: originatorInfo, recipientInfos, encryptedContentInfo.
    fn read_common(fields: &mut Reader<'_>, limits: &Limits) -> Result<Self, CmsError> {
        const WHAT: &str = "encryptedContentInfo";
        fields.optional(ber::CONTEXT_0, "originatorInfo")?;
        let recipients = fields.expect(ber::SET, "recipientInfos")?.body;
        let recipients = Recipient::read_all(recipients, limits)?;
        let mut content = Reader::new(fields.expect(ber::SEQUENCE, WHAT)?.body);
        let content_type = oid(&mut content, "contentType")?;
        let algorithm = Algorithm::read(&mut content, "contentEncryptionAlgorithm")?;
        let encrypted = encrypted_content(&mut content)?;
        content.finish(WHAT)?;
        Ok(Self {
            content_type,
            recipients,
            algorithm,
            encrypted,
            authenticated: false,
            attributes: None,
            tag: Vec::new(),
        })
    }

    /// The attributes authenticate the content type; they must be there for any but id-data
    /// (RFC 5083 §2.1).
    fn check_content_type_attribute(&self) -> Result<(), CmsError> {
        const WHAT: &str = "authAttrs";
        let mut attributes = Reader::new(self.attributes.as_deref().unwrap_or_default());
        let mut named = None;
        while !attributes.is_empty() {
            let mut attribute = Reader::new(attributes.expect(ber::SEQUENCE, WHAT)?.body);
            let kind = oid(&mut attribute, WHAT)?;
            let mut values = Reader::new(attribute.expect(ber::SET, WHAT)?.body);
            attribute.finish(WHAT)?;
            if kind == oids::CONTENT_TYPE && named.replace(oid(&mut values, WHAT)?).is_some() {
                return Err(malformed(WHAT));
            }
        }
        match named {
            Some(attribute) if attribute != self.content_type => {
                Err(CmsError::ContentTypeAttributeMismatch {
                    attribute,
                    content: self.content_type,
                })
            }
            None if self.content_type != oids::ID_DATA => Err(malformed(WHAT)),
            _ => Ok(()),
        }
    }

    /// The cipher, which must be one for this kind of message.
    fn encryption(&self) -> Result<ContentEncryption, CmsError> {
        let encryption = ContentEncryption::read(&self.algorithm)?;
        if encryption.cipher.is_authenticated() == self.authenticated {
            Ok(encryption)
        } else {
            Err(self.algorithm.unsupported())
        }
    }

    /// What GCM authenticates beside the content (RFC 5083 §2.2): the attributes as a SET OF.
    fn associated(&self) -> Vec<u8> {
        self.attributes
            .as_ref()
            .map_or_else(Vec::new, |attributes| encode(ber::SET, &[attributes]))
    }
}

fn inside<'a>(content: &'a [u8], what: &'static str) -> Result<Reader<'a>, CmsError> {
    let mut outer = Reader::new(content);
    let fields = Reader::new(outer.expect(ber::SEQUENCE, what)?.body);
    outer.finish(what)?;
    Ok(fields)
}

/// `encryptedContent [0] IMPLICIT OCTET STRING`: in one piece, or as BER has it in several.
fn encrypted_content(fields: &mut Reader<'_>) -> Result<Vec<u8>, CmsError> {
    const WHAT: &str = "encryptedContent";
    if let Some(whole) = fields.optional(ber::CONTEXT_0_PRIMITIVE, WHAT)? {
        return Ok(whole.body.to_vec());
    }
    match fields.optional(ber::CONTEXT_0, WHAT)? {
        Some(pieces) => {
            let mut octets = Vec::with_capacity(pieces.body.len());
            let mut pieces = Reader::new(pieces.body);
            while !pieces.is_empty() {
                octets.extend_from_slice(pieces.expect(ber::OCTET_STRING, WHAT)?.body);
            }
            Ok(octets)
        }
        None => Err(CmsError::NoContent),
    }
}
