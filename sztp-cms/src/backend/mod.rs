//! The signature arithmetic: pure Rust always, AWS-LC by the feature `aws-lc-rs`.
//!
//! Both take the same arguments and give the same answers; [`verify`] picks one at compile time.

#[cfg(feature = "aws-lc-rs")]
pub(crate) mod aws_lc;
pub(crate) mod rust_crypto;

use crate::SignatureAlgorithm;
use crate::key::PublicKeyKind;

/// Whether the signature is good; `None` where the backend does not know the combination.
pub(crate) fn verify(
    key: &PublicKeyKind,
    algorithm: SignatureAlgorithm,
    message: &[u8],
    signature: &[u8],
) -> bool {
    #[cfg(feature = "aws-lc-rs")]
    if let Some(good) = aws_lc::verify(key, algorithm, message, signature) {
        return good;
    }
    rust_crypto::verify(key, algorithm, message, signature)
}
