//! Paths that do not hold: one test for each [`PathError`].

use sztp_cms::{
    Certificate, CertificateError, IssueError, KeyUsage, PathError, PathOptions, SigningKey,
    TrustAnchors, UnixTime, WallClock, validate_path,
};

use crate::pki::{Folder, Holder, NOW, ca, chain, check, check_at, key, named, oid};

#[test]
fn no_trust_anchor() {
    let [_, _, lower, end] = chain();
    assert_eq!(check(&end, &[&lower], &[]), Err(PathError::NoTrustAnchor));
}

#[test]
fn unknown_issuer_names_who_is_missing() {
    let [root, upper, _, end] = chain();
    let missing = |issuer: &str| {
        Err(PathError::UnknownIssuer {
            issuer: issuer.to_owned(),
        })
    };
    assert_eq!(check(&end, &[&upper], &[&root]), missing("CN=lower"));
    let [_, _, lower, _] = chain();
    let end = lower.issue(&named("end"));
    assert_eq!(check(&end, &[&lower], &[&root]), missing("CN=upper"));
    // The bag is no anchor, even when it holds a root.
    let [other, upper, lower, end] = chain();
    assert!(check(&end, &[&other, &upper, &lower], &[&Holder::root(&ca("x"))]).is_err());
}

#[test]
fn bad_signature() {
    let [root, ..] = chain();
    let impostor = Holder::root(&ca("root"));
    let end = impostor.issue(&named("end"));
    let refused = check(&end, &[], &[&root]);
    assert_eq!(
        refused,
        Err(PathError::BadSignature {
            subject: "CN=end".to_owned(),
            issuer: "CN=root".to_owned()
        })
    );
}

/// Each bit of a certificate counts: the changed one does not read, or it is not believed.
#[test]
fn each_single_bit_change_in_a_certificate_is_refused() {
    let root = Holder::root(&ca("root"));
    let end = root.issue(&named("end").key_usage(KeyUsage::DIGITAL_SIGNATURE));
    let der = end.certificate.as_der();
    for at in 0..der.len() {
        for bit in 0..8 {
            let mut changed = der.to_vec();
            changed[at] ^= 1 << bit;
            let Ok(changed) = Certificate::from_der(&changed) else {
                continue;
            };
            let outcome = check_at(&changed, &[], &[&root.certificate], WallClock::Trusted(NOW));
            assert!(outcome.is_err(), "bit {bit} of octet {at} may change");
        }
    }
}

#[test]
fn weak_algorithms() {
    let folder = Folder::new();
    let openssl = |arguments: &str| folder.openssl(arguments);
    let read = |name: &str| folder.certificate(name);
    openssl("genrsa -out root.key 2048");
    openssl("req -x509 -new -sha1 -key root.key -subj /CN=root -days 30 -out root.crt");
    openssl("genrsa -out short.key 1024");
    openssl("req -x509 -new -key short.key -subj /CN=short -days 30 -out short.crt");
    openssl("req -new -key root.key -subj /CN=end -out end.csr");
    for (digest, name) in [("sha1", "sha1"), ("md5", "md5"), ("sha256", "good")] {
        openssl(&format!(
            "x509 -req -in end.csr -CA root.crt -CAkey root.key -CAcreateserial -{digest} \
             -out {name}.crt"
        ));
    }
    openssl("x509 -req -in end.csr -CA short.crt -CAkey short.key -CAcreateserial -out below.crt");
    let now = WallClock::Trusted(UnixTime::from_system_time(std::time::SystemTime::now()));
    let root = read("root.crt");
    for name in ["sha1.crt", "md5.crt"] {
        let refused = check_at(&read(name), &[], &[&root], now);
        assert!(
            matches!(refused, Err(PathError::WeakAlgorithm { .. })),
            "{name} {refused:?}"
        );
    }
    let refused = check_at(&read("below.crt"), &[], &[&read("short.crt")], now);
    assert!(
        matches!(refused, Err(PathError::WeakAlgorithm { .. })),
        "{refused:?}"
    );
    // The anchor's own SHA-1 signature says nothing and does no harm.
    assert_eq!(check_at(&read("good.crt"), &[], &[&root], now), Ok(2));
}

