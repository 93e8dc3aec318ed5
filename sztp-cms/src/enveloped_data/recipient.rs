//! For whom a message is encrypted: RecipientInfo (RFC 5652 §6.2).
//!
//! Only the structure is read here. An algorithm that is not known matters to the recipient that
//! it is for, and to no other.

use std::sync::Arc;

use super::algorithm::{Agreement, Algorithm, read_padding};
use super::decrypt::DecryptionPolicy;
use crate::ber::{self, Reader};
use crate::error::malformed;
use crate::issuer_and_serial::{IssuerAndSerial, colons};
use crate::{Certificate, CmsError, Decryptor, KeyDigest, Limits, RsaPadding};

/// One recipient of an encrypted message.
#[derive(Debug, Clone)]
pub struct Recipient {
    identifier: Identifier,
    protection: Protection,
    encrypted_key: Vec<u8>,
}

#[derive(Debug, Clone)]
enum Identifier {
    IssuerAndSerial(IssuerAndSerial),
    SubjectKeyId(Vec<u8>),
    /// A shared key, a password or something else: no certificate.
    None,
}

/// How the content-encryption key is protected.
#[derive(Debug, Clone)]
enum Protection {
    KeyTransport(Algorithm),
    /// Shared, since one message part may be for many.
    KeyAgreement(Arc<KeyAgreement>),
    Other,
}

#[derive(Debug, Clone)]
struct KeyAgreement {
    /// The originator's ephemeral public key; none where the originator has a certificate.
    originator: Option<OriginatorKey>,
    /// The `ukm` OCTET STRING; empty if absent.
    user_keying_material: Vec<u8>,
    algorithm: Algorithm,
}

#[derive(Debug, Clone)]
struct OriginatorKey {
    algorithm: Algorithm,
    point: Vec<u8>,
}

impl Recipient {
    /// Whether this is the holder of a certificate.
    pub fn names(&self, certificate: &Certificate) -> bool {
        match &self.identifier {
            Identifier::IssuerAndSerial(identifier) => identifier.names(certificate),
            Identifier::SubjectKeyId(key_id) => {
                certificate.subject_key_id() == Some(key_id.as_slice())
            }
            Identifier::None => false,
        }
    }

    /// The recipient as the message names it, for people.
    pub fn describe(&self) -> String {
        match &self.identifier {
            Identifier::IssuerAndSerial(identifier) => identifier.to_string(),
            Identifier::SubjectKeyId(key_id) => format!("subject key id {}", colons(key_id)),
            Identifier::None => "not a certificate's holder".to_owned(),
        }
    }

