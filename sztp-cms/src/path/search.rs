//! Path building: a depth-first search upwards from the end-entity certificate (RFC 4158).

use super::signature::{Refusal, Signed};
use super::work::Work;
use super::{PathError, PathOptions, ValidatedPath, checks, name_constraints, policy, revocation};
use crate::WallClock;
use crate::certificate::{Certificate, KeyUsage};

/// What a path is made of and judged by.
pub(super) struct Search<'a> {
    pub(super) intermediates: &'a [Certificate],
    pub(super) anchors: &'a [Certificate],
    /// Those below which certificates may be signed with SHA-1.
    pub(super) sha1_anchors: &'a [Certificate],
    pub(super) clock: WallClock,
    pub(super) options: &'a PathOptions<'a>,
    pub(super) work: &'a mut Work,
}

impl Search<'_> {
    /// The first path from `end` to an anchor that holds; otherwise the most telling error.
    pub(super) fn run(mut self, end: &Certificate) -> Result<ValidatedPath, PathError> {
        let mut attempt = Attempt {
            path: vec![end.clone()],
            policies: Vec::new(),
            worst: None,
            no_issuer_of: end.clone(),
        };
        // The end-entity certificate may be its own anchor.
        let found = if self.anchors.contains(end) {
            self.complete(&mut attempt)
        } else {
            self.extend(&mut attempt)
        };
        if found {
            return Ok(ValidatedPath {
                certificates: attempt.path,
                policies: attempt.policies,
            });
        }
        Err(attempt.worst.unwrap_or_else(|| PathError::UnknownIssuer {
            issuer: attempt.no_issuer_of.issuer(),
        }))
    }

    /// Tries to lead the path to an anchor; on success it is complete and valid.
    fn extend(&mut self, attempt: &mut Attempt) -> bool {
        let Some(current) = attempt.path.last().cloned() else {
            return false;
        };
        let mut tried: Vec<&Certificate> = Vec::new();
        for issuer in candidates(&current, self.anchors) {
            if attempt.is_over() {
                return false;
            }
            if tried.contains(&issuer) {
                continue;
            }
            tried.push(issuer);
            if !self.link(attempt, &current, issuer, Role::Anchor) {
                continue;
            }
            attempt.path.push(issuer.clone());
            if self.complete(attempt) {
                return true;
            }
            attempt.path.pop();
        }
        let mut found_issuer = false;
        for issuer in candidates(&current, self.intermediates) {
            // Neither a copy nor a key met before under the same name leads anywhere new.
            if tried.contains(&issuer) || attempt.path.iter().any(|seen| same_entity(seen, issuer))
            {
                continue;
            }
            if attempt.path.len() >= MAX_PATH_LENGTH {
                attempt.note(PathError::TooLong {
                    limit: MAX_PATH_LENGTH,
                });
                return false;
            }
            if attempt.is_over() {
                return false;
            }
            tried.push(issuer);
            if !self.link(attempt, &current, issuer, Role::Intermediate) {
                continue;
            }
            found_issuer = true;
            attempt.path.push(issuer.clone());
            if self.extend(attempt) {
                return true;
            }
            attempt.path.pop();
        }
        // Where a chain breaks off higher up, the missing issuer is that one's.
        if !found_issuer && attempt.path.len() > 1 {
            attempt.no_issuer_of = current;
        }
        false
    }

    /// Whether `issuer` may issue, and did issue, `subject` (RFC 5280 §6.1.3 (a)(1), §6.1.4).
    fn link(
        &mut self,
        attempt: &mut Attempt,
        subject: &Certificate,
        issuer: &Certificate,
        role: Role,
    ) -> bool {
        let verdict = self
            .work
            .check_signature()
            .and_then(|()| verify_signature(subject, issuer, !self.sha1_anchors.is_empty()))
            .and_then(|()| may_issue(issuer, role));
        verdict.map_err(|error| attempt.note(error)).is_ok()
    }

    /// Checks a path whose signatures hold (RFC 5280 §6.1.3 to §6.1.5), and revocation last (§6.3).
    fn complete(&mut self, attempt: &mut Attempt) -> bool {
        let path = &attempt.path;
        let verdict = self
            .check_sha1(path)
            .and_then(|()| checks::check(path, self.clock, self.options))
            .and_then(|()| name_constraints::check(path, self.work))
            .and_then(|()| policy::check(path, &self.options.policies, self.work))
            .and_then(|policies| revocation::check(self, path).map(|()| policies));
        match verdict {
            Ok(policies) => {
                attempt.policies = policies;
                true
            }
            Err(error) => {
                attempt.note(error);
                false
            }
        }
    }
}

