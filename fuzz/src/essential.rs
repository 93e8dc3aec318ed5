//! A signed message without what does not matter to whether it is accepted: certificates that lead
//! nowhere, revocation lists, unsigned attributes, digests that nobody signed with.

use sztp_cms::Certificate;

use crate::targets::der;

/// A message in BER that was accepted for the signers with these certificates, reduced.
pub fn reduced(message: &[u8], chain: &[&Certificate]) -> Option<Vec<u8>> {
    let message = definite(message)?;
    let content_info = values(values(&message)?.first()?.body)?;
    let [content_type, explicit] = content_info[..] else {
        return None;
    };
    let signed_data = values(values(explicit.body)?.first()?.body)?;
    let content = signed_data.get(2)?;
    let mut digests = Vec::new();
    let mut signers = Vec::new();
    for signer in values(signed_data.last()?.body)? {
        let fields = values(signer.body)?;
        digests.extend(fields.get(2)?.raw);
        let kept = fields.iter().filter(|field| field.tag != 0xA1);
        let kept: Vec<&[u8]> = kept.map(|field| field.raw).collect();
        signers.extend(der(0x30, &kept));
    }
    let certificates: Vec<&[u8]> = chain.iter().map(|one| one.as_der()).collect();
    let signed_data = der(
        0x30,
        &[
            signed_data.first()?.raw,
            &der(0x31, &[&digests]),
            content.raw,
            &der(0xA0, &certificates),
            &der(0x31, &[&signers]),
        ],
    );
    Some(der(0x30, &[content_type.raw, &der(0xA0, &[&signed_data])]))
}

#[derive(Clone, Copy)]
struct Value<'a> {
    tag: u8,
    raw: &'a [u8],
    body: &'a [u8],
}

/// The values one after the other, with definite lengths.
fn values(mut octets: &[u8]) -> Option<Vec<Value<'_>>> {
    let mut list = Vec::new();
    while let Some(&tag) = octets.first() {
        let (size, length) = header(octets)?;
        let raw = octets.get(..size + length?)?;
        list.push(Value {
            tag,
            raw,
            body: &raw[size..],
        });
        octets = &octets[raw.len()..];
    }
    Some(list)
}

/// BER with definite lengths and octet strings in one piece.
fn definite(octets: &[u8]) -> Option<Vec<u8>> {
    let mut rest = octets;
    let mut out = Vec::new();
    while !rest.is_empty() && !rest.starts_with(&[0, 0]) {
        rest = &rest[one(rest, &mut out)?..];
    }
    Some(out)
}

fn one(octets: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let tag = *octets.first()?;
    let (size, length) = header(octets)?;
    let (body, end) = match length {
        Some(length) if tag & 0x20 == 0 => {
            (octets.get(size..size + length)?.to_vec(), size + length)
        }
        Some(length) => (definite(octets.get(size..size + length)?)?, size + length),
        None => {
            let mut body = Vec::new();
            let mut at = size;
            while !octets.get(at..)?.starts_with(&[0, 0]) {
                at += one(&octets[at..], &mut body)?;
            }
            (body, at + 2)
        }
    };
    if tag == 0x24 {
        let pieces = values(&body)?;
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.body).collect();
        out.extend(der(0x04, &pieces));
    } else {
        out.extend(der(tag, &[&body]));
    }
    Some(end)
}

/// The octets of tag and length, and the length unless it is indefinite.
fn header(octets: &[u8]) -> Option<(usize, Option<usize>)> {
    match *octets.get(1)? {
        0x80 => Some((2, None)),
        short @ 0..0x80 => Some((2, Some(usize::from(short)))),
        long => {
            let size = 2 + usize::from(long & 0x7F);
            let digits = octets.get(2..size)?;
            let length = digits.iter().try_fold(0_usize, |sum, digit| {
                sum.checked_mul(256)?.checked_add(usize::from(*digit))
            })?;
            Some((size, Some(length)))
        }
    }
}
