//! OpenSSL judges what we sign, and we judge what OpenSSL signs.

use std::path::Path;
use std::process::{Command, Output};

use sztp_cms::{
    Certificate, CmsError, DigestAlgorithm, Leniency, Limits, SignatureAlgorithm, SignedData,
    SignedDataBuilder, Signer as _, SignerId, SigningKey, TrustAnchors, UnixTime, VerifyOptions,
    WallClock, certs_only, oids, parse_certs_only,
};

const CONTENT: &[u8] = b"{\"what\":\"is signed\"}\r\n";
const KEYS: [&str; 6] = [
    "genpkey -out OUT -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
    "ecparam -out OUT -name secp384r1 -genkey -noout",
    "genrsa -out OUT 2048",
    "genpkey -out OUT -algorithm RSA -pkeyopt rsa_keygen_bits:3072",
    "ecparam -out OUT -name secp521r1 -genkey",
    "genpkey -out OUT -algorithm EC -pkeyopt ec_paramgen_curve:P-521",
];

/// A root, an intermediate and an end-entity certificate, all made by OpenSSL.
struct Pki(tempfile::TempDir);

impl Pki {
    fn make(key: &str) -> Self {
        let pki = Self(tempfile::tempdir().expect("a temporary directory"));
        for name in ["root", "ca", "signer"] {
            pki.ok(&key.replace("OUT", &format!("{name}.key")));
        }
        pki.ok("req -x509 -new -key root.key -subj /CN=root -days 30 -out root.crt");
        std::fs::write(
            pki.path("ca.ext"),
            "basicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n",
        )
        .expect("write");
        std::fs::write(pki.path("signer.ext"), "subjectKeyIdentifier=hash\n").expect("write");
        for (name, issuer) in [("ca", "root"), ("signer", "ca")] {
            pki.ok(&format!(
                "req -new -key {name}.key -subj /CN={name} -out {name}.csr"
            ));
            pki.ok(&format!(
                "x509 -req -in {name}.csr -CA {issuer}.crt -CAkey {issuer}.key -CAcreateserial \
                 -days 30 -extfile {name}.ext -out {name}.crt"
            ));
        }
        std::fs::write(pki.path("content"), CONTENT).expect("write");
        pki
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).expect(name)
    }

    fn openssl(&self, arguments: &str) -> Output {
        openssl(self.0.path(), arguments)
    }

    fn ok(&self, arguments: &str) {
        let output = self.openssl(arguments);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {stderr}");
    }

    fn certificate(&self, name: &str) -> Certificate {
        Certificate::from_pem_or_der(&self.read(&format!("{name}.crt"))).expect(name)
    }

    fn key(&self, name: &str) -> SigningKey {
        SigningKey::from_pem_or_der(&self.read(&format!("{name}.key"))).expect(name)
    }

    fn verify(&self, message: &[u8], content_type: der::asn1::ObjectIdentifier) -> Vec<u8> {
        let anchors = TrustAnchors::new([self.certificate("root")]);
        let types = [content_type];
        let options = VerifyOptions::new(&anchors, now(), &types);
        let signed = SignedData::parse(message, &Limits::default()).expect("parses");
        let verified = signed.verify(&options).expect("verifies");
        assert_eq!(verified.signer(), &self.certificate("signer"));
        assert_eq!(verified.chain().len(), 3);
        verified.content().to_vec()
    }
}

fn openssl(directory: &Path, arguments: &str) -> Output {
    Command::new(std::env::var_os("SZTP_OPENSSL").unwrap_or("openssl".into()))
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("openssl is installed")
}

fn now() -> WallClock {
    WallClock::Trusted(UnixTime::from_system_time(std::time::SystemTime::now()))
}

/// LEDGER: 5652-5.4-01, 5652-5.4-02
#[test]
fn openssl_accepts_what_we_sign() {
    for key in KEYS {
        let pki = Pki::make(key);
        let signing_key = pki.key("signer");
        let mut algorithms = vec![signing_key.algorithm()];
        if matches!(algorithms[0], SignatureAlgorithm::RsaPkcs1(_)) {
            algorithms.push(SignatureAlgorithm::RsaPss(DigestAlgorithm::Sha256));
        }
        for algorithm in algorithms {
            for signer_id in [SignerId::IssuerAndSerial, SignerId::SubjectKeyId] {
                let message = SignedDataBuilder::new(oids::ANIMA_JSON_VOUCHER, CONTENT)
                    .certificates([pki.certificate("signer"), pki.certificate("ca")])
                    .signer_id(signer_id)
                    .signing_time(now().time())
                    .sign(
                        &signing_key.with_algorithm(algorithm).expect("fits"),
                        &pki.certificate("signer"),
                    )
                    .expect("signs");
                std::fs::write(pki.path("message"), &message).expect("write");
                pki.ok(
                    "cms -verify -binary -inform der -in message -CAfile root.crt -purpose any \
                     -out out",
                );
                assert_eq!(pki.read("out"), CONTENT, "{algorithm}, {signer_id:?}");
                assert_eq!(pki.verify(&message, oids::ANIMA_JSON_VOUCHER), CONTENT);
            }
        }
    }
}