#[test]
fn unsupported_algorithm() {
    let folder = Folder::new();
    let openssl = |arguments: &str| folder.openssl(arguments);
    let read = |name: &str| folder.certificate(name);
    openssl("genpkey -algorithm ed448 -out root.key");
    openssl("req -x509 -new -key root.key -subj /CN=root -days 30 -out root.crt");
    openssl("req -new -newkey rsa:2048 -nodes -keyout end.key -subj /CN=end -out end.csr");
    openssl("x509 -req -in end.csr -CA root.crt -CAkey root.key -CAcreateserial -out end.crt");
    let refused = check_at(
        &read("end.crt"),
        &[],
        &[&read("root.crt")],
        WallClock::Unknown,
    );
    assert!(
        matches!(refused, Err(PathError::UnsupportedAlgorithm { .. })),
        "{refused:?}"
    );
}

/// RFC 5280 §4.1.1.2: the copy inside the signed part must be the same.
#[test]
fn signature_algorithm_mismatch() {
    let root = Holder::root(&ca("root"));
    let end = root.issue(&named("end"));
    // ecdsa-with-SHA256 becomes ecdsa-with-SHA384 in the unsigned copy, the last in the file.
    let name = [0x06, 8, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 4, 3, 2];
    let mut der = end.certificate.as_der().to_vec();
    let at = der
        .windows(name.len())
        .rposition(|window| window == name)
        .expect("is there");
    der[at + name.len() - 1] = 3;
    let end = Certificate::from_der(&der).expect("reads");
    let refused = check_at(&end, &[], &[&root.certificate], WallClock::Unknown);
    assert_eq!(
        refused,
        Err(PathError::SignatureAlgorithmMismatch {
            subject: "CN=end".to_owned()
        })
    );
}

#[test]
fn issuer_not_ca() {
    let root = Holder::root(&ca("root"));
    let not_ca = root.issue(&named("not-ca"));
    let end = not_ca.issue(&named("end"));
    let refused = || {
        Err(PathError::IssuerNotCa {
            issuer: "CN=not-ca".to_owned(),
        })
    };
    assert_eq!(check(&end, &[&not_ca], &[&root]), refused());
    assert_eq!(check(&end, &[], &[&not_ca]), refused());
    // keyCertSign alone does not make an authority.
    let usage = root.issue(&named("not-ca").key_usage(KeyUsage::KEY_CERT_SIGN));
    let end = usage.issue(&named("end"));
    assert_eq!(check(&end, &[&usage], &[&root]), refused());
}

#[test]
fn issuer_key_usage() {
    let root = Holder::root(&ca("root"));
    let signs = root.issue(&ca("signs").key_usage(KeyUsage::DIGITAL_SIGNATURE));
    let end = signs.issue(&named("end"));
    assert_eq!(
        check(&end, &[&signs], &[&root]),
        Err(PathError::IssuerKeyUsage {
            issuer: "CN=signs".to_owned()
        })
    );
}

#[test]
fn too_long() {
    let mut chain = vec![Holder::root(&ca("ca 0"))];
    for n in 1..20 {
        let next = chain[n - 1].issue(&ca(&format!("ca {n}")));
        chain.push(next);
    }
    let end = chain[19].issue(&named("end"));
    let bag: Vec<&Holder> = chain.iter().collect();
    assert_eq!(
        check(&end, &bag, &[&chain[0]]),
        Err(PathError::TooLong { limit: 16 })
    );
    assert_eq!(check(&end, &bag, &[&chain[4]]), Ok(17));
}

#[test]
fn path_length_exceeded() {
    let root = Holder::root(&named("root").ca(Some(1)));
    let upper = root.issue(&ca("upper"));
    let lower = upper.issue(&ca("lower"));
    assert_eq!(
        check(&upper.issue(&named("end")), &[&upper], &[&root]),
        Ok(3)
    );
    assert_eq!(
        check(&lower.issue(&named("end")), &[&upper, &lower], &[&root]),
        Err(PathError::PathLengthExceeded {
            issuer: "CN=root".to_owned(),
            limit: 1
        })
    );
    // Self-issued certificates, of a key change, do not count (RFC 5280 §6.1.4 (l)).
    let renewed = upper.issue(&ca("upper"));
    assert_eq!(
        check(&renewed.issue(&named("end")), &[&upper, &renewed], &[&root]),
        Ok(4)
    );
}

