//! The hardware that a certificate is bound to (RFC 4108 §5, 802.1AR §8.10.4).

use der::asn1::{AnyRef, ObjectIdentifier};
use der::{Decode, Reader, SliceReader, Tag, Tagged};

use super::{Certificate, is_context, sequence_body};
use crate::path::OID_SUBJECT_ALT_NAME;

impl Certificate {
    /// hwSerialNum of the hardwareModuleName in subjectAltName.
    pub fn hardware_serial_number(&self) -> Option<&[u8]> {
        let names = sequence_body(self.extension(OID_SUBJECT_ALT_NAME)?).ok()?;
        let mut names = SliceReader::new(names).ok()?;
        while !names.is_finished() {
            let name = AnyRef::decode(&mut names).ok()?;
            // otherName, implicitly tagged: type-id and, explicitly tagged, value.
            if !is_context(name.tag(), 0) {
                continue;
            }
            let mut other = SliceReader::new(name.value()).ok()?;
            let form: ObjectIdentifier = ObjectIdentifier::decode(&mut other).ok()?;
            if form != HARDWARE_MODULE_NAME {
                continue;
            }
            let value = AnyRef::decode(&mut other).ok()?;
            let mut module = SliceReader::new(sequence_body(value.value()).ok()?).ok()?;
            let _kind: ObjectIdentifier = ObjectIdentifier::decode(&mut module).ok()?;
            let number = AnyRef::decode(&mut module).ok()?;
            return (number.tag() == Tag::OctetString).then(|| number.value());
        }
        None
    }
}

const HARDWARE_MODULE_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.8.4");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{CertificateBuilder, KeyType, SigningKey};

    fn certificate(names: Option<&[u8]>) -> Certificate {
        let key = SigningKey::generate(KeyType::EcP256).unwrap();
        let mut builder = CertificateBuilder::new("CN=device");
        if let Some(names) = names {
            builder = builder.extension(OID_SUBJECT_ALT_NAME, false, names.to_vec());
        }
        builder.self_signed(&key).unwrap()
    }

    // LEDGER: 802.1AR-01
    #[test]
    fn a_serial_number_among_the_names() {
        // dNSName "a", then hardwareModuleName 1.3.6.1.4.1.9 with "FOC1".
        let names = [
            &[0x30, 0x22, 0x82, 0x01, b'a', 0xA0, 0x1D, 0x06, 0x08][..],
            &[
                0x2B, 6, 1, 5, 5, 7, 8, 4, 0xA0, 0x11, 0x30, 0x0F, 0x06, 0x06,
            ],
            &[0x2B, 6, 1, 4, 1, 9, 0x04, 0x05],
            b"FOC1X",
        ]
        .concat();
        let found = certificate(Some(&names));
        assert_eq!(found.hardware_serial_number(), Some(&b"FOC1X"[..]));
        assert_eq!(certificate(None).hardware_serial_number(), None);
        let other = certificate(Some(&[0x30, 0x03, 0x82, 0x01, b'a']));
        assert_eq!(other.hardware_serial_number(), None);
        for end in 3..names.len() {
            let cut = certificate(Some(&names[..end]));
            assert_eq!(cut.hardware_serial_number(), None);
        }
    }
}
