//! Making EnvelopedData: always DER, RSA with OAEP, elliptic curves with ephemeral-static
//! Diffie-Hellman.

use der::Decode;
use der::asn1::ObjectIdentifier;
use getrandom::SysRng;
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::ecdh::diffie_hellman;
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::Sha256;
use spki::{DecodePublicKey, SubjectPublicKeyInfoRef};
use zeroize::Zeroizing;

use super::ContentCipher;
use super::algorithm::{
    Agreement, EC_PUBLIC_KEY, KeyWrap, P_256, P_384, P_521, RSA_ENCRYPTION, identifier,
    oaep_sha256, random,
};
use super::content::ContentEncryption;
use super::recipient::{BIT_STRING, KEY_AGREEMENT};
use crate::ber::{self, Reader, encode, encode_set_of};
use crate::content_info::{encode_oid, wrap};
use crate::error::malformed;
use crate::{
    Certificate, CmsError, ContentInfo, KeyDigest, KeyError, KeyUsage, Limits, PublicKey, oids,
};

/// How a recipient's certificate is named in the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RecipientId {
    /// By its issuer and serial number.
    #[default]
    IssuerAndSerial,
    /// By its subject key identifier, if it has one.
    SubjectKeyId,
}

/// Encrypts content for one or more certificates.
///
/// The plaintext is zeroized when the builder goes.
#[derive(Clone)]
pub struct EnvelopedDataBuilder {
    content_type: ObjectIdentifier,
    content: Zeroizing<Vec<u8>>,
    recipients: Vec<Certificate>,
    recipient_id: RecipientId,
    cipher: ContentCipher,
}

impl EnvelopedDataBuilder {
    /// What to encrypt, as it is to be encrypted: for id-signedData that is a bare SignedData
    /// (RFC 5652 §6.1). See [`Self::around`] for whole messages.
    pub fn new(content_type: ObjectIdentifier, content: impl Into<Vec<u8>>) -> Self {
        Self {
            content_type,
            content: Zeroizing::new(content.into()),
            recipients: Vec::new(),
            recipient_id: RecipientId::default(),
            cipher: ContentCipher::default(),
        }
    }

    /// To encrypt an artifact as RFC 8572 §3.4 nests them: a message that is signed, only carries
    /// certificates, or is unsigned conveyed information. It is taken out of its ContentInfo and
    /// its type becomes that of the encrypted content.
    pub fn around(message: &[u8], limits: &Limits) -> Result<Self, CmsError> {
        match ContentInfo::parse(message, limits)? {
            ContentInfo::SignedData(_) => {
                let definite = ber::definite(message, limits)?;
                let mut outer = Reader::new(&definite);
                let mut fields = Reader::new(outer.expect(ber::SEQUENCE, "ContentInfo")?.body);
                fields.expect(ber::OBJECT_IDENTIFIER, "contentType")?;
                let signed_data = fields.expect(ber::CONTEXT_0, "content")?.body;
                Ok(Self::new(oids::ID_SIGNED_DATA, signed_data))
            }
            ContentInfo::Octets {
                content_type,
                content,
            } => Ok(Self::new(content_type, content)),
            ContentInfo::EnvelopedData(enveloped) => {
                Err(CmsError::NotSignedData(enveloped.message_type()))
            }
            ContentInfo::Other(content_type) => Err(CmsError::NotSignedData(content_type)),
        }
    }

    /// Adds a certificate whose holder can decrypt; its key must be RSA or on P-256, P-384 or
    /// P-521.
    #[must_use]
    pub fn recipient(mut self, certificate: Certificate) -> Self {
        self.recipients.push(certificate);
        self
    }

    /// How to name the recipients.
    #[must_use]
    pub fn recipient_id(mut self, recipient_id: RecipientId) -> Self {
        self.recipient_id = recipient_id;
        self
    }

    /// How to encrypt the content. AES-GCM makes AuthEnvelopedData (RFC 5083), which an SZTP
    /// device need not understand.
    #[must_use]
    pub fn content_cipher(mut self, cipher: ContentCipher) -> Self {
        self.cipher = cipher;
        self
    }

