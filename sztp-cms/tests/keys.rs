//! Keys as OpenSSL writes them, in every format, and signatures that both backends judge alike.
//!
//! The verdicts are fixed here and not compared between two builds: run once with the feature
//! `aws-lc-rs` and once without, the same tests hold both backends to the same answers.

use std::path::PathBuf;
use std::process::Command;

use sztp_cms::{
    Certificate, DigestAlgorithm, KeyError, PublicKey, SignatureAlgorithm, SignatureError,
    Signer as _, SigningKey,
};

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    fn write(&self, name: &str, octets: &[u8]) {
        std::fs::write(self.path(name), octets).expect("write");
    }

    /// Runs OpenSSL; what it has to do is written as on a command line.
    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("openssl is installed");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {stderr}");
    }

    fn key(&self, name: &str) -> Result<SigningKey, KeyError> {
        SigningKey::from_pem_or_der(&self.read(name))
    }
}

/// Name, how OpenSSL makes it, and the name of its traditional format's command.
const KINDS: [(&str, &str, &str); 6] = [
    (
        "p256",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256",
        "ec",
    ),
    (
        "p384",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384",
        "ec",
    ),
    (
        "rsa2048",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048",
        "rsa",
    ),
    (
        "rsa3072",
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:3072",
        "rsa",
    ),
    (
        "p521",
        "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-521",
        "ec",
    ),
    ("ed25519", "genpkey -algorithm ed25519", ""),
];

#[test]
fn every_format_that_openssl_writes() {
    let folder = Folder::new();
    for (name, make, traditional) in KINDS {
        folder.openssl(&format!("{make} -out {name}.pem"));
        folder.openssl(&format!(
            "pkey -in {name}.pem -pubout -outform der -out {name}.spki"
        ));
        let spki = folder.read(&format!("{name}.spki"));
        let form = if traditional == "ec" {
            ""
        } else {
            "-traditional"
        };
        folder.openssl(&format!(
            "pkcs8 -topk8 -nocrypt -in {name}.pem -outform der -out pkcs8.der"
        ));
        let pem = format!("{name}.pem");
        let mut files = vec![pem.as_str(), "pkcs8.der"];
        // Ed25519 has no format of its own.
        if !traditional.is_empty() {
            folder.openssl(&format!("{traditional} -in {name}.pem {form} -out old.pem"));
            folder.openssl(&format!(
                "{traditional} -in {name}.pem {form} -outform der -out old.der"
            ));
            let old = String::from_utf8(folder.read("old.pem")).expect("text");
            assert!(
                old.contains("BEGIN EC PRIVATE KEY") || old.contains("BEGIN RSA PRIVATE KEY"),
                "{old}"
            );
            files.extend(["old.pem", "old.der"]);
        }
        for file in files {
            let key = folder
                .key(file)
                .unwrap_or_else(|error| panic!("{name} {file}: {error}"));
            assert_eq!(key.spki_der(), spki, "{name} {file}");
            assert!(
                !SigningKey::is_encrypted(&folder.read(file)),
                "{name} {file}"
            );
            assert_eq!(
                PublicKey::from_spki_der(&spki).as_ref(),
                Ok(key.public_key())
            );
            // OpenSSL reads what we write.
            folder.write("ours.der", &key.to_pkcs8_der().expect("encodes"));
            folder.openssl("pkey -in ours.der -inform der -pubout -outform der -out ours.spki");
            assert_eq!(folder.read("ours.spki"), spki, "{name} {file}");
        }
    }
    // `openssl ecparam -genkey` puts the parameters before the key.
    folder.openssl("ecparam -name prime256v1 -genkey -out with-parameters.pem");
    assert!(folder.key("with-parameters.pem").is_ok());
    // Key and certificate often share a file.
    folder.openssl("req -x509 -key p256.pem -subj /CN=x -out p256.crt");
    let both = [folder.read("p256.crt"), folder.read("p256.pem")].concat();
    assert!(SigningKey::from_pem_or_der(&both).is_ok());
    assert!(Certificate::from_pem_or_der(&both).is_ok());
}

