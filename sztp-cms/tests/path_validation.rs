//! Paths as the field has them, and bags that mean harm. What RFC 5280 says of single rules is
//! judged by PKITS (`pkits.rs`).

#![allow(clippy::unwrap_used)]

use std::process::Command;
use std::time::{Duration, Instant};

use der::asn1::ObjectIdentifier;
use sztp_cms::{
    Certificate, CertificateBuilder, KeyType, KeyUsage, PathError, PathOptions, PolicyOptions,
    RevocationPolicy, SigningKey, TrustAnchors, UnixTime, ValidatedPath, WallClock, validate_path,
};

const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const CRL_DISTRIBUTION_POINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.31");
const CERTIFICATE_POLICIES: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.32");
const POLICY_MAPPINGS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.33");
const POLICY_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.36");

/// A certificate and its key.
struct Entity {
    certificate: Certificate,
    key: SigningKey,
}

impl Entity {
    fn root(name: &str) -> Self {
        let key = key();
        let certificate = authority(name).self_signed(&key).unwrap();
        Self { certificate, key }
    }

    fn issue(&self, builder: &CertificateBuilder) -> Self {
        let key = key();
        let certificate = self.issue_for(builder, &key);
        Self { certificate, key }
    }

    fn issue_for(&self, builder: &CertificateBuilder, key: &SigningKey) -> Certificate {
        let spki = key.public_key().spki_der();
        builder
            .issued_by(spki, &self.certificate, &self.key)
            .unwrap()
    }
}

fn key() -> SigningKey {
    SigningKey::generate(KeyType::EcP256).unwrap()
}

fn authority(name: &str) -> CertificateBuilder {
    CertificateBuilder::new(format!("CN={name}")).ca(None)
}

fn device(name: &str) -> CertificateBuilder {
    CertificateBuilder::new(format!("CN={name}"))
}

fn check(
    end: &Certificate,
    bag: &[&Certificate],
    anchor: &Certificate,
) -> Result<ValidatedPath, PathError> {
    check_with(end, bag, anchor, &PathOptions::default())
}

fn check_with(
    end: &Certificate,
    bag: &[&Certificate],
    anchor: &Certificate,
    options: &PathOptions<'_>,
) -> Result<ValidatedPath, PathError> {
    let bag: Vec<Certificate> = bag.iter().copied().cloned().collect();
    let anchors = TrustAnchors::new([anchor.clone()]);
    validate_path(end, &bag, &anchors, WallClock::Trusted(NOW), options)
}

/// One TLV of any length.
fn tlv(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let body = parts.concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let significant = length.iter().position(|octet| *octet != 0).unwrap_or(3);
    let mut out = vec![tag];
    if body.len() >= 0x80 {
        out.push(0x84 - u8::try_from(significant).unwrap());
    }
    out.extend(&length[significant..]);
    out.extend(body);
    out
}

/// 1.3.6.1.4.1.N
fn policy(number: u8) -> Vec<u8> {
    tlv(6, &[&[0x2b, 6, 1, 4, 1, number]])
}

fn policies(list: &[Vec<u8>]) -> Vec<u8> {
    let list: Vec<Vec<u8>> = list.iter().map(|one| tlv(0x30, &[one])).collect();
    tlv(0x30, &[&list.concat()])
}

fn mappings(list: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let list: Vec<Vec<u8>> = list
        .iter()
        .map(|(from, to)| tlv(0x30, &[from, to]))
        .collect();
    tlv(0x30, &[&list.concat()])
}

#[test]
fn any_certificate_may_be_the_anchor() {
    let root = Entity::root("root");
    let ca = root.issue(&authority("ca"));
    let end = ca.issue(&device("device"));
    let bag = [&ca.certificate];
    let lengths = [(&root, 3), (&ca, 2), (&end, 1)].map(|(anchor, length)| {
        let path = check(&end.certificate, &bag, &anchor.certificate).unwrap();
        assert_eq!(path.anchor(), &anchor.certificate);
        assert_eq!(path.end_entity(), &end.certificate);
        path.certificates().len() == length
    });
    assert_eq!(lengths, [true; 3]);
}