    /// What the operator should know: recipients whose keyUsage is not for encryption
    /// (RFC 5280 §4.2.1.3). Devices decrypt all the same.
    pub fn notes(&self) -> Vec<String> {
        self.recipients
            .iter()
            .filter_map(|certificate| {
                let usage = certificate.key_usage()?;
                let (wanted, name) = if is_rsa(certificate) {
                    (KeyUsage::KEY_ENCIPHERMENT, "keyEncipherment")
                } else {
                    (KeyUsage::KEY_AGREEMENT, "keyAgreement")
                };
                (!usage.contains(wanted))
                    .then(|| format!("keyUsage of {} lacks {name}", certificate.subject()))
            })
            .collect()
    }

    /// Encrypts; DER.
    pub fn encrypt(&self) -> Result<Vec<u8>, CmsError> {
        if self.recipients.is_empty() {
            return Err(CmsError::NoRecipient);
        }
        let encryption = ContentEncryption::generate(self.cipher)?;
        let content_key = random(self.cipher.key_length())?;
        let mut recipients = Vec::new();
        for certificate in &self.recipients {
            recipients.push(self.recipient_info(certificate, &content_key)?);
        }
        let all_version_0 =
            self.recipient_id == RecipientId::IssuerAndSerial && self.recipients.iter().all(is_rsa);
        let recipients = encode_set_of(ber::SET, recipients);
        let attributes = self.authenticated_attributes();
        let (encrypted, tag) = encryption
            .encrypt(&content_key, &self.content, &attributes)
            .ok_or(CmsError::Encryption)?;
        let content = encode(
            ber::SEQUENCE,
            &[
                &encode_oid(self.content_type),
                &encryption.encode(),
                &encode(ber::CONTEXT_0_PRIMITIVE, &[&encrypted]),
            ],
        );
        if self.cipher.is_authenticated() {
            let mut implicit = attributes;
            if let Some(tag) = implicit.first_mut() {
                *tag = ber::CONTEXT_1;
            }
            let version = encode(ber::INTEGER, &[&[0]]);
            let tag = encode(ber::OCTET_STRING, &[&tag]);
            let parts: [&[u8]; 5] = [&version, &recipients, &content, &implicit, &tag];
            let message = encode(ber::SEQUENCE, &parts);
            return Ok(wrap(oids::ID_AUTH_ENVELOPED_DATA, &message));
        }
        // RFC 5652 §6.1: version 0 if all RecipientInfos have it, otherwise 2.
        let version = encode(ber::INTEGER, &[&[if all_version_0 { 0 } else { 2 }]]);
        let message = encode(ber::SEQUENCE, &[&version, &recipients, &content]);
        Ok(wrap(oids::ID_ENVELOPED_DATA, &message))
    }

    /// The SET OF attributes that GCM authenticates: the content type, where RFC 5083 §2.1 wants
    /// it.
    fn authenticated_attributes(&self) -> Vec<u8> {
        if !self.cipher.is_authenticated() || self.content_type == oids::ID_DATA {
            return Vec::new();
        }
        let value = encode(ber::SET, &[&encode_oid(self.content_type)]);
        let attribute = encode(ber::SEQUENCE, &[&encode_oid(oids::CONTENT_TYPE), &value]);
        encode(ber::SET, &[&attribute])
    }

    fn recipient_info(
        &self,
        certificate: &Certificate,
        content_key: &[u8],
    ) -> Result<Vec<u8>, CmsError> {
        let spki = certificate.spki_der();
        let refused = |error| CmsError::RecipientKey(error);
        let info =
            SubjectPublicKeyInfoRef::from_der(spki).map_err(|_| refused(KeyError::Malformed))?;
        match (info.algorithm.oid, info.algorithm.parameters_oid().ok()) {
            (RSA_ENCRYPTION, _) => {
                let encrypted_key = transport(spki, content_key)?;
                let (version, id) = match self.recipient_id {
                    RecipientId::IssuerAndSerial => (0, issuer_and_serial(certificate)),
                    RecipientId::SubjectKeyId => {
                        let key_id = subject_key_id(certificate)?;
                        (2, encode(ber::CONTEXT_0_PRIMITIVE, &[key_id]))
                    }
                };
                Ok(encode(
                    ber::SEQUENCE,
                    &[
                        &encode(ber::INTEGER, &[&[version]]),
                        &id,
                        &oaep_sha256(),
                        &encode(ber::OCTET_STRING, &[&encrypted_key]),
                    ],
                ))
            }
            (EC_PUBLIC_KEY, Some(curve @ (P_256 | P_384 | P_521))) => {
                let id = match self.recipient_id {
                    RecipientId::IssuerAndSerial => issuer_and_serial(certificate),
                    RecipientId::SubjectKeyId => {
                        let key_id = subject_key_id(certificate)?;
                        let key_id = encode(ber::OCTET_STRING, &[key_id]);
                        encode(ber::CONTEXT_0, &[&key_id])
                    }
                };
                key_agreement(curve, spki, &id, content_key)
            }
            (EC_PUBLIC_KEY, Some(oid)) | (oid, _) => Err(refused(KeyError::Unsupported { oid })),
        }
    }
}

