//! From an encrypted message to what was encrypted.
//!
//! Whoever can see *why* a forged message fails can open others with enough questions (Vaudenay's
//! and Bleichenbacher's attacks). So everything that depends on the private key or on what it
//! opens fails as [`CmsError::Decryption`]; after a key that could not be opened the content is
//! decrypted all the same, with a random one, and padding is checked in constant time. What
//! everybody can see in the message (its structure, algorithms and recipients) has errors of its
//! own.

use der::asn1::ObjectIdentifier;
use subtle::{Choice, ConditionallySelectable};
use zeroize::Zeroizing;

use super::algorithm::random;
use super::content::ContentEncryption;
use super::recipient::Plan;
use super::{EnvelopedData, Recipient};
use crate::ber::{self, Reader};
use crate::content_info::wrap;
use crate::{Certificate, CmsError, ContentInfo, Decryptor, Limits, RsaPadding, SignedData, oids};

/// Ways of encrypting that are refused unless allowed here; each one used is noted in
/// [`DecryptedContent::notes`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecryptionPolicy {
    /// RSA key transport with PKCS#1 v1.5 padding: what `openssl cms -encrypt` does unless told
    /// otherwise.
    pub rsa_pkcs1: bool,
    /// ECDH whose key derivation uses SHA-1, likewise.
    pub sha1_kdf: bool,
    /// AuthEnvelopedData with AES-GCM, which RFC 8572 §3 does not list.
    pub aes_gcm: bool,
}

impl DecryptionPolicy {
    /// Also what OpenSSL writes by default, but no AuthEnvelopedData.
    pub const fn lenient() -> Self {
        Self {
            rsa_pkcs1: true,
            sha1_kdf: true,
            aes_gcm: false,
        }
    }
}

/// What a message is decrypted under.
#[derive(Debug, Clone, Copy)]
pub struct DecryptOptions<'a> {
    /// Which ways of encrypting are accepted.
    pub policy: DecryptionPolicy,
    /// Which types of content are accepted; others are refused before anything is decrypted.
    pub content_types: &'a [ObjectIdentifier],
    /// For the message inside.
    pub limits: Limits,
}

impl Default for DecryptOptions<'_> {
    /// Strict, for the content types that RFC 8572 §3.1 to §3.3 encrypts.
    fn default() -> Self {
        Self {
            policy: DecryptionPolicy::default(),
            content_types: &ARTIFACT_TYPES,
            limits: Limits::default(),
        }
    }
}

/// What was inside an encrypted message.
///
/// **It is not authenticated.** Anyone can encrypt to a certificate, and in CBC mode anyone on the
/// way can change bits of what was encrypted; a message that decrypts proves nothing. Only the
/// signature inside does, or an authenticated connection around (RFC 8572 §3.4: sign, then
/// encrypt).
#[derive(Clone)]
pub struct DecryptedContent {
    content_type: ObjectIdentifier,
    content: Zeroizing<Vec<u8>>,
    form: Form,
    notes: Vec<String>,
}

/// What the octets are.
#[derive(Clone, Copy)]
enum Form {
    /// SignedData, as RFC 5652 §6.1 has it.
    SignedData,
    /// A whole ContentInfo with SignedData.
    SignedMessage,
    /// A whole ContentInfo with a document.
    UnsignedMessage,
    /// A document.
    Octets,
}

impl DecryptedContent {
    /// What the content says it is; nothing vouches for this.
    pub fn content_type(&self) -> ObjectIdentifier {
        self.content_type
    }

    /// The octets that were encrypted; a CMS message has definite lengths.
    pub fn content(&self) -> &[u8] {
        &self.content
    }

    /// Deviations that were let pass, for the log.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The message as it would be without encryption, a ContentInfo: what the artifacts of
    /// RFC 8572 §3.1 to §3.3 are when they are not encrypted.
    pub fn to_message(&self) -> Vec<u8> {
        match self.form {
            Form::SignedData => wrap(oids::ID_SIGNED_DATA, &self.content),
            Form::SignedMessage | Form::UnsignedMessage => self.content.to_vec(),
            Form::Octets => ContentInfo::unsigned(self.content_type, self.document()),
        }
    }

    /// A document that was wrapped into an OCTET STRING before it was encrypted is unwrapped:
    /// no document begins with that octet.
    fn document(&self) -> &[u8] {
        let mut reader = Reader::new(&self.content);
        match reader.optional(ber::OCTET_STRING, "") {
            Ok(Some(octets)) if reader.is_empty() => octets.body,
            _ => &self.content,
        }
    }
}

impl std::fmt::Debug for DecryptedContent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DecryptedContent")
            .field("content_type", &self.content_type)
            .field("octets", &self.content.len())
            .finish_non_exhaustive()
    }
}

