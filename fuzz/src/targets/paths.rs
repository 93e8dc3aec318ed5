//! Certificates, revocation lists, and paths through them.

use std::sync::LazyLock;

use sztp_cms::{
    Certificate, CertificateBuilder, CertificateRevocationList, CertificationRequest, KeyType,
    PathError, PathOptions, PolicyOptions, RevocationPolicy, Signer, SigningKey, TrustAnchors,
    certificate_names_host, oids, validate_path,
};

use super::choices::Choices;
use super::{CLOCKS, der};

/// Certificates, PEM and DER, and building a path through them: the first is judged, the last is
/// trusted.
pub fn certificate(octets: &[u8]) {
    let Ok(list) = Certificate::list_from_pem_or_der(octets) else {
        return;
    };
    for certificate in &list {
        let again = Certificate::from_der(certificate.as_der()).expect("its own octets read");
        assert_eq!(&again, certificate);
        let pem = Certificate::from_pem_or_der(certificate.to_pem().as_bytes());
        assert_eq!(pem.as_ref(), Ok(certificate));
        let _ = format!("{certificate:?} {:?}", certificate.public_key());
        let _ = (
            certificate.serial_number_attribute(),
            certificate.authority_key_id(),
        );
        let _ = (
            certificate.subject_key_id(),
            certificate.sha256_fingerprint(),
        );
        for host in ["boot.example", "192.0.2.1", "2001:db8::1"] {
            let _ = certificate_names_host(certificate, host);
        }
    }
    let (Some(end), Some(anchor)) = (list.first(), list.last()) else {
        return;
    };
    let anchors = TrustAnchors::new([anchor.clone()]);
    for clock in CLOCKS {
        let _ = validate_path(end, &list, &anchors, clock, &PathOptions::default());
    }
}

/// Certification requests: what is proven is issued, and says what was asked for.
pub fn certification_request(octets: &[u8]) {
    let Ok(request) = CertificationRequest::from_der(octets) else {
        return;
    };
    assert_eq!(request.as_der(), octets);
    let _ = format!("{request:?}");
    let Ok(proven) = request.prove() else {
        return;
    };
    let _ = (proven.subject(), proven.serial_number_attributes());
    let _ = (proven.asks_for_authority(), proven.public_key().rsa_bits());
    let issued = CertificateBuilder::for_request(&proven)
        .alternative_names(proven.alternative_names().unwrap_or_default())
        .issued_by(proven.spki_der(), &ISSUER.0, &ISSUER.1)
        .expect("a certificate");
    assert_eq!(issued.subject_der(), proven.subject_der());
    assert_eq!(issued.spki_der(), proven.spki_der());
}

/// Whoever issues for requests.
static ISSUER: LazyLock<(Certificate, SigningKey)> = LazyLock::new(|| {
    let key = SigningKey::generate(KeyType::Ed25519).expect("a key");
    let builder = CertificateBuilder::new("CN=CA").ca(None);
    (builder.self_signed(&key).expect("a certificate"), key)
});

/// Certificate revocation lists, PEM and DER.
pub fn crl(octets: &[u8]) {
    let Ok(lists) = CertificateRevocationList::list_from_pem_or_der(octets) else {
        return;
    };
    for list in &lists {
        let again = CertificateRevocationList::from_der(list.as_der());
        assert_eq!(again.as_ref(), Ok(list));
        let _ = format!("{list:?} {:?} {:?}", list.number(), list.next_update());
        assert_eq!(list.is_empty(), !matches!(list.len(), 1..));
        for serial in octets.windows(3).take(64) {
            let _ = list.entry(serial);
        }
    }
}

