//! Where the parts of a certificate revocation list are in its octets.

use std::ops::Range;

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, Tagged};

use super::distribution_point::IssuingDistributionPoint;
use super::{RevocationReason, RevokedCertificate};
use crate::UnixTime;
use crate::certificate::fields::{
    ExtensionField, any, malformed, range_in, read_extensions, reader, sequence_body,
    signature_octets, tlv,
};
use crate::certificate::{CertificateError, OID_AUTHORITY_KEY_IDENTIFIER, is_context, name, time};

/// Where the parts are in `der`.
pub(super) struct Fields {
    pub(super) der: Vec<u8>,
    pub(super) tbs: Range<usize>,
    pub(super) inner_algorithm: Range<usize>,
    pub(super) outer_algorithm: Range<usize>,
    pub(super) signature: Range<usize>,
    pub(super) issuer: Range<usize>,
    pub(super) canonical_issuer: Vec<u8>,
    pub(super) this_update: UnixTime,
    pub(super) next_update: Option<UnixTime>,
    /// Ordered by serial number.
    pub(super) entries: Vec<EntryField>,
    extensions: Vec<ExtensionField>,
    pub(super) issuing_distribution_point: IssuingDistributionPoint,
    /// Of the list or of one of its entries.
    pub(super) unknown_critical: Option<ObjectIdentifier>,
    /// An entry names another issuer of the certificate.
    pub(super) names_other_issuers: bool,
    pub(super) number: Option<Range<usize>>,
    pub(super) base_number: Option<Range<usize>>,
}

/// One revoked certificate.
pub(super) struct EntryField {
    serial: Range<u32>,
    pub(super) revoked: RevokedCertificate,
}

impl Fields {
    /// RFC 5280 §5.1; version 1 as well, which has no extensions.
    pub(super) fn parse(der: &[u8]) -> Result<Self, CertificateError> {
        let at = |part: &[u8]| range_in(der, part);
        let mut outer = reader(sequence_body(der)?, "CertificateList")?;
        let tbs = tlv(&mut outer, Tag::Sequence, "tbsCertList")?;
        let outer_algorithm = tlv(&mut outer, Tag::Sequence, "signatureAlgorithm")?;
        let signature = signature_octets(&mut outer)?;
        outer.finish().map_err(|_| malformed("signatureValue"))?;

        let mut fields = reader(sequence_body(tbs)?, "tbsCertList")?;
        let version = match next_tag(&fields) {
            Some(Tag::Integer) => match any(&mut fields, Tag::Integer, "version")?.value() {
                [1] => 2,
                _ => return Err(malformed("version")),
            },
            _ => 1,
        };
        let inner_algorithm = tlv(&mut fields, Tag::Sequence, "signature")?;
        let issuer = tlv(&mut fields, Tag::Sequence, "issuer")?;
        let canonical_issuer = name::canonical(issuer).ok_or_else(|| malformed("issuer"))?;
        let this_update = read_time(&mut fields, "thisUpdate")?;
        let next_update = match next_tag(&fields) {
            Some(Tag::UtcTime | Tag::GeneralizedTime) => {
                Some(read_time(&mut fields, "nextUpdate")?)
            }
            _ => None,
        };
        let revoked = match next_tag(&fields) {
            Some(Tag::Sequence) => any(&mut fields, Tag::Sequence, "revokedCertificates")?.value(),
            _ => &[],
        };
        let mut extensions = Vec::new();
        if !fields.is_finished() {
            let field = AnyRef::decode(&mut fields).map_err(|_| malformed("crlExtensions"))?;
            // Only version 2 has extensions (RFC 5280 §5.1.2.7).
            if !is_context(field.tag(), 0) || version < 2 {
                return Err(malformed("crlExtensions"));
            }
            read_extensions(der, field.value(), &mut extensions)?;
        }
        fields.finish().map_err(|_| malformed("tbsCertList"))?;

        let mut list = Self {
            tbs: at(tbs),
            inner_algorithm: at(inner_algorithm),
            outer_algorithm: at(outer_algorithm),
            signature: at(signature),
            issuer: at(issuer),
            canonical_issuer,
            this_update,
            next_update,
            entries: Vec::new(),
            issuing_distribution_point: IssuingDistributionPoint::default(),
            unknown_critical: extensions
                .iter()
                .find(|one| one.critical && !PROCESSED.contains(&one.oid))
                .map(|one| one.oid),
            names_other_issuers: false,
            number: None,
            base_number: None,
            extensions,
            der: Vec::new(),
        };
        list.read_known_extensions(der)?;
        list.read_entries(der, revoked)?;
        list.der = der.to_vec();
        Ok(list)
    }

    pub(super) fn slice(&self, range: &Range<usize>) -> &[u8] {
        &self.der[range.clone()]
    }

    /// The value of issuingDistributionPoint and authorityKeyIdentifier: two lists with the same
    /// are of the same scope (RFC 5280 §6.3.3 (c)).
    pub(super) fn scope(&self) -> [Option<&[u8]>; 2] {
        [OID_ISSUING_DISTRIBUTION_POINT, OID_AUTHORITY_KEY_IDENTIFIER].map(|oid| {
            let found = self.extensions.iter().find(|one| one.oid == oid)?;
            Some(self.slice(&found.value))
        })
    }

    /// The entry for a serial number; where there are several, one that revokes.
    pub(super) fn entry(&self, serial: &[u8]) -> Option<&EntryField> {
        let serial = minimal(serial);
        let first = self
            .entries
            .partition_point(|entry| entry.serial(&self.der) < serial);
        let entry = self.entries.get(first)?;
        (entry.serial(&self.der) == serial).then_some(entry)
    }