/// LEDGER: 5652-5.3-01, 5652-5.4-01, 5652-5.4-02
#[test]
fn we_accept_what_openssl_signs() {
    let forms = [
        "-nodetach",
        "-nodetach -keyid",
        "-nodetach -stream",
        "-nodetach -noattr",
        "-nodetach -noattr -keyid",
        "-nodetach -noattr -stream",
        "-nodetach -stream -keyid -md sha512",
        "-nodetach -econtent_type 1.2.840.113549.1.9.16.1.40",
        "-nodetach -stream -econtent_type 1.2.840.113549.1.9.16.1.40 -md sha384",
    ];
    for key in KEYS {
        let pki = Pki::make(key);
        let rsa = key.to_lowercase().contains("rsa");
        for form in forms {
            for pss in [false, true] {
                // OpenSSL 3.0 cannot stream with PSS (illegal zero content).
                if pss && (!rsa || form.contains("-stream")) {
                    continue;
                }
                let pss = if pss {
                    "-keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:digest"
                } else {
                    ""
                };
                pki.ok(&format!(
                    "cms -sign -binary -outform der -in content -signer signer.crt \
                     -inkey signer.key {pss} -certfile ca.crt {form} -out message"
                ));
                let content_type = if form.contains("econtent_type") {
                    oids::ANIMA_JSON_VOUCHER
                } else {
                    oids::ID_DATA
                };
                assert_eq!(
                    pki.verify(&pki.read("message"), content_type),
                    CONTENT,
                    "{key} {form} {pss}"
                );
            }
        }
    }
}

#[test]
fn certs_only_messages_both_ways() {
    let pki = Pki::make(KEYS[0]);
    pki.ok("crl2pkcs7 -nocrl -certfile signer.crt -certfile ca.crt -outform der -out bundle");
    let ours = certs_only(&[pki.certificate("signer"), pki.certificate("ca")], &[]).expect("made");
    for message in [pki.read("bundle"), ours.clone()] {
        let parsed = parse_certs_only(&message, &Limits::default()).expect("parses");
        assert!(parsed.is_certs_only());
        assert!(parsed.certificates().contains(&pki.certificate("ca")));
        assert!(parsed.certificates().contains(&pki.certificate("signer")));
        assert_eq!(
            Certificate::list_from_pem_or_der(&message)
                .expect("reads")
                .len(),
            2
        );
    }
    // Revocation lists travel in the same message.
    std::fs::write(pki.path("index"), "").expect("write");
    std::fs::write(
        pki.path("ca.cnf"),
        "[ca]\ndefault_ca=x\n[x]\ndatabase=index\ndefault_md=sha256\n",
    )
    .expect("write");
    pki.ok("ca -config ca.cnf -gencrl -cert ca.crt -keyfile ca.key -crldays 7 -out ca.crl");
    pki.ok("crl -in ca.crl -outform der -out crl.der");
    pki.ok("crl2pkcs7 -in ca.crl -certfile ca.crt -outform der -out with-crl");
    let crl = pki.read("crl.der");
    let ours_with_crl = certs_only(&[pki.certificate("ca")], &[crl.clone(), crl.clone()]);
    for message in [pki.read("with-crl"), ours_with_crl.expect("made")] {
        let parsed = parse_certs_only(&message, &Limits::default()).expect("parses");
        assert_eq!(parsed.crls(), std::slice::from_ref(&crl));
        assert_eq!(parsed.certificates(), [pki.certificate("ca")]);
    }
    std::fs::write(pki.path("ours"), ours).expect("write");
    pki.ok("pkcs7 -inform der -in ours -print_certs -out printed");
    let printed = String::from_utf8(pki.read("printed")).expect("text");
    assert_eq!(printed.matches("BEGIN CERTIFICATE").count(), 2);
}

