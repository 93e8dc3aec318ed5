//! The forms that SignedData takes: several signers, detached, without signed attributes, each
//! digest, foreign signers. OpenSSL is the judge of what we write.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use sztp_cms::{
    Certificate, CertificateBuilder, CmsError, DigestAlgorithm, ForeignSigner, KeyError, KeyType,
    Limits, PathError, RevocationPolicy, SignatureAlgorithm, SignatureError, SignedData,
    SignedDataBuilder, Signer, SignerPolicy, SigningKey, TrustAnchors, VerifyOptions, WallClock,
    oids,
};

const CONTENT: &[u8] = b"{\"what\":\"is signed\"}\r\n";
const TYPES: [der::asn1::ObjectIdentifier; 2] = [oids::ID_DATA, oids::ANIMA_JSON_VOUCHER];

/// A root and as many signers under it as are wanted.
struct Pki {
    root: Certificate,
    root_key: SigningKey,
}

impl Pki {
    fn make() -> Self {
        let root_key = SigningKey::generate(KeyType::EcP256).expect("a key");
        let root = CertificateBuilder::new("CN=root")
            .ca(None)
            .self_signed(&root_key);
        Self {
            root: root.expect("issued"),
            root_key,
        }
    }

    fn signer(&self, name: &str, key_type: KeyType) -> (SigningKey, Certificate) {
        let key = SigningKey::generate(key_type).expect("a key");
        let certificate = self.certify(name, &key);
        (key, certificate)
    }

    fn certify(&self, name: &str, key: &dyn Signer) -> Certificate {
        CertificateBuilder::new(format!("CN={name}"))
            .issued_by(key.spki_der(), &self.root, &self.root_key)
            .expect("issued")
    }

    /// The names of those who are found to have signed.
    fn verify(&self, message: &[u8], policy: SignerPolicy) -> Result<Vec<String>, CmsError> {
        let anchors = TrustAnchors::new([self.root.clone()]);
        let mut options = VerifyOptions::new(&anchors, WallClock::Unknown, &TYPES);
        options.signers = policy;
        let verified = SignedData::parse(message, &Limits::default())?.verify(&options)?;
        assert_eq!(verified.content(), CONTENT);
        assert_eq!(verified.signer(), verified.signers()[0].certificate());
        Ok(verified
            .signers()
            .iter()
            .map(|signer| signer.certificate().subject())
            .collect())
    }

    fn openssl_verifies(&self, message: &[u8], detached: bool) -> Output {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let write = |name: &str, octets: &[u8]| {
            std::fs::write(directory.path().join(name), octets).expect("write");
        };
        write("message", message);
        write("root", self.root.to_pem().as_bytes());
        write("content", CONTENT);
        let content = if detached { "-content content" } else { "" };
        openssl(
            directory.path(),
            &format!(
                "cms -verify -binary -inform der -in message -CAfile root -purpose any \
                 -out out {content}"
            ),
        )
    }

    fn openssl_accepts(&self, message: &[u8], detached: bool) {
        let output = self.openssl_verifies(message, detached);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl cms -verify: {stderr}");
    }
}

fn openssl(directory: &Path, arguments: &str) -> Output {
    Command::new(std::env::var_os("SZTP_OPENSSL").unwrap_or("openssl".into()))
        .args(arguments.split_whitespace())
        .current_dir(directory)
        .output()
        .expect("openssl is installed")
}