    /// Decides how to get at the content-encryption key, from what everybody can see.
    pub(super) fn plan(
        &self,
        key: &dyn Decryptor,
        policy: DecryptionPolicy,
        notes: &mut Vec<String>,
    ) -> Result<Plan<'_>, CmsError> {
        match &self.protection {
            Protection::KeyTransport(algorithm) => {
                let padding = read_padding(algorithm)?;
                if padding == RsaPadding::Pkcs1 {
                    if !policy.rsa_pkcs1 {
                        return Err(CmsError::EncryptionRefused {
                            what: "RSA key transport with PKCS#1 v1.5 padding",
                        });
                    }
                    notes.push(
                        "the key is transported with PKCS#1 v1.5 padding rather than OAEP"
                            .to_owned(),
                    );
                }
                Ok(Plan::Transport {
                    padding,
                    encrypted_key: &self.encrypted_key,
                })
            }
            Protection::KeyAgreement(agreement) => {
                let scheme = Agreement::read(&agreement.algorithm)?;
                if scheme.derivation == KeyDigest::Sha1 {
                    if !policy.sha1_kdf {
                        return Err(CmsError::EncryptionRefused {
                            what: "key agreement with SHA-1 in the key derivation",
                        });
                    }
                    notes.push("the agreed key is derived with SHA-1".to_owned());
                }
                let originator = agreement
                    .originator
                    .as_ref()
                    .filter(|originator| originator.fits(key))
                    .ok_or_else(|| agreement.algorithm.unsupported())?;
                Ok(Plan::Agreement {
                    scheme,
                    point: &originator.point,
                    key_info: &agreement.algorithm.parameters,
                    user_keying_material: &agreement.user_keying_material,
                    encrypted_key: &self.encrypted_key,
                })
            }
            Protection::Other => Err(CmsError::NotARecipient),
        }
    }

    /// Reads recipientInfos.
    pub(super) fn read_all(set: &[u8], limits: &Limits) -> Result<Vec<Self>, CmsError> {
        let mut recipients = Vec::new();
        let mut reader = Reader::new(set);
        while !reader.is_empty() {
            let choice = reader.any("RecipientInfo")?;
            match choice.tag {
                ber::SEQUENCE => {
                    push(&mut recipients, key_transport(choice.body)?, limits)?;
                }
                KEY_AGREEMENT => key_agreement(choice.body, &mut recipients, limits)?,
                // A shared key, a password, another kind: not for the holder of a certificate.
                0xA2..=0xA4 => push(
                    &mut recipients,
                    Self {
                        identifier: Identifier::None,
                        protection: Protection::Other,
                        encrypted_key: Vec::new(),
                    },
                    limits,
                )?,
                _ => return Err(malformed("RecipientInfo")),
            }
        }
        Ok(recipients)
    }
}

/// What to do with the private key.
#[derive(Debug)]
pub(super) enum Plan<'a> {
    Transport {
        padding: RsaPadding,
        encrypted_key: &'a [u8],
    },
    Agreement {
        scheme: Agreement,
        point: &'a [u8],
        key_info: &'a [u8],
        user_keying_material: &'a [u8],
        encrypted_key: &'a [u8],
    },
}

impl OriginatorKey {
    /// Whether the ephemeral key can be on the curve of the recipient's. Its parameters may be
    /// absent (RFC 5753 §3.1.1) or NULL, and then say nothing.
    fn fits(&self, key: &dyn Decryptor) -> bool {
        let same_curve = || {
            let mut reader = Reader::new(key.public_key_der());
            let spki = reader.expect(ber::SEQUENCE, "").ok()?;
            let algorithm = Algorithm::read(&mut Reader::new(spki.body), "").ok()?;
            Some(algorithm.parameters == self.algorithm.parameters)
        };
        let absent = self.algorithm.parameters.is_empty()
            || self.algorithm.parameters == super::algorithm::NULL;
        self.algorithm.oid == super::algorithm::EC_PUBLIC_KEY
            && (absent || same_curve().unwrap_or(false))
    }
}

fn push(
    recipients: &mut Vec<Recipient>,
    recipient: Recipient,
    limits: &Limits,
) -> Result<(), CmsError> {
    if recipients.len() >= limits.max_recipients {
        return Err(CmsError::TooLarge {
            what: "recipients",
            limit: limits.max_recipients,
        });
    }
    recipients.push(recipient);
    Ok(())
}

/// KeyTransRecipientInfo (RFC 5652 §6.2.1).
fn key_transport(body: &[u8]) -> Result<Recipient, CmsError> {
    const WHAT: &str = "KeyTransRecipientInfo";
    let mut fields = Reader::new(body);
    let version = fields.expect(ber::INTEGER, WHAT)?.body;
    let choice = fields.any(WHAT)?;
    let (identifier, expected) = match choice.tag {
        ber::SEQUENCE => (issuer_and_serial(choice.body)?, 0),
        ber::CONTEXT_0_PRIMITIVE => (Identifier::SubjectKeyId(choice.body.to_vec()), 2),
        _ => return Err(malformed("recipient identifier")),
    };
    if version != [expected] {
        return Err(malformed("version of KeyTransRecipientInfo"));
    }
    let algorithm = Algorithm::read(&mut fields, "keyEncryptionAlgorithm")?;
    let encrypted_key = fields.expect(ber::OCTET_STRING, "encryptedKey")?.body;
    fields.finish(WHAT)?;
    Ok(Recipient {
        identifier,
        protection: Protection::KeyTransport(algorithm),
        encrypted_key: encrypted_key.to_vec(),
    })
}

