//! What a voucher's domain-cert-revocation-checks makes of the revocation lists stapled to the
//! owner certificate (RFC 8366 §5.3, RFC 8572 §3.2 and §5.4). OpenSSL makes the lists.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::SystemTime;

use sztp_cms::{
    Certificate, CertificateBuilder, KeyType, PathError, RevocationReason, Signer as _, SigningKey,
    TrustAnchors, UnixTime, WallClock, certs_only,
};
use sztp_core::artifacts::{
    ArtifactError, Authenticated, BootstrappingData, SourceTrust, content_type, sign_artifact,
};
use sztp_core::conveyed_info::{ConveyedInfo, OnboardingInformation};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Assertion, IssueOptions, Voucher, VoucherContext, issue};

const SERIAL: &str = "AX7-00042";
const DAY: i64 = 24 * 60 * 60;

/// The pin, an authority below it, the owner below that, and the books of the two authorities.
struct World {
    directory: tempfile::TempDir,
    vendor: Entity,
    pin: Entity,
    ca: Entity,
    owner: Entity,
}

struct Entity {
    certificate: Certificate,
    key: SigningKey,
}

impl Entity {
    fn new(builder: &CertificateBuilder, issuer: Option<&Self>) -> Self {
        let key = SigningKey::generate(KeyType::EcP256).expect("a key");
        let certificate = match issuer {
            None => builder.self_signed(&key),
            Some(issuer) => builder.issued_by(key.spki_der(), &issuer.certificate, &issuer.key),
        };
        let certificate = certificate.expect("a certificate");
        Self { certificate, key }
    }
}

impl World {
    fn new() -> Self {
        let authority = |name: &str| CertificateBuilder::new(name).ca(None);
        let pin = Entity::new(&authority("CN=Pin"), None);
        let ca = Entity::new(&authority("CN=CA"), Some(&pin));
        let world = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
            vendor: Entity::new(&authority("CN=Vendor"), None),
            owner: Entity::new(&CertificateBuilder::new("CN=Owner"), Some(&ca)),
            pin,
            ca,
        };
        let mut configuration = String::new();
        for (name, entity) in [
            ("pin", &world.pin),
            ("ca", &world.ca),
            ("owner", &world.owner),
        ] {
            let key = entity.key.to_pkcs8_pem().expect("a key");
            world.write(&format!("{name}.key"), &key);
            world.write(&format!("{name}.crt"), &entity.certificate.to_pem());
            world.write(&format!("{name}.index"), "");
            let _ = write!(
                configuration,
                "[{name}]\ndatabase = {name}.index\ncertificate = {name}.crt\n\
                 private_key = {name}.key\ndefault_md = sha256\ndefault_crl_days = 30\n"
            );
        }
        world.write("openssl.cnf", &configuration);
        world
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.directory.path().join(name), text).expect("write");
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new(std::env::var_os("SZTP_OPENSSL").unwrap_or("openssl".into()))
            .args(format!("ca -config openssl.cnf {arguments}").split_whitespace())
            .current_dir(self.directory.path())
            .output()
            .expect("openssl is installed");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl ca {arguments}: {stderr}");
    }

    fn revoke(&self, issuer: &str, name: &str) {
        self.openssl(&format!(
            "-name {issuer} -revoke {name}.crt -crl_reason keyCompromise"
        ));
    }

    /// The issuer's list as it stands, DER.
    fn list(&self, issuer: &str) -> Vec<u8> {
        self.openssl(&format!("-name {issuer} -gencrl -out list.crl"));
        let file = fs::read(self.directory.path().join("list.crl")).expect("a list");
        let list = sztp_cms::CertificateRevocationList::from_pem_or_der(&file).expect("a list");
        list.as_der().to_vec()
    }

    fn data(
        &self,
        checks: Option<bool>,
        pin: &Certificate,
        lists: &[Vec<u8>],
    ) -> BootstrappingData {
        let mut voucher = Voucher::new(SERIAL, Assertion::Verified, pin.as_der(), now());
        voucher.domain_cert_revocation_checks = checks;
        let Entity { certificate, key } = &self.vendor;
        let voucher = issue(&voucher, key, certificate, &[], &IssueOptions::default());
        let info = ConveyedInfo::Onboarding(OnboardingInformation {
            pre_configuration_script: Some(b"#!/bin/sh\n".to_vec()),
            ..OnboardingInformation::default()
        });
        let json = Encoding::Json;
        let Entity { certificate, key } = &self.owner;
        let signed = sign_artifact(&info, json, content_type(json), key, certificate);
        let chain = [certificate.clone(), self.ca.certificate.clone()];
        BootstrappingData {
            conveyed_information: signed.expect("signed"),
            owner_certificate: Some(certs_only(&chain, lists).expect("a CMS")),
            ownership_voucher: Some(voucher.expect("a voucher")),
        }
    }

    fn judge_at(
        &self,
        clock: WallClock,
        checks: Option<bool>,
        lists: &[Vec<u8>],
    ) -> Result<Authenticated, ArtifactError> {
        self.judge_data(clock, &self.data(checks, &self.pin.certificate, lists))
    }

    fn judge(
        &self,
        checks: Option<bool>,
        lists: &[Vec<u8>],
    ) -> Result<Authenticated, ArtifactError> {
        self.judge_at(WallClock::Trusted(now()), checks, lists)
    }

    fn judge_data(
        &self,
        clock: WallClock,
        data: &BootstrappingData,
    ) -> Result<Authenticated, ArtifactError> {
        let anchors = TrustAnchors::new([self.vendor.certificate.clone()]);
        let context = VoucherContext {
            serial_number: Some(SERIAL),
            ..VoucherContext::new(&anchors, clock)
        };
        data.authenticate(SourceTrust::Unauthenticated, &context, Encoding::Json)
    }
}