impl Search<'_> {
    /// A signature with SHA-1 was let pass as long as the anchor was not known.
    fn check_sha1(&self, path: &[Certificate]) -> Result<(), PathError> {
        let Some((anchor, below)) = path.split_last() else {
            return Ok(());
        };
        if self.sha1_anchors.is_empty() || self.sha1_anchors.contains(anchor) {
            return Ok(());
        }
        match below.iter().find(|one| signed(one).is_rsa_with_sha1()) {
            Some(weak) => Err(PathError::WeakAlgorithm {
                subject: weak.subject(),
            }),
            None => Ok(()),
        }
    }
}

/// How far the search came.
struct Attempt {
    path: Vec<Certificate>,
    policies: Vec<der::asn1::ObjectIdentifier>,
    worst: Option<PathError>,
    no_issuer_of: Certificate,
}

impl Attempt {
    fn note(&mut self, error: PathError) {
        let known = self.worst.as_ref().map_or(0, PathError::rank);
        if self.worst.is_none() || error.rank() > known {
            self.worst = Some(error);
        }
    }

    /// Whether a limit was met, so that nothing more can be found.
    fn is_over(&self) -> bool {
        self.worst.as_ref().is_some_and(PathError::is_limit)
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
fn candidates<'a>(subject: &Certificate, pool: &'a [Certificate]) -> Vec<&'a Certificate> {
    let mut named: Vec<&Certificate> = pool
        .iter()
        .filter(|one| one.is_named_as_issuer_of(subject))
        .collect();
    if named.len() > 1 {
        let wanted = subject.authority_key_id();
        named.sort_by_cached_key(|one| match (wanted, one.subject_key_id()) {
            (Some(wanted), Some(id)) if wanted == id => 0,
            (Some(_), Some(_)) => 2,
            _ => 1,
        });
    }
    named
}

fn same_entity(left: &Certificate, right: &Certificate) -> bool {
    left.spki_der() == right.spki_der()
        && (left.subject_der() == right.subject_der()
            || left.canonical_subject() == right.canonical_subject())
}

/// RFC 5280 §6.1.3 (a)(1), over the octets as received.
fn verify_signature(
    subject: &Certificate,
    issuer: &Certificate,
    sha1: bool,
) -> Result<(), PathError> {
    let signed = signed(subject);
    let verdict = if sha1 && signed.is_rsa_with_sha1() {
        signed.verify_with_sha1(issuer)
    } else {
        signed.verify(issuer)
    };
    verdict.map_err(|refusal| {
        let subject = subject.subject();
        match refusal {
            Refusal::AlgorithmMismatch => PathError::SignatureAlgorithmMismatch { subject },
            Refusal::WeakAlgorithm => PathError::WeakAlgorithm { subject },
            Refusal::UnsupportedAlgorithm => PathError::UnsupportedAlgorithm { subject },
            Refusal::Bad => PathError::BadSignature {
                subject,
                issuer: issuer.subject(),
            },
        }
    })
}

fn signed(certificate: &Certificate) -> Signed<'_> {
    Signed {
        octets: certificate.tbs_der(),
        outer_algorithm: certificate.signature_algorithm_der(),
        inner_algorithm: certificate.tbs_signature_algorithm_der(),
        signature: certificate.signature_bytes(),
    }
}

/// RFC 5280 §6.1.4 (k) and (n).
fn may_issue(issuer: &Certificate, role: Role) -> Result<(), PathError> {
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
        return Err(PathError::IssuerNotCa {
            issuer: issuer.subject(),
        });
    }
    if !usage_ok {
        return Err(PathError::IssuerKeyUsage {
            issuer: issuer.subject(),
        });
    }
    Ok(())
}

/// The most certificates in a path, anchor aside.
const MAX_PATH_LENGTH: usize = 16;