#[test]
fn a_device_certificate_needs_no_end_no_usage_and_no_names() {
    let root = Entity::root("root");
    // hardwareModuleName (RFC 4108 §5) as the only name.
    let module = tlv(
        0x30,
        &[&tlv(
            0xa0,
            &[
                &[6, 8, 0x2b, 6, 1, 5, 5, 7, 8, 4],
                &tlv(0xa0, &[&tlv(0x30, &[&policy(1), &[4, 2, b'A', b'X']])]),
            ],
        )],
    );
    let builder =
        CertificateBuilder::new("serialNumber=AX7").extension(SUBJECT_ALT_NAME, true, module);
    let end = root.issue(&builder);
    // LEDGER: 802.1AR-02
    assert_eq!(end.certificate.not_after(), UnixTime::NO_EXPIRY);
    assert!(end.certificate.key_usage().is_none());
    check(&end.certificate, &[], &root.certificate).unwrap();
}

#[test]
fn version_1_is_an_end_entity_or_a_root_but_no_intermediate() {
    let directory = tempfile::tempdir().unwrap();
    let openssl = |arguments: &str| {
        let program = std::env::var_os("SZTP_OPENSSL").unwrap_or("openssl".into());
        let output = Command::new(program)
            .args(arguments.split_whitespace())
            .current_dir(directory.path())
            .output()
            .expect("openssl is installed");
        assert!(output.status.success(), "{arguments}: {output:?}");
    };
    let read = |name: &str| {
        Certificate::from_pem_or_der(&std::fs::read(directory.path().join(name)).unwrap()).unwrap()
    };
    for name in ["root", "ca", "end"] {
        openssl(&format!(
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out {name}.key"
        ));
        openssl(&format!(
            "req -new -key {name}.key -subj /CN={name} -out {name}.csr"
        ));
    }
    openssl("x509 -req -in root.csr -signkey root.key -out root.crt -days 36500");
    for (name, issuer) in [("ca", "root"), ("end", "ca")] {
        openssl(&format!(
            "x509 -req -in {name}.csr -CA {issuer}.crt -CAkey {issuer}.key -CAcreateserial \
             -out {name}.crt -days 36500"
        ));
    }
    let (root, ca, end) = (read("root.crt"), read("ca.crt"), read("end.crt"));
    assert_eq!((root.version(), ca.version()), (1, 1));
    let time = UnixTime::from_system_time(std::time::SystemTime::now());
    let judge = |end: &Certificate, bag: &[Certificate]| {
        let anchors = TrustAnchors::new([root.clone()]);
        validate_path(
            end,
            bag,
            &anchors,
            WallClock::Trusted(time),
            &PathOptions::default(),
        )
    };
    judge(&ca, &[]).unwrap();
    assert_eq!(
        judge(&end, std::slice::from_ref(&ca)),
        Err(PathError::IssuerNotCa {
            issuer: ca.subject()
        })
    );
}

#[test]
fn the_time_is_that_of_the_check_and_may_be_unknown() {
    let root = Entity::root("root");
    let limits =
        |from: i64, to: i64| authority("ca").validity(NOW.plus_secs(from), Some(NOW.plus_secs(to)));
    for (ca, code) in [
        (root.issue(&limits(-20, -10)), "path.expired"),
        (root.issue(&limits(10, 20)), "path.not-yet-valid"),
    ] {
        let end = ca.issue(&device("device")).certificate;
        let bag = [ca.certificate.clone()];
        let anchors = TrustAnchors::new([root.certificate.clone()]);
        let judge = |clock| validate_path(&end, &bag, &anchors, clock, &PathOptions::default());
        assert_eq!(judge(WallClock::Trusted(NOW)).unwrap_err().code(), code);
        // LEDGER: 8572-9.1-02
        judge(WallClock::Unknown).unwrap();
        judge(WallClock::Trusted(ca.certificate.not_after())).unwrap();
    }
}

