//! Decryption with a key that stays in its token.

use cryptoki::mechanism::elliptic_curve::{EcKdf, Ecdh1DeriveParams};
use cryptoki::mechanism::rsa::{PkcsMgfType, PkcsOaepParams, PkcsOaepSource};
use cryptoki::mechanism::{Mechanism, MechanismType};
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use zeroize::Zeroizing;

use super::signer::read;
use super::{Pkcs11Error, Pkcs11Signer};
use crate::key::KeyKind;
use crate::{DecryptionFailed, Decryptor, KeyDigest, RsaPadding, Signer};

impl Pkcs11Signer {
    /// Whether the token lets the key decrypt: it is of a kind that can, its attributes allow it, and
    /// the token knows how. Which digests it knows in OAEP is seen only when it is asked to decrypt.
    pub fn can_decrypt(&self) -> bool {
        self.decrypts()
    }
}

impl Decryptor for Pkcs11Signer {
    fn public_key_der(&self) -> &[u8] {
        self.spki_der()
    }

    fn decrypt_rsa(
        &self,
        padding: RsaPadding,
        encrypted: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, DecryptionFailed> {
        let mechanism = match padding {
            RsaPadding::Pkcs1 => Mechanism::RsaPkcs,
            RsaPadding::Oaep { digest, mask } => Mechanism::RsaPkcsOaep(PkcsOaepParams::new(
                hash(digest),
                mask_of(mask),
                PkcsOaepSource::empty(),
            )),
        };
        self.in_token(|session, key| session.decrypt(&mechanism, key, encrypted))
            .map(Zeroizing::new)
            .map_err(|_| DecryptionFailed)
    }

    fn agree(&self, point: &[u8]) -> Result<Zeroizing<Vec<u8>>, DecryptionFailed> {
        let length = match self.public_key().kind() {
            KeyKind::P256 => 32,
            KeyKind::P384 => 48,
            KeyKind::P521 => 66,
            _ => return Err(DecryptionFailed),
        };
        let mechanism = Mechanism::Ecdh1Derive(Ecdh1DeriveParams::new(EcKdf::null(), point));
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(KeyType::GENERIC_SECRET),
            Attribute::Token(false),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::ValueLen(length.into()),
        ];
        self.in_token(|session, key| {
            let secret = session.derive_key(&mechanism, key, &template).ok()?;
            let value = read(session, secret, AttributeType::Value);
            session.destroy_object(secret).ok();
            match value {
                Ok(Some(Attribute::Value(value))) => Some(Zeroizing::new(value)),
                _ => None,
            }
        })
        .ok_or(DecryptionFailed)
    }
}

/// Whether the token lets this key decrypt.
pub(super) fn is_possible(
    session: &Session,
    key: ObjectHandle,
    kind: KeyKind,
    knows: impl Fn(MechanismType) -> bool,
) -> Result<bool, Pkcs11Error> {
    let (attribute, mechanism) = match kind {
        KeyKind::Rsa { .. } => (AttributeType::Decrypt, MechanismType::RSA_PKCS_OAEP),
        KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => {
            (AttributeType::Derive, MechanismType::ECDH1_DERIVE)
        }
        KeyKind::Ed25519 => return Ok(false),
        #[cfg(feature = "ml-dsa")]
        KeyKind::MlDsa(_) => return Ok(false),
    };
    let allowed = matches!(
        read(session, key, attribute)?,
        Some(Attribute::Decrypt(true) | Attribute::Derive(true))
    );
    Ok(allowed && knows(mechanism))
}

fn hash(digest: KeyDigest) -> MechanismType {
    match digest {
        KeyDigest::Sha1 => MechanismType::SHA1,
        KeyDigest::Sha256 => MechanismType::SHA256,
        KeyDigest::Sha384 => MechanismType::SHA384,
        KeyDigest::Sha512 => MechanismType::SHA512,
    }
}

fn mask_of(digest: KeyDigest) -> PkcsMgfType {
    match digest {
        KeyDigest::Sha1 => PkcsMgfType::MGF1_SHA1,
        KeyDigest::Sha256 => PkcsMgfType::MGF1_SHA256,
        KeyDigest::Sha384 => PkcsMgfType::MGF1_SHA384,
        KeyDigest::Sha512 => PkcsMgfType::MGF1_SHA512,
    }
}
