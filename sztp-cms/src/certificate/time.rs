//! Validity times (RFC 5280 §4.1.2.5).

use der::asn1::AnyRef;
use der::{Tag, Tagged};

use super::CertificateError;
use super::fields::malformed;
use super::values::Values;
use crate::UnixTime;

/// Reads notBefore and notAfter from the content of Validity.
pub(super) fn validity(body: &[u8]) -> Result<(UnixTime, UnixTime), CertificateError> {
    let bad = || malformed("validity");
    let mut values = Values::new(body);
    let not_before = values.next().ok_or_else(bad)?;
    let not_after = values.next().ok_or_else(bad)?;
    values.finish().ok_or_else(bad)?;
    Ok((
        read(not_before.tag, not_before.body).ok_or_else(|| malformed("notBefore"))?,
        read(not_after.tag, not_after.body).ok_or_else(|| malformed("notAfter"))?,
    ))
}

/// A UTCTime or GeneralizedTime in the forms of RFC 5280; a list of revoked certificates has them
/// too.
pub(crate) fn time(value: AnyRef<'_>) -> Option<UnixTime> {
    let tag = match value.tag() {
        Tag::UtcTime => UTC_TIME,
        Tag::GeneralizedTime => GENERALIZED_TIME,
        _ => return None,
    };
    read(tag, value.value())
}

fn read(tag: u8, content: &[u8]) -> Option<UnixTime> {
    let text = content.strip_suffix(b"Z")?;
    let (year, rest) = match (tag, text.len()) {
        (UTC_TIME, 12) => {
            let year = digits(&text[..2])?;
            // RFC 5280 §4.1.2.5.1: 50 and later are of the last century.
            (
                if year >= 50 { 1900 + year } else { 2000 + year },
                &text[2..],
            )
        }
        (GENERALIZED_TIME, 14) => (digits(&text[..4])?, &text[4..]),
        _ => return None,
    };
    let part = |index: usize| digits(&rest[2 * index..2 * index + 2]);
    let (month, day, hour, minute, second) = (part(0)?, part(1)?, part(2)?, part(3)?, part(4)?);
    let in_range = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    in_range.then(|| {
        let seconds = (days_from_civil(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
        UnixTime::from_secs(seconds)
    })
}

fn digits(text: &[u8]) -> Option<i64> {
    text.iter().try_fold(0, |number, octet| {
        octet
            .is_ascii_digit()
            .then(|| number * 10 + i64::from(octet - b'0'))
    })
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    // Years are counted from March, so that the leap day is the last of its year.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

#[cfg(test)]
mod tests {
    use super::*;

    fn read(tag: Tag, text: &str) -> Option<i64> {
        time(AnyRef::new(tag, text.as_bytes()).unwrap()).map(UnixTime::secs)
    }

    #[test]
    fn times_of_both_forms() {
        assert_eq!(read(Tag::UtcTime, "700101000000Z"), Some(0));
        assert_eq!(read(Tag::UtcTime, "491231235959Z"), Some(2_524_607_999));
        assert_eq!(read(Tag::UtcTime, "500101000000Z"), Some(-631_152_000));
        assert_eq!(
            read(Tag::GeneralizedTime, "20000229120000Z"),
            Some(951_825_600)
        );
        // LEDGER: 802.1AR-02
        assert_eq!(
            read(Tag::GeneralizedTime, "99991231235959Z"),
            Some(253_402_300_799)
        );
        assert_eq!(read(Tag::GeneralizedTime, "20230229000000Z"), None);
        assert_eq!(read(Tag::GeneralizedTime, "20230101000000+0100"), None);
        assert_eq!(read(Tag::GeneralizedTime, "20230101240000Z"), None);
        assert_eq!(read(Tag::UtcTime, "2301010000Z"), None);
    }
}