#[test]
fn name_constraint() {
    // permitted { dNSName example.net }
    let constraints = [
        &[0x30, 0x11, 0xA0, 0x0F, 0x30, 0x0D, 0x82, 0x0B][..],
        b"example.net",
    ]
    .concat();
    let root = Holder::root(&ca("root").extension(oid("2.5.29.30"), true, constraints));
    let inside = root.issue(&named("end").dns_names(["a.example.net"]));
    assert_eq!(check(&inside, &[], &[&root]), Ok(2));
    let outside = root.issue(&named("end").dns_names(["a.example.net", "a.example.org"]));
    assert_eq!(
        check(&outside, &[], &[&root]),
        Err(PathError::NameConstraint {
            issuer: "CN=root".to_owned(),
            name: "a.example.org".to_owned()
        })
    );
    // They hold for everything below, past an intermediate.
    let upper = root.issue(&ca("upper"));
    let below = upper.issue(&named("end").dns_names(["a.example.org"]));
    assert!(matches!(
        check(&below, &[&upper], &[&root]),
        Err(PathError::NameConstraint { .. })
    ));
}

#[test]
fn unknown_critical_extension() {
    let unknown = oid("1.3.6.1.4.1.99999.1");
    let root = Holder::root(&ca("root"));
    let harmless = root.issue(&named("end").extension(unknown, false, vec![5, 0]));
    assert_eq!(check(&harmless, &[], &[&root]), Ok(2));
    let refused = |subject: &str| {
        Err(PathError::UnknownCriticalExtension {
            oid: unknown,
            subject: subject.to_owned(),
        })
    };
    let critical = root.issue(&named("end").extension(unknown, true, vec![5, 0]));
    assert_eq!(check(&critical, &[], &[&root]), refused("CN=end"));
    let upper = root.issue(&ca("upper").extension(unknown, true, vec![5, 0]));
    assert_eq!(
        check(&upper.issue(&named("end")), &[&upper], &[&root]),
        refused("CN=upper")
    );
}

#[test]
fn malformed_extension() {
    let root = Holder::root(&ca("root"));
    let san = oid("2.5.29.17");
    let end = root.issue(&named("end").extension(san, true, vec![0x30, 2, 5, 0]));
    assert_eq!(
        check(&end, &[], &[&root]),
        Err(PathError::MalformedExtension {
            oid: san,
            subject: "CN=end".to_owned()
        })
    );
    let constraints = oid("2.5.29.30");
    let broken = Holder::root(&ca("broken").extension(constraints, true, vec![0x30, 2, 5, 0]));
    assert_eq!(
        check(&broken.issue(&named("end")), &[], &[&broken]),
        Err(PathError::MalformedExtension {
            oid: constraints,
            subject: "CN=broken".to_owned()
        })
    );
}

#[test]
fn policy_required() {
    let root = Holder::root(&ca("root"));
    // policyConstraints { requireExplicitPolicy 0 }
    let builder = named("end").extension(oid("2.5.29.36"), true, vec![0x30, 3, 0x80, 1, 0]);
    assert_eq!(
        check(&root.issue(&builder), &[], &[&root]),
        Err(PathError::PolicyRequired {
            subject: "CN=end".to_owned()
        })
    );
    // inhibitPolicyMapping requires nothing.
    let builder = named("end").extension(oid("2.5.29.36"), true, vec![0x30, 3, 0x81, 1, 0]);
    assert_eq!(check(&root.issue(&builder), &[], &[&root]), Ok(2));
}

#[test]
fn key_usage() {
    let root = Holder::root(&ca("root"));
    let validate = |usage: Option<KeyUsage>, required: bool| {
        let builder = match usage {
            Some(usage) => named("end").key_usage(usage),
            None => named("end"),
        };
        let options = PathOptions {
            require_digital_signature_usage: required,
            ..PathOptions::default()
        };
        let anchors = TrustAnchors::new([root.certificate.clone()]);
        let end = root.issue(&builder).certificate;
        validate_path(&end, &[], &anchors, WallClock::Trusted(NOW), &options).map(|_| ())
    };
    let refused = Err(PathError::KeyUsage {
        subject: "CN=end".to_owned(),
    });
    // LEDGER: 8572-5.4-11
    assert_eq!(validate(Some(KeyUsage::KEY_ENCIPHERMENT), true), refused);
    assert_eq!(validate(Some(KeyUsage::KEY_ENCIPHERMENT), false), Ok(()));
    assert_eq!(validate(Some(KeyUsage::DIGITAL_SIGNATURE), true), Ok(()));
    assert_eq!(validate(None, true), Ok(()));
}