#[test]
fn several_signers_of_different_kinds() {
    let pki = Pki::make();
    let (p256, p256_certificate) = pki.signer("p256", KeyType::EcP256);
    let (p521, p521_certificate) = pki.signer("p521", KeyType::EcP521);
    let (rsa, rsa_certificate) = pki.signer("rsa", KeyType::Rsa2048);
    let message = SignedDataBuilder::new(oids::ANIMA_JSON_VOUCHER, CONTENT)
        .certificates([
            p256_certificate.clone(),
            p521_certificate.clone(),
            rsa_certificate.clone(),
        ])
        .sign_all(&[
            (&p256 as &dyn Signer, &p256_certificate),
            (&p521, &p521_certificate),
            (&rsa.with_digest(DigestAlgorithm::Sha384), &rsa_certificate),
        ])
        .expect("signs");
    pki.openssl_accepts(&message, false);
    let all = pki.verify(&message, SignerPolicy::All).expect("all hold");
    assert_eq!(all.len(), 3);
    for name in ["CN=p256", "CN=p521", "CN=rsa"] {
        assert!(all.iter().any(|signer| signer == name), "{name}");
    }
    assert_eq!(
        pki.verify(&message, SignerPolicy::Any).map(|v| v.len()),
        Ok(1)
    );
}

#[test]
fn one_untrusted_signer_matters_only_if_all_must_hold() {
    let (pki, other) = (Pki::make(), Pki::make());
    let (key, certificate) = pki.signer("good", KeyType::EcP256);
    let (stranger, strange) = other.signer("stranger", KeyType::EcP256);
    let message = SignedDataBuilder::new(oids::ID_DATA, CONTENT)
        .certificates([certificate.clone(), strange.clone()])
        .sign_all(&[(&stranger as &dyn Signer, &strange), (&key, &certificate)])
        .expect("signs");
    assert_eq!(
        pki.verify(&message, SignerPolicy::Any),
        Ok(vec!["CN=good".to_owned()])
    );
    assert!(matches!(
        pki.verify(&message, SignerPolicy::All),
        Err(CmsError::Path(_))
    ));
    // OpenSSL wants all.
    assert!(!pki.openssl_verifies(&message, false).status.success());
    // A signer whose certificate is nowhere to be found.
    let message = SignedDataBuilder::new(oids::ID_DATA, CONTENT)
        .certificates([certificate.clone()])
        .sign_all(&[(&stranger as &dyn Signer, &strange), (&key, &certificate)])
        .expect("signs");
    assert!(pki.verify(&message, SignerPolicy::Any).is_ok());
    assert!(matches!(
        pki.verify(&message, SignerPolicy::All),
        Err(CmsError::SignerCertificateMissing { .. })
    ));
}

#[test]
fn detached_content_both_ways() {
    let pki = Pki::make();
    let (key, certificate) = pki.signer("signer", KeyType::EcP384);
    let anchors = TrustAnchors::new([pki.root.clone()]);
    let options = VerifyOptions::new(&anchors, WallClock::Unknown, &TYPES);
    let builder =
        SignedDataBuilder::new(oids::ID_DATA, CONTENT).certificates([certificate.clone()]);
    let attached = builder.sign(&key, &certificate).expect("signs");
    let attached = SignedData::parse(&attached, &Limits::default()).expect("parses");
    assert_eq!(
        attached.verify_detached(CONTENT, &options).err(),
        Some(CmsError::NotDetached)
    );
    for builder in [
        builder.clone().detached(),
        builder.detached().without_signed_attributes(),
    ] {
        let message = builder.sign(&key, &certificate).expect("signs");
        pki.openssl_accepts(&message, true);
        assert!(
            !message
                .windows(CONTENT.len())
                .any(|octets| octets == CONTENT)
        );
        let signed = SignedData::parse(&message, &Limits::default()).expect("parses");
        assert_eq!(signed.verify(&options).err(), Some(CmsError::NoContent));
        let verified = signed.verify_detached(CONTENT, &options).expect("verifies");
        assert_eq!(verified.content(), CONTENT);
        assert!(signed.verify_detached(b"other", &options).is_err());
    }

    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, octets) in [
        ("key", key.to_pkcs8_pem().expect("encodes").as_bytes()),
        ("certificate", certificate.to_pem().as_bytes()),
        ("content", CONTENT),
    ] {
        std::fs::write(directory.path().join(name), octets).expect("write");
    }
    let made = openssl(
        directory.path(),
        "cms -sign -binary -outform der -in content -signer certificate -inkey key -out message",
    );
    assert!(made.status.success());
    let message = std::fs::read(directory.path().join("message")).expect("read");
    let signed = SignedData::parse(&message, &Limits::default()).expect("parses");
    assert!(signed.verify_detached(CONTENT, &options).is_ok());
    assert_eq!(
        signed.verify_detached(b"other", &options).err(),
        Some(CmsError::DigestMismatch)
    );
}

