//! Client certificates of operators: the path is judged as every other, the subject gives the role.

use sztp_cms::{Certificate, PathOptions, TrustAnchors, UnixTime, WallClock, validate_path};

use crate::AccessError;
use crate::config::CertificateRole;
use crate::model::Role;
use crate::service::Peer;

/// The subject and its role.
pub(super) fn judge(
    roles: &[CertificateRole],
    peer: &Peer,
    anchors: &TrustAnchors,
    now: UnixTime,
) -> Result<(String, Role), AccessError> {
    let Some((own, rest)) = peer.certificates.split_first() else {
        return Err(AccessError::Unauthenticated);
    };
    let refused = |reason: String| AccessError::CertificateRefused { reason };
    validate_path(
        own,
        rest,
        anchors,
        WallClock::Trusted(now),
        &PathOptions::default(),
    )
    .map_err(|error| refused(error.to_string()))?;
    let subject = own.subject();
    let role = roles
        .iter()
        .find(|entry| is_meant(entry, own, &subject))
        .map(|entry| entry.role)
        .ok_or_else(|| refused(format!("its subject is {subject}")))?;
    Ok((subject, role))
}

/// Everything that the entry names must be so.
fn is_meant(entry: &CertificateRole, own: &Certificate, subject: &str) -> bool {
    let is = |wanted: &Option<String>, found: Option<&str>| {
        wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
    };
    is(&entry.subject, Some(subject))
        && is(&entry.common_name, own.common_name().as_deref())
        && is(&entry.organization, own.organization().as_deref())
}