/// A mesh of authorities that all certify each other has more paths than anyone can try.
#[test]
fn budget_exhausted() {
    let names: Vec<String> = (0..8).map(|n| format!("mesh {n}")).collect();
    let keys: Vec<SigningKey> = names.iter().map(|_| key()).collect();
    let mut bag = Vec::new();
    for (issuer, issuer_key) in names.iter().zip(&keys) {
        let certificate = ca(issuer).self_signed(issuer_key).expect("issues");
        let issuer = Holder {
            certificate,
            key: issuer_key.clone(),
        };
        for (subject, subject_key) in names.iter().zip(&keys) {
            bag.push(issuer.issue_for(subject_key.clone(), &ca(subject)));
        }
    }
    let end = bag[0].issue(&named("end"));
    let stranger = Holder::root(&ca("stranger"));
    let bag: Vec<&Holder> = bag.iter().collect();
    assert_eq!(
        check(&end, &bag, &[&stranger]),
        Err(PathError::BudgetExhausted { checks: 64 })
    );
    // The caller sets how much work it is worth.
    let anchors = TrustAnchors::new([stranger.certificate.clone()]);
    let bag: Vec<Certificate> = bag.iter().map(|one| one.certificate.clone()).collect();
    let options = PathOptions {
        max_signature_checks: 3,
        ..PathOptions::default()
    };
    let refused = validate_path(
        &end.certificate,
        &bag,
        &anchors,
        WallClock::Unknown,
        &options,
    );
    assert_eq!(refused, Err(PathError::BudgetExhausted { checks: 3 }));
}

/// Finding an extension that is there twice takes the square of their number.
#[test]
fn extensions_without_end_are_not_read() {
    let read = |builder: sztp_cms::CertificateBuilder| match builder.self_signed(&key()) {
        Ok(_) => Ok(()),
        Err(IssueError::Certificate(error)) => Err(error),
        Err(other) => panic!("{other}"),
    };
    let malformed = |what| Err(CertificateError::Malformed { what });
    let extensions = |count: usize| {
        (0..count).fold(named("x"), |builder, n| {
            builder.extension(oid(&format!("1.3.6.1.4.1.99999.{n}")), false, vec![5, 0])
        })
    };
    // Two more are the key identifiers.
    assert_eq!(read(extensions(126)), Ok(()));
    assert_eq!(read(extensions(127)), malformed("extensions"));
    assert_eq!(read(extensions(1500)), malformed("extensions"));
}

#[test]
fn sha1_only_below_an_anchor_for_which_it_is_allowed() {
    let folder = Folder::new();
    let openssl = |arguments: &str| folder.openssl(arguments);
    let read = |name: &str| folder.certificate(name);
    for name in ["old", "new"] {
        openssl(&format!("genrsa -out {name}.key 2048"));
        openssl(&format!(
            "req -x509 -new -key {name}.key -subj /CN={name} -days 30 -out {name}.crt"
        ));
        openssl(&format!(
            "req -new -key {name}.key -subj /CN=end -out {name}.csr"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA {name}.crt -CAkey {name}.key -CAcreateserial -sha1 \
             -out {name}-end.crt"
        ));
    }
    openssl(
        "x509 -req -in old.csr -CA old.crt -CAkey old.key -CAcreateserial -md5 -out md5-end.crt",
    );
    let now = WallClock::Trusted(UnixTime::from_system_time(std::time::SystemTime::now()));
    let (old, new) = (read("old.crt"), read("new.crt"));
    let anchors = TrustAnchors::new([old.clone(), new]).with_sha1_below([old]);
    let judge = |name: &str| {
        validate_path(&read(name), &[], &anchors, now, &PathOptions::default()).map(drop)
    };
    assert_eq!(judge("old-end.crt"), Ok(()));
    for name in ["new-end.crt", "md5-end.crt"] {
        let refused = judge(name);
        assert!(
            matches!(refused, Err(PathError::WeakAlgorithm { .. })),
            "{name} {refused:?}"
        );
    }
    // The exception is for the algorithm, not for the signature.
    let der = read("old-end.crt").as_der().to_vec();
    let mut forged = der.clone();
    *forged.last_mut().expect("octets") ^= 1;
    let forged = sztp_cms::Certificate::from_der(&forged).expect("well-formed");
    assert!(matches!(
        validate_path(&forged, &[], &anchors, now, &PathOptions::default()),
        Err(PathError::BadSignature { .. })
    ));
}