#[test]
fn a_way_is_found_through_a_disorderly_cross_signed_bag() {
    let (old, new) = (Entity::root("old root"), Entity::root("new root"));
    let key = key();
    let ca = |issuer: &Entity, until| {
        issuer.issue_for(
            &authority("ca").validity(UnixTime::from_secs(0), until),
            &key,
        )
    };
    let expired = ca(&new, Some(NOW.plus_secs(-1)));
    let by_old = ca(&old, None);
    let by_new = ca(&new, None);
    // The authorities certify each other, too: a circle that leads nowhere.
    let circle = [
        old.issue_for(&authority("new root"), &new.key),
        new.issue_for(&authority("old root"), &old.key),
    ];
    let issuer = Entity {
        certificate: by_new.clone(),
        key,
    };
    let end = issuer.issue(&device("device")).certificate;
    let bag = [
        &circle[0], &by_old, &end, &expired, &by_new, &circle[1], &by_old,
    ];
    let path = check(&end, &bag, &new.certificate).unwrap();
    assert_eq!(path.anchor(), &new.certificate);
    // And by the old root through the circle, without the direct way.
    let bag = [&circle[0], &circle[1], &by_new];
    let path = check(&end, &bag, &old.certificate).unwrap();
    assert_eq!(path.certificates().len(), 4);
}

#[test]
fn the_most_telling_failure_is_reported() {
    let root = Entity::root("root");
    let other = Entity::root("root");
    let expired = device("device").validity(UnixTime::from_secs(0), Some(NOW.plus_secs(-1)));
    let end = root.issue(&expired).certificate;
    // One anchor has the name and another key; with the right one the path is complete, but late.
    for anchors in [[&other, &root], [&root, &other]] {
        let anchors = TrustAnchors::new(anchors.map(|one| one.certificate.clone()));
        let clock = WallClock::Trusted(NOW);
        let error = validate_path(&end, &[], &anchors, clock, &PathOptions::default()).unwrap_err();
        assert_eq!(error.code(), "path.expired");
    }
    assert_eq!(
        check(&end, &[], &other.certificate).unwrap_err().code(),
        "path.bad-signature"
    );
    let stranger = Entity::root("stranger").certificate;
    assert_eq!(
        check(&end, &[], &stranger),
        Err(PathError::UnknownIssuer {
            issuer: "CN=root".to_owned()
        })
    );
    let clock = WallClock::Trusted(NOW);
    let none = validate_path(
        &end,
        &[],
        &TrustAnchors::default(),
        clock,
        &PathOptions::default(),
    );
    assert_eq!(none, Err(PathError::NoTrustAnchor));
}

#[test]
fn key_usage_is_asked_for_where_content_is_signed() {
    let root = Entity::root("root");
    let options = PathOptions {
        require_digital_signature_usage: true,
        ..PathOptions::default()
    };
    for (usage, good) in [
        (None, true),
        (Some(KeyUsage::DIGITAL_SIGNATURE), true),
        (Some(KeyUsage::KEY_AGREEMENT), false),
    ] {
        let builder = usage
            .into_iter()
            .fold(device("device"), CertificateBuilder::key_usage);
        let end = root.issue(&builder).certificate;
        let judged = check_with(&end, &[], &root.certificate, &options);
        assert_eq!(judged.is_ok(), good, "{usage:?}");
    }
}

#[test]
fn a_critical_distribution_point_is_known_only_to_who_checks_revocation() {
    let root = Entity::root("root");
    let point = tlv(
        0x30,
        &[&tlv(
            0x30,
            &[&tlv(0xa0, &[&tlv(0xa0, &[&tlv(0x86, &[b"x:y"])])])],
        )],
    );
    let builder = device("device").extension(CRL_DISTRIBUTION_POINTS, true, point);
    let end = root.issue(&builder).certificate;
    let error = check(&end, &[], &root.certificate).unwrap_err();
    assert_eq!(error.code(), "path.unknown-critical-extension");
    let options = PathOptions {
        revocation: RevocationPolicy::WhereAvailable,
        ..PathOptions::default()
    };
    check_with(&end, &[], &root.certificate, &options).unwrap();
}

