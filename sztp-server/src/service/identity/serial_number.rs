//! Where in a certificate a serial number is (802.1AR §8.6, RFC 8572 §5.3).

use sztp_cms::Certificate;

use crate::model::SerialNumberFrom;

/// A serial number, and where it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SerialNumber {
    pub(super) text: String,
    pub(super) field: &'static str,
    /// Whether the field holds more than it.
    pub(super) is_part: bool,
}

/// The serial number of a certificate, as its manufacturer writes it.
pub(super) fn find(certificate: &Certificate, from: SerialNumberFrom) -> Option<SerialNumber> {
    let attribute = || certificate.serial_number_attribute();
    let found = match from {
        SerialNumberFrom::Auto => match attribute() {
            Some(text) => match part_of(&text) {
                Some(part) => of(part, PART, true),
                None => of(&text, ATTRIBUTE, false),
            },
            None => hardware(certificate),
        },
        SerialNumberFrom::SerialNumber => of(&attribute()?, ATTRIBUTE, false),
        SerialNumberFrom::ProductAndSerial => of(part_of(&attribute()?)?, PART, true),
        SerialNumberFrom::HardwareModuleName => hardware(certificate),
        SerialNumberFrom::CommonName => of(&certificate.common_name()?, "the common name", false),
    };
    found.filter(|found| !found.text.is_empty())
}

#[expect(clippy::unnecessary_wraps, reason = "as its callers have it")]
fn of(text: &str, field: &'static str, is_part: bool) -> Option<SerialNumber> {
    let text = text.to_owned();
    Some(SerialNumber {
        text,
        field,
        is_part,
    })
}

/// Cisco writes `PID:C9300-24T SN:FCW2126G05V`, and means the second part in vouchers.
fn part_of(attribute: &str) -> Option<&str> {
    let (product, serial_number) = attribute.split_once(" SN:")?;
    product.starts_with("PID:").then(|| serial_number.trim())
}

/// Text where it is text, and hexadecimal where not.
fn hardware(certificate: &Certificate) -> Option<SerialNumber> {
    let octets = certificate.hardware_serial_number()?;
    let text = std::str::from_utf8(octets).ok();
    let text = text.filter(|text| !text.chars().any(char::is_control));
    let text = if let Some(text) = text {
        text.trim().to_owned()
    } else {
        let digits: Vec<String> = octets.iter().map(|octet| format!("{octet:02X}")).collect();
        digits.concat()
    };
    of(&text, "the hardwareModuleName", false)
}

const ATTRIBUTE: &str = "the subject's serialNumber";
const PART: &str = "the SN part of the subject's serialNumber";

#[cfg(test)]
mod tests {
    use sztp_cms::{CertificateBuilder, KeyType, SigningKey};

    use super::*;

    fn found(subject: &str, from: SerialNumberFrom) -> Option<String> {
        let key = SigningKey::generate(KeyType::EcP256).unwrap();
        let certificate = CertificateBuilder::new(subject).self_signed(&key).unwrap();
        find(&certificate, from).map(|found| found.text)
    }

    // LEDGER: 802.1AR-01
    #[test]
    fn as_manufacturers_write_it() {
        use SerialNumberFrom as From;
        let cisco = "CN=C9300,serialNumber=PID:C9300-24T SN:FCW2126G05V";
        for (subject, from, expected) in [
            (cisco, From::Auto, Some("FCW2126G05V")),
            (cisco, From::ProductAndSerial, Some("FCW2126G05V")),
            (
                cisco,
                From::SerialNumber,
                Some("PID:C9300-24T SN:FCW2126G05V"),
            ),
            (cisco, From::CommonName, Some("C9300")),
            (cisco, From::HardwareModuleName, None),
            ("serialNumber=AX7-00042", From::Auto, Some("AX7-00042")),
            ("serialNumber=AX7-00042", From::ProductAndSerial, None),
            ("serialNumber=A SN:B", From::Auto, Some("A SN:B")),
            ("CN=AX7", From::Auto, None),
            ("CN=AX7", From::CommonName, Some("AX7")),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(found(subject, from), expected, "{subject} {from:?}");
        }
    }
}
