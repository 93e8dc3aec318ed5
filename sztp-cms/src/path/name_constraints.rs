//! Name constraints (RFC 5280 §4.2.1.10).

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, Tagged};

use super::{GeneralName, OID_NAME_CONSTRAINTS, PathError, subject_alternative_names};
use crate::certificate::{Certificate, is_context, name, sequence_body};

/// Applies the constraints of `issuer` to all certificates below it, end-entity first.
///
/// Self-issued certificates in between are exempt (RFC 5280 §6.1.3 (b)).
pub(super) fn check(issuer: &Certificate, below: &[Certificate]) -> Result<(), PathError> {
    let Some(value) = issuer.extension(OID_NAME_CONSTRAINTS) else {
        return Ok(());
    };
    let malformed = || PathError::MalformedExtension {
        oid: OID_NAME_CONSTRAINTS,
        subject: issuer.subject(),
    };
    let constraints = Constraints::parse(value).ok_or_else(malformed)?;
    for (index, certificate) in below.iter().enumerate() {
        if index == 0 || !certificate.is_self_issued() {
            constraints.check(issuer, certificate)?;
        }
    }
    Ok(())
}

struct Constraints<'a> {
    permitted: Vec<GeneralName<'a>>,
    excluded: Vec<GeneralName<'a>>,
}

impl<'a> Constraints<'a> {
    fn parse(value: &'a [u8]) -> Option<Self> {
        let mut reader = SliceReader::new(sequence_body(value).ok()?).ok()?;
        let mut constraints = Self {
            permitted: Vec::new(),
            excluded: Vec::new(),
        };
        while !reader.is_finished() {
            let field = AnyRef::decode(&mut reader).ok()?;
            let list = if is_context(field.tag(), 0) {
                &mut constraints.permitted
            } else if is_context(field.tag(), 1) {
                &mut constraints.excluded
            } else {
                return None;
            };
            let mut subtrees = SliceReader::new(field.value()).ok()?;
            while !subtrees.is_finished() {
                let subtree = AnyRef::decode(&mut subtrees).ok()?;
                if subtree.tag() != Tag::Sequence {
                    return None;
                }
                let mut fields = SliceReader::new(subtree.value()).ok()?;
                list.push(GeneralName::parse(AnyRef::decode(&mut fields).ok()?)?);
                // minimum and maximum are not used with any name form, so they must be absent.
                fields.finish().ok()?;
            }
        }
        Some(constraints)
    }

    fn check(&self, issuer: &Certificate, certificate: &Certificate) -> Result<(), PathError> {
        let refused = |name: &dyn ToString| PathError::NameConstraint {
            issuer: issuer.subject(),
            name: name.to_string(),
        };
        let mut names = subject_alternative_names(certificate)
            .ok_or_else(|| refused(&certificate.subject()))?;
        // The subject is a directory name too, and may hold a mailbox.
        let subject = certificate.subject_der();
        let has_subject = name::parse(subject).is_some_and(|n| !n.is_empty());
        if has_subject {
            names.push(GeneralName::Directory(subject));
        }
        let mailboxes = name::attributes(subject, name::EMAIL_ADDRESS);
        names.extend(mailboxes.iter().map(|mailbox| GeneralName::Email(mailbox)));

        if names
            .len()
            .saturating_mul(self.permitted.len() + self.excluded.len())
            > MAX_COMPARISONS
        {
            return Err(refused(&certificate.subject()));
        }
        for one in &names {
            // Whoever cannot judge must refuse: a form not supported, or a name not understood.
            if self
                .excluded
                .iter()
                .any(|c| c.same_form(one) && within(one, c, true) != Some(false))
            {
                return Err(refused(one));
            }
            let mut permitted = self
                .permitted
                .iter()
                .filter(|c| c.same_form(one))
                .peekable();
            if permitted.peek().is_some() && !permitted.any(|c| within(one, c, false) == Some(true))
            {
                return Err(refused(one));
            }
        }
        Ok(())
    }
}

/// Whether `name` lies within `constraint` of the same form; `None` if that cannot be told.
fn within(name: &GeneralName<'_>, constraint: &GeneralName<'_>, exclude: bool) -> Option<bool> {
    match (name, constraint) {
        (GeneralName::Dns(name), GeneralName::Dns(constraint)) => {
            Some(dns_within(name, constraint, exclude))
        }
        (GeneralName::Email(name), GeneralName::Email(constraint)) => {
            email_within(name, constraint)
        }
        (GeneralName::Uri(name), GeneralName::Uri(constraint)) => uri_within(name, constraint),
        (GeneralName::Ip(name), GeneralName::Ip(constraint)) => ip_within(name, constraint),
        (GeneralName::Directory(name), GeneralName::Directory(constraint)) => {
            name::is_within(name, constraint)
        }
        _ => None,
    }
}

