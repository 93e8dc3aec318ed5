//! Which signing request a device is asked for (RFC 9646 §3.2), and whether the one that it sends is
//! granted (RFC 9646 §4.2): no I/O, no state.

use sztp_cms::{Certificate, CertificationRequest, KeyType, ProvenRequest, PublicKey};
use sztp_core::csr::{CsrRequest, CsrSupport, P10_CSR, algorithm_of, key_type_of};

use crate::LdevidError;
use crate::config::LdevidConfig;
use crate::model::{KeyAlgorithm, LdevidKey};

/// What a device is asked for, of what it offers.
pub(super) fn question(
    config: &LdevidConfig,
    support: &CsrSupport,
    idevid: &Certificate,
) -> Result<CsrRequest, LdevidError> {
    // LEDGER: 9646-3.2-06
    if !support.formats.iter().any(|format| format == P10_CSR) {
        return Err(LdevidError::FormatUnsupported {
            format: support.formats.join(", ").chars().take(200).collect(),
        });
    }
    // LEDGER: 9646-3.2-04, 9646-3.2-05
    let offered = |algorithm: &KeyAlgorithm| {
        let identifier = algorithm_of(kind_of(*algorithm))?;
        let mut offers = support.algorithm_identifiers.iter();
        offers
            .any(|offer| offer == identifier)
            .then_some(identifier)
    };
    let selected = match config.key {
        LdevidKey::Existing => None,
        LdevidKey::New | LdevidKey::NewIfOffered => config.key_algorithms.iter().find_map(offered),
    };
    // LEDGER: 9646-3.2-02
    let is_existing_good = || {
        let key = idevid.public_key();
        config.key != LdevidKey::New && key.is_ok_and(|key| is_allowed(config, &key))
    };
    if selected.is_none() && !is_existing_good() {
        return Err(LdevidError::NoAlgorithm);
    }
    Ok(CsrRequest {
        algorithm_identifier: selected.map(<[u8]>::to_vec),
        format: P10_CSR.to_owned(),
        cert_req_info: None,
    })
}

/// Reads a request and judges all that it asks for. `presented` is the device's serial number, which
/// need not be the whole of its certificate's attribute.
pub(super) fn judged(
    csr: &[u8],
    config: &LdevidConfig,
    idevid: &Certificate,
    presented: &str,
    dns_names: &[String],
) -> Result<ProvenRequest, LdevidError> {
    // LEDGER: 9646-4.2.1-01
    let request = CertificationRequest::from_der(csr)
        .and_then(CertificationRequest::prove)
        .map_err(LdevidError::Request)?;
    // LEDGER: 9646-4.2.2-01
    if !is_same_device(&request, idevid, presented) {
        let short = |text: String| text.chars().take(200).collect();
        return Err(LdevidError::OtherDevice {
            asked: short(request.subject()),
            idevid: short(idevid.subject()),
        });
    }
    if request.asks_for_authority() {
        return Err(LdevidError::Authority);
    }
    check_names(&request, idevid, dns_names)?;
    if !is_allowed(config, request.public_key()) {
        return Err(LdevidError::KeyNotAllowed {
            found: request.public_key().description(),
        });
    }
    let is_idevids = request.spki_der() == idevid.spki_der();
    match config.key {
        LdevidKey::New if is_idevids => Err(LdevidError::KeyNotNew),
        LdevidKey::Existing if !is_idevids => Err(LdevidError::KeyNotIdevids),
        _ => Ok(request),
    }
}

/// The IDevID's subject, or one with the device's serial number and no other.
fn is_same_device(request: &ProvenRequest, idevid: &Certificate, presented: &str) -> bool {
    if request.subject_der() == idevid.subject_der() {
        return true;
    }
    let serial_numbers = request.serial_number_attributes();
    let [Some(asked)] = serial_numbers.as_slice() else {
        return false;
    };
    asked == presented || idevid.serial_number_attribute().as_ref() == Some(asked)
}

/// Names that the IDevID has, and those that the profile allows.
fn check_names(
    request: &ProvenRequest,
    idevid: &Certificate,
    dns_names: &[String],
) -> Result<(), LdevidError> {
    let asked = request.alternative_names().map_err(LdevidError::Request)?;
    let of_idevid = idevid.alternative_names();
    let is_allowed = |name: &Vec<u8>| {
        of_idevid.contains(name)
            || dns_names.iter().any(|known| {
                let known = dns_name(known);
                known.len() == name.len() && known.eq_ignore_ascii_case(name)
            })
    };
    if asked.iter().all(is_allowed) {
        Ok(())
    } else {
        Err(LdevidError::NameNotAllowed)
    }
}

