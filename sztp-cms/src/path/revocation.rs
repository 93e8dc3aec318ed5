//! Whether the certificates of a path are revoked (RFC 5280 §6.3).
//!
//! The lists are those the caller has; none is fetched. Of an issuer's lists the newest is asked
//! first. A list that is not current proves nothing good, but a certificate that its issuer once
//! put on a list is revoked, whatever the date.

use der::asn1::ObjectIdentifier;

use super::search::Search;
use super::signature::{Refusal, Signed};
use super::{PathError, PathOptions, PolicyOptions};
use crate::certificate::{Certificate, KeyUsage};
use crate::crl::distribution_point::{DistributionPoint, Reasons};
use crate::{CertificateRevocationList, CrlError, RevocationReason, RevokedCertificate, WallClock};

/// How far revocation is checked (RFC 5280 §6.3).
///
/// With [`WallClock::Unknown`] it is not asked whether a list is current, as for certificates
/// (RFC 8572 §9.1). All else stays: a certificate on a list is revoked, and where a list is
/// required there must be one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RevocationPolicy {
    /// Lists are not looked at.
    #[default]
    NotChecked,
    /// A certificate that a list says is revoked is refused; one that no list speaks of is not.
    WhereAvailable,
    /// A current list must say that the end-entity certificate is not revoked; the others are
    /// checked where a list is available.
    EndEntity,
    /// A current list must say of each certificate below the anchor that it is not revoked.
    WholePath,
}

/// End-entity certificate first, anchor last. The anchor is trusted without question.
pub(super) fn check(search: &mut Search<'_>, path: &[Certificate]) -> Result<(), PathError> {
    let policy = search.options.revocation;
    if policy == RevocationPolicy::NotChecked {
        return Ok(());
    }
    for index in (0..path.len() - 1).rev() {
        let required = match policy {
            RevocationPolicy::WholePath => true,
            RevocationPolicy::EndEntity => index == 0,
            RevocationPolicy::WhereAvailable | RevocationPolicy::NotChecked => false,
        };
        let certificate = &path[index];
        match status(search, certificate, &path[index + 1..])? {
            Status::Revoked(RevokedCertificate { date, reason }) => {
                return Err(PathError::Revoked {
                    subject: certificate.subject(),
                    date,
                    reason,
                });
            }
            Status::Unknown(why) if required => {
                return Err(PathError::RevocationUnknown {
                    subject: certificate.subject(),
                    why,
                });
            }
            Status::Good | Status::Unknown(_) => {}
        }
    }
    Ok(())
}

/// What the lists say of one certificate.
enum Status {
    Good,
    Revoked(RevokedCertificate),
    Unknown(CrlError),
}

/// A signature of a list that need not be verified again.
pub(super) struct JudgedSignature {
    list: usize,
    signer: Certificate,
    anchor: Certificate,
    verdict: Result<(), CrlError>,
}

/// RFC 5280 §6.3.3. `above` leads from the certificate's issuer to the anchor.
fn status(
    search: &mut Search<'_>,
    certificate: &Certificate,
    above: &[Certificate],
) -> Result<Status, PathError> {
    let crls = search.options.crls;
    let mut lists: Vec<usize> = (0..crls.len())
        .filter(|index| crls[*index].is_by_issuer_of(certificate))
        .collect();
    // Of lists that are equally new, one that revokes goes before one that does not, and one that
    // takes a revocation back goes last.
    let serial = certificate.serial_bytes();
    lists.sort_by_cached_key(|index| {
        let list = &crls[*index];
        let weight = match list.entry(serial).map(|entry| entry.reason) {
            Some(RevocationReason::RemoveFromCrl) => 0,
            None => 1,
            Some(_) => 2,
        };
        std::cmp::Reverse((list.recency(), weight))
    });

    let points = distribution_points(certificate)?;
    let mut why = CrlError::NotFound;
    let mut note = |error: CrlError| {
        if error.rank() > why.rank() {
            why = error;
        }
    };
    if points.iter().any(|point| point.has_crl_issuer) {
        note(CrlError::Indirect);
    }
    let mut covered = Reasons::NONE;
    for index in lists.iter().copied() {
        let list = &crls[index];
        if list.is_delta() {
            note(CrlError::DeltaWithoutBase);
            continue;
        }
        if let Err(error) = list.check_understood() {
            note(error);
            continue;
        }
        let reasons = match scope(search, certificate, &points, list)? {
            Ok(reasons) => reasons,
            Err(error) => {
                note(error);
                continue;
            }
        };
        // (e)
        if covered.contains(reasons) {
            continue;
        }
        // (f), (g)
        let signer = match signer(search, index, above)? {
            Ok(signer) => signer,
            Err(error) => {
                note(error);
                continue;
            }
        };
        // (c), (h) to (k)
        let delta = newest_delta(search, index, &lists, &signer, above)?;
        if let Some(revoked) = entry(certificate, list, delta, search.clock) {
            return Ok(Status::Revoked(revoked));
        }
        match check_current(list, search.clock) {
            // (l)
            Ok(()) => covered = covered.or(reasons),
            Err(error) => note(error),
        }
        if covered == Reasons::ALL {
            return Ok(Status::Good);
        }
    }
    if covered != Reasons::NONE {
        note(CrlError::SomeReasonsOnly);
    }
    Ok(Status::Unknown(why))
}