/// KeyAgreeRecipientInfo (RFC 5652 §6.2.2), which may be for several.
fn key_agreement(
    body: &[u8],
    recipients: &mut Vec<Recipient>,
    limits: &Limits,
) -> Result<(), CmsError> {
    const WHAT: &str = "KeyAgreeRecipientInfo";
    let mut fields = Reader::new(body);
    if fields.expect(ber::INTEGER, WHAT)?.body != [3] {
        return Err(malformed("version of KeyAgreeRecipientInfo"));
    }
    let mut explicit = Reader::new(fields.expect(ber::CONTEXT_0, "originator")?.body);
    let choice = explicit.any("originator")?;
    explicit.finish("originator")?;
    let originator = if choice.tag == ber::CONTEXT_1 {
        Some(originator_key(choice.body)?)
    } else {
        None
    };
    let user_keying_material = match fields.optional(ber::CONTEXT_1, "ukm")? {
        None => Vec::new(),
        Some(explicit) => {
            let mut inner = Reader::new(explicit.body);
            let octets = inner.expect(ber::OCTET_STRING, "ukm")?.raw.to_vec();
            inner.finish("ukm")?;
            octets
        }
    };
    let algorithm = Algorithm::read(&mut fields, "keyEncryptionAlgorithm")?;
    let agreement = Arc::new(KeyAgreement {
        originator,
        user_keying_material,
        algorithm,
    });
    let mut keys = Reader::new(fields.expect(ber::SEQUENCE, "recipientEncryptedKeys")?.body);
    fields.finish(WHAT)?;
    while !keys.is_empty() {
        let mut fields = Reader::new(keys.expect(ber::SEQUENCE, "RecipientEncryptedKey")?.body);
        let choice = fields.any("recipient identifier")?;
        let identifier = match choice.tag {
            ber::SEQUENCE => issuer_and_serial(choice.body)?,
            // RecipientKeyIdentifier: its date and other attribute select nothing here.
            ber::CONTEXT_0 => {
                let mut inner = Reader::new(choice.body);
                let key_id = inner.expect(ber::OCTET_STRING, "subjectKeyIdentifier")?;
                Identifier::SubjectKeyId(key_id.body.to_vec())
            }
            _ => return Err(malformed("recipient identifier")),
        };
        let encrypted_key = fields.expect(ber::OCTET_STRING, "encryptedKey")?.body;
        fields.finish("RecipientEncryptedKey")?;
        let recipient = Recipient {
            identifier,
            protection: Protection::KeyAgreement(Arc::clone(&agreement)),
            encrypted_key: encrypted_key.to_vec(),
        };
        push(recipients, recipient, limits)?;
    }
    Ok(())
}

fn originator_key(body: &[u8]) -> Result<OriginatorKey, CmsError> {
    const WHAT: &str = "OriginatorPublicKey";
    let mut fields = Reader::new(body);
    let algorithm = Algorithm::read(&mut fields, WHAT)?;
    let bits = fields.expect(BIT_STRING, WHAT)?.body;
    fields.finish(WHAT)?;
    match bits {
        [0, point @ ..] => Ok(OriginatorKey {
            algorithm,
            point: point.to_vec(),
        }),
        _ => Err(malformed(WHAT)),
    }
}

