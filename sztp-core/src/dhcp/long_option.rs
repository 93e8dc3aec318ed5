//! One option among the others of a DHCP message: long options of DHCPv4 split and joined
//! (RFC 3396), the one instance of DHCPv6 found (RFC 8415 §21.1).

use super::{DhcpError, Family, OPTION_V4_SZTP_REDIRECT, OPTION_V6_SZTP_REDIRECT};

/// The places of a DHCPv4 message where options may be (RFC 2131 §2, §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OptionFields<'a> {
    /// The options field after the magic cookie.
    pub options: &'a [u8],
    /// The field `file`, which holds options if the option overload says so.
    pub file: &'a [u8],
    /// The field `sname`, likewise.
    pub sname: &'a [u8],
}

impl<'a> OptionFields<'a> {
    /// Options by themselves, nothing overloaded.
    pub fn options_only(options: &'a [u8]) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// The value of an option: all its instances joined in the order of RFC 3396 §5, which is the
    /// options field, then `file`, then `sname`. None if there is no instance.
    pub fn join(&self, code: u8) -> Result<Option<Vec<u8>>, DhcpError> {
        let mut value = None;
        let mut overload = None;
        collect(self.options, code, &mut value)?;
        collect(self.options, OPTION_OVERLOAD, &mut overload)?;
        let overload = match overload.as_deref() {
            Some([fields]) => *fields,
            _ => 0,
        };
        if overload & OVERLOAD_FILE != 0 {
            collect(self.file, code, &mut value)?;
        }
        if overload & OVERLOAD_SNAME != 0 {
            collect(self.sname, code, &mut value)?;
        }
        Ok(value)
    }
}

/// An option of DHCPv4 as it travels: as few instances as can hold the value, in a row
/// (RFC 3396 §4).
pub fn split(code: u8, value: &[u8]) -> Vec<u8> {
    let mut option = Vec::with_capacity(value.len() + 2 * (value.len() / MAX_V4_OCTETS + 1));
    let mut instance = |part: &[u8]| {
        // A part is at most 255 octets.
        let [.., length] = part.len().to_be_bytes();
        option.extend_from_slice(&[code, length]);
        option.extend_from_slice(part);
    };
    if value.is_empty() {
        instance(value);
    }
    value.chunks(MAX_V4_OCTETS).for_each(&mut instance);
    option
}

/// The value of an option of DHCPv6 among the options of a message.
///
/// The option is a singleton (RFC 8572 §8.2): of several, which no server may send, the first one
/// counts.
pub fn find_v6(code: u16, options: &[u8]) -> Result<Option<&[u8]>, DhcpError> {
    let mut rest = options;
    while !rest.is_empty() {
        let truncated = DhcpError::TruncatedOption { code };
        let ([code_high, code_low, length_high, length_low], after) =
            rest.split_first_chunk::<4>().ok_or(truncated)?;
        let found = u16::from_be_bytes([*code_high, *code_low]);
        let length = usize::from(u16::from_be_bytes([*length_high, *length_low]));
        let truncated = DhcpError::TruncatedOption { code: found };
        let (value, after) = after.split_at_checked(length).ok_or(truncated)?;
        if found == code {
            return Ok(Some(value));
        }
        rest = after;
    }
    Ok(None)
}

/// The value of a redirect option (RFC 8572 §8) that was written down by itself, with code and
/// length or without them, and its family where that shows.
pub fn unwrapped(octets: &[u8]) -> Result<(Option<Family>, Vec<u8>), DhcpError> {
    let (family, value) = match *octets {
        // As a uri-length, either would be longer than any URI, or of a URI without scheme.
        [OPTION_V4_SZTP_REDIRECT, ..] => (
            Family::V4,
            OptionFields::options_only(octets).join(OPTION_V4_SZTP_REDIRECT)?,
        ),
        [high, low, third, fourth, ..]
            if [high, low] == OPTION_V6_SZTP_REDIRECT.to_be_bytes()
                && !b"ht".eq_ignore_ascii_case(&[third, fourth]) =>
        {
            let value = find_v6(OPTION_V6_SZTP_REDIRECT, octets)?;
            (Family::V6, value.map(<[u8]>::to_vec))
        }
        _ => return Ok((None, octets.to_vec())),
    };
    let code = family.option_code();
    let value = value.ok_or(DhcpError::Absent { code })?;
    Ok((Some(family), value))
}

/// Appends the instances of an option in one field.
fn collect(field: &[u8], code: u8, value: &mut Option<Vec<u8>>) -> Result<(), DhcpError> {
    let mut rest = field;
    while let Some((&found, after)) = rest.split_first() {
        match found {
            OPTION_PAD => {
                rest = after;
                continue;
            }
            OPTION_END => break,
            _ => {}
        }
        let truncated = DhcpError::TruncatedOption { code: found.into() };
        let (part, after) = after
            .split_first()
            .and_then(|(length, after)| after.split_at_checked((*length).into()))
            .ok_or(truncated)?;
        if found == code {
            value.get_or_insert_default().extend_from_slice(part);
        }
        rest = after;
    }
    Ok(())
}

const OPTION_PAD: u8 = 0;
const OPTION_END: u8 = 255;
const OPTION_OVERLOAD: u8 = 52;
/// RFC 2132 §9.3: 1 is `file`, 2 is `sname`, 3 is both.
const OVERLOAD_FILE: u8 = 1;
const OVERLOAD_SNAME: u8 = 2;
/// What one instance holds.
const MAX_V4_OCTETS: usize = 255;

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: u8 = 143;