fn now() -> UnixTime {
    UnixTime::from_system_time(SystemTime::now())
}

fn assert_trusted(outcome: &Result<Authenticated, ArtifactError>) {
    assert!(
        matches!(outcome, Ok(Authenticated::Trusted(_))),
        "{outcome:?}"
    );
}

fn assert_unknown(outcome: Result<Authenticated, ArtifactError>) {
    assert_eq!(outcome.err(), Some(ArtifactError::RevocationUnknown));
}

fn assert_revoked(outcome: &Result<Authenticated, ArtifactError>, name: &str) {
    let Err(error @ ArtifactError::Revoked(PathError::Revoked { .. })) = outcome else {
        panic!("{outcome:?}");
    };
    assert_eq!(error.code(), "owner-certificate.revoked");
    let ArtifactError::Revoked(PathError::Revoked {
        subject, reason, ..
    }) = error
    else {
        unreachable!("matched above");
    };
    assert_eq!(
        (subject.as_str(), *reason),
        (name, RevocationReason::KeyCompromise)
    );
}

// LEDGER: 8572-5.4-11
#[test]
fn a_demanded_check_needs_a_current_list_for_each_certificate_of_the_chain() {
    let world = World::new();
    let (of_pin, of_ca) = (world.list("pin"), world.list("ca"));
    assert_unknown(world.judge(Some(true), &[]));
    assert_unknown(world.judge(Some(true), std::slice::from_ref(&of_pin)));
    assert_unknown(world.judge(Some(true), std::slice::from_ref(&of_ca)));
    let both = [of_ca, of_pin];
    assert_trusted(&world.judge(Some(true), &both));
    // Stale.
    let late = WallClock::Trusted(now().plus_secs(31 * DAY));
    assert_unknown(world.judge_at(late, Some(true), &both));
    // Without a clock nobody can tell.
    assert_trusted(&world.judge_at(WallClock::Unknown, Some(true), &both));
}

// LEDGER: 8572-5.4-11
#[test]
fn a_revoked_owner_is_refused_and_so_is_one_under_a_revoked_authority() {
    let world = World::new();
    let (of_pin, of_ca) = (world.list("pin"), world.list("ca"));
    world.revoke("ca", "owner");
    world.revoke("pin", "ca");
    assert_revoked(
        &world.judge(Some(true), &[of_pin, world.list("ca")]),
        "CN=Owner",
    );
    assert_revoked(
        &world.judge(Some(true), &[world.list("pin"), of_ca]),
        "CN=CA",
    );
}

// LEDGER: 8366-5.3-11
#[test]
fn a_list_is_heard_unless_the_voucher_forbids_it() {
    let world = World::new();
    assert_trusted(&world.judge(None, &[]));
    assert_trusted(&world.judge(None, &[world.list("ca")]));
    world.revoke("ca", "owner");
    assert_revoked(&world.judge(None, &[world.list("ca")]), "CN=Owner");
    assert_trusted(&world.judge(Some(false), &[world.list("ca")]));
}

#[test]
fn a_list_by_another_says_nothing() {
    let (world, other) = (World::new(), World::new());
    other.write("owner.crt", &world.owner.certificate.to_pem());
    other.revoke("ca", "owner");
    let foreign = [world.list("pin"), other.list("ca")];
    assert_unknown(world.judge(Some(true), &foreign));
    assert_trusted(&world.judge(None, &foreign));
}

#[test]
fn a_pinned_owner_certificate_is_on_nobodys_list() {
    let world = World::new();
    let pin = &world.owner.certificate;
    let lists = [world.list("pin"), world.list("ca")];
    let judge = |checks| {
        let data = world.data(checks, pin, &lists);
        world.judge_data(WallClock::Trusted(now()), &data)
    };
    assert_trusted(&judge(None));
    assert_unknown(judge(Some(true)));
}