#[test]
fn without_signed_attributes_only_plain_data_is_signed() {
    let pki = Pki::make();
    for key_type in [KeyType::EcP256, KeyType::Ed25519, KeyType::Rsa2048] {
        let (key, certificate) = pki.signer("signer", key_type);
        let builder = SignedDataBuilder::new(oids::ID_DATA, CONTENT)
            .certificates([certificate.clone()])
            .without_signed_attributes();
        let message = builder.sign(&key, &certificate).expect("signs");
        // No version of OpenSSL verifies Ed25519 without signed attributes.
        if key_type != KeyType::Ed25519 {
            pki.openssl_accepts(&message, false);
        }
        assert_eq!(
            pki.verify(&message, SignerPolicy::All),
            Ok(vec!["CN=signer".to_owned()])
        );
        let signed = SignedData::parse(&message, &Limits::default()).expect("parses");
        assert!(!signed.signers()[0].has_signed_attributes());

        // Neither another content type, nor what could be another message's signed attributes.
        for (content_type, content) in [
            (oids::ANIMA_JSON_VOUCHER, CONTENT),
            (oids::ID_DATA, &b"\x31\x00"[..]),
        ] {
            let refused = SignedDataBuilder::new(content_type, content)
                .without_signed_attributes()
                .sign(&key, &certificate);
            assert_eq!(refused, Err(CmsError::MissingSignedAttributes));
        }
    }
}

#[test]
fn every_digest_with_every_kind_of_key() {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    let pki = Pki::make();
    for key_type in [
        KeyType::EcP256,
        KeyType::EcP384,
        KeyType::EcP521,
        KeyType::Rsa2048,
    ] {
        let (key, certificate) = pki.signer("signer", key_type);
        for digest in [Sha256, Sha384, Sha512] {
            let mut algorithms = vec![key.with_digest(digest)];
            if let Ok(pss) = key.with_algorithm(SignatureAlgorithm::RsaPss(digest)) {
                algorithms.push(pss);
            }
            for key in algorithms {
                assert_eq!(key.algorithm().digest(), digest);
                let message = SignedDataBuilder::new(oids::ANIMA_JSON_VOUCHER, CONTENT)
                    .certificates([certificate.clone()])
                    .sign(&key, &certificate)
                    .expect("signs");
                pki.openssl_accepts(&message, false);
                assert!(pki.verify(&message, SignerPolicy::All).is_ok());
            }
        }
    }
}

/// What a later OpenSSL signed, whichever is at hand.
#[test]
fn an_ed25519_message_of_openssl() {
    let message = include_bytes!("data/openssl-3.6/ed25519.cms");
    let signed = SignedData::parse(message, &Limits::default()).expect("parses");
    let anchors = TrustAnchors::new(signed.certificates().to_vec());
    let options = VerifyOptions::new(&anchors, WallClock::Unknown, &TYPES);
    let verified = signed.verify(&options).expect("verifies");
    assert_eq!(verified.content(), b"{\"what\":\"is signed\"}");
    assert_eq!(
        verified.signers()[0].algorithm(),
        SignatureAlgorithm::Ed25519
    );
}