fn issuer_and_serial(body: &[u8]) -> Result<Identifier, CmsError> {
    const WHAT: &str = "recipient identifier";
    let mut inner = Reader::new(body);
    let issuer = inner.expect(ber::SEQUENCE, WHAT)?.raw;
    let serial = inner.expect(ber::INTEGER, WHAT)?.body;
    inner.finish(WHAT)?;
    let identifier = IssuerAndSerial::new(issuer, serial);
    Ok(Identifier::IssuerAndSerial(identifier))
}

pub(super) const BIT_STRING: u8 = 0x03;
/// `[1]`: KeyAgreeRecipientInfo among the RecipientInfos.
pub(super) const KEY_AGREEMENT: u8 = ber::CONTEXT_1;

#[cfg(test)]
mod tests {
    use super::super::algorithm::{
        EC_PUBLIC_KEY, KeyWrap, NULL, P_256, P_384, RSA_ENCRYPTION, identifier,
    };
    use super::*;
    use crate::ber::encode;
    use crate::content_info::encode_oid;
    use crate::{KeyType, SigningKey};

    /// A KeyAgreeRecipientInfo for issuer and serial number that are empty.
    fn message_part(originator: &[u8]) -> Vec<u8> {
        let agreement = Agreement {
            derivation: KeyDigest::Sha256,
            wrap: KeyWrap::Aes256,
        };
        let issuer = encode(ber::SEQUENCE, &[]);
        let id = encode(ber::SEQUENCE, &[&issuer, &encode(ber::INTEGER, &[&[1]])]);
        let wrapped = encode(ber::OCTET_STRING, &[&[0; 40]]);
        let key = encode(ber::SEQUENCE, &[&id, &wrapped]);
        encode(
            KEY_AGREEMENT,
            &[
                &encode(ber::INTEGER, &[&[3]]),
                &encode(ber::CONTEXT_0, &[originator]),
                &agreement.encode(),
                &encode(ber::SEQUENCE, &[&key, &key]),
            ],
        )
    }

    fn plans(originator: &[u8]) -> Result<bool, CmsError> {
        let recipients = Recipient::read_all(&message_part(originator), &Limits::default())?;
        assert_eq!(recipients.len(), 2);
        let key = SigningKey::generate(KeyType::EcP256).expect("a key");
        let plan = recipients[1].plan(&key, DecryptionPolicy::default(), &mut Vec::new());
        match plan {
            Ok(_) => Ok(true),
            Err(CmsError::UnsupportedEncryption { .. }) => Ok(false),
            Err(other) => Err(other),
        }
    }

    fn ephemeral(algorithm: &[u8]) -> Vec<u8> {
        let point = encode(BIT_STRING, &[&[0], &[4; 65]]);
        encode(ber::CONTEXT_1, &[algorithm, &point])
    }

    #[test]
    fn an_ephemeral_key_on_the_recipients_curve_is_asked_for() {
        let curve = |curve| identifier(EC_PUBLIC_KEY, &encode_oid(curve));
        assert_eq!(plans(&ephemeral(&identifier(EC_PUBLIC_KEY, &[]))), Ok(true));
        assert_eq!(
            plans(&ephemeral(&identifier(EC_PUBLIC_KEY, &NULL))),
            Ok(true)
        );
        assert_eq!(plans(&ephemeral(&curve(P_256))), Ok(true));
        assert_eq!(plans(&ephemeral(&curve(P_384))), Ok(false));
        assert_eq!(
            plans(&ephemeral(&identifier(RSA_ENCRYPTION, &NULL))),
            Ok(false)
        );
        // Static Diffie-Hellman: the originator has a certificate.
        assert_eq!(
            plans(&encode(ber::CONTEXT_0_PRIMITIVE, &[&[7; 20]])),
            Ok(false)
        );
        let unaligned = encode(BIT_STRING, &[&[1], &[4; 65]]);
        let unaligned = encode(
            ber::CONTEXT_1,
            &[&identifier(EC_PUBLIC_KEY, &[]), &unaligned],
        );
        assert!(plans(&unaligned).is_err());
    }
}