#[test]
fn encrypted_keys_open_with_their_passphrase_and_no_other() {
    let folder = Folder::new();
    folder.openssl(&format!("{} -out p256.pem", KINDS[0].1));
    folder.openssl(&format!("{} -out rsa2048.pem", KINDS[2].1));
    folder.openssl(&format!("{} -out p521.pem", KINDS[4].1));
    folder.openssl(&format!("{} -out ed25519.pem", KINDS[5].1));
    let aes = "-v2 aes-256-cbc";
    for (name, scheme, format) in [
        ("p256", aes, "pem"),
        ("p256", aes, "der"),
        ("p256", "-v2 aes-128-cbc -v2prf hmacWithSHA256", "pem"),
        ("p256", "-scrypt", "der"),
        ("rsa2048", aes, "pem"),
        ("p521", aes, "der"),
        ("ed25519", aes, "pem"),
    ] {
        let plain = folder.key(&format!("{name}.pem")).expect("reads");
        folder.openssl(&format!(
            "pkcs8 -topk8 -in {name}.pem {scheme} -passout pass:orchid \
             -outform {format} -out encrypted"
        ));
        let encrypted = folder.read("encrypted");
        assert!(SigningKey::is_encrypted(&encrypted), "{scheme} {format}");
        assert_eq!(
            SigningKey::from_pem_or_der(&encrypted).err(),
            Some(KeyError::Encrypted),
            "{scheme} {format}"
        );
        let opened = SigningKey::from_encrypted(&encrypted, "orchid")
            .unwrap_or_else(|error| panic!("{name} {scheme} {format}: {error}"));
        assert_eq!(opened.public_key(), plain.public_key());
        for wrong in ["", "Orchid"] {
            assert_eq!(
                SigningKey::from_encrypted(&encrypted, wrong).err(),
                Some(KeyError::Passphrase),
                "{scheme} {format} {wrong:?}"
            );
        }
    }
    let plain = folder.read("p256.pem");
    assert_eq!(
        SigningKey::from_encrypted(&plain, "orchid").err(),
        Some(KeyError::Malformed)
    );
}

/// What is a key, but not one to be used, is refused for what it is.
#[test]
fn keys_that_are_not_accepted_are_named() {
    let folder = Folder::new();
    folder.openssl("genrsa -out rsa1024.pem 1024");
    folder.openssl("rsa -in rsa1024.pem -traditional -outform der -out rsa1024.der");
    for file in ["rsa1024.pem", "rsa1024.der"] {
        assert_eq!(
            folder.key(file).err(),
            Some(KeyError::RsaSize { bits: 1024 }),
            "{file}"
        );
    }
    folder.openssl("pkey -in rsa1024.pem -pubout -outform der -out rsa1024.spki");
    assert_eq!(
        PublicKey::from_spki_der(&folder.read("rsa1024.spki")).err(),
        Some(KeyError::RsaSize { bits: 1024 })
    );
    for (name, make) in [
        (
            "secp256k1",
            "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:secp256k1",
        ),
        ("ed448", "genpkey -algorithm ed448"),
        ("x25519", "genpkey -algorithm x25519"),
    ] {
        folder.openssl(&format!("{make} -out {name}.pem"));
        folder.openssl(&format!("{make} -outform der -out {name}.der"));
        folder.openssl(&format!(
            "pkey -in {name}.pem -pubout -outform der -out {name}.spki"
        ));
        for file in ["pem", "der"] {
            let refused = folder.key(&format!("{name}.{file}"));
            assert!(
                matches!(refused, Err(KeyError::Unsupported { .. })),
                "{name} {refused:?}"
            );
        }
        let refused = PublicKey::from_spki_der(&folder.read(&format!("{name}.spki")));
        assert!(
            matches!(refused, Err(KeyError::Unsupported { .. })),
            "{name} {refused:?}"
        );
    }
    folder.openssl("ecparam -name secp256k1 -genkey -noout -outform der -out sec1.der");
    let refused = folder.key("sec1.der");
    assert!(
        matches!(refused, Err(KeyError::Unsupported { .. })),
        "{refused:?}"
    );
    folder.openssl(&format!("{} -out p256.pem", KINDS[0].1));
    let pem = String::from_utf8(folder.read("p256.pem")).expect("text");
    for broken in [
        pem.replace("-----END", "-----"),
        pem.replacen('M', "", 1),
        pem.replace("PRIVATE KEY", "CERTIFICATE"),
    ] {
        assert_eq!(
            SigningKey::from_pem_or_der(broken.as_bytes()).err(),
            Some(KeyError::Malformed),
            "{broken}"
        );
    }
}

/// A key never shows itself, nor does an error about one.
#[test]
fn nothing_of_a_private_key_is_printed() {
    let folder = Folder::new();
    folder.openssl(&format!("{} -out p256.pem", KINDS[0].1));
    let pem = String::from_utf8(folder.read("p256.pem")).expect("text");
    let key = folder.key("p256.pem").expect("reads");
    let secret = pem.lines().nth(1).expect("a line");
    let mut broken = pem.replace(secret, &secret[..secret.len() - 3]);
    broken.push_str(secret);
    let error = SigningKey::from_pem_or_der(broken.as_bytes()).expect_err("refused");
    for printed in [format!("{key:?}"), format!("{error:?}"), error.to_string()] {
        assert!(!printed.contains(&secret[..8]), "{printed}");
    }
}