    fn join(options: &[u8]) -> Result<Option<Vec<u8>>, DhcpError> {
        OptionFields::options_only(options).join(CODE)
    }

    #[test]
    fn split_only_where_one_instance_is_too_small() {
        // LEDGER: 8572-8.1-07, 8572-8.1-08
        for (octets, instances) in [(0, 1), (1, 1), (255, 1), (256, 2), (510, 2), (511, 3)] {
            let value: Vec<u8> = (0..octets).map(|n: u32| n.to_le_bytes()[0]).collect();
            let option = split(CODE, &value);
            assert_eq!(option.len(), value.len() + 2 * instances, "{octets}");
            assert_eq!(join(&option), Ok(Some(value)), "{octets}");
        }
    }

    #[test]
    fn instances_are_joined_wherever_they_are() {
        // LEDGER: 8572-8.1-04, 3396-01
        let apart = [
            143, 1, b'a', 0, 0, 1, 4, 9, 9, 9, 9, 143, 0, 143, 2, b'b', b'c', 255,
        ];
        assert_eq!(join(&apart), Ok(Some(b"abc".to_vec())));
        // After the end option nothing counts; before it, it need not be there.
        assert_eq!(join(&[255, 143, 1, b'a']), Ok(None));
        assert_eq!(join(&[143, 1, b'a']), Ok(Some(b"a".to_vec())));
        assert_eq!(join(&[]), Ok(None));
        let fields = |overload| OptionFields {
            options: if overload == 0 {
                &[143, 1, b'a', 255]
            } else if overload == 1 {
                &[143, 1, b'a', 52, 1, 1, 255]
            } else if overload == 2 {
                &[143, 1, b'a', 52, 1, 2, 255]
            } else {
                &[52, 1, 3, 143, 1, b'a', 255]
            },
            file: &[143, 1, b'f', 255, 0, 0],
            sname: &[0, 143, 1, b's', 255],
        };
        for (overload, value) in [(0, "a"), (1, "af"), (2, "as"), (3, "afs")] {
            let joined = fields(overload).join(CODE);
            assert_eq!(joined, Ok(Some(value.as_bytes().to_vec())), "{overload}");
        }
    }

    #[test]
    fn options_that_end_too_early() {
        for (options, code) in [
            (&[143][..], 143),
            (&[143, 2, b'a'], 143),
            (&[143, 1, b'a', 12, 9], 12),
        ] {
            assert_eq!(join(options), Err(DhcpError::TruncatedOption { code }));
        }
        for options in [&[0][..], &[0, 136, 0], &[0, 136, 0, 1], &[0, 1, 0, 9, 1, 2]] {
            assert!(find_v6(136, options).is_err(), "{options:?}");
        }
    }

    #[test]
    fn an_option_by_itself_with_and_without_its_header() {
        let value = [&[0, 136][..], b"https://", &[b'a'; 128]].concat();
        assert_eq!(unwrapped(&value), Ok((None, value.clone())));
        let v4 = split(OPTION_V4_SZTP_REDIRECT, &value);
        assert_eq!(unwrapped(&v4), Ok((Some(Family::V4), value.clone())));
        let v6 = [&[0, 136, 0, 138][..], &value].concat();
        assert_eq!(unwrapped(&v6), Ok((Some(Family::V6), value)));
        assert_eq!(unwrapped(&[]), Ok((None, Vec::new())));
        assert!(unwrapped(&[143, 9]).is_err());
        assert!(unwrapped(&[0, 136, 0, 9]).is_err());
    }

    #[test]
    fn of_several_v6_options_the_first_counts() {
        // LEDGER: 8572-8.2-03, 8572-8.2-04
        let options = [0, 1, 0, 0, 0, 136, 0, 1, b'a', 0, 136, 0, 1, b'b'];
        assert_eq!(find_v6(136, &options), Ok(Some(&b"a"[..])));
        assert_eq!(find_v6(7, &options), Ok(None));
    }
}
