//! X.509 path building and validation (RFC 5280 §6.1).
//!
//! One validator judges vouchers' signers, owner certificates, IDevIDs and TLS servers. It takes
//! what the field produces: a trust anchor may be a root, an intermediate or the end-entity
//! certificate itself, bags of certificates come in any order and cross-signed, end-entity
//! certificates may be version 1. No extended key usage or subject alternative name is demanded.
//! Work is bounded by the number of signature checks.
//!
//! Anchors' own signatures are never checked, so a SHA-1 self-signature of an old root does no
//! harm; their validity, names, path length and extensions are applied as OpenSSL does.
//!
//! Policies: the initial policy set is any-policy and no policy is required, so policy extensions
//! change nothing, except that a certificate which requires an explicit policy is refused.
//! Revocation is left to the caller.

use std::sync::Arc;

use der::asn1::ObjectIdentifier;

use crate::certificate::{Certificate, KeyUsage, name};
use crate::{UnixTime, WallClock};

mod error;
mod extensions;
mod general_name;
mod name_constraints;

pub use error::PathError;
pub(crate) use general_name::{GeneralName, subject_alternative_names};

/// Certificates that are trusted without further question: roots, intermediates, or end-entity
/// certificates (RFC 5280 §6.1.1 (d)).
#[derive(Debug, Clone, Default)]
pub struct TrustAnchors(Arc<[Certificate]>);

impl TrustAnchors {
    /// Trusts these certificates.
    pub fn new(certificates: impl IntoIterator<Item = Certificate>) -> Self {
        Self(certificates.into_iter().collect())
    }

    /// The anchors, in the order given.
    pub fn iter(&self) -> std::slice::Iter<'_, Certificate> {
        self.0.iter()
    }

    /// The number of anchors.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing is trusted.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
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

/// What is asked of a path beyond RFC 5280 §6.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathOptions {
    /// If the end-entity certificate has keyUsage, digitalSignature must be set (RFC 5280
    /// §4.2.1.3).
    pub require_digital_signature_usage: bool,
    /// The most signatures that are checked before giving up; for a CMS message, its signers'
    /// signatures and all their paths together.
    pub max_signature_checks: usize,
}

impl Default for PathOptions {
    fn default() -> Self {
        Self {
            require_digital_signature_usage: false,
            max_signature_checks: 64,
        }
    }
}

/// A path that holds: the end-entity certificate first, its trust anchor last.
///
/// Only [`validate_path`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidatedPath(Vec<Certificate>);

impl ValidatedPath {
    /// From the end-entity certificate to the anchor; one certificate if they are the same.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    /// The certificate that was asked about.
    pub fn end_entity(&self) -> &Certificate {
        &self.0[0]
    }

    /// The trust anchor that the path ends in.
    pub fn anchor(&self) -> &Certificate {
        &self.0[self.0.len() - 1]
    }
}

/// Finds a path from `end` to one of `anchors` and validates it (RFC 5280 §6.1).
///
/// `intermediates` is a bag of certificates that may help, none of them trusted. With
/// [`WallClock::Unknown`] validity periods are not looked at (RFC 8572 §9.1). When no path holds,
/// the error is the most telling one of all that were tried.
pub fn validate_path(
    end: &Certificate,
    intermediates: &[Certificate],
    anchors: &TrustAnchors,
    clock: WallClock,
    options: &PathOptions,
) -> Result<ValidatedPath, PathError> {
    let mut checks_left = options.max_signature_checks;
    validate_within(
        end,
        intermediates,
        anchors,
        clock,
        options,
        &mut checks_left,
    )
}

/// As [`validate_path`], with a budget of signature checks that several calls share.
pub(crate) fn validate_within(
    end: &Certificate,
    intermediates: &[Certificate],
    anchors: &TrustAnchors,
    clock: WallClock,
    options: &PathOptions,
    checks_left: &mut usize,
) -> Result<ValidatedPath, PathError> {
    if anchors.is_empty() {
        return Err(PathError::NoTrustAnchor);
    }
    let mut search = Search {
        intermediates,
        anchors,
        clock,
        options,
        checks_left,
        worst: PathError::UnknownIssuer {
            issuer: end.issuer(),
        },
    };
    let mut path = vec![end.clone()];
    // The end-entity certificate may be its own anchor.
    let found = if anchors.iter().any(|anchor| anchor == end) {
        search.complete(&path)
    } else {
        search.extend(&mut path)
    };
    if found {
        Ok(ValidatedPath(path))
    } else {
        Err(search.worst)
    }
}

/// A depth-first search upwards from the end-entity certificate.
struct Search<'a> {
    intermediates: &'a [Certificate],
    anchors: &'a TrustAnchors,
    clock: WallClock,
    options: &'a PathOptions,
    checks_left: &'a mut usize,
    worst: PathError,
}

