//! Certificate policies (RFC 5280 §6.1.2 to §6.1.5).
//!
//! RFC 5280 describes a tree in which one policy may stand at many places, and which certificates
//! can make grow without bound. Here each policy stands once at each level and points to all of
//! its parents. What the tree decides can be read off that graph, whose size is that of the
//! certificates' extensions. Qualifiers are for people and are not kept.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, Tagged};

use super::PathError;
use super::work::Work;
use crate::certificate::{Certificate, is_context, sequence_body};

/// What is asked of the policies of a path (RFC 5280 §6.1.1 (c), (e) to (g)). The default asks for
/// nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PolicyOptions<'a> {
    /// The policies of which one is wanted (user-initial-policy-set); empty means any-policy.
    pub initial_policy_set: &'a [ObjectIdentifier],
    /// A path must be valid for one of the wanted policies, also where no certificate demands it
    /// (initial-explicit-policy).
    pub require_explicit_policy: bool,
    /// Policies must not be mapped (initial-policy-mapping-inhibit).
    pub inhibit_policy_mapping: bool,
    /// anyPolicy in a certificate counts for nothing (initial-any-policy-inhibit).
    pub inhibit_any_policy: bool,
}

/// Judges the policies of a path, end-entity certificate first and its anchor last; the anchor's
/// own extensions are not looked at.
///
/// Gives the policies under which the path is valid, in the terms of the anchor (the
/// user-constrained-policy-set, RFC 5280 §6.1.6).
pub(super) fn check(
    path: &[Certificate],
    options: &PolicyOptions<'_>,
    work: &mut Work,
) -> Result<Vec<ObjectIdentifier>, PathError> {
    let below_anchor = &path[..path.len() - 1];
    // Most paths know no policies at all, and then nothing depends on them.
    let concerned = options.require_explicit_policy
        || below_anchor
            .iter()
            .flat_map(Certificate::extensions)
            .any(|extension| POLICY_EXTENSIONS.contains(&extension.oid));
    if !concerned || below_anchor.is_empty() {
        return Ok(Vec::new());
    }

    let length = u32::try_from(below_anchor.len()).unwrap_or(u32::MAX - 1);
    let initial = |inhibited: bool| if inhibited { 0 } else { length + 1 };
    let mut explicit_policy = initial(options.require_explicit_policy);
    let mut policy_mapping = initial(options.inhibit_policy_mapping);
    let mut inhibit_any_policy = initial(options.inhibit_any_policy);
    let mut levels = Vec::with_capacity(below_anchor.len());
    let mut level = Level::initial();

    for (index, certificate) in below_anchor.iter().enumerate().rev() {
        let is_last = index == 0;
        let self_issued = certificate.is_self_issued();
        // §6.1.3 (d), (e)
        let any_policy_counts = inhibit_any_policy > 0 || (!is_last && self_issued);
        level.apply(certificate, any_policy_counts, work)?;
        let constraints = PolicyConstraints::of(certificate)?;
        if is_last {
            // §6.1.5 (a), (b)
            explicit_policy = explicit_policy.saturating_sub(1);
            if constraints.require_explicit_policy == Some(0) {
                explicit_policy = 0;
            }
        } else {
            // §6.1.4 (a), (b)
            let next = level.map(certificate, policy_mapping > 0, work)?;
            levels.push(std::mem::replace(&mut level, next));
            // §6.1.4 (h) to (j)
            if !self_issued {
                explicit_policy = explicit_policy.saturating_sub(1);
                policy_mapping = policy_mapping.saturating_sub(1);
                inhibit_any_policy = inhibit_any_policy.saturating_sub(1);
            }
            let lower = |counter: &mut u32, limit: Option<u32>| {
                *counter = limit.map_or(*counter, |limit| limit.min(*counter));
            };
            lower(&mut explicit_policy, constraints.require_explicit_policy);
            lower(&mut policy_mapping, constraints.inhibit_policy_mapping);
            lower(&mut inhibit_any_policy, inhibit_any(certificate)?);
        }
    }
    levels.push(level);

    // §6.1.5 (g). That nothing is left where a policy is required (§6.1.3 (f)) shows here too: what
    // is gone does not come back, and the counter only falls.
    let valid = valid_policies(&levels, options.initial_policy_set);
    if explicit_policy == 0 && valid.is_empty() {
        return Err(PathError::PolicyRequired {
            subject: path[0].subject(),
        });
    }
    Ok(valid)
}