    fn read_known_extensions(&mut self, der: &[u8]) -> Result<(), CertificateError> {
        let value = |oid| {
            let found = self.extensions.iter().find(|one| one.oid == oid)?;
            Some(&der[found.value.clone()])
        };
        let number = |oid, what| {
            value(oid)
                .map(|value| {
                    let mut reader = reader(value, what)?;
                    let number = any(&mut reader, Tag::Integer, what)?.value();
                    reader.finish().map_err(|_| malformed(what))?;
                    match number {
                        [] | [0x80..=0xff, ..] => Err(malformed(what)),
                        number => Ok(range_in(der, number)),
                    }
                })
                .transpose()
        };
        let crl_number = number(OID_CRL_NUMBER, "cRLNumber")?;
        let base_number = number(OID_DELTA_CRL_INDICATOR, "deltaCRLIndicator")?;
        let point = value(OID_ISSUING_DISTRIBUTION_POINT)
            .map(|value| {
                IssuingDistributionPoint::parse(value, &self.canonical_issuer)
                    .ok_or_else(|| malformed("issuingDistributionPoint"))
            })
            .transpose()?;
        self.number = crl_number;
        self.base_number = base_number;
        self.issuing_distribution_point = point.unwrap_or_default();
        Ok(())
    }

    fn read_entries(&mut self, der: &[u8], revoked: &[u8]) -> Result<(), CertificateError> {
        const WHAT: &str = "revokedCertificates";
        let mut reader = reader(revoked, WHAT)?;
        let mut extensions = Vec::new();
        while !reader.is_finished() {
            let entry = any(&mut reader, Tag::Sequence, WHAT)?;
            let mut fields = self::reader(entry.value(), WHAT)?;
            let serial = minimal(any(&mut fields, Tag::Integer, WHAT)?.value());
            let date = read_time(&mut fields, WHAT)?;
            let mut reason = RevocationReason::Unspecified;
            if !fields.is_finished() {
                extensions.clear();
                let field = fields.tlv_bytes().map_err(|_| malformed(WHAT))?;
                read_extensions(der, field, &mut extensions)?;
                fields.finish().map_err(|_| malformed(WHAT))?;
                for one in &extensions {
                    if one.oid == OID_REASON_CODE {
                        reason = reason_code(&der[one.value.clone()])
                            .ok_or_else(|| malformed("reasonCode"))?;
                    } else if one.oid == OID_CERTIFICATE_ISSUER {
                        self.names_other_issuers = true;
                    } else if one.critical && one.oid != OID_INVALIDITY_DATE {
                        self.unknown_critical.get_or_insert(one.oid);
                    }
                }
            }
            let serial = range_in(der, serial);
            let narrow = |octet: usize| u32::try_from(octet).map_err(|_| malformed(WHAT));
            self.entries.push(EntryField {
                serial: narrow(serial.start)?..narrow(serial.end)?,
                revoked: RevokedCertificate { date, reason },
            });
        }
        self.entries.sort_by(|left, right| {
            let removal = |entry: &EntryField| {
                matches!(entry.revoked.reason, RevocationReason::RemoveFromCrl)
            };
            (left.serial(der), removal(left)).cmp(&(right.serial(der), removal(right)))
        });
        Ok(())
    }
}

impl EntryField {
    fn serial<'a>(&self, der: &'a [u8]) -> &'a [u8] {
        // 32 bits fit an index on every platform with std.
        &der[self.serial.start as usize..self.serial.end as usize]
    }
}

/// Octets that say nothing are not compared: some encoders write them.
fn minimal(integer: &[u8]) -> &[u8] {
    let mut octets = integer;
    while let [0x00, 0..=0x7f, ..] | [0xff, 0x80..=0xff, ..] = octets {
        octets = &octets[1..];
    }
    octets
}

fn reason_code(value: &[u8]) -> Option<RevocationReason> {
    let value = AnyRef::from_der(value).ok()?;
    match (value.tag(), value.value()) {
        (Tag::Enumerated, [code]) => Some(RevocationReason::from_code(*code)),
        _ => None,
    }
}

fn read_time(
    fields: &mut SliceReader<'_>,
    what: &'static str,
) -> Result<UnixTime, CertificateError> {
    let value = AnyRef::decode(fields).map_err(|_| malformed(what))?;
    time::time(value).ok_or_else(|| malformed(what))
}

fn next_tag(fields: &SliceReader<'_>) -> Option<Tag> {
    Tag::peek(fields).ok()
}

const OID_CRL_NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const OID_REASON_CODE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
const OID_INVALIDITY_DATE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.24");
const OID_DELTA_CRL_INDICATOR: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.27");
const OID_ISSUING_DISTRIBUTION_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");
const OID_CERTIFICATE_ISSUER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.29");

/// Extensions of a list that may be critical.
const PROCESSED: &[ObjectIdentifier] = &[
    OID_CRL_NUMBER,
    OID_DELTA_CRL_INDICATOR,
    OID_ISSUING_DISTRIBUTION_POINT,
    OID_AUTHORITY_KEY_IDENTIFIER,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serial_numbers_without_padding() {
        assert_eq!(minimal(&[0, 0, 1]), [1]);
        assert_eq!(minimal(&[0, 0x80]), [0, 0x80]);
        assert_eq!(minimal(&[0xff, 0xff, 0x80]), [0x80]);
        assert_eq!(minimal(&[0xff, 0x7f]), [0xff, 0x7f]);
        assert_eq!(minimal(&[0]), [0]);
        assert_eq!(minimal(&[]), Vec::<u8>::new());
    }
}