impl Search<'_> {
    /// Tries to lead `path` to an anchor; on success `path` is complete and valid.
    fn extend(&mut self, path: &mut Vec<Certificate>) -> bool {
        let Some(current) = path.last().cloned() else {
            return false;
        };
        for issuer in candidates(&current, self.anchors.iter()) {
            if !self.link(&current, issuer, Role::Anchor) {
                continue;
            }
            path.push(issuer.clone());
            if self.complete(path) {
                return true;
            }
            path.pop();
        }
        let mut found_issuer = false;
        for issuer in candidates(&current, self.intermediates.iter()) {
            // A key met before under the same name leads nowhere new.
            if path.iter().any(|seen| same_entity(seen, issuer)) {
                continue;
            }
            if path.len() >= MAX_PATH_LENGTH {
                self.note(PathError::TooLong {
                    limit: MAX_PATH_LENGTH,
                });
                return false;
            }
            if !self.link(&current, issuer, Role::Intermediate) {
                continue;
            }
            found_issuer = true;
            path.push(issuer.clone());
            if self.extend(path) {
                return true;
            }
            path.pop();
        }
        if !found_issuer {
            self.note_unknown(&current, path.len());
        }
        false
    }

    /// Whether `issuer` may issue, and did issue, `subject` (RFC 5280 §6.1.3 (a)(1), §6.1.4).
    fn link(&mut self, subject: &Certificate, issuer: &Certificate, role: Role) -> bool {
        if *self.checks_left == 0 {
            self.note(PathError::BudgetExhausted {
                checks: self.options.max_signature_checks,
            });
            return false;
        }
        *self.checks_left -= 1;
        let verdict =
            extensions::verify_signature(subject, issuer).and_then(|()| may_issue(issuer, role));
        match verdict {
            Ok(()) => true,
            Err(error) => {
                self.note(error);
                false
            }
        }
    }

    /// Checks a path whose signatures hold, from the anchor down (RFC 5280 §6.1.3 to §6.1.5).
    fn complete(&mut self, path: &[Certificate]) -> bool {
        match check_complete(path, self.clock, self.options) {
            Ok(()) => true,
            Err(error) => {
                self.note(error);
                false
            }
        }
    }

    fn note(&mut self, error: PathError) {
        if error.rank() > self.worst.rank() {
            self.worst = error;
        }
    }

    /// Where a chain breaks off higher up, the missing issuer is that one's.
    fn note_unknown(&mut self, last: &Certificate, depth: usize) {
        if depth > 1
            && let PathError::UnknownIssuer { issuer } = &mut self.worst
        {
            *issuer = last.issuer();
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    Anchor,
    Intermediate,
}

/// Certificates that have the name of `subject`'s issuer, those with its key identifier first.
///
/// A key identifier is a hint for path building (RFC 5280 §4.2.1.1); the signature decides.
fn candidates<'a>(
    subject: &Certificate,
    pool: impl Iterator<Item = &'a Certificate>,
) -> Vec<&'a Certificate> {
    let mut named: Vec<&Certificate> = pool
        .filter(|c| name::matches(c.subject_der(), subject.issuer_der()))
        .collect();
    let wanted = subject.authority_key_id();
    named.sort_by_key(|c| match (wanted, c.subject_key_id()) {
        (Some(wanted), Some(id)) if wanted == id => 0,
        (Some(_), Some(_)) => 2,
        _ => 1,
    });
    named
}

fn same_entity(left: &Certificate, right: &Certificate) -> bool {
    left.spki_der() == right.spki_der() && name::matches(left.subject_der(), right.subject_der())
}

/// RFC 5280 §6.1.4 (k) and (n).
fn may_issue(issuer: &Certificate, role: Role) -> Result<(), PathError> {
    let refused = || PathError::IssuerNotCa {
        issuer: issuer.subject(),
    };
    let usage_ok = issuer.key_usage().is_none_or(KeyUsage::key_cert_sign);
    let is_ca = match (issuer.version(), issuer.basic_constraints()) {
        (_, Some(constraints)) => constraints.ca,
        // What made a root before version 3; as an intermediate there is nothing that says CA.
        (1 | 2, None) => role == Role::Anchor && issuer.is_self_issued(),
        (_, None) => {
            role == Role::Anchor && issuer.key_usage().is_some_and(KeyUsage::key_cert_sign)
        }
    };
    if !is_ca {
        return Err(refused());
    }
    if !usage_ok {
        return Err(PathError::IssuerKeyUsage {
            issuer: issuer.subject(),
        });
    }
    Ok(())
}

fn check_complete(
    path: &[Certificate],
    clock: WallClock,
    options: &PathOptions,
) -> Result<(), PathError> {
    for certificate in path.iter().rev() {
        check_validity(certificate, clock)?;
        extensions::check_critical(certificate)?;
    }
    for (index, issuer) in path.iter().enumerate().skip(1).rev() {
        let below = &path[..index];
        check_path_length(issuer, below)?;
        name_constraints::check(issuer, below)?;
    }
    let end = &path[0];
    if options.require_digital_signature_usage
        && !end.key_usage().is_none_or(KeyUsage::digital_signature)
    {
        return Err(PathError::KeyUsage {
            subject: end.subject(),
        });
    }
    Ok(())
}

/// RFC 5280 §6.1.3 (a)(2).
fn check_validity(certificate: &Certificate, clock: WallClock) -> Result<(), PathError> {
    let Some(at) = clock.time() else {
        return Ok(());
    };
    let (not_before, not_after): (UnixTime, UnixTime) =
        (certificate.not_before(), certificate.not_after());
    if at < not_before {
        return Err(PathError::NotYetValid {
            at,
            not_before,
            subject: certificate.subject(),
        });
    }
    if at > not_after {
        return Err(PathError::Expired {
            at,
            not_after,
            subject: certificate.subject(),
        });
    }
    Ok(())
}

/// RFC 5280 §6.1.4 (l) and (m): self-issued certificates and the last one do not count.
fn check_path_length(issuer: &Certificate, below: &[Certificate]) -> Result<(), PathError> {
    let Some(limit) = issuer.basic_constraints().and_then(|c| c.path_len) else {
        return Ok(());
    };
    let found = below.iter().skip(1).filter(|c| !c.is_self_issued()).count();
    if u32::try_from(found).is_ok_and(|found| found <= limit) {
        Ok(())
    } else {
        Err(PathError::PathLengthExceeded {
            issuer: issuer.subject(),
            limit,
        })
    }
}

/// The most certificates in a path, anchor aside.
const MAX_PATH_LENGTH: usize = 16;

pub(crate) const OID_SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const OID_NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