/// A leading dot, which RFC 5280 does not define here, is read as "subdomains only".
fn dns_within(name: &str, constraint: &str, exclude: bool) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
    let constraint = constraint
        .strip_suffix('.')
        .unwrap_or(constraint)
        .to_ascii_lowercase();
    // A wildcard stands for names that an exclusion may hit.
    if exclude
        && name
            .strip_prefix('*')
            .is_some_and(|rest| constraint.ends_with(rest))
    {
        return true;
    }
    match constraint.strip_prefix('.') {
        _ if constraint.is_empty() => true,
        Some(_) => name.ends_with(&constraint),
        None => name
            .strip_suffix(&constraint)
            .is_some_and(|head| head.is_empty() || head.ends_with('.')),
    }
}

fn email_within(mailbox: &str, constraint: &str) -> Option<bool> {
    let (local, host) = mailbox.rsplit_once('@')?;
    Some(match constraint.rsplit_once('@') {
        Some((wanted, at)) => wanted == local && at.eq_ignore_ascii_case(host),
        None => host_within(host, constraint),
    })
}

/// A URI without a host name cannot be judged (RFC 5280 §4.2.1.10).
fn uri_within(uri: &str, constraint: &str) -> Option<bool> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    if host.is_empty() || host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok() {
        return None;
    }
    Some(host_within(host, constraint))
}

/// One host, or with a leading dot all hosts in the domain.
fn host_within(host: &str, constraint: &str) -> bool {
    let (host, constraint) = (host.to_ascii_lowercase(), constraint.to_ascii_lowercase());
    if constraint.starts_with('.') {
        host.ends_with(&constraint)
    } else {
        host == constraint
    }
}

fn ip_within(address: &[u8], constraint: &[u8]) -> Option<bool> {
    if !matches!(address.len(), 4 | 16) || !matches!(constraint.len(), 8 | 32) {
        return None;
    }
    let (network, mask) = constraint.split_at(constraint.len() / 2);
    if network.len() != address.len() {
        return Some(false);
    }
    Some(
        address
            .iter()
            .zip(network)
            .zip(mask)
            .all(|((a, n), m)| a & m == n & m),
    )
}

/// The most pairs of a name and a constraint that are compared for one certificate.
const MAX_COMPARISONS: usize = 100_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_constraints() {
        assert!(dns_within("a.Example.com", "example.COM", false));
        assert!(dns_within("example.com", "example.com", false));
        assert!(dns_within("x.example.com", ".example.com", false));
        assert!(!dns_within("example.com", ".example.com", false));
        assert!(!dns_within("badexample.com", "example.com", false));
        assert!(dns_within("anything", "", false));
        // Wildcards: never wider than permitted, always hit by an exclusion they cover.
        assert!(!dns_within("*.example.com", "a.example.com", false));
        assert!(dns_within("*.example.com", "a.example.com", true));
        assert!(dns_within("*.example.com", "example.com", true));
        assert!(!dns_within("*.example.org", "example.com", true));
    }

    #[test]
    fn email_and_uri_constraints() {
        assert_eq!(email_within("a@x.test", "a@X.test"), Some(true));
        assert_eq!(email_within("b@x.test", "a@x.test"), Some(false));
        assert_eq!(email_within("b@x.test", "x.test"), Some(true));
        assert_eq!(email_within("b@y.x.test", "x.test"), Some(false));
        assert_eq!(email_within("b@y.x.test", ".x.test"), Some(true));
        assert_eq!(email_within("nobody", "x.test"), None);
        assert_eq!(
            uri_within("https://u@h.x.test:8443/p?q", ".x.test"),
            Some(true)
        );
        assert_eq!(uri_within("https://h.x.test", "x.test"), Some(false));
        assert_eq!(uri_within("https://192.0.2.1/", "x.test"), None);
        assert_eq!(uri_within("https://[::1]/", "x.test"), None);
        assert_eq!(uri_within("urn:x", "x.test"), None);
    }

    #[test]
    fn ip_constraints() {
        let net = [192, 0, 2, 0, 255, 255, 255, 0];
        assert_eq!(ip_within(&[192, 0, 2, 7], &net), Some(true));
        assert_eq!(ip_within(&[192, 0, 3, 7], &net), Some(false));
        assert_eq!(ip_within(&[0; 16], &net), Some(false));
        assert_eq!(ip_within(&[192, 0, 2], &net), None);
    }
}
