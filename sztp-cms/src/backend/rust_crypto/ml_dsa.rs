//! ML-DSA (FIPS 204) and the three forms of its private keys (RFC 9881 §6).

use getrandom::SysRng;
use ml_dsa::signature::Keypair;
use ml_dsa::{
    EncodedSignature, EncodedVerifyingKey, ExpandedSigningKey, ExpandedSigningKeyBytes, MlDsa44,
    MlDsa65, MlDsa87, MlDsaParams, Seed, Signature, SigningKey,
};
use zeroize::Zeroizing;

use crate::MlDsaParameterSet;
use crate::ber::{CONTEXT_0_PRIMITIVE, OCTET_STRING, Reader, SEQUENCE, encode};

/// A public key, parsed.
#[cfg_attr(feature = "aws-lc-rs", allow(dead_code))]
pub(crate) enum VerifyingKey {
    MlDsa44(Box<ml_dsa::VerifyingKey<MlDsa44>>),
    MlDsa65(Box<ml_dsa::VerifyingKey<MlDsa65>>),
    MlDsa87(Box<ml_dsa::VerifyingKey<MlDsa87>>),
}

impl VerifyingKey {
    /// `None` if the octets are not as many as there must be: all keys of the right length are
    /// keys.
    pub(crate) fn parse(set: MlDsaParameterSet, octets: &[u8]) -> Option<Self> {
        match set {
            MlDsaParameterSet::MlDsa44 => decode(octets).map(Self::MlDsa44),
            MlDsaParameterSet::MlDsa65 => decode(octets).map(Self::MlDsa65),
            MlDsaParameterSet::MlDsa87 => decode(octets).map(Self::MlDsa87),
        }
    }

    #[cfg_attr(feature = "aws-lc-rs", allow(dead_code))]
    pub(crate) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match self {
            Self::MlDsa44(key) => verify(key, message, signature),
            Self::MlDsa65(key) => verify(key, message, signature),
            Self::MlDsa87(key) => verify(key, message, signature),
        }
    }
}

fn decode<P: MlDsaParams>(octets: &[u8]) -> Option<Box<ml_dsa::VerifyingKey<P>>> {
    let encoded = EncodedVerifyingKey::<P>::try_from(octets).ok()?;
    Some(Box::new(ml_dsa::VerifyingKey::decode(&encoded)))
}

fn verify<P: MlDsaParams>(key: &ml_dsa::VerifyingKey<P>, message: &[u8], signature: &[u8]) -> bool {
    EncodedSignature::<P>::try_from(signature)
        .ok()
        .and_then(|encoded| Signature::<P>::decode(&encoded))
        .is_some_and(|signature| key.verify_with_context(message, &[], &signature))
}

/// A private key in memory; it zeroizes itself when dropped.
pub(crate) enum PrivateKey {
    MlDsa44(Held<MlDsa44>),
    MlDsa65(Held<MlDsa65>),
    MlDsa87(Held<MlDsa87>),
}

/// What was in the file: a seed can be expanded, but not the other way round.
pub(crate) enum Held<P: MlDsaParams> {
    Seed(Box<SigningKey<P>>),
    Expanded(Box<ExpandedSigningKey<P>>),
}

impl PrivateKey {
    pub(crate) fn generate(set: MlDsaParameterSet) -> Option<Self> {
        let mut seed = Zeroizing::new([0; SEED_BYTES]);
        getrandom::fill(seed.as_mut_slice()).ok()?;
        Self::from_seed(set, seed.as_slice())
    }

    fn from_seed(set: MlDsaParameterSet, seed: &[u8]) -> Option<Self> {
        Some(match set {
            MlDsaParameterSet::MlDsa44 => Self::MlDsa44(Held::from_seed(seed)?),
            MlDsaParameterSet::MlDsa65 => Self::MlDsa65(Held::from_seed(seed)?),
            MlDsaParameterSet::MlDsa87 => Self::MlDsa87(Held::from_seed(seed)?),
        })
    }

    fn from_expanded(set: MlDsaParameterSet, expanded: &[u8]) -> Option<Self> {
        // FIPS 204 §7.2, skDecode: the coefficients must be known to be in range.
        let (vectors, eta) = match set {
            MlDsaParameterSet::MlDsa44 => (4 + 4, 2),
            MlDsaParameterSet::MlDsa65 => (6 + 5, 4),
            MlDsaParameterSet::MlDsa87 => (8 + 7, 2),
        };
        if !are_short(expanded, vectors, eta) {
            return None;
        }
        Some(match set {
            MlDsaParameterSet::MlDsa44 => Self::MlDsa44(Held::from_expanded(expanded)?),
            MlDsaParameterSet::MlDsa65 => Self::MlDsa65(Held::from_expanded(expanded)?),
            MlDsaParameterSet::MlDsa87 => Self::MlDsa87(Held::from_expanded(expanded)?),
        })
    }