#[test]
fn what_is_not_as_it_must_be_has_its_own_error() {
    let pki = Pki::make(KEYS[0]);
    let sign = |form: &str| {
        pki.ok(&format!(
            "cms -sign -binary -outform der -in content -signer signer.crt -inkey signer.key \
             -certfile ca.crt {form} -out message"
        ));
        pki.read("message")
    };
    let anchors = TrustAnchors::new([pki.certificate("root")]);
    let verify = |message: &[u8], clock: WallClock| {
        let types = [oids::ID_DATA, oids::ANIMA_JSON_VOUCHER];
        SignedData::parse(message, &Limits::default())?
            .verify(&VerifyOptions::new(&anchors, clock, &types))
            .map(|verified| verified.content().to_vec())
    };
    let code = |message: &[u8]| verify(message, now()).expect_err("refused").code();
    assert_eq!(code(&sign("")), "cms.no-content");
    assert_eq!(code(&sign("-nodetach -md sha1")), "cms.weak-algorithm");
    assert_eq!(
        code(&sign("-nodetach -nocerts")),
        "cms.signer-certificate-missing"
    );
    assert_eq!(
        code(&sign("-nodetach -econtent_type 1.2.3.4")),
        "cms.wrong-content-type"
    );
    let good = sign("-nodetach");
    let early = WallClock::Trusted(UnixTime::from_secs(1));
    assert!(matches!(verify(&good, early), Err(CmsError::Path(_))));
    assert_eq!(verify(&good, WallClock::Unknown).as_deref(), Ok(CONTENT));
    assert_eq!(code(&good[..good.len() - 1]), "cms.malformed");
    assert_eq!(code(&[&good[..], b"\n"].concat()), "cms.malformed");
    let text = String::from_utf8_lossy(&good).into_owned();
    assert_eq!(code(text.as_bytes()), "cms.text-mode-damage");
    pki.ok("cms -cmsout -inform der -in message -outform pem -out message.pem");
    assert_eq!(code(&pki.read("message.pem")), "cms.pem");
    let bundle = certs_only(&[pki.certificate("signer")], &[]).expect("made");
    assert_eq!(code(&bundle), "cms.no-signer");
    pki.ok("cms -encrypt -aes256 -binary -outform der -in content -out enveloped signer.crt");
    assert_eq!(code(&pki.read("enveloped")), "cms.not-signed-data");
}

/// Every bit of content, attributes, signature and the certificates on the way counts, for every
/// algorithm, with signed attributes and without.
#[test]
fn each_single_bit_change_is_refused() {
    const PSS: &str = "-keyopt rsa_padding_mode:pss -keyopt rsa_pss_saltlen:digest";
    std::thread::scope(|scope| {
        for (key, forms) in [
            (KEYS[0], &["", "-noattr"][..]),
            (KEYS[1], &["-keyid"]),
            (KEYS[2], &["", "-noattr"]),
            (KEYS[3], &[PSS]),
        ] {
            scope.spawn(move || {
                let pki = Pki::make(key);
                for form in forms {
                    pki.ok(&format!(
                        "cms -sign -binary -nodetach -outform der -in content -signer signer.crt \
                         -inkey signer.key -certfile ca.crt {form} -out message"
                    ));
                    each_bit_counts(&pki, &pki.read("message"));
                }
            });
        }
    });
}

fn each_bit_counts(pki: &Pki, message: &[u8]) {
    let anchors = TrustAnchors::new([pki.certificate("root")]);
    let types = [oids::ID_DATA];
    let options = VerifyOptions::new(&anchors, now(), &types);
    let verify = |message: &[u8]| {
        SignedData::parse(message, &Limits::default())?
            .verify(&options)
            .map(|verified| verified.content().to_vec())
    };
    assert_eq!(verify(message).as_deref(), Ok(CONTENT));
    let find = |needle: &[u8]| {
        let start = message
            .windows(needle.len())
            .position(|window| window == needle)
            .expect("is in the message");
        start..start + needle.len()
    };
    let certificates = ["signer", "ca"].map(|name| find(pki.certificate(name).as_der()));
    let last = certificates.iter().map(|range| range.end).max();
    // The content, and everything after the certificates: the SignerInfo to its last octet.
    let ranges = [find(CONTENT), last.expect("two")..message.len()];
    let all_bits = ranges.into_iter().flatten().map(|at| (at, 0..8));
    // `path_validation` changes every bit of a certificate; here it is one of each octet.
    let one_bit = certificates.into_iter().flatten().map(|at| {
        let bit = u32::try_from(at % 8).expect("fits");
        (at, bit..bit + 1)
    });
    // Who signed is not signed: in another case it is the same name (RFC 5280 §7.1).
    let signer = pki.certificate("signer");
    let issuer = signer.issuer_der();
    let name = message
        .windows(issuer.len())
        .rposition(|window| window == issuer);
    let name = name.map_or(0..0, |start| start..start + issuer.len());
    for (at, bits) in all_bits.chain(one_bit) {
        for bit in bits {
            let mut changed = message.to_vec();
            changed[at] ^= 1 << bit;
            let outcome = verify(&changed);
            let other_case = name.contains(&at)
                && message[at].is_ascii_alphabetic()
                && changed[at].eq_ignore_ascii_case(&message[at]);
            assert!(
                outcome.is_err() || other_case,
                "bit {bit} of octet {at} may change"
            );
        }
    }
}

