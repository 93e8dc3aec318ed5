//! The vendor, the owner and the operator, with their keys.

use std::sync::OnceLock;

use sztp_cms::{
    Certificate, CertificateBuilder, KeyType, KeyUsage, Signer as _, SigningKey, TrustAnchors,
    UnixTime, certs_only,
};
use sztp_core::artifacts::{content_type, owner_certificate_artifact, sign_artifact};
use sztp_core::conveyed_info::{BootstrapServer, ConveyedInfo, RedirectInformation};
use sztp_core::rpc::{GetBootstrappingDataOutput, ReportingLevel};
use sztp_voucher::yang::Encoding;
use sztp_voucher::{Assertion, IssueOptions, Voucher, issue};

pub const SERIAL: &str = "AX7-00042";
/// 2026-03-02T08:15:00Z.
pub const NOW: UnixTime = UnixTime::from_secs(1_772_439_300);
pub const NONCE: [u8; 16] = [7; 16];

/// Everyone but the device.
pub struct World {
    pub vendor_root: Certificate,
    pub masa: Certificate,
    pub masa_key: SigningKey,
    pub idevid: Certificate,
    pub idevid_key: SigningKey,
    /// The pinned-domain-cert.
    pub owner_ca: Certificate,
    pub owner_ca_key: SigningKey,
    pub owner: Certificate,
    pub owner_key: SigningKey,
    /// The operator's, above the authority that issues server certificates.
    pub server_root: Certificate,
    pub server_root_key: SigningKey,
    pub server_ca: Certificate,
    server_ca_key: SigningKey,
    pub server_key: SigningKey,
}

/// The one world of a test binary.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(World::new)
}

pub fn key() -> SigningKey {
    SigningKey::generate(KeyType::EcP256).expect("a key")
}

pub fn root(subject: &str, key: &SigningKey) -> Certificate {
    CertificateBuilder::new(subject)
        .ca(None)
        .self_signed(key)
        .expect("a root")
}

impl World {
    fn new() -> Self {
        let vendor_key = key();
        let vendor_root = root("CN=Vendor root", &vendor_key);
        let masa_key = key();
        let masa = CertificateBuilder::new("CN=MASA")
            .key_usage(KeyUsage::DIGITAL_SIGNATURE)
            .issued_by(masa_key.spki_der(), &vendor_root, &vendor_key)
            .expect("the MASA's certificate");
        let idevid_key = key();
        let idevid = CertificateBuilder::new(format!("CN=AX7,serialNumber={SERIAL}"))
            .issued_by(idevid_key.spki_der(), &vendor_root, &vendor_key)
            .expect("the IDevID");
        let owner_ca_key = key();
        let owner_ca = root("CN=Owner", &owner_ca_key);
        let owner_key = key();
        let owner = CertificateBuilder::new("CN=Owner certificate")
            .key_usage(KeyUsage::DIGITAL_SIGNATURE)
            .issued_by(owner_key.spki_der(), &owner_ca, &owner_ca_key)
            .expect("the owner certificate");
        let server_root_key = key();
        let server_root = root("CN=Server root", &server_root_key);
        let server_ca_key = key();
        let server_ca = CertificateBuilder::new("CN=Server CA")
            .ca(Some(0))
            .issued_by(server_ca_key.spki_der(), &server_root, &server_root_key)
            .expect("the servers' authority");
        Self {
            vendor_root,
            masa,
            masa_key,
            idevid,
            idevid_key,
            owner_ca,
            owner_ca_key,
            owner,
            owner_key,
            server_root,
            server_root_key,
            server_ca,
            server_ca_key,
            server_key: key(),
        }
    }

    pub fn voucher_anchors(&self) -> TrustAnchors {
        TrustAnchors::new([self.vendor_root.clone()])
    }

    pub fn server_anchors(&self) -> TrustAnchors {
        TrustAnchors::new([self.server_root.clone()])
    }

    /// A server's certificate from the operator's authority, and that authority.
    pub fn server_chain(&self, host: &str) -> Vec<Certificate> {
        let certificate = server_names(host)
            .issued_by(
                self.server_key.spki_der(),
                &self.server_ca,
                &self.server_ca_key,
            )
            .expect("a server certificate");
        vec![certificate, self.server_ca.clone()]
    }

    /// A server's certificate from the operator's root itself.
    pub fn server_chain_from_root(&self, host: &str) -> Vec<Certificate> {
        let certificate = server_names(host)
            .issued_by(
                self.server_key.spki_der(),
                &self.server_root,
                &self.server_root_key,
            )
            .expect("a server certificate");
        vec![certificate]
    }

    /// The trust anchor of the operator's servers, as redirects carry it.
    pub fn server_anchor_artifact(&self) -> Vec<u8> {
        certs_only(&[self.server_ca.clone(), self.server_root.clone()], &[]).expect("a CMS")
    }

    /// What the MASA says of the device, before `edit` changes it.
    pub fn voucher(&self, edit: impl FnOnce(&mut Voucher)) -> Vec<u8> {
        let mut voucher = Voucher::new(
            SERIAL,
            Assertion::Verified,
            self.owner_ca.as_der(),
            NOW.plus_secs(-3600),
        );
        edit(&mut voucher);
        issue(
            &voucher,
            &self.masa_key,
            &self.masa,
            &[],
            &IssueOptions::default(),
        )
        .expect("a voucher")
    }

    pub fn owner_certificate_artifact(&self) -> Vec<u8> {
        owner_certificate_artifact(&self.owner, std::slice::from_ref(&self.owner_ca))
            .expect("a CMS")
    }

    pub fn sign(&self, info: &ConveyedInfo) -> Vec<u8> {
        sign_artifact(
            info,
            Encoding::Json,
            content_type(Encoding::Json),
            &self.owner_key,
            &self.owner,
        )
        .expect("signed conveyed information")
    }

    /// The three artifacts.
    pub fn signed(&self, info: &ConveyedInfo) -> GetBootstrappingDataOutput {
        self.signed_with(info, |_| {})
    }

    /// The three artifacts, of which the voucher is another.
    pub fn signed_with(
        &self,
        info: &ConveyedInfo,
        edit: impl FnOnce(&mut Voucher),
    ) -> GetBootstrappingDataOutput {
        GetBootstrappingDataOutput {
            reporting_level: Some(ReportingLevel::Verbose),
            conveyed_information: self.sign(info),
            owner_certificate: Some(self.owner_certificate_artifact()),
            ownership_voucher: Some(self.voucher(edit)),
        }
    }
}

fn server_names(host: &str) -> CertificateBuilder {
    let builder = CertificateBuilder::new("CN=server").extended_key_usage_server_auth();
    match host.parse() {
        Ok(address) => builder.ip_addresses([address]),
        Err(_) => builder.dns_names([host]),
    }
}

/// Redirect information to servers, with or without a trust anchor.
pub fn redirect(servers: &[(&str, Option<Vec<u8>>)]) -> ConveyedInfo {
    ConveyedInfo::Redirect(RedirectInformation {
        bootstrap_servers: servers
            .iter()
            .map(|(address, trust_anchor)| BootstrapServer {
                address: (*address).to_owned(),
                port: None,
                trust_anchor: trust_anchor.clone(),
            })
            .collect(),
    })
}