    /// Reads ML-DSA-PrivateKey (RFC 9881 §6): the seed, the expanded key, or both, which must then
    /// be the same key (§8.2).
    pub(crate) fn from_der(set: MlDsaParameterSet, der: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(der);
        let choice = reader.any("ML-DSA private key").ok()?;
        reader.finish("ML-DSA private key").ok()?;
        match choice.tag {
            CONTEXT_0_PRIMITIVE => Self::from_seed(set, choice.body),
            OCTET_STRING => Self::from_expanded(set, choice.body),
            SEQUENCE => {
                let mut both = Reader::new(choice.body);
                let seed = both.expect(OCTET_STRING, "seed").ok()?.body;
                let expanded = both.expect(OCTET_STRING, "expandedKey").ok()?.body;
                both.finish("ML-DSA private key").ok()?;
                let key = Self::from_seed(set, seed)?;
                (key.expanded().as_slice() == expanded).then_some(key)
            }
            _ => None,
        }
    }

    /// ML-DSA-PrivateKey: the seed if it is known, as RFC 9881 §6 recommends.
    pub(crate) fn to_der(&self) -> Zeroizing<Vec<u8>> {
        let seed = match self {
            Self::MlDsa44(Held::Seed(key)) => key.as_seed(),
            Self::MlDsa65(Held::Seed(key)) => key.as_seed(),
            Self::MlDsa87(Held::Seed(key)) => key.as_seed(),
            Self::MlDsa44(Held::Expanded(_))
            | Self::MlDsa65(Held::Expanded(_))
            | Self::MlDsa87(Held::Expanded(_)) => {
                return Zeroizing::new(encode(OCTET_STRING, &[&self.expanded()]));
            }
        };
        Zeroizing::new(encode(CONTEXT_0_PRIMITIVE, &[seed]))
    }

    pub(crate) const fn parameter_set(&self) -> MlDsaParameterSet {
        match self {
            Self::MlDsa44(_) => MlDsaParameterSet::MlDsa44,
            Self::MlDsa65(_) => MlDsaParameterSet::MlDsa65,
            Self::MlDsa87(_) => MlDsaParameterSet::MlDsa87,
        }
    }

    pub(crate) fn public_key(&self) -> Vec<u8> {
        match self {
            Self::MlDsa44(key) => key.public_key(),
            Self::MlDsa65(key) => key.public_key(),
            Self::MlDsa87(key) => key.public_key(),
        }
    }

    /// With fresh randomness mixed in, which makes faults and side channels harder to exploit
    /// (FIPS 204 §3.4).
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::MlDsa44(key) => key.sign(message),
            Self::MlDsa65(key) => key.sign(message),
            Self::MlDsa87(key) => key.sign(message),
        }
    }

    fn expanded(&self) -> Zeroizing<Vec<u8>> {
        match self {
            Self::MlDsa44(key) => key.to_expanded(),
            Self::MlDsa65(key) => key.to_expanded(),
            Self::MlDsa87(key) => key.to_expanded(),
        }
    }
}

impl<P: MlDsaParams> Held<P> {
    fn from_seed(seed: &[u8]) -> Option<Self> {
        let seed = Zeroizing::new(Seed::try_from(seed).ok()?);
        Some(Self::Seed(Box::new(SigningKey::from_seed(&seed))))
    }

    // The crate would have everyone use seeds; RFC 9881 has both.
    #[allow(deprecated)]
    fn from_expanded(octets: &[u8]) -> Option<Self> {
        let encoded = Zeroizing::new(ExpandedSigningKeyBytes::<P>::try_from(octets).ok()?);
        let key = ExpandedSigningKey::from_expanded(&encoded);
        // The hash of the public key, and the low bits of t, are only right in a key whose
        // signatures hold.
        let trial = key.sign_deterministic(b"trial", &[]).ok()?;
        key.verifying_key()
            .verify_with_context(b"trial", &[], &trial)
            .then(|| Self::Expanded(Box::new(key)))
    }

    #[allow(deprecated)]
    fn to_expanded(&self) -> Zeroizing<Vec<u8>> {
        let key = self.key().to_expanded();
        Zeroizing::new(key.to_vec())
    }

    fn public_key(&self) -> Vec<u8> {
        match self {
            Self::Seed(key) => key.verifying_key().encode().to_vec(),
            Self::Expanded(key) => key.verifying_key().encode().to_vec(),
        }
    }

    fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let signature = self.key().sign_randomized(message, &[], &mut SysRng).ok()?;
        Some(signature.encode().to_vec())
    }

    fn key(&self) -> &ExpandedSigningKey<P> {
        match self {
            Self::Seed(key) => key.expanded_key(),
            Self::Expanded(key) => key,
        }
    }
}

/// Whether all coefficients of s1 and s2 are from -eta to eta (FIPS 204 §7.1, BitPack).
fn are_short(expanded: &[u8], vectors: usize, eta: u8) -> bool {
    let bits = if eta == 2 { 3 } else { 4 };
    let Some(packed) = expanded.get(128..128 + vectors * 32 * bits) else {
        return false;
    };
    // Three octets hold eight coefficients of three bits, or six of four.
    packed.chunks_exact(3).all(|three| {
        let word = u32::from(three[0]) | u32::from(three[1]) << 8 | u32::from(three[2]) << 16;
        (0..24 / bits).all(|at| {
            let coefficient = word >> (at * bits) & ((1 << bits) - 1);
            coefficient <= 2 * u32::from(eta)
        })
    }) && packed
        .chunks_exact(3)
        .remainder()
        .iter()
        .all(|octet| octet & 15 <= 2 * eta && octet >> 4 <= 2 * eta)
}

const SEED_BYTES: usize = 32;