/// The policies that stand at one depth of the graph.
struct Level<'a> {
    policies: BTreeMap<&'a [u8], Node<'a>>,
    /// Whether anyPolicy stands here; its parent is the anyPolicy above.
    any_policy: bool,
}

#[derive(Default)]
struct Node<'a> {
    /// The policies above that this one stands for; none if its parent is anyPolicy.
    parents: Vec<&'a [u8]>,
    /// Stands for something else below this level.
    mapped: bool,
}

impl<'a> Level<'a> {
    /// §6.1.2 (a)
    fn initial() -> Self {
        Self {
            policies: BTreeMap::new(),
            any_policy: true,
        }
    }

    /// Leaves what the certificate's policies allow (RFC 5280 §6.1.3 (d), (e)).
    fn apply(
        &mut self,
        certificate: &'a Certificate,
        any_policy_counts: bool,
        work: &mut Work,
    ) -> Result<(), PathError> {
        let Some(found) = policies(certificate, work)? else {
            self.policies.clear();
            self.any_policy = false;
            return Ok(());
        };
        let any_policy = any_policy_counts && found.contains(ANY_POLICY);
        if !any_policy {
            self.policies.retain(|policy, _| found.contains(policy));
        }
        if self.any_policy {
            for policy in found.into_iter().filter(|policy| *policy != ANY_POLICY) {
                self.policies.entry(policy).or_default();
            }
        }
        self.any_policy &= any_policy;
        Ok(())
    }

    /// The policies expected of the next certificate (RFC 5280 §6.1.4 (a), (b)).
    fn map(
        &mut self,
        certificate: &'a Certificate,
        allowed: bool,
        work: &mut Work,
    ) -> Result<Self, PathError> {
        let mappings = mappings(certificate, work)?;
        let mut next = Self {
            policies: BTreeMap::new(),
            any_policy: self.any_policy,
        };
        for Mapping { from, to } in mappings {
            if !allowed {
                self.policies.remove(from);
                continue;
            }
            let node = match self.policies.entry(from) {
                Entry::Occupied(node) => node.into_mut(),
                Entry::Vacant(node) if self.any_policy => node.insert(Node::default()),
                Entry::Vacant(_) => continue,
            };
            node.mapped = true;
            next.policies.entry(to).or_default().parents.push(from);
        }
        for (policy, node) in &self.policies {
            if !node.mapped {
                next.policies
                    .entry(policy)
                    .or_default()
                    .parents
                    .push(policy);
            }
        }
        Ok(next)
    }
}

