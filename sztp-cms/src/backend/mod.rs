//! The signature arithmetic: pure Rust always, AWS-LC by the feature `aws-lc-rs`.
//!
//! Both take the same arguments and give the same answers, so that the feature changes speed and
//! never a verdict. What a key may look like is therefore judged before, in
//! [`key`](crate::PublicKey), and not left to what a backend happens to accept.

#[cfg(feature = "aws-lc-rs")]
pub(crate) mod aws_lc;
pub(crate) mod rust_crypto;

#[cfg(feature = "aws-lc-rs")]
pub(crate) use aws_lc::VerifyingKey;
#[cfg(not(feature = "aws-lc-rs"))]
pub(crate) use rust_crypto::VerifyingKey;