/// Signs `message` in the folder by `openssl dgst` and gives our verdict.
fn verdict(
    folder: &Folder,
    name: &str,
    options: &str,
    digest: &str,
    algorithm: SignatureAlgorithm,
) -> Result<(), SignatureError> {
    folder.openssl(&format!(
        "dgst -{digest} {options} -sign {name}.pem -out signature message"
    ));
    let key = folder.key(&format!("{name}.pem")).expect("reads");
    let signature = folder.read("signature");
    key.public_key()
        .verify(algorithm, &folder.read("message"), &signature)
}

#[test]
fn signatures_of_openssl_get_one_verdict_on_either_backend() {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    use SignatureAlgorithm::{Ecdsa, Ed25519, RsaPkcs1, RsaPss};
    let folder = Folder::new();
    folder.write("message", b"the message");
    for (name, make, _) in KINDS {
        folder.openssl(&format!("{make} -out {name}.pem"));
    }
    let digests = [("sha256", Sha256), ("sha384", Sha384), ("sha512", Sha512)];
    for (name, digest) in digests {
        for key in ["p256", "p384", "p521"] {
            assert_eq!(
                verdict(&folder, key, "", name, Ecdsa(digest)),
                Ok(()),
                "{key} {name}"
            );
        }
        for key in ["rsa2048", "rsa3072"] {
            assert_eq!(
                verdict(&folder, key, "", name, RsaPkcs1(digest)),
                Ok(()),
                "{key} {name}"
            );
            let pss = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest";
            assert_eq!(
                verdict(&folder, key, pss, name, RsaPss(digest)),
                Ok(()),
                "{key} {name}"
            );
            // A salt of another length than the parameters say is another signature.
            for salt in ["20", "max", "0"] {
                let pss = format!("-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:{salt}");
                assert_eq!(
                    verdict(&folder, key, &pss, name, RsaPss(digest)),
                    Err(SignatureError::Bad),
                    "{key} {name} salt {salt}"
                );
            }
            assert_eq!(
                verdict(&folder, key, "", name, RsaPss(digest)),
                Err(SignatureError::Bad)
            );
            assert_eq!(
                verdict(&folder, key, "", name, Ecdsa(digest)),
                Err(SignatureError::WrongKeyType)
            );
        }
    }
    folder.openssl("pkeyutl -sign -rawin -inkey ed25519.pem -in message -out signature");
    let key = folder.key("ed25519.pem").expect("reads");
    let by_openssl = folder.read("signature");
    assert_eq!(
        key.sign(b"the message").as_deref(),
        Ok(by_openssl.as_slice())
    );
    let public = key.public_key();
    assert_eq!(public.verify(Ed25519, b"the message", &by_openssl), Ok(()));
    assert_eq!(
        public.verify(Ecdsa(Sha512), b"the message", &by_openssl),
        Err(SignatureError::WrongKeyType)
    );
    assert_eq!(
        verdict(&folder, "p256", "", "sha256", RsaPkcs1(Sha256)),
        Err(SignatureError::WrongKeyType)
    );
    assert_eq!(
        verdict(&folder, "p256", "", "sha384", Ecdsa(Sha256)),
        Err(SignatureError::Bad)
    );
}

/// Encodings of an ECDSA signature that are not DER, and lengths that no RSA signature has.
#[test]
fn signatures_are_not_malleable() {
    let folder = Folder::new();
    folder.openssl(&format!("{} -out p256.pem", KINDS[0].1));
    folder.openssl(&format!("{} -out rsa2048.pem", KINDS[2].1));
    let key = folder.key("p256.pem").expect("reads");
    let good = key.sign(b"m").expect("signs");
    let check = |signature: &[u8]| key.public_key().verify(key.algorithm(), b"m", signature);
    assert_eq!(check(&good), Ok(()));
    let mut longer = good.clone();
    longer.push(0);
    let mut padded = good.clone();
    padded[1] += 1;
    padded[3] += 1;
    padded.insert(4, 0);
    let mut long_length = good.clone();
    long_length.insert(1, 0x81);
    let zero = [0x30, 6, 2, 1, 0, 2, 1, 0];
    for bad in [
        &longer[..],
        &padded,
        &long_length,
        &zero,
        &good[..good.len() - 1],
        &[],
    ] {
        assert_eq!(check(bad), Err(SignatureError::Bad), "{bad:02x?}");
    }
    let key = folder.key("rsa2048.pem").expect("reads");
    let good = key.sign(b"m").expect("signs");
    let check = |signature: &[u8]| key.public_key().verify(key.algorithm(), b"m", signature);
    assert_eq!(check(&good), Ok(()));
    let longer = [&[0][..], &good].concat();
    for bad in [&longer[..], &good[1..], &[0xFF; 256], &[0; 256], &[]] {
        assert_eq!(check(bad), Err(SignatureError::Bad));
    }
}

