//! Keys in a SoftHSM 2 token sign messages and certificates that OpenSSL and we accept.
//!
//! SoftHSM finds its token directory through an environment variable, so the outer test makes the
//! token and runs the inner one in a process of its own. Without `softhsm2` it says so and is over.
#![cfg(feature = "pkcs11")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sztp_cms::{
    Certificate, CertificateBuilder, DigestAlgorithm, KeyError, KeyType, Limits, Pkcs11Error,
    Pkcs11Module, Pkcs11Signer, Pkcs11Uri, SignatureAlgorithm, SignedData, SignedDataBuilder,
    Signer, SigningKey, TrustAnchors, VerifyOptions, WallClock, oids,
};

const PIN: &str = "orchid 4711";
const CONTENT: &[u8] = b"{\"what\":\"is signed\"}";
const KEYS: [(&str, KeyType); 5] = [
    ("p256", KeyType::EcP256),
    ("p384", KeyType::EcP384),
    ("p521", KeyType::EcP521),
    ("rsa", KeyType::Rsa2048),
    ("ed25519", KeyType::Ed25519),
];

fn module() -> Option<PathBuf> {
    let given = std::env::var_os("SZTP_PKCS11_MODULE").map(PathBuf::from);
    given
        .into_iter()
        .chain(MODULES.map(PathBuf::from))
        .find(|path| path.exists())
}

const MODULES: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];

fn run(program: &str, directory: &Path, arguments: &[&str]) -> Output {
    Command::new(program)
        .args(arguments)
        .current_dir(directory)
        .env("SOFTHSM2_CONF", directory.join("softhsm2.conf"))
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error}"))
}

fn ok(program: &str, directory: &Path, arguments: &[&str]) {
    let output = run(program, directory, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {stderr}{stdout}"
    );
}

#[test]
fn keys_in_a_token_sign() {
    let Some(module) = module() else {
        // Not `eprintln!`, which the test harness swallows.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: no SoftHSM 2 (package softhsm2, or SZTP_PKCS11_MODULE): PKCS#11 is not tested"
        );
        return;
    };
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path();
    std::fs::create_dir(path.join("tokens")).expect("a directory");
    let config = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\n",
        path.join("tokens").display()
    );
    std::fs::write(path.join("softhsm2.conf"), config).expect("write");
    std::fs::write(path.join("pin"), format!("{PIN}\n")).expect("write");
    for label in ["owner", "other"] {
        ok(
            "softhsm2-util",
            path,
            &[
                "--init-token",
                "--free",
                "--label",
                label,
                "--so-pin",
                "12345678",
                "--pin",
                PIN,
            ],
        );
    }
    let import = |name: &str, label: &str, id: &str, key: &SigningKey| {
        let file = format!("{name}.key");
        std::fs::write(
            path.join(&file),
            key.to_pkcs8_pem().expect("encodes").as_bytes(),
        )
        .expect("write");
        run(
            "softhsm2-util",
            path,
            &[
                "--import", &file, "--token", "owner", "--label", label, "--id", id, "--pin", PIN,
            ],
        )
    };
    let mut imported = Vec::new();
    for (index, (name, key_type)) in KEYS.into_iter().enumerate() {
        let key = SigningKey::generate(key_type).expect("a key");
        std::fs::write(path.join(format!("{name}.spki")), key.spki_der()).expect("write");
        let output = import(name, name, &format!("a{index}"), &key);
        if output.status.success() {
            imported.push(name);
        } else {
            // SoftHSM can be built without Edwards curves.
            assert_eq!(name, "ed25519", "{output:?}");
            // Not `eprintln!`, which the test harness swallows.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: this SoftHSM takes no Ed25519 keys"
            );
        }
    }
    for id in ["b0", "b1"] {
        let key = SigningKey::generate(KeyType::EcP256).expect("a key");
        assert!(import("twin", "twin", id, &key).status.success());
    }
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "inside_the_token", "--ignored", "--nocapture"])
        .env("SOFTHSM2_CONF", path.join("softhsm2.conf"))
        .env("SZTP_TEST_MODULE", module)
        .env("SZTP_TEST_DIRECTORY", path)
        .env("SZTP_TEST_KEYS", imported.join(","))
        .output()
        .expect("runs");
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    for line in said.lines().filter(|line| line.starts_with("SKIPPED")) {
        // Not `eprintln!`, which the test harness swallows.
        let _ = writeln!(std::io::stderr(), "{line}");
    }
}

fn uri(path: &str) -> Pkcs11Uri {
    path.parse()
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
#[ignore = "run by keys_in_a_token_sign, which makes the token"]
fn inside_the_token() {
    let directory = PathBuf::from(std::env::var_os("SZTP_TEST_DIRECTORY").expect("a directory"));
    let file = std::env::var("SZTP_TEST_MODULE").expect("a module");
    let keys = std::env::var("SZTP_TEST_KEYS").expect("keys");
    let module = Pkcs11Module::load(&file).expect("loads");
    what_is_not_there_is_named(&module, &directory);
    for name in keys.split(',') {
        let signer = module
            .signer(
                &uri(&format!("pkcs11:token=owner;object={name};type=private")),
                Some(PIN),
            )
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        let spki = std::fs::read(directory.join(format!("{name}.spki"))).expect("read");
        assert_eq!(signer.spki_der(), spki, "{name}");
        signs_with_every_algorithm(name, signer);
    }
    // All in the URI: the module, and the PIN in a file.
    let all = format!(
        "pkcs11:token=owner;id=%A0?module-path={file}&pin-source=file:{}",
        directory.join("pin").display()
    );
    let signer = Pkcs11Signer::open(&uri(&all), None).expect("opens");
    signs(&signer, &directory);
    assert!(!format!("{signer:?}").contains(PIN));

    // A key that was made in the token, by another program, and never left it.
    let made = run(
        "pkcs11-tool",
        &directory,
        &[
            "--module",
            &file,
            "--token-label",
            "owner",
            "--login",
            "--pin",
            PIN,
            "--keypairgen",
            "--key-type",
            "EC:secp384r1",
            "--label",
            "native",
            "--id",
            "c0",
        ],
    );
    if made.status.success() {
        let native = uri("pkcs11:token=owner;object=native");
        signs(
            &module.signer(&native, Some(PIN)).expect("opens"),
            &directory,
        );
    } else {
        // Not `eprintln!`, which the test harness swallows.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED in part: pkcs11-tool (package opensc) made no key"
        );
    }
}

