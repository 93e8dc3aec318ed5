//! The built-in CA, and what others issue: brought into the form of a chain.

use std::sync::Arc;

use sztp_cms::{Certificate, CertificateBuilder, KeyUsage, ProvenRequest, Signer, UnixTime};

use super::request::dns_name;
use crate::LdevidError;
use crate::est::{binary, certs_only};

/// The owner's CA within this server.
#[derive(Clone)]
pub(crate) struct BuiltInCa {
    /// The issuing certificate, then those that devices need to know up to its root.
    pub(crate) chain: Vec<Certificate>,
    pub(crate) key: Arc<dyn Signer>,
}

impl BuiltInCa {
    /// Issues for the subject and the key of the request; of its extensions only the names count.
    pub(super) fn issue(
        &self,
        request: &ProvenRequest,
        dns_names: &[String],
        (now, days): (UnixTime, u32),
        server_auth: bool,
    ) -> Result<Vec<Certificate>, LdevidError> {
        let issuer = &self.chain[0];
        // RFC 5280 §6.1 wants each certificate to hold; none outlives its issuer's.
        let end = now.plus_secs(i64::from(days) * DAY).min(issuer.not_after());
        if end <= now {
            return Err(LdevidError::CaEnded {
                not_after: issuer.not_after().to_string(),
            });
        }
        let begin = now.plus_secs(-CLOCKS_DIFFER).max(issuer.not_before());
        let mut names: Vec<Vec<u8>> = dns_names.iter().map(|name| dns_name(name)).collect();
        for name in request.alternative_names().map_err(LdevidError::Request)? {
            if !names.iter().any(|known| known.eq_ignore_ascii_case(&name)) {
                names.push(name);
            }
        }
        let mut builder = CertificateBuilder::for_request(request)
            .validity(begin, Some(end))
            .key_usage(KeyUsage::DIGITAL_SIGNATURE)
            .extended_key_usage_client_auth()
            .alternative_names(names);
        if server_auth {
            builder = builder.extended_key_usage_server_auth();
        }
        let certificate = builder
            .issued_by(request.spki_der(), issuer, self.key.as_ref())
            .map_err(LdevidError::Issue)?;
        // A root is known to whoever trusts it.
        let rest = self.chain.iter().filter(|one| !one.is_self_issued());
        Ok(std::iter::once(certificate).chain(rest.cloned()).collect())
    }
}

/// What a program prints: certificates in PEM or DER, or a certs-only message, also in base64.
pub(super) fn certificates_in(printed: &[u8]) -> Result<Vec<Certificate>, LdevidError> {
    match Certificate::list_from_pem_or_der(printed) {
        Ok(list) if !list.is_empty() => Ok(list),
        other => {
            let message = binary(printed).unwrap_or_default();
            certs_only(&message).map_err(|error| match other {
                Err(error) if message.is_empty() => LdevidError::Certificates(error),
                _ => LdevidError::Message(error),
            })
        }
    }
}

/// The certificate for a key first, then the others without roots.
pub(super) fn ordered(
    mut found: Vec<Certificate>,
    spki: &[u8],
    now: UnixTime,
) -> Result<Vec<Certificate>, LdevidError> {
    let place = found.iter().position(|one| one.spki_der() == spki);
    let leaf = found.swap_remove(place.ok_or(LdevidError::OtherKey)?);
    let soon = now.plus_secs(CLOCKS_DIFFER);
    if leaf.not_before() > soon || leaf.not_after() <= now {
        return Err(LdevidError::NotValid {
            not_before: leaf.not_before().to_string(),
            not_after: leaf.not_after().to_string(),
        });
    }
    // From the leaf upwards, whatever the order was.
    let mut chain = vec![leaf];
    while let Some(last) = chain.last() {
        let issuer = found
            .iter()
            .position(|one| one.subject_der() == last.issuer_der() && !one.is_self_issued());
        match issuer {
            Some(place) if chain.len() < MAX_CHAIN => {
                let issuer = found.swap_remove(place);
                chain.push(issuer);
            }
            _ => break,
        }
    }
    Ok(chain)
}

const DAY: i64 = 24 * 60 * 60;

/// Seconds by which the device's clock may be behind.
const CLOCKS_DIFFER: i64 = 300;

const MAX_CHAIN: usize = 8;