#[test]
fn policies_matter_where_one_is_required() {
    let root = Entity::root("root");
    let explicit = tlv(0x30, &[&[0x80, 1, 0]]);
    let ca = root.issue(&authority("ca").extension(POLICY_CONSTRAINTS, true, explicit));
    let end = ca.issue(&device("device")).certificate;
    let subject = end.subject();
    assert_eq!(
        check(&end, &[&ca.certificate], &root.certificate),
        Err(PathError::PolicyRequired { subject })
    );

    let plain = root.issue(&device("device")).certificate;
    let policy_1 = [ObjectIdentifier::new_unwrap("1.3.6.1.4.1.1")];
    let of_1 = device("device").extension(CERTIFICATE_POLICIES, false, policies(&[policy(1)]));
    let end = root.issue(&of_1).certificate;
    let options = |wanted| PathOptions {
        policies: PolicyOptions {
            initial_policy_set: wanted,
            require_explicit_policy: true,
            ..PolicyOptions::default()
        },
        ..PathOptions::default()
    };
    let path = check_with(&end, &[], &root.certificate, &options(&policy_1)).unwrap();
    assert_eq!(path.policies(), policy_1);
    let policy_2 = [ObjectIdentifier::new_unwrap("1.3.6.1.4.1.2")];
    for (end, wanted) in [(&end, &policy_2[..]), (&plain, &[])] {
        let error = check_with(end, &[], &root.certificate, &options(wanted)).unwrap_err();
        assert_eq!(error.code(), "path.policy-required");
    }
}

#[test]
fn a_critical_policy_with_an_unknown_qualifier_is_refused() {
    let root = Entity::root("root");
    let qualifier = tlv(0x30, &[&tlv(0x30, &[&policy(9), &[5, 0]])]);
    let value = tlv(0x30, &[&tlv(0x30, &[&policy(1), &qualifier])]);
    for (critical, good) in [(false, true), (true, false)] {
        let builder = device("x").extension(CERTIFICATE_POLICIES, critical, value.clone());
        let end = root.issue(&builder).certificate;
        assert_eq!(check(&end, &[], &root.certificate).is_ok(), good);
    }
}