fn what_is_not_there_is_named(module: &Pkcs11Module, directory: &Path) {
    // Before the first login: afterwards the process is logged in.
    let refused = |path: &str, pin: Option<&str>| module.signer(&uri(path), pin).map(|_| ()).err();
    let p256 = "pkcs11:token=owner;object=p256";
    assert_eq!(refused(p256, None), Some(Pkcs11Error::PinRequired));
    assert_eq!(
        refused(p256, Some("wrong 1234")),
        Some(Pkcs11Error::PinIncorrect)
    );
    assert_eq!(
        refused("pkcs11:token=nobody", Some(PIN)),
        Some(Pkcs11Error::NoToken)
    );
    assert!(matches!(
        refused("pkcs11:object=p256", Some(PIN)),
        Some(Pkcs11Error::Ambiguous { what: "tokens", .. })
    ));
    assert_eq!(
        refused("pkcs11:token=owner;object=twin", Some(PIN)),
        Some(Pkcs11Error::Ambiguous {
            what: "keys",
            count: 2
        })
    );
    assert_eq!(
        refused("pkcs11:token=owner;object=nothing", Some(PIN)),
        Some(Pkcs11Error::NoKey)
    );
    assert!(refused("pkcs11:token=owner;object=twin;id=%b1", Some(PIN)).is_none());
    assert!(matches!(
        refused("pkcs11:token=owner?pin-source=/nowhere/at/all", None),
        Some(Pkcs11Error::PinSource { .. })
    ));
    assert!(matches!(
        Pkcs11Module::load(directory.join("pin")),
        Err(Pkcs11Error::Module { .. })
    ));
    assert_eq!(
        Pkcs11Signer::open(&uri(p256), Some(PIN)).map(|_| ()),
        Err(Pkcs11Error::NoModule)
    );
}

fn signs_with_every_algorithm(name: &str, mut signer: Pkcs11Signer) {
    use DigestAlgorithm::{Sha256, Sha384, Sha512};
    let mut used = 0;
    for digest in [Sha256, Sha384, Sha512] {
        for algorithm in [
            SignatureAlgorithm::Ecdsa(digest),
            SignatureAlgorithm::RsaPkcs1(digest),
            SignatureAlgorithm::RsaPss(digest),
            SignatureAlgorithm::Ed25519,
        ] {
            if !signer.public_key().fits(algorithm) {
                continue;
            }
            signer = signer.with_algorithm(algorithm).expect("fits");
            let signature = signer
                .sign(CONTENT)
                .unwrap_or_else(|e| panic!("{name} {algorithm}: {e}"));
            let key = signer.public_key();
            assert_eq!(key.verify(algorithm, CONTENT, &signature), Ok(()));
            used += 1;
        }
    }
    assert!(used >= 3, "{name}");
    let other = match signer.algorithm() {
        SignatureAlgorithm::Ecdsa(digest) => SignatureAlgorithm::RsaPss(digest),
        _ => SignatureAlgorithm::Ecdsa(Sha256),
    };
    assert_eq!(
        signer.with_algorithm(other).map(|_| ()),
        Err(KeyError::WrongAlgorithm)
    );
}

/// A certificate and a message; OpenSSL judges both.
fn signs(signer: &Pkcs11Signer, directory: &Path) {
    let certificate: Certificate = CertificateBuilder::new("CN=in a token")
        .ca(None)
        .self_signed(signer)
        .expect("issued");
    let message = SignedDataBuilder::new(oids::ANIMA_JSON_VOUCHER, CONTENT)
        .certificates([certificate.clone()])
        .sign(signer, &certificate)
        .expect("signs");
    let anchors = TrustAnchors::new([certificate.clone()]);
    let types = [oids::ANIMA_JSON_VOUCHER];
    let verified = SignedData::parse(&message, &Limits::default())
        .expect("parses")
        .verify(&VerifyOptions::new(&anchors, WallClock::Unknown, &types))
        .expect("verifies");
    assert_eq!(verified.content(), CONTENT);
    std::fs::write(directory.join("message"), &message).expect("write");
    std::fs::write(directory.join("crt"), certificate.to_pem()).expect("write");
    ok(
        "openssl",
        directory,
        &["verify", "-check_ss_sig", "-CAfile", "crt", "crt"],
    );
    ok(
        "openssl",
        directory,
        &[
            "cms", "-verify", "-binary", "-inform", "der", "-in", "message", "-CAfile", "crt",
            "-purpose", "any", "-out", "out",
        ],
    );
}