/// The policies whose parent is anyPolicy, as far as they are wanted and something is left of them
/// at the end of the path (RFC 5280 §6.1.5 (g)).
fn valid_policies(levels: &[Level<'_>], wanted: &[ObjectIdentifier]) -> Vec<ObjectIdentifier> {
    let is_wanted = |policy: &[u8]| {
        wanted.is_empty()
            || wanted
                .iter()
                .any(|one| one.as_bytes() == policy || one.as_bytes() == ANY_POLICY)
    };
    let mut valid = Vec::new();
    let Some(last) = levels.last() else {
        return valid;
    };
    if last.any_policy {
        if is_wanted(ANY_POLICY) {
            valid.extend(ObjectIdentifier::from_bytes(ANY_POLICY));
        } else {
            return wanted.to_vec();
        }
    }
    let mut reached: Vec<&[u8]> = last.policies.keys().copied().collect();
    for level in levels.iter().rev() {
        let mut above = Vec::new();
        for policy in reached {
            let Some(node) = level.policies.get(policy) else {
                continue;
            };
            if node.parents.is_empty() && is_wanted(policy) {
                valid.extend(ObjectIdentifier::from_bytes(policy));
            }
            above.extend_from_slice(&node.parents);
        }
        above.sort_unstable();
        above.dedup();
        reached = above;
    }
    valid.sort_unstable();
    valid.dedup();
    valid
}

/// The content of certificatePolicies: policies, each once (RFC 5280 §4.2.1.4); `None` if there is
/// no such extension.
fn policies<'a>(
    certificate: &'a Certificate,
    work: &mut Work,
) -> Result<Option<BTreeSet<&'a [u8]>>, PathError> {
    let mut extensions = certificate.extensions();
    let Some(extension) = extensions.find(|one| one.oid == OID_CERTIFICATE_POLICIES) else {
        return Ok(None);
    };
    let bad = || malformed(certificate, OID_CERTIFICATE_POLICIES);
    let mut found = BTreeSet::new();
    let mut reader = sequence(extension.value).ok_or_else(bad)?;
    while !reader.is_finished() {
        work.take_policies(1)?;
        let information = AnyRef::decode(&mut reader).map_err(|_| bad())?;
        let (policy, qualifiers_known) = policy_information(information).ok_or_else(bad)?;
        // §4.2.1.4: who cannot interpret a critical extension, qualifiers included, must refuse.
        if extension.critical && !qualifiers_known {
            return Err(PathError::UnknownCriticalExtension {
                oid: OID_CERTIFICATE_POLICIES,
                subject: certificate.subject(),
            });
        }
        if !found.insert(policy) {
            return Err(bad());
        }
    }
    if found.is_empty() {
        return Err(bad());
    }
    Ok(Some(found))
}

/// The policy, and whether all of its qualifiers are of a known kind.
fn policy_information(information: AnyRef<'_>) -> Option<(&[u8], bool)> {
    let mut fields = fields(information)?;
    let policy = oid(&mut fields)?;
    let mut known = true;
    if !fields.is_finished() {
        let mut qualifiers = fields_of(&mut fields)?;
        while !qualifiers.is_finished() {
            let mut qualifier = fields_of(&mut qualifiers)?;
            known &= matches!(oid(&mut qualifier)?, QUALIFIER_CPS | QUALIFIER_USER_NOTICE);
        }
    }
    fields.is_finished().then_some((policy, known))
}

/// An issuerDomainPolicy and the subjectDomainPolicy that stands for it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Mapping<'a> {
    from: &'a [u8],
    to: &'a [u8],
}

/// The content of policyMappings (RFC 5280 §4.2.1.5).
fn mappings<'a>(
    certificate: &'a Certificate,
    work: &mut Work,
) -> Result<Vec<Mapping<'a>>, PathError> {
    let Some(value) = certificate.extension(OID_POLICY_MAPPINGS) else {
        return Ok(Vec::new());
    };
    let bad = || malformed(certificate, OID_POLICY_MAPPINGS);
    let mut list = Vec::new();
    let mut reader = sequence(value).ok_or_else(bad)?;
    while !reader.is_finished() {
        work.take_policies(1)?;
        let mut pair = fields_of(&mut reader).ok_or_else(bad)?;
        let (from, to) = oid(&mut pair).zip(oid(&mut pair)).ok_or_else(bad)?;
        // §6.1.4 (a)
        if !pair.is_finished() || from == ANY_POLICY || to == ANY_POLICY {
            return Err(bad());
        }
        list.push(Mapping { from, to });
    }
    list.sort_unstable();
    list.dedup();
    Ok(list)
}

/// The content of policyConstraints (RFC 5280 §4.2.1.11).
#[derive(Default)]
struct PolicyConstraints {
    require_explicit_policy: Option<u32>,
    inhibit_policy_mapping: Option<u32>,
}

impl PolicyConstraints {
    fn of(certificate: &Certificate) -> Result<Self, PathError> {
        match certificate.extension(OID_POLICY_CONSTRAINTS) {
            None => Ok(Self::default()),
            Some(value) => {
                Self::parse(value).ok_or_else(|| malformed(certificate, OID_POLICY_CONSTRAINTS))
            }
        }
    }