/// The certificate's distribution points, and the one that RFC 5280 §6.3.3 has it tried with in
/// the end.
fn distribution_points(certificate: &Certificate) -> Result<Vec<DistributionPoint>, PathError> {
    let issuer = certificate.canonical_issuer();
    let mut points = match certificate.extension(OID_CRL_DISTRIBUTION_POINTS) {
        None => Vec::new(),
        Some(value) => DistributionPoint::parse_list(value, issuer).ok_or_else(|| {
            PathError::MalformedExtension {
                oid: OID_CRL_DISTRIBUTION_POINTS,
                subject: certificate.subject(),
            }
        })?,
    };
    points.push(DistributionPoint::implied(issuer));
    Ok(points)
}

/// The reasons for which the list tells whether the certificate is revoked (RFC 5280 §6.3.3 (b),
/// (d)).
fn scope(
    search: &mut Search<'_>,
    certificate: &Certificate,
    points: &[DistributionPoint],
    list: &CertificateRevocationList,
) -> Result<Result<Reasons, CrlError>, PathError> {
    let scope = list.issuing_distribution_point();
    let is_ca = certificate.basic_constraints().is_some_and(|one| one.ca);
    let excluded = scope.only_attribute_certificates
        || (scope.only_user_certificates && is_ca)
        || (scope.only_ca_certificates && !is_ca);
    if excluded {
        return Ok(Err(CrlError::OutOfScope));
    }
    let mut reasons = Reasons::NONE;
    for point in points.iter().filter(|point| !point.has_crl_issuer) {
        let mut named = scope.names.is_empty();
        for (left, right) in pairs(&scope.names, &point.names) {
            search.work.compare_names(left.len().min(right.len()))?;
            named |= left == right;
        }
        if named {
            reasons = reasons.or(point.reasons.and(scope.reasons));
        }
    }
    Ok(if reasons == Reasons::NONE {
        Err(CrlError::OutOfScope)
    } else {
        Ok(reasons)
    })
}

fn pairs<'a>(
    left: &'a [Vec<u8>],
    right: &'a [Vec<u8>],
) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
    left.iter()
        .flat_map(|one| right.iter().map(move |other| (&one[..], &other[..])))
}

/// Who signed the list, if it may: the certificate's issuer by the key that issued the
/// certificate, or by a key for lists alone (RFC 5280 §6.3.3 (f), (g)).
fn signer(
    search: &mut Search<'_>,
    index: usize,
    above: &[Certificate],
) -> Result<Result<Certificate, CrlError>, PathError> {
    let list = &search.options.crls[index];
    let issuer = &above[0];
    let mut worst = match judge(search, index, issuer, above)? {
        Ok(()) => return Ok(Ok(issuer.clone())),
        Err(error) => error,
    };
    let intermediates = search.intermediates;
    let others = above[1..].iter().chain(intermediates);
    let others: Vec<&Certificate> = others
        // Whoever else has the name must have been made for this.
        .filter(|one| one.key_usage().is_some_and(KeyUsage::crl_sign))
        .filter(|one| list.is_by(one) && one.spki_der() != issuer.spki_der())
        .collect();
    for other in others {
        match judge(search, index, other, above)? {
            Ok(()) => return Ok(Ok(other.clone())),
            Err(error) if error.rank() > worst.rank() => worst = error,
            Err(_) => {}
        }
    }
    Ok(Err(worst))
}

/// Whether `signer` signed the list and may have.
fn judge(
    search: &mut Search<'_>,
    index: usize,
    signer: &Certificate,
    above: &[Certificate],
) -> Result<Result<(), CrlError>, PathError> {
    let anchor = &above[above.len() - 1];
    let known = search.work.judged.iter().find(|judged| {
        judged.list == index && judged.signer == *signer && judged.anchor == *anchor
    });
    if let Some(judged) = known {
        return Ok(judged.verdict.clone());
    }
    // A long list costs most in being digested.
    let length = search.options.crls[index].tbs_der().len();
    search
        .work
        .check_signatures(1 + length / OCTETS_PER_CHECK)?;
    let verdict = match verify_signature(&search.options.crls[index], signer) {
        Ok(()) if above.contains(signer) => Ok(()),
        // Being looked at further up: a list does not vouch for its own signer.
        Ok(()) if search.work.signers.contains(signer) => return Ok(Err(CrlError::NotFound)),
        Ok(()) => match validate_signer(search, signer, anchor) {
            Ok(()) => Ok(()),
            Err(limit) if limit.is_limit() => return Err(limit),
            Err(error) => Err(CrlError::SignerUntrusted(Box::new(error))),
        },
        Err(error) => Err(error),
    };
    search.work.judged.push(JudgedSignature {
        list: index,
        signer: signer.clone(),
        anchor: anchor.clone(),
        verdict: verdict.clone(),
    });
    Ok(verdict)
}

