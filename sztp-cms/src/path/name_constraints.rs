//! Name constraints (RFC 5280 §4.2.1.10).

use std::borrow::Cow;

use der::asn1::AnyRef;
use der::{Decode, Reader, SliceReader, Tag, Tagged};

use super::work::Work;
use super::{GeneralName, OID_NAME_CONSTRAINTS, PathError, subject_alternative_names};
use crate::certificate::{Certificate, is_context, name, sequence_body};

/// Applies the constraints of each issuer to all certificates below it; end-entity first, anchor
/// last.
///
/// Self-issued certificates in between are exempt (RFC 5280 §6.1.3 (b), (c)).
pub(super) fn check(path: &[Certificate], work: &mut Work) -> Result<(), PathError> {
    for (position, issuer) in path.iter().enumerate().skip(1).rev() {
        let Some(value) = issuer.extension(OID_NAME_CONSTRAINTS) else {
            continue;
        };
        let malformed = || PathError::MalformedExtension {
            oid: OID_NAME_CONSTRAINTS,
            subject: issuer.subject(),
        };
        let constraints = Constraints::parse(value).ok_or_else(malformed)?;
        for (index, certificate) in path[..position].iter().enumerate() {
            if index == 0 || !certificate.is_self_issued() {
                constraints.check(issuer, certificate, work)?;
            }
        }
    }
    Ok(())
}

/// A name ready to be compared many times.
struct Prepared<'a> {
    name: GeneralName<'a>,
    /// Of a directory name ([`name::canonical`]).
    canonical: Cow<'a, [u8]>,
}

impl<'a> Prepared<'a> {
    fn new(name: GeneralName<'a>) -> Option<Self> {
        let canonical = match name {
            GeneralName::Directory(der) => Cow::Owned(name::canonical(der)?),
            _ => Cow::Borrowed(&[][..]),
        };
        Some(Self { name, canonical })
    }

    /// What a comparison costs.
    fn length(&self) -> usize {
        match self.name {
            GeneralName::Email(text) | GeneralName::Dns(text) | GeneralName::Uri(text) => {
                text.len()
            }
            _ => self.canonical.len(),
        }
    }

    /// Whether it lies within `constraint` of the same form; `None` if that cannot be told.
    fn within(&self, constraint: &Self, exclude: bool) -> Option<bool> {
        match (&self.name, &constraint.name) {
            (GeneralName::Dns(name), GeneralName::Dns(constraint)) => {
                Some(dns_within(name, constraint, exclude))
            }
            (GeneralName::Email(name), GeneralName::Email(constraint)) => {
                email_within(name, constraint)
            }
            (GeneralName::Uri(name), GeneralName::Uri(constraint)) => uri_within(name, constraint),
            (GeneralName::Ip(name), GeneralName::Ip(constraint)) => ip_within(name, constraint),
            (GeneralName::Directory(_), GeneralName::Directory(_)) => {
                Some(self.canonical.starts_with(&constraint.canonical))
            }
            _ => None,
        }
    }
}

struct Constraints<'a> {
    permitted: Vec<Prepared<'a>>,
    excluded: Vec<Prepared<'a>>,
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
                let base = GeneralName::parse(AnyRef::decode(&mut fields).ok()?)?;
                list.push(Prepared::new(base)?);
                // minimum and maximum are not used with any name form, so they must be absent.
                fields.finish().ok()?;
            }
        }
        Some(constraints)
    }

    fn check(
        &self,
        issuer: &Certificate,
        certificate: &Certificate,
        work: &mut Work,
    ) -> Result<(), PathError> {
        let refused = |name: &dyn ToString| PathError::NameConstraint {
            issuer: issuer.subject(),
            name: name.to_string(),
        };
        // Whoever cannot judge must refuse.
        let unreadable = || refused(&certificate.subject());
        let alternatives = subject_alternative_names(certificate).ok_or_else(unreadable)?;
        let mut names = Vec::with_capacity(alternatives.len() + 1);
        for alternative in alternatives {
            names.push(Prepared::new(alternative).ok_or_else(unreadable)?);
        }
        // The subject is a directory name too, and may hold a mailbox.
        if !certificate.canonical_subject().is_empty() {
            names.push(Prepared {
                name: GeneralName::Directory(certificate.subject_der()),
                canonical: Cow::Borrowed(certificate.canonical_subject()),
            });
        }
        let mailboxes = name::attributes(certificate.subject_der(), name::EMAIL_ADDRESS);
        names.extend(mailboxes.iter().map(|mailbox| Prepared {
            // What is no text is no mailbox within any constraint.
            name: GeneralName::Email(mailbox.as_deref().unwrap_or_default()),
            canonical: Cow::Borrowed(&[]),
        }));

        for one in &names {
            let mut compare = |constraint: &Prepared<'_>, exclude| {
                work.compare_names(one.length().min(constraint.length()))?;
                Ok(constraint
                    .name
                    .same_form(&one.name)
                    .then(|| one.within(constraint, exclude)))
            };
            for constraint in &self.excluded {
                if compare(constraint, true)?.is_some_and(|within| within != Some(false)) {
                    return Err(refused(&one.name));
                }
            }
            let (mut constrained, mut permitted) = (false, false);
            for constraint in &self.permitted {
                if let Some(within) = compare(constraint, false)? {
                    constrained = true;
                    permitted |= within == Some(true);
                }
            }
            if constrained && !permitted {
                return Err(refused(&one.name));
            }
        }
        Ok(())
    }
}

/// A leading dot, which RFC 5280 does not define here, is read as "subdomains only".
fn dns_within(name: &str, constraint: &str, exclude: bool) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let constraint = constraint.strip_suffix('.').unwrap_or(constraint);
    // A wildcard stands for names that an exclusion may hit.
    if exclude
        && name
            .strip_prefix('*')
            .is_some_and(|rest| head_before(constraint, rest).is_some())
    {
        return true;
    }
    if constraint.is_empty() {
        return true;
    }
    head_before(name, constraint)
        .is_some_and(|head| head.is_empty() || head.ends_with('.') || constraint.starts_with('.'))
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
    head_before(host, constraint).is_some_and(|head| head.is_empty() || constraint.starts_with('.'))
}

/// What comes before `end` in `text` that ends so, case aside.
fn head_before<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(text.len().checked_sub(end.len())?)?;
    tail.eq_ignore_ascii_case(end).then_some(head)
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
