//! OpenSSL on the other side: it verifies what we issue, and we verify what it signs.

use std::path::PathBuf;
use std::process::Command;

use sztp_cms::{Certificate, CmsError, SigningKey, TrustAnchors, UnixTime, WallClock, oids};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{
    Assertion, IssueOptions, Profile, SignedVoucher, Voucher, VoucherContext, VoucherError, issue,
};

const KEYS: [&str; 3] = [
    "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out",
    "genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out",
    "genrsa -out",
];

struct Folder(tempfile::TempDir, UnixTime);

impl Folder {
    /// A vendor's root and a MASA below it, and an owner's certificate.
    fn new(key: &str) -> Self {
        let folder = Self(tempfile::tempdir().expect("a temporary directory"), now());
        for name in ["root", "masa", "domain"] {
            folder.openssl(&format!("{key} {name}.key"));
        }
        folder.openssl("req -x509 -new -key root.key -subj /CN=vendor -days 30 -out root.crt");
        folder.openssl("req -x509 -new -key domain.key -subj /CN=domain -days 30 -out domain.crt");
        folder.openssl("req -new -key masa.key -subj /CN=MASA -out masa.csr");
        folder.openssl(
            "x509 -req -in masa.csr -CA root.crt -CAkey root.key -CAcreateserial -out masa.crt",
        );
        folder
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

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .expect("openssl is installed");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {stderr}");
    }

    fn certificate(&self, name: &str) -> Certificate {
        Certificate::from_pem_or_der(&self.read(name)).expect("reads")
    }

    fn voucher(&self) -> Voucher {
        let domain = self.certificate("domain.crt");
        Voucher::new("AX7-00042", Assertion::Verified, domain.as_der(), self.1)
    }

    fn verify(&self, message: &[u8]) -> Result<Voucher, VoucherError> {
        let anchors = TrustAnchors::new([self.certificate("root.crt")]);
        SignedVoucher::parse(message, Profile::Rfc8366)?
            .verify(&VoucherContext {
                serial_number: Some("AX7-00042"),
                ..VoucherContext::new(&anchors, WallClock::Trusted(now()))
            })
            .map(|verified| verified.voucher().clone())
    }
}

fn now() -> UnixTime {
    UnixTime::from_system_time(std::time::SystemTime::now())
}

#[test]
fn openssl_verifies_what_we_issue() {
    for key in KEYS {
        let folder = Folder::new(key);
        let signer = SigningKey::from_pem_or_der(&folder.read("masa.key")).expect("reads");
        for content_type in [oids::ANIMA_JSON_VOUCHER, oids::ID_DATA] {
            let options = IssueOptions {
                content_type,
                signing_time: Some(now()),
                ..IssueOptions::default()
            };
            let masa = folder.certificate("masa.crt");
            let message = issue(&folder.voucher(), &signer, &masa, &[], &options).expect("issues");
            folder.write("voucher.vcj", &message);
            folder.openssl(
                "cms -verify -binary -inform der -in voucher.vcj -CAfile root.crt -purpose any \
                 -out content",
            );
            let said = Voucher::decode(&folder.read("content"), Encoding::Json, Profile::Rfc8366);
            assert_eq!(said, Ok((folder.voucher(), Vec::new())));
            assert_eq!(folder.verify(&message), Ok(folder.voucher()));
        }
    }
}

/// The MASA of the seed workflow is nothing but this command.
#[test]
fn vouchers_signed_by_openssl() {
    for key in KEYS {
        let folder = Folder::new(key);
        let voucher = folder.voucher();
        folder.write("voucher.json", &voucher.encode(Encoding::Json));
        for form in [
            "-econtent_type 1.2.840.113549.1.9.16.1.40",
            "-econtent_type 1.2.840.113549.1.9.16.1.40 -stream -md sha384",
            "-noattr",
            "-certfile root.crt",
        ] {
            folder.openssl(&format!(
                "cms -sign -binary -nodetach -outform der -in voucher.json -signer masa.crt \
                 -inkey masa.key {form} -out voucher.vcj"
            ));
            assert_eq!(
                folder.verify(&folder.read("voucher.vcj")),
                Ok(voucher.clone()),
                "{form}"
            );
        }
    }
}

#[test]
fn what_openssl_signs_and_is_no_voucher_for_this_device() {
    let folder = Folder::new(KEYS[0]);
    let sign = |content: &[u8], form: &str| {
        folder.write("content", content);
        folder.openssl(&format!(
            "cms -sign -binary -outform der -in content -inkey masa.key {form} -out voucher.vcj"
        ));
        folder
            .verify(&folder.read("voucher.vcj"))
            .expect_err("refused")
            .code()
    };
    let good = folder.voucher().encode(Encoding::Json);
    let masa = "-nodetach -signer masa.crt";
    let other = Voucher {
        serial_number: "AX7-00043".to_owned(),
        ..folder.voucher()
    };
    assert_eq!(
        sign(&other.encode(Encoding::Json), masa),
        "voucher.serial-mismatch"
    );
    let past = Voucher {
        created_on: now().plus_secs(-100),
        expires_on: Some(now().plus_secs(-50)),
        ..folder.voucher()
    };
    assert_eq!(sign(&past.encode(Encoding::Json), masa), "voucher.expired");
    assert_eq!(sign(&good, "-signer masa.crt"), "cms.no-content");
    assert_eq!(
        sign(&good, "-nodetach -signer masa.crt -nocerts"),
        "cms.signer-certificate-missing"
    );
    assert_eq!(
        sign(&good, "-nodetach -signer masa.crt -md sha1"),
        "cms.weak-algorithm"
    );
    assert_eq!(
        sign(
            &good,
            "-nodetach -signer masa.crt -econtent_type 1.2.840.113549.1.9.16.1"
        ),
        "cms.wrong-content-type"
    );
    // The signer's certificate under another root.
    folder.openssl("req -x509 -new -key masa.key -subj /CN=self -days 30 -out masa.crt");
    assert_eq!(sign(&good, masa), "voucher.untrusted-signer");
}

/// Plain PKCS#7 of the old kind (version 1, `openssl smime`) holds a voucher as well.
/// LEDGER: 8366-5.4-05
#[test]
fn the_pkcs7_form() {
    let folder = Folder::new(KEYS[2]);
    folder.write("voucher.json", &folder.voucher().encode(Encoding::Json));
    folder.openssl(
        "smime -sign -binary -nodetach -outform der -in voucher.json -signer masa.crt \
         -inkey masa.key -out voucher.p7",
    );
    assert_eq!(
        folder.verify(&folder.read("voucher.p7")),
        Ok(folder.voucher())
    );
}

#[test]
fn an_encrypted_voucher_is_not_signed_data() {
    let folder = Folder::new(KEYS[2]);
    folder.write("voucher.json", &folder.voucher().encode(Encoding::Json));
    folder.openssl(
        "cms -encrypt -aes256 -binary -outform der -in voucher.json -out encrypted masa.crt",
    );
    assert_eq!(
        folder.verify(&folder.read("encrypted")),
        Err(VoucherError::Cms(CmsError::NotSignedData(
            oids::ID_ENVELOPED_DATA
        )))
    );
}
