//! Input with far too much of something: refused at a limit, or judged in time that grows as the
//! input does. The growth is measured in `benches/` (`hostile_growth`); here the largest input that
//! is read at all must not keep anyone waiting, and no nesting may exhaust the stack.

use std::time::{Duration, Instant};

use der::Encode as _;
use der::asn1::ObjectIdentifier;
use sztp_cms::{
    Certificate, CertificateBuilder, CertificateError, CertificateRevocationList, CmsError,
    ContentInfo, CrlError, DigestAlgorithm, EnvelopedData, KeyType, Limits, PathError, PathOptions,
    PolicyOptions, RevocationPolicy, SignedData, Signer as _, SigningKey, TrustAnchors,
    VerifyOptions, WallClock, oids, validate_path,
};

const CONTENT: &[u8] = b"content";
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
const POLICY_MAPPINGS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.33");
/// 1.3.6.1.4.1.99999, where nobody has a meaning for anything.
const NOBODYS: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.99999");

/// Without optimisation, on a busy machine; what is quadratic would take minutes.
fn in_time<T>(run: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let outcome = run();
    let elapsed = started.elapsed();
    assert!(elapsed < Duration::from_secs(10), "{elapsed:?}");
    outcome
}

struct Party {
    key: SigningKey,
    certificate: Certificate,
}

fn party(builder: &CertificateBuilder) -> Party {
    let key = SigningKey::generate(KeyType::EcP256).expect("a key");
    let certificate = builder.self_signed(&key).expect("issues");
    Party { key, certificate }
}

fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u32::try_from(content.len()).expect("fits").to_be_bytes();
    let header = match content.len() {
        0..=0x7F => vec![tag, length[3]],
        0x80..=0xFF => vec![tag, 0x81, length[3]],
        0x100..=0xFFFF => vec![tag, 0x82, length[2], length[3]],
        _ => vec![tag, 0x83, length[1], length[2], length[3]],
    };
    [header, content].concat()
}

fn oid(oid: ObjectIdentifier) -> Vec<u8> {
    oid.to_der().expect("encodes")
}

fn sha256() -> Vec<u8> {
    let identifier = DigestAlgorithm::Sha256.identifier();
    identifier.to_der().expect("encodes")
}

/// The two attributes that bind [`CONTENT`].
fn binding() -> Vec<u8> {
    let attribute = |kind, value: &[u8]| tlv(0x30, &[&oid(kind), &tlv(0x31, &[value])]);
    let digest = DigestAlgorithm::Sha256.digest(CONTENT);
    [
        attribute(oids::CONTENT_TYPE, &oid(oids::ID_DATA)),
        attribute(oids::MESSAGE_DIGEST, &tlv(4, &[&digest])),
    ]
    .concat()
}

/// A rightly signed message with these attributes, and the signer named by this issuer.
fn message(party: &Party, attributes: &[u8], issuer: &[u8], certificates: &[u8]) -> Vec<u8> {
    let signature = party.key.sign(&tlv(0x31, &[attributes])).expect("signs");
    let algorithm = party.key.algorithm().identifier().expect("encodes");
    let serial = tlv(2, &[party.certificate.serial_bytes()]);
    let signer = tlv(
        0x30,
        &[
            &[2, 1, 1],
            &tlv(0x30, &[issuer, &serial]),
            &sha256(),
            &tlv(0xA0, &[attributes]),
            &algorithm.to_der().expect("encodes"),
            &tlv(4, &[&signature]),
        ],
    );
    let content = tlv(0xA0, &[&tlv(4, &[CONTENT])]);
    let signed = tlv(
        0x30,
        &[
            &[2, 1, 1],
            &tlv(0x31, &[&sha256()]),
            &tlv(0x30, &[&oid(oids::ID_DATA), &content]),
            &tlv(0xA0, &[certificates]),
            &tlv(0x31, &[&signer]),
        ],
    );
    tlv(0x30, &[&oid(oids::ID_SIGNED_DATA), &tlv(0xA0, &[&signed])])
}

fn verify(message: &[u8], anchor: &Certificate) -> Result<Vec<u8>, CmsError> {
    let anchors = TrustAnchors::new([anchor.clone()]);
    let options = VerifyOptions::new(&anchors, WallClock::Unknown, &[oids::ID_DATA]);
    SignedData::parse(message, &Limits::default())?
        .verify(&options)
        .map(|verified| verified.content().to_vec())
}

