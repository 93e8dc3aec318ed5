//! Conveyed information as a dialect writes it.

use serde_json::Value;
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

/// A document as a platform writes it, as RFC 8572 has it: without wrapper, with colons in
/// hashes, and with one image-verification for each hash algorithm. None: there is nothing to change.
pub(crate) fn plainly(document: &[u8], encoding: Encoding) -> Option<Vec<u8>> {
    match encoding {
        Encoding::Json => plain_json(document),
        Encoding::Xml => plain_xml(document),
    }
}

fn plain_json(document: &[u8]) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(document).ok()?;
    let mut is_changed = false;
    if let Some(inner) = value.get_mut("ietf-sztp-conveyed-info:conveyed-information") {
        value = inner.take();
        is_changed = true;
    }
    let image = value.pointer_mut("/ietf-sztp-conveyed-info:onboarding-information/boot-image");
    if let Some(list) = image.and_then(|image| image.get_mut("image-verification")) {
        let list = list.as_array_mut()?;
        for value in list
            .iter_mut()
            .filter_map(|entry| entry.get_mut("hash-value"))
        {
            if let Some(colons) = value.as_str().and_then(with_colons) {
                *value = colons.into();
                is_changed = true;
            }
        }
        let before = list.len();
        let mut seen = Vec::new();
        list.retain(|entry| {
            let algorithm = entry.get("hash-algorithm").cloned();
            let is_new = !seen.contains(&algorithm);
            seen.push(algorithm);
            is_new
        });
        is_changed |= list.len() < before;
    }
    is_changed.then(|| value.to_string().into_bytes())
}

fn plain_xml(document: &[u8]) -> Option<Vec<u8>> {
    let mut text = std::str::from_utf8(document).ok()?.to_owned();
    let mut is_changed = false;
    if let Some((head, rest)) = text.split_once("<conveyed-information")
        && let Some((attributes, rest)) = rest.split_once('>')
        && let Some((inner, _)) = rest.rsplit_once("</conveyed-information>")
    {
        // What is inside may leave the namespace to the wrapper.
        let inner = ["onboarding-information", "redirect-information"]
            .into_iter()
            .find_map(|name| {
                let bare = format!("<{name}>");
                let full = format!("<{name}{attributes}>");
                inner
                    .contains(&bare)
                    .then(|| inner.replacen(&bare, &full, 1))
            })
            .unwrap_or_else(|| inner.to_owned());
        text = [head, &inner].concat();
        is_changed = true;
    }
    let (open, close) = ("<image-verification>", "</image-verification>");
    if let Some((head, rest)) = text.split_once(open)
        && let Some((first, rest)) = rest.split_once(close)
        && let Some((_, tail)) = rest.rsplit_once(close)
    {
        text = [head, open, first, close, tail].concat();
        is_changed = true;
    }
    let (open, close) = ("<hash-value>", "</hash-value>");
    if let Some((head, rest)) = text.split_once(open)
        && let Some((value, tail)) = rest.split_once(close)
        && let Some(colons) = with_colons(value.trim())
    {
        text = [head, open, &colons, close, tail].concat();
        is_changed = true;
    }
    is_changed.then(|| text.into_bytes())
}

/// None: it has colons, or is no hash.
fn with_colons(hash: &str) -> Option<String> {
    let is_bare = hash.len().is_multiple_of(2) && hash.len() > 2;
    if !is_bare || !hash.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let octets: Vec<&str> = (0..hash.len())
        .step_by(2)
        .map(|at| &hash[at..at + 2])
        .collect();
    Some(octets.join(":"))
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
        for encoding in [Encoding::Json, Encoding::Xml] {
            let text = encoded("huawei", &info, encoding);
            let plain = plainly(text.as_bytes(), encoding).unwrap();
            assert_eq!(ConveyedInfo::decode(&plain, encoding).as_ref(), Ok(&info));
        }
        let plain = plainly(text.as_bytes(), Encoding::Json).unwrap();
        assert_eq!(ConveyedInfo::decode(&plain, Encoding::Json), Ok(info));
        assert_eq!(plainly(&plain, Encoding::Json), None);
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