static KEYS: LazyLock<[SigningKey; 3]> = LazyLock::new(|| {
    [1, 2, 3].map(|seed| {
        const ED25519_PKCS8: [u8; 16] = [
            0x30, 0x2E, 2, 1, 0, 0x30, 5, 6, 3, 0x2B, 0x65, 0x70, 4, 0x22, 4, 0x20,
        ];
        let key = [&ED25519_PKCS8[..], &[seed; 32]].concat();
        SigningKey::from_pem_or_der(&key).expect("an Ed25519 key")
    })
});

/// Building paths through bags of certificates and revocation lists that are well-formed and
/// rightly signed: who issued which, and the extensions, are as the octets say.
pub fn path(octets: &[u8]) {
    let mut choices = Choices::new(octets);
    let mut certificates: Vec<(Certificate, usize)> = Vec::new();
    for _ in 0..=choices.below(6) {
        let Some(made) = make_certificate(&mut choices, &certificates) else {
            return;
        };
        certificates.push(made);
    }
    let lists: Vec<_> = (0..choices.below(4))
        .filter_map(|_| make_list(&mut choices, &certificates))
        .collect();
    let options = PathOptions {
        require_digital_signature_usage: choices.flag(),
        policies: PolicyOptions {
            initial_policy_set: if choices.flag() {
                // Any identifier will do as a policy's.
                &[oids::ID_DATA]
            } else {
                &[]
            },
            require_explicit_policy: choices.flag(),
            inhibit_policy_mapping: choices.flag(),
            inhibit_any_policy: choices.flag(),
        },
        revocation: [
            RevocationPolicy::NotChecked,
            RevocationPolicy::WhereAvailable,
            RevocationPolicy::EndEntity,
            RevocationPolicy::WholePath,
        ][choices.below(4)],
        crls: &lists,
        ..PathOptions::default()
    };
    let bag: Vec<Certificate> = certificates.into_iter().map(|(one, _)| one).collect();
    let (Some(anchor), Some(end)) = (bag.first(), bag.last()) else {
        return;
    };
    let anchors = TrustAnchors::new([anchor.clone()]);
    for clock in CLOCKS {
        let Ok(path) = validate_path(end, &bag, &anchors, clock, &options) else {
            continue;
        };
        assert_eq!((path.end_entity(), path.anchor()), (end, anchor));
        // What holds with revocation checked also holds without, unless cRLDistributionPoints is
        // critical and then not looked at.
        let unchecked = PathOptions {
            revocation: RevocationPolicy::NotChecked,
            ..options
        };
        let again = validate_path(end, &bag, &anchors, clock, &unchecked);
        let ignored = matches!(again, Err(PathError::UnknownCriticalExtension { .. }));
        assert!(again.is_ok() || ignored, "{again:?}");
    }
}

/// A certificate and the place of its key: its own issuer, or issued by one made before.
fn make_certificate(
    choices: &mut Choices<'_>,
    before: &[(Certificate, usize)],
) -> Option<(Certificate, usize)> {
    let key = choices.below(KEYS.len());
    let subject = name(choices);
    let serial = der(
        0x02,
        &[&[1 + u8::try_from(before.len()).ok()?, choices.octet()]],
    );
    let issuer = before.get(choices.below(before.len() + 1));
    let (issuer_name, issuer_key) = match issuer {
        Some((issuer, key)) => (issuer.subject_der(), *key),
        None => (&subject[..], key),
    };
    let not_after: &[u8] = if choices.below(8) == 7 {
        b"261101000000Z"
    } else {
        b"361101000000Z"
    };
    let mut extensions = Vec::new();
    // Most are authorities: nothing leads through the others.
    if choices.below(4) != 3 {
        let basic = der(0x30, &[&der(0x01, &[&[0xFF]])]);
        extensions.extend(extension(&[0x55, 0x1D, 0x13], true, &basic));
    }
    for _ in 0..choices.below(4) {
        extensions.extend(any_extension(choices));
    }
    let extensions = der(0xA3, &[&der(0x30, &[&extensions])]);
    let validity = [der(0x17, &[b"200101000000Z"]), der(0x17, &[not_after])];
    let tbs = der(
        0x30,
        &[
            &[0xA0, 3, 2, 1, 2],
            &serial,
            ED25519,
            issuer_name,
            &der(0x30, &[&validity.concat()]),
            &subject,
            KEYS[key].spki_der(),
            &extensions,
        ],
    );
    let certificate = Certificate::from_der(&signed(&tbs, issuer_key)).ok()?;
    Some((certificate, key))
}