/// In RFC 5280's tree each level would have eight times the nodes of the one above.
#[test]
fn mappings_cannot_blow_up_the_policies() {
    let root = Entity::root("root");
    let all: Vec<u8> = (1..=8).collect();
    let list: Vec<Vec<u8>> = all.iter().copied().map(policy).collect();
    let each_to_each: Vec<(Vec<u8>, Vec<u8>)> = all
        .iter()
        .flat_map(|from| all.iter().map(|to| (policy(*from), policy(*to))))
        .collect();
    let mut chain = vec![root];
    for level in 0..14 {
        let builder = authority(&format!("ca {level}"))
            .extension(CERTIFICATE_POLICIES, false, policies(&list))
            .extension(POLICY_MAPPINGS, false, mappings(&each_to_each));
        chain.push(chain[level].issue(&builder));
    }
    let builder = device("device").extension(CERTIFICATE_POLICIES, false, policies(&list));
    let end = chain[14].issue(&builder).certificate;
    let bag: Vec<&Certificate> = chain[1..].iter().map(|one| &one.certificate).collect();
    let options = PathOptions {
        policies: PolicyOptions {
            require_explicit_policy: true,
            ..PolicyOptions::default()
        },
        ..PathOptions::default()
    };
    let start = Instant::now();
    let path = check_with(&end, &bag, &chain[0].certificate, &options).unwrap();
    assert_eq!(path.policies().len(), 8);
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[test]
fn policies_are_given_up_in_the_end() {
    let root = Entity::root("root");
    let many: Vec<(Vec<u8>, Vec<u8>)> = (0..2400)
        .map(|number: u16| {
            let [high, low] = number.to_be_bytes();
            let other = tlv(6, &[&[0x2b, 6, 1, 4, 1, high | 0x80, low & 0x7f]]);
            (policy(1), other)
        })
        .collect();
    let mut chain = vec![root];
    for level in 0..8 {
        let builder = authority(&format!("ca {level}"))
            .extension(CERTIFICATE_POLICIES, false, policies(&[policy(1)]))
            .extension(POLICY_MAPPINGS, false, mappings(&many));
        chain.push(chain[level].issue(&builder));
    }
    let end = chain[8].issue(&device("device")).certificate;
    let bag: Vec<&Certificate> = chain[1..].iter().map(|one| &one.certificate).collect();
    let error = check(&end, &bag, &chain[0].certificate).unwrap_err();
    assert_eq!(error.code(), "path.too-many-policies");
}

#[test]
fn comparisons_of_names_are_given_up_in_the_end() {
    let root = Entity::root("root");
    let names = |tag: u8, count: u16| {
        let list: Vec<Vec<u8>> = (0..count)
            .map(|number| tlv(tag, &[format!("h{number}.test").as_bytes()]))
            .collect();
        list
    };
    let excluded: Vec<Vec<u8>> = names(0x82, 3000)
        .iter()
        .map(|one| tlv(0x30, &[one]))
        .collect();
    let constraints = tlv(0x30, &[&tlv(0xa1, &[&excluded.concat()])]);
    let ca = root.issue(&authority("ca").extension(NAME_CONSTRAINTS, true, constraints));
    let other_names: Vec<Vec<u8>> = names(0x82, 3000)
        .iter()
        .map(|one| tlv(0x82, &[b"x", &one[2..]]))
        .collect();
    let alternatives = tlv(0x30, &[&other_names.concat()]);
    let builder = device("device").extension(SUBJECT_ALT_NAME, false, alternatives);
    let end = ca.issue(&builder).certificate;
    let start = Instant::now();
    let error = check(&end, &[&ca.certificate], &root.certificate).unwrap_err();
    assert_eq!(error.code(), "path.too-many-names");
    assert!(start.elapsed() < Duration::from_secs(10));
}

/// Everyone has the same name, and everyone certifies everyone: without a limit the search would
/// go through all orders of them.
#[test]
fn a_mesh_of_authorities_is_given_up_in_the_end() {
    let anchor = Entity::root("mesh");
    let keys: Vec<SigningKey> = (0..8).map(|_| key()).collect();
    let named = |key: &SigningKey| Entity {
        certificate: authority("mesh").self_signed(key).unwrap(),
        key: key.clone(),
    };
    let members: Vec<Entity> = keys.iter().map(named).collect();
    let bag: Vec<Certificate> = members
        .iter()
        .flat_map(|issuer| {
            keys.iter()
                .map(|key| issuer.issue_for(&authority("mesh"), key))
        })
        .collect();
    let end = members[0].issue(&device("device")).certificate;
    let bag: Vec<&Certificate> = bag.iter().collect();
    assert_eq!(
        check(&end, &bag, &anchor.certificate),
        Err(PathError::BudgetExhausted { checks: 64 })
    );
}

#[test]
fn copies_of_one_certificate_cost_one_check() {
    let root = Entity::root("root");
    let ca = root.issue(&authority("ca"));
    let end = ca.issue(&device("device")).certificate;
    let impostor = Entity::root("ca").certificate;
    let options = PathOptions {
        max_signature_checks: 2,
        ..PathOptions::default()
    };
    let error = check_with(&end, &[&impostor; 1000], &root.certificate, &options).unwrap_err();
    assert_eq!(error.code(), "path.bad-signature");
    let mut bag = vec![&impostor; 1000];
    bag.extend([&ca.certificate; 1000]);
    check_with(&end, &bag, &root.certificate, &options).unwrap();
}