#[test]
fn very_many_signed_attributes() {
    let party = party(&CertificateBuilder::new("CN=signer"));
    let issuer = party.certificate.issuer_der();
    let own = party.certificate.as_der();
    let judge = |attributes: &[u8]| {
        let message = message(&party, attributes, issuer, own);
        in_time(|| verify(&message, &party.certificate))
    };
    let one = tlv(0x30, &[&oid(NOBODYS), &[0x31, 2, 5, 0]]);
    let many = one.repeat(4_000_000 / one.len());
    assert_eq!(
        judge(&[many.clone(), binding()].concat()).as_deref(),
        Ok(CONTENT)
    );
    // The same attribute a second time, far away from the first.
    let twice = [binding(), many.clone(), binding()].concat();
    assert!(matches!(
        judge(&twice),
        Err(CmsError::SignedAttribute { .. })
    ));
    // One attribute with very many values.
    let values = tlv(0x31, &[&[5, 0].repeat(1_900_000)]);
    let wide = tlv(0x30, &[&oid(NOBODYS), &values]);
    assert_eq!(judge(&[wide, binding()].concat()).as_deref(), Ok(CONTENT));
    let too_many = one.repeat(4_300_000 / one.len());
    assert_eq!(
        judge(&[too_many, binding()].concat()),
        Err(CmsError::TooLarge {
            what: "octets",
            limit: Limits::default().max_bytes,
        })
    );
}

/// A signer named by an issuer of very many attributes, and thirty-two certificates with the right
/// serial number to compare that with.
#[test]
fn a_signer_with_a_very_long_name() {
    let party = party(&CertificateBuilder::new("CN=signer"));
    let pair = tlv(0x30, &[&oid(NOBODYS), &[0x0C, 1, b'a']]);
    let serial = party.certificate.serial_bytes();
    // The same serial number, but another name, and no good signature.
    let der = party.certificate.as_der();
    let certificates = (0..32_u8).map(|number| {
        let mut changed = der.to_vec();
        let at = changed.windows(6).rposition(|window| window == b"signer");
        changed[at.expect("has the name") + 5] = b'A' + number;
        let certificate = Certificate::from_der(&changed).expect("reads");
        assert_eq!(certificate.serial_bytes(), serial);
        changed
    });
    let certificates = certificates.collect::<Vec<_>>().concat();
    let one_by_one = |size| tlv(0x31, &[&pair]).repeat(size / (pair.len() + 2));
    let all_in_one = |size| tlv(0x31, &[&pair.repeat(size / pair.len())]);
    for names in [
        one_by_one(60_000),
        all_in_one(60_000),
        one_by_one(3_900_000),
        all_in_one(3_900_000),
    ] {
        let issuer = tlv(0x30, &[&names]);
        let message = message(&party, &binding(), &issuer, &certificates);
        let outcome = in_time(|| verify(&message, &party.certificate));
        let Err(CmsError::SignerCertificateMissing { signer }) = outcome else {
            panic!("{:?}", outcome.map_err(|error| error.code()));
        };
        // What names somebody in megabytes is not written into a log.
        assert!(signer.len() < 300, "{}", signer.len());
    }
}

/// Values in values, beyond every limit, where each reader begins.
/// LEDGER: 5652-x-02
#[test]
fn very_deep_nesting() {
    let too_deep = CmsError::TooDeep { limit: 32 };
    for header in [[0x30, 0x80], [0xA0, 0x80], [0x24, 0x80], [0x31, 0x80]] {
        let open = header.repeat(1_500_000);
        let closed = [&open[..], &[0, 0].repeat(500_000)].concat();
        for octets in [&open, &closed] {
            let limits = Limits::default();
            let parsed = in_time(|| SignedData::parse(octets, &limits));
            assert_eq!(parsed.map(|_| ()), Err(too_deep.clone()));
            let parsed = in_time(|| EnvelopedData::parse(octets, &limits));
            assert_eq!(parsed.map(|_| ()), Err(too_deep.clone()));
            let parsed = in_time(|| ContentInfo::parse(octets, &limits));
            assert_eq!(parsed.map(|_| ()), Err(too_deep.clone()));
        }
    }
    // Definite lengths all the way down: as deep as a certificate or list is long.
    let mut nested = Vec::new();
    while nested.len() < 60_000 {
        let mut header = tlv(0x30, &[&nested]);
        header.truncate(header.len() - nested.len());
        nested.splice(0..0, header);
    }
    in_time(|| {
        assert!(Certificate::from_der(&nested).is_err());
        assert!(CertificateRevocationList::from_der(&nested).is_err());
        assert!(SigningKey::from_pem_or_der(&nested).is_err());
    });
    // And in extensions that path validation reads.
    for extension in [NAME_CONSTRAINTS, CERTIFICATE_POLICIES, POLICY_MAPPINGS] {
        let builder = CertificateBuilder::new("CN=CA").ca(None);
        let ca = party(&builder.extension(extension, true, nested.clone()));
        let end = CertificateBuilder::new("CN=end")
            .issued_by(ca.key.spki_der(), &ca.certificate, &ca.key)
            .expect("issues");
        let anchors = TrustAnchors::new([ca.certificate]);
        let options = PathOptions::default();
        let path = in_time(|| validate_path(&end, &[], &anchors, WallClock::Unknown, &options));
        // An anchor's policies are not looked at.
        assert_eq!(path.is_err(), extension == NAME_CONSTRAINTS);
    }
}