fn make_list(
    choices: &mut Choices<'_>,
    certificates: &[(Certificate, usize)],
) -> Option<CertificateRevocationList> {
    let (issuer, key) = &certificates[choices.below(certificates.len())];
    let mut entries = Vec::new();
    for _ in 0..choices.below(3) {
        let (revoked, _) = &certificates[choices.below(certificates.len())];
        let serial = der(0x02, &[revoked.serial_bytes()]);
        let date = der(0x17, &[b"260101000000Z"]);
        let extensions = if choices.flag() {
            der(0x30, &[&any_extension(choices)])
        } else {
            Vec::new()
        };
        entries.extend(der(0x30, &[&serial, &date, &extensions]));
    }
    let entries = if entries.is_empty() {
        entries
    } else {
        der(0x30, &[&entries])
    };
    let mut extensions = Vec::new();
    for _ in 0..choices.below(4) {
        extensions.extend(any_extension(choices));
    }
    let extensions = if extensions.is_empty() {
        extensions
    } else {
        der(0xA0, &[&der(0x30, &[&extensions])])
    };
    let tbs = der(
        0x30,
        &[
            &[2, 1, 1],
            ED25519,
            issuer.subject_der(),
            &der(0x17, &[b"261101000000Z"]),
            &der(0x17, &[b"361101000000Z"]),
            &entries,
            &extensions,
        ],
    );
    CertificateRevocationList::from_der(&signed(&tbs, *key)).ok()
}

/// Names that look alike to those who compare them by RFC 5280 §7.1, and others.
fn name(choices: &mut Choices<'_>) -> Vec<u8> {
    let common_name = |tag, text: &[u8]| {
        let value = der(0x30, &[&[6, 3, 0x55, 4, 3], &der(tag, &[text])]);
        der(0x30, &[&der(0x31, &[&value])])
    };
    match choices.below(5) {
        0 => common_name(0x0C, b"Root"),
        1 => common_name(0x13, b"ROOT "),
        2 => common_name(0x0C, b"A"),
        3 => common_name(0x0C, b"B"),
        _ => {
            let length = choices.below(24);
            common_name(0x0C, choices.octets(length))
        }
    }
}

/// One of the extensions that path validation knows, with any value.
fn any_extension(choices: &mut Choices<'_>) -> Vec<u8> {
    /// id-ce: keyUsage, alternative names, basicConstraints, those of revocation lists, name
    /// constraints, policies and what goes with them, key identifiers, extKeyUsage.
    const KNOWN: [u8; 19] = [
        14, 15, 17, 18, 19, 20, 21, 24, 27, 28, 29, 30, 31, 32, 33, 35, 36, 37, 54,
    ];
    let oid = [0x55, 0x1D, KNOWN[choices.below(KNOWN.len())]];
    let critical = choices.flag();
    let length = usize::from(choices.octet());
    extension(&oid, critical, choices.octets(length))
}

fn extension(oid: &[u8], critical: bool, value: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if critical { &[1, 1, 0xFF] } else { &[] };
    der(0x30, &[&der(0x06, &[oid]), critical, &der(0x04, &[value])])
}

fn signed(tbs: &[u8], key: usize) -> Vec<u8> {
    let signature = KEYS[key].sign(tbs).expect("Ed25519 signs");
    der(0x30, &[tbs, ED25519, &der(0x03, &[&[0], &signature])])
}

const ED25519: &[u8] = &[0x30, 5, 6, 3, 0x2B, 0x65, 0x70];