    fn parse(value: &[u8]) -> Option<Self> {
        let mut reader = sequence(value)?;
        let mut constraints = Self::default();
        while !reader.is_finished() {
            let field = AnyRef::decode(&mut reader).ok()?;
            let counter = if is_context(field.tag(), 0) {
                &mut constraints.require_explicit_policy
            } else if is_context(field.tag(), 1) {
                &mut constraints.inhibit_policy_mapping
            } else {
                return None;
            };
            if counter.replace(skip_certs(field.value())?).is_some() {
                return None;
            }
        }
        Some(constraints)
    }
}

/// The content of inhibitAnyPolicy (RFC 5280 §4.2.1.14).
fn inhibit_any(certificate: &Certificate) -> Result<Option<u32>, PathError> {
    let Some(value) = certificate.extension(OID_INHIBIT_ANY_POLICY) else {
        return Ok(None);
    };
    AnyRef::from_der(value)
        .ok()
        .filter(|value| value.tag() == Tag::Integer)
        .and_then(|value| skip_certs(value.value()))
        .map(Some)
        .ok_or_else(|| malformed(certificate, OID_INHIBIT_ANY_POLICY))
}

/// A number of certificates; what is beyond any path is as good as no limit.
fn skip_certs(octets: &[u8]) -> Option<u32> {
    match octets {
        [] | [0x80..=0xff, ..] => None,
        [leading @ .., last] => Some(if leading.iter().all(|octet| *octet == 0) {
            u32::from(*last)
        } else {
            u32::MAX
        }),
    }
}

fn malformed(certificate: &Certificate, oid: ObjectIdentifier) -> PathError {
    PathError::MalformedExtension {
        oid,
        subject: certificate.subject(),
    }
}

fn sequence(value: &[u8]) -> Option<SliceReader<'_>> {
    SliceReader::new(sequence_body(value).ok()?).ok()
}

fn fields_of<'a>(reader: &mut SliceReader<'a>) -> Option<SliceReader<'a>> {
    fields(AnyRef::decode(reader).ok()?)
}

fn fields(value: AnyRef<'_>) -> Option<SliceReader<'_>> {
    (value.tag() == Tag::Sequence)
        .then(|| SliceReader::new(value.value()).ok())
        .flatten()
}

/// The content octets of an OBJECT IDENTIFIER, as long as it may be.
fn oid<'a>(reader: &mut SliceReader<'a>) -> Option<&'a [u8]> {
    let value = AnyRef::decode(reader).ok()?;
    (value.tag() == Tag::ObjectIdentifier && !value.value().is_empty()).then(|| value.value())
}

const OID_CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
const OID_POLICY_MAPPINGS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.33");
const OID_POLICY_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.36");
const OID_INHIBIT_ANY_POLICY: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.54");

/// The extensions that are processed here.
pub(super) const POLICY_EXTENSIONS: &[ObjectIdentifier] = &[
    OID_CERTIFICATE_POLICIES,
    OID_POLICY_MAPPINGS,
    OID_POLICY_CONSTRAINTS,
    OID_INHIBIT_ANY_POLICY,
];

/// 2.5.29.32.0
const ANY_POLICY: &[u8] = &[0x55, 0x1d, 0x20, 0x00];
/// 1.3.6.1.5.5.7.2.1
const QUALIFIER_CPS: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 2, 1];
/// 1.3.6.1.5.5.7.2.2
const QUALIFIER_USER_NOTICE: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 2, 2];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters() {
        assert_eq!(skip_certs(&[0]), Some(0));
        assert_eq!(skip_certs(&[7]), Some(7));
        assert_eq!(skip_certs(&[0, 0x80]), Some(0x80));
        assert_eq!(skip_certs(&[1, 0]), Some(u32::MAX));
        assert_eq!(skip_certs(&[0xff]), None);
        assert_eq!(skip_certs(&[]), None);
        let constraints = PolicyConstraints::parse(&[0x30, 6, 0x80, 1, 0, 0x81, 1, 2]).unwrap();
        assert_eq!(constraints.require_explicit_policy, Some(0));
        assert_eq!(constraints.inhibit_policy_mapping, Some(2));
        assert!(PolicyConstraints::parse(&[0x30, 6, 0x80, 1, 0, 0x80, 1, 0]).is_none());
        assert!(PolicyConstraints::parse(&[0x30, 3, 0x82, 1, 0]).is_none());
    }
}