fn is_allowed(config: &LdevidConfig, key: &PublicKey) -> bool {
    let is_kind = |algorithm: &KeyAlgorithm| match algorithm {
        KeyAlgorithm::Rsa => key
            .rsa_bits()
            .is_some_and(|bits| bits >= config.min_rsa_bits),
        other => {
            let identifier = key.algorithm_identifier();
            let found = identifier.and_then(|identifier| key_type_of(&identifier));
            found == Some(kind_of(*other))
        }
    };
    config.key_algorithms.iter().any(is_kind)
}

fn kind_of(algorithm: KeyAlgorithm) -> KeyType {
    match algorithm {
        KeyAlgorithm::EcP256 => KeyType::EcP256,
        KeyAlgorithm::EcP384 => KeyType::EcP384,
        KeyAlgorithm::EcP521 => KeyType::EcP521,
        KeyAlgorithm::Ed25519 => KeyType::Ed25519,
        KeyAlgorithm::Rsa => KeyType::Rsa3072,
    }
}

/// A GeneralName with a domain name (RFC 5280 §4.2.1.6); names are shorter than 254 octets.
pub(super) fn dns_name(name: &str) -> Vec<u8> {
    let mut der = vec![0x82];
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    if length >= 0x80 {
        der.push(0x81);
    }
    der.push(length);
    der.extend_from_slice(name.as_bytes());
    der
}

#[cfg(test)]
mod tests {
    use super::*;
    use sztp_cms::{CertificateBuilder, CertificationRequestBuilder, KeyUsage, SigningKey};

    const SERIAL: &str = "AX7-00042";

    fn key(kind: KeyType) -> SigningKey {
        SigningKey::generate(kind).unwrap()
    }

    fn idevid(subject: &str, key: &SigningKey) -> Certificate {
        let builder = CertificateBuilder::new(subject).key_usage(KeyUsage::DIGITAL_SIGNATURE);
        builder
            .dns_names(["ax7-00042.vendor.example"])
            .self_signed(key)
            .unwrap()
    }

    fn csr(subject: &str, names: &[&str], key: &SigningKey) -> Vec<u8> {
        let mut builder = CertificationRequestBuilder::new(subject).unwrap();
        if !names.is_empty() {
            builder = builder.dns_names(names).unwrap();
        }
        builder.sign(key).unwrap()
    }

    fn support(kinds: &[KeyType], formats: &[&str]) -> CsrSupport {
        CsrSupport {
            algorithm_identifiers: kinds
                .iter()
                .filter_map(|kind| algorithm_of(*kind).map(<[u8]>::to_vec))
                .collect(),
            formats: formats.iter().map(|&format| format.to_owned()).collect(),
        }
    }

    // LEDGER: 9646-3.2-02, 9646-3.2-04, 9646-3.2-05, 9646-3.2-06
    #[test]
    fn only_what_was_offered_is_asked_for() {
        use sztp_core::csr::CMC_CSR;
        let idevid = idevid("serialNumber=AX7-00042", &key(KeyType::EcP256));
        let mut config = LdevidConfig::default();
        let ask = |config: &LdevidConfig, support: &CsrSupport| question(config, support, &idevid);
        let both = support(&[KeyType::Ed25519, KeyType::EcP384], &[CMC_CSR, P10_CSR]);
        let asked = ask(&config, &both).unwrap();
        assert!(asked.is_supported_by(&both));
        assert_eq!(asked.format, P10_CSR);
        assert_eq!(
            asked.algorithm_identifier.as_deref(),
            algorithm_of(KeyType::EcP384)
        );
        config.key_algorithms = vec![KeyAlgorithm::Ed25519, KeyAlgorithm::EcP384];
        let asked = ask(&config, &both).unwrap();
        assert_eq!(
            asked.algorithm_identifier.as_deref(),
            algorithm_of(KeyType::Ed25519)
        );
        // Without a key that could be made, the one that is there.
        config.key_algorithms = vec![KeyAlgorithm::EcP256];
        let none = support(&[], &[P10_CSR]);
        assert_eq!(ask(&config, &none).unwrap().algorithm_identifier, None);
        assert_eq!(ask(&config, &both).unwrap().algorithm_identifier, None);
        config.key = LdevidKey::New;
        assert_eq!(ask(&config, &both), Err(LdevidError::NoAlgorithm));
        let rsa = support(&[KeyType::Rsa3072], &[P10_CSR]);
        config.key_algorithms = vec![KeyAlgorithm::Rsa];
        assert!(ask(&config, &rsa).unwrap().algorithm_identifier.is_some());
        let error = ask(&config, &support(&[KeyType::Rsa3072], &[CMC_CSR])).unwrap_err();
        assert_eq!(error.code(), "ldevid.format-unsupported");
    }