#[test]
fn certificates_have_a_size_and_a_number_of_extensions() {
    let of = |count: u32| {
        let mut builder = CertificateBuilder::new("CN=many extensions");
        for number in 0..count {
            let oid = NOBODYS.push_arc(number).expect("an arc");
            builder = builder.extension(oid, false, vec![5, 0]);
        }
        let key = SigningKey::generate(KeyType::Ed25519).expect("a key");
        builder.self_signed(&key)
    };
    assert!(of(100).is_ok());
    // The builder reads what it made.
    assert!(of(5000).is_err());
    let large = vec![0x30; 64 * 1024 + 1];
    assert_eq!(
        Certificate::from_der(&large),
        Err(CertificateError::TooLarge { size: large.len() })
    );
}

/// As many constraints as a certificate holds, against as many names as another holds: the work is
/// bounded. Against few names all of them are compared.
#[test]
fn a_huge_tree_of_name_constraints() {
    let directory = |number: usize| {
        let text = format!("{number}");
        let pair = tlv(0x30, &[&[6, 3, 0x55, 4, 3], &tlv(0x0C, &[text.as_bytes()])]);
        let name = tlv(0x30, &[&tlv(0x31, &[&pair])]);
        tlv(0x30, &[&tlv(0xA4, &[&name])])
    };
    let subtrees: Vec<u8> = (0..2400).flat_map(directory).collect();
    let constraints = tlv(0x30, &[&tlv(0xA1, &[&subtrees])]);
    let builder = CertificateBuilder::new("CN=CA").ca(None);
    let ca = party(&builder.extension(NAME_CONSTRAINTS, true, constraints));
    let anchors = TrustAnchors::new([ca.certificate.clone()]);
    let judge = |names: usize| {
        let names = (0..names).map(|number| format!("CN=x{number}"));
        let mut builder = CertificateBuilder::new("CN=end");
        let alternatives: Vec<u8> = names
            .flat_map(|name| {
                let text = &name.as_bytes()[3..];
                let pair = tlv(0x30, &[&[6, 3, 0x55, 4, 3], &tlv(0x0C, &[text])]);
                tlv(0xA4, &[&tlv(0x30, &[&tlv(0x31, &[&pair])])])
            })
            .collect();
        if !alternatives.is_empty() {
            let oid = ObjectIdentifier::new_unwrap("2.5.29.17");
            builder = builder.extension(oid, false, tlv(0x30, &[&alternatives]));
        }
        let end = builder
            .issued_by(ca.key.spki_der(), &ca.certificate, &ca.key)
            .expect("issues");
        let options = PathOptions::default();
        in_time(|| validate_path(&end, &[], &anchors, WallClock::Unknown, &options))
    };
    assert!(judge(0).is_ok());
    assert!(judge(40).is_ok());
    assert!(matches!(judge(2400), Err(PathError::TooManyNames { .. })));
}

/// As many mappings as certificates hold, each policy to each other: every certificate of the path
/// is bounded by its size, and the path by its budget.
#[test]
fn thousands_of_policy_mappings() {
    let policy = |number: u16| tlv(6, &[&[0x2B, 6, 1, 4, 1], &base_128(number)]);
    let pair = |from: u16, to: u16| tlv(0x30, &[&policy(from), &policy(to)]);
    let mappings: Vec<u8> = (0..50_u16)
        .flat_map(|from| (0..50_u16).flat_map(move |to| [(from, to)]))
        .flat_map(|(from, to)| pair(from, to))
        .collect();
    let information: Vec<u8> = (0..50).flat_map(|one| tlv(0x30, &[&policy(one)])).collect();
    let root = party(&CertificateBuilder::new("CN=root").ca(None));
    let mut chain = vec![Party {
        key: root.key.clone(),
        certificate: root.certificate.clone(),
    }];
    for level in 0..7 {
        let builder = CertificateBuilder::new(format!("CN=ca {level}"))
            .ca(None)
            .extension(CERTIFICATE_POLICIES, false, tlv(0x30, &[&information]))
            .extension(POLICY_MAPPINGS, false, tlv(0x30, &[&mappings]));
        let key = SigningKey::generate(KeyType::Ed25519).expect("a key");
        let above = &chain[level];
        let certificate = builder
            .issued_by(key.spki_der(), &above.certificate, &above.key)
            .expect("issues");
        chain.push(Party { key, certificate });
    }
    let anchors = TrustAnchors::new([root.certificate]);
    let options = PathOptions {
        policies: PolicyOptions {
            require_explicit_policy: true,
            ..PolicyOptions::default()
        },
        ..PathOptions::default()
    };
    let judge = |levels: usize| {
        let above = &chain[levels];
        let end = CertificateBuilder::new("CN=end")
            .extension(CERTIFICATE_POLICIES, false, tlv(0x30, &[&information]))
            .issued_by(above.key.spki_der(), &above.certificate, &above.key)
            .expect("issues");
        let bag: Vec<Certificate> = chain[1..]
            .iter()
            .map(|one| one.certificate.clone())
            .collect();
        in_time(|| validate_path(&end, &bag, &anchors, WallClock::Unknown, &options))
    };
    let path = judge(3).expect("holds");
    assert_eq!(path.policies().len(), 50);
    assert!(matches!(judge(7), Err(PathError::TooManyPolicies { .. })));
}

