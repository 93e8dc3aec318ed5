//! ML-DSA in CMS (RFC 9882), certificates and keys (RFC 9881): OpenSSL's files are read, and an
//! OpenSSL that knows ML-DSA (3.5 or later, found on the path or by SZTP_OPENSSL) reads ours.
#![cfg(feature = "ml-dsa")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use der::asn1::OctetStringRef;
use der::{Decode, Encode};
use sztp_cms::{
    Certificate, CertificateBuilder, CmsError, KeyError, KeyType, Limits, MlDsaParameterSet,
    PublicKey, SignatureAlgorithm, SignatureError, SignedData, SignedDataBuilder, Signer,
    SigningKey, TrustAnchors, UnixTime, VerifyOptions, WallClock, oids,
};

const CONTENT: &[u8] = b"{\"what\":\"is signed\"}";
const SETS: [(MlDsaParameterSet, &str); 3] = [
    (MlDsaParameterSet::MlDsa44, "44"),
    (MlDsaParameterSet::MlDsa65, "65"),
    (MlDsaParameterSet::MlDsa87, "87"),
];
const TYPES: [der::asn1::ObjectIdentifier; 2] = [oids::ID_DATA, oids::ANIMA_JSON_VOUCHER];

fn data(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/openssl-3.6");
    std::fs::read(path.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn verify(message: &[u8], anchor: &Certificate) -> Result<SignatureAlgorithm, CmsError> {
    let anchors = TrustAnchors::new([anchor.clone()]);
    let options = VerifyOptions::new(&anchors, WallClock::Unknown, &TYPES);
    let verified = SignedData::parse(message, &Limits::default())?.verify(&options)?;
    assert_eq!(verified.content(), CONTENT);
    Ok(verified.signers()[0].algorithm())
}

/// A root, and a signer under it.
fn certified(set: MlDsaParameterSet) -> (SigningKey, Certificate, Certificate) {
    let root_key = SigningKey::generate(KeyType::MlDsa(set)).expect("a key");
    let root = CertificateBuilder::new("CN=root")
        .ca(None)
        .self_signed(&root_key)
        .expect("issued");
    let key = SigningKey::generate(KeyType::MlDsa(set)).expect("a key");
    let certificate = CertificateBuilder::new("CN=signer")
        .issued_by(key.spki_der(), &root, &root_key)
        .expect("issued");
    (key, certificate, root)
}

#[test]
fn messages_and_certificates_of_openssl() {
    for (set, name) in SETS {
        let message = data(&format!("ml-dsa-{name}.cms"));
        let signed = SignedData::parse(&message, &Limits::default()).expect("parses");
        let certificate = &signed.certificates()[0];
        let key = certificate.public_key().expect("a key");
        assert_eq!(key.description(), format!("ML-DSA-{name}"));
        let algorithm = SignatureAlgorithm::MlDsa(set);
        assert_eq!(verify(&message, certificate), Ok(algorithm));
        // The certificate is self-signed.
        let mut der = certificate.as_der().to_vec();
        let (tbs, signature) = parts(&der);
        assert_eq!(key.verify(algorithm, &tbs, &signature), Ok(()));
        *der.last_mut().expect("octets") ^= 1;
        let (tbs, signature) = parts(&der);
        assert_eq!(
            key.verify(algorithm, &tbs, &signature),
            Err(SignatureError::Bad)
        );
        for at in [message.len() - 1, message.len() - 2000] {
            let mut changed = message.clone();
            changed[at] ^= 1;
            assert_eq!(verify(&changed, certificate), Err(CmsError::BadSignature));
        }
    }
}

/// The signed part and the signature of a certificate.
fn parts(certificate: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let certificate = x509_cert::Certificate::from_der(certificate).expect("a certificate");
    let signature = certificate.signature().raw_bytes().to_vec();
    (
        certificate.tbs_certificate().to_der().expect("encodes"),
        signature,
    )
}

#[test]
fn private_keys_in_the_three_forms() {
    for (set, name) in SETS {
        let form = |form: &str| data(&format!("ml-dsa-{name}-{form}.key"));
        let read = |der: &[u8]| SigningKey::from_pem_or_der(der);
        let [seed, expanded, both] = ["seed-only", "priv-only", "seed-priv"].map(form);
        let message = data(&format!("ml-dsa-{name}.cms"));
        let signed = SignedData::parse(&message, &Limits::default()).expect("parses");
        for der in [&seed, &expanded, &both] {
            let key = read(der).expect("reads");
            assert_eq!(
                key.spki_der(),
                signed.certificates()[0].spki_der(),
                "{name}"
            );
            let signature = key.sign(CONTENT).expect("signs");
            let algorithm = SignatureAlgorithm::MlDsa(set);
            assert_eq!(key.algorithm(), algorithm);
            assert_eq!(
                key.public_key().verify(algorithm, CONTENT, &signature),
                Ok(())
            );
        }
        // The seed is what is written where it is known.
        assert_eq!(
            read(&seed)
                .expect("reads")
                .to_pkcs8_der()
                .expect("encodes")
                .as_slice(),
            seed
        );
        assert_eq!(
            read(&both)
                .expect("reads")
                .to_pkcs8_der()
                .expect("encodes")
                .as_slice(),
            seed
        );
        let again = read(&expanded)
            .expect("reads")
            .to_pkcs8_der()
            .expect("encodes");
        assert_eq!(again.as_slice(), expanded);

        // A seed and an expanded key that do not belong together; an expanded key whose parts do
        // not; coefficients out of range; a wrong length.
        let start = expanded.len() - octets_of_key(&expanded);
        let out_of_range = start + 128;
        for (der, at, value) in [
            (&both, both.len() - 1, 1),
            (&both, both.len() - octets_of_key(&expanded) - 8, 1),
            (&expanded, start, 1),
            (&expanded, start + 64, 1),
            (&expanded, out_of_range, 0xff),
        ] {
            let mut changed = der.clone();
            changed[at] ^= value;
            assert_eq!(
                read(&changed).err(),
                Some(KeyError::Malformed),
                "{name} {at}"
            );
        }
    }
}

/// Length of the expanded key.
fn octets_of_key(pkcs8: &[u8]) -> usize {
    let info = pkcs8::PrivateKeyInfoRef::try_from(pkcs8).expect("PKCS#8");
    let octets = <&OctetStringRef>::from_der(info.private_key.as_bytes()).expect("octets");
    octets.as_bytes().len()
}

#[test]
fn signs_with_and_without_attributes() {
    for (set, _) in SETS {
        let (key, certificate, root) = certified(set);
        let plain = SignedDataBuilder::new(oids::ID_DATA, CONTENT)
            .certificates([certificate.clone()])
            .without_signed_attributes()
            .sign(&key, &certificate)
            .expect("signs");
        assert_eq!(verify(&plain, &root), Ok(SignatureAlgorithm::MlDsa(set)));
        // RFC 9882 §3.3: without signed attributes digestAlgorithm must be ignored. Here SHA-512
        // becomes SHA-1's neighbour that nobody knows.
        let sha512 = [
            0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03,
        ];
        let mut changed = plain.clone();
        let places: Vec<usize> = (0..plain.len() - sha512.len())
            .filter(|at| plain[*at..].starts_with(&sha512))
            .collect();
        assert_eq!(places.len(), 2);
        for at in places {
            changed[at + sha512.len() - 1] = 0x7f;
        }
        assert_eq!(verify(&changed, &root), Ok(SignatureAlgorithm::MlDsa(set)));

        let attributes = SignedDataBuilder::new(oids::ANIMA_JSON_VOUCHER, CONTENT)
            .certificates([certificate.clone()])
            .sign(&key, &certificate)
            .expect("signs");
        assert_eq!(
            verify(&attributes, &root),
            Ok(SignatureAlgorithm::MlDsa(set))
        );
    }
    let (key, ..) = certified(MlDsaParameterSet::MlDsa44);
    let other = SignatureAlgorithm::MlDsa(MlDsaParameterSet::MlDsa65);
    assert_eq!(
        key.with_algorithm(other).err(),
        Some(KeyError::WrongAlgorithm)
    );
    assert_eq!(
        key.public_key().verify(other, CONTENT, &[]),
        Err(SignatureError::WrongKeyType)
    );
}

#[test]
fn public_keys_have_one_length_and_no_parameters() {
    let key = SigningKey::generate(KeyType::MlDsa(MlDsaParameterSet::MlDsa44)).expect("a key");
    let info = spki::SubjectPublicKeyInfoOwned::from_der(key.spki_der()).expect("reads");
    let mut parameters = info.clone();
    parameters.algorithm.parameters = Some(der::asn1::Null.into());
    let mut short = info;
    let octets = short.subject_public_key.raw_bytes();
    short.subject_public_key =
        der::asn1::BitString::from_bytes(&octets[1..]).expect("a bit string");
    for info in [parameters, short] {
        let der = info.to_der().expect("encodes");
        assert_eq!(
            PublicKey::from_spki_der(&der).err(),
            Some(KeyError::Malformed)
        );
    }
}

#[test]
fn openssl_accepts_what_we_sign() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let probe = openssl(directory.path(), "genpkey -algorithm ML-DSA-44 -out probe");
    if !probe.0 {
        // Not `eprintln!`, which the test harness swallows.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: this OpenSSL has no ML-DSA; set SZTP_OPENSSL to one of 3.5 or later"
        );
        return;
    }
    for (set, _) in SETS {
        let (key, certificate, root) = certified(set);
        let now = UnixTime::from_system_time(std::time::SystemTime::now());
        let message = SignedDataBuilder::new(oids::ANIMA_JSON_VOUCHER, CONTENT)
            .certificates([certificate.clone()])
            .signing_time(Some(now))
            .sign(&key, &certificate)
            .expect("signs");
        let write = |name: &str, octets: &[u8]| {
            std::fs::write(directory.path().join(name), octets).expect("write");
        };
        write("message", &message);
        write("root", root.to_pem().as_bytes());
        write("certificate", certificate.to_pem().as_bytes());
        write("key", key.to_pkcs8_pem().expect("encodes").as_bytes());
        write("content", CONTENT);
        for arguments in [
            "verify -check_ss_sig -CAfile root certificate",
            "cms -verify -binary -inform der -in message -CAfile root -purpose any -out out",
            "cms -sign -md sha512 -nodetach -binary -outform der -in content -signer certificate \
             -inkey key -out theirs",
        ] {
            let (good, said) = openssl(directory.path(), arguments);
            assert!(good, "{set} openssl {arguments}: {said}");
        }
        let theirs = std::fs::read(directory.path().join("theirs")).expect("read");
        assert_eq!(verify(&theirs, &root), Ok(SignatureAlgorithm::MlDsa(set)));
    }
}

fn openssl(directory: &Path, arguments: &str) -> (bool, String) {
    let output = Command::new(std::env::var_os("SZTP_OPENSSL").unwrap_or("openssl".into()))
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("openssl is installed");
    (
        output.status.success(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}