impl std::fmt::Debug for EnvelopedDataBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EnvelopedDataBuilder")
            .field("content_type", &self.content_type)
            .field("recipients", &self.recipients)
            .field("cipher", &self.cipher)
            .finish_non_exhaustive()
    }
}

fn is_rsa(certificate: &Certificate) -> bool {
    SubjectPublicKeyInfoRef::from_der(certificate.spki_der())
        .is_ok_and(|info| info.algorithm.oid == RSA_ENCRYPTION)
}

/// RSAES-OAEP with SHA-256.
fn transport(spki: &[u8], content_key: &[u8]) -> Result<Vec<u8>, CmsError> {
    PublicKey::from_spki_der(spki).map_err(CmsError::RecipientKey)?;
    let key = rsa::PublicKey::from_public_key_der(spki)
        .map_err(|_| CmsError::RecipientKey(KeyError::Malformed))?;
    key.oaep_encrypt_with_rng::<Sha256, _>(&mut SysRng, content_key)
        .map_err(|_| CmsError::Encryption)
}

/// A KeyAgreeRecipientInfo for one recipient, with an ephemeral key of its own (RFC 5753 §3.1.1).
fn key_agreement(
    curve: ObjectIdentifier,
    spki: &[u8],
    recipient: &[u8],
    content_key: &[u8],
) -> Result<Vec<u8>, CmsError> {
    macro_rules! ephemeral {
        ($curve:ident) => {{
            let theirs = $curve::PublicKey::from_public_key_der(spki)
                .map_err(|_| CmsError::RecipientKey(KeyError::Malformed))?;
            let ours = $curve::SecretKey::try_generate().map_err(|_| CmsError::Random)?;
            let shared = diffie_hellman(ours.to_nonzero_scalar(), theirs.as_affine());
            let point = ours.public_key().to_sec1_point(false).as_bytes().to_vec();
            (Zeroizing::new(shared.raw_secret_bytes().to_vec()), point)
        }};
    }
    let (derivation, (shared, point)) = match curve {
        P_256 => (KeyDigest::Sha256, ephemeral!(p256)),
        P_384 => (KeyDigest::Sha384, ephemeral!(p384)),
        _ => (KeyDigest::Sha512, ephemeral!(p521)),
    };
    let agreement = Agreement {
        derivation,
        wrap: KeyWrap::Aes256,
    };
    let kek = agreement.derive(&shared, &agreement.wrap.identifier(), &[]);
    let wrapped = agreement
        .wrap
        .wrap(&kek, content_key)
        .ok_or(CmsError::Encryption)?;
    let public_key = encode(
        ber::CONTEXT_1,
        &[
            &identifier(EC_PUBLIC_KEY, &[]),
            &encode(BIT_STRING, &[&[0], &point]),
        ],
    );
    let encrypted_key = encode(
        ber::SEQUENCE,
        &[recipient, &encode(ber::OCTET_STRING, &[&wrapped])],
    );
    Ok(encode(
        KEY_AGREEMENT,
        &[
            &encode(ber::INTEGER, &[&[3]]),
            &encode(ber::CONTEXT_0, &[&public_key]),
            &agreement.encode(),
            &encode(ber::SEQUENCE, &[&encrypted_key]),
        ],
    ))
}

fn issuer_and_serial(certificate: &Certificate) -> Vec<u8> {
    let serial = encode(ber::INTEGER, &[certificate.serial_bytes()]);
    encode(ber::SEQUENCE, &[certificate.issuer_der(), &serial])
}

fn subject_key_id(certificate: &Certificate) -> Result<&[u8], CmsError> {
    certificate
        .subject_key_id()
        .ok_or(malformed("the certificate has no subject key identifier"))
}
