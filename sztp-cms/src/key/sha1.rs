//! RSA signatures over SHA-1, for the one exception that is made
//! ([`TrustAnchors::with_sha1_below`](crate::TrustAnchors::with_sha1_below)).

use der::Decode;
use rsa::pkcs1::DecodeRsaPublicKey;
use rsa::pkcs1v15::Pkcs1v15Sign;
use sha1::{Digest, Sha1};
use spki::SubjectPublicKeyInfoRef;

use super::{KeyKind, PublicKey};

impl PublicKey {
    /// Whether the signature is one of RSASSA-PKCS1-v1_5 (RFC 8017 §8.2) by this key over SHA-1.
    pub(crate) fn verify_rsa_with_sha1(&self, message: &[u8], signature: &[u8]) -> bool {
        if !matches!(self.0.kind, KeyKind::Rsa { .. }) || self.0.pss_only.is_some() {
            return false;
        }
        let Ok(spki) = SubjectPublicKeyInfoRef::from_der(&self.0.spki) else {
            return false;
        };
        let Ok(key) = rsa::PublicKey::from_pkcs1_der(spki.subject_public_key.raw_bytes()) else {
            return false;
        };
        let scheme = Pkcs1v15Sign {
            hash_len: Some(20),
            prefix: Box::new(DIGEST_INFO),
        };
        key.verify(scheme, &Sha1::digest(message), signature)
            .is_ok()
    }
}

/// What comes before a SHA-1 digest in DigestInfo (RFC 8017 §9.2).
const DIGEST_INFO: [u8; 15] = [
    0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2B, 0x0E, 0x03, 0x02, 0x1A, 0x05, 0x00, 0x04, 0x14,
];