impl EnvelopedData {
    /// Decrypts as the holder of a certificate.
    ///
    /// Content that says to be SignedData is also read as such, whether bare (RFC 5652 §6.1) or
    /// in a ContentInfo, so that a forged message fails in the one way all do. Content of type
    /// id-data may hold either as well, since some software cannot name another type.
    pub fn decrypt(
        &self,
        key: &dyn Decryptor,
        certificate: &Certificate,
        options: &DecryptOptions<'_>,
    ) -> Result<DecryptedContent, CmsError> {
        if key.public_key_der() != certificate.spki_der() {
            return Err(CmsError::KeyMismatch);
        }
        if !options.content_types.contains(&self.content_type) {
            return Err(CmsError::WrongContentType {
                found: self.content_type,
                expected: options.content_types.to_vec(),
            });
        }
        let mut notes = Vec::new();
        let encryption = self.encryption()?;
        if encryption.cipher.is_authenticated() {
            if !options.policy.aes_gcm {
                return Err(CmsError::EncryptionRefused {
                    what: "AuthEnvelopedData (AES-GCM)",
                });
            }
            notes.push("AuthEnvelopedData (AES-GCM), which RFC 8572 does not list".to_owned());
        }
        let mut error = CmsError::NotARecipient;
        let mine = |recipient: &&Recipient| recipient.names(certificate);
        for recipient in self.recipients.iter().filter(mine).take(MAX_ATTEMPTS) {
            let mut notes = notes.clone();
            let plan = match recipient.plan(key, options.policy, &mut notes) {
                Ok(plan) => plan,
                Err(refused) => {
                    if error == CmsError::NotARecipient {
                        error = refused;
                    }
                    continue;
                }
            };
            match self.open(&plan, key, &encryption)? {
                Some(content) => return self.understand(content, notes, &options.limits),
                None => error = CmsError::Decryption,
            }
        }
        Err(error)
    }

    /// Tries one recipient's key. The error is of this machine's randomness.
    fn open(
        &self,
        plan: &Plan<'_>,
        key: &dyn Decryptor,
        encryption: &ContentEncryption,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, CmsError> {
        let mut content_key = random(encryption.cipher.key_length())?;
        let good = plan.open(key, &mut content_key);
        let content = encryption.decrypt(
            &content_key,
            good,
            &self.encrypted,
            &self.associated(),
            &self.tag,
        );
        Ok(content.ok())
    }

    fn understand(
        &self,
        content: Zeroizing<Vec<u8>>,
        mut notes: Vec<String>,
        limits: &Limits,
    ) -> Result<DecryptedContent, CmsError> {
        let (form, content) = match (self.content_type, cms_inside(&content, limits)) {
            (oids::ID_SIGNED_DATA, Some((Form::SignedData, message))) => {
                (Form::SignedData, message)
            }
            (oids::ID_SIGNED_DATA, Some((Form::SignedMessage, message))) => {
                notes.push(
                    "the encrypted SignedData is inside another ContentInfo (RFC 5652 §6.1)"
                        .to_owned(),
                );
                (Form::SignedMessage, message)
            }
            (oids::ID_SIGNED_DATA, _) => return Err(CmsError::Decryption),
            (oids::ID_DATA, Some(found)) => {
                notes.push("a CMS message inside is declared as id-data".to_owned());
                found
            }
            _ => (Form::Octets, content),
        };
        Ok(DecryptedContent {
            content_type: self.content_type,
            content,
            form,
            notes,
        })
    }
}

impl Plan<'_> {
    /// Puts the content-encryption key in place of the random one that is there, if it can be
    /// had; says whether it is known to be right.
    fn open(&self, key: &dyn Decryptor, content_key: &mut [u8]) -> Choice {
        let found = match self {
            Self::Transport {
                padding,
                encrypted_key,
            } => key.decrypt_rsa(*padding, encrypted_key).ok(),
            Self::Agreement {
                scheme,
                point,
                key_info,
                user_keying_material,
                encrypted_key,
            } => key.agree(point).ok().and_then(|shared| {
                let kek = scheme.derive(&shared, key_info, user_keying_material);
                scheme.wrap.unwrap(&kek, encrypted_key)
            }),
        };
        let found = found.filter(|found| found.len() == content_key.len());
        let good = Choice::from(u8::from(found.is_some()));
        if let Some(found) = &found {
            for (into, from) in content_key.iter_mut().zip(found.iter()) {
                into.conditional_assign(from, good);
            }
        }
        match self {
            // Broken padding gives a random key and no other sign of it (RFC 3218 §2.3.2).
            Self::Transport {
                padding: RsaPadding::Pkcs1,
                ..
            } => Choice::from(1),
            _ => good,
        }
    }
}

/// A message inside, with definite lengths, if there is one: SignedData, or a whole ContentInfo
/// with that or with unsigned conveyed information. Nothing that is encrypted once more.
fn cms_inside(content: &[u8], limits: &Limits) -> Option<(Form, Zeroizing<Vec<u8>>)> {
    let message = Zeroizing::new(ber::definite(content, limits).ok()?.into_owned());
    let mut outer = Reader::new(&message);
    let mut fields = Reader::new(outer.expect(ber::SEQUENCE, "").ok()?.body);
    let form = match fields.any("").ok()?.tag {
        ber::INTEGER => {
            SignedData::read(&message, limits).ok()?;
            Form::SignedData
        }
        ber::OBJECT_IDENTIFIER => match ContentInfo::parse(&message, limits).ok()? {
            ContentInfo::SignedData(_) => Form::SignedMessage,
            ContentInfo::Octets { .. } => Form::UnsignedMessage,
            _ => return None,
        },
        _ => return None,
    };
    Some((form, message))
}

/// Recipients that one certificate can mean in earnest; each costs a private-key operation.
const MAX_ATTEMPTS: usize = 4;

const ARTIFACT_TYPES: [ObjectIdentifier; 4] = [
    oids::ID_SIGNED_DATA,
    oids::SZTP_CONVEYED_INFO_JSON,
    oids::SZTP_CONVEYED_INFO_XML,
    oids::ID_DATA,
];
