//! X.509 path building and validation (RFC 5280 §6.1).
//!
//! One validator judges vouchers' signers, owner certificates, IDevIDs and TLS servers. It takes
//! what the field produces: a trust anchor may be a root, an intermediate or the end-entity
//! certificate itself, bags of certificates come in any order and cross-signed, end-entity
//! certificates may be version 1. No extended key usage or subject alternative name is demanded.
//! Work is bounded by the number of signature checks.
//!
//! Anchors' own signatures are never checked, so a SHA-1 self-signature of an old root does no
//! harm; their validity, names, path length and critical extensions are applied as OpenSSL does.
//! Their policies and their revocation are not.
//!
//! Policies are processed as RFC 5280 says; by default no policy is asked for, and then they only
//! matter where a certificate requires one. Revocation is checked on lists that the caller has, to
//! the extent of [`RevocationPolicy`]; by default not at all.

use std::sync::Arc;

use der::asn1::ObjectIdentifier;

use crate::certificate::Certificate;
use crate::{CertificateRevocationList, WallClock};

mod checks;
mod error;
mod general_name;
mod name_constraints;
mod policy;
mod revocation;
mod search;
mod signature;
mod work;

pub use error::PathError;
pub use policy::PolicyOptions;
pub use revocation::RevocationPolicy;

use search::Search;
pub(crate) use work::Work;

pub(crate) use general_name::{GeneralName, subject_alternative_names};

/// Certificates that are trusted without further question: roots, intermediates, or end-entity
/// certificates (RFC 5280 §6.1.1 (d)).
#[derive(Debug, Clone, Default)]
pub struct TrustAnchors {
    all: Arc<[Certificate]>,
    sha1: Arc<[Certificate]>,
}

impl TrustAnchors {
    /// Trusts these certificates.
    pub fn new(certificates: impl IntoIterator<Item = Certificate>) -> Self {
        Self {
            all: certificates.into_iter().collect(),
            sha1: Arc::default(),
        }
    }

    /// The same, with the exception that in paths which end in one of `anchors`, where it is among
    /// these, certificates may be signed with RSA and SHA-1.
    ///
    /// SHA-1 collisions are made in practice: only for anchors whose authorities issue no more
    /// certificates with content that others choose, as those of devices that were made before
    /// 2020.
    #[must_use]
    pub fn with_sha1_below(self, anchors: impl IntoIterator<Item = Certificate>) -> Self {
        Self {
            sha1: anchors.into_iter().collect(),
            ..self
        }
    }

    /// The anchors, in the order given.
    pub fn iter(&self) -> std::slice::Iter<'_, Certificate> {
        self.all.iter()
    }

    /// The number of anchors.
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether nothing is trusted.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }
}

impl FromIterator<Certificate> for TrustAnchors {
    fn from_iter<I: IntoIterator<Item = Certificate>>(certificates: I) -> Self {
        Self::new(certificates)
    }
}

impl<'a> IntoIterator for &'a TrustAnchors {
    type Item = &'a Certificate;
    type IntoIter = std::slice::Iter<'a, Certificate>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// What is asked of a path, beside the anchors and the time (RFC 5280 §6.1.1, §6.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathOptions<'a> {
    /// If the end-entity certificate has keyUsage, digitalSignature must be set (RFC 5280
    /// §4.2.1.3).
    pub require_digital_signature_usage: bool,
    /// The most signatures of certificates and revocation lists that are checked before giving up;
    /// for a CMS message, those of its signers and of all their paths together.
    pub max_signature_checks: usize,
    /// What is asked of certificate policies.
    pub policies: PolicyOptions<'a>,
    /// How far revocation is checked.
    pub revocation: RevocationPolicy,
    /// The revocation lists at hand, in any order, of any issuers; none is trusted before its
    /// signature is verified.
    pub crls: &'a [CertificateRevocationList],
}

impl Default for PathOptions<'_> {
    fn default() -> Self {
        Self {
            require_digital_signature_usage: false,
            max_signature_checks: 64,
            policies: PolicyOptions::default(),
            revocation: RevocationPolicy::NotChecked,
            crls: &[],
        }
    }
}

/// A path that holds: the end-entity certificate first, its trust anchor last.
///
/// Only [`validate_path`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedPath {
    certificates: Vec<Certificate>,
    policies: Vec<ObjectIdentifier>,
}

impl ValidatedPath {
    /// From the end-entity certificate to the anchor; one certificate if they are the same.
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The certificate that was asked about.
    pub fn end_entity(&self) -> &Certificate {
        &self.certificates[0]
    }

    /// The trust anchor that the path ends in.
    pub fn anchor(&self) -> &Certificate {
        &self.certificates[self.certificates.len() - 1]
    }

    /// The policies under which the path is valid, in the terms of the anchor: the
    /// user-constrained-policy-set (RFC 5280 §6.1.6). Empty where none was required and none is
    /// common to the path.
    pub fn policies(&self) -> &[ObjectIdentifier] {
        &self.policies
    }
}

/// Finds a path from `end` to one of `anchors` and validates it (RFC 5280 §6.1, §6.3).
///
/// `intermediates` is a bag of certificates that may help, none of them trusted. With
/// [`WallClock::Unknown`] validity periods are not looked at (RFC 8572 §9.1), neither of
/// certificates nor of revocation lists. When no path holds, the error is the most telling one of
/// all that were tried.
///
/// ```
/// use sztp_cms::{
///     CertificateBuilder, KeyType, PathError, PathOptions, RevocationPolicy, Signer, SigningKey,
///     TrustAnchors, UnixTime, WallClock, validate_path,
/// };
///
/// let (ca_key, key) = (SigningKey::generate(KeyType::EcP256)?, SigningKey::generate(KeyType::EcP256)?);
/// let ca = CertificateBuilder::new("CN=IDevID CA").ca(None).self_signed(&ca_key)?;
/// let device = CertificateBuilder::new("CN=AX7,serialNumber=AX7-00042")
///     .issued_by(key.spki_der(), &ca, &ca_key)?;
///
/// let anchors = TrustAnchors::new([ca]);
/// let clock = WallClock::Trusted(UnixTime::parse_rfc3339("2026-03-02T08:15:00Z")?);
/// let path = validate_path(&device, &[], &anchors, clock, &PathOptions::default())?;
/// assert_eq!(path.certificates().len(), 2);
///
/// let strict = PathOptions {
///     revocation: RevocationPolicy::EndEntity,
///     ..PathOptions::default()
/// };
/// let refused = validate_path(&device, &[], &anchors, clock, &strict);
/// assert!(matches!(refused, Err(PathError::RevocationUnknown { .. })));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn validate_path(
    end: &Certificate,
    intermediates: &[Certificate],
    anchors: &TrustAnchors,
    clock: WallClock,
    options: &PathOptions<'_>,
) -> Result<ValidatedPath, PathError> {
    let mut work = Work::new(options.max_signature_checks);
    validate_path_within(end, intermediates, anchors, clock, options, &mut work)
}

/// As [`validate_path`], at the expense of what is left of `work`.
pub(crate) fn validate_path_within(
    end: &Certificate,
    intermediates: &[Certificate],
    anchors: &TrustAnchors,
    clock: WallClock,
    options: &PathOptions<'_>,
    work: &mut Work,
) -> Result<ValidatedPath, PathError> {
    if anchors.is_empty() {
        return Err(PathError::NoTrustAnchor);
    }
    let search = Search {
        intermediates,
        anchors: &anchors.all,
        sha1_anchors: &anchors.sha1,
        clock,
        options,
        work,
    };
    search.run(end)
}

pub(crate) const OID_SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const OID_NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
