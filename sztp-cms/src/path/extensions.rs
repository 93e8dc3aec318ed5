//! The checks of one certificate: its signature and its extensions (RFC 5280 §6.1.3, §6.1.4).

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tagged};

use super::{OID_NAME_CONSTRAINTS, OID_SUBJECT_ALT_NAME, PathError, subject_alternative_names};
use crate::certificate::{
    Certificate, CertificateError, OID_AUTHORITY_KEY_IDENTIFIER, OID_BASIC_CONSTRAINTS,
    OID_KEY_USAGE, OID_SUBJECT_KEY_IDENTIFIER, is_context, sequence_body,
};
use crate::{AlgorithmError, KeyError, SignatureAlgorithm, SignatureError};

/// RFC 5280 §6.1.3 (a)(1), over the octets as received.
pub(super) fn verify_signature(
    subject: &Certificate,
    issuer: &Certificate,
) -> Result<(), PathError> {
    let name = || subject.subject();
    if subject.signature_algorithm_der() != subject.tbs_signature_algorithm_der() {
        return Err(PathError::SignatureAlgorithmMismatch { subject: name() });
    }
    let refused = |error: &SignatureError| match error {
        SignatureError::Algorithm(AlgorithmError::Weak { .. }) => {
            PathError::WeakAlgorithm { subject: name() }
        }
        SignatureError::Algorithm(_) => PathError::UnsupportedAlgorithm { subject: name() },
        _ => PathError::BadSignature {
            subject: name(),
            issuer: issuer.subject(),
        },
    };
    let algorithm = spki::AlgorithmIdentifierOwned::from_der(subject.signature_algorithm_der())
        .map_err(|_| PathError::UnsupportedAlgorithm { subject: name() })
        .and_then(|id| {
            SignatureAlgorithm::from_identifier(&id).map_err(|error| refused(&error.into()))
        })?;
    let key = issuer.public_key().map_err(|error| match error {
        CertificateError::Key(KeyError::RsaSize { .. }) => {
            PathError::WeakAlgorithm { subject: name() }
        }
        _ => PathError::UnsupportedAlgorithm { subject: name() },
    })?;
    key.verify(algorithm, subject.tbs_der(), subject.signature_bytes())
        .map_err(|error| refused(&error))
}

/// RFC 5280 §6.1.4 (o) and §6.1.5 (f), and that no explicit policy is required.
pub(super) fn check_critical(certificate: &Certificate) -> Result<(), PathError> {
    let unreadable = |oid| PathError::MalformedExtension {
        oid,
        subject: certificate.subject(),
    };
    for extension in certificate.extensions() {
        if extension.oid == OID_POLICY_CONSTRAINTS {
            let required = requires_explicit_policy(extension.value)
                .ok_or_else(|| unreadable(extension.oid))?;
            if required {
                return Err(PathError::PolicyRequired {
                    subject: certificate.subject(),
                });
            }
        }
        if extension.critical && !PROCESSED.contains(&extension.oid) {
            return Err(PathError::UnknownCriticalExtension {
                oid: extension.oid,
                subject: certificate.subject(),
            });
        }
        if extension.critical
            && extension.oid == OID_SUBJECT_ALT_NAME
            && subject_alternative_names(certificate).is_none()
        {
            return Err(unreadable(extension.oid));
        }
    }
    Ok(())
}

/// Whether requireExplicitPolicy `[0]` is there, whatever its number (RFC 5280 §4.2.1.11).
fn requires_explicit_policy(value: &[u8]) -> Option<bool> {
    let mut reader = SliceReader::new(sequence_body(value).ok()?).ok()?;
    let mut required = false;
    while !reader.is_finished() {
        required |= is_context(AnyRef::decode(&mut reader).ok()?.tag(), 0);
    }
    Some(required)
}

const OID_CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
const OID_POLICY_MAPPINGS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.33");
const OID_POLICY_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.36");
const OID_EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const OID_INHIBIT_ANY_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.54");

/// Extensions whose meaning is honoured here, or that restrict nothing that is asked here: no
/// extended key usage is demanded, and no policy.
const PROCESSED: &[ObjectIdentifier] = &[
    OID_BASIC_CONSTRAINTS,
    OID_KEY_USAGE,
    OID_SUBJECT_ALT_NAME,
    OID_NAME_CONSTRAINTS,
    OID_AUTHORITY_KEY_IDENTIFIER,
    OID_SUBJECT_KEY_IDENTIFIER,
    OID_EXTENDED_KEY_USAGE,
    OID_CERTIFICATE_POLICIES,
    OID_POLICY_MAPPINGS,
    OID_POLICY_CONSTRAINTS,
    OID_INHIBIT_ANY_POLICY,
];