/// RFC 5480 §2.2 has compressed points too; there are no other forms.
#[test]
fn forms_of_a_point() {
    for kind in [KINDS[0], KINDS[1], KINDS[4]] {
        forms_of_a_point_on(kind.1);
    }
}

fn forms_of_a_point_on(make: &str) {
    let folder = Folder::new();
    folder.openssl(&format!("{make} -out key.pem"));
    let key = folder.key("key.pem").expect("reads");
    let signature = key.sign(b"m").expect("signs");
    for form in ["compressed", "uncompressed", "hybrid"] {
        folder.openssl(&format!(
            "pkey -in key.pem -pubout -ec_conv_form {form} -outform der -out spki"
        ));
        let public = PublicKey::from_spki_der(&folder.read("spki"));
        if form == "hybrid" {
            assert_eq!(public.err(), Some(KeyError::Malformed));
        } else {
            let public = public.expect("reads");
            assert_eq!(
                public.verify(key.algorithm(), b"m", &signature),
                Ok(()),
                "{form}"
            );
            assert_eq!(
                public.verify(key.algorithm(), b"n", &signature),
                Err(SignatureError::Bad)
            );
        }
    }
}

#[test]
fn keys_fit_only_their_algorithms() {
    let folder = Folder::new();
    folder.openssl(&format!("{} -out p256.pem", KINDS[0].1));
    folder.openssl(&format!("{} -out rsa2048.pem", KINDS[2].1));
    let digest = DigestAlgorithm::Sha256;
    for (file, fits, others) in [
        (
            "p256.pem",
            vec![SignatureAlgorithm::Ecdsa(DigestAlgorithm::Sha384)],
            vec![
                SignatureAlgorithm::RsaPkcs1(digest),
                SignatureAlgorithm::RsaPss(digest),
            ],
        ),
        (
            "rsa2048.pem",
            vec![
                SignatureAlgorithm::RsaPkcs1(digest),
                SignatureAlgorithm::RsaPss(digest),
            ],
            vec![SignatureAlgorithm::Ecdsa(digest)],
        ),
    ] {
        let key = folder.key(file).expect("reads");
        for algorithm in fits {
            assert_eq!(
                key.with_algorithm(algorithm).expect("fits").algorithm(),
                algorithm
            );
        }
        for algorithm in others {
            assert_eq!(
                key.with_algorithm(algorithm).err(),
                Some(KeyError::WrongAlgorithm)
            );
        }
    }
}

/// RFC 4055 §1.2: a key for RSASSA-PSS only, with or without a digest that it is limited to.
#[test]
fn keys_for_pss_only() {
    use DigestAlgorithm::{Sha256, Sha384};
    use SignatureAlgorithm::{RsaPkcs1, RsaPss};
    let folder = Folder::new();
    folder.write("message", b"the message");
    let limited = "-pkeyopt rsa_pss_keygen_md:sha256 -pkeyopt rsa_pss_keygen_mgf1_md:sha256 \
                   -pkeyopt rsa_pss_keygen_saltlen:32";
    for (options, fits_sha384) in [("", true), (limited, false)] {
        folder.openssl(&format!(
            "genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 {options} -out pss.pem"
        ));
        folder.openssl("pkey -in pss.pem -pubout -outform der -out pss.spki");
        let key = PublicKey::from_spki_der(&folder.read("pss.spki")).expect("reads");
        assert_eq!(key.description(), "RSA-PSS 2048");
        assert!(key.fits(RsaPss(Sha256)));
        assert_eq!(key.fits(RsaPss(Sha384)), fits_sha384);
        assert!(!key.fits(RsaPkcs1(Sha256)));
        folder.openssl(
            "dgst -sha256 -sigopt rsa_pss_saltlen:digest -sign pss.pem -out signature message",
        );
        let signature = folder.read("signature");
        assert_eq!(
            key.verify(RsaPss(Sha256), b"the message", &signature),
            Ok(())
        );
        assert_eq!(
            key.verify(RsaPss(Sha256), b"another", &signature),
            Err(SignatureError::Bad)
        );
        assert_eq!(
            key.verify(RsaPkcs1(Sha256), b"the message", &signature),
            Err(SignatureError::WrongKeyType)
        );
    }
}
