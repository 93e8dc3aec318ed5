//! Conveyed information as a dialect writes it.

use sztp_core::conveyed_info::ConveyedInfo;
use sztp_voucher::yang::Encoding;

use super::Dialect;

impl Dialect {
    /// The document, which is legal as it comes in, and as the platform wants it.
    pub(crate) fn encode(&self, info: &ConveyedInfo, encoding: Encoding) -> Vec<u8> {
        let document = match self.with_verifications(info) {
            Some(info) => info.encode(encoding),
            None => info.encode(encoding),
        };
        let document = self.without_colons(info, document);
        if self.quirks.wrapper == Some(true) {
            return wrapped(&document, encoding);
        }
        document
    }

    /// The entry of the one hash again for each of several places where the image is found.
    fn with_verifications(&self, info: &ConveyedInfo) -> Option<ConveyedInfo> {
        let ConveyedInfo::Onboarding(onboarding) = info else {
            return None;
        };
        let image = onboarding.boot_image.as_ref()?;
        let [verification] = &image.image_verification[..] else {
            return None;
        };
        if self.quirks.verification_per_uri != Some(true) || image.download_uris.len() < 2 {
            return None;
        }
        let mut onboarding = onboarding.clone();
        if let Some(image) = &mut onboarding.boot_image {
            image.image_verification = vec![verification.clone(); image.download_uris.len()];
        }
        Some(ConveyedInfo::Onboarding(onboarding))
    }

    fn without_colons(&self, info: &ConveyedInfo, document: Vec<u8>) -> Vec<u8> {
        let ConveyedInfo::Onboarding(onboarding) = info else {
            return document;
        };
        let Some(image) = onboarding.boot_image.as_ref() else {
            return document;
        };
        if self.quirks.hash_colons != Some(false) {
            return document;
        }
        let Ok(mut text) = String::from_utf8(document) else {
            return Vec::new();
        };
        for verification in &image.image_verification {
            let octets: Vec<String> = verification
                .hash_value
                .iter()
                .map(|octet| format!("{octet:02x}"))
                .collect();
            // Base64 has no colons, so that this is found in a hash-value alone.
            text = text.replace(&octets.join(":"), &octets.concat());
        }
        text.into_bytes()
    }
}

fn wrapped(document: &[u8], encoding: Encoding) -> Vec<u8> {
    let (before, after): (&[u8], &[u8]) = match encoding {
        Encoding::Json => (b"{\"ietf-sztp-conveyed-info:conveyed-information\":", b"}"),
        Encoding::Xml => (
            b"<conveyed-information xmlns=\"urn:ietf:params:xml:ns:yang:ietf-sztp-conveyed-info\">",
            b"</conveyed-information>",
        ),
    };
    [before, document, after].concat()
}

#[cfg(test)]
mod tests {
    use sztp_core::conveyed_info::{
        BootImage, ConveyedInfoError, ImageVerification, OnboardingInformation,
    };

    use super::super::Dialects;
    use super::*;

    fn image(uris: &[&str]) -> ConveyedInfo {
        ConveyedInfo::Onboarding(OnboardingInformation {
            boot_image: Some(BootImage {
                os_name: None,
                os_version: None,
                download_uris: uris.iter().map(|&uri| uri.to_owned()).collect(),
                image_verification: vec![ImageVerification::sha256([0xAB; 32])],
            }),
            ..OnboardingInformation::default()
        })
    }

    fn encoded(dialect: &str, info: &ConveyedInfo, encoding: Encoding) -> String {
        let dialects = Dialects::new(&[]).unwrap();
        let document = dialects.named(dialect).unwrap().encode(info, encoding);
        String::from_utf8(document).unwrap()
    }

    #[test]
    fn a_verification_for_each_place() {
        let info = image(&["https://a.example/i", "file:///disk2:/i"]);
        let text = encoded("ios-xr", &info, Encoding::Json);
        assert_eq!(text.matches("hash-value").count(), 2, "{text}");
        assert!(text.contains("ab:ab:"), "{text}");
        assert!(ConveyedInfo::decode(text.as_bytes(), Encoding::Json).is_err());
        let one = image(&["https://a.example/i"]);
        let text = encoded("ios-xr", &one, Encoding::Json);
        assert_eq!(
            ConveyedInfo::decode(text.as_bytes(), Encoding::Json),
            Ok(one)
        );
    }

    #[test]
    fn a_wrapper_and_hashes_without_colons() {
        let info = image(&["https://a.example/i"]);
        let text = encoded("huawei", &info, Encoding::Xml);
        assert!(text.starts_with("<conveyed-information xmlns="), "{text}");
        assert!(text.contains(&"ab".repeat(32)), "{text}");
        assert!(matches!(
            ConveyedInfo::decode(text.as_bytes(), Encoding::Xml),
            Err(ConveyedInfoError::Yang(_))
        ));
        let plain = encoded("generic", &info, Encoding::Xml);
        assert_eq!(
            ConveyedInfo::decode(plain.as_bytes(), Encoding::Xml),
            Ok(info)
        );
    }
}
