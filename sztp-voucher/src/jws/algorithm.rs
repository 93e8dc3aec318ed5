//! The algorithms of JWS (RFC 7518 §3.1, RFC 8037 §3.1) that are accepted, and their form of signatures.
//!
//! JWS ties each ECDSA algorithm to one curve and writes signatures as r‖s (RFC 7518 §3.4), where
//! the keys of `sztp-cms` write ASN.1.

use der::asn1::{ObjectIdentifier, UintRef};
use der::{Decode as _, Encode as _, Sequence};
use spki::SubjectPublicKeyInfoRef;
use sztp_cms::DigestAlgorithm::{self, Sha256, Sha384, Sha512};
use sztp_cms::SignatureAlgorithm;

/// An algorithm by its name in JWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    /// ES256 and its like.
    Ecdsa(Curve),
    /// RS256 and its like.
    RsaPkcs1(DigestAlgorithm),
    /// PS256 and its like; the salt has the digest's length (RFC 7518 §3.5).
    RsaPss(DigestAlgorithm),
    /// EdDSA, of which only Ed25519.
    Ed25519,
}

impl Algorithm {
    const ALL: [Self; 10] = [
        Self::Ecdsa(Curve::P256),
        Self::Ecdsa(Curve::P384),
        Self::Ecdsa(Curve::P521),
        Self::RsaPkcs1(Sha256),
        Self::RsaPkcs1(Sha384),
        Self::RsaPkcs1(Sha512),
        Self::RsaPss(Sha256),
        Self::RsaPss(Sha384),
        Self::RsaPss(Sha512),
        Self::Ed25519,
    ];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// What a signer's signatures are called, if JWS knows them.
    pub(super) fn of_signer(algorithm: SignatureAlgorithm, spki: &[u8]) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.signature_algorithm() == algorithm && known.fits(spki))
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Ecdsa(Curve::P256) => "ES256",
            Self::Ecdsa(Curve::P384) => "ES384",
            Self::Ecdsa(Curve::P521) => "ES512",
            Self::RsaPkcs1(Sha256) => "RS256",
            Self::RsaPkcs1(Sha384) => "RS384",
            Self::RsaPkcs1(Sha512) => "RS512",
            Self::RsaPss(Sha256) => "PS256",
            Self::RsaPss(Sha384) => "PS384",
            Self::RsaPss(Sha512) => "PS512",
            Self::Ed25519 => "EdDSA",
        }
    }

    pub(super) const fn signature_algorithm(self) -> SignatureAlgorithm {
        match self {
            Self::Ecdsa(curve) => SignatureAlgorithm::Ecdsa(curve.digest()),
            Self::RsaPkcs1(digest) => SignatureAlgorithm::RsaPkcs1(digest),
            Self::RsaPss(digest) => SignatureAlgorithm::RsaPss(digest),
            Self::Ed25519 => SignatureAlgorithm::Ed25519,
        }
    }

    /// Whether it is for keys of this kind and, for ECDSA, this curve.
    pub(super) fn fits(self, spki: &[u8]) -> bool {
        let Ok(info) = SubjectPublicKeyInfoRef::try_from(spki) else {
            return false;
        };
        match self {
            Self::Ecdsa(curve) => {
                info.algorithm.oid == EC_PUBLIC_KEY
                    && info.algorithm.parameters_oid() == Ok(curve.oid())
            }
            Self::RsaPkcs1(_) | Self::RsaPss(_) => info.algorithm.oid == RSA_ENCRYPTION,
            Self::Ed25519 => info.algorithm.oid == ED25519,
        }
    }

    /// The signature in the form of JWS; none if it is no signature of this algorithm.
    pub(super) fn signature_from_der(self, signature: &[u8]) -> Option<Vec<u8>> {
        let Self::Ecdsa(curve) = self else {
            return Some(signature.to_vec());
        };
        let value = EcdsaSigValue::from_der(signature).ok()?;
        let length = curve.length();
        let mut octets = vec![0; 2 * length];
        for (integer, place) in [value.r, value.s].iter().zip(octets.chunks_mut(length)) {
            let integer = integer.as_bytes();
            let start = length.checked_sub(integer.len())?;
            place[start..].copy_from_slice(integer);
        }
        Some(octets)
    }

    /// The inverse of [`Self::signature_from_der`].
    pub(super) fn signature_to_der(self, signature: &[u8]) -> Option<Vec<u8>> {
        let Self::Ecdsa(curve) = self else {
            return Some(signature.to_vec());
        };
        // RFC 7518 §3.4: neither more nor less octets than the curve has.
        if signature.len() != 2 * curve.length() {
            return None;
        }
        let (r, s) = signature.split_at(curve.length());
        let value = EcdsaSigValue {
            r: UintRef::new(r).ok()?,
            s: UintRef::new(s).ok()?,
        };
        value.to_der().ok()
    }
}

/// A curve, which in JWS has its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Curve {
    P256,
    P384,
    P521,
}

impl Curve {
    const fn digest(self) -> DigestAlgorithm {
        match self {
            Self::P256 => Sha256,
            Self::P384 => Sha384,
            Self::P521 => Sha512,
        }
    }

    const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::P256 => ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7"),
            Self::P384 => ObjectIdentifier::new_unwrap("1.3.132.0.34"),
            Self::P521 => ObjectIdentifier::new_unwrap("1.3.132.0.35"),
        }
    }

    /// Octets of r and of s.
    const fn length(self) -> usize {
        match self {
            Self::P256 => 32,
            Self::P384 => 48,
            Self::P521 => 66,
        }
    }
}

/// RFC 3279 §2.2.3.
#[derive(Sequence)]
struct EcdsaSigValue<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_again() {
        for one in Algorithm::ALL {
            assert_eq!(Algorithm::from_name(one.name()), Some(one));
        }
        for other in ["none", "None", "HS256", "es256", "ES256K", "Ed448", ""] {
            assert_eq!(Algorithm::from_name(other), None, "{other}");
        }
    }

    #[test]
    fn short_integers_get_their_zeros_back() {
        let algorithm = Algorithm::Ecdsa(Curve::P256);
        let mut raw = vec![0; 64];
        raw[31] = 1;
        raw[32] = 0xFF;
        let der = algorithm.signature_to_der(&raw).unwrap();
        assert_eq!(der[..7], [0x30, 38, 0x02, 1, 1, 0x02, 33]);
        assert_eq!(algorithm.signature_from_der(&der), Some(raw));
        for length in [0, 63, 65, 96] {
            assert_eq!(algorithm.signature_to_der(&vec![1; length]), None);
        }
        // Of a longer curve.
        let long = Algorithm::Ecdsa(Curve::P384).signature_to_der(&[0x7F; 96]);
        assert_eq!(algorithm.signature_from_der(&long.unwrap()), None);
    }
}