    // LEDGER: 9646-4.2.1-01, 9646-4.2.2-01
    #[test]
    fn requests_are_bound_to_the_device_that_sends_them() {
        let own = key(KeyType::EcP256);
        let idevid = idevid("serialNumber=PID:C9 SN:AX7-00042,CN=x", &own);
        let config = LdevidConfig::default();
        let names = ["edge.example.net".to_owned()];
        let code = |csr: &[u8], config: &LdevidConfig| {
            let judged = judged(csr, config, &idevid, SERIAL, &names);
            judged.err().map_or("", |error| error.code())
        };
        let new = key(KeyType::EcP256);
        let check = |subject: &str, expected: &str| {
            assert_eq!(
                code(&csr(subject, &[], &new), &config),
                expected,
                "{subject}"
            );
        };
        check("serialNumber=AX7-00042", "");
        check("CN=edge,serialNumber=AX7-00042,O=Birch", "");
        check("serialNumber=PID:C9 SN:AX7-00042,CN=x", "");
        check("serialNumber=AX7-00043", "ldevid.other-device");
        check("CN=AX7-00042", "ldevid.other-device");
        check(
            "serialNumber=AX7-00042,serialNumber=AX7-00043",
            "ldevid.other-device",
        );
        let subject = "serialNumber=AX7-00042";
        for (asked, expected) in [
            (&["edge.example.net"][..], ""),
            (&["EDGE.example.net", "ax7-00042.vendor.example"], ""),
            (
                &["edge.example.net", "core.example.net"],
                "ldevid.name-not-allowed",
            ),
        ] {
            assert_eq!(
                code(&csr(subject, asked, &new), &config),
                expected,
                "{asked:?}"
            );
        }
        let mut tampered = csr(subject, &[], &new);
        let last = tampered.len() - 1;
        tampered[last] ^= 1;
        assert_eq!(code(&tampered, &config), "certification-request.not-proven");
        assert_eq!(code(b"x", &config), "certification-request.malformed");
        let only = |key| LdevidConfig {
            key,
            key_algorithms: vec![KeyAlgorithm::EcP256, KeyAlgorithm::Rsa],
            min_rsa_bits: 3072,
            ..LdevidConfig::default()
        };
        let (fresh, existing) = (only(LdevidKey::New), only(LdevidKey::Existing));
        assert_eq!(code(&csr(subject, &[], &own), &fresh), "ldevid.key-not-new");
        assert_eq!(code(&csr(subject, &[], &own), &existing), "");
        assert_eq!(
            code(&csr(subject, &[], &new), &existing),
            "ldevid.key-not-idevids"
        );
        for kind in [KeyType::EcP384, KeyType::Ed25519, KeyType::Rsa2048] {
            let request = csr(subject, &[], &key(kind));
            assert_eq!(code(&request, &fresh), "ldevid.key-not-allowed", "{kind:?}");
        }
        let authority = CertificationRequestBuilder::new(subject).unwrap();
        let oid = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.19");
        let authority = authority
            .extension(oid, true, &[0x30, 3, 1, 1, 0xff])
            .unwrap();
        assert_eq!(
            code(&authority.sign(&new).unwrap(), &config),
            "ldevid.authority"
        );
        assert_eq!(
            new.public_key().algorithm_identifier().as_deref(),
            algorithm_of(KeyType::EcP256)
        );
    }

    #[test]
    fn a_long_name_has_a_long_length() {
        let long = format!("{0}.{0}.{0}", "x".repeat(60));
        assert_eq!(dns_name(&long)[..3], [0x82, 0x81, 182]);
    }
}
