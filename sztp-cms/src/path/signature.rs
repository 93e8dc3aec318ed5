//! Signatures of certificates and revocation lists (RFC 5280 §6.1.3 (a)(1), §6.3.3 (g)).

use der::Decode;
use der::asn1::ObjectIdentifier;
use spki::AlgorithmIdentifierOwned;

use crate::{AlgorithmError, Certificate, KeyError, SignatureAlgorithm, SignatureError};

/// What was signed, octets as received.
pub(super) struct Signed<'a> {
    pub(super) octets: &'a [u8],
    /// The AlgorithmIdentifier beside the signature, DER.
    pub(super) outer_algorithm: &'a [u8],
    /// Its copy among the octets signed, DER.
    pub(super) inner_algorithm: &'a [u8],
    pub(super) signature: &'a [u8],
}

/// Why a signature does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    AlgorithmMismatch,
    WeakAlgorithm,
    UnsupportedAlgorithm,
    Bad,
}

impl Signed<'_> {
    /// Whether the key of `signer` made the signature.
    pub(super) fn verify(&self, signer: &Certificate) -> Result<(), Refusal> {
        if self.outer_algorithm != self.inner_algorithm {
            return Err(Refusal::AlgorithmMismatch);
        }
        let algorithm = AlgorithmIdentifierOwned::from_der(self.outer_algorithm)
            .map_err(|_| Refusal::UnsupportedAlgorithm)
            .and_then(|id| {
                SignatureAlgorithm::from_identifier(&id).map_err(|error| algorithm_refusal(&error))
            })?;
        let key = signer.verifying_key().map_err(|error| match error {
            KeyError::RsaSize { .. } => Refusal::WeakAlgorithm,
            _ => Refusal::UnsupportedAlgorithm,
        })?;
        key.verify(algorithm, self.octets, self.signature)
            .map_err(|error| match error {
                SignatureError::Algorithm(error) => algorithm_refusal(&error),
                _ => Refusal::Bad,
            })
    }
}

impl Signed<'_> {
    /// sha1WithRSAEncryption (RFC 3279 §2.2.1), in both places.
    pub(super) fn is_rsa_with_sha1(&self) -> bool {
        self.outer_algorithm == self.inner_algorithm
            && AlgorithmIdentifierOwned::from_der(self.outer_algorithm)
                .is_ok_and(|id| id.oid == SHA_1_WITH_RSA)
    }

    /// Whether the key of `signer` made a signature that [`Self::is_rsa_with_sha1`].
    pub(super) fn verify_with_sha1(&self, signer: &Certificate) -> Result<(), Refusal> {
        let key = signer.verifying_key().map_err(|error| match error {
            KeyError::RsaSize { .. } => Refusal::WeakAlgorithm,
            _ => Refusal::UnsupportedAlgorithm,
        })?;
        if key.verify_rsa_with_sha1(self.octets, self.signature) {
            Ok(())
        } else {
            Err(Refusal::Bad)
        }
    }
}

const SHA_1_WITH_RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.5");

fn algorithm_refusal(error: &AlgorithmError) -> Refusal {
    match error {
        AlgorithmError::Weak { .. } => Refusal::WeakAlgorithm,
        _ => Refusal::UnsupportedAlgorithm,
    }
}