/// A message that holds no certificate: its signer's is in what the caller has. Two that have the
/// same issuer and serial number are both tried.
#[test]
fn signers_are_found_in_the_callers_pool() {
    let pki = Pki::make(KEYS[0]);
    pki.ok("x509 -in signer.crt -noout -serial -out serial");
    let serial = String::from_utf8(pki.read("serial")).expect("text");
    let serial = serial.trim().trim_start_matches("serial=");
    // The authority slipped: it gave another key's certificate the same serial number.
    pki.ok(&KEYS[0].replace("OUT", "twin.key"));
    pki.ok("req -new -key twin.key -subj /CN=twin -out twin.csr");
    pki.ok(&format!(
        "x509 -req -in twin.csr -CA ca.crt -CAkey ca.key -set_serial 0x{serial} -days 30 \
         -extfile signer.ext -out twin.crt"
    ));
    let [signer, twin, ca] = ["signer", "twin", "ca"].map(|name| pki.certificate(name));
    assert_eq!(signer.serial_bytes(), twin.serial_bytes());
    pki.ok(
        "cms -sign -binary -nodetach -nocerts -outform der -in content -signer signer.crt \
         -inkey signer.key -out message",
    );
    let signed = SignedData::parse(&pki.read("message"), &Limits::default()).expect("parses");
    assert_eq!(signed.certificates(), []);
    let anchors = TrustAnchors::new([pki.certificate("root")]);
    let verify = |pool: &[&Certificate]| {
        let pool: Vec<Certificate> = pool.iter().copied().cloned().collect();
        let options = VerifyOptions {
            intermediates: &pool,
            ..VerifyOptions::new(&anchors, now(), &[oids::ID_DATA])
        };
        signed
            .verify(&options)
            .map(|verified| verified.signer().clone())
    };
    assert_eq!(verify(&[&ca, &twin, &signer]).as_ref(), Ok(&signer));
    assert_eq!(verify(&[&signer, &twin, &ca]).as_ref(), Ok(&signer));
    assert_eq!(verify(&[&ca, &twin]), Err(CmsError::BadSignature));
    assert!(matches!(
        verify(&[&ca]),
        Err(CmsError::SignerCertificateMissing { .. })
    ));
    assert!(matches!(verify(&[&signer]), Err(CmsError::Path(_))));
}

/// Two signers, as OpenSSL counter-signs: one that is trusted suffices.
#[test]
fn one_trusted_signer_of_two_suffices() {
    let pki = Pki::make(KEYS[0]);
    pki.ok(&KEYS[2].replace("OUT", "other.key"));
    pki.ok("req -x509 -new -key other.key -subj /CN=other -days 30 -out other.crt");
    pki.ok(
        "cms -sign -binary -nodetach -outform der -in content -signer other.crt -inkey other.key \
         -signer signer.crt -inkey signer.key -certfile ca.crt -out message",
    );
    assert_eq!(pki.verify(&pki.read("message"), oids::ID_DATA), CONTENT);
}

#[test]
fn verify_with_takes_one_certificate_only() {
    let pki = Pki::make(KEYS[0]);
    let certificate = pki.certificate("signer");
    let message = SignedDataBuilder::new(oids::SZTP_CONVEYED_INFO_JSON, CONTENT)
        .sign(&pki.key("signer"), &certificate)
        .expect("signs");
    let signed = SignedData::parse(&message, &Limits::default()).expect("parses");
    let types = [oids::SZTP_CONVEYED_INFO_JSON];
    assert!(
        signed
            .verify_with(&certificate, &types, Leniency::default())
            .is_ok()
    );
    let other = signed.verify_with(&pki.certificate("ca"), &types, Leniency::default());
    assert!(matches!(
        other,
        Err(CmsError::SignerCertificateMissing { .. })
    ));
    assert_eq!(
        signed
            .signer_certificates(&[pki.certificate("ca"), certificate])
            .len(),
        1
    );
    let wrong = SignedDataBuilder::new(oids::ID_DATA, CONTENT)
        .sign(&pki.key("ca"), &pki.certificate("signer"));
    assert_eq!(wrong, Err(CmsError::KeyMismatch));
}
