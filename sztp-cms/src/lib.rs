//! CMS (RFC 5652), keys, and X.509 path validation (RFC 5280) as Secure Zero Touch Provisioning
//! (RFC 8572) uses them.
//!
//! Bytes become [`SignedData`], which is well-formed but not believed; [`SignedData::verify`] turns
//! it into [`VerifiedContent`], the only type whose content may be acted on. Nothing here does I/O
//! or reads a clock: the time is an argument. What the content means (YANG, JSON) is left to
//! `sztp-voucher` and `sztp-core`.
//!
//! # Features
//!
//! - `aws-lc-rs`: signatures by AWS-LC, several times faster than pure Rust.
//! - `rustls`: certificate verifiers for rustls that use this crate's path validation.
//! - `ml-dsa`: post-quantum signatures, ML-DSA-44, -65 and -87, in CMS (RFC 9882) and certificates
//!   (RFC 9881).
//! - `pkcs11`: signing with keys in tokens and HSMs. This feature is the one exception to the
//!   above: it loads the token's module, talks to it, and may read a PIN from a file.

#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod algorithm;
mod backend;
mod ber;
mod certificate;
mod certification_request;
mod content_info;
mod crl;
mod enveloped_data;
mod error;
mod issue;
mod issuer_and_serial;
mod key;
mod limits;
pub mod oids;
mod path;
#[cfg(feature = "pkcs11")]
mod pkcs11;
mod rule;
#[cfg(feature = "rustls")]
mod rustls_verifier;
mod server_name;
mod signed_data;
mod time;

#[cfg(feature = "ml-dsa")]
pub use algorithm::MlDsaParameterSet;
pub use algorithm::{AlgorithmError, DigestAlgorithm, SignatureAlgorithm};
pub use certificate::{BasicConstraints, Certificate, CertificateError, Extension, KeyUsage};
pub use certification_request::{
    CertificationRequest, CertificationRequestError, ProvenRequest, RequestedExtension,
};
pub use content_info::ContentInfo;
pub use crl::{CertificateRevocationList, CrlError, RevocationReason, RevokedCertificate};
pub use enveloped_data::{
    ContentCipher, DecryptOptions, DecryptedContent, DecryptionPolicy, EnvelopedData,
    EnvelopedDataBuilder, Recipient, RecipientId,
};
pub use error::CmsError;
pub use issue::{CertificateBuilder, CertificationRequestBuilder, IssueError};
pub use key::{
    DecryptionFailed, Decryptor, ForeignSigner, KeyDigest, KeyError, KeyType, PublicKey,
    RsaPadding, SignatureError, Signer, SigningKey,
};
pub use limits::Limits;
pub use path::{
    PathError, PathOptions, PolicyOptions, RevocationPolicy, TrustAnchors, ValidatedPath,
    validate_path,
};
#[cfg(feature = "pkcs11")]
pub use pkcs11::{Pkcs11Error, Pkcs11Module, Pkcs11Signer, Pkcs11Uri};
pub use rule::Rule;
#[cfg(feature = "rustls")]
pub use rustls_verifier::{
    AnyClientCertificate, ServerTrust, ServerVerifier, TlsKey, TlsVersions, client_config,
    client_config_speaking, client_config_with_key, server_config, server_config_with_identities,
};
pub use server_name::certificate_names_host;
pub use signed_data::{
    Leniency, SignedData, SignedDataBuilder, SignedDataRef, SignerId, SignerInfo, SignerPolicy,
    VerifiedContent, VerifiedSigner, VerifyOptions, certs_only, parse_certs_only,
};
pub use time::{TimeError, UnixTime, WallClock};