/// The digits of one arc.
fn base_128(number: u16) -> [u8; 2] {
    let [high, low] = [number >> 7, number & 0x7F].map(|digit| digit.to_be_bytes()[1]);
    [0x81 + high, low]
}

/// Hundreds of thousands of entries: found at once, also where all have one serial number or
/// extensions of their own.
#[test]
fn very_many_entries_of_a_revocation_list() {
    let algorithm = [0x30, 5, 6, 3, 0x2B, 0x65, 0x70];
    let list = |entries: &[u8]| {
        let tbs = tlv(
            0x30,
            &[
                &[2, 1, 1],
                &algorithm,
                &[0x30, 0],
                &tlv(0x17, &[b"260101000000Z"]),
                &tlv(0x30, &[entries]),
            ],
        );
        tlv(0x30, &[&tbs, &algorithm, &tlv(3, &[&[0; 65]])])
    };
    let date = tlv(0x17, &[b"260101000000Z"]);
    let reason = tlv(0x30, &[&[6, 3, 0x55, 0x1D, 0x15], &tlv(4, &[&[10, 1, 1]])]);
    let extensions = tlv(0x30, &[&reason]);
    let entry = |serial: u32, extensions: &[u8]| {
        tlv(
            0x30,
            &[&tlv(2, &[&[1], &serial.to_be_bytes()]), &date, extensions],
        )
    };
    let count = 200_000;
    let downwards: Vec<u8> = (0..count)
        .rev()
        .flat_map(|n| entry(n, &extensions))
        .collect();
    let all_the_same = entry(7, &[]).repeat(400_000);
    for (entries, serial, length) in [(downwards, 0_u32, 200_000), (all_the_same, 7, 400_000)] {
        let der = list(&entries);
        in_time(|| {
            let list = CertificateRevocationList::from_der(&der).expect("reads");
            assert_eq!(list.len(), length);
            let serial = [&[1], &serial.to_be_bytes()[..]].concat();
            assert!((0..10_000).all(|_| list.entry(&serial).is_some()));
            assert_eq!(list.entry(&[2, 0, 0, 0, 0]), None);
        });
    }
    let large = list(&entry(1, &[]).repeat(800_000));
    assert!(matches!(
        CertificateRevocationList::from_der(&large),
        Err(CrlError::TooLarge { .. })
    ));
}

/// Lists of thousands of one name, none of which holds: the budget ends it.
#[test]
fn very_many_lists_at_hand() {
    let ca = party(&CertificateBuilder::new("CN=CA").ca(None));
    let end = CertificateBuilder::new("CN=end")
        .issued_by(ca.key.spki_der(), &ca.certificate, &ca.key)
        .expect("issues");
    let algorithm = [0x30, 5, 6, 3, 0x2B, 0x65, 0x70];
    let lists: Vec<CertificateRevocationList> = (0..5000_u32)
        .map(|number| {
            let signature = [&[0; 61][..], &number.to_be_bytes()].concat();
            let tbs = tlv(
                0x30,
                &[
                    &[2, 1, 1],
                    &algorithm,
                    ca.certificate.subject_der(),
                    &tlv(0x17, &[b"260101000000Z"]),
                ],
            );
            let der = tlv(0x30, &[&tbs, &algorithm, &tlv(3, &[&signature])]);
            CertificateRevocationList::from_der(&der).expect("reads")
        })
        .collect();
    let anchors = TrustAnchors::new([ca.certificate]);
    let options = PathOptions {
        revocation: RevocationPolicy::WhereAvailable,
        crls: &lists,
        ..PathOptions::default()
    };
    let outcome = in_time(|| validate_path(&end, &[], &anchors, WallClock::Unknown, &options));
    assert_eq!(outcome, Err(PathError::BudgetExhausted { checks: 64 }));
}
