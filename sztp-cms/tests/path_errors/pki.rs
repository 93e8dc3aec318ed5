//! Certificates to judge: made here, or by OpenSSL in a folder of its own.

use std::process::{Command, Stdio};

use der::asn1::ObjectIdentifier;
use sztp_cms::{
    Certificate, CertificateBuilder, KeyType, PathError, PathOptions, Signer as _, SigningKey,
    TrustAnchors, UnixTime, WallClock, validate_path,
};

pub(crate) const NOW: UnixTime = UnixTime::from_secs(1_800_000_000);
pub(crate) const DAY: i64 = 24 * 3600;

pub(crate) fn oid(text: &str) -> ObjectIdentifier {
    ObjectIdentifier::new(text).expect("an object identifier")
}

pub(crate) fn key() -> SigningKey {
    SigningKey::generate(KeyType::EcP256).expect("a key")
}

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(crate) certificate: Certificate,
    pub(crate) key: SigningKey,
}

impl Holder {
    pub(crate) fn root(builder: &CertificateBuilder) -> Self {
        let key = key();
        let certificate = builder.self_signed(&key).expect("issues");
        Self { certificate, key }
    }

    pub(crate) fn issue(&self, builder: &CertificateBuilder) -> Self {
        self.issue_for(key(), builder)
    }

    pub(crate) fn issue_for(&self, key: SigningKey, builder: &CertificateBuilder) -> Self {
        let certificate = builder
            .issued_by(key.spki_der(), &self.certificate, &self.key)
            .expect("issues");
        Self { certificate, key }
    }
}

pub(crate) fn named(name: &str) -> CertificateBuilder {
    CertificateBuilder::new(format!("CN={name}"))
}

pub(crate) fn ca(name: &str) -> CertificateBuilder {
    named(name).ca(None)
}

pub(crate) fn check_at(
    end: &Certificate,
    bag: &[&Certificate],
    anchors: &[&Certificate],
    clock: WallClock,
) -> Result<usize, PathError> {
    let bag: Vec<Certificate> = bag.iter().copied().cloned().collect();
    let anchors: TrustAnchors = anchors.iter().copied().cloned().collect();
    let path = validate_path(end, &bag, &anchors, clock, &PathOptions::default())?;
    assert_eq!(path.end_entity(), end);
    assert!(anchors.iter().any(|anchor| anchor == path.anchor()));
    Ok(path.certificates().len())
}

/// The length of the path found.
pub(crate) fn check(
    end: &Holder,
    bag: &[&Holder],
    anchors: &[&Holder],
) -> Result<usize, PathError> {
    let certificates = |list: &[&Holder]| -> Vec<Certificate> {
        list.iter().map(|one| one.certificate.clone()).collect()
    };
    let (bag, anchors) = (certificates(bag), certificates(anchors));
    check_at(
        &end.certificate,
        &bag.iter().collect::<Vec<_>>(),
        &anchors.iter().collect::<Vec<_>>(),
        WallClock::Trusted(NOW),
    )
}

/// Root, two intermediates and an end entity.
pub(crate) fn chain() -> [Holder; 4] {
    let root = Holder::root(&ca("root"));
    let upper = root.issue(&ca("upper"));
    let lower = upper.issue(&ca("lower"));
    let end = lower.issue(&named("end"));
    [root, upper, lower, end]
}

/// Where OpenSSL works.
pub(crate) struct Folder(tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    /// Runs OpenSSL; what it has to do is written as on a command line.
    pub(crate) fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .expect("openssl is installed");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments}: {stderr}");
    }

    pub(crate) fn certificate(&self, name: &str) -> Certificate {
        let octets = std::fs::read(self.0.path().join(name)).expect("written");
        Certificate::from_pem_or_der(&octets).expect("reads")
    }
}