/// RFC 8419 §3: digestAlgorithm is SHA-512. OpenSSL reads Ed25519 in CMS since 3.2 or so; older
/// ones are told apart by what they can sign.
#[test]
fn ed25519_messages_both_ways() {
    let pki = Pki::make();
    let (key, certificate) = pki.signer("signer", KeyType::Ed25519);
    let message = SignedDataBuilder::new(oids::ANIMA_JSON_VOUCHER, CONTENT)
        .certificates([certificate.clone()])
        .sign(&key, &certificate)
        .expect("signs");
    assert_eq!(
        pki.verify(&message, SignerPolicy::All),
        Ok(vec!["CN=signer".to_owned()])
    );
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (name, octets) in [
        ("key", key.to_pkcs8_pem().expect("encodes").as_bytes()),
        ("certificate", certificate.to_pem().as_bytes()),
        ("content", CONTENT),
    ] {
        std::fs::write(directory.path().join(name), octets).expect("write");
    }
    let made = openssl(
        directory.path(),
        "cms -sign -md sha512 -nodetach -binary -outform der -in content -signer certificate \
         -inkey key -out message",
    );
    if made.status.success() {
        pki.openssl_accepts(&message, false);
        let theirs = std::fs::read(directory.path().join("message")).expect("read");
        assert!(pki.verify(&theirs, SignerPolicy::All).is_ok());
    } else {
        // Not `eprintln!`, which the test harness swallows.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED in part: this OpenSSL has no Ed25519 in CMS; set SZTP_OPENSSL to 3.5+"
        );
    }
}

#[test]
fn any_signer_of_the_signature_crate_signs() {
    let pki = Pki::make();
    let ecdsa = SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha256);
    let key = p256::ecdsa::SigningKey::from_slice(&[7; 32]).expect("a key");
    let signer = ForeignSigner::<_, p256::ecdsa::DerSignature>::from_keypair(key.clone(), ecdsa)
        .expect("fits");
    let certificate = pki.certify("foreign", &signer);
    let message = SignedDataBuilder::new(oids::ANIMA_JSON_VOUCHER, CONTENT)
        .certificates([certificate.clone()])
        .sign(&signer, &certificate)
        .expect("signs");
    pki.openssl_accepts(&message, false);
    assert!(pki.verify(&message, SignerPolicy::All).is_ok());

    let edwards = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
    let signer = ForeignSigner::<_, ed25519_dalek::Signature>::from_keypair(
        edwards,
        SignatureAlgorithm::Ed25519,
    )
    .expect("fits");
    assert!(signer.sign(CONTENT).is_ok());

    // r and s side by side are not what CMS wants, and are found out before they are handed out.
    let wrong = ForeignSigner::<_, p256::ecdsa::Signature>::from_keypair(key.clone(), ecdsa);
    assert_eq!(
        wrong.expect("fits").sign(CONTENT),
        Err(SignatureError::Signing)
    );
    let wrong = ForeignSigner::<_, p256::ecdsa::DerSignature>::from_keypair(
        key,
        SignatureAlgorithm::Ed25519,
    );
    assert_eq!(wrong.err(), Some(KeyError::WrongAlgorithm));
}

