//! Signers and recipients are named by issuer and serial number, and names match as RFC 5280 §7.1
//! has it, not octet by octet. OpenSSL is the judge of which do.

use std::process::Command;

use sztp_cms::{
    Certificate, CmsError, DecryptOptions, DecryptionPolicy, EnvelopedData, Limits, SignedData,
    SigningKey, TrustAnchors, UnixTime, VerifyOptions, WallClock, oids,
};

const CONTENT: &[u8] = b"signed or encrypted";

/// The issuer's common name in the certificate, in UTF-8.
const NAME: &[u8] = b"\x0C\x0AExample CA";

/// What stands for it in the message, and whether that is the same name.
const VARIANTS: [(&[u8], bool); 10] = [
    (NAME, true),
    (b"\x0C\x0AEXAMPLE ca", true),
    (b"\x13\x0AExample CA", true),
    (b"\x16\x0Aexample CA", true),
    (b"\x14\x0Aexample cA", true),
    (b"\x0C\x0AExample\tCA", true),
    (b"\x0C\x0AExample-CA", false),
    (b"\x0C\x0AExampleCA ", false),
    (b"\x0C\x0A Example C", false),
    (b"\x04\x0AExample CA", false),
];

struct Lab(tempfile::TempDir);

impl Lab {
    fn new() -> Self {
        let lab = Self(tempfile::tempdir().expect("a temporary directory"));
        let run = |arguments: &[&str]| {
            let (ok, stderr) = lab.openssl(arguments);
            assert!(ok, "openssl {arguments:?}: {stderr}");
        };
        for name in ["ca", "rsa", "ec"] {
            let kind: &[&str] = match name {
                "rsa" => &["-algorithm", "RSA"],
                _ => &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
            };
            let file = format!("{name}.key");
            run(&[&["genpkey", "-out", &file], kind].concat());
        }
        run(&[
            "req",
            "-x509",
            "-new",
            "-utf8",
            "-key",
            "ca.key",
            "-subj",
            "/CN=Example CA",
            "-days",
            "30",
            "-out",
            "ca.crt",
        ]);
        for name in ["rsa", "ec"] {
            let file = |extension| format!("{name}.{extension}");
            let subject = format!("/CN={name}");
            run(&[
                "req",
                "-new",
                "-key",
                &file("key"),
                "-subj",
                &subject,
                "-out",
                &file("csr"),
            ]);
            run(&[
                "x509",
                "-req",
                "-in",
                &file("csr"),
                "-CA",
                "ca.crt",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                "30",
                "-out",
                &file("crt"),
            ]);
        }
        lab.write("content", CONTENT);
        lab
    }

    fn openssl(&self, arguments: &[&str]) -> (bool, String) {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .expect("openssl is installed");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.success(), stderr)
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).expect(name)
    }

    fn write(&self, name: &str, octets: &[u8]) {
        std::fs::write(self.0.path().join(name), octets).expect(name);
    }

    fn certificate(&self, name: &str) -> Certificate {
        Certificate::from_pem_or_der(&self.read(&format!("{name}.crt"))).expect(name)
    }

    /// OpenSSL makes the message; the issuer's name in its last part, the signer's or recipient's,
    /// is replaced.
    fn message(&self, arguments: &[&str], name: &[u8]) -> Vec<u8> {
        let (ok, stderr) = self.openssl(arguments);
        assert!(ok, "openssl {arguments:?}: {stderr}");
        let mut message = self.read("made");
        let mut windows = message.windows(NAME.len());
        let at = windows.rposition(|window| window == NAME);
        message[at.expect("names the issuer")..][..NAME.len()].copy_from_slice(name);
        self.write("message", &message);
        message
    }
}

#[test]
fn signers_are_found_by_names_that_match() {
    let lab = Lab::new();
    let anchors = TrustAnchors::new([lab.certificate("ca")]);
    let now = UnixTime::from_system_time(std::time::SystemTime::now());
    let options = VerifyOptions::new(&anchors, WallClock::Trusted(now), &[oids::ID_DATA]);
    for signer in ["rsa", "ec"] {
        for (name, matches) in VARIANTS {
            let (certificate, key) = (format!("{signer}.crt"), format!("{signer}.key"));
            let message = lab.message(
                &[
                    "cms",
                    "-sign",
                    "-binary",
                    "-nodetach",
                    "-outform",
                    "DER",
                    "-in",
                    "content",
                    "-signer",
                    &certificate,
                    "-inkey",
                    &key,
                    "-out",
                    "made",
                ],
                name,
            );
            let (theirs, _) = lab.openssl(&[
                "cms", "-verify", "-binary", "-inform", "DER", "-in", "message", "-CAfile",
                "ca.crt", "-out", "theirs", "-purpose", "any",
            ]);
            let ours = SignedData::parse(&message, &Limits::default())
                .and_then(|signed| signed.verify(&options));
            assert_eq!(theirs, matches, "OpenSSL and {name:02x?}");
            match ours {
                Ok(verified) => {
                    assert!(matches, "{name:02x?}");
                    assert_eq!(verified.content(), lab.read("theirs"));
                    assert_eq!(verified.signer(), &lab.certificate(signer));
                }
                Err(error) => {
                    assert!(!matches, "{name:02x?}: {error}");
                    assert!(matches!(error, CmsError::SignerCertificateMissing { .. }));
                }
            }
        }
    }
}

#[test]
fn recipients_are_found_by_names_that_match() {
    let lab = Lab::new();
    for recipient in ["rsa", "ec"] {
        let (certificate, key) = (format!("{recipient}.crt"), format!("{recipient}.key"));
        let private = SigningKey::from_pem_or_der(&lab.read(&key)).expect("a key");
        for (name, matches) in VARIANTS {
            let message = lab.message(
                &[
                    "cms",
                    "-encrypt",
                    "-binary",
                    "-outform",
                    "DER",
                    "-in",
                    "content",
                    "-aes256",
                    "-recip",
                    &certificate,
                    "-out",
                    "made",
                ],
                name,
            );
            let (theirs, _) = lab.openssl(&[
                "cms",
                "-decrypt",
                "-binary",
                "-inform",
                "DER",
                "-in",
                "message",
                "-recip",
                &certificate,
                "-inkey",
                &key,
                "-out",
                "theirs",
            ]);
            let options = DecryptOptions {
                policy: DecryptionPolicy::lenient(),
                ..DecryptOptions::default()
            };
            let ours = EnvelopedData::parse(&message, &Limits::default())
                .and_then(|it| it.decrypt(&private, &lab.certificate(recipient), &options));
            assert_eq!(theirs, matches, "OpenSSL and {name:02x?}");
            match ours {
                Ok(plain) => {
                    assert!(matches, "{name:02x?}");
                    assert_eq!(plain.content(), lab.read("theirs"));
                }
                Err(error) => assert!(!matches, "{name:02x?}: {error}"),
            }
        }
    }
}