fn verify_signature(
    list: &CertificateRevocationList,
    signer: &Certificate,
) -> Result<(), CrlError> {
    let signed = Signed {
        octets: list.tbs_der(),
        outer_algorithm: list.signature_algorithm_der(),
        inner_algorithm: list.tbs_signature_algorithm_der(),
        signature: list.signature_bytes(),
    };
    signed.verify(signer).map_err(|refusal| match refusal {
        Refusal::AlgorithmMismatch => CrlError::SignatureAlgorithmMismatch,
        Refusal::WeakAlgorithm => CrlError::WeakAlgorithm,
        Refusal::UnsupportedAlgorithm => CrlError::UnsupportedAlgorithm,
        Refusal::Bad => CrlError::BadSignature {
            issuer: list.issuer(),
        },
    })?;
    if signer.key_usage().is_none_or(KeyUsage::crl_sign) {
        Ok(())
    } else {
        Err(CrlError::SignerKeyUsage {
            signer: signer.subject(),
        })
    }
}

/// A path of its own to the same anchor, for whoever only signs lists (RFC 5280 §6.3.3 (f)).
fn validate_signer(
    search: &mut Search<'_>,
    signer: &Certificate,
    anchor: &Certificate,
) -> Result<(), PathError> {
    if search.work.signers.len() >= MAX_SIGNERS {
        return Err(PathError::TooLong { limit: MAX_SIGNERS });
    }
    let options = PathOptions {
        require_digital_signature_usage: false,
        policies: PolicyOptions::default(),
        revocation: match search.options.revocation {
            RevocationPolicy::EndEntity => RevocationPolicy::WhereAvailable,
            other => other,
        },
        ..*search.options
    };
    search.work.signers.push(signer.clone());
    let outcome = Search {
        intermediates: search.intermediates,
        anchors: std::slice::from_ref(anchor),
        sha1_anchors: &[],
        clock: search.clock,
        options: &options,
        work: search.work,
    }
    .run(signer);
    search.work.signers.pop();
    outcome.map(|_| ())
}

/// The newest changes to a complete list that are by the same signer (RFC 5280 §6.3.3 (c), (h)).
fn newest_delta<'a>(
    search: &mut Search<'a>,
    complete: usize,
    newest_first: &[usize],
    signer: &Certificate,
    above: &[Certificate],
) -> Result<Option<&'a CertificateRevocationList>, PathError> {
    let crls = search.options.crls;
    for index in newest_first.iter().copied() {
        let list = &crls[index];
        let fits = list.updates(&crls[complete]) && list.check_understood().is_ok();
        if fits && judge(search, index, signer, above)?.is_ok() {
            return Ok(Some(list));
        }
    }
    Ok(None)
}

/// What a complete list and the changes to it say of a certificate (RFC 5280 §6.3.3 (i) to (k)).
fn entry(
    certificate: &Certificate,
    complete: &CertificateRevocationList,
    delta: Option<&CertificateRevocationList>,
    clock: WallClock,
) -> Option<RevokedCertificate> {
    let serial = certificate.serial_bytes();
    let is_removal =
        |entry: &RevokedCertificate| matches!(entry.reason, RevocationReason::RemoveFromCrl);
    let changed = delta.and_then(|delta| {
        let entry = delta.entry(serial)?;
        // What is no longer current does not take a revocation back.
        (!is_removal(&entry) || check_current(delta, clock).is_ok()).then_some(entry)
    });
    changed
        .or_else(|| complete.entry(serial))
        .filter(|entry| !is_removal(entry))
}

/// RFC 5280 §5.1.2.4, §5.1.2.5.
fn check_current(list: &CertificateRevocationList, clock: WallClock) -> Result<(), CrlError> {
    let Some(at) = clock.time() else {
        return Ok(());
    };
    let this_update = list.this_update();
    if at < this_update {
        return Err(CrlError::NotYetValid { at, this_update });
    }
    match list.next_update() {
        None => Err(CrlError::NoNextUpdate),
        Some(next_update) if at > next_update => Err(CrlError::Stale { at, next_update }),
        Some(_) => Ok(()),
    }
}

/// What is digested in the time of a signature check, more or less.
const OCTETS_PER_CHECK: usize = 1024 * 1024;

/// Signers of lists whose own revocation is on a list by another signer, and so on.
const MAX_SIGNERS: usize = 4;

pub(super) const OID_CRL_DISTRIBUTION_POINTS: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("2.5.29.31");