/// The revocation lists in the message count, as RFC 8572 §3.2 wants it of owner certificates.
#[test]
fn a_revocation_list_in_the_message_is_heard() {
    let pki = Pki::make();
    let (key, certificate) = pki.signer("signer", KeyType::EcP256);
    let directory = tempfile::tempdir().expect("a temporary directory");
    let root_key = pki.root_key.to_pkcs8_pem().expect("encodes");
    for (name, octets) in [
        ("root.key", root_key.as_bytes()),
        ("root.crt", pki.root.to_pem().as_bytes()),
        ("signer.crt", certificate.to_pem().as_bytes()),
        ("index.txt", b""),
        ("crlnumber", b"01"),
        (
            "config",
            b"[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\ncrlnumber=crlnumber\n\
              default_md=sha256\ndefault_crl_days=30\ncrl_extensions=e\n\
              [e]\nauthorityKeyIdentifier=keyid\n",
        ),
    ] {
        std::fs::write(directory.path().join(name), octets).expect("write");
    }
    let authority = "ca -config config -keyfile root.key -cert root.crt";
    let list = |name: &str| {
        for arguments in [
            format!("{authority} -gencrl -out {name}.pem"),
            format!("crl -in {name}.pem -outform der -out {name}"),
        ] {
            let output = openssl(directory.path(), &arguments);
            let stderr = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "openssl {arguments}: {stderr}");
        }
        std::fs::read(directory.path().join(name)).expect("read")
    };
    let empty = list("empty");
    assert!(
        openssl(directory.path(), &format!("{authority} -revoke signer.crt"))
            .status
            .success()
    );
    let revoking = list("revoking");
    let verify = |crls: Vec<Vec<u8>>| {
        let message = SignedDataBuilder::new(oids::ID_DATA, CONTENT)
            .certificates([certificate.clone()])
            .crls(crls)
            .sign(&key, &certificate)
            .expect("signs");
        let anchors = TrustAnchors::new([pki.root.clone()]);
        let mut options = VerifyOptions::new(&anchors, WallClock::Unknown, &TYPES);
        options.path.revocation = RevocationPolicy::EndEntity;
        SignedData::parse(&message, &Limits::default())?
            .verify(&options)
            .map(|verified| verified.content().to_vec())
    };
    assert_eq!(verify(vec![empty]).as_deref(), Ok(CONTENT));
    assert!(matches!(
        verify(vec![revoking]),
        Err(CmsError::Path(PathError::Revoked { .. }))
    ));
    assert!(matches!(verify(Vec::new()), Err(CmsError::Path(_))));
}

/// 8 signers, each named by 32 certificates with different keys: 256 signatures, none of them good.
#[test]
fn a_hostile_bag_is_given_up() {
    let pki = Pki::make();
    let (key, certificate) = pki.signer("signer", KeyType::EcP256);
    let key_id = certificate.subject_key_id().expect("has one").to_vec();
    let id = der::asn1::ObjectIdentifier::new_unwrap("2.5.29.14");
    let value = [&[4, 20][..], &key_id].concat();
    let lookalikes: Vec<Certificate> = (0..32)
        .map(|number| lookalike(number, id, &value))
        .collect();
    for lookalike in &lookalikes {
        assert_eq!(lookalike.subject_key_id(), Some(key_id.as_slice()));
    }
    let signers: Vec<(&dyn Signer, &Certificate)> =
        (0..8).map(|_| (&key as _, &certificate)).collect();
    let message = SignedDataBuilder::new(oids::ID_DATA, CONTENT)
        .certificates(lookalikes)
        .signer_id(sztp_cms::SignerId::SubjectKeyId)
        .sign_all(&signers)
        .expect("signs");
    for policy in [SignerPolicy::Any, SignerPolicy::All] {
        let refused = pki.verify(&message, policy).expect_err("refused");
        let given_up = CmsError::Path(PathError::BudgetExhausted { checks: 64 });
        match policy {
            SignerPolicy::Any => assert_eq!(refused, given_up),
            SignerPolicy::All => assert_eq!(refused, CmsError::BadSignature),
        }
    }
}

/// A certificate of its own key that claims another's subject key identifier.
fn lookalike(number: usize, id: der::asn1::ObjectIdentifier, value: &[u8]) -> Certificate {
    let key = SigningKey::generate(KeyType::EcP256).expect("a key");
    let plain = CertificateBuilder::new(format!("CN=lookalike {number}"))
        .self_signed(&key)
        .expect("issued");
    let own = plain.extension(id).expect("has one").to_vec();
    let der = plain.as_der();
    let at = der
        .windows(own.len())
        .position(|octets| octets == own)
        .expect("is in there");
    let mut der = der.to_vec();
    der[at..at + own.len()].copy_from_slice(value);
    Certificate::from_der(&der).expect("still a certificate")
}
