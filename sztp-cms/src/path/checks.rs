//! The checks of the certificates of a path, each for itself and against those below it
//! (RFC 5280 §6.1.3 to §6.1.5); names, policies and revocation have modules of their own.

use der::asn1::ObjectIdentifier;

use super::policy::POLICY_EXTENSIONS;
use super::revocation::OID_CRL_DISTRIBUTION_POINTS;
use super::{
    OID_NAME_CONSTRAINTS, OID_SUBJECT_ALT_NAME, PathError, PathOptions, RevocationPolicy,
    subject_alternative_names,
};
use crate::WallClock;
use crate::certificate::{
    Certificate, KeyUsage, OID_AUTHORITY_KEY_IDENTIFIER, OID_BASIC_CONSTRAINTS, OID_KEY_USAGE,
    OID_SUBJECT_KEY_IDENTIFIER,
};

/// End-entity certificate first, anchor last.
pub(super) fn check(
    path: &[Certificate],
    clock: WallClock,
    options: &PathOptions<'_>,
) -> Result<(), PathError> {
    for certificate in path.iter().rev() {
        check_validity(certificate, clock)?;
        check_critical(certificate, options.revocation)?;
    }
    for (index, issuer) in path.iter().enumerate().skip(1).rev() {
        check_path_length(issuer, &path[..index])?;
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
    let (not_before, not_after) = (certificate.not_before(), certificate.not_after());
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

/// RFC 5280 §6.1.4 (o) and §6.1.5 (f).
fn check_critical(
    certificate: &Certificate,
    revocation: RevocationPolicy,
) -> Result<(), PathError> {
    for extension in certificate.extensions().filter(|one| one.critical) {
        let oid = extension.oid;
        let processed = PROCESSED.contains(&oid)
            || POLICY_EXTENSIONS.contains(&oid)
            || (oid == OID_CRL_DISTRIBUTION_POINTS && revocation != RevocationPolicy::NotChecked);
        if !processed {
            return Err(PathError::UnknownCriticalExtension {
                oid,
                subject: certificate.subject(),
            });
        }
        if oid == OID_SUBJECT_ALT_NAME && subject_alternative_names(certificate).is_none() {
            return Err(PathError::MalformedExtension {
                oid,
                subject: certificate.subject(),
            });
        }
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

/// Extensions whose meaning is honoured here, or that restrict nothing that is asked here: no
/// extended key usage is demanded.
const PROCESSED: &[ObjectIdentifier] = &[
    OID_BASIC_CONSTRAINTS,
    OID_KEY_USAGE,
    OID_SUBJECT_ALT_NAME,
    OID_NAME_CONSTRAINTS,
    OID_AUTHORITY_KEY_IDENTIFIER,
    OID_SUBJECT_KEY_IDENTIFIER,
    OID_EXTENDED_KEY_USAGE,
];

const OID_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
